"""Compiled loops: numba's, with a cache on disk whose damage costs time and nothing else.

Numba itself ends in a traceback, or in worse, where a file of its cache is damaged, where the disk
is full, and where no folder can be written; and where two processes compile a function at once it
may take the code of one signature for that of another. Here such a function is compiled again.
"""

import hashlib
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile

SUM_BYTES = hashlib.sha256().digest_size


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a function that numba compiles when first called, and finds again in its cache.

    It lets go of the interpreter, so that threads run side by side.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = njit(nogil=True, **options)(function)
        with suppress(RuntimeError):  # no folder for a cache
            dispatcher._cache = _Cache(function)
        return dispatcher

    return decorate


class _Cache(FunctionCache):
    """Loads nothing that is damaged, and does without what cannot be saved."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        # A name of its own: numba would not know what to make of these files, nor that threads may
        # run what is in them.
        self._cache_file = _Files(
            cache_path=self._cache_path,
            filename_base=f"{self._impl.filename_base}.threads",
            source_stamp=self._impl.locator.get_source_stamp(),
        )

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """What was compiled for a signature, or None."""
        with suppress(OSError):
            return super().load_overload(signature, target_context)
        return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep what was compiled, where the disk takes it."""
        with suppress(OSError):
            super().save_overload(signature, data)


class _Files(IndexDataCacheFile):
    """The files of a function's cache: one a signature, which names it, behind a sum.

    Numba numbers them, and keeps the numbers in an index: of two processes that compile for two
    signatures at once both take the same number, and one signature then runs the other's code.
    """

    def save(self, key: Any, data: Any) -> None:
        """Keep what was compiled for a key: signature, processor and code of the function."""
        content = self._dump(data)
        with self._open_for_write(self._path(key)) as file:
            file.write(self._sum(key, content) + content)

    def load(self, key: Any) -> Any:
        """What was compiled for a key, or None where there is nothing, or nothing whole."""
        try:
            content = self._path(key).read_bytes()
        except OSError:
            return None
        kept, content = content[:SUM_BYTES], content[SUM_BYTES:]
        return pickle.loads(content) if kept == self._sum(key, content) else None

    def _path(self, key: Any) -> Path:
        signature, processor, _ = key
        name = hashlib.sha256(repr((signature, processor)).encode()).hexdigest()[:16]
        return Path(self._index_path).with_suffix(f".{name}.nbc")

    def _sum(self, key: Any, content: bytes) -> bytes:
        """Over all that decides whether the content may run."""
        about = repr((self._version, self._source_stamp, key))
        return hashlib.sha256(about.encode() + content).digest()

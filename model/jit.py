"""Compiled loops: numba's, with a cache on disk whose damage costs time and nothing else.

Numba itself ends in a traceback, or in worse, where a file of its cache is damaged, where the disk
is full, and where no folder can be written. Here such a function is compiled again.
"""

import hashlib
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache, IndexDataCacheFile

SUM_BYTES = hashlib.sha256().digest_size


def compiled(**options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate a function that numba compiles when first called, and finds again in its cache."""

    def decorate(function: Callable[..., Any]) -> Any:
        dispatcher = njit(**options)(function)
        with suppress(RuntimeError):  # no folder for a cache
            dispatcher._cache = _Cache(function)
        return dispatcher

    return decorate


class _Cache(FunctionCache):
    """Loads nothing that is damaged, and does without what cannot be saved."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(function)
        # A name of its own: numba would not know what to make of the sums.
        self._cache_file = _Files(
            cache_path=self._cache_path,
            filename_base=f"{self._impl.filename_base}.summed",
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
    """The files of a function's cache, each behind the sum of its content."""

    def _dump(self, value: Any) -> bytes:
        content = super()._dump(value)
        return hashlib.sha256(content).digest() + content

    def _load_index(self) -> dict[Any, str]:
        try:
            with open(self._index_path, "rb") as file:
                version = pickle.load(file)
                stamp, overloads = _checked(file.read())
        except Exception:  # a damaged pickle can raise anything
            return {}
        fresh = version == self._version and stamp == self._source_stamp
        return overloads if fresh else {}

    def _load_data(self, name: str) -> Any:
        with open(self._data_path(name), "rb") as file:
            return _checked(file.read())


def _checked(content: bytes) -> Any:
    """What was saved. Raises OSError, which the cache takes for a missing file, where it is not."""
    kept, content = content[:SUM_BYTES], content[SUM_BYTES:]
    if hashlib.sha256(content).digest() != kept:
        raise OSError("a file of the cache is damaged")
    return pickle.loads(content)

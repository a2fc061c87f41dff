"""The user's cache folder: data sets that were downloaded, programs that were built.

What was built is used again only where it is whole: a file ends in a sum over its name and its
content (loaders of shared objects read past it), so that one which was damaged, cut short or put
under another name is built anew instead of being loaded.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path

from model.contract.refusal import Refusal

SUM_BYTES = hashlib.sha256().digest_size

BUILD_DIR = "DRTP_BUILD_DIR"
"""Variable that names another folder for what is built; `--build-dir` sets it."""


def cache_folder() -> Path:
    """The kit's folder among the user's caches (under Linux in $XDG_CACHE_HOME or ~/.cache)."""
    return user_cache_path("drtp-kit", appauthor=False)


def build_folder() -> Path:
    """Folder of what is compiled, routed or recorded, and may be deleted at any time."""
    chosen = os.environ.get(BUILD_DIR)
    return Path(chosen).resolve() if chosen else cache_folder() / "build"


def kept(path: Path, build: Callable[[Path], Path]) -> Path:
    """The file at `path`, whole; where it is not, `build` makes it in a temporary folder.

    Two that build it at once both do, and either file serves both. Raises `Refusal` where the
    folder cannot be written.
    """
    if not is_whole(path):
        with _telling(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            folder = tempfile.TemporaryDirectory(prefix=".building-", dir=path.parent)
        with folder as place:
            built = build(Path(place))
            content = built.read_bytes()
            with _telling(path.parent):
                built.write_bytes(content + _sum(path, content))
                os.replace(built, path)
    return path


def content_of(path: Path) -> bytes:
    """What was built, of a file that is whole."""
    return path.read_bytes()[:-SUM_BYTES]


def is_whole(path: Path) -> bool:
    """Whether a file is there and is what was built under its name."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    return content[-SUM_BYTES:] == _sum(path, content[:-SUM_BYTES])


@contextmanager
def _telling(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Refusal(
            f"cannot keep what was built in {folder}: {error.strerror}; name another folder with "
            f"--build-dir or ${BUILD_DIR}"
        ) from error


def _sum(path: Path, content: bytes) -> bytes:
    return hashlib.sha256(path.name.encode() + b"\0" + content).digest()

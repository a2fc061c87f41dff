"""Artefacts on disk: written whole or not at all."""

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from model.contract.refusal import Refusal

#: What a disk answers that takes no more: full, over a quota or a limit, or broken.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


@contextmanager
def writing(path: Path | str) -> Iterator[BinaryIO]:
    """Open a file for binary writing that appears under `path` only if the block succeeds.

    A link is followed: the file that it names is replaced, not the link.

    Raises `Refusal` where `path` is no regular file, the folder cannot be made or written, or the
    disk is full.
    """
    path = Path(path)
    check_replaceable(path)
    place = Path(os.path.realpath(path))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{place.name[:100]}.", dir=place.parent)
    except OSError as error:
        raise Refusal(f"cannot write {path}: {error.strerror}; choose another path") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, place)
    except BaseException as error:
        os.unlink(name)
        if isinstance(error, OSError) and error.errno in DISK_ERRORS:
            raise Refusal(
                f"cannot write {path}: {error.strerror}; nothing there was changed, make room or "
                f"choose another path"
            ) from error
        raise


def check_replaceable(path: Path | str) -> None:
    """Refuse to put a file where a folder, a device or another special file is."""
    path = Path(path)
    try:
        replaceable = path.is_file() or not path.exists()
    except OSError as error:  # a name too long, a folder that may not be entered
        raise Refusal(f"cannot write {path}: {error.strerror}; choose another path") from error
    if not replaceable:
        kind = "a folder" if path.is_dir() else "no regular file"
        raise Refusal(f"cannot write {path}: it is {kind}; name a file")


def check_intent(path: Path, resume: bool, overwrite: bool) -> None:
    """Refuse to begin anew over what is there, or to go on from what is not, without a word."""
    if resume and not path.exists():
        raise Refusal(f"there is nothing to resume in {path}; leave --resume out to begin anew")
    if path.exists() and not resume and not overwrite:
        raise Refusal(
            f"{path} is there already; give --resume to go on from it, --overwrite to replace it, "
            f"or another path"
        )


def check_absent(path: Path | str, overwrite: bool) -> None:
    """Refuse to write over what is there without a word."""
    if not overwrite and Path(path).exists():
        raise Refusal(f"{path} is there already; give --overwrite to replace it, or another path")


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with writing(path) as file:
        file.write(text.encode())


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON with a final newline, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")

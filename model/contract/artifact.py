"""Artefacts on disk: written whole or not at all."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from model.contract.refusal import Refusal


@contextmanager
def writing(path: Path | str) -> Iterator[BinaryIO]:
    """Open a file for binary writing that appears under `path` only if the block succeeds.

    Raises `Refusal` where the folder cannot be made or written.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    except OSError as error:
        raise Refusal(f"cannot write {path}: {error.strerror}; choose another path") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text, whole or not at all."""
    with writing(path) as file:
        file.write(text.encode())


def write_json(path: Path | str, value: Any) -> None:
    """Write JSON with a final newline, whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")

"""Packed files and tar files, unpacked in memory and never beyond it."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Any

from model.contract.refusal import Refusal
from model.data.memory import check_fits, most_bytes
from model.data.places import read

PACKED: dict[bytes, Callable[..., Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
}
"""How each kind of packed file begins, and who unpacks it."""

CHUNK_BYTES = 1 << 20
MOST_FILES = 1_000_000  #: in a tar file

_REMEDY = "is truncated or corrupt; pack or download it again"


def unpack(path: Path, most: int | None = None) -> bytes:
    """Return a file's content, unpacked where it is gzip, bzip2 or xz.

    Raises `Refusal` where it is missing or damaged, or unpacks to more than `most` bytes (what
    memory can take where None): a few kilobytes can unpack to a disk's worth of zeros.
    """
    content = read(path)
    most = most_bytes() if most is None else most
    for start, opened in PACKED.items():
        if content.startswith(start):
            return _unpacked(opened(io.BytesIO(content)), path, most)
    check_fits(len(content), path, most)
    return content


def _unpacked(file: IO[bytes], path: Path, most: int) -> bytes:
    whole = bytearray()
    try:
        with file:
            while chunk := file.read(CHUNK_BYTES):
                whole += chunk
                check_fits(len(whole), f"{path}, unpacked,", most)
    except (OSError, EOFError, zlib.error, lzma.LZMAError, MemoryError) as error:
        raise Refusal(f"{path} {_REMEDY}") from error
    return bytes(whole)


def is_archive(path: Path) -> bool:
    """Whether a file, unpacked where it is packed, begins as a tar file does."""
    try:
        with path.open("rb") as file:
            start = file.read(max(map(len, PACKED)))
        kinds = (PACKED[kind] for kind in PACKED if start.startswith(kind))
        opened: Callable[..., Any] = next(kinds, open)
        with opened(path, "rb") as content:
            tarfile.TarInfo.frombuf(content.read(tarfile.BLOCKSIZE), "utf-8", "surrogateescape")
    except Exception:  # whatever it is, it is no archive
        return False
    return True


def read_archive(path: Path) -> dict[PurePosixPath, bytes]:
    """Return the content of every file in a tar file (plain, .gz, .bz2 or .xz) by its path.

    Nothing is unpacked to disk. Links are followed inside the archive.

    Raises `Refusal` where the archive is damaged, ends before its own end mark, or does not fit the
    memory: `tarfile` alone takes an archive cut between two files, or one with a damaged header,
    for a whole one.
    """
    content = unpack(path, most_bytes() // 2)
    try:
        files, end = _files(content, path)
    except Refusal:
        raise
    except Exception as error:  # a damaged header can raise anything
        raise Refusal(f"{path} {_REMEDY}") from error
    if not end or any(end):  # the end mark is zeros
        raise Refusal(f"{path} {_REMEDY}")
    return files


def read_zip(path: Path) -> dict[PurePosixPath, bytes]:
    """Return the content of every file in a zip file by its path; nothing is unpacked to disk.

    Raises `Refusal` where it is damaged, or does not fit the memory.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            parts = [part for part in packed.infolist() if not part.is_dir()]
            check_fits(sum(part.file_size for part in parts), path)
            return {PurePosixPath(part.filename): packed.read(part) for part in parts}
    except (OSError, ValueError, NotImplementedError, zlib.error, zipfile.BadZipFile) as error:
        raise Refusal(f"{path} {_REMEDY}") from error


def _files(content: bytes, path: Path) -> tuple[dict[PurePosixPath, bytes], bytes]:
    """The files of a tar file, and what follows the last of them."""
    files, size = {}, 0
    most_members = min(MOST_FILES, len(content) // tarfile.BLOCKSIZE)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as tar:
        for number, member in enumerate(tar):
            if number >= most_members:  # a header of negative size leads back to itself
                raise Refusal(f"{path} holds more than {most_members:,} files, or is damaged")
            size += member.size  # of a sparse file more than the archive holds
            check_fits(size, path, most_bytes() // 2)
            file = tar.extractfile(member)
            if file is not None:
                files[PurePosixPath(member.name)] = file.read()
        return files, content[tar.offset :]

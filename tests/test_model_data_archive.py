"""Packed files and tar files that are larger inside than outside, or lead back to themselves."""

import bz2
import gzip
import io
import lzma
import tarfile
from pathlib import Path, PurePosixPath

import pytest

from model.contract.refusal import Refusal
from model.data import archive
from model.data.archive import is_archive, read_archive, unpack


def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for member, content in members:
            member.size = len(content) if member.isreg() else 0
            file.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def with_header(content: bytes, at: int, value: bytes) -> bytes:
    """A tar file whose first header holds another value, with the right sum."""
    header = bytearray(content[:512])
    header[at : at + len(value)] = value
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content[512:]


def refused(path: Path) -> str:
    with pytest.raises(Refusal) as refusal:
        read_archive(path)
    return str(refusal.value)


@pytest.mark.parametrize("packed", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_a_file_is_unpacked_by_its_content_not_its_name(tmp_path: Path, packed: object) -> None:
    path = tmp_path / "any.name"
    path.write_bytes(packed(b"content"))  # type: ignore[operator]
    assert unpack(path) == b"content"


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress, lzma.compress])
def test_a_bomb_is_refused_where_it_exceeds_what_may_be_had(tmp_path: Path, packed: object) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(packed(bytes(20_000_000)))  # type: ignore[operator]
    assert path.stat().st_size < 30_000
    with pytest.raises(Refusal, match=r"bomb, unpacked, takes 3,145,728 bytes of memory, more"):
        unpack(path, 3_000_000)


def test_a_sparse_file_larger_than_its_archive_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sparse.tar"
    path.write_bytes(with_header(tar((tarfile.TarInfo("a/b"), b"x")), 124, b"77777777777\0"))
    monkeypatch.setattr(archive, "most_bytes", lambda: 1 << 30)
    assert "takes 8,589,934,591 bytes of memory" in refused(path)


def test_a_header_of_negative_size_ends(tmp_path: Path) -> None:
    path = tmp_path / "loop.tar"
    whole = tar((tarfile.TarInfo("a/b"), b"x"), (tarfile.TarInfo("a/c"), b"y"))
    size = b"\xff" * 10 + (-1024 & 0xFFFF).to_bytes(2, "big")
    path.write_bytes(with_header(whole, 124, size))
    assert str(path) in refused(path)


def test_a_link_to_itself_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "loop.tar"
    link = tarfile.TarInfo("a/b")
    link.type, link.linkname = tarfile.SYMTYPE, "b"
    path.write_bytes(tar((link, b"")))
    assert refused(path) == f"{path} is truncated or corrupt; pack or download it again"


def test_whether_it_is_an_archive(tmp_path: Path) -> None:
    path, content = tmp_path / "file", tar((tarfile.TarInfo("a/b"), b"x"))
    for packed in (content, gzip.compress(content), lzma.compress(content)):
        path.write_bytes(packed)
        assert is_archive(path)
        assert read_archive(path) == {PurePosixPath("a/b"): b"x"}
    for other in (b"", b"text", gzip.compress(b"text"), content[:100]):
        path.write_bytes(other)
        assert not is_archive(path)

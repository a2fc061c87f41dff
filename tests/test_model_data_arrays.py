"""Arrays on disk: what is written is read, and headers that lie are refused before memory is."""

import io
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.contract.refusal import Refusal
from model.data import arrays, memory
from model.data.arrays import read_array, read_arrays

REMEDY = "write it again"


def npy(descr: str, shape: str, content: bytes = b"", version: bytes = b"\1\0") -> bytes:
    """A file with a header of its own."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return (
        np.lib.format.MAGIC_PREFIX + version + len(header).to_bytes(2, "little") + header + content
    )


def refused(path: Path) -> str:
    with pytest.raises(Refusal) as refusal:
        (read_arrays if path.suffix == ".npz" else read_array)(path, REMEDY)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24).reshape(2, 3, 4),
        np.asfortranarray(np.arange(6, dtype=np.int16).reshape(2, 3)),
        np.array("text"),
        np.array(5, ">i4"),
        np.empty((0, 3)),
        np.array([True, False]),
    ],
)
def test_what_numpy_writes_is_read(tmp_path: Path, array: Any) -> None:
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", one=array, two=array)
    found = read_arrays(tmp_path / "a.npz", REMEDY)
    assert list(found) == ["one", "two"]
    for other in (read_array(tmp_path / "a.npy", REMEDY), *found.values()):
        assert other.dtype == array.dtype
        assert np.array_equal(other, array)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (npy("'<i8'", "(13000000000,)", b"x" * 8), "8 bytes follow where the header promises 104"),
        (npy("'<i8'", "(-1, -1)"), "0 bytes follow where the header promises 8"),
        (npy("'|O'", "(1,)", b"x"), "neither numbers nor text"),
        (npy("'(99999999,)<i4'", "(1,)", b"x"), "neither numbers nor text"),
        (npy("'<i8'", "(" * 4000), "header"),
        (npy("'<i8'", "(1,)", b"x" * 8, b"\7\0"), "version (7, 0) of the format is unknown"),
        (npy("'<U0'", "(999999999999,)"), "no .npy file"),
        (b"", "no .npy file"),
    ],
)
def test_a_header_that_lies_is_refused(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    assert fault in refused(path)
    packed = tmp_path / "a.npz"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("x.npy", content)
    assert refused(packed).endswith(f"; {REMEDY}")


def test_a_file_that_unpacks_beyond_the_memory_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "zeros.npz"
    np.savez_compressed(path, x=np.zeros(1_000_000, np.uint8))
    assert path.stat().st_size < 2000
    monkeypatch.setattr(memory, "most_bytes", lambda: 500_000)
    monkeypatch.setattr(arrays, "_array", lambda content: pytest.fail("it was unpacked"))
    assert "takes 1,000,128 bytes of memory, more than the 500,000" in refused(path)


def test_what_is_no_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", b"text")
    assert "'readme.txt' is no array" in refused(path)
    path.write_bytes(b"PK")
    assert refused(path) == f"{path} is truncated or no .npz file; {REMEDY}"


def test_a_damaged_byte_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.arange(100))
    content = bytearray(buffer.getvalue())
    content[300] ^= 1
    path = tmp_path / "a.npz"
    path.write_bytes(content)
    assert "Bad CRC-32" in refused(path)


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    os.mkfifo(path)
    assert refused(path) == f"{path} is no regular file; copy its content into one"

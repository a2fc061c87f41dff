"""IDX files: decoding, sums, damage."""

import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from model.contract.refusal import Refusal
from model.data import idx, load
from model.data.download import FILES
from model.data.idx import read_idx
from model.data.sums import check_sum


def encode(array: np.ndarray, kind: int = 8) -> bytes:
    lengths = b"".join(length.to_bytes(4, "big") for length in array.shape)
    return bytes([0, 0, kind, array.ndim]) + lengths + array.tobytes()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place with four small files under MNIST's names, and their sums in place of MNIST's."""
    images = np.arange(6 * 2 * 3, dtype=np.uint8).reshape(6, 2, 3)
    labels = np.array([0, 9, 1, 2, 3, 4], np.uint8)
    for file in idx.SUMS["mnist"]:
        content = encode(images if "images" in file else labels)
        (tmp_path / file).write_bytes(content)
        monkeypatch.setitem(
            idx.SUMS["mnist"], file, "sha256:" + hashlib.sha256(content).hexdigest()
        )
    return tmp_path


def message(place: Path) -> str:
    with pytest.raises(Refusal) as refusal:
        load("mnist", data_dir=place)
    return str(refusal.value)


@pytest.mark.parametrize("shape", [(0,), (3,), (2, 3), (2, 3, 4), (1, 2, 3, 4)])
def test_what_is_encoded_is_decoded(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    assert (read_idx(encode(array), "file") == array).all()
    assert read_idx(encode(array), "file").shape == shape


def test_long_axes_are_read_big_end_first() -> None:
    assert read_idx(bytes([0, 0, 8, 1, 0, 0, 1, 2]) + bytes(258), "file").shape == (258,)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", "is no IDX file; download it again"),
        (b"\x1f\x8b\x08\x00", "is no IDX file; download it again"),
        (
            encode(np.zeros(3, np.uint8), kind=13),
            "holds IDX elements of type 13, not unsigned bytes (8); convert it",
        ),
        (
            encode(np.zeros((2, 3), np.uint8))[:-1],
            "holds 17 bytes where its IDX header promises 18; download it again",
        ),
        (
            encode(np.zeros((2, 3), np.uint8)) + b"\0",
            "holds 19 bytes where its IDX header promises 18; download it again",
        ),
        (
            bytes([0, 0, 8, 3, 0, 0]),
            "holds 6 bytes where its IDX header promises 16; download it again",
        ),
    ],
)
def test_damaged_idx_is_refused(content: bytes, fault: str) -> None:
    with pytest.raises(Refusal) as refusal:
        read_idx(content, "file")
    assert str(refusal.value) == f"file {fault}"


def test_files_are_found_packed_or_not(small: Path) -> None:
    unpacked = load("mnist", data_dir=small)
    (small / "mnist").mkdir()
    for file in idx.SUMS["mnist"]:
        (small / "mnist" / f"{file}.gz").write_bytes(gzip.compress((small / file).read_bytes()))
        (small / file).unlink()
    assert load("mnist", data_dir=small).sha256 == unpacked.sha256
    assert unpacked.x_train.shape == (6, 2, 3, 1)


def test_changed_pixel_is_refused(small: Path) -> None:
    path = small / "t10k-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    expected = idx.SUMS["mnist"][path.name].removeprefix("sha256:")
    assert message(small) == (
        f"{path} is not the published file: its content has sha256 "
        f"{hashlib.sha256(content).hexdigest()}, expected {expected}; download it again"
    )


def test_truncated_file_is_refused(small: Path) -> None:
    path = small / "train-labels-idx1-ubyte"
    path.write_bytes(path.read_bytes()[:-2])
    assert message(small) == (
        f"{path} holds 12 bytes where its IDX header promises 14; download it again"
    )


@pytest.mark.parametrize("cut", [5, 20, 40])
def test_truncated_gzip_is_refused(small: Path, cut: int) -> None:
    plain = small / "train-images-idx3-ubyte"
    path = small / f"{plain.name}.gz"
    path.write_bytes(gzip.compress(plain.read_bytes())[:cut])
    plain.unlink()
    assert message(small) == f"{path} is truncated or corrupt; pack or download it again"


def test_sums_of_both_algorithms_are_checked() -> None:
    check_sum(b"abc", "md5:900150983cd24fb0d6963f7d28e17f72", "file")
    check_sum(
        b"abc", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "file"
    )
    with pytest.raises(Refusal) as refusal:
        check_sum(b"abd", "md5:900150983cd24fb0d6963f7d28e17f72", "file")
    assert str(refusal.value) == (
        "file is not the published file: its content has md5 4911e516e5aa21d327512e0c8b197616, "
        "expected 900150983cd24fb0d6963f7d28e17f72; download it again"
    )


@pytest.mark.parametrize("name", idx.SUMS)
@pytest.mark.data
def test_sums_of_contents_belong_to_the_published_packed_files(
    name: str, published: Callable[[str], Path]
) -> None:
    for file, expected in idx.SUMS[name].items():
        packed = published(f"{name}/{file}.gz").read_bytes()
        check_sum(packed, FILES[name][f"{file}.gz"], file)
        check_sum(gzip.decompress(packed), expected, file)

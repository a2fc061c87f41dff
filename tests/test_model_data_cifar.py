"""CIFAR-10's python batches: decoding, sums, and pickles that ask for too much."""

import hashlib
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.contract.refusal import Refusal
from model.data import cifar, load
from model.data.cifar import read_batch


def pickled(value: Any) -> bytes:
    """Pickle as the publisher's Python 2 did: strings of bytes, numpy's old module name.

    Written out by hand because no Python 3 writes strings so.
    """
    return pickle.PROTO + b"\2" + opcodes(value) + pickle.STOP


def opcodes(value: Any) -> bytes:
    if isinstance(value, str | bytes):
        text = value.encode() if isinstance(value, str) else value
        return pickle.BINSTRING + len(text).to_bytes(4, "little") + text
    if value is None:
        return pickle.NONE
    if isinstance(value, int):
        return pickle.BININT + value.to_bytes(4, "little", signed=True)
    if isinstance(value, tuple):
        return pickle.MARK + b"".join(map(opcodes, value)) + pickle.TUPLE
    if isinstance(value, list):
        return pickle.MARK + b"".join(map(opcodes, value)) + pickle.LIST
    if isinstance(value, dict):
        pairs = (opcodes(key) + opcodes(value[key]) for key in value)
        return pickle.MARK + b"".join(pairs) + pickle.DICT
    if isinstance(value, type):
        return pickle.GLOBAL + f"{value.__module__}\n{value.__name__}\n".encode()
    if callable(value):
        return pickle.GLOBAL + b"numpy.core.multiarray\n_reconstruct\n"
    make, arguments, state = value.__reduce__()[:3]
    return opcodes(make) + opcodes(arguments) + pickle.REDUCE + opcodes(state) + pickle.BUILD


def batch(first_label: int) -> dict[str, Any]:
    data = np.random.default_rng(first_label).integers(0, 256, (2, 3072), np.uint8)
    return {
        "batch_label": "a batch",
        "labels": [first_label, 9],
        "data": data,
        "filenames": ["a.png", "b.png"],
    }


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place with six small batches, and their sums in place of CIFAR-10's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DRTP_DATA_DIR", raising=False)
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for label, name in enumerate(cifar.SUMS):
        content = pickled(batch(label))
        (folder / name).write_bytes(content)
        monkeypatch.setitem(cifar.SUMS, name, "md5:" + hashlib.md5(content).hexdigest())
    return tmp_path


def pack(place: Path) -> Path:
    archive = place / "cifar-10-python.tar.gz"
    folder = place / "cifar-10-batches-py"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    return archive


def message(place: Path) -> str:
    with pytest.raises(Refusal) as refusal:
        load("cifar10", data_dir=place)
    return str(refusal.value)


def test_batches_join_in_order_and_the_last_is_the_test(small: Path) -> None:
    data = load("cifar10", data_dir=small)
    assert data.y_train.tolist() == [0, 9, 1, 9, 2, 9, 3, 9, 4, 9]
    assert data.y_test.tolist() == [5, 9]
    assert data.x_train.shape == (10, 32, 32, 3)
    assert data.x_test.shape == (2, 32, 32, 3)
    assert data.classes == 10
    assert data.note == ""


def test_archive_is_the_same_as_its_folder(small: Path) -> None:
    unpacked = load("cifar10", data_dir=small)
    pack(small)
    assert load("cifar10", data_dir=small).sha256 == unpacked.sha256


def test_row_of_a_batch_is_a_red_a_green_and_a_blue_plane() -> None:
    made = batch(3)
    x, y = read_batch(pickled(made), "batch")
    planes = made["data"]
    for channel in range(3):
        plane = planes[1, channel * 1024 : (channel + 1) * 1024]
        assert (x[1, :, :, channel].ravel() == plane).all()
    assert y.tolist() == [3, 9]


def test_changed_batch_is_refused_before_it_is_unpickled(small: Path) -> None:
    path = small / "cifar-10-batches-py" / "data_batch_3"
    path.write_bytes(b"")
    expected = cifar.SUMS["data_batch_3"].removeprefix("md5:")
    assert message(small) == (
        f"{path} is not the published file: its content has md5 d41d8cd98f00b204e9800998ecf8427e, "
        f"expected {expected}; download it again"
    )


def test_missing_batch_is_refused(small: Path) -> None:
    path = small / "cifar-10-batches-py" / "test_batch"
    path.unlink()
    assert message(small) == (f"{path} is missing; get it with `python -m model data get cifar10`")


def test_truncated_archive_is_refused(small: Path) -> None:
    archive = pack(small)
    archive.write_bytes(archive.read_bytes()[:-2000])
    assert message(small) == f"{archive} is truncated or corrupt; pack or download it again"


def test_missing_set_is_refused(small: Path) -> None:
    pack(small).unlink()
    assert message(small) == (
        f"cifar10: cifar-10-batches-py or cifar-10-python.tar.gz is in none of {small}, "
        f"{small}/data, {small}/cache/drtp-kit/data; get it with `python -m model data get "
        f"cifar10`, or name its folder with --data-dir or DRTP_DATA_DIR"
    )


def test_pickle_that_asks_for_more_is_refused_and_nothing_is_run(tmp_path: Path) -> None:
    path = tmp_path / "made"
    with pytest.raises(Refusal) as refusal:
        read_batch(b"cos\nmkdir\n(V" + str(path).encode() + b"\ntR.", "batch")
    assert str(refusal.value) == (
        "batch asks for os.mkdir, which no CIFAR-10 batch needs; do not trust it"
    )
    assert not path.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no pickle",
        pickled([]),
        pickled({"labels": [1]}),
        pickled({"data": np.zeros((1, 3071), np.uint8), "labels": [1]}),
        pickled({"data": np.zeros((1, 3072), np.uint8), "labels": [1, 2]}),
        pickled({"data": np.zeros((1, 3072), np.uint8), "labels": ["cat"]}),
        pickled(batch(1))[:-100],
    ],
)
def test_anything_but_a_batch_is_refused(content: bytes) -> None:
    with pytest.raises(Refusal) as refusal:
        read_batch(content, "batch")
    assert str(refusal.value) == "batch is no CIFAR-10 python batch; download it again"

"""`model.data.load`: one door to every set."""

import gzip
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.contract.refusal import Refusal
from model.data import NAMES, idx, load


def message(name: str, **options: Any) -> str:
    with pytest.raises(Refusal) as refusal:
        load(name, **options)
    return str(refusal.value)


Save = Callable[..., str]
Published = Callable[[str], Path]

EXCERPTS = Path(__file__).parent / "data"


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save arrays under a .npz path."""

    def save_arrays(**arrays: Any) -> str:
        path = tmp_path / "mine.npz"
        np.savez(path, **arrays)
        return str(path)

    return save_arrays


X = np.arange(8 * 4 * 5, dtype=np.uint8).reshape(8, 4, 5)
Y = np.array([0, 1, 0, 1, 1, 0, 1, 0])


def test_names_are_the_sets_offered() -> None:
    pictures = ("digits", "mnist", "fashion-mnist", "cifar10", "cifar10-jpeg", "nmnist")
    recordings = ("nmnist", "fashion-mnist", "cifar10", "cifar10-jpeg", "digits")
    assert (*pictures, *(f"{name}-emulated" for name in recordings)) == NAMES


def test_digits_hold_out_a_quarter_of_every_class() -> None:
    data = load("digits")
    assert data.x_train.shape == (1346, 8, 8, 1)
    assert data.x_test.shape == (451, 8, 8, 1)
    assert data.x_train.dtype == np.uint8
    assert data.y_train.dtype == np.int64
    assert data.classes == 10
    assert data.note == ""
    train, test = np.bincount(data.y_train), np.bincount(data.y_test)
    assert np.abs(test - (train + test) / 4).max() <= 0.5


def test_digits_levels_are_scaled_exactly() -> None:
    data = load("digits")
    levels = np.unique(np.concatenate([data.x_train, data.x_test]))
    assert levels.tolist() == [round(level * 255 / 16) for level in range(17)]


def test_digits_are_those_known_and_split_as_ever() -> None:
    """Taken once with scikit-learn 1.9.1: newer releases must bring the same images."""
    assert (
        load("digits").sha256 == "c3606167cb19403ca455dd28b2b6623763db22aa4eb360aef1701304af84e0de"
    )


def test_seed_alone_decides_the_split() -> None:
    assert load("digits", seed=1).sha256 == load("digits", seed=1).sha256
    assert load("digits", seed=1).sha256 != load("digits", seed=0).sha256


def test_test_fraction_sets_the_share_held_out() -> None:
    assert len(load("digits", test_fraction=0.5).y_test) in range(889, 909)


def test_excerpts_are_those_described() -> None:
    text = (EXCERPTS / "README.md").read_text()
    listed = dict(re.findall(r"^\| (\S+/\S*) .*\| ([0-9a-f]{64}) \|$", text, re.MULTILINE))
    files = sorted(path for path in EXCERPTS.rglob("*") if path.is_file())
    contents = {str(path.relative_to(EXCERPTS)): path.read_bytes() for path in files}
    del contents["README.md"]
    pictures = [contents.pop(name) for name in list(contents) if name.endswith(".jpg")]
    contents["cifar10-jpeg/"] = b"".join(pictures)
    assert {name: hashlib.sha256(contents[name]).hexdigest() for name in contents} == listed


def test_mnist_begins_as_published(excerpts: Path) -> None:
    data = load("mnist")
    assert data.x_train.shape == (300, 28, 28, 1)
    assert data.x_test.shape == (100, 28, 28, 1)
    assert data.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.y_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.y_train.dtype == np.int64
    assert data.classes == 10


def test_fashion_mnist_begins_as_published(excerpts: Path) -> None:
    data = load("fashion-mnist")
    assert data.x_train.shape == (150, 28, 28, 1)
    assert data.x_test.shape == (50, 28, 28, 1)
    assert data.y_train[:5].tolist() == [9, 0, 0, 3, 0]
    assert data.y_test[:5].tolist() == [9, 2, 1, 1, 6]
    assert data.classes == 10


@pytest.mark.data
def test_mnist_is_the_canonical_one(published: Published) -> None:
    data = load("mnist", data_dir=published("mnist").parent)
    assert data.x_train.shape == (60000, 28, 28, 1)
    assert data.x_test.shape == (10000, 28, 28, 1)
    assert data.y_train[:5].tolist() == [5, 0, 4, 1, 9]
    assert data.y_test[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.y_train.dtype == np.int64
    assert data.classes == 10


@pytest.mark.data
def test_fashion_mnist_is_the_canonical_one(published: Published) -> None:
    data = load("fashion-mnist", data_dir=published("fashion-mnist").parent)
    assert data.x_train.shape == (60000, 28, 28, 1)
    assert data.x_test.shape == (10000, 28, 28, 1)
    assert np.bincount(data.y_train).tolist() == [6000] * 10
    assert np.bincount(data.y_test).tolist() == [1000] * 10


def test_mnist_unpacked_is_the_same(excerpts: Path, tmp_path: Path) -> None:
    for file in idx.SUMS["mnist"]:
        packed = (excerpts / "mnist" / f"{file}.gz").read_bytes()
        (tmp_path / file).write_bytes(gzip.decompress(packed))
    assert load("mnist", data_dir=tmp_path).sha256 == load("mnist").sha256


def test_cifar10_jpeg_is_numbered_as_cifar10_and_says_jpeg(excerpts: Path) -> None:
    data = load("cifar10-jpeg")
    assert data.x_train.shape == (20, 32, 32, 3)
    assert data.x_test.shape == (10, 32, 32, 3)
    assert data.y_train.tolist() == [*range(10), *range(10)]
    assert data.y_test.tolist() == [*range(10)]
    assert data.note == "JPEG"
    assert data.classes == 10


@pytest.mark.data
def test_cifar10_jpeg_is_whole(published: Published) -> None:
    data = load("cifar10-jpeg", data_dir=published("cifar10-jpeg").parent)
    assert data.x_train.shape == (50000, 32, 32, 3)
    assert data.x_test.shape == (10000, 32, 32, 3)
    assert data.y_train[:20].tolist() == [*range(10), *range(10)]
    assert np.bincount(data.y_test).tolist() == [1000] * 10
    assert data.note == "JPEG"
    assert data.classes == 10


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "cifar10", "cifar10-jpeg"])
def test_sets_with_test_samples_refuse_a_fraction(name: str) -> None:
    assert (
        message(name, test_fraction=0.2)
        == f"{name} brings its own test samples; leave the test fraction out"
    )


def test_unknown_name_is_refused() -> None:
    assert message("mnits") == (
        f"mnits is neither a data set ({', '.join(NAMES)}) nor a file or folder; give one of these "
        f"names or the path of your own data; did you mean 'mnist'?"
    )


def test_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("pixels")
    assert message(str(path)) == (
        f"{path} is no data set this kit reads; give a .npz file with x and y, a folder or tar "
        f"file of images in class folders, or a .csv that names them"
    )


def test_npz_is_split_stratified(save: Save) -> None:
    path = save(x=X, y=Y)
    data = load(path)
    assert data.name == path
    assert data.classes == 2
    assert data.x_train.shape == (6, 4, 5, 1)
    assert np.bincount(data.y_train).tolist() == [3, 3]
    assert np.bincount(data.y_test).tolist() == [1, 1]
    every = np.concatenate([data.x_train, data.x_test])[..., 0]
    assert sorted(every.tolist()) == sorted(X.tolist())


def test_npz_keeps_colour_and_its_own_test_samples(save: Save) -> None:
    x = np.stack([X, X, X], axis=-1)
    data = load(save(x=x, y=Y.astype(np.uint8), x_test=x[:2], y_test=Y[:2]))
    assert (data.x_train == x).all()
    assert (data.x_test == x[:2]).all()
    assert (data.y_train == Y).all()
    assert data.y_train.dtype == np.int64


def test_npz_may_say_how_many_classes(save: Save) -> None:
    assert load(save(x=X, y=Y * 3, classes=5)).classes == 5


def test_npz_with_test_samples_refuses_a_fraction(save: Save) -> None:
    path = save(x=X, y=Y, x_test=X, y_test=Y)
    assert (
        message(path, test_fraction=0.5)
        == f"{path} brings its own test samples; leave the test fraction out"
    )


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        ({"x": X / 255, "y": Y}, ": x must be uint8 levels 0..255, not float64; convert it first"),
        (
            {"x": X.reshape(8, 20), "y": Y},
            ": x must be (N, H, W) or (N, H, W, C), not (8, 20); reshape it first",
        ),
        ({"x": X, "y": Y / 2}, ": y must be integers, not float64; give class numbers"),
        ({"x": X, "y": Y[:, None]}, ": y must be (N,), not (8, 1); give one label a sample"),
        (
            {"x": X, "y": Y[:7]},
            ": x holds 8 samples but y 7 labels; give one label a sample",
        ),
        ({"x": X[:0], "y": Y[:0]}, ": x is empty, (0, 4, 5); give one sample or more"),
        ({"x": X[:, :0], "y": Y}, ": x is empty, (8, 0, 5); give one sample or more"),
        ({"x": X, "y": Y - 1}, ": y holds label -1; number the classes from 0 upwards"),
        (
            {"x": X, "y": Y + 1},
            ": no sample has label 0, but some have 2; number the classes 0, 1, 2, ... without a "
            "gap, or add an integer `classes` to the file",
        ),
        ({"x": X, "y": Y * 0}, ": all labels are 0; give samples of two classes or more"),
        (
            {"x": X, "y": np.arange(8)},
            ": class 0 has a single sample, which cannot be both learned from and tested on; give "
            "more, or test samples of their own",
        ),
        (
            {"x": X, "y": Y, "x_test": X[:, :3], "y_test": Y},
            ": training images are (4, 5, 1), test images (3, 5, 1) (H, W, C); give both the same "
            "size",
        ),
        (
            {"x": X, "y": Y, "x_test": X, "y_test": Y - 3},
            ": y_test holds label -3; number the classes from 0 upwards",
        ),
        (
            {"x": X, "y": Y, "classes": 2.0},
            ": classes must be one integer, not float64 (); give the number of classes",
        ),
        (
            {"x": X, "y": Y * 4, "classes": 4},
            ": y_train holds label 4, but there are 4 classes; number them 0..3",
        ),
        (
            {"x": X},
            " holds no array y; save x and y, and x_test only together with y_test",
        ),
        (
            {"x": X, "y": Y, "y_test": Y},
            " holds no array x_test; save x and y, and x_test only together with y_test",
        ),
        (
            {"x": X, "y": Y, "weights": X},
            " holds weights, which a data set has no use for; name its arrays x, y and, where "
            "there are, x_test, y_test, classes",
        ),
        (
            {"x": X, "y": Y.astype(object)},
            " cannot be read as .npz of plain arrays (its elements are object, neither "
            "numbers nor text); save it again with numpy.savez",
        ),
    ],
)
def test_npz_of_wrong_content_is_refused(save: Save, arrays: dict[str, Any], fault: str) -> None:
    path = save(**arrays)
    assert message(path) == path + fault


def test_truncated_npz_is_refused(save: Save) -> None:
    path = save(x=X, y=Y)
    Path(path).write_bytes(Path(path).read_bytes()[:-30])
    assert message(path) == f"{path} is truncated or no .npz file; save it again with numpy.savez"


def test_corrupt_npz_is_refused(save: Save) -> None:
    path = save(x=X, y=Y)
    content = bytearray(Path(path).read_bytes())
    content[200] ^= 1  # inside the pixels
    Path(path).write_bytes(content)
    assert message(path) == (
        f"{path} cannot be read as .npz of plain arrays (Bad CRC-32 for file 'x.npy'); save it "
        f"again with numpy.savez"
    )


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 25])
def test_fraction_out_of_range_is_refused(fraction: float) -> None:
    assert (
        message("digits", test_fraction=fraction)
        == f"digits: test fraction must lie between 0 and 1, not {fraction}"
    )


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_seed_out_of_range_is_refused(seed: int) -> None:
    assert (
        message("digits", seed=seed) == f"digits: seed of the split must be 0..2**32-1, not {seed}"
    )

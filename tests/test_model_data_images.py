"""Images in class folders: layouts, numbering, order, damage."""

import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from PIL import Image

from model.contract.refusal import Refusal
from model.data import images, load
from model.data.sums import check_sum

LAYOUT = "lay the set out as <class>/<image>, or as train/<class>/<image> and test/<class>/<image>"


def put(path: Path, level: int, mode: str = "L", size: tuple[int, int] = (3, 2)) -> None:
    """Save an image of one level; sizes are width, height."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colour = (level, level // 2, 0) if mode == "RGB" else level
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three classes of four, three and two images, each of a level of its own."""
    path = tmp_path / "mine"
    for number, (name, count) in enumerate((("bee", 3), ("ant", 4), ("cow", 2))):
        for image in range(count):
            put(path / name / f"{image}.png", 10 * number + image)
    return path


@pytest.fixture
def parted(tmp_path: Path) -> Path:
    """Two classes, with test images of their own."""
    path = tmp_path / "parted"
    for number, name in enumerate(("train/ant", "train/bee", "test/ant", "test/bee")):
        for image in range(2):
            put(path / name / f"{image}.png", 10 * number + image)
    return path


def message(path: Path, test_fraction: float | None = None) -> str:
    with pytest.raises(Refusal) as refusal:
        load(str(path), test_fraction=test_fraction)
    return str(refusal.value)


def pack(path: Path, name: str, inside: str) -> Path:
    archive = path.with_name(name)
    modes: dict[str, Literal["w:", "w:gz", "w:xz"]] = {".tar": "w:", ".gz": "w:gz", ".xz": "w:xz"}
    with tarfile.open(archive, modes[archive.suffix]) as tar:
        tar.add(path, inside)
    return archive


def levels(x: np.ndarray) -> list[int]:
    assert (x == x[:, :1, :1, :]).all()
    return [int(level) for level in x[:, 0, 0, 0]]


def test_classes_are_numbered_by_the_alphabet_and_come_in_turn(folder: Path) -> None:
    data = load(str(folder))
    every = {10: 0, 11: 0, 12: 0, 13: 0, 0: 1, 1: 1, 2: 1, 20: 2, 21: 2}
    train = dict(zip(levels(data.x_train), data.y_train.tolist(), strict=True))
    test = dict(zip(levels(data.x_test), data.y_test.tolist(), strict=True))
    assert train | test == every
    assert not train.keys() & test.keys()
    in_turn = [10, 0, 20, 11, 1, 21, 12, 2, 13]
    assert list(train) == [level for level in in_turn if level in train]
    assert sorted(data.y_test.tolist()) == [0, 1, 2]
    assert data.x_train.shape == (6, 2, 3, 1)
    assert data.classes == 3
    assert data.note == ""


def test_numeric_class_names_are_numbered_by_number(tmp_path: Path) -> None:
    for number in range(11):
        for image in range(2):
            put(tmp_path / str(number) / f"{image}.png", number)
    data = load(str(tmp_path))
    assert levels(data.x_train) == data.y_train.tolist()
    assert sorted(data.y_train.tolist()) == list(range(11))


def test_train_and_test_folders_are_kept_apart(parted: Path) -> None:
    data = load(str(parted))
    assert levels(data.x_train) == [0, 10, 1, 11]
    assert data.y_train.tolist() == [0, 1, 0, 1]
    assert levels(data.x_test) == [20, 30, 21, 31]
    assert data.y_test.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("name", ["mine.tar", "mine.tar.gz", "mine.tar.xz"])
@pytest.mark.parametrize("inside", [".", "mine"])
def test_tar_is_the_same_as_its_folder(folder: Path, name: str, inside: str) -> None:
    assert load(str(pack(folder, name, inside))).sha256 == load(str(folder)).sha256


def test_links_in_a_tar_are_followed_inside_it(folder: Path) -> None:
    (folder / "cow" / "0.png").unlink()
    (folder / "cow" / "0.png").symlink_to("../ant/0.png")
    assert load(str(pack(folder, "mine.tar", "."))).sha256 == load(str(folder)).sha256


def test_hidden_files_and_a_readme_are_left_alone(folder: Path) -> None:
    before = load(str(folder)).sha256
    (folder / "README").write_text("bees")
    (folder / "bee" / ".listing").write_text("0 1 2")
    assert load(str(folder)).sha256 == before


def test_jpeg_in_colour_is_noted(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        for image in range(2):
            put(tmp_path / name / f"{image}.jpg", 200, "RGB")
    data = load(str(tmp_path))
    assert data.note == "JPEG"
    assert data.x_train.shape == (2, 2, 3, 3)
    assert np.abs(data.x_train.astype(int) - [200, 100, 0]).max() <= 2


def test_test_images_refuse_a_fraction(parted: Path) -> None:
    assert (
        message(parted, 0.5) == f"{parted} brings its own test samples; leave the test fraction out"
    )


def test_train_alone_is_refused(parted: Path) -> None:
    for path in sorted((parted / "test").rglob("*.png")):
        path.unlink()
    assert message(parted) == f"{parted} holds train/ alone; give both train/ and test/, or neither"


@pytest.mark.parametrize("stray", ["other/ant/0.png", "train/ant/big/0.png", "train/0.png"])
def test_image_out_of_place_is_refused(parted: Path, stray: str) -> None:
    put(parted / stray, 1)
    assert message(parted) == f"{parted}: {stray} is not where an image belongs; {LAYOUT}"


def test_class_without_training_images_is_refused(parted: Path) -> None:
    put(parted / "test" / "cow" / "0.png", 1)
    assert message(parted) == (
        f"{parted}: class cow has images in test/ but none in train/; add some"
    )


def test_folder_without_images_is_refused(tmp_path: Path) -> None:
    assert message(tmp_path) == f"{tmp_path} holds no files in class folders; {LAYOUT}"


def test_single_class_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "mine" / "ant" / "0.png", 1)
    put(tmp_path / "mine" / "ant" / "1.png", 1)
    assert message(tmp_path) == (
        f"{tmp_path}: all labels are 0; give samples of two classes or more"
    )


def test_damaged_image_is_refused(folder: Path) -> None:
    path = folder / "ant" / "1.png"
    path.write_bytes(path.read_bytes()[:-30])
    assert message(folder) == (
        f"{folder}: ant/1.png is no image that can be read; mend or remove it"
    )


def test_image_of_another_mode_is_refused(folder: Path) -> None:
    put(folder / "ant" / "1.png", 1, "LA")
    assert message(folder) == (
        f"{folder}: ant/1.png is of mode LA; convert it to 8-bit grey (L) or colour (RGB)"
    )


@pytest.mark.parametrize(
    ("mode", "size", "shape"), [("L", (4, 2), "(2, 4)"), ("RGB", (3, 2), "(2, 3, 3)")]
)
def test_image_of_another_size_is_refused(
    folder: Path, mode: str, size: tuple[int, int], shape: str
) -> None:
    put(folder / "bee" / "2.png", 1, mode, size)
    assert message(folder) == (
        f"{folder}: bee/2.png is {shape}, but ant/0.png is (2, 3); give all images the same size "
        f"and mode"
    )


@pytest.mark.parametrize("name", ["mine.tar", "mine.tar.gz", "mine.tar.xz"])
@pytest.mark.parametrize("kept", [0.4, 0.6, 0.8])
def test_truncated_tar_is_refused(folder: Path, name: str, kept: float) -> None:
    archive = pack(folder, name, ".")
    content = archive.read_bytes().rstrip(b"\0")
    archive.write_bytes(content[: int(kept * len(content))])
    assert message(archive) == f"{archive} is truncated or corrupt; pack or download it again"


def test_tar_cut_between_two_images_is_refused(folder: Path) -> None:
    archive = pack(folder, "mine.tar", ".")
    with tarfile.open(archive) as tar:
        last = tar.getmembers()[-1]
    archive.write_bytes(archive.read_bytes()[: last.offset])
    assert message(archive) == f"{archive} is truncated or corrupt; pack or download it again"


def test_damaged_header_in_a_tar_is_refused(folder: Path) -> None:
    archive = pack(folder, "mine.tar", ".")
    with tarfile.open(archive) as tar:
        last = tar.getmembers()[-1]
    content = bytearray(archive.read_bytes())
    content[last.offset] ^= 1
    archive.write_bytes(content)
    assert message(archive) == f"{archive} is truncated or corrupt; pack or download it again"


@pytest.mark.data
def test_sum_of_contents_belongs_to_the_archive_it_was_taken_from(
    published: Callable[[str], Path],
) -> None:
    """That the contents of this archive have the sum, `load` checks on its own data."""
    archive = published(f"cifar10-jpeg/{images.CIFAR10_JPEG[0]}")
    expected = "sha256:2c1d2f26013ac128cd623c2d7737a86995990e43fc3d850fe825a66d47d3b8a9"
    check_sum(archive.read_bytes(), expected, archive)


def test_cifar10_jpeg_of_another_content_is_refused(
    parted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parted.rename(tmp_path / "cifar10-jpeg")
    with pytest.raises(Refusal) as refusal:
        load("cifar10-jpeg", data_dir=tmp_path)
    found = str(refusal.value).split("sha256 ")[1][:64]
    assert str(refusal.value) == (
        f"{tmp_path}/cifar10-jpeg is not the published file: its content has sha256 {found}, "
        f"expected {images.CIFAR10_JPEG_SUM.removeprefix('sha256:')}; download it again"
    )
    monkeypatch.setattr(images, "CIFAR10_JPEG_SUM", f"sha256:{found}")
    assert load("cifar10-jpeg", data_dir=tmp_path).y_train.tolist() == [0, 1, 0, 1]


def test_missing_cifar10_jpeg_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DRTP_DATA_DIR", raising=False)
    with pytest.raises(Refusal) as refusal:
        load("cifar10-jpeg")
    assert str(refusal.value) == (
        f"cifar10-jpeg: cifar10_jpeg_q75_60000.tar.xz or cifar10-jpeg/train is in none of "
        f"{tmp_path}/data, {tmp_path}/cache/drtp-kit/data; copy it there, or name its folder "
        f"with --data-dir or DRTP_DATA_DIR"
    )

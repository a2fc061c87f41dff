"""Images in class folders, in a folder or a tar file, in the formats of `FORMATS`."""

import io
import warnings
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track

from model.contract import event
from model.contract.refusal import Refusal
from model.data.archive import read_archive, read_zip
from model.data.dataset import Dataset
from model.data.listed import read_listed
from model.data.memory import check_fits
from model.data.places import find, read
from model.data.recordings import SUFFIXES, View, count_recordings
from model.data.split import stratified_split
from model.data.sums import check_sum

CIFAR10_JPEG = ("cifar10_jpeg_q75_60000.tar.xz", "cifar10-jpeg/train")
CIFAR10_JPEG_SUM = "sha256:77bd6659319c7fcd7d04c6450f39ea35f054e245932488aa136f6c5f0ad01e04"
"""Sum over name and content of every image in the order of their paths. Taken from the archive of
sha256 2c1d2f26013ac128cd623c2d7737a86995990e43fc3d850fe825a66d47d3b8a9; a test takes it again."""

PARTS = {"train", "test"}
LAYOUT = "lay the set out as <class>/<image>, or as train/<class>/<image> and test/<class>/<image>"

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""Pillow knows more, some of which start other programs."""

MOST_DIGITS = 10
"""Of a class's name that is taken for a number."""

MOST_SIDE = 1 << min(event.X_BITS, event.Y_BITS)
"""No chip takes a larger image, so no larger one is decoded."""

Files = dict[PurePosixPath, bytes]


def load_cifar10_jpeg(data_dir: Path | None) -> Dataset:
    """Load CIFAR-10 as lossy JPEG of quality 75: 50,000 + 10,000 images of 32x32x3, 10 classes.

    The set is `cifar10_jpeg_q75_60000.tar.xz`, or what it unpacks to in a folder `cifar10-jpeg`.
    Classes are numbered as in CIFAR-10 (both go by the alphabet). Say "JPEG" beside every figure
    made from it.

    Raises `Refusal` where it is missing, damaged, or not the one whose sum is known.
    """
    path = find("cifar10-jpeg", CIFAR10_JPEG, data_dir, "copy it there")
    path = path.parent if path.is_dir() else path
    files = read_files(path)
    check_sum(b"".join(str(name).encode() + files[name] for name in files), CIFAR10_JPEG_SUM, path)
    return _dataset("cifar10-jpeg", files, None, 0)


def load_nmnist(data_dir: Path | None) -> Dataset:
    """Load N-MNIST as counts of events: 60,000 + 10,000 of 34x34x6, 10 classes.

    The set is `Train.zip` and `Test.zip` beside each other, or the folders they unpack to. Takes 6
    gigabytes of memory. Raises `Refusal` where a part is missing or damaged.

    Source: G. Orchard et al., Converting Static Image Datasets to Spiking Neuromorphic Datasets
    Using Saccades, 2015.
    """
    remedy = "get it with `python -m model data get nmnist`"
    files: Files = {}
    for part in ("Train", "Test"):
        path = find("nmnist", (part, f"{part}.zip"), data_dir, remedy)
        found = _in_folder(path) if path.is_dir() else read_zip(path)
        for name, content in found.items():
            if name.suffix == ".bin":
                files[PurePosixPath(part.lower(), *name.parts[-2:])] = content
    return _dataset("nmnist", files, None, 0)


def load_folder(
    path: Path, test_fraction: float | None, seed: int, view: View | None = None
) -> Dataset:
    """Load a user's folder, tar file or table of images, or of recordings.

    Laid out as `train/<class>/<image>` and `test/<class>/<image>`; or as `<class>/<image>`, then a
    stratified share is held out. Classes are numbered by the alphabet, or by number where all
    their names are numbers. All images are of one size, in 8-bit grey (L) or colour (RGB).
    Files outside class folders (a README) and hidden files are left alone. A table (.csv) names
    each file and its class (`model.data.listed`).

    The order is one image of each class in turn, so the first samples of the set are of all
    classes alike.

    Raises `Refusal` where the layout is another, or for the first image that cannot be read.
    """
    return _dataset(str(path), read_files(path), test_fraction, seed, view)


def read_files(path: Path) -> Files:
    """Return the content of all files in class folders, in the order of their paths."""
    if path.suffix == ".csv":
        return read_listed(path)
    packed = read_zip if path.suffix == ".zip" else read_archive
    files = _in_folder(path) if path.is_dir() else packed(path)
    files = {name: files[name] for name in files if name.parts and not _hidden(name)}
    files = {_lowered(name): files[name] for name in files}
    tops = {name.parts[0] for name in files}
    if len(tops) == 1 and not tops & PARTS:  # packed together with the folder that holds it all
        files = {_lowered(PurePosixPath(*n.parts[1:])): files[n] for n in files if n.parts[1:]}
    return {name: files[name] for name in sorted(files) if len(name.parts) > 1}


def _in_folder(path: Path) -> Files:
    names = [found.relative_to(path) for found in path.rglob("*") if found.is_file()]
    return {PurePosixPath(name): read(path / name) for name in names}


def _lowered(path: PurePosixPath) -> PurePosixPath:
    """N-MNIST calls its parts Train and Test."""
    top, *rest = path.parts
    return PurePosixPath(top.lower(), *rest) if top.lower() in PARTS else path


def _hidden(path: PurePosixPath) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _dataset(
    name: str, files: Files, test_fraction: float | None, seed: int, view: View | None = None
) -> Dataset:
    brings_test = _brings_test(name, files)
    if brings_test and test_fraction is not None:
        raise Refusal(f"{name} brings its own test samples; leave the test fraction out")
    numbers = _numbers(files)
    order = _in_turn(files, numbers)
    if all(path.suffix in SUFFIXES for path in order):
        x, note = count_recordings(name, order, files, view or View()), ""
    else:
        x, note = _decode(name, order, files)
    y = np.array([numbers[path.parent.name] for path in order])
    if brings_test:
        of_test = np.array([path.parts[0] == "test" for path in order])
        train, test = np.flatnonzero(~of_test), np.flatnonzero(of_test)
    else:
        train, test = stratified_split(y, test_fraction, seed, name)
    return Dataset(name, x[train], y[train], x[test], y[test], len(numbers), note)


def _brings_test(name: str, files: Files) -> bool:
    """Tell which of the two layouts a set has; refuse any other."""
    if not files:
        raise Refusal(f"{name} holds no files in class folders; {LAYOUT}")
    parts = {path.parts[0] for path in files} & PARTS
    if len(parts) == 1:
        raise Refusal(f"{name} holds {parts.pop()}/ alone; give both train/ and test/, or neither")
    for path in files:
        if len(path.parts) != (3 if parts else 2) or (parts and path.parts[0] not in parts):
            raise Refusal(f"{name}: {path} is not where an image belongs; {LAYOUT}")
    classes = {part: {path.parts[1] for path in files if path.parts[0] == part} for part in parts}
    untaught = sorted(classes["test"] - classes["train"]) if parts else []
    if untaught:
        raise Refusal(
            f"{name}: class {untaught[0]} has images in test/ but none in train/; add some"
        )
    return bool(parts)


def _numbers(files: Files) -> dict[str, int]:
    """Number the classes."""
    names = {path.parent.name for path in files}
    numeric = all(name.isdecimal() and len(name) < MOST_DIGITS for name in names)
    ordered = sorted(names, key=lambda name: (int(name), name)) if numeric else sorted(names)
    return {name: number for number, name in enumerate(ordered)}


def _in_turn(files: Files, numbers: dict[str, int]) -> list[PurePosixPath]:
    """Order the images: the first of each class, then the second of each, and so on."""
    ranks = {}
    seen: Counter[PurePosixPath] = Counter()
    for path in files:
        ranks[path] = seen[path.parent]
        seen[path.parent] += 1
    return sorted(files, key=lambda path: (ranks[path], numbers[path.parent.name]))


def _decode(name: str, order: list[PurePosixPath], files: Files) -> tuple[NDArray[np.uint8], str]:
    """Return the images as (N, H, W, C), and the note that lossy ones need."""
    console = Console(stderr=True)
    images: list[NDArray[np.uint8]] = []
    formats = set()
    for path in track(order, f"decoding {name}", console=console, disable=not console.is_terminal):
        pixels, format_ = _pixels(files[path], f"{name}: {path}")
        if images and pixels.shape != images[0].shape:
            raise Refusal(
                f"{name}: {path} is {pixels.shape}, but {order[0]} is {images[0].shape}; give all "
                f"images the same size and mode"
            )
        if not images:
            check_fits(2 * len(order) * pixels.size, name)  # by itself, then beside the others
        images.append(pixels)
        formats.add(format_)
    x = np.stack(images)
    return x.reshape(*x.shape[:3], -1), "JPEG" if "JPEG" in formats else ""


def _pixels(content: bytes, source: str) -> tuple[NDArray[np.uint8], str | None]:
    """Decode an image: its levels, (H, W) or (H, W, C), and the name of its format."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes, which are looked at here
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                size, mode, format_ = image.size, image.mode, image.format
                good = mode in ("L", "RGB") and max(size) <= MOST_SIDE
                pixels = np.asarray(image) if good else np.empty(0, np.uint8)
    except Exception as error:  # a damaged image can raise anything
        raise Refusal(f"{source} is no image that can be read; mend or remove it") from error
    if mode not in ("L", "RGB"):
        raise Refusal(f"{source} is of mode {mode}; convert it to 8-bit grey (L) or colour (RGB)")
    if max(size) > MOST_SIDE:
        raise Refusal(
            f"{source} is {size[0]} x {size[1]}, more than the {MOST_SIDE} x {MOST_SIDE} that a "
            f"chip takes; make it smaller"
        )
    return pixels, format_

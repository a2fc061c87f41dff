"""Image sets as an emulated event camera records them, kept in the user's cache folder."""

import hashlib
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from model.cache import cache_folder
from model.contract.artifact import writing
from model.data.dataset import Dataset
from model.sensor import camera

CHUNK_PICTURES = 250

LUMA = (77, 150, 29)
"""Parts of 256 of red, green and blue in the grey of a colour image (ITU-R BT.601)."""


def emulated(source: Dataset, name: str) -> Dataset:
    """The recordings of every image of a set, as counts of events.

    The samples are (H + 6, W + 6, 6) uint8: events a pixel, in each of three saccades the darker
    and then the brighter ones. Made once, with progress on standard error; the cache knows the
    images and the emulator by their sums. The note says "emulated".
    """
    path = cache_folder() / "emulated" / f"{name}-{_sum(source)}.npz"
    kept = _kept(path)
    if kept is None:
        kept = _counts(name, source.x_train), _counts(name, source.x_test)
        with writing(path) as file:
            np.savez_compressed(file, train=kept[0], test=kept[1])
    train, test = kept
    note = ", ".join(filter(None, (source.note, "emulated")))
    return Dataset(name, train, source.y_train, test, source.y_test, source.classes, note)


def grey(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, H, W) grey levels of (N, H, W, C) images; of two or four channels, their mean."""
    channels = images.shape[3]
    if channels == 3:
        return (images @ np.array(LUMA, np.uint16) >> 8).astype(np.uint8)
    return (images.sum(axis=3) // channels).astype(np.uint8)


def _counts(name: str, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    pictures = grey(images)
    starts = range(0, len(pictures), CHUNK_PICTURES)
    # Compiled loops let go of the interpreter: threads share the images.
    made: Iterator[NDArray[np.uint8]] = Parallel(-1, prefer="threads", return_as="generator")(
        delayed(camera.counts)(pictures[start : start + CHUNK_PICTURES], start) for start in starts
    )
    console = Console(stderr=True)
    hidden = not console.is_terminal
    shown = track(made, f"emulating {name}", len(starts), console=console, disable=hidden)
    return np.concatenate(list(shown))


def _kept(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]] | None:
    """What the cache holds; a damaged file is as none."""
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            return file["train"], file["test"]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error):
        return None


def _sum(source: Dataset) -> str:
    """Sum over the images and the emulator's own source: either changed, made anew."""
    digest = hashlib.sha256(Path(camera.__file__).read_bytes())
    digest.update(source.sha256.encode())
    return digest.hexdigest()[:16]

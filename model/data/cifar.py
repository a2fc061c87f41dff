"""CIFAR-10 as published: python batches, in their folder or packed."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.contract.refusal import Refusal, reason
from model.data.archive import read_archive
from model.data.dataset import Dataset
from model.data.places import find, read
from model.data.sums import check_sum

FOLDER = "cifar-10-batches-py"
ARCHIVE = "cifar-10-python.tar.gz"
SUMS = {
    "data_batch_1": "md5:c99cafc152244af753f735de768cd75f",
    "data_batch_2": "md5:d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "md5:54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "md5:634d18415352ddfa80567beed471001a",
    "data_batch_5": "md5:482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "md5:40351d587109b95175f43aff81a1287e",
}
"""Sums of the batches as published (torchvision checks the same); the test samples come last."""

REMEDY = "get it with `python -m model data get cifar10`"


def load_cifar10(data_dir: Path | None) -> Dataset:
    """Load CIFAR-10: 50,000 + 10,000 images of 32x32 in red, green, blue, 10 classes.

    Raises `Refusal` where a batch is missing, damaged, or not the published one.

    Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
    """
    path = find("cifar10", (FOLDER, ARCHIVE), data_dir, REMEDY)
    batches = _unpack(path)
    images, labels = [], []
    for name, expected in SUMS.items():
        source = path / name
        if name not in batches:
            raise Refusal(f"{source} is missing; {REMEDY}")
        check_sum(batches[name], expected, source)
        x, y = read_batch(batches[name], source)
        images.append(x)
        labels.append(y)
    return Dataset(
        "cifar10",
        np.concatenate(images[:-1]),
        np.concatenate(labels[:-1]),
        images[-1],
        labels[-1],
        classes=10,
    )


def _unpack(path: Path) -> dict[str, bytes]:
    """Return the batches in a folder or archive by name."""
    if path.is_dir():
        return {name: read(path / name) for name in SUMS if (path / name).exists()}
    files = read_archive(path)
    return {file.name: files[file] for file in files if file.name in SUMS}


def read_batch(content: bytes, source: object) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Decode a batch: (N, 32, 32, 3) images and (N,) labels.

    A batch is a pickled dictionary; `data` holds (N, 3072) uint8, an image a row, its red, green
    and blue planes in turn, and `labels` a list of N class numbers.

    Raises `Refusal` where the content is anything else, or asks for anything that no batch needs.
    """
    try:
        batch = _BatchUnpickler(io.BytesIO(content), encoding="bytes").load()
        data, labels = batch[b"data"], np.array(batch[b"labels"], np.int64)
        x = data.reshape(len(labels), 3, 32, 32).transpose(0, 2, 3, 1)
    except _Forbidden as error:
        raise Refusal(
            f"{source} asks for {reason(error)}, which no CIFAR-10 batch needs; do not trust it"
        ) from error
    except Exception as error:  # a damaged pickle can raise anything
        raise Refusal(f"{source} is no CIFAR-10 python batch; download it again") from error
    return np.ascontiguousarray(x), labels


_ADMITTED: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    # The batches name numpy's old module; its function is at hand without importing that.
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
}


class _Forbidden(Exception):
    """Name of something a pickle may not ask for."""


class _BatchUnpickler(pickle.Unpickler):
    """Admits the three names by which a numpy array is pickled, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what an admitted name stands for."""
        if (module, name) not in _ADMITTED:
            raise _Forbidden(f"{module}.{name}")
        return _ADMITTED[module, name]

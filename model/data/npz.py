"""The .npz file: a user's own arrays."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.contract.refusal import Refusal
from model.data.arrays import read_arrays
from model.data.dataset import Dataset, checked
from model.data.split import stratified_split

KEYS = {"x", "y", "x_test", "y_test", "classes"}


def load_npz(path: Path, test_fraction: float | None, seed: int) -> Dataset:
    """Load a user's set.

    The file holds `x` (N, H, W) or (N, H, W, C) uint8 and `y` (N,) integers; may hold `x_test`
    and `y_test` of the same kind, else a stratified share is held out; may hold `classes`, a
    single integer. Without `classes` every class from 0 to the highest label must occur, because
    a gap is nearly always a numbering from 1 or a stray label.

    Raises
    ------
    Refusal
        Where the file is damaged, holds pickled objects, other arrays than these, or arrays that
        `Dataset` refuses; or where a test fraction is given beside test samples.
    """
    arrays = _read(path)
    source = str(path)
    x, y = checked(_get(arrays, "x", path), _get(arrays, "y", path), source, "x", "y")
    if {"x_test", "y_test"} & arrays.keys():
        if test_fraction is not None:
            raise Refusal(f"{path} brings its own test samples; leave the test fraction out")
        x_test, y_test = checked(
            _get(arrays, "x_test", path), _get(arrays, "y_test", path), source, "x_test", "y_test"
        )
    else:
        train, test = stratified_split(y, test_fraction, seed, source)
        x, y, x_test, y_test = x[train], y[train], x[test], y[test]
    labels = np.union1d(y, y_test)
    classes = _classes(arrays["classes"], path) if "classes" in arrays else _count(labels, path)
    return Dataset(source, x, y, x_test, y_test, classes)


def _read(path: Path) -> dict[str, NDArray[Any]]:
    arrays = read_arrays(path, "save it again with numpy.savez")
    unknown = sorted(arrays.keys() - KEYS)
    if unknown:
        raise Refusal(
            f"{path} holds {', '.join(unknown)}, which a data set has no use for; name its arrays "
            f"x, y and, where there are, x_test, y_test, classes"
        )
    return arrays


def _get(arrays: dict[str, NDArray[Any]], name: str, path: Path) -> NDArray[Any]:
    if name not in arrays:
        raise Refusal(
            f"{path} holds no array {name}; save x and y, and x_test only together with y_test"
        )
    return arrays[name]


def _classes(value: NDArray[Any], path: Path) -> int:
    if value.dtype.kind not in "iu" or value.size != 1:
        raise Refusal(
            f"{path}: classes must be one integer, not {value.dtype} {value.shape}; "
            f"give the number of classes"
        )
    return int(value.item())


def _count(labels: NDArray[np.int64], path: Path) -> int:
    gaps = np.flatnonzero(labels != np.arange(len(labels)))
    if gaps.size:
        raise Refusal(
            f"{path}: no sample has label {gaps[0]}, but some have {labels[-1]}; number the "
            f"classes 0, 1, 2, ... without a gap, or add an integer `classes` to the file"
        )
    return len(labels)

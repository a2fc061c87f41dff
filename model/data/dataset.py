"""The data set: images and labels to learn from and to be tested on."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.contract.refusal import Refusal


@dataclass(frozen=True, eq=False)
class Dataset:
    """Samples to learn from and samples to be tested on.

    Parameters
    ----------
    name
        Name of the set, or path of the user's file; refusals begin with it.
    x_train, x_test
        (N, H, W, C) uint8 grey or colour levels; (N, H, W) is taken as one channel.
    y_train, y_test
        (N,) int64 class numbers 0..classes-1; other integer types are converted.
    classes
        Number of classes, at least 2.
    note
        What must be said beside every figure made from the set, such as "JPEG"; may be empty.

    Raises
    ------
    Refusal
        Where an array has another type or shape, is empty, or holds a label out of range.
    """

    name: str
    x_train: NDArray[np.uint8]
    y_train: NDArray[np.int64]
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    classes: int
    note: str = ""

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x_name, y_name = f"x_{part}", f"y_{part}"
            x, y = checked(getattr(self, x_name), getattr(self, y_name), self.name, x_name, y_name)
            if y.max() >= self.classes:
                raise Refusal(
                    f"{self.name}: {y_name} holds label {y.max()}, but there are {self.classes} "
                    f"classes; number them 0..{self.classes - 1}"
                )
            object.__setattr__(self, x_name, x)
            object.__setattr__(self, y_name, y)
        if self.classes < 2:
            raise Refusal(f"{self.name}: all labels are 0; give samples of two classes or more")
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            raise Refusal(
                f"{self.name}: training images are {self.x_train.shape[1:]}, test images "
                f"{self.x_test.shape[1:]} (H, W, C); give both the same size"
            )

    @cached_property
    def sha256(self) -> str:
        """Sum over shapes and contents of x_train, y_train, x_test, y_test, in this order."""
        digest = hashlib.sha256()
        for array in (self.x_train, self.y_train, self.x_test, self.y_test):
            digest.update(repr(array.shape).encode())
            # One byte order on every machine.
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
        return digest.hexdigest()


def checked(
    x: NDArray[Any], y: NDArray[Any], source: str, x_name: str, y_name: str
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images as (N, H, W, C) uint8 and labels as (N,) int64, or refuse them.

    `source` is where they come from and `x_name`, `y_name` what they are called there.
    """
    if x.dtype != np.uint8:
        raise Refusal(
            f"{source}: {x_name} must be uint8 levels 0..255, not {x.dtype}; convert it first"
        )
    if x.ndim not in (3, 4):
        raise Refusal(
            f"{source}: {x_name} must be (N, H, W) or (N, H, W, C), not {x.shape}; reshape it first"
        )
    if y.dtype.kind not in "iu":
        raise Refusal(f"{source}: {y_name} must be integers, not {y.dtype}; give class numbers")
    if y.ndim != 1:
        raise Refusal(f"{source}: {y_name} must be (N,), not {y.shape}; give one label a sample")
    if len(x) != len(y):
        raise Refusal(
            f"{source}: {x_name} holds {len(x)} samples but {y_name} {len(y)} labels; "
            f"give one label a sample"
        )
    if x.size == 0:
        raise Refusal(f"{source}: {x_name} is empty, {x.shape}; give one sample or more")
    if y.min() < 0:
        raise Refusal(
            f"{source}: {y_name} holds label {y.min()}; number the classes from 0 upwards"
        )
    return x.reshape(*x.shape[:3], -1), y.astype(np.int64)

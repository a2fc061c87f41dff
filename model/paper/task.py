"""Tasks: what a network is to learn, as float arrays."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model import data
from model.contract.refusal import Refusal
from model.paper.stream import Purpose, stream

CIFAR_MEAN = (
    np.array([125.3, 123.0, 113.9], np.float32) / 255
)  # of the training set, red, green, blue
CIFAR_SPREAD = np.array([63.0, 62.1, 66.7], np.float32) / 255

INPUTS, OUTPUTS = 256, 10  # of both synthetic tasks


@dataclass(frozen=True, eq=False)
class Task:
    """Inputs and targets.

    `x_*`: (N, I) vectors or (N, H, W, C) images, float32; `target_*`: (N, C) one-hot labels, or the
    C functions of a regression; `note`: what must be said beside every figure made from it.
    """

    name: str
    x_train: NDArray[np.float32]
    target_train: NDArray[np.float32]
    x_test: NDArray[np.float32]
    target_test: NDArray[np.float32]
    classifies: bool = True
    note: str = ""

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            x, target = getattr(self, f"x_{part}"), getattr(self, f"target_{part}")
            if len(x) != len(target) or target.ndim != 2 or len(x) == 0:
                raise Refusal(
                    f"{self.name}: {len(x)} {part} examples with targets {target.shape}; "
                    f"give a row of targets to each example"
                )

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.x_train.shape[1:]

    @property
    def outputs(self) -> int:
        """Number of outputs C."""
        return self.target_train.shape[1]


def load(name: str, data_dir: Path | None = None) -> Task:
    """Return a task by name: regression, synthetic, or any data set `model.data` can load.

    Raises `Refusal` where the data cannot be had.
    """
    if name == "regression":
        return cosines()
    if name == "synthetic":
        return clusters()
    return of_images(data.load(name, data_dir=data_dir))


def of_images(loaded: data.Dataset) -> Task:
    """Return the task of telling a data set's classes apart.

    Grey levels become value / 255; CIFAR-10's channels are brought to mean 0 and spread 1 with the
    constants of its training set.
    """
    standard = loaded.name in ("cifar10", "cifar10-jpeg")
    return Task(
        loaded.name,
        _pixels(loaded.x_train, standard),
        one_hot(loaded.y_train, loaded.classes),
        _pixels(loaded.x_test, standard),
        one_hot(loaded.y_test, loaded.classes),
        note=loaded.note,
    )


def _pixels(codes: NDArray[np.uint8], standard: bool) -> NDArray[np.float32]:
    """Grey levels as numbers from 0 to 1, or about 0 with spread 1 by channel."""
    values = codes.astype(np.float32)
    values /= 255
    if standard:
        values -= CIFAR_MEAN
        values /= CIFAR_SPREAD
    return values


def cosines(train: int = 5000, test: int = 1000) -> Task:
    """Return the regression task: ten cosines of the mean of a 256-vector (section 2.1.1).

    T_j(x) = cos(mean(x) + phi_j), phi_j = -pi/2 + j pi/9; the entries of x are normal with variance
    1 about a mean drawn uniformly from [-pi, pi].
    """
    rng = stream(0, Purpose.TASK)
    centre = rng.uniform(-math.pi, math.pi, (train + test, 1))
    x = (centre + rng.standard_normal((train + test, INPUTS))).astype(np.float32)
    phase = -math.pi / 2 + np.arange(OUTPUTS) * math.pi / 9
    target = np.cos(x.mean(axis=1, dtype=np.float64, keepdims=True) + phase).astype(np.float32)
    return Task(
        "regression", x[:train], target[:train], x[train:], target[train:], classifies=False
    )


def clusters(train: int = 25000, test: int = 5000) -> Task:
    """Return the synthetic classification task (section 2.1.2), by scikit-learn.

    256 features, 128 of them informative, ten classes of five clusters, separation 4.5.
    """
    from sklearn.datasets import make_classification  # a second to import

    x, labels = make_classification(
        n_samples=train + test,
        n_features=INPUTS,
        n_informative=INPUTS // 2,
        n_redundant=0,
        n_classes=OUTPUTS,
        n_clusters_per_class=5,
        class_sep=4.5,
        scale=np.ones(INPUTS),
        random_state=0,
    )
    x, target = x.astype(np.float32), one_hot(labels, OUTPUTS)
    return Task("synthetic", x[:train], target[:train], x[train:], target[train:])


def one_hot(labels: NDArray[np.integer], classes: int) -> NDArray[np.float32]:
    """Return the target vectors y*, (N,) -> (N, C)."""
    return np.eye(classes, dtype=np.float32)[labels]

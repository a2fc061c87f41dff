"""Watchers: what the paper's analyses note while a network learns.

Each is called with every `Step` and appends to the run's `series`, so that a checkpoint carries it.
"""

from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from model.paper.algorithm import signals
from model.paper.backend import Array, fetch
from model.paper.training import Step

MOMENTUM = 0.95  # of the paper's smoothing of angles
BINS = 50
BATCHES, EXAMPLES = 100, 100  # activations are gathered over so many batches, so many of each


@dataclass(frozen=True)
class Angles:
    """Angle between BP's signal and the algorithm's, in degrees, for each hidden layer that learns.

    Noted at every `every`-th update as the mean over the examples of the batch (the theorem speaks
    of single examples; the paper does not say how it gathers a batch). `of` is "dz", the modulatory
    signal, or "dy", the estimated loss gradient. An example whose signal is 0 has no angle and is
    left out; a batch of such is noted as None. Series: `angle1`, `angle2`, ...
    """

    every: int = 1
    of: str = "dz"

    def __call__(self, step: Step) -> None:
        """Note the angles of one update."""
        if step.number % self.every:
            return
        told = signals("bp", step.run.network, step.activities, step.target)
        theirs, ours = getattr(told, self.of), getattr(step.signals, self.of)
        for layer, (one, other) in enumerate(zip(theirs[:-1], ours[:-1], strict=True), 1):
            if one is not None and other is not None:
                found = angles(one, other)
                mean = float(found.mean()) if len(found) else None
                step.run.series.setdefault(f"angle{layer}", []).append(mean)


def angles(one: Array, other: Array) -> NDArray[np.float64]:
    """Return the angle in degrees between corresponding examples of two (N, ...) signals.

    Examples where either is 0 are left out.
    """
    xp = array_namespace(one)
    a, b = (xp.reshape(signal, (signal.shape[0], -1)) for signal in (one, other))
    squares = [fetch(xp.sum(p * q, axis=1)).astype(np.float64) for p, q in ((a, b), (a, a), (b, b))]
    dot, size = squares[0], np.sqrt(squares[1]) * np.sqrt(squares[2])
    there = size > 0
    return np.degrees(np.arccos(np.clip(dot[there] / size[there], -1.0, 1.0)))


def smooth(values: list[float | None], momentum: float = MOMENTUM) -> list[float | None]:
    """Return the exponentially-weighted moving average, s <- momentum s + (1 - momentum) value.

    It starts at the first value; a missing value leaves the average as it is.
    """
    average: float | None = None
    smoothed = []
    for value in values:
        if average is None:
            average = value
        elif value is not None:
            average = momentum * average + (1 - momentum) * value
        smoothed.append(average)
    return smoothed


@dataclass(frozen=True)
class Activations:
    """Distribution of the hidden activations over the first hundred batches of each epoch.

    Series `activations1`, `activations2`, ...: one list of `BINS` counts over [-1, 1] an epoch, of
    up to a hundred examples of each batch; only tanh and sigmoid stay within the range.
    """

    def __call__(self, step: Step) -> None:
        """Add one batch to the epoch's histogram."""
        if step.batch > BATCHES:
            return
        for layer, activity in enumerate(step.activities[:-1], 1):
            values = fetch(activity.y[:EXAMPLES, ...])
            counts, _ = np.histogram(values, bins=BINS, range=(-1.0, 1.0))
            epochs = step.run.series.setdefault(f"activations{layer}", [])
            if step.batch == 1:
                epochs.append([0] * BINS)
            epochs[-1] = [int(sum(pair)) for pair in zip(epochs[-1], counts, strict=True)]

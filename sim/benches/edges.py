"""Vectors at every threshold of a chip and beside it: what `>=` made `>` would change.

A chip of one place, whose host writes weights so that sums, potentials and scores are what is asked
for: zero (rectification, sign), the gate's threshold on both sides, the ends of features,
activations and scores, the error's threshold on both sides, kernels that inhibit each other to just
nothing, classes that tie.
"""

import numpy as np

from model.arith import Words
from model.contract.choices import Activation, Conv, Gate, Hidden, Learning, Readout
from model.contract.config import ChipConfig
from model.sensor.image import sample_words
from model.state import State, fresh

GATE = 64  #: threshold of the hidden layer's gate
LOUD = 48  #: threshold of the error under dfa
CLASSES, NEURONS = 8, 16
SLOWEST = 7  #: rate step: learning hardly moves what the host wrote


Levels = tuple[int, int, int, int]
"""Of the channels of the one place."""


def chip(rule: str, gate: Gate, activation: Activation, inhibition: int | None) -> ChipConfig:
    """A chip with nothing in the way of its thresholds: no shifts, learning that changes little."""
    sign = activation is Activation.SIGN
    return ChipConfig(
        name="edges",
        height=1,
        width=1,
        channels=4,
        pixel_bits=8,
        weight_bits=9,
        lanes=4,
        conv=(Conv(2, 1, feature_bits=8, inhibition=inhibition, lanes=2),),
        hidden=(Hidden(NEURONS, 0, rate_shift=12, threshold=GATE, activation=activation),),
        readout=Readout(CLASSES, shift=0 if sign else 7, rate_shift=13),
        learning=Learning(
            gate=gate, density=CLASSES, error_threshold=LOUD, schedule=(0, SLOWEST), lfsr_bits=24
        ),
    ).with_rule(rule)


def beside(*edges: int) -> list[int]:
    """Each edge, one less and one more."""
    return [edge + step for edge in edges for step in (-1, 0, 1)]


def sums() -> list[int]:
    """Weights of the first feature, so sums where that is one."""
    return [*beside(GATE, -GATE, 0, 127, -127), GATE // 2]


def scores(config: ChipConfig) -> list[int]:
    """Scores of the classes where nothing fires: errors at the threshold, small and great."""
    loud = config.error_threshold
    return [*beside(loud), *(255 - score for score in beside(loud)), 128, 128]


def state(config: ChipConfig) -> State:
    """The weights that make sums and scores so."""
    found = fresh(config, 0)
    kernels = [[1, 0, -1, 2], [-1, 1, 0, 0]]
    found.banks["conv1.kernels"][:] = np.reshape(kernels, found.banks["conv1.kernels"].shape)
    found.banks["hidden1.weights"][:] = [sums(), [0] * NEURONS]
    found.banks["readout.weights"][:] = 0
    codes = np.arange(config.weight.low, config.weight.high + 1)
    shown = (codes * config.bias_code >> config.readout.shift) + 128
    found.banks["readout.weights"][-1] = [
        codes[np.argmin(np.abs(shown - score))] for score in scores(config)
    ]
    return found


def samples(config: ChipConfig) -> list[Words]:
    """Levels of the four channels, each for one label or for all of them."""
    silent, dim = (0, 0, 0, 0), (1, 1, 0, 0)  # dim: the first feature is one, the second nothing
    labels = range(CLASSES)
    given: list[tuple[Levels, int]] = [(silent, label) for label in (3, 4, 5, 0, 7)] + [
        (dim, label) for label in labels
    ]
    given += [((level, level, 0, 0), 0) for level in (2, 3, 4)]
    given += [((5, 5, 5 - potential, 0), 1) for potential in beside(0)]
    given += [((5, 5 + potential, 0, 0), 2) for potential in beside(0)]
    pairs = ((10, 9), (10, 10), (10, 11), (1, 1), (0, 1), (2, 1), (1, 3))
    given += [((left, left + right, 0, 0), 3) for left, right in pairs]
    given += [(_alone(potential), 4) for potential in beside(255, 509, 511)]
    return [
        sample_words(
            config, np.reshape(np.array(levels, np.uint8), (1, 1, 4)), label, True, SLOWEST
        )
        for levels, label in given
    ]


def _alone(potential: int) -> Levels:
    """Levels that give the first kernel a potential and the second none."""
    double = (potential - 1) // 2
    level = potential - 2 * double
    return (level, level, 0, double)

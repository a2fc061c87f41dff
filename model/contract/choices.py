"""What a chip's designer chooses: rules, stages, and how they learn. The fields of a TOML file."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from model.contract.refusal import Refusal, guess, shown


class Rule(StrEnum):
    """How the layers learn."""

    NONE = "none"  #: inference only: the learning hardware is absent
    SHALLOW = "shallow"  #: the readout alone learns
    DRTP = "drtp"  #: hidden layers follow a fixed random vector that the label selects
    SDFA = "sdfa"  #: hidden layers follow a fixed projection of the error's sign
    DFA = "dfa"  #: hidden layers follow a fixed projection of the ternary error


RULES = ("none", "shallow", "drtp", "drtp-scaled", "sdfa", "dfa")
"""Rules as commands and tables name them: all of `Rule`, and drtp scaled by the label's error."""

BANKS = ("gabor", "gabor-opponent", "random")
"""Kernels that the kit draws itself; any other bank is the path of a file."""

SETTINGS = {
    "hidden": ("shift", "rate_shift", "threshold", "spread"),
    "readout": ("shift", "rate_shift"),
    "learning": ("gate", "density", "error_shift", "error_threshold", "schedule", "lfsr_bits"),
}
"""Fields that each rule may choose for itself, by the part that has them."""

Settings = dict[str, dict[str, Any]]
"""What a rule chooses: part ("hidden1", "hidden2", "readout", "learning") -> field -> value."""


class Coding(StrEnum):
    """What an event is worth."""

    FIRST_SPIKE = (
        "first_spike"  #: the earlier, the more: a pixel fires once, the brighter the sooner
    )
    COUNT = "count"  #: one, whenever it comes: potentials count the events of a window


class Pooling(StrEnum):
    """How rectified potentials of a pooling cell become one feature."""

    AVERAGE = "average"  #: their sum (the division is part of the feature shift)
    MAX = "max"  #: their maximum


class Activation(StrEnum):
    """Saturating activation of a hidden neuron."""

    TANH = "tanh"  #: hard tanh: shift, then saturate
    SIGN = "sign"  #: +1 from zero upwards, -1 below: the next layer adds and subtracts


class Gate(StrEnum):
    """Derivative of the activation, as a gate on the modulation."""

    BOX = "box"  #: closed where the pre-activation is saturated on either side
    ONE_SIDED = "one_sided"  #: closed where it is saturated on the side it is driven to


@dataclass(frozen=True)
class Conv:
    """One convolution stage: `kernels` K of `size` R x R, rectified, pooled, quantised."""

    kernels: int
    size: int
    padding: int = 0
    pool: int = 1
    pooling: Pooling = Pooling.AVERAGE
    shift: int = 0  #: feature = pooled >> shift, saturated
    kernel_bits: int = 8  #: 2 makes kernels ternary: additions only
    feature_bits: int = 8
    inhibition: int | None = None  #: each kernel loses (sum of its place >> inhibition); or none
    bank: str = "gabor"  #: one of `BANKS`, or the path of an .npy file of (K, C, R, R) codes
    lanes: int | None = None  #: kernels a memory word; the chip's lanes unless chosen
    places: int = 1  #: places of the map that are worked on in a cycle, each in a bank of its own


@dataclass(frozen=True)
class Hidden:
    """One hidden layer of `neurons` J."""

    neurons: int
    shift: int  #: activation = pre-activation >> shift, saturated
    rate_shift: int  #: learning rate 2**-rate_shift
    threshold: int  #: pre-activation from which the gate calls a neuron saturated
    activation: Activation = Activation.TANH
    spread: int = 10  #: initial weights are uniform in -spread..spread
    lanes: int | None = None  #: neurons a memory word; the chip's lanes unless chosen


@dataclass(frozen=True)
class Readout:
    """The output layer, one neuron a class."""

    classes: int
    shift: int  #: score = (pre-activation >> shift) + 128, saturated: a hard sigmoid
    rate_shift: int  #: learning rate 2**-rate_shift
    lanes: int | None = None  #: classes a memory word; the chip's lanes unless chosen


@dataclass(frozen=True)
class Learning:
    """How the chip learns, and what each rule may choose."""

    rule: Rule = Rule.DRTP
    gate: Gate = Gate.ONE_SIDED
    density: int = 4  #: labels per neuron whose modulation is not zero; all classes: dense
    error_scaled: bool = False  #: drtp only: scale the modulation by the label's own error
    error_shift: int = 6  #: of the scaled modulation
    error_threshold: int = 48  #: dfa: errors below it in magnitude count as zero
    schedule: tuple[int, ...] = (0, 1, 1, 2, 3)  #: added to all rate shifts, in equal parts of fit
    lfsr_bits: int = 16


def one_of(kind: type[StrEnum], value: Any, where: str) -> Any:
    """The member of a set of choices by its name. Raises `Refusal` with all names."""
    try:
        return kind(value)
    except (ValueError, TypeError):
        names = ", ".join(kind)
        raise Refusal(
            f"{where} must be one of {names}, not {shown(value)}{guess(value, kind)}"
        ) from None

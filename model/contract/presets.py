"""Chips by name, and how each learns under each rule.

Shifts, thresholds, densities and gates were chosen on training images alone: on the last 10,000 of
MNIST's for the 28 x 28 chips, of its emulated recordings for the 34 x 34 ones, on a quarter held
out of the training part for the digits.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model.contract.choices import (
    RULES,
    Activation,
    Coding,
    Conv,
    Gate,
    Hidden,
    Learning,
    Pooling,
    Readout,
    Settings,
)
from model.contract.config import ChipConfig
from model.contract.reading import from_toml
from model.contract.refusal import Refusal, guess, note


def _settings(
    shift: int,
    rate_shift: int,
    threshold: int,
    spread: int,
    readout: tuple[int, int],
    **learning: Any,
) -> Settings:
    """What a rule asks of a chip of one hidden layer; `readout` are its shift and rate shift."""
    return {
        "hidden1": {
            "shift": shift,
            "rate_shift": rate_shift,
            "threshold": threshold,
            "spread": spread,
        },
        "readout": {"shift": readout[0], "rate_shift": readout[1]},
        "learning": learning,
    }


BOX = {"gate": Gate.BOX, "density": 10}


def tiny() -> ChipConfig:
    """Seconds on every rung: two neuron groups, padded class groups, padded kernel lanes."""
    return ChipConfig(
        name="tiny",
        height=8,
        width=8,
        pixel_bits=4,
        conv=(Conv(kernels=6, size=3, pool=2, shift=6, places=2),),
        hidden=(Hidden(neurons=16, shift=3, rate_shift=6, threshold=1 << 9),),
        readout=Readout(classes=10, shift=8, rate_shift=11),
        lanes=4,
    )


def digits() -> ChipConfig:
    """The embedded default: scikit-learn's 8 x 8 digits."""
    return ChipConfig(
        name="digits",
        height=8,
        width=8,
        conv=(Conv(kernels=8, size=3, padding=1, pool=2, shift=10),),
        hidden=(Hidden(neurons=64, shift=3, rate_shift=6, threshold=1 << 9, spread=20),),
        readout=Readout(classes=10, shift=9, rate_shift=11),
        learning=Learning(density=5),
        lanes=8,
        rules={
            "shallow": _settings(6, 6, 1 << 9, 10, (7, 10), **BOX),
            "dfa": _settings(7, 6, 1 << 12, 30, (8, 10), density=4, error_threshold=64),
        },
    )


def spoon() -> ChipConfig:
    """The processor at full size: 28 x 28 input, 10 kernels 5 x 5, 360-128-10, 8-bit weights.

    Its kernels inhibit each other.
    """
    return ChipConfig(
        name="spoon",
        height=28,
        width=28,
        conv=(Conv(kernels=10, size=5, pool=4, shift=11, inhibition=2, places=2),),
        hidden=(Hidden(neurons=128, shift=3, rate_shift=6, threshold=1 << 10),),
        readout=Readout(classes=10, shift=10, rate_shift=13, lanes=2),
        rules={
            "shallow": _settings(7, 6, 1 << 10, 20, (7, 11)),
            "drtp-scaled": _settings(4, 6, 1 << 10, 5, (10, 13), error_shift=5),
            "sdfa": _settings(0, 5, 1 << 14, 10, (9, 11), gate=Gate.BOX, density=5),
            "dfa": _settings(
                *(7, 7, 1 << 14, 5, (8, 13)), gate=Gate.BOX, density=4, error_threshold=64
            ),
        },
    )


def spoon_plain() -> ChipConfig:
    """The same without inhibition, as it was first."""
    return dataclasses.replace(
        spoon(),
        name="spoon-plain",
        conv=(Conv(kernels=10, size=5, pool=4, shift=12, places=2),),
        hidden=(Hidden(neurons=128, shift=2, rate_shift=6, threshold=1 << 9),),
        rules={
            "shallow": _settings(6, 6, 1 << 9, 5, (8, 12), **BOX),
            "drtp-scaled": _settings(6, 8, 1 << 15, 25, (9, 13), **BOX),
            "sdfa": _settings(5, 10, 1 << 14, 10, (10, 12), **BOX),
            "dfa": _settings(3, 8, 1 << 15, 10, (11, 12), **BOX),
        },
    )


FASHION = Learning(schedule=(0, 1, 3, 5, 7), lfsr_bits=24)
"""Rates that fall further, chosen on the last 10,000 training images of Fashion-MNIST."""


def spoon_fashion() -> ChipConfig:
    """The plain processor for Fashion-MNIST: inhibition gains nothing on maps of 6 x 6."""
    return dataclasses.replace(
        spoon_plain(),
        name="spoon-fashion",
        hidden=(Hidden(neurons=128, shift=4, rate_shift=6, threshold=1 << 11),),
        learning=FASHION,
    )


def _fashion(name: str, neurons: int, shift: int, threshold: int) -> ChipConfig:
    """Maps of 8 x 8 for Fashion-MNIST: 640 features."""
    return dataclasses.replace(
        spoon(),
        name=name,
        conv=(Conv(kernels=10, size=5, pool=3, shift=10, inhibition=2, places=2),),
        hidden=(Hidden(neurons=neurons, shift=shift, rate_shift=6, threshold=threshold),),
        learning=FASHION,
    )


def spoon_canonical() -> ChipConfig:
    """Without inhibition, under DRTP as published: dense B, the derivative as the gate."""
    return dataclasses.replace(
        spoon_plain(),
        name="spoon-canonical",
        hidden=(Hidden(neurons=128, shift=6, rate_shift=6, threshold=11 << 10),),
        learning=Learning(gate=Gate.BOX, density=10),
    )


def spoon_random() -> ChipConfig:
    """Without inhibition, with seeded random kernels: it gains nothing on them."""
    (conv,) = spoon_plain().conv
    return dataclasses.replace(
        spoon_plain(), name="spoon-random", conv=(dataclasses.replace(conv, bank="random"),)
    )


def spoon_lite() -> ChipConfig:
    """2-bit pixels, ternary kernels, sign-only hidden layer.

    Convolution and readout add and subtract; only the hidden layer multiplies, features by weights.
    """
    return ChipConfig(
        name="spoon-lite",
        height=28,
        width=28,
        pixel_bits=2,
        conv=(Conv(kernels=10, size=5, pool=4, shift=0, kernel_bits=2),),
        hidden=(
            Hidden(
                neurons=128,
                shift=0,
                rate_shift=5,
                threshold=1 << 10,
                activation=Activation.SIGN,
            ),
        ),
        readout=Readout(classes=10, shift=2, rate_shift=7, lanes=2),
        rules={
            "drtp-scaled": _settings(0, 5, 1 << 10, 20, (2, 8)),
            "sdfa": _settings(0, 7, 1 << 14, 10, (2, 6), **BOX),
            "dfa": _settings(0, 7, 1 << 15, 20, (3, 8), **BOX, error_threshold=64),
        },
    )


def _fully_connected(name: str, neurons: int, layers: int) -> ChipConfig:
    first = Hidden(neurons=neurons, shift=5, rate_shift=6, threshold=1 << 12)
    second = Hidden(neurons=neurons, shift=4, rate_shift=7, threshold=1 << 14)
    return ChipConfig(
        name=name,
        height=28,
        width=28,
        hidden=(first, second)[:layers],
        readout=Readout(classes=10, shift=10, rate_shift=13),
        lanes=20,
    )


def conv_mnist() -> ChipConfig:
    """The paper's CONV network for MNIST: 32 kernels 5 x 5, padding 2, 1000 hidden."""
    return ChipConfig(
        name="conv-mnist",
        height=28,
        width=28,
        conv=(
            Conv(
                kernels=32,
                size=5,
                padding=2,
                pool=2,
                pooling=Pooling.MAX,
                shift=9,
                bank="random",
            ),
        ),
        hidden=(Hidden(neurons=1000, shift=7, rate_shift=6, threshold=1 << 14),),
        readout=Readout(classes=10, shift=11, rate_shift=13),
        lanes=20,
    )


def _conv_cifar(name: str, kernels: tuple[int, int], neurons: int) -> ChipConfig:
    """The paper's CONV network for CIFAR-10: two stages of kernels 3 x 3, two hidden layers."""
    first, second = kernels
    return ChipConfig(
        name=name,
        height=32,
        width=32,
        channels=3,
        conv=(
            Conv(
                kernels=first,
                size=3,
                padding=1,
                pool=2,
                pooling=Pooling.MAX,
                shift=9,
                bank="random",
            ),
            Conv(
                kernels=second,
                size=3,
                padding=1,
                pool=2,
                pooling=Pooling.MAX,
                shift=8,
                bank="random",
            ),
        ),
        hidden=(
            Hidden(neurons=neurons, shift=10, rate_shift=7, threshold=1 << 16),
            Hidden(neurons=neurons, shift=4, rate_shift=7, threshold=1 << 14),
        ),
        readout=Readout(classes=10, shift=11, rate_shift=13),
        lanes=20,
    )


def _nmnist(name: str, windows: int) -> ChipConfig:
    """Recordings of N-MNIST's camera: a window a saccade, darker against brighter, counted."""
    return ChipConfig(
        name=name,
        height=34,
        width=34,
        channels=2,
        pixel_bits=4,
        coding=Coding.COUNT,
        windows=windows,
        conv=(Conv(kernels=10, size=5, pool=5, shift=6, inhibition=2, bank="gabor-opponent"),),
        hidden=(Hidden(neurons=128, shift=3, rate_shift=6, threshold=1 << 10),),
        readout=Readout(classes=10, shift=10, rate_shift=13),
    )


PRESETS: dict[str, Callable[[], ChipConfig]] = {
    "tiny": tiny,
    "digits": digits,
    "spoon": spoon,
    "spoon-plain": spoon_plain,
    "spoon-canonical": spoon_canonical,
    "spoon-random": spoon_random,
    "spoon-fashion": spoon_fashion,
    "spoon-lite": spoon_lite,
    "fashion-128": lambda: _fashion("fashion-128", 128, 3, 1 << 10),
    "fashion-256": lambda: _fashion("fashion-256", 256, 4, 1 << 11),
    "fc1-500": lambda: _fully_connected("fc1-500", 500, layers=1),
    "fc1-1000": lambda: _fully_connected("fc1-1000", 1000, layers=1),
    "fc2-500": lambda: _fully_connected("fc2-500", 500, layers=2),
    "fc2-1000": lambda: _fully_connected("fc2-1000", 1000, layers=2),
    "fc2-narrow": lambda: _fully_connected("fc2-narrow", 60, layers=2),
    "conv-mnist": conv_mnist,
    "conv-cifar": lambda: _conv_cifar("conv-cifar", (64, 256), 1000),
    "nmnist": lambda: _nmnist("nmnist", windows=1),
    "nmnist-3": lambda: _nmnist("nmnist-3", windows=3),
    "conv-cifar-narrow": lambda: _conv_cifar("conv-cifar-narrow", (8, 20), 40),
}


DATA_SETS = (
    *("digits", "mnist", "fashion-mnist", "cifar10", "cifar10-jpeg", "nmnist"),
    *("nmnist-emulated", "fashion-mnist-emulated", "cifar10-emulated", "cifar10-jpeg-emulated"),
    "digits-emulated",
)
"""Data sets by name; `model.data` loads them."""

DATA_OF_SIZE = {
    (8, 8, 1): "digits",
    (28, 28, 1): "mnist",
    (32, 32, 3): "cifar10",
    (34, 34, 2): "nmnist-emulated",
}
DATA_OF_NAME = {"spoon-fashion": "fashion-mnist"}


def data_for(config: ChipConfig) -> str:
    """The data set that a chip takes where none is named: that of its size.

    Raises `Refusal` where there is none.
    """
    size = (config.height, config.width, config.channels)
    name = DATA_OF_NAME.get(config.name, DATA_OF_SIZE.get(size))
    if name is None:
        raise Refusal(
            f"no data set has the size of the chip {config.name}, {size[0]} x {size[1]} x "
            f"{size[2]}; name yours with --data"
        )
    return name


def preset(name: str, rule: str | None = None) -> ChipConfig:
    """The preset of that name; with a rule, under that rule and with its settings if it has any.

    Raises `Refusal` where there is no such preset or rule.
    """
    if name not in PRESETS:
        raise Refusal(
            f"there is no preset {name!r}; there are {', '.join(PRESETS)}{guess(name, PRESETS)}"
        )
    config = PRESETS[name]()
    return config if rule is None else config.with_rule(rule)


def chosen(name: str | None, file: Path | None, rule: str | None) -> ChipConfig:
    """The chip that a command's --preset, --config and --rule ask for; digits if neither does.

    Says so where the rule has no settings of its own on that chip. Raises `Refusal` where both or
    something unknown or impossible is asked for.
    """
    if name is not None and file is not None:
        raise Refusal("--preset and --config both name a chip; give one of them")
    config = preset(name or "digits") if file is None else from_toml(file)
    if rule is None:
        return config
    if rule in RULES and not config.has_settings(rule):
        note(borrowing(config, [rule]))
    return config.with_rule(rule)


def borrowing(config: ChipConfig, rules: list[str]) -> str:
    """What to tell of rules without settings of their own."""
    return (
        f"the chip {config.name} has no settings for {', '.join(rules)}, so it takes those of "
        f"{config.rule_name}; give each its own in [rules.{rules[0]}] and the like"
    )

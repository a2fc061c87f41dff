"""Chips by name."""

from collections.abc import Callable
from pathlib import Path

from model.contract.config import (
    Activation,
    ChipConfig,
    Conv,
    Hidden,
    Learning,
    Pooling,
    Readout,
    from_toml,
)
from model.contract.refusal import Refusal


def tiny() -> ChipConfig:
    """Seconds on every rung: two neuron groups, padded class groups, padded kernel lanes."""
    return ChipConfig(
        name="tiny",
        height=8,
        width=8,
        pixel_bits=4,
        conv=(Conv(kernels=6, size=3, pool=2, shift=6),),
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
        conv=(Conv(kernels=8, size=3, padding=1, pool=2, shift=7),),
        hidden=(Hidden(neurons=64, shift=3, rate_shift=6, threshold=1 << 10),),
        readout=Readout(classes=10, shift=9, rate_shift=12),
        lanes=8,
    )


def spoon() -> ChipConfig:
    """The processor at full size: 28 x 28 input, 10 kernels 5 x 5, 360-128-10, 8-bit weights."""
    return ChipConfig(
        name="spoon",
        height=28,
        width=28,
        conv=(Conv(kernels=10, size=5, pool=4, shift=9),),
        hidden=(Hidden(neurons=128, shift=3, rate_shift=6, threshold=1 << 10),),
        readout=Readout(classes=10, shift=10, rate_shift=13),
    )


def spoon_lite() -> ChipConfig:
    """No multiplier in the forward path: 2-bit pixels, ternary kernels, sign-only hidden layer."""
    return ChipConfig(
        name="spoon-lite",
        height=28,
        width=28,
        pixel_bits=2,
        conv=(Conv(kernels=10, size=5, pool=4, shift=0, kernel_bits=2),),
        hidden=(
            Hidden(
                neurons=128,
                shift=3,
                rate_shift=6,
                threshold=1 << 10,
                activation=Activation.SIGN,
            ),
        ),
        readout=Readout(classes=10, shift=3, rate_shift=6),
    )


def _fully_connected(name: str, layers: int, neurons: int) -> ChipConfig:
    return ChipConfig(
        name=name,
        height=28,
        width=28,
        hidden=(Hidden(neurons=neurons, shift=6, rate_shift=7, threshold=1 << 13),) * layers,
        readout=Readout(classes=10, shift=10, rate_shift=13),
        learning=Learning(),
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
                shift=8,
                bank="random",
            ),
        ),
        hidden=(Hidden(neurons=1000, shift=7, rate_shift=6, threshold=1 << 14),),
        readout=Readout(classes=10, shift=12, rate_shift=13),
        lanes=20,
    )


def conv_cifar() -> ChipConfig:
    """The paper's CONV network for CIFAR-10: 64 and 256 kernels 3 x 3, two hidden layers."""
    return ChipConfig(
        name="conv-cifar",
        height=32,
        width=32,
        channels=3,
        conv=(
            Conv(
                kernels=64,
                size=3,
                padding=1,
                pool=2,
                pooling=Pooling.MAX,
                shift=8,
                bank="random",
            ),
            Conv(
                kernels=256,
                size=3,
                padding=1,
                pool=2,
                pooling=Pooling.MAX,
                shift=10,
                bank="random",
            ),
        ),
        hidden=(
            Hidden(neurons=1000, shift=8, rate_shift=7, threshold=1 << 15),
            Hidden(neurons=1000, shift=6, rate_shift=8, threshold=1 << 13),
        ),
        readout=Readout(classes=10, shift=12, rate_shift=13),
        lanes=20,
    )


PRESETS: dict[str, Callable[[], ChipConfig]] = {
    "tiny": tiny,
    "digits": digits,
    "spoon": spoon,
    "spoon-lite": spoon_lite,
    "fc1-500": lambda: _fully_connected("fc1-500", 1, 500),
    "fc1-1000": lambda: _fully_connected("fc1-1000", 1, 1000),
    "fc2-500": lambda: _fully_connected("fc2-500", 2, 500),
    "fc2-1000": lambda: _fully_connected("fc2-1000", 2, 1000),
    "conv-mnist": conv_mnist,
    "conv-cifar": conv_cifar,
}


RULES = ("none", "shallow", "drtp", "drtp-scaled", "sdfa", "dfa")
"""Rules as commands name them: those of the configuration, and drtp scaled by the label's error."""


def preset(name: str, rule: str | None = None) -> ChipConfig:
    """The preset of that name, under another rule if one is given.

    Raises `Refusal` where there is no such preset or rule.
    """
    if name not in PRESETS:
        raise Refusal(f"there is no preset {name!r}; there are {', '.join(PRESETS)}")
    config = PRESETS[name]()
    return config if rule is None else config.with_rule(rule)


def chosen(name: str | None, file: Path | None, rule: str | None) -> ChipConfig:
    """The chip that a command's --preset, --config and --rule ask for; digits if neither does.

    Raises `Refusal` where both or something unknown or impossible is asked for.
    """
    if name is not None and file is not None:
        raise Refusal("--preset and --config both name a chip; give one of them")
    if file is None:
        return preset(name or "digits", rule)
    config = from_toml(file)
    return config if rule is None else config.with_rule(rule)


def rule_name(config: ChipConfig) -> str:
    """The chip's rule as commands name it."""
    return config.learning.rule + ("-scaled" if config.learning.error_scaled else "")

"""Networks by name or by string.

A topology is the hidden layers joined by dashes; the output layer, one unit a class, is implied:

    fc500-fc500                  two fully-connected layers
    conv32k5s1p2-fc1000          32 trained 5x5 kernels, stride 1, padding 2, max-pool, 1000
    randconv32k5s1p2-fc1000      the same with fixed random kernels

Stride and padding may be left out (`conv32k5`: stride 1, padding 0). Each convolution is followed
by its activation and a 2x2 max-pool of stride 2. Names of the paper: fc1-N and fc2-N (one or two
layers of N units), conv-random and conv-trained (of MNIST or CIFAR-10, chosen by the image size).
"""

import re
from dataclasses import dataclass

from model.contract.refusal import Refusal

FORMS = "fc1-N, fc2-N, conv-random, conv-trained, or layers such as fc500 and conv32k5s1p2"
CONVOLUTIONS = {
    "mnist": "conv32k5s1p2-fc1000",
    "cifar10": "conv64k3s1p1-conv256k3s1p1-fc1000-fc1000",
}


@dataclass(frozen=True)
class FullyConnected:
    """A hidden layer of `units` fully-connected neurons."""

    units: int


@dataclass(frozen=True)
class Convolution:
    """A layer of `kernels` square kernels, trained or fixed, then a 2x2 max-pool."""

    kernels: int
    size: int
    stride: int
    padding: int
    trained: bool


Part = FullyConnected | Convolution

_CONV = re.compile(r"(rand)?conv([1-9]\d*)k([1-9]\d*)(?:s([1-9]\d*))?(?:p(\d+))?")
_FC = re.compile(r"fc([1-9]\d*)")
_NAMED = re.compile(r"fc([12])-([1-9]\d*)")


def parse(network: str, colours: int = 1) -> tuple[Part, ...]:
    """Return the hidden layers of `network`, for images of so many channels.

    Raises `Refusal` for a name or a layer that does not exist, and for a convolution that follows a
    fully-connected layer.
    """
    parts = tuple(_part(word, network) for word in _spell_out(network, colours).split("-"))
    kinds = [isinstance(part, Convolution) for part in parts]
    if kinds != sorted(kinds, reverse=True):
        raise Refusal(
            f"network {network!r} has a convolution after a fully-connected layer; "
            f"put the convolutions first"
        )
    return parts


def family(network: str) -> str:
    """Return the column of the paper's Table 3 that fits: fc1, fc2, conv-random or conv-trained."""
    parts = parse(network)
    kernels = [part.trained for part in parts if isinstance(part, Convolution)]
    if kernels:
        return "conv-trained" if any(kernels) else "conv-random"
    return "fc1" if len(parts) == 1 else "fc2"


def _spell_out(network: str, colours: int) -> str:
    named = _NAMED.fullmatch(network)
    if named:
        return "-".join([f"fc{named[2]}"] * int(named[1]))
    if network in ("conv-random", "conv-trained"):
        plain = CONVOLUTIONS["mnist" if colours == 1 else "cifar10"]
        return plain.replace("conv", "randconv") if network == "conv-random" else plain
    return network


def _part(word: str, network: str) -> Part:
    if fc := _FC.fullmatch(word):
        return FullyConnected(int(fc[1]))
    if conv := _CONV.fullmatch(word):
        fixed, kernels, size, stride, padding = conv.groups()
        return Convolution(
            int(kernels), int(size), int(stride or 1), int(padding or 0), fixed is None
        )
    raise Refusal(f"network {network!r} has no layer {word!r} to build; write {FORMS}")

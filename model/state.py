"""What a chip remembers between samples: host banks and LFSR states, fresh from a seed."""

import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.arith import Codes
from model.contract.choices import Rule
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.registers import learning_layers
from model.contract.storage import host_banks
from model.kernels import kernels


@dataclass
class State:
    """Contents of the host banks by name, in logical shapes, and of the LFSRs by layer.

    Kernels are (K, C, R, R), weights (I, J), modulation (labels, J) for drtp and (J, labels) for
    sdfa and dfa. Equality is bit for bit.
    """

    banks: dict[str, Codes]
    lfsrs: dict[str, int]

    def copy(self) -> "State":
        """A copy that shares nothing."""
        return State({name: bank.copy() for name, bank in self.banks.items()}, dict(self.lfsrs))

    @property
    def weights(self) -> dict[str, Codes]:
        """The weights alone, by layer."""
        return {
            name.removesuffix(".weights"): bank
            for name, bank in self.banks.items()
            if name.endswith(".weights")
        }

    @property
    def weights_sha256(self) -> str:
        """SHA-256 of all weights, whoever holds them: the same for model and hardware.

        Layers in order of name (hidden1, hidden2, readout), in a layer input by input (the
        readout's bias last) and neuron by neuron, each code as 16 bits, two's complement, low
        byte first.
        """
        digest = hashlib.sha256()
        for _, codes in sorted(self.weights.items()):
            digest.update(np.ascontiguousarray(codes, dtype="<i2").data)
        return digest.hexdigest()

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The state as named arrays for an .npz file: int16 banks, int64 LFSR states."""
        banks = {f"{name}.bank": codes.astype(np.int16) for name, codes in self.banks.items()}
        lfsrs = {f"{name}.lfsr": np.array(state, np.int64) for name, state in self.lfsrs.items()}
        return banks | lfsrs

    @classmethod
    def from_arrays(cls, config: ChipConfig, arrays: Mapping[str, NDArray[Any]]) -> "State":
        """The state that `to_arrays` wrote.

        Raises `Refusal` where an array of the chip is missing, or has another shape or type, or a
        code out of range.
        """
        codes = {bank.name: bank.code.span for bank in host_banks(config)}
        banks = {
            name: _checked(arrays, f"{name}.bank", shape, codes[name]).astype(np.int64)
            for name, shape in bank_shapes(config).items()
        }
        states = range(1, 1 << config.learning.lfsr_bits)
        lfsrs = {
            name: int(_checked(arrays, f"{name}.lfsr", (), states))
            for name in learning_layers(config)
        }
        return cls(banks, lfsrs)


def _checked(
    arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...], span: range
) -> NDArray[Any]:
    if name not in arrays:
        raise Refusal(f"the state of the chip lacks the array {name}")
    array = arrays[name]
    if array.shape != shape or array.dtype.kind not in "iu":
        raise Refusal(f"{name} must be {shape} integers, not {array.shape} {array.dtype}")
    if array.min() < span[0] or array.max() > span[-1]:
        raise Refusal(f"{name} must lie in {span[0]}..{span[-1]}, not {array.min()}..{array.max()}")
    return array


def bank_shapes(config: ChipConfig) -> dict[str, tuple[int, ...]]:
    """Logical shape of every host bank by name, in the order of the stages."""
    found: dict[str, tuple[int, ...]] = {}
    for stage, conv in zip(config.conv, config.conv_shapes, strict=True):
        taps = (conv.channels, stage.size, stage.size)
        found[f"{conv.name}.kernels"] = (stage.kernels, *taps)
    labels = config.readout.classes
    for layer in config.layer_shapes:
        found[f"{layer.name}.weights"] = (layer.inputs, layer.outputs)
        if layer.learns and layer.name != "readout":
            selected = config.learning.rule is Rule.DRTP
            shape = (labels, layer.outputs) if selected else (layer.outputs, labels)
            found[f"{layer.name}.modulation"] = shape
    return found


def fresh(config: ChipConfig, seed: int) -> State:
    """The state before learning: kernels, random hidden weights, readout of zeros, B, seeds.

    Every bank has a random stream of its own, so that changing one leaves the others alone.
    """

    def stream(name: str) -> np.random.Generator:
        return np.random.default_rng([seed, zlib.crc32(name.encode())])

    banks: dict[str, Codes] = {}
    for stage, shape in zip(config.conv, config.conv_shapes, strict=True):
        name = f"{shape.name}.kernels"
        banks[name] = kernels(stage, shape, stream(name))
    for number, layer in enumerate(config.layer_shapes):
        name = f"{layer.name}.weights"
        spread = config.hidden[number].spread if number < len(config.hidden) else 0
        banks[name] = stream(name).integers(-spread, spread + 1, (layer.inputs, layer.outputs))
        if number < len(config.hidden) and layer.learns:
            name = f"{layer.name}.modulation"
            banks[name] = _projection(config, layer.outputs, stream(name))
    bits = config.learning.lfsr_bits
    seeds = {
        name: int(stream(f"{name}.lfsr").integers(1, 1 << bits)) for name in learning_layers(config)
    }
    return State(banks, seeds)


def _projection(config: ChipConfig, neurons: int, rng: np.random.Generator) -> Codes:
    """B: for every neuron `density` labels of +1 or -1, the others zero."""
    labels = config.readout.classes
    chosen = rng.permuted(np.tile(np.arange(labels), (neurons, 1)), axis=1)
    signs = rng.choice(np.array([-1, 1]), (neurons, labels))
    projection = np.where(chosen < config.learning.density, signs, 0)
    return projection.T.copy() if config.learning.rule is Rule.DRTP else projection

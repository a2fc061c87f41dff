"""What a chip remembers between samples: host banks and LFSR states, fresh from a seed."""

import zlib
from dataclasses import dataclass

import numpy as np

from model.arith import Codes
from model.contract.config import ChipConfig, Rule
from model.contract.registers import learning_layers
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


def fresh(config: ChipConfig, seed: int) -> State:
    """The state before learning: kernels, random hidden weights, readout of zeros, B, seeds.

    Every bank has a random stream of its own, so that changing one leaves the others alone.
    """

    def stream(name: str) -> np.random.Generator:
        return np.random.default_rng([seed, zlib.crc32(name.encode())])

    banks: dict[str, Codes] = {}
    for number, (stage, shape) in enumerate(zip(config.conv, config.conv_shapes, strict=True)):
        name = f"conv{number + 1}.kernels"
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
        name: int(stream(f"{name}.lfsr").integers(1, 1 << bits))
        for name in learning_layers(config)
    }
    return State(banks, seeds)


def _projection(config: ChipConfig, neurons: int, rng: np.random.Generator) -> Codes:
    """B: for every neuron `density` labels of +1 or -1, the others zero."""
    labels = config.readout.classes
    chosen = rng.permuted(np.tile(np.arange(labels), (neurons, 1)), axis=1)
    signs = rng.choice(np.array([-1, 1]), (neurons, labels))
    projection = np.where(chosen < config.learning.density, signs, 0)
    return projection.T.copy() if config.learning.rule is Rule.DRTP else projection

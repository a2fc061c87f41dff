"""The chip in real numbers: each of its approximations can be kept or taken away.

Numbers are measured in units of the chip's codes, so that weights, kernels and B are those of the
chip, and a rate shift k is a learning rate of 2**-k. With every approximation kept, the float chip
*is* the chip, bit for bit; with none, it is stochastic gradient descent in floating point, one
sample at a time, on the same network.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.arith import Codes
from model.contract import noise
from model.contract.choices import RULES, Activation, Coding, Gate, Pooling, Rule
from model.contract.config import ChipConfig
from model.contract.formats import Rounding
from model.contract.refusal import Refusal
from model.contract.shapes import SCALED_MODULATION, SCORE
from model.fast.engine import FastChip
from model.float_chip import loops
from model.float_chip.loops import Floats, Layers, Maps, Memory, Rules, Samples
from model.lfsr import neuron_masks
from model.sensor.image import pixel_codes, windows_apart
from model.state import State, fresh

ALGORITHMS = ("bp", *(rule for rule in RULES if rule != "none"))
"""How the float chip can learn: back-propagation, and every rule of the chip."""

CHUNK = 1024  #: samples that go through the real convolutions together

_ROUNDINGS = {
    None: loops.REAL,
    Rounding.NEAREST: loops.NEAREST,
    Rounding.STOCHASTIC: loops.STOCHASTIC,
}


@dataclass(frozen=True)
class Kept:
    """Which of the chip's approximations are kept."""

    pixels: bool = True  #: pixels are cut to the chip's pixel bits
    features: bool = True  #: features are codes that saturate
    activations: bool = True  #: activations and scores, and so errors, are codes
    errors: bool = True  #: dfa: errors are ternary; drtp-scaled: modulations are codes
    weights: bool = True  #: weights are codes that saturate
    rounding: Rounding = Rounding.STOCHASTIC  #: of updates and modulations: not `FLOOR`
    shared_lfsr: bool = True  #: random numbers are the chip's; else each update draws its own


CHIP = Kept()
REAL = Kept(pixels=False, features=False, activations=False, errors=False, weights=False)


@dataclass(frozen=True)
class Items:
    """What reaches the first layer: the items of sample s are `lengths[s]` from `starts[s]`.

    Index it like an array to choose and order samples, as `model.fast.engine.Features`.
    """

    places: NDArray[np.int32]
    values: NDArray[np.float32]
    starts: Codes  #: (n,)
    lengths: Codes  #: (n,)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, samples: slice | NDArray[np.integer]) -> "Items":
        return Items(self.places, self.values, self.starts[samples], self.lengths[samples])

    def dense(self, places: int) -> Floats:
        """All values, (n, places), zeros included."""
        found = np.zeros((len(self.starts), places))
        for row, start, length in zip(found, self.starts, self.lengths, strict=True):
            item = slice(start, start + length)
            row[self.places[item]] = self.values[item]
        return found


def under(config: ChipConfig, algorithm: str) -> ChipConfig:
    """The chip with the settings of an algorithm. Raises `Refusal` for an unknown one."""
    if algorithm not in ALGORITHMS:
        raise Refusal(f"there is no algorithm {algorithm!r}; there are {', '.join(ALGORITHMS)}")
    return config.with_rule("none" if algorithm == "bp" else algorithm)


def start(config: ChipConfig, algorithm: str, seed: int) -> tuple[ChipConfig, State]:
    """Chip and state from which `algorithm` starts: kernels, first weights and B of the chip.

    Raises `Refusal` for an unknown algorithm.
    """
    config = under(config, algorithm)
    return config, fresh(config, seed)


class FloatChip:
    """A chip of real numbers in operation: takes images, changes its weights as it learns.

    Parameters: `state`, where it starts; `kept`, its approximations; `back_propagates`, whether
    all layers learn by the chain rule instead of the chip's rule, with the exact derivative of the
    activation as the gate; it wants `calibrate` first. The error is the chip's under every
    algorithm, target minus score. Where all is kept it equals `model.fast.engine.FastChip`.
    """

    def __init__(
        self, config: ChipConfig, state: State, kept: Kept = REAL, *, back_propagates: bool = False
    ) -> None:
        if back_propagates and kept.weights:
            raise ValueError("back-propagation has no integer rule: its weights are real")
        self.config = config
        self.kept = kept
        self._state = state
        self._rules = _rules(config, kept, back_propagates)
        self._layers = _layers(config, back_propagates)
        self._memory = _memory(config, state)

    @property
    def weights(self) -> dict[str, Floats]:
        """Weights by layer, (I, J)."""
        ends = np.cumsum([shape.inputs * shape.outputs for shape in self.config.layer_shapes])
        return {
            shape.name: block.reshape(shape.inputs, shape.outputs)
            for shape, block in zip(
                self.config.layer_shapes, np.split(self._memory.weights, ends[:-1]), strict=True
            )
        }

    def calibrate(self, items: Items) -> None:
        """Scale back-propagation by the first samples, since the chip's shifts are not made for it.

        Twice the root mean square of a hidden layer's sums saturates its activation, which leaves
        neurons a derivative to learn by (Y. LeCun et al., "Efficient BackProp", 1998, section 4).
        The readout learns at its own rate, every other layer at the same rate relative to the mean
        square length of its inputs (J. Nagumo and A. Noda, 1967: normalised LMS).
        """
        layers = self._layers
        shape = self.config.layer_shapes[0]
        inputs = items[:CHUNK].dense(shape.inputs)
        lengths = []
        for number, weights in enumerate(list(self.weights.values())[:-1]):
            lengths.append((inputs**2).sum(axis=1).mean())
            sums = inputs @ weights
            layers.threshold[number] = max(1.0, 2 * np.sqrt((sums**2).mean()))
            layers.step[number] = layers.high[number] / layers.threshold[number]
            inputs = np.clip(sums * layers.step[number], -layers.high[number], layers.high[number])
        last = (inputs**2).sum(axis=1).mean()
        layers.rate[:-1] = layers.rate[-1] * last / np.maximum(lengths, 1.0)

    def features(self, images: NDArray[np.uint8]) -> Items:
        """The fixed stages: items of (n, H, W, C) images."""
        if self.kept.pixels and self.kept.features:
            codes = FastChip(self.config, self._state).features(images)
            values = codes.codes.astype(np.float32)
            return Items(codes.places, values, codes.starts, codes.lengths)
        parts = [
            _listed(self._convolve(images[start : start + CHUNK]))
            for start in range(0, len(images), CHUNK)
        ]
        places, values, lengths = (np.concatenate(part) for part in zip(*parts, strict=True))
        return Items(places, values, np.cumsum(lengths) - lengths, lengths)

    def run_features(
        self, items: Items, labels: ArrayLike, rates: ArrayLike, learn: bool
    ) -> tuple[Codes, Floats]:
        """Samples from their items to their classes (n,) and scores (n, classes).

        Parameters: `labels` and `rates` (the step of the rate schedule), one a sample.
        """
        count = len(items)
        samples = Samples(
            *(items.places, items.values, items.starts, items.lengths),
            np.asarray(labels, np.int64),
            np.asarray(rates, np.int64),
            np.full(count, learn),
        )
        classes = np.empty(count, np.int64)
        scores = np.empty((count, self.config.readout.classes))
        loops.run(self._rules, self._layers, self._memory, samples, classes, scores)
        return classes, scores

    def _convolve(self, images: NDArray[np.uint8]) -> Maps:
        """Features, or pixels where there is no convolution: (n, H, W, C)."""
        config = self.config
        if self.kept.pixels:
            maps = pixel_codes(config, images).astype(np.float32)
        else:
            bits = 8 if config.coding is Coding.COUNT else config.pixel_bits
            maps = (images * 2.0 ** (bits - 8)).astype(np.float32)
        maps = windows_apart(config, maps)
        for stage, shape in zip(config.conv, config.conv_shapes, strict=True):
            kernels = self._state.banks[f"{shape.name}.kernels"].transpose(1, 2, 3, 0)
            features = np.empty(
                (len(maps), shape.out_height, shape.out_width, shape.kernels), np.float32
            )
            loops.convolve(
                maps,
                np.ascontiguousarray(kernels, np.float32),
                stage.padding,
                stage.pool,
                0.0 if stage.inhibition is None else 0.5**stage.inhibition,
                stage.pooling is Pooling.AVERAGE,
                0.5**stage.shift,
                float(shape.feature.high if self.kept.features else 0),
                features,
            )
            maps = features
        return maps.reshape(len(images), config.windows * maps.shape[1], *maps.shape[2:])


def _listed(maps: Maps) -> tuple[NDArray[np.int32], Maps, Codes]:
    """Values that are not zero of (n, ...) maps, in order of place, and lengths (n,)."""
    flat = maps.reshape(len(maps), -1)
    sample, place = np.nonzero(flat)
    return place.astype(np.int32), flat[sample, place], np.bincount(sample, minlength=len(flat))


def _rules(config: ChipConfig, kept: Kept, back_propagates: bool) -> Rules:
    learning = config.learning
    by_label = loops.LABEL if learning.rule is Rule.DRTP else loops.ERROR
    # dfa's real errors count one at full scale, as its ternary ones do; sdfa knows signs alone.
    ternary = kept.errors or learning.rule is Rule.SDFA
    scaled = 0.5**learning.error_shift if learning.error_scaled else 1 / SCORE.high
    rounding = _ROUNDINGS[kept.rounding]
    return Rules(
        source=loops.CHAIN if back_propagates else by_label,
        error_scaled=learning.error_scaled,
        error_step=scaled,
        error_threshold=float(config.error_threshold if ternary else 0),
        scaled_high=float(SCALED_MODULATION.high),
        one_sided=learning.gate is Gate.ONE_SIDED and not back_propagates,
        bias=float(config.bias_code),
        activation_codes=kept.activations,
        scaled_rounding=rounding if kept.errors else loops.REAL,
        weight_rounding=rounding if kept.weights else loops.REAL,
        weight_high=float(config.weight.high),
        shared_lfsr=kept.shared_lfsr,
        taps=noise.TAPS[learning.lfsr_bits],
    )


def _layers(config: ChipConfig, back_propagates: bool) -> Layers:
    shapes, hidden = config.layer_shapes, config.hidden
    signs = [layer.activation is Activation.SIGN for layer in hidden]
    # Taken as real numbers, a sign is the hard tanh that saturates at the gate's threshold.
    steps = [
        1 / layer.threshold if sign else 0.5**layer.shift
        for layer, sign in zip(hidden, signs, strict=True)
    ]
    sizes = [shape.inputs * shape.outputs for shape in shapes]
    return Layers(
        weights_at=np.cumsum([0, *sizes[:-1]]),
        inputs=np.array([shape.inputs for shape in shapes]),
        neurons=np.array([shape.outputs for shape in shapes]),
        step=np.array([*steps, 0.5**config.readout.shift]),
        high=np.array([float(config.activation(n).high) for n in range(len(hidden))] + [0.0]),
        sign=np.array([*signs, False]),
        threshold=np.array([float(layer.threshold) for layer in hidden] + [0.0]),
        rate=np.array([0.5**shape.rate_shift for shape in shapes]),
        learns=np.array([back_propagates or shape.learns for shape in shapes]),
    )


def _memory(config: ChipConfig, state: State) -> Memory:
    shapes = config.layer_shapes
    widest = max(shape.outputs for shape in shapes)
    projections = np.zeros((len(shapes), config.readout.classes, widest))
    masks = np.zeros((len(shapes), widest), np.int64)
    for number, shape in enumerate(shapes):
        masks[number, : shape.outputs] = neuron_masks(shape.outputs, config.learning.lfsr_bits)
        projection = state.banks.get(f"{shape.name}.modulation")
        if projection is not None:
            by_label = projection if config.learning.rule is Rule.DRTP else projection.T
            projections[number, :, : shape.outputs] = by_label
    weights = [state.banks[f"{shape.name}.weights"].reshape(-1) for shape in shapes]
    lfsrs = [state.lfsrs.get(shape.name, 1) for shape in shapes]
    return Memory(
        np.concatenate(weights).astype(np.float64),
        projections,
        masks,
        np.array(lfsrs, np.int64),
        np.array([lfsrs[-1]], np.uint64),
    )

"""Alignment on the chip: the angle between what its hidden layers learn by and what BP would say.

Learning by random projections works as far as its signals stay within 90 degrees of those of
back-propagation (Frenkel, Lefebvre and Bol, 2021, section 2.1, after Lillicrap et al., 2016).
Measured in real numbers, that is known; here it is measured on the chip, whose signals pass a
gate, whose B is sparse and whose updates are rounded, beside its twin in real numbers.

BP descends the loss whose slope at the readout's sums is the chip's own error, score - target,
through the exact derivative of the hard tanh, on the weights that the chip has at that moment.
"""

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from itertools import product
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE_HEAD
from rich.table import Table

from model import hidden, readout
from model.arith import Codes
from model.contract.choices import Activation, Gate, Hidden, Rule
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.shapes import SCORE
from model.fast.engine import FastChip, Features
from model.float_chip.chip import REAL, FloatChip, Items, start
from model.float_chip.loops import Floats
from model.network import Progress, plan
from model.paper.watcher import angles
from model.study.compare import Spread
from model.study.experiment import Experiment, Samples, named

RULES = ("drtp", "dfa", "sdfa")
MEASURES = ("projection", "signal", "asked", "update")
"""Of what an angle is taken, per sample: what B projects onto a layer, dy; what multiplies its
inputs, dz. Of `TOGETHER` samples: the update that all of them ask for at the weights of the moment,
the sum of y dz^T; the change of the weights when they are learned one after another."""

LOOKS = 12  #: times that angles are taken in training
FIRST_LOOK = 250  #: samples learned at the first of them
PROBED = 500  #: training samples, each with its angle
TOGETHER = 100  #: of these, learned for the angle of an update
OPEN = 1 << 24  #: threshold of a gate that stays open: no sum of trained weights comes near it


@dataclass(frozen=True)
class Variant:
    """A chip to measure: the gate of its rule or none, B as sparse as the preset's or dense."""

    rule: str
    gated: bool
    sparse: bool
    real: bool

    def of(self, config: ChipConfig, epochs: int, seed: int) -> Experiment:
        """The experiment of this variant, with the settings of its rule but for gate and B."""
        given = named(config, self.rule, epochs, seed)
        density = config.learning.density if self.sparse else config.readout.classes
        chip = replace(given.config, learning=replace(given.config.learning, density=density))
        if not self.gated:
            chip = _opened(chip)
        return replace(given, config=chip, kept=REAL if self.real else None)


EITHER = (True, False)
VARIANTS = [Variant(*choice) for choice in product(RULES, EITHER, EITHER, (False, True))]


@dataclass(frozen=True)
class Passage:
    """Samples on their way forward: `inputs` (n, I) and `sums` (n, J) of every layer; `error`."""

    inputs: list[Floats]
    sums: list[Floats]
    error: Floats  #: (n, classes), target - score


@dataclass(frozen=True)
class Course:
    """Angles over one training, in degrees: `angles[measure][layer][look]`, None where no signal.

    `share[look]`: samples whose signals, the chip's and BP's, are not zero in the first layer.
    """

    variant: Variant
    seed: int
    accuracy: float
    angles: dict[str, list[list[float | None]]]
    share: list[float]


@dataclass(frozen=True)
class Alignment:
    """The courses of all variants and seeds; looks are taken after so many samples learned."""

    config: ChipConfig
    looks: list[int]
    seeds: list[int]
    courses: list[Course]

    def of(self, variant: Variant) -> list[Course]:
        """A variant's courses, one a seed."""
        return [course for course in self.courses if course.variant == variant]

    def mean(self, variant: Variant, measure: str, layer: int) -> list[float | None]:
        """Angle at every look, the mean of the seeds that have one."""
        lines = [course.angles[measure][layer] for course in self.of(variant)]
        return [_mean(_there(look)) for look in zip(*lines, strict=True)]

    def figures(self) -> dict[str, Any]:
        """All figures as plain values, for a JSON file."""
        return {
            "preset": self.config.name,
            "config_sha256": self.config.sha256,
            "looks": self.looks,
            "seeds": self.seeds,
            "probed": PROBED,
            "together": TOGETHER,
            "courses": [asdict(course) for course in self.courses],
        }


def align(
    config: ChipConfig,
    samples: Samples,
    *,
    epochs: int,
    seeds: int,
    progress: Progress | None = None,
) -> Alignment:
    """Train every variant from every seed and take its angles on the way.

    Raises `Refusal` where there is no seed, no hidden layer that could learn, or too few samples.
    """
    if seeds < 1:
        raise Refusal(f"seeds must be at least 1, not {seeds}")
    if len(samples.y_train) < PROBED:
        raise Refusal(
            f"angles are taken of {PROBED} training samples, not {len(samples.y_train)}; "
            f"give at least so many"
        )
    looks = _looks(epochs * len(samples.y_train))
    planned = [
        (variant, seed, variant.of(config, epochs, seed))
        for variant, seed in product(VARIANTS, range(seeds))
    ]
    planned.sort(key=lambda point: repr(point[2].front))  # features are computed once a front
    courses: list[Course] = []
    front: Any = None
    for variant, seed, experiment in planned:
        if experiment.front != front:
            front, chip = experiment.front, experiment.chip()
            features = chip.features(samples.x_train), chip.features(samples.x_test)
        courses.append(_course(variant, seed, experiment, features, samples, looks))
        if progress is not None:
            progress(len(courses), len(planned))
    courses.sort(key=lambda course: (VARIANTS.index(course.variant), course.seed))
    return Alignment(config, looks, list(range(seeds)), courses)


def _course(
    variant: Variant,
    seed: int,
    experiment: Experiment,
    features: tuple[Any, Any],
    samples: Samples,
    looks: list[int],
) -> Course:
    config = experiment.config
    chip: Any = experiment.chip()  # either kind, with features of its own kind
    train, test = features
    order, rates = plan(config, len(samples.y_train), experiment.epochs, seed)
    probe = np.arange(PROBED)
    found: dict[str, list[list[float | None]]] = {
        measure: [[] for _ in config.hidden] for measure in MEASURES
    }
    share, learned = [], 0
    for look in looks:
        part = order[learned:look]
        chip.run_features(train[part], samples.y_train[part], rates[learned:look], True)
        learned = look
        seen = measure(chip, experiment, train[probe], samples.y_train[probe], rates[look - 1])
        share.append(len(seen["signal"][0]) / PROBED)
        for name, layers in seen.items():
            for layer, values in enumerate(layers):
                found[name][layer].append(_mean(list(values)))
    nothing = np.zeros(len(samples.y_test), np.int64)
    classes, _ = chip.run_features(test, samples.y_test, nothing, False)
    return Course(variant, seed, float(np.mean(classes == samples.y_test)), found, share)


def measure(
    chip: FastChip | FloatChip,
    experiment: Experiment,
    features: Features | Items,
    labels: Codes,
    rate: int,
) -> dict[str, list[NDArray[np.float64]]]:
    """Angles in degrees by measure and hidden layer, of samples where neither signal is zero.

    `rate`: the step of the schedule at which the update is made, on a copy: `chip` stays as it is.
    """
    config, real = experiment.config, experiment.kept is not None
    weights = weights_of(chip)
    x = dense(features, config.layer_shapes[0].inputs)
    passage = forward(config, weights, x, labels, real)
    before_slope, wanted = back_propagated(config, weights, passage)
    projected = modulations(_opened(config), experiment.seed, passage, labels, real)
    gated = modulations(config, experiment.seed, passage, labels, real)
    sums, changes = _asked(passage, wanted), _changes(chip, features, labels, rate)
    return {
        "projection": [angles(*pair) for pair in zip(projected, before_slope, strict=True)],
        "signal": [angles(*pair) for pair in zip(gated, wanted, strict=True)],
        "asked": _between(_asked(passage, gated), sums),
        "update": _between(changes, sums),
    }


def weights_of(chip: FastChip | FloatChip) -> dict[str, Floats]:
    """Weights by layer in units of codes, (I, J)."""
    if isinstance(chip, FloatChip):
        return chip.weights
    return {name: codes.astype(np.float64) for name, codes in chip.state.weights.items()}


def dense(features: Features | Items, places: int) -> Floats:
    """What reaches the first layer, (n, places), zeros included."""
    values = features.codes if isinstance(features, Features) else features.values
    lists = features.places, values.astype(np.float32), features.starts, features.lengths
    return Items(*lists).dense(places)


def forward(
    config: ChipConfig, weights: dict[str, Floats], x: Floats, labels: Codes, real: bool
) -> Passage:
    """Samples (n, I) through all layers, in the chip's codes or as real numbers."""
    inputs, sums = [x], []
    for number, shape in enumerate(config.layer_shapes):
        sums.append(inputs[-1] @ weights[shape.name])  # exact: codes stay below 2**53
        if number < len(config.hidden):
            inputs.append(_activations(config, number, sums[-1], real))
        if number == len(config.hidden) - 1:  # the bias is the readout's last item
            inputs[-1] = np.pad(inputs[-1], ((0, 0), (0, 1)), constant_values=config.bias_code)
    scores = _scores(config, sums[-1], real)
    target = SCORE.high * np.eye(config.readout.classes)[labels]
    return Passage(inputs, sums, target - scores)


def _activations(config: ChipConfig, number: int, sums: Floats, real: bool) -> Floats:
    layer, to = config.hidden[number], config.activation(number)
    if not real:
        codes = hidden.activate(layer, to, sums.astype(np.int64), Counter())
        return codes.astype(np.float64)
    return np.clip(sums * _step(layer), -to.high, to.high)


def _step(layer: Hidden) -> float:
    """Activation per unit of pre-activation; a sign is the hard tanh that saturates with the gate.

    So the float chip takes it, too.
    """
    sign = layer.activation is Activation.SIGN
    return 1 / layer.threshold if sign else 0.5**layer.shift


def _scores(config: ChipConfig, sums: Floats, real: bool) -> Floats:
    if not real:
        return readout.score(config.readout, sums.astype(np.int64), Counter()).astype(np.float64)
    return np.clip(sums * 0.5**config.readout.shift + (SCORE.high + 1) // 2, 0, SCORE.high)


def back_propagated(
    config: ChipConfig, weights: dict[str, Floats], passage: Passage
) -> tuple[list[Floats], list[Floats]]:
    """Descent directions by the chain rule at the hidden layers' activations and sums, (n, J) each.

    dy_k = dz_(k+1) W_(k+1)^T and dz_k = f'(z_k) dy_k, from dz_K = target - score: the negative
    gradient of the sum over outputs of the integral of (score - target) over the readout's sum.
    """
    dz = passage.error
    at_activations: list[Floats] = []
    at_sums: list[Floats] = []
    for number in reversed(range(len(config.hidden))):
        layer, high = config.hidden[number], config.activation(number).high
        dy = (dz @ weights[config.layer_shapes[number + 1].name].T)[:, : layer.neurons]
        slope = _step(layer) * (np.abs(passage.sums[number]) * _step(layer) < high)
        dz = dy * slope
        at_activations.insert(0, dy)
        at_sums.insert(0, dz)
    return at_activations, at_sums


def modulations(
    config: ChipConfig, seed: int, passage: Passage, labels: Codes, real: bool
) -> list[Floats]:
    """What multiplies the inputs of each hidden layer in an update, (n, J): the chip's dz."""
    _, state = start(config, config.rule_name, seed)
    find = _real_modulation if real else _modulation
    return [
        find(config, layer, state.banks[f"hidden{n}.modulation"], labels, passage.error, sums)
        for n, (layer, sums) in enumerate(zip(config.hidden, passage.sums, strict=False), 1)
    ]


def _modulation(
    config: ChipConfig, layer: Hidden, b: Codes, labels: Codes, error: Floats, sums: Floats
) -> Floats:
    """By the plain engine's own function, sample after sample."""
    unused = np.zeros(layer.neurons, np.int64)  # random numbers, which these rules need not
    pairs = zip(labels, error.astype(np.int64), sums.astype(np.int64), strict=True)
    rows = [hidden.modulate(config, layer, b, int(y), e, z, unused) for y, e, z in pairs]
    return np.array(rows, np.float64)


def _real_modulation(
    config: ChipConfig, layer: Hidden, b: Codes, labels: Codes, error: Floats, sums: Floats
) -> Floats:
    """The same of real errors and sums; dfa's errors are not cut to signs, one is full scale."""
    learning = config.learning
    if learning.rule is Rule.DRTP:
        modulation = b[labels].astype(np.float64)
    else:
        signs = np.sign(error) * (np.abs(error) >= config.error_threshold)
        modulation = (signs if learning.rule is Rule.SDFA else error / SCORE.high) @ b.T
    driven = np.abs(sums) if learning.gate is Gate.BOX else np.sign(modulation) * sums
    return np.where(driven >= layer.threshold, 0, modulation)


def _asked(passage: Passage, signals: list[Floats]) -> list[Floats]:
    """What `TOGETHER` samples ask of the weights (I, J) of each hidden layer."""
    few = slice(0, TOGETHER)
    return [y[few].T @ dz[few] for y, dz in zip(passage.inputs, signals, strict=False)]


def _between(ours: list[Floats], theirs: list[Floats]) -> list[NDArray[np.float64]]:
    """The angle between whole matrices, layer by layer; none where either is zero."""
    pairs = zip(ours, theirs, strict=False)  # the readout's has no other
    return [angles(one.reshape(1, -1), other.reshape(1, -1)) for one, other in pairs]


def _changes(
    chip: FastChip | FloatChip, features: Features | Items, labels: Codes, rate: int
) -> list[Floats]:
    """How each layer's weights change while a copy learns the first `TOGETHER` samples."""
    learner: Any = deepcopy(chip)  # either kind, with features of its own kind
    few = slice(0, TOGETHER)
    learner.run_features(features[few], labels[few], np.full(TOGETHER, rate), True)
    after = weights_of(learner)
    return [after[name] - before for name, before in weights_of(chip).items()]


def _opened(config: ChipConfig) -> ChipConfig:
    """The chip without its gates."""
    layers = tuple(replace(layer, threshold=OPEN) for layer in config.hidden)
    return replace(config, hidden=layers)


def _looks(total: int) -> list[int]:
    """Numbers of samples learned, evenly spaced on a logarithmic axis, all of them the last."""
    return sorted({round(look) for look in np.geomspace(min(FIRST_LOOK, total), total, LOOKS)})


def _mean(values: list[float]) -> float | None:
    """In hundredths of a degree."""
    return round(fmean(values), 2) if values else None


def _there(angles: Sequence[float | None]) -> list[float]:
    return [angle for angle in angles if angle is not None]


def table(found: Alignment) -> Table:
    """Angles and accuracies at the end of training, integer above float."""
    heads = ("rule", "gate", "B", "chip", *MEASURES, "accuracy")
    title = "Degrees at the end, accuracy in %"
    shown = Table(*heads, title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    deep = len(found.config.hidden) > 1
    for variant in VARIANTS:
        courses = found.of(variant)
        accuracy = Spread.of([course.accuracy for course in courses]).points()
        gate, b = "yes" if variant.gated else "no", "sparse" if variant.sparse else "dense"
        for layer in range(len(found.config.hidden)):
            chip = "float" if variant.real else "integer"
            kind = f"{chip}, layer {layer + 1}" if deep else chip
            lasts = ([c.angles[measure][layer][-1] for c in courses] for measure in MEASURES)
            shown.add_row(variant.rule, gate, b, kind, *map(_end, lasts), accuracy)
    return shown


def _end(last: list[float | None]) -> str:
    if not _there(last):
        return "-"
    spread = Spread.of(_there(last))
    return f"{spread.mean:.1f}" + (f" ± {spread.deviation:.1f}" if spread.deviation else "")

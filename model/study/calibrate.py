"""Calibration: the shifts, thresholds and rates with which a chip learns its data best.

Two steps. Ranges: from a sample of the training images follow the feature shift (the least that
saturates few features) and where to look for the rest. Search: successive halving (K. Jamieson and
A. Talwalkar, 2016) over drawn choices, many of them on few samples, the better half on twice as
many, and at the end one field at a time around the best. Only the validation split decides.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray

from model.arith import Codes
from model.contract.choices import Activation, Conv, Hidden
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.data.split import stratified_split
from model.fast.engine import FastChip
from model.network import ChipModel, Images
from model.state import fresh
from model.study.experiment import Samples

LOOKED_AT = 1000  #: training images that the ranges are taken from
SATURATED = 0.03  #: most of the features that are not zero may saturate
SURE_SAMPLES = 2000  #: validation samples from which one training tells enough
SEEDS = 3  #: trainings of a choice below that


class Rung(NamedTuple):
    """How many choices go on, on what share of the samples, from one seed or from all."""

    choices: int
    share: float
    sure: bool = False


RUNGS = (Rung(32, 1 / 16), Rung(16, 1 / 8), Rung(10, 1 / 4), Rung(6, 1.0, True))
REFINED = (3, 3)  #: neighbours of the best that are tried at the end, round by round
BRIEF = (Rung(10, 1 / 8), Rung(3, 1 / 2), Rung(1, 1.0, True))  #: for one chip of many
LEAST_SAMPLES = 600  #: of a rung: fewer would favour whatever learns fast

Progress = Callable[[int, int, float], None]
"""Told how many trainings are done, how many there will be, and the best accuracy so far."""


@dataclass(frozen=True, order=True)
class Choice:
    """The fields that are searched, as steps that halve or double: a point of a grid."""

    feature_shift: int
    threshold_log2: int
    activation_shift: int
    rate_shift: int
    readout_shift: int
    readout_rate: int  #: of the readout's rate shift above its shift

    def apply(self, config: ChipConfig) -> ChipConfig:
        """The chip with these choices; those of a second hidden layer keep their distance."""
        conv = tuple(
            replace(stage, shift=self.feature_shift) if place == len(config.conv) - 1 else stage
            for place, stage in enumerate(config.conv)
        )
        first = config.hidden[0]
        hidden = tuple(
            replace(
                layer,
                threshold=1 << _within(self.threshold_log2 + _apart(layer, first), 1, 24),
                shift=_within(self.activation_shift + layer.shift - first.shift, 0, 24),
                rate_shift=_within(self.rate_shift + layer.rate_shift - first.rate_shift, 1, 24),
            )
            for layer in config.hidden
        )
        readout = replace(
            config.readout,
            shift=self.readout_shift,
            rate_shift=_within(self.readout_shift + self.readout_rate, 1, 24),
        )
        learning = config.learning
        rates = (*(layer.rate_shift for layer in hidden), readout.rate_shift)
        needed = max(rates) + config.rate_steps - 1
        if needed > learning.lfsr_bits:
            learning = replace(learning, lfsr_bits=24)
        # What other rules had chosen fitted other features.
        return replace(
            config, conv=conv, hidden=hidden, readout=readout, learning=learning, rules={}
        )


@dataclass(frozen=True)
class Trial:
    """One choice tried: on `samples` training samples an epoch, with that validation accuracy."""

    choice: Choice
    samples: int
    accuracy: float


@dataclass(frozen=True)
class Calibration:
    """The best chip found, its validation accuracy, and everything that was tried for it."""

    config: ChipConfig
    accuracy: float
    trials: list[Trial]
    train_samples: int
    validation_samples: int
    seeds: int

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "config": self.config.to_dict(),
            "config_sha256": self.config.sha256,
            "validation_accuracy": self.accuracy,
            "train_samples": self.train_samples,
            "validation_samples": self.validation_samples,
            "seeds": self.seeds,
            "trials": [
                {**vars(trial.choice), "samples": trial.samples, "accuracy": trial.accuracy}
                for trial in self.trials
            ],
        }


def calibrate(
    config: ChipConfig,
    x: Images,
    y: Codes,
    *,
    validation_fraction: float = 0.15,
    epochs: int = 3,
    seed: int = 0,
    brief: bool = False,
    progress: Progress | None = None,
) -> Calibration:
    """Find the choices with which `config` learns (x, y) best; trainings run as joblib is told.

    `brief` tries fewer, for one chip of many. Raises `Refusal` where images or labels are not the
    chip's, or a class is too small to split.
    """
    search, rng = _begun(config, x, y, validation_fraction, epochs, seed, progress)
    rungs = search.distinct(BRIEF if brief else RUNGS)
    refined = () if brief else REFINED
    search.planned = sum(rung.choices for rung in rungs) + sum(refined)
    centre = ranges(config, search.samples.x_train)
    return search.found(
        search.run(list(_drawn(config, centre, rng, rungs[0].choices)), rungs, refined)
    )


def swept(
    config: ChipConfig,
    x: Images,
    y: Codes,
    count: int,
    *,
    validation_fraction: float = 0.15,
    epochs: int = 3,
    seed: int = 0,
    progress: Progress | None = None,
) -> Calibration:
    """The best of `count` choices drawn from the same ranges, each trained on all samples.

    What `calibrate` saves: it is held against this.
    """
    search, rng = _begun(config, x, y, validation_fraction, epochs, seed, progress)
    search.planned = count
    choices = _drawn(config, ranges(config, search.samples.x_train), rng, count)
    return search.found(search.tried(list(choices), Rung(count, 1.0, True))[0])


def _begun(
    config: ChipConfig,
    x: Images,
    y: Codes,
    validation_fraction: float,
    epochs: int,
    seed: int,
    progress: Progress | None,
) -> "tuple[_Search, np.random.Generator]":
    if config.learning.rule == "none":
        raise Refusal(f"the chip {config.name} does not learn; give it a rule to calibrate")
    train, held = stratified_split(y, validation_fraction, seed, "calibrate")
    samples = Samples(x[train], y[train], x[held], y[held])
    rng = np.random.default_rng([seed, 0xCA11])
    samples = replace(samples, **_shuffled(samples, rng))
    seeds = 1 if len(held) >= SURE_SAMPLES else SEEDS
    return _Search(config, samples, epochs, seeds, progress), rng


def ranges(config: ChipConfig, images: Images) -> Choice:
    """Where to look: choices that follow from the codes of some images and the sizes alone.

    The gate's threshold lies some bits below what one update adds to the sum of the same sample;
    activations saturate at the threshold; an update of a mean code moves a weight by about one.
    """
    looked = images[:LOOKED_AT]
    shift, codes = _features(config, looked)
    items = max(len(codes) / len(looked), 1.0)
    size = max(float(np.sqrt(np.mean(np.square(codes, dtype=np.float64)))), 1.0) if items else 1.0
    threshold = round(np.log2(items * size**2) - 10.5)
    sign = config.hidden[-1].activation is Activation.SIGN
    neurons = config.hidden[-1].neurons
    return Choice(
        feature_shift=shift,
        threshold_log2=_within(threshold, 2, 22),
        activation_shift=_within(threshold - 7, 0, 24),
        rate_shift=_within(round(np.log2(size)), 1, 12),
        readout_shift=_within(round(np.log2(neurons) / 2 + (-1.5 if sign else 6.5)), 0, 16),
        readout_rate=5 if sign else 3,
    )


def _features(config: ChipConfig, images: Images) -> tuple[int, NDArray[np.uint8]]:
    """The least shift that saturates few features, and the codes that are not zero under it."""
    shifts = range(25) if config.conv else (0,)
    for shift in shifts:
        conv = tuple(_last_shift(config.conv, place, shift) for place in range(len(config.conv)))
        tried = replace(config, conv=conv)
        codes = FastChip(tried, fresh(tried, 0)).features(images).codes
        high = tried.layer_shapes[0].value.high
        if not config.conv or not len(codes) or np.mean(codes == high) <= SATURATED:
            return shift, codes
    raise Refusal(f"the chip {config.name} saturates its features under any shift")


def _last_shift(stages: tuple[Conv, ...], place: int, shift: int) -> Conv:
    stage = stages[place]
    return replace(stage, shift=shift) if place == len(stages) - 1 else stage


def _drawn(
    config: ChipConfig, centre: Choice, rng: np.random.Generator, count: int
) -> Iterator[Choice]:
    """The centre, then distinct choices around it, `count` in all."""
    yield centre
    seen = {centre}
    spans = {
        "feature_shift": (-1, 1) if config.conv else (0, 0),
        "threshold_log2": (-3, 3),
        "rate_shift": (-1, 2),
        "readout_shift": (-2, 2),
        "readout_rate": (-1, 1),
    }
    while len(seen) < count:
        moves = {name: int(rng.integers(low, high + 1)) for name, (low, high) in spans.items()}
        # Activations saturate where the gate closes, or a bit above.
        moves["activation_shift"] = moves["threshold_log2"] + int(rng.integers(0, 2))
        choice = _moved(centre, moves)
        if choice not in seen:
            seen.add(choice)
            yield choice


def _moved(choice: Choice, moves: dict[str, int]) -> Choice:
    """The choice with some fields moved, within what a chip can hold."""
    lows = {"threshold_log2": 1, "rate_shift": 1, "readout_rate": 1}
    return replace(
        choice,
        **{
            name: _within(getattr(choice, name) + move, lows.get(name, 0), 20)
            for name, move in moves.items()
        },
    )


class _Search:
    """Trainings of choices on growing shares of the samples."""

    def __init__(
        self,
        config: ChipConfig,
        samples: Samples,
        epochs: int,
        seeds: int,
        progress: Progress | None,
    ) -> None:
        self.config = config
        self.samples = samples
        self.epochs = epochs
        self.seeds = seeds
        self.trials: list[Trial] = []
        self._progress = progress
        self.planned = 0

    def distinct(self, rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
        """The rungs but those that would repeat what the one before did."""
        kept = list(rungs[:1])
        for rung in rungs[1:]:
            if rung.sure or self._count(rung) > self._count(kept[-1]):
                kept.append(rung)
        return tuple(kept)

    def run(
        self, choices: list[Choice], rungs: tuple[Rung, ...], refined: tuple[int, ...]
    ) -> Trial:
        """Halve the choices rung by rung, refine the best, return it."""
        for rung in rungs:
            trials = self.tried(choices, rung)
            choices = [trial.choice for trial in trials]
        best, known = trials[0], set(choices)
        for count in refined:
            near = [choice for choice in _neighbours(best.choice) if choice not in known]
            known |= set(near[:count])
            trials = self.tried(near, Rung(count, 1.0, True))
            best = max([best, *trials], key=lambda trial: trial.accuracy)
        return best

    def found(self, best: Trial) -> Calibration:
        """What the search has come to."""
        return Calibration(
            best.choice.apply(self.config),
            best.accuracy,
            self.trials,
            len(self.samples.y_train),
            len(self.samples.y_test),
            self.seeds,
        )

    def _count(self, rung: Rung) -> int:
        """Training samples of a rung."""
        every = len(self.samples.y_train)
        return max(round(rung.share * every), min(every, LEAST_SAMPLES))

    def tried(self, choices: list[Choice], rung: Rung) -> list[Trial]:
        """Train and validate the first choices as a rung asks, the best first."""
        train, choices = self.samples, choices[: rung.choices]
        count = self._count(rung)
        part = replace(train, x_train=train.x_train[:count], y_train=train.y_train[:count])
        seeds = self.seeds if rung.sure else 1
        chips = [choice.apply(self.config) for choice in choices]
        # In threads: compiled loops let go of the interpreter, and nothing has to start.
        run = Parallel(return_as="generator", prefer="threads")
        found = []
        jobs = (delayed(_accuracy)(chip, part, self.epochs, seeds) for chip in chips)
        for choice, accuracy in zip(choices, run(jobs), strict=True):
            found.append(Trial(choice, count, accuracy))
            self.trials.append(found[-1])
            if self._progress is not None:
                best = max(trial.accuracy for trial in self.trials)
                self._progress(len(self.trials), self.planned, best)
        return sorted(found, key=lambda trial: -trial.accuracy)


def _accuracy(config: ChipConfig, samples: Samples, epochs: int, seeds: int) -> float:
    """Mean validation accuracy over trainings from some seeds."""
    return float(
        np.mean(
            [
                ChipModel(config, epochs=epochs, seed=seed)
                .fit(samples.x_train, samples.y_train)
                .score(samples.x_test, samples.y_test)
                for seed in range(seeds)
            ]
        )
    )


def _neighbours(choice: Choice) -> Iterator[Choice]:
    """One field moved by one, those first that matter most."""
    for moves in (
        {"threshold_log2": 1, "activation_shift": 1},
        {"threshold_log2": -1, "activation_shift": -1},
        {"readout_shift": 1},
        {"readout_shift": -1},
        {"rate_shift": 1},
        {"rate_shift": -1},
        {"readout_rate": 1},
        {"feature_shift": 1},
    ):
        moved = _moved(choice, moves)
        if moved != choice:
            yield moved


def _shuffled(samples: Samples, rng: np.random.Generator) -> dict[str, Any]:
    """The training samples in a drawn order, so that any first part of them is a fair one."""
    order = rng.permutation(len(samples.y_train))
    return {"x_train": samples.x_train[order], "y_train": samples.y_train[order]}


def _apart(layer: Hidden, first: Hidden) -> int:
    return layer.threshold.bit_length() - first.threshold.bit_length()


def _within(value: float, low: int, high: int) -> int:
    return int(min(max(value, low), high))

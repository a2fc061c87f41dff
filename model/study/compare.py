"""Integer against float: what the chip's arithmetic costs, and which approximation costs what.

Every training meets the same samples in the same order, with the same kernels, first weights and B.
"""

from dataclasses import asdict, dataclass, replace
from itertools import groupby
from statistics import fmean, stdev
from typing import Any

from joblib import Parallel, delayed
from rich.table import Table

from model.contract.choices import Gate
from model.contract.config import ChipConfig
from model.contract.formats import Rounding
from model.contract.refusal import Refusal
from model.data import Dataset
from model.float_chip.chip import ALGORITHMS, CHIP, REAL, Kept
from model.network import ChipModel, Progress
from model.state import fresh
from model.study.experiment import FLOAT, Experiment, Samples, named, samples_for
from model.study.profile import Profile, profiles

LOOKS = 12  #: times that test accuracy is taken in training
FIRST_LOOK = 250  #: samples learned at the first of them
PROFILED = 256  #: samples behind a number-format profile


def float_accuracy(config: ChipConfig, data: Dataset, epochs: int, seed: int) -> float:
    """Test accuracy of the chip's own rule in real numbers: same data, order, kernels and B.

    Raises `Refusal` where the data are not the chip's, or the chip does not learn.
    """
    experiment = Experiment(config, config.rule_name, epochs, seed, REAL)
    return experiment.run(samples_for(config, data))


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation over seeds; of one seed there is no deviation."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """The spread of some values."""
        return cls(fmean(values), stdev(values) if len(values) > 1 else None)

    def points(self, form: str = ".2f") -> str:
        """As text, in percentage points."""
        deviation = "" if self.deviation is None else f" ± {100 * self.deviation:.2f}"
        return f"{100 * self.mean:{form}}{deviation}"


@dataclass(frozen=True)
class Rung:
    """One approximation taken away from the chip: `kept` is None where the chip is another."""

    name: str
    change: str
    config: ChipConfig
    kept: Kept | None


@dataclass(frozen=True)
class Comparison:
    """Test accuracies of all trainings.

    `curves[name]` has one curve a seed, its points after `looks` samples learned; `name` is
    that of an algorithm (`model.study.experiment.NAMES`) or of a rung. `before` and `after` are the
    profiles of the chip's numbers, of the first seed.
    """

    config: ChipConfig
    seeds: list[int]
    looks: list[int]
    curves: dict[str, list[list[float]]]
    rungs: list[Rung]
    before: list[Profile]
    after: list[Profile]

    def accuracies(self, name: str) -> list[float]:
        """Final test accuracies, one a seed."""
        return [curve[-1] for curve in self.curves[name]]

    def difference(self, name: str, other: str) -> Spread:
        """Accuracy of `name` less that of `other`, seed by seed."""
        pairs = zip(self.accuracies(name), self.accuracies(other), strict=True)
        return Spread.of([left - right for left, right in pairs])

    @property
    def without_settings(self) -> list[str]:
        """Rules that learned with settings which are not their own."""
        return [rule for rule in ALGORITHMS[1:] if not self.config.has_settings(rule)]

    def figures(self) -> dict[str, Any]:
        """All figures as plain values, for a JSON file."""
        return {
            "preset": self.config.name,
            "config_sha256": self.config.sha256,
            "rule": self.config.rule_name,
            "without_settings": self.without_settings,
            "seeds": self.seeds,
            "looks": self.looks,
            "test_accuracy": self.curves,
            "profiles": {
                "before": [asdict(profile) for profile in self.before],
                "after": [asdict(profile) for profile in self.after],
            },
        }


def ladder(config: ChipConfig) -> list[Rung]:
    """The chip's approximations and choices, each of them taken away alone."""
    learning = config.learning
    bits = [
        ("weight bits", f"{config.weight_bits}, saturating", replace(CHIP, weights=False)),
        ("activation bits", "8", replace(CHIP, activations=False)),
    ]
    if config.conv:
        widths = ", ".join(str(stage.feature_bits) for stage in config.conv)
        bits.append(("feature bits", widths, replace(CHIP, features=False)))
    if config.pixel_bits < 8:
        bits.append(("pixel bits", f"{config.pixel_bits} of 8", replace(CHIP, pixels=False)))
    if config.rule_name in ("dfa", "drtp-scaled"):
        bits.append(("error bits", f"{config.modulation.bits}", replace(CHIP, errors=False)))
    rungs = [Rung(name, f"{width} -> real", config, kept) for name, width, kept in bits]
    nearest = replace(CHIP, rounding=Rounding.NEAREST)
    rungs.append(Rung("rounding", "stochastic -> to nearest", config, nearest))
    if config.hidden_learns and learning.gate is Gate.ONE_SIDED:
        box = replace(config, learning=replace(learning, gate=Gate.BOX))
        rungs.append(Rung("gate", "one-sided -> box", box, None))
    classes = config.readout.classes
    if config.hidden_learns and learning.density < classes:
        dense = replace(config, learning=replace(learning, density=classes))
        rungs.append(Rung("B density", f"{learning.density} of {classes} -> all", dense, None))
    own = replace(CHIP, shared_lfsr=False)
    rungs.append(Rung("LFSR sharing", "one a layer -> a number an update", config, own))
    return rungs


def compare(
    config: ChipConfig,
    samples: Samples,
    *,
    epochs: int,
    seeds: int,
    progress: Progress | None = None,
) -> Comparison:
    """Train float and integer chips under all algorithms, and the chip without each approximation.

    Trainings run side by side as joblib is told to (`joblib.parallel_config`). Raises `Refusal`
    where the chip does not learn or there is no seed.
    """
    if config.rule_name == "none":
        raise Refusal(f"the chip {config.name} does not learn; give it a rule with --rule")
    if seeds < 1:
        raise Refusal(f"seeds must be at least 1, not {seeds}")
    rungs = ladder(config)
    planned: dict[tuple[str, int], Experiment] = {}
    for seed in range(seeds):
        for name in (*ALGORITHMS[1:], *(FLOAT + algorithm for algorithm in ALGORITHMS)):
            planned[name, seed] = named(config, name, epochs, seed)
        for rung in rungs:
            rule = config.rule_name
            planned[rung.name, seed] = Experiment(rung.config, rule, epochs, seed, rung.kept)
    looks = _looks(epochs * len(samples.y_train))
    curves = _trained(planned, samples, looks, progress)
    model = ChipModel(config, epochs=epochs).fit(samples.x_train, samples.y_train)
    few = samples.x_train[:PROFILED], samples.y_train[:PROFILED]
    return Comparison(
        config,
        list(range(seeds)),
        looks,
        {name: [curves[name, seed] for seed in range(seeds)] for name, _ in planned},
        rungs,
        profiles(config, fresh(config, model.seed), *few),
        profiles(config, model.state_, *few),
    )


def _looks(total: int) -> list[int]:
    """Numbers of samples learned, evenly spaced on a logarithmic axis, all of them the last."""
    first = min(FIRST_LOOK, total)
    steps = (first * (total / first) ** (n / (LOOKS - 1)) for n in range(LOOKS))
    return sorted({round(step) for step in steps})


def _trained(
    planned: dict[tuple[str, int], Experiment],
    samples: Samples,
    looks: list[int],
    progress: Progress | None,
) -> dict[tuple[str, int], list[float]]:
    """The curve of every experiment; features are computed once where experiments share them."""
    found: dict[tuple[str, int], list[float]] = {}
    in_order = sorted(planned, key=lambda key: repr(planned[key].front))
    # Copy on write: compiled code takes read-only arrays for another type.
    with Parallel(return_as="generator", mmap_mode="c") as pool:
        for _, group in groupby(in_order, key=lambda key: planned[key].front):
            keys = list(group)
            chip = planned[keys[0]].chip()
            train, test = chip.features(samples.x_train), chip.features(samples.x_test)
            curves = pool(
                delayed(planned[key].curve)(train, test, samples.y_train, samples.y_test, looks)
                for key in keys
            )
            for key, curve in zip(keys, curves, strict=True):
                found[key] = curve
                if progress is not None:
                    progress(len(found), len(planned))
    return found


def tables(found: Comparison) -> tuple[Table, Table]:
    """Float against integer by algorithm, and the ladder, in percent of the test samples."""
    by_rule = Table("algorithm", "float", "integer", "integer - float", title="Test accuracy (%)")
    for algorithm in ALGORITHMS:
        real = Spread.of(found.accuracies(FLOAT + algorithm)).points()
        if algorithm in found.curves:
            integer = Spread.of(found.accuracies(algorithm)).points()
            difference = found.difference(algorithm, FLOAT + algorithm).points("+.2f")
        else:
            integer = difference = "-"
        by_rule.add_row(algorithm, real, integer, difference)
    rule = found.config.rule_name
    title = f"Integer {rule}, one approximation taken away at a time (%)"
    steps = Table("taken away", "change", "accuracy", "gained by taking it away", title=title)
    steps.add_row("nothing", "", Spread.of(found.accuracies(rule)).points(), "")
    for rung in found.rungs:
        accuracy = Spread.of(found.accuracies(rung.name)).points()
        gained = found.difference(rung.name, rule).points("+.2f")
        steps.add_row(rung.name, rung.change, accuracy, gained)
    real = FLOAT + rule
    steps.add_row(
        "all bits and rounding",
        f"float {rule}, same gate and B",
        Spread.of(found.accuracies(real)).points(),
        found.difference(real, rule).points("+.2f"),
    )
    return by_rule, steps

"""Sizes of a chip against each other: what accuracy costs in memory, cycles and energy.

Every shape (weight bits, kernels, neurons, rule) is calibrated briefly for itself, since shifts and
rates of one do not suit another; accuracy is that of validation samples, cycles and energy are
counted while it learns. None is chosen here: what no other beats at its cost is marked.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from model.arith import Codes
from model.contract.artifact import writing
from model.contract.config import ChipConfig
from model.contract.counters import Kind, counters
from model.contract.formats import Format
from model.contract.refusal import Refusal
from model.contract.storage import banks
from model.cost.proxy import bill
from model.cost.tables import TABLES
from model.network import ChipModel, Images
from model.study.calibrate import calibrate

COUNTED = 1000  #: samples on which cycles and energy are counted
COSTS = {
    "memory_bits": "memory, bits",
    "cycles": "cycles of work of a learned sample, all stages",
    "energy_nj": "energy proxy of a learned sample, nJ",
}

Progress = Callable[[int, int, float], None]
"""Told how many shapes are done, how many there are, and the best accuracy so far."""


@dataclass(frozen=True)
class Shape:
    """What is varied; None leaves the chip's own."""

    weight_bits: int | None = None
    kernels: int | None = None
    neurons: int | None = None
    rule: str | None = None

    def apply(self, config: ChipConfig) -> ChipConfig:
        """The chip in this shape; kernels are those of the last convolution, neurons of all layers.

        Raises `Refusal` where the shape does not fit.
        """
        if self.kernels is not None and not config.conv:
            raise Refusal(
                f"the chip {config.name} has no convolution whose kernels could be varied"
            )
        chip = config.with_rule(self.rule) if self.rule else config
        conv = chip.conv
        if self.kernels is not None:
            conv = (*conv[:-1], replace(conv[-1], kernels=self.kernels))
        bits = self.weight_bits or chip.weight_bits
        most = Format(bits, signed=True, symmetric=True).high  # of a first weight
        hidden = tuple(
            replace(
                layer,
                neurons=self.neurons or layer.neurons,
                spread=min(layer.spread, most),
            )
            for layer in chip.hidden
        )
        return replace(chip, conv=conv, hidden=hidden, weight_bits=bits, rules={})


@dataclass(frozen=True)
class Point:
    """A calibrated chip: what it reaches on validation samples, and what it takes."""

    config: ChipConfig
    accuracy: float
    memory_bits: int
    cycles: float
    energy_nj: float

    def row(self) -> dict[str, Any]:
        """Its sizes and figures by name."""
        return {
            "rule": self.config.rule_name,
            "weight_bits": self.config.weight_bits,
            "kernels": self.config.conv[-1].kernels if self.config.conv else 0,
            "neurons": self.config.hidden[0].neurons,
            "accuracy": round(self.accuracy, 4),
            "memory_bits": self.memory_bits,
            "cycles": round(self.cycles, 1),
            "energy_nj": round(self.energy_nj, 3),
        }


def shapes(
    weight_bits: Sequence[int], kernels: Sequence[int], neurons: Sequence[int], rules: Sequence[str]
) -> list[Shape]:
    """All combinations; what no value is given of keeps the chip's own."""
    return [
        Shape(bits, count, width, rule)
        for bits in weight_bits or (None,)
        for count in kernels or (None,)
        for width in neurons or (None,)
        for rule in rules or (None,)
    ]


def explore(
    config: ChipConfig,
    x: Images,
    y: Codes,
    asked: Sequence[Shape],
    *,
    epochs: int = 3,
    seed: int = 0,
    progress: Progress = lambda done, planned, best: None,
) -> list[Point]:
    """A point a shape. Raises `Refusal` as `calibrate` does, and where a shape does not fit."""
    chips = [shape.apply(config) for shape in asked]
    points: list[Point] = []
    for chip in chips:
        points.append(_point(chip, x, y, epochs, seed))
        progress(len(points), len(chips), max(point.accuracy for point in points))
    return points


def _point(config: ChipConfig, x: Images, y: Codes, epochs: int, seed: int) -> Point:
    found = calibrate(config, x, y, epochs=epochs, seed=seed, brief=True)
    chip = ChipModel(found.config, epochs=1, seed=seed).fit(x[:COUNTED], y[:COUNTED])
    learned, counts = len(x[:COUNTED]), chip.counters_
    work = (c.name for c in counters(found.config) if c.kind is Kind.WORK)
    return Point(
        found.config,
        found.accuracy,
        sum(bank.bits for bank in banks(found.config)),
        sum(counts[name] for name in work) / learned,
        bill(found.config, counts, learned, TABLES[0]).total_pj() / 1e3,
    )


def front(points: Sequence[Point], cost: str) -> list[Point]:
    """Points that no other beats in accuracy at the same cost or less, by rising cost."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (getattr(p, cost), -p.accuracy)):
        if not best or point.accuracy > best[-1].accuracy:
            best.append(point)
    return best


def rows(points: Sequence[Point]) -> Iterator[dict[str, Any]]:
    """Every point's row, the best first, and the costs of which it is at the front."""
    fronts = {cost: front(points, cost) for cost in COSTS}
    for point in sorted(points, key=lambda p: -p.accuracy):
        yield point.row() | {"front": [cost for cost, best in fronts.items() if point in best]}


def write_pareto(points: Sequence[Point], title: str, path: Path) -> None:
    """Draw accuracy against each cost, its front as a line. Raises `Refusal` as `writing` does."""
    from matplotlib.figure import Figure  # takes a second to import

    picture = Figure(figsize=(13, 4.5), layout="constrained")
    picture.suptitle(title)
    every = picture.subplots(1, len(COSTS), sharey=True)
    for axes, (cost, label) in zip(every, COSTS.items(), strict=True):
        for rule in dict.fromkeys(point.config.rule_name for point in points):
            mine = [point for point in points if point.config.rule_name == rule]
            axes.scatter(
                [getattr(p, cost) for p in mine], [100 * p.accuracy for p in mine], label=rule, s=18
            )
        best = front(points, cost)
        axes.plot([getattr(p, cost) for p in best], [100 * p.accuracy for p in best], "k-", lw=0.8)
        axes.set_xscale("log")
        axes.set_xlabel(label)
        axes.grid(alpha=0.3)
    every[0].set_ylabel("validation accuracy, %")
    every[0].legend()
    with writing(path) as file:
        picture.savefig(file, format="png", dpi=100)

"""Accuracy against energy and area, over widths of the hidden layer, lanes and rules.

Accuracies and counts are measured; the area of cells is estimated (`sim.silicon.estimate`), that of
memory is its bits. Lanes do not change what a chip learns, but what it reads and how long it takes.
"""

import csv
import dataclasses
import io
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.contract.artifact import write_text, writing
from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.cost.technology import TARGET
from model.data import Dataset
from sim.silicon import cells
from sim.silicon.estimate import estimate
from sim.silicon.figures import Figures
from sim.silicon.power import price, work
from sim.silicon.synth import Progress

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTHS = (32, 64, 128, 256)
LANES = (8, 16, 32)
SWEPT = ("shallow", "drtp", "drtp-scaled", "dfa")


@dataclass(frozen=True)
class Point:
    """One chip: what it reaches and what it takes; energies of a learned sample by table."""

    preset: str
    rule: str
    width: int
    lanes: int
    accuracy: float
    energy_nj: tuple[float, ...]
    area_mm2: float
    cycles: float

    @property
    def middle_nj(self) -> float:
        """Geometric mean of the tables' energies."""
        product = 1.0
        for energy in self.energy_nj:
            product *= energy
        return product ** (1 / len(self.energy_nj))

    def row(self) -> dict[str, Any]:
        """The point as a row of the CSV."""
        return {
            "preset": self.preset,
            "rule": self.rule,
            "width": self.width,
            "lanes": self.lanes,
            "accuracy": round(self.accuracy, 4),
            "horowitz_nj": round(self.energy_nj[0], 2),
            "aladdin_nj": round(self.energy_nj[1], 2),
            "area_mm2": round(self.area_mm2, 5),
            "cycles": round(self.cycles),
        }


def sweep(
    presets: Sequence[str],
    data: Dataset,
    train: int,
    test: int,
    seed: int,
    figures: Figures,
    progress: Progress = lambda step: None,
) -> list[Point]:
    """Every width, lane count and rule of every preset, where lanes divide the width."""
    points = []
    for name, rule, width in itertools.product(presets, SWEPT, WIDTHS):
        progress(f"{name} {rule}: {width} hidden neurons")
        for lanes in LANES:
            if width % lanes == 0:
                chip = chosen(name, rule, width, lanes)
                points.append(_point(chip, name, width, data, train, test, seed, figures))
    return points


def chosen(name: str, rule: str, width: int, lanes: int) -> ChipConfig:
    """A preset with another width, lane count and rule."""
    config = preset(name, rule)
    hidden = tuple(dataclasses.replace(layer, neurons=width) for layer in config.hidden)
    return dataclasses.replace(config, hidden=hidden, lanes=lanes)


def _point(
    config: ChipConfig,
    name: str,
    width: int,
    data: Dataset,
    train: int,
    test: int,
    seed: int,
    figures: Figures,
) -> Point:
    done = work(config, data, train, test, seed, 1)
    estimated = estimate(config, figures)
    area_um2 = cells.chip_um2(estimated.cells_um2, sum(estimated.memory_bits.values()))
    energies = tuple(p.learning.total_pj() / 1e3 for p in price(done) if p.learning)
    return Point(
        name,
        config.rule_name,
        width,
        config.lanes,
        done.accuracy,
        energies,
        area_um2 / 1e6,
        done.pace(learning=True),
    )


def front(points: Sequence[Point], cost: Callable[[Point], float]) -> list[Point]:
    """Points that no other beats in accuracy at the same cost or less, by rising cost."""
    best: list[Point] = []
    for point in sorted(points, key=lambda p: (cost(p), -p.accuracy)):
        if not best or point.accuracy > best[-1].accuracy:
            best.append(point)
    return best


def write(points: Sequence[Point], folder: Path, note: str) -> None:
    """Write pareto.csv and pareto.svg into a folder."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(points[0].row()), lineterminator="\n")
    writer.writeheader()
    writer.writerows(point.row() for point in points)
    write_text(folder / "pareto.csv", text.getvalue())
    draw(points, folder / "pareto.svg", note)


def draw(points: Sequence[Point], path: Path, note: str) -> None:
    """Accuracy against energy, and against area; the front as a line."""
    import matplotlib.pyplot as plt  # slow to import, and no other command draws

    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5), sharey=True, layout="constrained")
    _panel(left, points, lambda point: point.middle_nj, "energy proxy of a learned sample, nJ")
    for point in points:
        left.plot(point.energy_nj, [100 * point.accuracy] * 2, color="0.85", linewidth=1, zorder=0)
    _panel(right, points, lambda point: point.area_mm2, f"area in {TARGET.node_nm} nm, mm²")
    left.set_ylabel("accuracy on held-out samples, %")
    right.legend(loc="lower right", fontsize="small")
    figure.suptitle(note, fontsize="small")
    with writing(path) as file:
        figure.savefig(file, format=path.suffix.lstrip("."), metadata={"Date": None})
    plt.close(figure)


def _panel(
    axes: "Axes", points: Sequence[Point], cost: Callable[[Point], float], label: str
) -> None:
    colours = {rule: f"C{number}" for number, rule in enumerate(SWEPT)}
    marks = dict(zip(dict.fromkeys(p.preset for p in points), "o^sD", strict=False))
    for name, rule in dict.fromkeys((p.preset, p.rule) for p in points):
        chosen = [p for p in points if (p.preset, p.rule) == (name, rule)]
        axes.scatter(
            [cost(p) for p in chosen],
            [100 * p.accuracy for p in chosen],
            s=[6 + 0.3 * p.width for p in chosen],
            marker=marks[name],
            color=colours[rule],
            alpha=0.7,
            label=f"{name}, {rule}",
        )
    best = front(points, cost)
    axes.plot([cost(p) for p in best], [100 * p.accuracy for p in best], "k-", linewidth=0.8)
    axes.set_xscale("log")
    axes.set_xlabel(label)
    axes.grid(alpha=0.3)

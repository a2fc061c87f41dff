"""Energy proxy of a chip at work: trained on real data, counted, priced by every table.

Counts come from the fast engine, whose counters equal the hardware's: those of learning are the
mean over a whole training, those of classifying the mean over the same samples with what it ended
with. A chip that does not learn classifies with weights that the same chip learned by drtp, as if
they had been trained elsewhere.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from model.arith import Codes
from model.contract.choices import Rule
from model.contract.config import ChipConfig
from model.contract.counters import Phase
from model.contract.refusal import Refusal
from model.contract.stages import stage_names
from model.cost.actions import Part
from model.cost.proxy import Bill, bill, overhead
from model.cost.tables import TABLES
from model.cost.technology import TARGET, Technology
from model.data import Dataset
from model.fast.engine import FastChip
from model.network import checked_images, checked_labels, drawn, plan, totals
from model.state import State, bank_shapes, fresh

PUBLISHED = Path(__file__).resolve().parents[2] / "golden" / "anchors" / "published.json"


@dataclass(frozen=True)
class Work:
    """What a chip did: counts by dotted name of so many samples of each kind, and how well."""

    config: ChipConfig
    data: str
    epochs: int
    trained: int  #: samples met in training
    classified: int
    tested: int
    accuracy: float  #: on held-out samples
    learning: dict[str, int]  #: empty where the chip does not learn
    classifying: dict[str, int]

    def mean(self, name: str, learning: bool = False) -> float:
        """A counter's steps a sample."""
        counts, samples = (
            (self.learning, self.trained) if learning else (self.classifying, self.classified)
        )
        return counts[name] / samples

    def pace(self, learning: bool = False) -> float:
        """Cycles from one sample to the next where samples wait for nothing outside the chip.

        Stages overlap, so the busiest sets the pace. A layer that does not learn has no queue: the
        stage before it waits for each item until all groups have taken it.
        """
        cycles = self.cycles(learning)
        before = [None, *cycles]
        for stage, layer in zip(
            before[len(self.config.conv) :], self.config.layer_shapes, strict=False
        ):
            if stage is not None and not layer.learns:
                cycles[stage] += self.mean(f"{layer.name}.items", learning) * (layer.groups - 1)
        return max(cycles.values())

    def cycles(self, learning: bool = False) -> dict[str, float]:
        """Cycles of work a sample of each stage."""
        found = dict.fromkeys(stage_names(self.config)[1:], 0.0)
        counts = self.learning if learning else self.classifying
        for name in counts:
            stage, _, event = name.partition(".")
            if event in ("forward_cycles", "learn_cycles"):
                found[stage] += self.mean(name, learning)
        return found


def work(config: ChipConfig, data: Dataset, train: int, test: int, seed: int, epochs: int) -> Work:
    """Train a chip on `train` samples and classify them; test it on the first `test` test samples.

    The rate schedule runs over the whole training, as in `ChipModel.fit`. Raises `Refusal` where
    there are fewer samples, or they do not fit the chip.
    """
    if not 1 <= test <= len(data.y_test):
        raise Refusal(f"--test must be 1 to the {len(data.y_test)} test samples, not {test}")
    learns = config.learning.rule is not Rule.NONE
    teacher = config if learns else config.with_rule("drtp")
    kept = drawn(len(data.y_train), train, seed)
    order, rates = plan(config, len(kept), epochs, seed)
    images = checked_images(config, data.x_train[kept])
    labels = checked_labels(config, data.y_train[kept], len(kept))
    chip = FastChip(teacher, fresh(teacher, seed))
    chip.run(images[order], labels[order], rates, True)
    learning = totals(config, chip.counts) if learns else {}
    state = chip.state
    if not learns:
        state = State({name: state.banks[name] for name in bank_shapes(config)}, {})
    classifying = _classify(config, state, images)[1]
    classes, _ = _classify(config, state, checked_images(config, data.x_test[:test]))
    accuracy = float(np.mean(classes == data.y_test[:test]))
    name = f"{data.name} ({data.note})" if data.note else data.name
    return Work(config, name, epochs, len(order), len(kept), test, accuracy, learning, classifying)


def _classify(
    config: ChipConfig, state: State, images: NDArray[np.uint8]
) -> tuple[Codes, dict[str, int]]:
    """Classes of images, and what classifying them took."""
    chip, nothing = FastChip(config, state), np.zeros(len(images), np.int64)
    classes, _ = chip.run(images, nothing, nothing, False)
    return classes, totals(config, chip.counts)


@dataclass(frozen=True)
class Priced:
    """Work at the prices of one table; `learning` is None where the chip does not learn."""

    table: str
    classifying: Bill
    learning: Bill | None


def price(work: Work, technology: Technology = TARGET) -> tuple[Priced, ...]:
    """The work of a chip at the prices of every table."""
    return tuple(
        Priced(
            table.name,
            bill(work.config, work.classifying, 0, table, technology),
            bill(work.config, work.learning, work.trained, table, technology)
            if work.learning
            else None,
        )
        for table in TABLES
    )


def published(what: str) -> float:
    """A published figure of `golden/anchors`."""
    figures = json.loads(PUBLISHED.read_text())["figures"]
    return next(figure["value"] for figure in figures if figure["what"] == what)


def calibration(spoon: Priced) -> float:
    """The one fitted factor: published energy of a classification over the proxy's at 0.6 V.

    Of the preset spoon with drtp on MNIST only; other chips take over its factor.
    """
    return 1e3 * published("energy of a classification at 0.6 V") / spoon.classifying.total_pj()


def scope(work: Work, technology: Technology) -> str:
    """What a figure stands for, in one line."""
    config = work.config
    events, items = work.mean("encode.events"), work.mean(f"{config.layer_shapes[0].name}.items")
    learned = f" and {work.trained:,} learned" if work.learning else ""
    return "; ".join(
        (
            f"scope: proxy at {technology}",
            f"{config.name}, rule {config.rule_name}",
            f"{config.pixel_bits}-bit pixels, {config.weight_bits}-bit weights",
            f"{work.data}, mean of {work.classified:,} samples classified{learned}",
            f"{events:.0f} events and {items:.0f} items of the first layer a sample",
            f"busiest stage {max(work.cycles().values()):,.0f} cycles",
            "memories, arithmetic and data registers counted",
            "clock tree, control, leakage and pins not",
        )
    )


def told(work: Work, baseline: Work, technology: Technology) -> dict[str, Any]:
    """All figures, for JSON: energies in pJ a sample."""
    found: dict[str, Any] = {
        "preset": work.config.name,
        "rule": work.config.rule_name,
        "config_sha256": work.config.sha256,
        "data": work.data,
        "epochs": work.epochs,
        "trained_samples": work.trained,
        "tested_samples": work.tested,
        "accuracy": work.accuracy,
        "technology": {"node_nm": technology.node_nm, "volts": technology.volts},
        "scope": scope(work, technology),
        "cycles": {"classification": work.cycles(), "learned_sample": work.cycles(True)},
        "tables": {},
        "counters": {"classifying": work.classifying, "learning": work.learning},
    }
    for priced, plain in zip(price(work, technology), price(baseline, technology), strict=True):
        base = plain.classifying.total_pj()
        table = {"classification": _energies(priced.classifying)}
        table["classification"]["overhead"] = overhead(priced.classifying.total_pj(), base)
        if priced.learning:
            table["learned_sample"] = _energies(priced.learning)
            table["learned_sample"]["overhead"] = overhead(priced.learning.total_pj(), base)
        found["tables"][priced.table] = table
    totals_pj = [table["classification"]["total_pj"] for table in found["tables"].values()]
    found["spread"] = max(totals_pj) / min(totals_pj)
    return found


def _energies(bill: Bill) -> dict[str, Any]:
    rows = {
        f"{stage}.{phase}.{part}": energy / bill.samples
        for (stage, phase, part), energy in sorted(bill.energies_pj.items())
    }
    return {"total_pj": bill.total_pj(), "by_stage_phase_part_pj": rows}


def show(work: Work, baseline: Work, technology: Technology) -> RenderableType:
    """Stages and phases down, tables side by side."""
    pairs = list(zip(price(work, technology), price(baseline, technology), strict=True))
    grid = Grid("stage", "phase", title="energy proxy in nJ a sample")
    for priced, _ in pairs:
        grid.add_column(f"{priced.table}\nclassified", justify="right")
        if priced.learning:
            grid.add_column("\nlearned", justify="right")
    bills = [b for priced, _ in pairs for b in (priced.classifying, priced.learning) if b]
    for stage in stage_names(work.config):
        for phase in Phase:
            row = [found.total_pj(stage, phase) / 1e3 for found in bills]
            if any(row):
                grid.add_row(stage, phase, *(f"{energy:,.3f}" for energy in row))
    grid.add_section()
    for part in Part:
        grid.add_row("all", part, *(f"{found.total_pj(part=part) / 1e3:,.3f}" for found in bills))
    grid.add_section()
    grid.add_row("all", "all", *(f"{found.total_pj() / 1e3:,.2f}" for found in bills), style="bold")
    lines = [scope(work, technology), *_sources()]
    first, second = (priced.classifying.total_pj() for priced, _ in pairs)
    lines.append(f"spread of the tables: a factor of {max(first, second) / min(first, second):.2f}")
    for priced, plain in pairs:
        lines += _findings(priced, plain, work, technology)
    return Group(grid, *(Text(line) for line in lines))


def _sources() -> list[str]:
    """One line a table: whose figures it holds, and where they stand."""
    lines = []
    for table in TABLES:
        places: dict[str, list[str]] = {}
        for constant in table.constants:
            source = constant.source
            found = places.setdefault(f"{source.author}, {source.year}, {source.title}", [])
            if source.place not in found:
                found.append(source.place)
        works = (f"{work} ({', '.join(found)})" for work, found in places.items())
        lines.append(f"table {table.name}: {'; '.join(works)}")
    return lines


def _findings(priced: Priced, plain: Priced, work: Work, technology: Technology) -> list[str]:
    """Overhead of learning beside the published one, and the calibrated factor."""
    found = []
    if priced.learning:
        share = overhead(priced.learning.total_pj(), plain.classifying.total_pj())
        told = published("power overhead of learning on chip")
        found.append(
            f"{priced.table}: a learned sample takes {share:.1%} more than a classification by the "
            f"same chip without learning (a prediction; published for the processor: {told} %)"
        )
    spoon = (work.config.name, work.config.rule_name) == ("spoon", "drtp")
    if spoon and technology == TARGET and work.data == "mnist":
        factor = calibration(priced)
        found.append(
            f"{priced.table}: calibrated on the published 313 nJ a classification, one factor of "
            f"{factor:.2f} for all energies; overheads do not change"
        )
    return found

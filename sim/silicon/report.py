"""What each rule costs: one table a chip, a row a rule, and a sweep over widths, lanes and rules.

Accuracy and counts are measured on real data, cells by synthesis. Placing and routing takes minutes
a chip: its figures are taken from `results/synthesis.json` where Verilog, flow and tools are those
they were recorded with. Under the table stands where each column comes from.
"""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from model.contract.artifact import write_json, write_text
from model.contract.choices import RULES
from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.cost.proxy import overhead
from model.cost.tables import MEMORY_BIT, TABLES
from model.cost.technology import TARGET
from model.data import Dataset
from sim.silicon import cells
from sim.silicon.figures import Figures
from sim.silicon.power import Priced, Work, calibration, price, published, scope, work
from sim.silicon.synth import ECP5, Progress, Synthesis, synthesise

PRESETS = ("spoon", "spoon-lite")


@dataclass(frozen=True)
class Row:
    """One chip under one rule."""

    preset: str
    rule: str
    work: Work
    priced: tuple[Priced, ...]
    cells: Synthesis
    fpga: Synthesis

    def classified_nj(self, table: int) -> float:
        """Energy of a classification by one table."""
        return self.priced[table].classifying.total_pj() / 1e3

    def learned_nj(self, table: int) -> float | None:
        """Energy of a learned sample by one table; None where the chip does not learn."""
        bill = self.priced[table].learning
        return None if bill is None else bill.total_pj() / 1e3


def measure(
    presets: Sequence[str],
    data: Dataset,
    train: int,
    test: int,
    epochs: int,
    seed: int,
    kept: Figures,
    progress: Progress = lambda step: None,
) -> list[Row]:
    """Train, count, price and synthesise every preset under every rule, several at a time.

    What `kept` has of an FPGA is not routed again. Raises `Refusal` where the data does not fit or
    a tool is missing.
    """
    chips = [(name, rule) for name in presets for rule in RULES]
    told = _numbered(progress, 3 * len(chips))
    syntheses: dict[tuple[str, str, str], Synthesis] = {}
    works: dict[tuple[str, str], Work] = {}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = {
            pool.submit(job, preset(name, rule)): (name, rule, target)
            for target, job in (("ecp5", partial(_routed, kept)), ("cmos", _mapped))
            for name, rule in chips
        }
        for name, rule in chips:
            works[name, rule] = work(preset(name, rule), data, train, test, seed, epochs)
            told(f"{name} {rule}: trained")
        for job in as_completed(jobs):
            syntheses[jobs[job]] = job.result()
            told(f"{' '.join(jobs[job])}: synthesised")
    return [
        Row(
            name,
            rule,
            works[name, rule],
            price(works[name, rule]),
            syntheses[name, rule, "cmos"],
            syntheses[name, rule, "ecp5"],
        )
        for name, rule in chips
    ]


def _routed(kept: Figures, config: ChipConfig) -> Synthesis:
    return kept.recall(config, "ecp5") or synthesise(config, "ecp5")


def _mapped(config: ChipConfig) -> Synthesis:
    return synthesise(config, "cmos")


def _numbered(progress: Progress, steps: int) -> Progress:
    """Progress that counts steps and tells the time left, taking all steps for alike."""
    began, done = time.monotonic(), 0

    def told(step: str) -> None:
        nonlocal done
        done += 1
        spent = time.monotonic() - began
        left = spent / done * (steps - done)
        progress(f"[{done}/{steps}] {step} ({spent:.0f} s, about {left / 60:.0f} min left)")

    return told


# The table


def figures(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """All figures of all rows as plain values; overheads are over the rule none of the preset."""
    factors = _factors(rows)
    found = []
    for row in rows:
        plain = next(r for r in rows if (r.preset, r.rule) == (row.preset, "none"))
        entry: dict[str, Any] = {
            "preset": row.preset,
            "rule": row.rule,
            "accuracy": row.work.accuracy,
            "cells": row.cells.cells,
            "flip_flops": row.cells.flip_flops,
            "logic_um2": round(row.cells.logic_um2),
            "memory_bits": row.cells.memory_bits,
            "area_um2": round(row.cells.area_um2),
            "area_overhead": overhead(row.cells.area_um2, plain.cells.area_um2),
            "logic_overhead": overhead(row.cells.logic_um2, plain.cells.logic_um2),
            "fmax_mhz": row.fpga.fmax_mhz,
            "slowest": row.fpga.slowest,
            "fpga": row.fpga.used,
            "fits": row.fpga.fits,
            "missing": row.fpga.missing,
            "cycles_classification": row.work.pace(),
            "cycles_learned_sample": row.work.pace(learning=True) if row.work.learning else None,
            "scope": scope(row.work, TARGET),
        }
        for number, table in enumerate(TABLES):
            base = plain.classified_nj(number)
            classified, learned = row.classified_nj(number), row.learned_nj(number)
            entry[table.name] = {
                "classification_nj": classified,
                "learned_sample_nj": learned,
                "classification_overhead": overhead(classified, base),
                "learned_sample_overhead": None if learned is None else overhead(learned, base),
                "calibration": factors.get(table.name),
            }
        found.append(entry)
    return found


def _factors(rows: Sequence[Row]) -> dict[str, float]:
    """The fitted factor of every table, where spoon with drtp is among the rows."""
    for row in rows:
        if (row.preset, row.rule) == ("spoon", "drtp") and row.work.data == "mnist":
            return {priced.table: calibration(priced) for priced in row.priced}
    return {}


HEADINGS = (
    *("rule", "accuracy", "cells", "logic mm2", "memory kbit", "area mm2", "area +"),
    *("Fmax MHz", "cycles/class.", "cycles/learned"),
    *("nJ/class.", "nJ/learned", "energy +"),
)


def _texts(entry: dict[str, Any]) -> Iterator[str]:
    """The cells of one row, under `HEADINGS`."""

    def pair(what: str, form: str) -> str:
        values = [entry[table.name][what] for table in TABLES]
        return "-" if None in values else " / ".join(format(value, form) for value in values)

    yield entry["rule"]
    yield f"{entry['accuracy']:.2%}"
    yield f"{entry['cells']:,}"
    yield f"{entry['logic_um2'] / 1e6:.4f}"
    yield f"{entry['memory_bits'] / 1e3:,.1f}"
    yield f"{entry['area_um2'] / 1e6:.4f}"
    yield f"{entry['area_overhead']:+.1%}"
    yield f"{entry['fmax_mhz']:.1f}" if entry["fits"] else "does not fit"
    yield f"{entry['cycles_classification']:,.0f}"
    learned = entry["cycles_learned_sample"]
    yield "-" if learned is None else f"{learned:,.0f}"
    yield pair("classification_nj", ".1f")
    yield pair("learned_sample_nj", ".1f")
    yield pair("learned_sample_overhead", "+.1%")


def sources(rows: Sequence[Row]) -> list[str]:
    """One line a column: where its figures come from."""
    first = rows[0]
    names = " / ".join(table.name for table in TABLES)
    versions = {**first.cells.tools, **first.fpga.tools}
    tools = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    lines = [
        f"accuracy: fast engine (bit-exact with the hardware), {first.work.trained:,} learned "
        f"samples of {first.work.data}, {first.work.tested:,} test samples; the rule none "
        "classifies with the weights that drtp learned",
        f"cells: {first.cells.device} ({cells.SOURCE}), mapped by Yosys, memories as black boxes, "
        "no counter bank, no monitors",
        f"logic mm2: area of the cells, carried from {cells.NODE_NM} to {TARGET.node_nm} nm by "
        "Stillmaker and Baas, 2017",
        "memory kbit: all banks of model/contract/storage.py",
        f"area mm2: logic and memory bits of {MEMORY_BIT.um2} um2 each ({MEMORY_BIT.source}); no "
        "periphery, no wiring; + over the rule none",
        f"Fmax: {ECP5.device}, after place and route ({tools}); figures recorded in "
        "results/synthesis.json stand while Verilog, flow and tools are the same",
        "cycles: work of the busiest stage, with its waits for a stage that has no queue, mean of "
        "the samples",
        f"nJ, {names}: energy proxy at {TARGET}, counters of those samples times each table "
        "(`python -m sim power` lists them); + of a learned sample over a classification by the "
        "rule none",
        *_published(rows),
        scope(first.work, TARGET),
    ]
    return lines


def _published(rows: Sequence[Row]) -> Iterator[str]:
    """The fitted factors, and the published overheads to hold against ours."""
    for table, factor in _factors(rows).items():
        yield (
            f"table {table}: {factor:.2f} times these energies is the published 313 nJ a "
            "classification for spoon with drtp; fitted, overheads do not change"
        )
    area, power = (published(f"{what} overhead of learning on chip") for what in ("area", "power"))
    yield f"published for the processor: learning on chip takes {power} % power, {area} % area"


def show(rows: Sequence[Row]) -> RenderableType:
    """The tables, a preset each, and their sources."""
    grids: list[RenderableType] = []
    entries = figures(rows)
    for name in dict.fromkeys(row.preset for row in rows):
        grid = Grid(*HEADINGS, title=f"what each rule costs: {name}")
        for column in grid.columns[1:]:
            column.justify = "right"
        for entry in entries:
            if entry["preset"] == name:
                grid.add_row(*_texts(entry))
        grids.append(grid)
    return Group(*grids, *(Text(line) for line in (*sources(rows), *where(rows))))


def where(rows: Sequence[Row]) -> Iterator[str]:
    """Where the area and the energy of learning go, module by module, for drtp over none."""
    for name in dict.fromkeys(row.preset for row in rows):
        chosen = {row.rule: row for row in rows if row.preset == name}
        drtp, none = chosen["drtp"], chosen["none"]
        grown = _grown(drtp.cells, none.cells)
        whole = (drtp.cells.cells_um2 or 0) - (none.cells.cells_um2 or 0)
        parts = ", ".join(f"{module} {area / whole:.0%}" for module, area in grown[:6])
        bits = (drtp.cells.memory_bits or 0) - (none.cells.memory_bits or 0)
        yield (
            f"{name}, drtp over none: cells grow by "
            f"{overhead(drtp.cells.logic_um2, none.cells.logic_um2):.1%} "
            f"({parts} of the growth), memory by {bits:,} bits"
        )


def _grown(after: Synthesis, before: Synthesis) -> list[tuple[str, float]]:
    """Growth of each module's own area, the greatest first."""
    modules = {*after.modules, *before.modules}
    nothing = {"area_um2": 0.0}
    growth = {
        module: after.modules.get(module, nothing)["area_um2"]
        - before.modules.get(module, nothing)["area_um2"]
        for module in modules
    }
    return sorted(growth.items(), key=lambda item: -item[1])


def page(rows: Sequence[Row]) -> str:
    """The tables and their sources as Markdown."""
    entries = figures(rows)
    lines = ["# What each rule costs", "", "Made by `make report-cost`.", ""]
    for name in dict.fromkeys(row.preset for row in rows):
        lines += [f"## {name}", "", f"| {' | '.join(HEADINGS)} |", "|---" * len(HEADINGS) + "|"]
        lines += [f"| {' | '.join(_texts(e))} |" for e in entries if e["preset"] == name]
        lines.append("")
    lines += [f"- {line}" for line in (*sources(rows), *where(rows))]
    return "\n".join(lines) + "\n"


def write(rows: Sequence[Row], folder: Path) -> None:
    """Write cost.json and cost.md into a folder."""
    write_json(folder / "cost.json", {"sources": sources(rows), "rows": figures(rows)})
    write_text(folder / "cost.md", page(rows))


def changes(rows: Sequence[Row], kept: Figures) -> list[str]:
    """What differs from the figures kept by more than its margin."""
    found = [each for row in rows for each in (row.cells, row.fpga)]
    return [
        sentence
        for each in found
        if kept.find(each.name, each.rule, each.target)
        for sentence in kept.changes(each)
    ]

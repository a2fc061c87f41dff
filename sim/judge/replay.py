"""Replay: one sample of a run again, alone, with waves and what crossed every boundary.

The model runs ahead to the sample, within a second; the Verilog starts there from its state. So
a difference late in an epoch is looked at without the epoch. Pauses are drawn anew.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from model.contract.artifact import write_text
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.stages import stage_names
from model.fast.engine import FastChip
from model.state import fresh
from model.trace import Record
from rtl.emit import Emission
from sim.judge.difference import Comparison
from sim.judge.samples import Samples
from sim.judge.segment import Expected
from sim.simulators.bulk import BulkChip

MOST_BEFORE = 7  #: samples that may go before, so that waves stay small
SHOWN_CODES = 6  #: of a row, in a table

_SCOPE = re.compile(r"\$scope \w+ (\S+) \$end|\$upscope \$end|\$var \w+ +\d+ \S+ (.+?) \$end")


@dataclass(frozen=True)
class Crossing:
    """What crossed one boundary for the sample: rows on both sides, and the first that differ."""

    boundary: str
    rows_model: int
    rows_rtl: int
    differs_at: int | None
    model: str
    rtl: str


@dataclass(frozen=True)
class Replay:
    """A sample's way through the chip; `comparison` is of the samples before it, too."""

    sample: int
    crossings: list[Crossing]
    comparison: Comparison
    cycles: int
    waves: Path
    view: Path

    def told(self) -> dict[str, Any]:
        """The same for JSON."""
        first = self.comparison.first
        return {
            "sample": self.sample,
            "crossings": [vars(crossing) for crossing in self.crossings],
            "mismatches": self.comparison.mismatches,
            "first_mismatch": None if first is None else vars(first),
            "cycles": self.cycles,
            "waves": str(self.waves),
            "view": str(self.view),
        }


def replay(
    emission: Emission,
    given: Samples,
    sample: int,
    *,
    simulator: str = "verilator",
    stalls: float = 0.0,
    before: int = 1,
) -> Replay:
    """Run a sample again, and `before` samples ahead of it, with waves.

    Raises `Refusal` where the run has no such sample.
    """
    if not 0 <= sample < len(given):
        raise Refusal(f"the run has samples 0 to {len(given) - 1:,}, and none of number {sample}")
    if not 0 <= before <= MOST_BEFORE:
        raise Refusal(f"0 to {MOST_BEFORE} samples can go before, not {before}")
    config, start = emission.config, max(0, sample - before)
    model = fresh(config, given.seed)
    if start:
        ahead = given.part(slice(0, start))
        FastChip(config, model).run(ahead.images, ahead.labels, ahead.rates, ahead.learns)
    window = given.part(slice(start, sample + 1))
    with BulkChip(emission, simulator, stalls=stalls, seed=given.seed + start, waves=True) as chip:
        chip.load(model)
        seen = chip.run(window.words(config), window.train, window.seed + window.at)
        waves = chip.waves
    assert waves is not None
    expected, comparison = Expected.of(config, model, window), Comparison()
    comparison.traces(expected.trace, seen.trace, start)
    comparison.results(expected.results, seen.results, start)
    crossings = [
        _crossing(name, record, seen.trace.records[name], sample - start)
        for name, record in expected.trace.records.items()
    ]
    view = waves.with_suffix(".gtkw")
    write_text(view, "\n".join(_view(config, waves)) + "\n")
    cycles = seen.cycles_train + seen.cycles_test
    return Replay(sample, crossings, comparison, cycles, waves, view)


def _crossing(name: str, model: Record, rtl: Record, place: int) -> Crossing:
    """One sample's rows at one boundary, side by side."""
    wanted = model[place]
    found = rtl[place] if place < len(rtl) else np.empty((0, wanted.shape[1]), np.int64)
    common = min(len(wanted), len(found))
    unequal = np.flatnonzero((wanted[:common] != found[:common]).any(axis=1))
    at = int(unequal[0]) if len(unequal) else (None if len(wanted) == len(found) else common)
    shown = (_row(rows, at or 0) for rows in (wanted, found))
    return Crossing(name, len(wanted), len(found), at, *shown)


def _row(rows: np.ndarray, at: int) -> str:
    """The codes of a row, cut where they are many."""
    if at >= len(rows):
        return "no row"
    more = " ..." if rows.shape[1] > SHOWN_CODES else ""
    return " ".join(map(str, rows[at, :SHOWN_CODES].tolist())) + more


def _view(config: ChipConfig, waves: Path) -> Iterator[str]:
    """A saved view for GTKWave: the signals of every stage under its name, codes as numbers."""
    yield f'[dumpfile] "{waves}"'
    stages: dict[str, list[str]] = {stage: [] for stage in stage_names(config)}
    for scope, name in _signals(waves):
        stage = scope[-1].partition("[")[0]
        if stage in stages:
            stages[stage].append(".".join([*scope, name]))
    for stage, names in stages.items():
        yield "@200"  # a comment
        yield f"-{stage}"
        yield "@420"  # signed decimal
        yield from names


def _signals(waves: Path) -> Iterator[tuple[tuple[str, ...], str]]:
    """Scope and name of every signal that a VCD file declares."""
    scope: list[str] = []
    with waves.open() as lines:
        for line in lines:
            if "$enddefinitions" in line:
                return
            for found in _SCOPE.finditer(line):
                opened, name = found.groups()
                if opened:
                    scope.append(opened)
                elif name:
                    yield tuple(scope), name.replace(" ", "")
                else:
                    scope.pop()


def table(replayed: Replay) -> Table:
    """One row a boundary: how many rows crossed, and the first that differ, or the first."""
    shown = Table(
        *("boundary", "rows, model", "rows, Verilog", "differs at", "model", "Verilog"),
        title=f"sample {replayed.sample}",
    )
    for one in replayed.crossings:
        place = "" if one.differs_at is None else f"[red]row {one.differs_at}"
        rows = str(one.rows_model), str(one.rows_rtl)
        shown.add_row(one.boundary, *rows, place, one.model, one.rtl)
    return shown

"""Replay: one sample of a run again, alone, with waves and what crossed every boundary.

The model runs ahead to the sample, within a second; the Verilog starts there from its state. So
a difference late in an epoch is looked at without the epoch. Pauses are drawn anew.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.fast.engine import FastChip
from model.state import State, fresh
from model.trace import Record
from rtl.emit import Emission, emit, emit_processes
from sim.judge import waves
from sim.judge.difference import Comparison
from sim.judge.samples import Samples
from sim.judge.segment import Expected, cut, version
from sim.judge.waves import Recording, Views
from sim.simulators import cosim
from sim.simulators.bulk import BulkChip
from sim.simulators.compiled import BUILD
from sim.simulators.observed import Passed

MOST_BEFORE = 7  #: samples that may go before, so that waves stay small
SHOWN_CODES = 6  #: of a row, in a table


@dataclass(frozen=True)
class Crossing:
    """What crossed one boundary for the sample: rows on both sides, and the first that differ."""

    boundary: str
    rows_model: int
    rows_rtl: int
    differs_at: int | None
    model: str
    rtl: str
    cycles: tuple[int, int] | None  #: of the first row in Verilog and the last


@dataclass(frozen=True)
class Step:
    """A row that crossed a boundary for the sample, on both sides; `cycle` is that of Verilog."""

    cycle: int | None
    boundary: str
    row: int
    model: str
    rtl: str


@dataclass(frozen=True)
class Replay:
    """A sample's way through the chip; `comparison` is of the samples before it, too.

    Cycles are counted from the first event of those.
    """

    sample: int
    crossings: list[Crossing]
    steps: list[Step]
    comparison: Comparison
    cycles: int
    views: Views

    def told(self) -> dict[str, Any]:
        """The same for JSON."""
        first = self.comparison.first
        return {
            "sample": self.sample,
            "crossings": [vars(crossing) for crossing in self.crossings],
            "mismatches": self.comparison.mismatches,
            "first_mismatch": None if first is None else vars(first),
            "cycles": self.cycles,
            "waves": str(self.views.waves),
            "gtkwave": str(self.views.gtkwave),
            "surfer": str(self.views.surfer),
        }


def replay(
    emission: Emission,
    given: Samples,
    sample: int,
    *,
    simulator: str = "verilator",
    stalls: float = 0.0,
    before: int = 1,
    from_seam: bool = False,
    keep_vcd: bool = False,
) -> Replay:
    """Run a sample again, and `before` samples ahead of it, with waves, also as VCD if asked.

    The Verilog starts from the model's state; with `from_seam` from what it holds itself when it
    comes there from the last seam, for a fault that is stored before it shows.
    Raises `Refusal` where the run has no such sample.
    """
    if not 0 <= sample < len(given):
        raise Refusal(f"the run has samples 0 to {len(given) - 1:,}, and none of number {sample}")
    if not 0 <= before <= MOST_BEFORE:
        raise Refusal(f"0 to {MOST_BEFORE} samples can go before, not {before}")
    config, start = emission.config, max(0, sample - before)
    model = fresh(config, given.seed)
    seam = _seam(given, start) if from_seam else start
    held = _ahead(config, model, given.part(slice(0, seam))).copy()
    if from_seam:
        held = _held(emission, held, given.part(slice(seam, start)), stalls)
    _ahead(config, model, given.part(slice(seam, start)))
    window = given.part(slice(start, sample + 1))
    place = BUILD / "waves" / f"{config.name}-{simulator}-{sample}.fst"
    seen, vcd = _record(emission, held, window, simulator, stalls)
    recording = waves.record(emission, vcd, start)
    views = waves.write(config, recording, place, f"{simulator} {version(simulator)}")
    if keep_vcd:
        vcd.replace(place.with_suffix(".vcd"))
    else:
        vcd.unlink()
    expected, comparison = Expected.of(config, model, window), Comparison()
    comparison.traces(expected.trace, seen.trace, start)
    comparison.results(expected.results, seen.results, start)
    sides = [
        _Sides(name, record[sample - start], _rows(seen.trace.records[name], sample - start))
        for name, record in expected.trace.records.items()
    ]
    crossings = [_crossing(side, recording, sample) for side in sides]
    steps = [step for side in sides for step in _steps(side, recording, sample)]
    steps.sort(key=lambda step: np.inf if step.cycle is None else step.cycle)
    cycles = seen.cycles_train + seen.cycles_test
    return Replay(sample, crossings, steps, comparison, cycles, views)


def _seam(given: Samples, sample: int) -> int:
    """The last seam that is not behind a sample."""
    return max(piece.at for piece in cut(given) if piece.at <= sample)


def _ahead(config: ChipConfig, model: State, given: Samples) -> State:
    """The model's state, gone on by some samples."""
    if len(given):
        FastChip(config, model).run(given.images, given.labels, given.rates, given.learns)
    return model


def _held(emission: Emission, start: State, given: Samples, stalls: float) -> State:
    """What the Verilog holds after some samples, by the simulation that a verification compiled."""
    if not len(given):
        return start
    fast = emit_processes(emission.config)
    compiled = fast if emission is emit(emission.config) else emission
    with BulkChip(compiled, "verilator", stalls=stalls, seed=given.seed, logging=False) as chip:
        chip.load(start)
        chip.run(given.words(emission.config), given.train, given.seed + given.at)
        return chip.state()


def _record(
    emission: Emission, held: State, window: Samples, simulator: str, stalls: float
) -> tuple[Passed, Path]:
    """Some samples through the Verilog from a state: what was seen, and a VCD file."""
    config, words, seed = emission.config, window.words(emission.config), window.seed + window.at
    if simulator == "icarus":
        place = BUILD / "replay" / f"{config.name}-{config.sha256[:16]}"
        seen: Passed = cosim.observe_emission(
            emission, words, window.train, held, stalls, seed, simulator, True, place
        )
        return seen, BUILD / "waves" / f"{config.name}-{simulator}.vcd"
    with BulkChip(emission, simulator, stalls=stalls, seed=seed, waves=True) as chip:
        chip.load(held)
        passed = chip.run(words, window.train, seed)
        vcd = chip.waves
    assert vcd is not None
    return passed, vcd


@dataclass(frozen=True)
class _Sides:
    """The rows of a sample at one boundary, in the model and in Verilog."""

    boundary: str
    model: np.ndarray
    rtl: np.ndarray

    @property
    def differ_at(self) -> int | None:
        """The first row that differs."""
        common = min(len(self.model), len(self.rtl))
        unequal = np.flatnonzero((self.model[:common] != self.rtl[:common]).any(axis=1))
        if len(unequal):
            return int(unequal[0])
        return None if len(self.model) == len(self.rtl) else common

    def shown(self, at: int) -> tuple[str, str]:
        """One row of either side."""
        return _row(self.model, at), _row(self.rtl, at)


def _rows(record: Record, place: int) -> np.ndarray:
    """A sample's rows; none where the Verilog gave none."""
    return record[place] if place < len(record) else np.empty((0, len(record.columns)), np.int64)


def _cycles(side: _Sides, recording: Recording, sample: int) -> list[int]:
    """The cycle of each row in Verilog."""
    beats = recording.beats[side.boundary]
    return beats.cycles[beats.samples == sample].tolist()


def _crossing(side: _Sides, recording: Recording, sample: int) -> Crossing:
    """One sample's rows at one boundary, side by side."""
    at, cycles = side.differ_at, _cycles(side, recording, sample)
    lasted = (cycles[0], cycles[-1]) if cycles else None
    counts = len(side.model), len(side.rtl)
    return Crossing(side.boundary, *counts, at, *side.shown(at or 0), lasted)


def _steps(side: _Sides, recording: Recording, sample: int) -> Iterator[Step]:
    """One sample's rows at one boundary, each with its cycle."""
    cycles = _cycles(side, recording, sample)
    for at in range(max(len(side.model), len(side.rtl))):
        cycle = cycles[at] if at < len(cycles) else None
        yield Step(cycle, side.boundary, at, *side.shown(at))


def _row(rows: np.ndarray, at: int) -> str:
    """The codes of a row, cut where they are many."""
    if at >= len(rows):
        return "no row"
    more = " ..." if rows.shape[1] > SHOWN_CODES else ""
    return " ".join(map(str, rows[at, :SHOWN_CODES].tolist())) + more


def of_stage(steps: list[Step], stage: str | None) -> list[Step]:
    """The steps at the boundaries of a stage, or all. Raises `Refusal` where there is no such."""
    stages = list(dict.fromkeys(step.boundary.partition(".")[0] for step in steps))
    if stage is not None and stage not in stages:
        raise Refusal(f"the sample crosses {', '.join(stages)}, and no {stage}")
    return [step for step in steps if stage in (None, step.boundary.partition(".")[0])]


def way(steps: Sequence[Step], sample: int) -> Table:
    """A sample's way through the chip, row by row, as it crosses in Verilog."""
    shown = Table("cycle", "boundary", "row", "model", "Verilog", title=f"sample {sample}")
    for step in steps:
        cycle = "" if step.cycle is None else f"{step.cycle:,}"
        mark = "" if step.model == step.rtl else "[red]"
        shown.add_row(cycle, step.boundary, str(step.row), step.model, mark + step.rtl)
    return shown


def table(replayed: Replay) -> Table:
    """One row a boundary: how many rows crossed, and the first that differ, or the first."""
    shown = Table(
        *("boundary", "cycles", "rows, model", "rows, Verilog", "differs at", "model", "Verilog"),
        title=f"sample {replayed.sample}",
    )
    for one in replayed.crossings:
        place = "" if one.differs_at is None else f"[red]row {one.differs_at}"
        rows = str(one.rows_model), str(one.rows_rtl)
        cycles = "" if one.cycles is None else f"{one.cycles[0]:,} to {one.cycles[1]:,}"
        shown.add_row(one.boundary, cycles, *rows, place, one.model, one.rtl)
    return shown

"""Recordings through a camera's bus into a chip's Verilog, beside the reader and the model.

What the chip takes in must be what the reader gives, event by event; where the chip is too slow,
what is missing must be what it counts as dropped. Of what came in the model must make what the
Verilog makes: every boundary, result, bank and counter.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from model.arith import Codes, Words
from model.chip import PlainChip
from model.contract import event
from model.contract.choices import Coding
from model.contract.config import ChipConfig
from model.contract.event import LOST, WINDOW, Event, Mark, pack_event, pack_mark
from model.contract.refusal import Refusal
from model.contract.result import Verdict, pack_verdict, unpack
from model.network import totals
from model.sensor.recording import Events
from model.state import State
from model.trace import Trace
from rtl.emit import emit
from sim.benches import camera as bench
from sim.judge.difference import Comparison
from sim.simulators.compiled import BUILD
from sim.simulators.cosim import job_of, observe_job

LABEL = pack_mark(Mark(0, learn=False))


@dataclass(frozen=True)
class Way:
    """How recordings are played: clock of the chip, length of a window, and in what."""

    simulator: str
    clock_hz: float = 1e6
    window_us: int = 105_000
    folder: Path = BUILD / "camera"

    def cycle(self, time_us: int) -> int:
        """The cycle of a time."""
        return round(time_us * self.clock_hz / 1e6)


@dataclass(frozen=True)
class Seen:
    """One recording: events sent, taken in and counted as dropped; both classes."""

    name: str
    sent: int
    accepted: int
    model: int
    verilog: int

    @property
    def lost(self) -> int:
        """Events that were not taken in."""
        return self.sent - self.accepted


@dataclass(frozen=True)
class Played:
    """All recordings, what was compared, and what it took."""

    seen: list[Seen]
    found: Comparison
    way: Way
    cycles: int
    late_cycles: int  #: by which the latest event was asked for after its time
    event_cycles: int  #: that the chip takes for an event

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        first = self.found.first
        return {
            "recordings": [vars(one) | {"lost": one.lost} for one in self.seen],
            "simulator": self.way.simulator,
            "clock_hz": self.way.clock_hz,
            "stated_events_per_second": self.way.clock_hz / self.event_cycles,
            "compared_values": self.found.compared,
            "mismatches": self.found.mismatches,
            "first_mismatch": None if first is None else vars(first),
            "cycles": self.cycles,
            "late_cycles": self.late_cycles,
        }


def cut(events: Events, config: ChipConfig, way: Way, name: str) -> Events:
    """A recording's events from time 0 on, as far as the chip's windows go.

    Raises `Refusal` where a pixel is none of the chip's.
    """
    events = events.copy()
    events["t"] -= events["t"].min()
    events = events[events["t"] < config.windows * way.window_us]
    outside = (events["x"] >= config.width) | (events["y"] >= config.height)
    if outside.any():
        x, y = (int(events[field][outside.argmax()]) for field in "xy")
        raise Refusal(
            f"{name} has an event at {x}, {y}, outside the {config.width} x {config.height} pixels "
            f"of {config.name}; crop it"
        )
    return events[np.argsort(events["t"], kind="stable")]


def play(config: ChipConfig, state: State, recordings: dict[str, Events], way: Way) -> Played:
    """Play recordings, one sample each, into a chip of that state, and compare.

    Raises `Refusal` for a chip whose events tell brightness by time, an event that lies outside,
    and where events are lost of a chip of several windows, which does not tell of which.
    """
    if config.coding is not Coding.COUNT:
        raise Refusal(f"{config.name} takes time to first spike; choose a chip that counts events")
    parts = {name: cut(events, config, way, name) for name, events in recordings.items()}
    tick = max(1, way.cycle(way.window_us) >> event.TIME_BITS)
    emission = emit(config, tick=tick)
    job = job_of(config, state, 0.0, 0)
    job["recordings"] = [_recording(config, events, way) for events in parts.values()]
    place = way.folder / f"{config.name}-{config.sha256[:16]}"
    (seen,), findings = observe_job(emission, job, bench.__name__, way.simulator, False, place)

    found, trace = Comparison(), Trace.of(config)
    chip = PlainChip(config, state.copy(), trace)
    record = seen.trace.records["encode.events"]
    told, results = [], []
    for number, (name, events) in enumerate(parts.items()):
        rows = record[number]
        kept = _taken(config, events, rows, name)
        given = chip.take(_words(config, kept, len(events) - len(kept), way))
        assert given is not None  # no sample is aborted
        scores, verdict = given
        results.append(np.append(scores, pack_verdict(verdict)).astype(np.uint32))
        decided = unpack(int(seen.results[number][-1]))
        assert isinstance(decided, Verdict)  # the bench waits for one a recording
        told.append(Seen(name, len(events), len(rows), verdict.label, decided.label))
    last = len(parts) - 1
    found.traces(trace, seen.trace)
    found.results(results, seen.results)
    found.states(chip.state, seen.state, last)
    found.counters(totals(config, chip.counts) if config.counters else {}, seen.counters, last)
    shape = config.conv_shapes[0]
    return Played(
        told, found, way, seen.cycles_test, findings["late"], shape.groups * len(shape.window)
    )


def _recording(config: ChipConfig, events: Events, way: Way) -> dict[str, list[list[int]]]:
    """What the bench plays: a mark at the end of each window."""
    fields = (events[name].tolist() for name in ("x", "y", "p", "t"))
    ends = [way.cycle((window + 1) * way.window_us) for window in range(config.windows)]
    words = [pack_mark(WINDOW)] * (config.windows - 1) + [LABEL]
    return {
        "events": [[x, y, p, way.cycle(t)] for x, y, p, t in zip(*fields, strict=True)],
        "words": [list(pair) for pair in zip(words, ends, strict=True)],
    }


def _taken(config: ChipConfig, events: Events, rows: Codes, name: str) -> Events:
    """The events that rows of the chip's door are, in the reader's order; others are no such row.

    Raises `Refusal` where some are missing of a chip of several windows.
    """
    taken, place = np.zeros(len(events), bool), 0
    pixels = _recorded(config, events)
    for row in rows[:, :3].tolist():
        while place < len(pixels) and pixels[place] != row:
            place += 1
        if place < len(pixels):
            taken[place] = True
            place += 1
    if config.windows > 1 and not taken.all():
        raise Refusal(
            f"{name}: {len(events) - taken.sum()} events were lost, and {config.name} does not "
            f"tell of which window; give a faster clock"
        )
    return events[taken]


def _recorded(config: ChipConfig, events: Events) -> list[list[int]]:
    """Events as the chip takes them: x, y, channel."""
    channel = events["p"] if config.channels > 1 else np.zeros(len(events), np.uint8)
    return np.stack([events["x"], events["y"], channel], axis=1).tolist()


def _words(config: ChipConfig, taken: Events, lost: int, way: Way) -> Words:
    """The words of a sample: its events with a mark between windows, those lost, its mark."""
    words = [pack_event(Event(x, y, channel, 0)) for x, y, channel in _recorded(config, taken)]
    ends = np.arange(1, config.windows) * way.window_us
    for end in np.searchsorted(taken["t"], ends)[::-1]:
        words.insert(int(end), pack_mark(WINDOW))
    return np.array([*words, *[LOST] * lost, LABEL], np.uint32)


def table(played: Played) -> Table:
    """A row a recording."""
    title = f"by the camera's bus at {played.way.clock_hz / 1e6:g} MHz in {played.way.simulator}"
    shown = Table("recording", "events", "taken in", "lost", "model", "Verilog", title=title)
    for one in played.seen:
        numbers = (one.sent, one.accepted, one.lost, one.model, one.verilog)
        shown.add_row(one.name, *(f"{number:,}" for number in numbers))
    return shown

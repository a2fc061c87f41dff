"""Waves to look at: what simulators record as VCD becomes a small FST file and saved views of it.

Beside the chip's own signals, without the nameless ones of synthesis, stands every boundary with
its fields apart, in the cycles in which something crosses. Views, for GTKWave and for Surfer, group
by stage, show codes as signed numbers and states by their names.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.contract.artifact import write_text
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.stages import HEAD_BITS, Boundary, boundaries, stage_names
from rtl.emit import Emission
from sim.simulators import fst
from sim.simulators.fst import Changes, Wave

BOUNDARIES = "boundaries"  #: scope of what crosses
CLOCK = "clk"
DRIVEN = (CLOCK, "rst")  #: that every stage has and no view needs

# Formats of GTKWave's save files: flags of a signal.
UNSIGNED, SIGNED, NAMED, GROUP, END = "@24", "@420", "@2028", "@800200", "@1000200"

Names = tuple[str, ...]

_DECLARED = re.compile(
    r"\$scope \w+ (?P<scope>\S+) \$end|(?P<up>\$upscope) \$end"
    r"|\$var \w+ +(?P<bits>\d+) (?P<id>\S+) (?P<name>\S+).*? \$end"
)
_MODULE = re.compile(r"^module \\?(\S+) ?\((.*?)^endmodule", re.MULTILINE | re.DOTALL)
_SIGNED = re.compile(
    r"^  (?:input |output )?(?:reg |wire )?signed (?:\[\d+:0\] )?(\w+)", re.MULTILINE
)
_MACHINE = re.compile(r"^  reg \[\d+:0\] ((\w+)_state) = [A-Z]\w*;$", re.MULTILINE)
_STATE = re.compile(r"^  localparam \[\d+:0\] (\w+) = \d+'h(\w+);$", re.MULTILINE)


@dataclass(frozen=True)
class Beats:
    """What crossed a boundary: the cycle of each row, and the number of the sample it is of."""

    cycles: NDArray[np.int64]
    samples: NDArray[np.int64]


@dataclass(frozen=True)
class Recording:
    """Signals of some samples; cycles are counted from the first that crosses anywhere."""

    waves: list[Wave]
    beats: dict[str, Beats]  #: by the names of boundaries


def record(emission: Emission, vcd: Path, first: int) -> Recording:
    """What a VCD file of a chip shows, from the first beat on; `first` numbers its first sample.

    Raises `Refusal` where no clock or no monitor stands in it.
    """
    states, signed = _told(emission.verilog)
    waves = [
        replace(wave, states=states.get(path, {}), signed=path in signed)
        for wave, path in ((wave, _below(wave, emission.top)) for wave in read(vcd))
    ]
    ports = {wave.name: wave for wave in waves}
    for name in (CLOCK, *(boundary.port for boundary in boundaries(emission.config))):
        if name not in ports:
            raise Refusal(f"{vcd} shows no {name}; record the chip's own top")
    edges = np.array([time for time, value in ports[CLOCK].changes if value == "1"])
    shown = {b.name: _shown(ports[b.port], edges) for b in boundaries(emission.config)}
    crossing = [cycle for beats in shown.values() for cycle, _ in beats]
    if not crossing:
        raise Refusal(f"{vcd} shows nothing that crosses; record a sample")
    start = max(min(crossing) - 1, 0)
    kept = [_clipped(wave, int(edges[start])) for wave in waves]
    found: dict[str, Beats] = {}
    for boundary in boundaries(emission.config):
        beats = shown[boundary.name]
        found[boundary.name] = _beats(beats, start, first)
        kept += _fields(boundary, beats, edges, first)
    return Recording(_sharing(kept), found)


def read(vcd: Path) -> Iterator[Wave]:
    """The signals that have a name in a VCD file; a parameter is none."""
    head, _, body = vcd.read_text().partition("$enddefinitions $end\n")
    scopes: list[str] = []
    declared: dict[str, list[Wave]] = {}
    changes: dict[str, Changes] = {}
    for found in _DECLARED.finditer(head):
        if found["scope"]:
            scopes.append(found["scope"])
        elif found["up"]:
            scopes.pop()
        elif not found["name"].startswith("_") and not found["name"].isupper():
            shared = changes.setdefault(found["id"], [])
            wave = Wave(tuple(scopes), found["name"].partition("[")[0], int(found["bits"]), shared)
            declared.setdefault(found["id"], []).append(wave)
    _fill(body, {name: (changes[name], waves[0].bits) for name, waves in declared.items()})
    for waves in declared.values():
        yield from waves


def _below(wave: Wave, top: str) -> Names:
    """A signal's path below the chip's top, whatever a simulator puts above."""
    path = (*wave.scopes, wave.name)
    return path[path.index(top) + 1 :] if top in path else path


def _fill(body: str, signals: dict[str, tuple[Changes, int]]) -> None:
    """Note every change of some signals."""
    time = 0
    for line in body.splitlines():
        if not line:
            continue
        kind = line[0]
        if kind == "#":
            time = int(line[1:])
        elif kind == "b":
            value, _, name = line[1:].partition(" ")
            if name in signals:
                changes, bits = signals[name]
                pad = value[0] if value[0] in "xz" else "0"
                changes.append((time, value.rjust(bits, pad)))
        elif kind in "01xz" and line[1:] in signals:
            signals[line[1:]][0].append((time, kind))


def _told(verilog: str) -> tuple[dict[Names, dict[int, str]], set[Names]]:
    """Names of states, and which signals have a sign, by paths below the top: the text tells."""
    states: dict[Names, dict[int, str]] = {}
    signed: set[Names] = set()
    for module, body in _MODULE.findall(verilog):
        within = tuple(module.split(".")[1:])
        signed |= {(*within, name) for name in _SIGNED.findall(body)}
        named = {state: int(value, 16) for state, value in _STATE.findall(body)}
        for name, machine in _MACHINE.findall(body):
            start = f"{machine.upper()}_"
            states[*within, name] = {
                value: state.removeprefix(start)
                for state, value in named.items()
                if state.startswith(start)
            }
    return states, signed


def _shown(port: Wave, edges: NDArray[np.int64]) -> list[tuple[int, str]]:
    """Number of the cycle and bits of every beat of a monitor, as it was before the edge."""
    if not port.changes:
        return []
    times = np.array([time for time, _ in port.changes])
    at = np.searchsorted(times, edges, side="left") - 1
    live = np.array([value[-1] == "1" for _, value in port.changes])
    cycles = np.flatnonzero((at >= 0) & live[np.maximum(at, 0)])
    return [(int(cycle), port.changes[at[cycle]][1]) for cycle in cycles]


def _beats(shown: Sequence[tuple[int, str]], start: int, first: int) -> Beats:
    """Cycles and samples of the rows among beats."""
    ends = np.array([value[-2] == "1" for _, value in shown], dtype=bool)
    cycles = np.array([cycle for cycle, _ in shown], dtype=np.int64) - start
    samples = first + np.cumsum(ends) - ends
    return Beats(cycles[~ends], samples[~ends])


def _fields(
    boundary: Boundary, shown: Sequence[tuple[int, str]], edges: NDArray[np.int64], first: int
) -> Iterator[Wave]:
    """A boundary's fields as signals, high impedance where nothing crosses; its sample's number."""
    scopes = (BOUNDARIES, boundary.stage)
    at = HEAD_BITS
    for field in boundary.fields:
        for lane in range(field.lanes):
            bits = field.code.bits
            changes = _crossing(shown, edges, boundary.port_bits, at, bits)
            name = f"{boundary.record}_{field.name}{lane if field.lanes > 1 else ''}"
            yield Wave(scopes, name, bits, changes, signed=field.code.signed)
            at += bits
    number, changes = first, [(int(edges[0]), f"{first:032b}")]
    for cycle, value in shown:
        if value[-2] == "1":
            number += 1
            changes.append((int(edges[cycle]), f"{number:032b}"))
    yield Wave(scopes, f"{boundary.record}_sample", 32, changes)


def _crossing(
    shown: Sequence[tuple[int, str]], edges: NDArray[np.int64], width: int, at: int, bits: int
) -> Changes:
    """One field of every row, in the cycle before the edge at which it crosses."""
    nothing = "z" * bits
    changes: Changes = [(int(edges[0]), nothing)]
    for cycle, value in shown:
        since, until = int(edges[cycle - 1]) if cycle else int(edges[0]), int(edges[cycle])
        if changes[-1][0] == since:
            changes.pop()
        code = nothing if value[-2] == "1" else value[width - at - bits : width - at]
        changes += [(since, code), (until, nothing)]
    return changes


def _clipped(wave: Wave, start: int) -> Wave:
    """A wave from a time on: what it was before stands at that time."""
    before = [value for time, value in wave.changes if time <= start]
    after = [(time, value) for time, value in wave.changes if time > start]
    changes = [(start, before[-1]), *after] if before else after
    return replace(wave, changes=changes)


def _sharing(waves: list[Wave]) -> list[Wave]:
    """The same waves; those that change alike share their changes."""
    known: dict[tuple[tuple[int, str], ...], Changes] = {}
    return [
        replace(wave, changes=known.setdefault(tuple(wave.changes), wave.changes)) for wave in waves
    ]


# -- views ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Views:
    """What was written: the waves, and a saved view of them for either viewer."""

    waves: Path
    gtkwave: Path
    surfer: Path


def write(config: ChipConfig, recording: Recording, path: Path, program: str) -> Views:
    """Write the waves and the views of them beside each other; `path` is that of the waves."""
    fst.write(path, recording.waves, program)
    views = Views(path, path.with_suffix(".gtkw"), path.with_suffix(".sucl"))
    groups = {stage: _of_stage(recording.waves, stage) for stage in stage_names(config)}
    write_text(views.gtkwave, "\n".join(_for_gtkwave(groups, path)) + "\n")
    write_text(views.surfer, "\n".join(_for_surfer(groups)) + "\n")
    return views


def _of_stage(waves: Sequence[Wave], stage: str) -> list[Wave]:
    """A stage's boundaries, the states below it, and its own signals."""
    crossing = [wave for wave in waves if wave.scopes == (BOUNDARIES, stage)]
    below = [wave for wave in waves if stage in wave.scopes and wave.scopes[0] != BOUNDARIES]
    named = [wave for wave in below if wave.states]
    own = [w for w in below if w.scopes[-1] == stage and not w.states and w.name not in DRIVEN]
    return crossing + named + own


def _for_gtkwave(groups: dict[str, list[Wave]], path: Path) -> Iterator[str]:
    yield f'[dumpfile] "{path}"'
    for stage, waves in groups.items():
        yield from (GROUP, f"-{stage}")
        for wave in waves:
            if wave.states:
                names = path.with_name(f"{path.stem}.{wave.path}.states")
                lines = (f"{value:0{wave.bits}b} {name}" for value, name in wave.states.items())
                write_text(names, "\n".join(lines) + "\n")
                yield from (NAMED, f"^1 {names}")
            else:
                yield SIGNED if wave.signed else UNSIGNED
            yield wave.path + (f"[{wave.bits - 1}:0]" if wave.bits > 1 else "")
        yield from (END, f"-{stage}")


def _for_surfer(groups: dict[str, list[Wave]]) -> Iterator[str]:
    for stage, waves in groups.items():
        yield f"divider_add {stage}"
        for wave in waves:
            yield f"variable_add {wave.path}"
            if wave.bits > 1 and not wave.states:
                yield f"item_set_format {'Signed' if wave.signed else 'Unsigned'}"
    yield "zoom_fit"

"""Activity check: does the energy proxy move as the nets of the hardware do?

The same few samples go through the Verilog and through the mapped netlist, with fewer or more
pixels that fire, learned or only classified. Every toggle of every net is counted from the waves,
and the proxy's energies for the same samples are correlated with them. Memories are outside on the
side of the toggles (only their ports are nets), so the proxy's logic alone is correlated too.
"""

import csv
import dataclasses
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.contract.artifact import write_text
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.stages import stage_names
from model.cost.actions import Part
from model.cost.proxy import bill
from model.cost.tables import TABLES
from model.data import Dataset
from model.fast.engine import FastChip
from model.network import plan, totals
from model.sensor.image import sample_words
from model.state import State, fresh
from rtl.emit import Emission, emit
from sim.silicon.netlist import netlist
from sim.silicon.synth import Progress
from sim.simulators.bulk import BulkChip

TRAINED = 500  #: samples that the chip has learned before
SAMPLES = 2  #: of each point; recorded to the end of their learning
SHARES = (0.05, 0.15, 0.3, 0.6, 1.0)  #: of the pixels that stay; the others go dark
DRAWS = 2  #: points of each share, learning and not

KINDS: dict[str, Callable[[ChipConfig], Emission]] = {"rtl": emit, "gates": netlist}

#: Pins of standard cells that drive a net, each of which counts once.
DRIVERS = frozenset({"Y", "YS", "YC", "Q"})


@dataclass(frozen=True)
class Toggles:
    """Toggles by stage ("rest" for what lies outside all), cycles, and the clock's period."""

    by_stage: dict[str, int]
    cycles: int
    period: str

    @property
    def all(self) -> int:
        """Toggles of all nets."""
        return sum(self.by_stage.values())


@dataclass(frozen=True)
class Point:
    """One run: what was fed, what toggled, and what the proxy says in pJ, by table."""

    kind: str
    share: float
    draw: int
    learn: bool
    events: int
    toggles: Toggles
    energy_pj: dict[str, float]
    logic_pj: dict[str, float]

    def row(self) -> dict[str, Any]:
        """The point as a row of the CSV."""
        return {
            "kind": self.kind,
            "share": self.share,
            "draw": self.draw,
            "learn": int(self.learn),
            "samples": SAMPLES,
            "events": self.events,
            "cycles": self.toggles.cycles,
            "period": self.toggles.period,
            **{f"toggles_{stage}": count for stage, count in self.toggles.by_stage.items()},
            "toggles": self.toggles.all,
            **{f"{table}_pj": round(energy, 4) for table, energy in self.energy_pj.items()},
            **{f"{table}_logic_pj": round(energy, 4) for table, energy in self.logic_pj.items()},
        }


def measure(
    config: ChipConfig, data: Dataset, seed: int, progress: Progress = lambda step: None
) -> list[Point]:
    """Points of the Verilog, then of the netlist, over sparsity and learning.

    Raises `Refusal` where a tool is missing or the data does not fit the chip.
    """
    plain = dataclasses.replace(config, counters=False)  # its toggles are no part of a product
    state = _trained(plain, data, seed)
    points = []
    for kind, make in KINDS.items():
        emission = make(plain)
        for share, draw, learn in _plan():
            progress(f"{kind}: {share:.0%} of the pixels{', learning' if learn else ''}")
            rng = np.random.default_rng([seed, draw, round(1000 * share)])
            chosen = rng.choice(len(data.y_test), SAMPLES, replace=False)
            images = data.x_test[chosen] * (rng.random(data.x_test[chosen].shape) < share)
            given = images.astype(np.uint8), data.y_test[chosen]
            with BulkChip(emission, "verilator", logging=False, waves=True, brief=True) as chip:
                chip.load(state)
                words = [
                    sample_words(plain, image, int(label), learn)
                    for image, label in zip(*given, strict=True)
                ]
                chip.observe(np.concatenate(words), SAMPLES if learn else 0)
            if chip.waves is None:
                raise AssertionError("waves were asked for")
            found = toggles(chip.waves, stage_names(plain), kind == "gates")
            if not found.all:
                raise Refusal(f"{chip.waves} shows no toggle: its correlation would be none")
            points.append(_point(plain, state, given, kind, share, draw, learn, found))
    return points


def _plan() -> Iterator[tuple[float, int, bool]]:
    for share in SHARES:
        for draw in range(DRAWS):
            for learn in (False, True):
                yield share, draw, learn


def _trained(config: ChipConfig, data: Dataset, seed: int) -> State:
    count = min(TRAINED, len(data.y_train))
    order, rates = plan(config, count, 1, seed)
    chip = FastChip(config, fresh(config, seed))
    chip.run(data.x_train[order], data.y_train[order], rates, True)
    return chip.state


def _point(
    config: ChipConfig,
    state: State,
    given: tuple[np.ndarray, np.ndarray],
    kind: str,
    share: float,
    draw: int,
    learn: bool,
    found: Toggles,
) -> Point:
    images, labels = given
    chip = FastChip(config, state.copy())
    chip.run(images, labels, np.zeros(len(labels), np.int64), learn)
    counts = totals(config, chip.counts)
    bills = [bill(config, counts, SAMPLES if learn else 0, table) for table in TABLES]
    return Point(
        kind,
        share,
        draw,
        learn,
        counts["encode.events"],
        found,
        {priced.table: priced.total_pj() for priced in bills},
        {priced.table: priced.total_pj() - priced.total_pj(part=Part.MEMORY) for priced in bills},
    )


def correlation(points: list[Point], kind: str, table: str, logic: bool) -> float:
    """Pearson's coefficient of the proxy and of all toggles, over the points of one kind."""
    chosen = [point for point in points if point.kind == kind]
    energies = [(p.logic_pj if logic else p.energy_pj)[table] for p in chosen]
    return float(np.corrcoef(energies, [point.toggles.all for point in chosen])[0, 1])


def told(points: list[Point]) -> Iterator[str]:
    """The correlations, a sentence each."""
    for kind in KINDS:
        count = sum(point.kind == kind for point in points)
        period = points[0].toggles.period
        for priced in TABLES:
            whole, logic = (correlation(points, kind, priced.name, only) for only in (False, True))
            yield (
                f"{kind}: proxy by {priced.name} and toggles of all nets correlate by {whole:.3f}, "
                f"its arithmetic and registers alone by {logic:.3f} ({count} points, clock period "
                f"{period})"
            )


def table(points: list[Point]) -> str:
    """All points as CSV."""
    rows = [point.row() for point in points]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def keep(points: list[Point], path: Path) -> None:
    """Write all points as CSV."""
    write_text(path, table(points))


# Counting toggles


def toggles(waves: Path, stages: tuple[str, ...], drivers_only: bool) -> Toggles:
    """Toggles of every net in a VCD file, each bit of each net counted once.

    Nets are told apart by their code, which all names of a net share. Contents of memories are no
    nets. `drivers_only` counts the outputs of standard cells alone: the nets of a netlist, which is
    flat, so all of it is "rest".
    """
    header, _, body = waves.read_bytes().partition(b"$enddefinitions $end\n")
    nets = _nets(header.decode(), stages, drivers_only)
    # The first moment holds the values at the start: no toggles.
    moments = [match.start() for match in re.finditer(rb"^#", body, re.MULTILINE)]
    first, rest = body[: moments[1]], body[moments[1] :]
    places = ("rest",) if drivers_only else (*stages, "rest")
    counted: Counter[str] = Counter(dict.fromkeys(places, 0))
    values: dict[bytes, int] = {}
    for line in first.splitlines():
        if line[:1] == b"b":
            value, code = line[1:].split()
            values[code] = int(value, 2)
    scalars: Counter[bytes] = Counter()
    for line in rest.splitlines():
        head = line[:1]
        if head == b"b":
            value, code = line[1:].split()
            if code in nets:
                after = int(value, 2)
                counted[nets[code]] += (values.get(code, 0) ^ after).bit_count()
                values[code] = after
        elif head in b"01":
            scalars[line[1:]] += 1
    for code, count in scalars.items():
        if code in nets:
            counted[nets[code]] += count
    times = [int(body[at + 1 : body.index(b"\n", at)]) for at in moments]
    scale = re.search(r"\$timescale\s+(\S+)\s+\$end", header.decode())
    period = f"{2 * (times[1] - times[0])} x {scale[1] if scale else '?'}"
    return Toggles(dict(counted), len(times) // 2, period)


def _nets(header: str, stages: tuple[str, ...], drivers_only: bool) -> dict[bytes, str]:
    """Code of each net -> its stage."""
    scopes: list[str] = []
    nets: dict[bytes, str] = {}
    for kind, text in re.findall(r"\$(scope|upscope|var)\s+(.*?)\$end", header, re.DOTALL):
        if kind == "scope":
            scopes.append(text.split()[1])
        elif kind == "upscope":
            scopes.pop()
        else:
            _, _, code, name = text.split()[:4]
            if name in ("clk", "CLK", "C") or any("words" in part for part in (*scopes, name)):
                continue
            if drivers_only and name not in DRIVERS:
                continue
            parts = ".".join(scopes).split(".")
            nets.setdefault(code.encode(), next((s for s in stages if s in parts), "rest"))
    return nets

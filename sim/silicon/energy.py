"""What a sample costs on gates: a mapped chip, real samples, every toggle, tables of the library.

Samples are drawn from a whole training, from three parts of it (the first 500, up to 5,000, the
rest), so that one run tells the curve: each starts from the state in which training met it, and is
learned in one lane and only classified in another. Each lane must give the model's class and end in
the model's state, or nothing is told. What learning costs is the difference within a pair.

A sample costs what toggles until all is still; and, for the time until the next may come (`pace` of
`sim.silicon.power`), the clock at every flip-flop and all leakage. Memories are CACTI's, by access.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from model.contract.choices import Rule
from model.contract.config import ChipConfig
from model.contract.counters import Phase
from model.contract.refusal import Refusal
from model.contract.result import Verdict, pack_score, pack_verdict
from model.contract.stages import stage_names
from model.cost.proxy import bill
from model.cost.tables import TABLES
from model.cost.technology import TARGET, Technology, energy_scale
from model.data import Dataset
from model.fast.engine import FastChip
from model.network import checked_images, checked_labels, drawn, plan, totals
from model.sensor.image import sample_words
from model.state import State, bank_shapes, fresh
from sim.silicon import joules
from sim.silicon.edges import Edges, edges
from sim.silicon.lanes import LANES, Activity, LaneChip
from sim.silicon.liberty import Library
from sim.silicon.mapped import Netlist, by_stage, mapped
from sim.silicon.power import Work
from sim.silicon.sram import PROCESS, Sram, sram
from sim.silicon.synth import Progress

PAIRS = LANES // 2
PARTS = (500, 5_000)  #: samples at which the first and the second part of a training end
CLOCK_MHZ = 200.0
NODE = Technology(45, 1.1)  #: of the library and of CACTI's memories

#: What is spent: by toggles, by the clock's pins, by accesses, and by time.
KINDS = ("switching", "internal", "pins", "clock", "memory", "leakage", "memory leakage")

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Draw:
    """Samples of a training, in pairs: `place` in the training, `part` of it, state before."""

    places: NDArray[np.int64]
    parts: tuple[tuple[int, int], ...]  #: first and end of each part
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    rates: NDArray[np.int64]
    states: list[State]

    @cached_property
    def part(self) -> NDArray[np.int64]:
        """Which part each sample lies in."""
        ends = [end for _, end in self.parts]
        return np.searchsorted(ends, self.places, "right")


def draw(config: ChipConfig, data: Dataset, train: int, epochs: int, seed: int) -> Draw:
    """Train in the model, and stop at samples drawn from each part alike."""
    kept = drawn(len(data.y_train), train, seed)
    order, rates = plan(config, len(kept), epochs, seed)
    images = checked_images(config, data.x_train[kept])
    labels = checked_labels(config, data.y_train[kept], len(kept))
    ends = [end for end in PARTS if end < len(order)] + [len(order)]
    parts = tuple(zip([0, *ends[:-1]], ends, strict=True))
    rng = np.random.default_rng([seed, 13])
    shares = np.array_split(np.arange(PAIRS), len(parts))
    places = np.concatenate(
        [
            np.sort(rng.choice(np.arange(*part), len(share), replace=False))
            for part, share in zip(parts, shares, strict=True)
        ]
    )
    chip, states, at = FastChip(config, fresh(config, seed)), [], 0
    for place in places:
        some = order[at:place]
        chip.run(images[some], labels[some], rates[at:place], True)
        states.append(chip.state.copy())
        at = int(place)
    some = order[places]
    return Draw(places, parts, images[some], labels[some], rates[places], states)


@dataclass(frozen=True)
class Spent:
    """What samples cost in pJ: (kinds, stages, lanes)."""

    stages: tuple[str, ...]
    energies_pj: Values
    learns: bool  #: whether every other lane learned

    def total_pj(self, stage: str | None = None, kind: str | None = None) -> Values:
        """By lane."""
        rows = slice(None) if kind is None else [KINDS.index(kind)]
        columns = slice(None) if stage is None else [self.stages.index(stage)]
        return self.energies_pj[rows][:, columns].sum(axis=(0, 1))


@dataclass(frozen=True)
class Measured:
    """A chip's gates at work, and what the proxies say of the same samples."""

    netlist: Netlist
    edges: Edges
    data: str
    drawn: Draw
    activity: Activity
    spent: Spent
    pace: Values  #: cycles from a sample to the next, by lane
    proxies_pj: Mapping[str, Mapping[tuple[str, Phase], float]]  #: table -> mean of the pairs
    memories: tuple[Sram, ...]

    @property
    def classified_pj(self) -> Values:
        """By pair."""
        return self.spent.total_pj()[::2]

    @property
    def learned_pj(self) -> Values:
        """By pair, of a chip that learns."""
        return self.spent.total_pj()[1::2]

    def mean(self, energies: Values, until: int | None = None) -> tuple[float, float]:
        """Mean of a training's first samples and its standard error, from the parts' means."""
        total, variance, samples = 0.0, 0.0, 0
        for number, (first, end) in enumerate(self.drawn.parts):
            if until is not None and first >= until:
                break
            here = energies[self.drawn.part == number]
            total += (end - first) * here.mean()
            variance += (end - first) ** 2 * here.var(ddof=1) / len(here)
            samples += end - first
        return float(total / samples), float(variance**0.5 / samples)


def measure(
    config: ChipConfig,
    library: Library,
    data: Dataset,
    train: int,
    *,
    epochs: int = 1,
    seed: int = 0,
    process: str = PROCESS,
    pace: float = 0.0,
    wires: bool = True,
    unit_delay: bool = False,
    progress: Progress = lambda step: None,
) -> Measured:
    """Map a chip, run drawn samples through its gates, and price every toggle.

    `pace`: cycles between samples, where a chip beside this one needs more. A chip that does not
    learn starts from the states of the same chip that learns by drtp, and only classifies.
    Raises `Refusal` where a tool is missing, and where the gates are not the model's equal.
    """
    plain = dataclasses.replace(config, counters=False)
    learns = config.learning.rule is not Rule.NONE
    progress(f"{config.name}, {config.rule_name}: mapping to {library.path.name}")
    netlist = mapped(plain, library)
    progress(f"{config.name}, {config.rule_name}: training")
    found = draw(plain if learns else plain.with_rule("drtp"), data, train, epochs, seed)
    if not learns:
        states = [State({k: s.banks[k] for k in bank_shapes(plain)}, {}) for s in found.states]
        found = dataclasses.replace(found, states=states)
    progress(f"{config.name}, {config.rule_name}: {LANES} samples through its gates")
    models = _models(plain, found)
    activity = _run(netlist, found, models, unit_delay)
    walked = edges(netlist, wires, _memory_pin_ff(library))
    memories = tuple(sram(m.depth, m.width, m.two_ports, process) for m in netlist.memories)
    paces = np.maximum([model.pace for model in models], pace)
    spent = spend(walked, activity, memories, paces, learns, unit_delay)
    name = f"{data.name} ({data.note})" if data.note else data.name
    proxies = _proxies(plain, models)
    return Measured(netlist, walked, name, found, activity, spent, paces, proxies, memories)


def _memory_pin_ff(library: Library) -> float:
    """A memory's input is taken to load its net as the data of a flip-flop does."""
    cells = (library.cell(name) for name in library.names)
    cell = next(cell for cell in cells if cell.state.get("next_state") == "D")
    return max(cell.pins["D"].loads.values())


@dataclass(frozen=True)
class Model:
    """What the model makes of a lane's sample: class, scores, the state after it, counts."""

    config: ChipConfig
    learned: bool
    label: int
    scores: NDArray[np.int64]
    state: State
    counts: dict[str, int]

    def equals(self, words: NDArray[np.uint32], after: State) -> bool:
        """Whether gates gave the same scores and class, and ended in the same state."""
        verdict = Verdict(self.label, self.learned, False)
        told = [*map(pack_score, map(int, self.scores)), pack_verdict(verdict)]
        return (
            words.tolist() == told
            and after.lfsrs == self.state.lfsrs
            and all(np.array_equal(bank, after.banks[k]) for k, bank in self.state.banks.items())
        )

    @property
    def pace(self) -> float:
        """Cycles until the next sample may come."""
        learning = self.counts if self.learned else {}
        return Work(self.config, "", 1, 1, 1, 0, 0.0, learning, self.counts).pace(self.learned)


def _run(netlist: Netlist, found: Draw, models: list[Model], unit: bool) -> Activity:
    config = netlist.config
    with LaneChip(netlist) as chip:
        chip.load([found.states[lane // 2] for lane in range(LANES)])
        words = [
            sample_words(
                config, found.images[pair], int(found.labels[pair]), models[lane].learned,
                int(found.rates[pair]),
            )
            for lane, pair in enumerate(np.arange(LANES) // 2)
        ]  # fmt: skip
        activity = chip.run(words, unit)
        after = chip.states()
    for lane, model in enumerate(models):
        if not model.equals(activity.results[lane], after[lane]):
            raise Refusal(
                f"the gates of {config.name} {'learn' if model.learned else 'classify'} sample "
                f"{found.places[lane // 2]} otherwise than the model; run `python -m sim gates`"
            )
    return activity


def _models(config: ChipConfig, found: Draw) -> list[Model]:
    """By lane; what learns is learned in every other."""
    learns, models = config.learning.rule is not Rule.NONE, []
    for lane in range(LANES):
        chip, learned = FastChip(config, found.states[lane // 2].copy()), learns and lane % 2 == 1
        one = slice(lane // 2, lane // 2 + 1)
        labels, scores = chip.run(found.images[one], found.labels[one], found.rates[one], learned)
        counts = totals(config, chip.counts)
        models.append(Model(config, learned, int(labels[0]), scores[0], chip.state, counts))
    return models


def _proxies(config: ChipConfig, models: list[Model]) -> dict[str, dict[tuple[str, Phase], float]]:
    """pJ of a stage by the proxies at the node of the gates: of forward, and what learning adds."""
    told: dict[str, dict[tuple[str, Phase], float]] = {}
    learns = models[1].learned
    for table in TABLES:
        bills = [bill(config, model.counts, int(model.learned), table, NODE) for model in models]
        rows = told.setdefault(table.name, {})
        for stage in stage_names(config):
            pj = np.array([each.total_pj(stage) for each in bills])
            rows[stage, Phase.FORWARD] = float(pj[::2].mean())
            if learns:
                rows[stage, Phase.LEARN] = float((pj[1::2] - pj[::2]).mean())
    return told


def spend(
    walked: Edges,
    activity: Activity,
    memories: tuple[Sram, ...],
    paces: Values,
    learns: bool,
    unit_delay: bool,
) -> Spent:
    """Price what was counted. Raises `Refusal` where it cannot be so."""
    netlist = walked.netlist
    toggles, cycles = activity.toggles.sum(axis=1).astype(float), float(activity.cycles.sum())
    if not unit_delay:
        joules.check(activity.toggles, activity.cycles)
    prices = joules.prices(walked, toggles, activity.duty, cycles)
    ns = paces * 1e3 / CLOCK_MHZ
    stages = [(stage, np.array(gates, np.intp)) for stage, gates in by_stage(netlist)]
    energies = np.zeros((len(KINDS), len(stages), LANES))
    for column, (stage, gates) in enumerate(stages):
        parts = prices.energies(activity.toggles, gates)
        for kind in ("switching", "internal", "pins"):
            energies[KINDS.index(kind), column] = parts[kind] * 1e-3
        if len(gates) and not parts["switching"].any():
            raise Refusal(f"no gate of {stage} toggles in {LANES} samples: its power would be none")
        energies[KINDS.index("clock"), column] = prices.clock_fj[gates].sum() * 1e-3 * paces
        energies[KINDS.index("leakage"), column] = prices.leakage_nw[gates].sum() * 1e-6 * ns
    for number, (memory, figures) in enumerate(zip(netlist.memories, memories, strict=True)):
        column = [name for name, _ in stages].index(netlist.stage(memory.path))
        energies[KINDS.index("memory"), column] += (
            activity.reads[number] * figures.read_pj + activity.writes[number] * figures.write_pj
        )
        energies[KINDS.index("memory leakage"), column] += figures.leakage_mw * ns
    _check_sum(prices, activity, energies, paces)
    return Spent(tuple(name for name, _ in stages), energies, learns)


def _check_sum(prices: joules.Prices, activity: Activity, energies: Values, paces: Values) -> None:
    """Refuse stages that do not add up to the chip."""
    whole = sum(prices.energies(activity.toggles).values()) + prices.clock_fj.sum() * paces
    parts = energies[[KINDS.index(k) for k in ("switching", "internal", "pins", "clock")]]
    if not np.allclose(whole * 1e-3, parts.sum(axis=(0, 1)), rtol=1e-9):
        raise Refusal("power by stage does not add up to that of the chip; a gate has no stage")


# What is told


def told(found: Measured) -> dict[str, Any]:
    """All figures, for JSON."""
    learns = found.spent.learns
    scale = energy_scale(NODE, TARGET)
    figures: dict[str, Any] = {
        "preset": found.netlist.config.name,
        "rule": found.netlist.config.rule_name,
        "data": found.data,
        "library": found.netlist.library.path.name,
        "sha256": {
            "library": found.netlist.library.sha256,
            "netlist": found.netlist.sha256,
            "activity": found.activity.sha256,
            "memories": hashlib.sha256(repr(found.memories).encode()).hexdigest(),
        },
        "gates": len(found.netlist.gates),
        "flip_flops": sum(gate.is_flip_flop for gate in found.netlist.gates),
        "cells_um2": round(sum(gate.cell.area for gate in found.netlist.gates), 1),
        "memories_um2": round(sum(each.area_um2 for each in found.memories), 1),
        "shortest_period_ns": round(found.edges.period_ns, 4),
        "overloaded_gates": found.edges.overloaded,
        "clock_mhz": CLOCK_MHZ,
        "node": str(NODE),
        "scale_to_target": {"node": str(TARGET), "factor": scale},
        "samples": {
            "classified": PAIRS,
            "learned": PAIRS if learns else 0,
            "parts": [list(part) for part in found.drawn.parts],
        },
        "cycles": {
            "pace_classified": float(found.pace[::2].mean()),
            "pace_learned": float(found.pace[1::2].mean()) if learns else None,
            "latency": float(found.activity.cycles.mean()),
        },
        "classified": _phase(found, slice(0, None, 2)),
    }
    if learns:
        figures["learned"] = _phase(found, slice(1, None, 2))
        figures["curve"] = {str(end): _learning(found, end) for _, end in found.drawn.parts}
    figures["proxies_nj"] = {
        table: {f"{stage}.{phase}": pj / 1e3 for (stage, phase), pj in rows.items()}
        for table, rows in found.proxies_pj.items()
    }
    return figures


def _learning(found: Measured, until: int) -> dict[str, float]:
    """Of a training's first samples: nJ, and what learning adds, as a share of a classification."""
    learned, error = _nj(found, found.learned_pj, until)
    added, added_error = _nj(found, found.learned_pj - found.classified_pj, until)
    plain, _ = _nj(found, found.classified_pj, until)
    return {
        "learned_nj": learned,
        "error_nj": error,
        "added_nj": added,
        "share": added / plain,
        "share_error": added_error / plain,
    }


def _nj(found: Measured, energies: Values, until: int | None = None) -> tuple[float, float]:
    mean, error = found.mean(energies, until)
    return mean / 1e3, error / 1e3


def _phase(found: Measured, lanes: slice) -> dict[str, Any]:
    """Mean of a training, its error, the spread of samples, by stage and kind."""
    spent = found.spent
    pairs = spent.total_pj()[lanes]
    mean, error = _nj(found, pairs)
    return {
        "nj": mean,
        "error_nj": error,
        "spread_nj": float(pairs.std(ddof=1) / 1e3),
        "least_nj": float(pairs.min() / 1e3),
        "most_nj": float(pairs.max() / 1e3),
        "by_stage_nj": {
            stage: {kind: _nj(found, spent.total_pj(stage, kind)[lanes])[0] for kind in KINDS}
            for stage in spent.stages
        },
    }


def show(found: Measured) -> RenderableType:
    """Stages down, kinds of energy side by side."""
    figures = told(found)
    grid = Grid("stage", "phase", *KINDS, "all", "horowitz", "aladdin",
                title=f"{found.netlist.config.name}, {found.netlist.config.rule_name}: nJ a sample "
                f"on gates, {NODE}, {CLOCK_MHZ:g} MHz")  # fmt: skip
    for column in grid.columns[2:]:
        column.justify = "right"
    for phase in ("classified", "learned"):
        if phase not in figures:
            continue
        for stage, row in figures[phase]["by_stage_nj"].items():
            proxies = [_proxy(found, table.name, stage, phase) for table in TABLES]
            grid.add_row(stage, phase, *(f"{row[kind]:.3f}" for kind in KINDS),
                         f"{sum(row.values()):.3f}", *(f"{pj:.3f}" for pj in proxies))  # fmt: skip
        grid.add_section()
    return Group(grid, *(Text(line) for line in lines(figures)))


def _proxy(found: Measured, table: str, stage: str, phase: str) -> float:
    rows = found.proxies_pj[table]
    phases = (Phase.FORWARD,) if phase == "classified" else tuple(Phase)
    return sum(rows.get((stage, each), 0.0) for each in phases) / 1e3


def lines(figures: dict[str, Any]) -> list[str]:
    """The figures in sentences."""
    hashes = ", ".join(f"{name} {value[:12]}" for name, value in figures["sha256"].items())
    scale = figures["scale_to_target"]
    told = [
        f"{figures['gates']:,} cells, {figures['flip_flops']:,} of them flip-flops, "
        f"{figures['cells_um2']:,.0f} um2; memories {figures['memories_um2']:,.0f} um2; shortest "
        f"period {figures['shortest_period_ns']:.2f} ns, {figures['overloaded_gates']} gates "
        "beyond their greatest load",
    ]
    for phase in ("classified", "learned"):
        if phase in figures:
            row = figures[phase]
            told.append(
                f"{phase}: {row['nj']:.3f} +- {row['error_nj']:.3f} nJ a sample (samples spread by "
                f"{row['spread_nj']:.3f}, {row['least_nj']:.3f} to {row['most_nj']:.3f}); "
                f"{row['nj'] * scale['factor']:.3f} nJ at {scale['node']}"
            )
    if "learned" in figures:
        told += [
            f"the first {int(end):,} samples: learning adds {row['share']:.2%} +- "
            f"{row['share_error']:.2%} to the same chip's classification"
            for end, row in figures["curve"].items()
        ]
    told.append(f"hashes: {hashes}")
    return told

"""How fast everything runs: engines, simulators and the chip itself, side by side in one run.

Figures of one run may be compared with each other; ratios travel between machines, times do not.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table

from model.arith import Words
from model.chip import PlainChip
from model.contract.config import ChipConfig
from model.contract.event import LEARN_AT, MARK_AT
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.contract.stages import stage_names
from model.data import Dataset, load
from model.fast.engine import FastChip
from model.sensor.image import sample_words
from model.state import fresh
from rtl.emit import Emission, emit, emit_processes
from sim import tools
from sim.simulators import bulk, cosim
from sim.simulators.compiled import Bench, Monitor, build

Step = Callable[[str], None]
"""Told the name of each thing that is measured, as it begins."""

ENGINE_SECONDS = 3.0  #: of measuring, after a warm-up that compiles
PLAIN_SAMPLES = 40
CHIP_SAMPLES = 300
STREAM_BYTES = 1 << 28

CORE = Path(__file__).parent / "core.v"
CORE_MONITORS = (Monitor("monitor_updates", 47),)
CORE_SAMPLES, CORE_WORDS = 4000, 150


#: Ways to run the Verilog under cocotb: name, simulator, samples that take it about some seconds.
COCOTB = (("cocotb, Icarus", "icarus", 4), ("cocotb, Verilator", "verilator", 12))
#: Compiled ways: name, simulator, text, and whether it is built as release 0.1 built it.
FORMER = "compiled, Verilator as in 0.1"
COMPILED: tuple[tuple[str, str, Callable[[ChipConfig], Emission], bool], ...] = (
    (FORMER, "verilator", emit, True),
    ("compiled, Verilator", "verilator", emit_processes, False),
    ("compiled, CXXRTL", "cxxrtl", emit_processes, False),
)
COMPILED_SAMPLES = 600
ROUNDS = 3  #: of which the fastest counts: others use the machine, too


@dataclass(frozen=True)
class Measured:
    """One figure: `rate` per second; `share` of the reference named in its table, if it has one.

    `ratio` is to the same work as release 0.1 did it, where that runs beside it.
    """

    name: str
    rate: float
    share: float | None = None
    ratio: float | None = None


def _per_second(work: Callable[[], int], seconds: float) -> float:
    """Work done a second of processor time, over whole calls until the time is up."""
    done, began = 0, time.process_time()
    while (spent := time.process_time() - began) < seconds:
        done += work()
    return done / spent


def engines(names: tuple[str, ...] = ("spoon", "spoon-lite")) -> list[Measured]:
    """Training images a second of one core, from pixels to updated weights, sample by sample.

    `share` is that of the limit that reading the touched weights from memory would set.
    """
    data = load("mnist")
    found = []
    for name in names:
        config = preset(name)
        chip = FastChip(config, fresh(config, 0))
        images, labels = data.x_train[:5000], data.y_train[:5000]
        rates = np.zeros(len(labels), dtype=np.int64)

        def train(
            chip: FastChip = chip,
            images: np.ndarray = images,
            labels: np.ndarray = labels,
            rates: np.ndarray = rates,
        ) -> int:
            chip.run(images, labels, rates, True)
            return len(images)

        train()
        rate = _per_second(train, ENGINE_SECONDS)
        limit = memory_bytes_per_second() / _bytes_per_image(config, data)
        found.append(Measured(f"{name}, fast engine", rate, rate / limit))
        plain = PlainChip(config, fresh(config, 0))
        samples = _samples(config, data, PLAIN_SAMPLES, learn=True)
        began = time.process_time()
        plain.run(samples)
        plain_rate = PLAIN_SAMPLES / (time.process_time() - began)
        found.append(Measured(f"{name}, plain engine", plain_rate, plain_rate / limit))
    return found


def memory_bytes_per_second() -> float:
    """What one core reads from memory: the sum of an array that no cache holds."""
    numbers = np.ones(STREAM_BYTES // 8, dtype=np.int64)
    numbers.sum()
    return _per_second(lambda: int(numbers.sum() * 8), 1.0)


def _bytes_per_image(config: ChipConfig, data: Dataset) -> float:
    """Bytes of weights that a forward pass reads for an average image."""
    chip = PlainChip(config, fresh(config, 0))
    chip.run(_samples(config, data, PLAIN_SAMPLES, learn=False))
    codes = sum(chip.counts[layer.name]["macs"] for layer in config.layer_shapes)
    return codes * config.weight_bits / 8 / PLAIN_SAMPLES


def _samples(config: ChipConfig, data: Dataset, count: int, learn: bool) -> list[Words]:
    pairs = zip(data.x_train[:count], data.y_train[:count], strict=True)
    return [sample_words(config, image, int(label), learn) for image, label in pairs]


def simulators(name: str, step: Step = lambda name: None) -> list[Measured]:
    """Clock cycles a second of every way to run a chip's Verilog, learning on, monitors read.

    `share` is that of the fastest way, `ratio` to the way of release 0.1. Ways whose tool is
    missing refuse, and so do compiled ones that differ in weights or cycles.
    """
    config, data = preset(name), load("digits")
    if (config.height, config.width) != data.x_train.shape[1:3]:
        raise Refusal(f"the bench runs simulators on a chip for digits; {name} is for other images")
    rates: dict[str, float] = {}
    for way, simulator, count in COCOTB:
        step(way)
        words = np.concatenate(_samples(config, data, count, learn=True))
        seen = cosim.observe(config, words, count, fresh(config, 0), 0.0, 0, simulator, False)
        rates[way] = seen.cycles_train / seen.seconds
    words = np.concatenate(_samples(config, data, COMPILED_SAMPLES, learn=True))
    ended = []
    for way, simulator, text, former in COMPILED:
        step(way)
        with bulk.BulkChip(text(config), simulator, former=former) as chip:
            chip.load(fresh(config, 0))
            rounds, cycles = [], 0
            for _ in range(ROUNDS):
                began = time.process_time()
                passed = chip.run(words, COMPILED_SAMPLES)
                rounds.append(passed.cycles_train / (time.process_time() - began))
                cycles += passed.cycles_train
            rates[way] = max(rounds)
            ended.append((cycles, chip.state().weights_sha256))
    if len(set(ended)) > 1:
        raise Refusal(f"compiled simulations of {name} differ; rates of wrong results are no rates")
    fastest = max(rates.values())
    return [
        Measured(way, rate, rate / fastest, rate / rates[FORMER]) for way, rate in rates.items()
    ]


def learning_core() -> list[Measured]:
    """Clock cycles a second of one core for `core.v`, learning on, its updates logged.

    Both simulators are fed the same; `share` is that of the faster. Raises `Refusal` where they
    differ in results, updates or cycles.
    """
    words = core_samples(CORE_SAMPLES, seed=0).reshape(-1)
    rates, seen = [], []
    for simulator in tools.COMPILED:
        with core_bench(simulator) as bench:
            began = time.process_time()
            bench.feed(words)
            rates.append(bench.cycles / (time.process_time() - began))
            log = bench.log(0)
            seen.append((bench.cycles, bench.results()[0].tobytes(), log.rows.tobytes()))
    if seen[0] != seen[1]:
        raise Refusal("the simulators differ on core.v; rates of wrong results are no rates")
    fastest = max(rates)
    names = (f"compiled, {name}" for name in ("Verilator", "CXXRTL"))
    return [Measured(name, rate, rate / fastest) for name, rate in zip(names, rates, strict=True)]


def core_samples(count: int, seed: int) -> Words:
    """Samples of `core.v` (count, CORE_WORDS + 1): words of a row and a value, and a mark."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << 16, (count, CORE_WORDS + 1), dtype=np.uint32)
    words[:, -1] = 1 << MARK_AT | 1 << LEARN_AT | rng.integers(0, 256, count)
    return words


def core_bench(simulator: str) -> Bench:
    """`core.v`, compiled and out of reset."""
    library = build(simulator, CORE.read_text(), CORE.stem, CORE_MONITORS)
    return Bench(library, CORE_MONITORS)


CHIPS = ("spoon", "spoon-lite")


@dataclass(frozen=True)
class Stage:
    """How a stage spends its cycles: shares of all cycles at work and held up."""

    name: str
    working: float
    stalled: float


@dataclass(frozen=True)
class ChipSpeed:
    """Cycles a sample of the Verilog, and the bound that its lanes set."""

    name: str
    lanes: int
    classify_cycles: float
    learn_cycles: float
    bound_cycles: float
    stages: tuple[Stage, ...]

    @property
    def overhead(self) -> float:
        """Share by which a learned sample takes longer than a classified one."""
        return self.learn_cycles / self.classify_cycles - 1


def chip_speed(name: str) -> ChipSpeed:
    """Cycles that the Verilog of a chip takes for an average MNIST image, learning or not.

    The bound is the forward pass's multiply-adds of the busiest stage over its lanes: stages
    overlap, so the busiest sets the pace.
    """
    config, data = preset(name), load("mnist")
    learned = _observe(config, data, learn=True)
    classified = _observe(config, data, learn=False)
    macs = {stage: classified.counters.get(f"{stage}.macs", 0) for stage in stage_names(config)}
    cycles = classified.counters["chip.cycles"]
    stages = tuple(
        Stage(
            stage,
            classified.counters.get(f"{stage}.forward_cycles", 0) / cycles,
            classified.counters.get(f"{stage}.stall_cycles", 0) / cycles,
        )
        for stage in stage_names(config)[1:]
    )
    return ChipSpeed(
        name,
        config.lanes,
        classified.cycles_train / CHIP_SAMPLES,
        learned.cycles_train / CHIP_SAMPLES,
        max(macs.values()) / config.lanes / CHIP_SAMPLES,
        stages,
    )


def _observe(config: ChipConfig, data: Dataset, learn: bool) -> Any:
    words = np.concatenate(_samples(config, data, CHIP_SAMPLES, learn))
    state = fresh(config, 0)
    return bulk.observe(config, words, CHIP_SAMPLES, state, 0.0, 0, "cxxrtl", False)


def report(
    simulated: str = "digits", step: Step = lambda name: None
) -> tuple[Group, dict[str, Any]]:
    """Measure all; the tables to print, and the same figures for JSON."""
    step("engines of the model")
    found = engines()
    step("learning core")
    core = learning_core()
    ways = simulators(simulated, step)
    chips = []
    for name in CHIPS:
        step(f"chip {name}")
        chips.append(chip_speed(name))
    told = {
        "engines": [vars(figure) for figure in found],
        "learning_core": [vars(figure) for figure in core],
        "simulators": {"preset": simulated, "ways": [vars(figure) for figure in ways]},
        "chips": [
            {**vars(chip), "overhead": chip.overhead, "stages": [vars(s) for s in chip.stages]}
            for chip in chips
        ],
    }
    tables = (
        _rates("Model, one core", "images/s", "of the memory limit", found),
        _rates("Verilog of a learning core, 4 lanes", "cycles/s of a core", "of the fastest", core),
        _rates(f"Verilog of {simulated}", "cycles/s of a core", "of the fastest", ways),
        *(_chip_table(chip) for chip in chips),
    )
    return Group(*tables), told


def _rates(title: str, unit: str, share: str, figures: list[Measured]) -> Table:
    compared = any(figure.ratio is not None for figure in figures)
    table = Table("", unit, share, *(["to 0.1"] if compared else []), title=title)
    for figure in figures:
        relative = "" if figure.share is None else f"{figure.share:.2%}"
        ratio = [] if figure.ratio is None else [f"{figure.ratio:.2f}"]
        table.add_row(figure.name, f"{figure.rate:,.0f}", relative, *ratio)
    return table


def _chip_table(chip: ChipSpeed) -> Table:
    table = Table("", "cycles a sample", title=f"Chip {chip.name}, {chip.lanes} lanes, MNIST")
    table.add_row("classified", f"{chip.classify_cycles:,.0f}")
    table.add_row("learned", f"{chip.learn_cycles:,.0f} ({chip.overhead:+.1%})")
    table.add_row("bound: busiest stage's macs / lanes", f"{chip.bound_cycles:,.0f}")
    for stage in chip.stages:
        table.add_row(f"{stage.name} at work, held up", f"{stage.working:.0%}, {stage.stalled:.0%}")
    return table

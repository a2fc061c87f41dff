"""Whole chips in compiled simulation: state in, samples through, everything observed."""

import time
from pathlib import Path
from typing import Self

import numpy as np

from model.arith import Codes, Words
from model.contract.config import ChipConfig
from model.contract.event import ends_sample
from model.contract.stages import HEAD_BITS, Boundary, boundaries
from model.contract.timing import sample_cycles
from model.state import State
from model.trace import Trace
from rtl.emit import Emission, emit, emit_processes
from sim.simulators.compiled import BUILD, Bench, Log, Monitor, build
from sim.simulators.host import HostChip
from sim.simulators.observed import Observed, Passed, split_results


class BulkChip(HostChip):
    """A chip's emitted Verilog, compiled and out of reset; it keeps what it learns.

    Parameters: `emission` of the chip; the rest as `sim.simulators.observed` tells. With
    `logging` False monitors are not read and traces stay empty, which is faster; `brief` is
    built sooner and runs slower, `former` as release 0.1 built it. Raises `Refusal` for a missing
    or unfit tool, and where the chip says that it is another.
    """

    def __init__(
        self,
        emission: Emission,
        simulator: str,
        *,
        stalls: float = 0.0,
        seed: int = 0,
        logging: bool = True,
        waves: bool = False,
        brief: bool = False,
        former: bool = False,
    ) -> None:
        config = emission.config
        self.waves = BUILD / "waves" / f"{config.name}-{simulator}.vcd" if waves else None
        self._stalls = stalls
        self._boundaries = boundaries(config)
        monitors = _monitors(config)
        library = prepare(emission, simulator, waves=waves, brief=brief, former=former)
        if self.waves:
            self.waves.parent.mkdir(parents=True, exist_ok=True)
        self._bench = Bench(
            library,
            monitors,
            patience=patience(config, stalls),
            seed=seed,
            logging=logging,
            waves=self.waves,
        )
        self._bench.rest()
        super().__init__(config, self._bench.read, self._bench.write)

    def close(self) -> None:
        """Give back the memory; waves are whole from now on."""
        self._bench.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def observe(self, words: Words, train: int, seed: int = 0) -> Observed:
        """Pass samples through, the first `train` of them training; see `sim.simulators.observed`.

        `seed` is of the stalls. Counters count these samples alone.
        """
        if self.config.counters:
            self.clear()
        passed = self.run(words, train, seed)
        return Observed(**vars(passed), state=self.state(), counters=self.counters())

    def run(self, words: Words, train: int, seed: int = 0) -> Passed:
        """As `observe`, but what the chip holds stays unread, and its counters count on."""
        ends = np.flatnonzero(ends_sample(words)) + 1
        cut = int(ends[train - 1]) if train else 0
        started = time.perf_counter()
        cycles_train = self._feed(words[:cut], [seed, 0])
        cycles_test = self._feed(words[cut:], [seed, 1])
        seconds = time.perf_counter() - started
        results = split_results(*self._bench.results())
        trace = Trace.of(self.config)
        for number, boundary in enumerate(self._boundaries):
            log = self._bench.log(number)
            trace.extend(boundary.name, decode(boundary, log), log.lengths)
        self._bench.clear()
        return Passed(trace, results, cycles_train, cycles_test, seconds)

    def cut(self, words: Words, cycles: int, seed: int = 0) -> None:
        """Take in words for so many cycles, then be reset in their middle.

        What waits is lost; meanwhile the host's bus asks for anything at all, so banks may change.
        """
        self._bench.cut(words, cycles, self._stalls, seed)
        self._bench.rest()

    @property
    def cycles(self) -> int:
        """Clock cycles since reset, accesses of the host included."""
        return self._bench.cycles

    def _feed(self, words: Words, seed: list[int]) -> int:
        """Cycles that words take, to rest."""
        if not len(words):
            return 0
        before = self._bench.cycles
        drawn = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
        self._bench.feed(words, self._stalls, drawn)
        return self._bench.cycles - before


def prepare(
    emission: Emission,
    simulator: str,
    *,
    waves: bool = False,
    brief: bool = False,
    former: bool = False,
) -> Path:
    """The shared object of a chip, built unless it is there; as `BulkChip` tells."""
    monitors = _monitors(emission.config)
    text, top = emission.verilog, emission.top
    return build(simulator, text, top, monitors, waves=waves, brief=brief, former=former)


def _monitors(config: ChipConfig) -> list[Monitor]:
    return [Monitor(boundary.port, boundary.port_bits) for boundary in boundaries(config)]


def observe(
    config: ChipConfig,
    words: Words,
    train: int,
    state: State,
    stalls: float,
    seed: int,
    simulator: str,
    waves: bool,
) -> Observed:
    """A whole run from a given state; as `sim.simulators.observed` tells."""
    emission = emit(config) if waves else emit_processes(config)
    with BulkChip(emission, simulator, stalls=stalls, seed=seed, waves=waves) as chip:
        chip.load(state)
        return chip.observe(words, train, seed)


def patience(config: ChipConfig, stalls: float) -> int:
    """Cycles without any beat after which a chip counts as standing still.

    Four times the work of the greatest sample, by the formulas of `model.contract.timing`, since a
    chip that works shows beats more often than that; more where the sides pause.
    """
    return 1_000 + int(4 * sample_cycles(config) / (1 - stalls))


def decode(boundary: Boundary, log: Log) -> Codes:
    """A monitor's rows (n, words) as rows of a trace (n, columns)."""
    lowest = log.rows.astype(np.uint64)
    rows = np.empty((len(lowest), len(boundary.columns)), dtype=np.int64)
    pairs = lowest.copy()  # each word with the one above it
    pairs[:, :-1] |= lowest[:, 1:] << np.uint64(32)
    at, column = HEAD_BITS, 0
    for field in boundary.fields:
        unused = 64 - field.code.bits
        kind = np.int64 if field.code.signed else np.uint64
        for _ in range(field.lanes):
            # The field's highest bit goes to bit 63, then it is shifted down with its sign.
            top = pairs[:, at // 32] << np.uint64(unused - at % 32)
            rows[:, column] = top.view(kind) >> kind(unused)
            at, column = at + field.code.bits, column + 1
    return rows

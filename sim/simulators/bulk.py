"""Whole chips in compiled simulation: state in, samples through, everything observed."""

import time
from typing import Self

import numpy as np

from model.arith import Codes, Words
from model.banks import from_chunks, from_words, to_chunks, to_words
from model.contract import registers
from model.contract.config import ChipConfig
from model.contract.counters import counters
from model.contract.event import MARK_AT
from model.contract.refusal import Refusal
from model.contract.registers import learning_layers
from model.contract.stages import HEAD_BITS, Boundary, boundaries
from model.contract.storage import host_banks
from model.contract.timing import sample_cycles
from model.state import State, bank_shapes
from model.trace import Trace
from rtl.emit import Emission, emit
from sim.simulators.compiled import BUILD, Bench, Log, Monitor, build
from sim.simulators.observed import Observed, split_results


class BulkChip:
    """A chip's emitted Verilog, compiled and out of reset; it keeps what it learns.

    Parameters: `emission` of the chip; the rest as `sim.simulators.observed` tells. With
    `logging` False monitors are not read and traces stay empty, which is faster; `brief` is
    built sooner and runs slower. Raises `Refusal` for a missing or unfit tool, and where the
    chip says that it is another.
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
    ) -> None:
        config = self.config = emission.config
        self.waves = BUILD / "waves" / f"{config.name}-{simulator}.vcd" if waves else None
        self._stalls = stalls
        self._boundaries = boundaries(config)
        monitors = [Monitor(boundary.port, boundary.port_bits) for boundary in self._boundaries]
        library = build(
            simulator, emission.verilog, emission.top, monitors, waves=waves, brief=brief
        )
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
        self._check_identity()

    def close(self) -> None:
        """Give back the memory; waves are whole from now on."""
        self._bench.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def load(self, state: State) -> None:
        """Write banks and LFSRs through the host bus."""
        for number, bank in enumerate(host_banks(self.config)):
            chunks = to_chunks(bank, to_words(bank, state.banks[bank.name]))
            self._open_window(number)
            self._bench.write(registers.DATA, chunks.reshape(-1))
        layers = learning_layers(self.config)
        self._bench.write(_seeds(self.config), [state.lfsrs[layer] for layer in layers])

    def state(self) -> State:
        """Read banks and LFSRs through the host bus."""
        shapes = bank_shapes(self.config)
        banks: dict[str, Codes] = {}
        for number, bank in enumerate(host_banks(self.config)):
            self._open_window(number)
            chunks = self._bench.read(np.full(bank.words * bank.chunks, registers.DATA))
            words = from_chunks(bank, chunks.reshape(bank.words, bank.chunks))
            banks[bank.name] = from_words(bank, words, shapes[bank.name])
        found = self._bench.read(_seeds(self.config))
        lfsrs = dict(zip(learning_layers(self.config), map(int, found), strict=True))
        return State(banks, lfsrs)

    def observe(self, words: Words, train: int, seed: int = 0) -> Observed:
        """Pass samples through, the first `train` of them training; see `sim.simulators.observed`.

        `seed` is of the stalls. Counters count these samples alone.
        """
        if self.config.counters:
            self._bench.write(registers.CONTROL, [1 << registers.CONTROL_CLEAR_COUNTERS])
        ends = np.flatnonzero(words >> MARK_AT) + 1
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
        state, counts = self.state(), self._counters()
        return Observed(trace, results, state, counts, cycles_train, cycles_test, seconds)

    def _feed(self, words: Words, seed: list[int]) -> int:
        """Cycles that words take, to rest."""
        if not len(words):
            return 0
        before = self._bench.cycles
        drawn = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
        self._bench.feed(words, self._stalls, drawn)
        return self._bench.cycles - before

    def _check_identity(self) -> None:
        identity, choices = self._bench.read([registers.ID, registers.CONFIG])
        if (identity, choices) != (registers.IDENTITY, int(self.config.sha256[:8], 16)):
            raise Refusal(
                f"the chip says it is {identity:08x} {choices:08x}, which is not "
                f"{self.config.name} ({self.config.sha256[:8]}); emit its Verilog again"
            )

    def _open_window(self, bank: int) -> None:
        self._bench.write([registers.BANK, registers.ADDRESS], [bank, 0])

    def _counters(self) -> dict[str, int]:
        """All counters by name."""
        if not self.config.counters:
            return {}
        names = [counter.name for counter in counters(self.config)]
        halves = self._bench.read(registers.COUNTERS + 4 * np.arange(2 * len(names)))
        values = halves.astype(np.int64).reshape(-1, 2) @ [1, 1 << 32]
        return dict(zip(names, map(int, values), strict=True))


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
    with BulkChip(emit(config), simulator, stalls=stalls, seed=seed, waves=waves) as chip:
        chip.load(state)
        return chip.observe(words, train, seed)


def _seeds(config: ChipConfig) -> list[int]:
    """Addresses of the seed registers."""
    return [registers.SEEDS + 4 * number for number in range(len(learning_layers(config)))]


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

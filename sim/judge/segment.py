"""Segments: a run cut at seams, each piece proved on its own.

The model runs ahead and leaves its state at every seam. A segment starts the Verilog from the state
at its first seam, written through the host bus, compares everything as its samples go through, and
must end in the state at its last. Where all segments do, the run as a whole is proved, by induction
over the seams: what is left out is what the chip remembers beside the state that its host can read,
which is fresh after a seam (stale sums, pointers of queues).
"""

import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from model.arith import Codes, Words
from model.contract import result
from model.contract.config import ChipConfig
from model.contract.counters import COUNTER_BITS
from model.fast.engine import FastChip
from model.network import totals
from model.state import State
from model.trace import Trace
from rtl.emit import Emission
from sim import tools
from sim.judge.coverage import met
from sim.judge.difference import Comparison
from sim.judge.samples import Samples
from sim.simulators.bulk import BulkChip
from sim.simulators.observed import Passed

CHUNK_SAMPLES = 500  #: compared at a time: bounds memory
SEGMENTS = 16  #: that a run is cut into, but for short runs and long ones
MOST_CHUNKS = 10  #: of a segment: it is what a worker that dies, or an interrupt, loses


@dataclass
class Tally(Comparison):
    """What was compared in some samples, what differed, and what it took."""

    done: int = 0  #: samples
    right_model: int = 0  #: test samples classified rightly
    right_rtl: int = 0
    cycles_train: int = 0
    cycles_test: int = 0
    cycles_seams: int = 0  #: of writing and reading state at seams
    seconds: float = 0.0  #: of simulation
    counters_model: dict[str, int] = field(default_factory=dict)
    counters_rtl: dict[str, int] = field(default_factory=dict)
    met: dict[str, int] = field(default_factory=dict)  #: cases, as `sim.judge.coverage` has them

    def add(self, other: Comparison) -> None:
        """Take in another tally, of other samples."""
        super().add(other)
        assert isinstance(other, Tally)
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        _add(self.counters_model, other.counters_model)
        _add(self.counters_rtl, other.counters_rtl)
        _add(self.met, other.met)

    def take(self, config: ChipConfig, chunk: Samples, wanted: "Expected", seen: Passed) -> None:
        """Compare what the model and the chip show of some samples."""
        self.traces(wanted.trace, seen.trace, chunk.at)
        self.results(wanted.results, seen.results, chunk.at)
        self.expect(chunk, wanted)
        _add(self.met, met(config, chunk, seen.trace))
        classes = np.array([words[-1] & 0xFF if len(words) else -1 for words in seen.results])
        self.right_rtl += _right(chunk, classes)
        self.cycles_train += seen.cycles_train
        self.cycles_test += seen.cycles_test
        self.seconds += seen.seconds

    def expect(self, chunk: Samples, wanted: "Expected") -> None:
        """Take in what the model alone says."""
        self.done += len(chunk)
        self.right_model += _right(chunk, wanted.classes)
        _add(self.counters_model, wanted.counters)


_SUMS = (
    *("done", "right_model", "right_rtl", "cycles_train", "cycles_test", "cycles_seams"),
    "seconds",
)

Watch = Callable[[Tally], None]


@dataclass(frozen=True)
class Way:
    """How the Verilog of a segment is run: `brief` is built sooner and runs slower."""

    simulator: str
    stalls: float = 0.0
    waves: bool = False
    brief: bool = False


@dataclass(frozen=True)
class Segment:
    """Some samples of a run, and the model's state at the seams before and after them."""

    samples: Samples
    before: State
    after: State

    @property
    def last(self) -> int:
        """Number of the last sample."""
        return self.samples.at + len(self.samples) - 1


@dataclass(frozen=True)
class Finished:
    """A segment that was gone through: by which worker, with which version of the simulator."""

    segment: Segment
    tally: Tally
    model: State  #: where it stopped
    hardware: State
    worker: str
    version: str

    @property
    def at(self) -> int:
        """Number of its first sample."""
        return self.segment.samples.at


def cut(given: Samples) -> list[Samples]:
    """The pieces of a run: whole chunks, the same however many workers there are."""
    chunks = -(-len(given) // (SEGMENTS * CHUNK_SAMPLES))
    return list(given.parts(CHUNK_SAMPLES * min(max(chunks, 1), MOST_CHUNKS)))


def run_ahead(config: ChipConfig, given: Samples, start: State) -> Iterator[Segment]:
    """The segments of a run, as the model goes through it from a state."""
    state = start
    for piece in cut(given):
        before, state = state, state.copy()
        chip = FastChip(config, state)
        chip.run(piece.images, piece.labels, piece.rates, piece.learns)
        yield Segment(piece, before, state)


@dataclass(frozen=True)
class Expected:
    """What the model says of some samples."""

    trace: Trace
    results: list[Words]
    classes: Codes
    counters: dict[str, int]

    @classmethod
    def of(cls, config: ChipConfig, state: State, given: Samples) -> "Expected":
        """Run the model, whose state moves on."""
        trace = Trace.of(config)
        chip = FastChip(config, state, trace)
        classes, scores = chip.run(given.images, given.labels, given.rates, given.learns)
        learned = given.learns & any(layer.learns for layer in config.layer_shapes)
        results = list(_output_words(classes, scores, learned))
        return cls(trace, results, classes, totals(config, chip.counts))


def foretold(config: ChipConfig, segment: Segment) -> Tally:
    """What the tally of a segment must be where nothing differs, as far as the model knows."""
    tally, model = Tally(), segment.before.copy()
    for chunk in segment.samples.parts(CHUNK_SAMPLES):
        wanted = Expected.of(config, model, chunk)
        tally.compared += wanted.trace.values() + sum(map(len, wanted.results))
        tally.expect(chunk, wanted)
    values = sum(bank.size for bank in model.banks.values()) + len(model.lfsrs)
    tally.compared += values + len(tally.counters_model) * config.counters
    return tally


class Runner:
    """One chip in simulation; segments that follow one another find it as the last one left it.

    Parameters: `emission` of the chip; `way` to run it; `seed` of what the Verilog leaves without
    a value.
    """

    def __init__(self, emission: Emission, way: Way, seed: int) -> None:
        self._config = emission.config
        self._chip = BulkChip(
            emission,
            way.simulator,
            stalls=way.stalls,
            seed=seed,
            waves=way.waves,
            brief=way.brief,
        )
        self._simulator = way.simulator
        self._next: int | None = None

    def close(self) -> None:
        """Give back the memory."""
        self._chip.close()

    def go(self, segment: Segment, watch: Watch = lambda tally: None) -> Finished:
        """Run and compare a segment, to its end or to that of the first chunk that differs."""
        tally, model, before = Tally(), segment.before.copy(), self._chip.cycles
        if segment.samples.at != self._next:
            self._chip.load(segment.before)
        counted = self._chip.counters()
        for chunk in segment.samples.parts(CHUNK_SAMPLES):
            wanted = Expected.of(self._config, model, chunk)
            seen = self._chip.run(chunk.words(self._config), chunk.train, chunk.seed + chunk.at)
            tally.take(self._config, chunk, wanted, seen)
            watch(tally)
            if not tally.equal:
                break
        whole = tally.done == len(segment.samples)
        at = segment.samples.at + tally.done - 1
        # Nobody clears the counters: the longer a chip runs unbroken, the higher they must count.
        tally.counters_rtl = {
            name: (count - counted[name]) % (1 << COUNTER_BITS)
            for name, count in self._chip.counters().items()
        }
        hardware = self._chip.state()
        tally.states(segment.after if whole else model, hardware, at)
        tally.counters(
            tally.counters_model if self._config.counters else {}, tally.counters_rtl, at
        )
        tally.cycles_seams = self._chip.cycles - before - tally.cycles_train - tally.cycles_test
        self._next = segment.last + 1
        worker = f"{socket.gethostname()}:{os.getpid()}"
        return Finished(segment, tally, model, hardware, worker, version(self._simulator))


def _right(chunk: Samples, classes: Codes) -> int:
    """Test samples that are classified rightly."""
    if len(classes) != len(chunk):
        return 0
    return int(np.sum((classes == chunk.labels) & ~chunk.learns))


def _output_words(classes: Codes, scores: Codes, learned: np.ndarray) -> Iterator[Words]:
    """The words that the chip owes for each sample: a score a class, then the verdict."""
    for label, row, learns in zip(classes, scores, learned, strict=True):
        verdict = result.pack_verdict(result.Verdict(int(label), bool(learns), False))
        yield np.append(row, verdict).astype(np.uint32)


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def finish(emission: Emission, way: Way, segment: Segment, parent: int | None) -> Finished:
    """Go through a segment in a process of its own; gives up where the process `parent` is gone."""

    def stay(_: Tally) -> None:
        if parent is not None and os.getppid() != parent:
            os._exit(1)  # nobody is left to take the result

    runner = Runner(emission, way, segment.samples.seed + segment.samples.at)
    try:
        return runner.go(segment, stay)
    finally:
        runner.close()


def version(simulator: str) -> str:
    """Version of a simulator, or of what it is part of."""
    return tools.require(tools.SIMULATORS[simulator].release or simulator).version

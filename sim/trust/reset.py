"""Reset: whatever a chip held when it was switched on or stopped, afterwards it is a fresh one.

Emitted registers and memories start at zero in simulation, so that waves are clean, and a reset
that forgot one of them would be seen by no comparison. Here they start at random, and runs are cut
in any cycle, any stage at work, while the host's bus asks for anything at all. One cycle of reset
later, results, records, weights, LFSRs and counters must be the model's, stalls and cycles alike.

Verilator's own random values give all words of a memory the same, so each word is drawn by
`$urandom` in the Verilog. Under Icarus, registers and memories are set through VPI in mid-run.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from model.arith import Words
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.timing import sample_cycles
from model.state import State, fresh
from rtl.emit import Emission
from sim.benches.vectors import malformed_samples, random_samples
from sim.judge.difference import Comparison
from sim.simulators import cosim, plain
from sim.simulators.bulk import BulkChip
from sim.simulators.compiled import BUILD
from sim.simulators.observed import Observed

SAMPLES = 5
STALLS = 0.2
BATCH = 40  #: resets that one process of Icarus goes through

_REGISTER = re.compile(
    r"^(?P<declared>\s*(?:output )?reg (?:signed )?(?:\[(?P<high>\d+):0\] )?(?P<name>\S+) )"
    r" ?= (?:\d+'[hd][0-9a-f]+|[A-Z]\w*)",
    re.MULTILINE,
)
_MODULE = re.compile(r"^module \\?(\S+) (?:#)?\(.*?^endmodule", re.MULTILINE | re.DOTALL)
_ZEROS = "words[place] = {WIDTH{1'b0}};"
_DRAWN = """begin
    words[place] = 0;
    for (part = 0; part < WIDTH; part = part + 32) words[place] = words[place] << 32 | $urandom;
  end"""


@dataclass(frozen=True)
class Stop:
    """A reset: where the numbers come from, and after how many cycles of work (0: none yet)."""

    seed: int
    cycles: int


@dataclass
class Resets:
    """What became of some resets."""

    simulator: str
    power_ons: int = 0
    cuts: int = 0  #: in the middle of work
    compared: int = 0  #: values, without cycles
    failures: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """All resets."""
        return self.power_ons + self.cuts

    def note(self, stop: Stop, wanted: Observed, first: Observed, seen: Observed) -> None:
        """Take in what a chip showed after a reset; stalls and cycles are those of the first."""
        self.power_ons += not stop.cycles
        self.cuts += stop.cycles > 0
        judged = Comparison()
        judged.observed(wanted, seen)
        judged.counters(first.counters | _cycles(first), seen.counters | _cycles(seen), 0)
        self.compared += judged.compared
        if judged.first:
            where = f"seed {stop.seed}, reset after {stop.cycles} cycles"
            self.failures.append(f"{where}: {judged.first}")

    def sentence(self) -> str:
        """The verdict in one line."""
        return (
            f"{self.simulator}: {self.power_ons} random power-ons and {self.cuts} resets in the "
            f"middle of work, {self.compared:,} values compared; {len(self.failures)} left another "
            "chip than a fresh one"
        )


# The Verilog, started at random


def at_random(verilog: str) -> str:
    """Emitted Verilog whose registers and words of memories each start at what `$urandom` draws."""

    def drawn(match: re.Match[str]) -> str:
        words = -(-(int(match["high"] or 0) + 1) // 32)
        return f"{match['declared']} = {{{', '.join(['$urandom'] * words)}}}"

    text, registers = _REGISTER.subn(drawn, verilog)
    if not registers or not text.count(_ZEROS):
        raise Refusal("the Verilog has no registers or memories as `rtl emit` writes them")
    return text.replace(_ZEROS, _DRAWN).replace("integer place;", "integer place, part;")


def registers(verilog: str) -> dict[str, list[str]]:
    """The registers of each module, but those of memories."""
    return {
        module[1]: [found["name"].lstrip("\\") for found in _REGISTER.finditer(module[0])]
        for module in _MODULE.finditer(verilog)
    }


def _cycles(seen: Observed) -> dict[str, int]:
    return {"cycles, training": seen.cycles_train, "cycles, test": seen.cycles_test}


# What goes through


@dataclass(frozen=True)
class Work:
    """Samples, some aborted or malformed, and the state that they begin with."""

    samples: list[Words]
    train: int
    state: State

    @property
    def words(self) -> Words:
        """All samples, end to end."""
        return np.concatenate(self.samples)

    @classmethod
    def drawn(cls, config: ChipConfig, seed: int) -> "Work":
        """Work for a chip."""
        samples = random_samples(config, SAMPLES, seed) + malformed_samples(config, 2, seed)
        return cls(samples, len(samples) - 2, fresh(config, seed))


def stops(count: int, seed: int, length: int) -> Iterator[Stop]:
    """Resets by turns at power-on and in any cycle of work that takes `length` of them."""
    rng = np.random.default_rng([seed, 0x4E5E7])
    for number in range(count):
        seed = int(rng.integers(1, 1 << 30))
        yield Stop(seed, int(rng.integers(1, length + 1)) if number % 2 else 0)


# Running

Run = Callable[[Emission, Work, list[Stop]], Iterator[Observed]]
"""What the chip shows after each reset."""

Watch = Callable[[Resets], None]


def resets(
    emission: Emission,
    simulator: str,
    count: int,
    seed: int = 0,
    watch: Watch = lambda found: None,
) -> Resets:
    """Reset a chip so many times; each must be the model's afterwards, in the cycles of the first.

    Raises `Refusal` for a simulator in which nothing starts at random.
    """
    if simulator not in RUNS:
        raise Refusal(f"{simulator!r} starts nothing at random; choose {' or '.join(RUNS)}")
    config = emission.config
    work, found = Work.drawn(config, seed), Resets(simulator)
    wanted = plain.observe(config, work.state, work.samples)
    first: Observed | None = None
    drawn = list(stops(count, seed, sample_cycles(config)))
    for stop, seen in zip(drawn, RUNS[simulator](emission, work, drawn), strict=True):
        first = first or seen
        found.note(stop, wanted, first, seen)
        watch(found)
    return found


def _verilator(emission: Emission, work: Work, drawn: list[Stop]) -> Iterator[Observed]:
    """A chip a reset, each switched on with other contents."""
    random = dataclasses.replace(emission, verilog=at_random(emission.verilog))
    for stop in drawn:
        with BulkChip(random, "verilator", stalls=STALLS, seed=stop.seed, brief=True) as chip:
            if stop.cycles:
                chip.load(work.state)
                chip.cut(work.words, stop.cycles, stop.seed)
            chip.load(work.state)
            yield chip.observe(work.words, work.train)


def _icarus(emission: Emission, work: Work, drawn: list[Stop]) -> Iterator[Observed]:
    """One chip, which goes from reset to reset, its contents set at random in every other."""
    about = (emission, work.words, work.train, work.state, STALLS, registers(emission.verilog))
    folder = BUILD / "resets" / f"{emission.top}-{emission.config.sha256[:16]}"
    for at in range(0, len(drawn), BATCH):
        again = [(stop.seed, stop.cycles) for stop in drawn[at : at + BATCH]]
        yield from cosim.observe_resets(*about, again, folder)[1:]


RUNS: dict[str, Run] = {"verilator": _verilator, "icarus": _icarus}

"""A campaign of mutants: each is seen by checks, or not decided.

A mutant runs samples that reach every corner, and answers a host. What it shows and holds is held
against the model (boundaries, output words, banks, LFSRs, counters), and, where only hardware
knows, against the intact chip (stall counters, cycles, answers of every register). All checks that
see it are named. Whether what none sees changes nothing is not decided here. Each runs in a process
of its own, since a mutant may close a circle that never settles, or keep a harness waiting.
"""

import multiprocessing
import os
import resource
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import numpy as np
from rich.table import Table

from model.contract.config import ChipConfig
from model.contract.counters import Kind, counters
from model.contract.refusal import Refusal
from model.contract.registers import COUNTERS, registers
from model.trace import Trace, first_difference
from rtl.emit import Emission
from sim.benches.vectors import Run
from sim.judge.difference import Comparison
from sim.simulators.bulk import BulkChip
from sim.simulators.observed import Observed
from sim.trust import sabotage
from sim.trust.batch import INTACT, Mutant, chosen, draw, merged

STALLS = 0.3
BATCH = 250  #: mutants in one compiled chip
CPU_SECONDS = 5  #: of a mutant's process; the intact chip's run takes a tenth of one
TRAIN = 4  #: samples before the first rest


@dataclass(frozen=True)
class Fate:
    """What became of a mutant: the checks that see it."""

    mutant: Mutant
    seen_by: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """In one word or two."""
        return "killed" if self.seen_by else "not decided"


@dataclass(frozen=True)
class Sight:
    """What a chip showed in its run, and what its registers answer afterwards."""

    observed: Observed
    answers: tuple[int | None, ...]


def campaign(count: int, seed: int) -> Iterator[Fate]:
    """Draw mutants, run each in a compiled chip that holds many, and tell what became of it.

    Raises `Refusal` where the intact chip is seen by a check, or a tool fails.
    """
    mutants = draw(sabotage.emission(), count, seed)
    run = sabotage.expected()
    for first in range(0, len(mutants), BATCH):
        some = mutants[first : first + BATCH]
        batch = merged(sabotage.emission(), some)
        intact = look(batch, run, INTACT)
        if caught := differing(run, intact, intact):
            raise Refusal(f"the unchanged chip does not pass ({caught[0]}); mend that first")
        for mutant in some:
            yield Fate(mutant, _alone(partial(sighted, batch, run, intact, mutant.number)))


def _alone(sight: Callable[[], tuple[str, ...]]) -> tuple[str, ...]:
    """What a process of its own sees, which has some seconds of a processor."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        sender.send(sight())

    process = context.Process(target=work)
    process.start()
    sender.close()
    try:
        seen: tuple[str, ...] = receiver.recv()
    except EOFError:
        seen = ("never ends",)
    process.join()
    return seen


def sighted(batch: Emission, run: Run, intact: Sight, number: int) -> tuple[str, ...]:
    """Names of the checks that see a mutant."""
    try:
        return differing(run, look(batch, run, number), intact)
    except Refusal as refusal:
        still = "stood still" in str(refusal) or "did not answer" in str(refusal)
        return ("stands still" if still else "host protocol",)
    except ValueError:  # records that are none
        return ("records",)


def look(batch: Emission, run: Run, number: int) -> Sight:
    """Run a mutant. Raises `Refusal` where it stands still or refuses what is legal."""
    words = np.concatenate(run.samples)
    with chosen(number), BulkChip(batch, "verilator", stalls=STALLS, brief=True) as chip:
        chip.load(run.before)
        observed = chip.observe(words, TRAIN)
        return Sight(observed, tuple(chip.answer(*access) for access in _accesses(batch.config)))


@cache
def _accesses(config: ChipConfig) -> tuple[tuple[int, int | None], ...]:
    """Every register and the gaps between them, read, written and read again."""
    end = max(register.offset for register in registers(config)) + 12
    places = range(0, end, 4)
    patterns = (0, 1, 0xFFFFFFFF, 0x5)
    writes = [(place, value) for place in places if place < COUNTERS for value in patterns]
    reads: list[tuple[int, int | None]] = [(place, None) for place in places]
    mixed = [access for write in writes for access in (write, (write[0], None))]
    return (*reads, *mixed, *reads)


def differing(run: Run, sight: Sight, intact: Sight) -> tuple[str, ...]:
    """Names of the checks that do not find what they expect."""
    seen = sight.observed
    checks: dict[str, Callable[[], bool]] = {
        **{name: _record(run.trace, seen.trace, name) for name in run.trace.records},
        "output words": _equal(lambda c: c.results(sabotage.results(run), seen.results)),
        "weights and LFSRs": _equal(lambda c: c.states(run.after, seen.state, 0)),
        "counters": _equal(lambda c: c.counters(sabotage.wanted(run), seen.counters, 0)),
        "stall counters": lambda: _stalls(run, sight) == _stalls(run, intact),
        "cycles": lambda: _cycles(sight) == _cycles(intact),
        "answers": lambda: sight.answers == intact.answers,
    }
    return tuple(name for name, holds in checks.items() if not holds())


def _record(expected: Trace, got: Trace, name: str) -> Callable[[], bool]:
    def holds() -> bool:
        pair = []
        for trace in (expected, got):
            one = Trace({name: trace.columns[name]})
            one.records[name] = trace.records[name]
            pair.append(one)
        return first_difference(*pair) is None

    return holds


def _equal(compare: Callable[[Comparison], None]) -> Callable[[], bool]:
    def holds() -> bool:
        judged = Comparison()
        compare(judged)
        return judged.equal

    return holds


def _stalls(run: Run, sight: Sight) -> dict[str, int]:
    named = {counter.name for counter in counters(run.config) if counter.kind is Kind.STALL}
    return {name: count for name, count in sight.observed.counters.items() if name in named}


def _cycles(sight: Sight) -> tuple[int, int]:
    return sight.observed.cycles_train, sight.observed.cycles_test


def table(fates: list[Fate]) -> Table:
    """Modules down, checks across: how many mutants of a module each check sees."""
    names = sorted({name for fate in fates for name in fate.seen_by})
    rows = Table("module", "mutants", *names, "not decided", title="mutants")
    for module in sorted({fate.mutant.module for fate in fates}):
        own = [fate for fate in fates if fate.mutant.module == module]
        seen = Counter(name for fate in own for name in fate.seen_by)
        left = sum(not fate.seen_by for fate in own)
        cells = [len(own), *(seen[name] for name in names), left]
        rows.add_row(module, *(str(cell) if cell else "" for cell in cells))
    return rows


def figures(fates: list[Fate], seed: int) -> dict[str, Any]:
    """All of it, for JSON."""
    return {
        "seed": seed,
        "mutants": len(fates),
        "killed": sum(bool(fate.seen_by) for fate in fates),
        "not_decided": sum(not fate.seen_by for fate in fates),
        "fates": [
            {
                "module": fate.mutant.module,
                "place": fate.mutant.place,
                "mode": fate.mutant.mode,
                "verdict": fate.verdict,
                "seen_by": fate.seen_by,
                "command": fate.mutant.command,
            }
            for fate in fates
        ],
    }

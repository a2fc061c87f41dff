"""The comparison that everything is judged by: two sides held together, value by value.

What a chip shows (traces, output words) and holds (state, counters) may come from the model, from
Verilog, from a file or over a line; whoever has two sides of it counts and places differences here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.arith import Words
from model.state import State
from model.trace import Difference, Trace, first_difference, mismatches
from sim.simulators.observed import Observed


@dataclass
class Comparison:
    """Values that were compared so far, how many of them differ, and the first that does."""

    compared: int = 0
    mismatches: int = 0
    first: Difference | None = None

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.mismatches

    def observed(self, expected: Observed, got: Observed) -> None:
        """Compare all that two ways to run show and hold."""
        last = expected.trace.samples
        self.traces(expected.trace, got.trace)
        self.results(expected.results, got.results)
        self.states(expected.state, got.state, last)
        self.counters(expected.counters, got.counters, last)

    def traces(self, expected: Trace, got: Trace, offset: int = 0) -> None:
        """Compare what crossed every boundary; the first sample's number is `offset`."""
        self.compared += expected.values()
        difference = first_difference(expected, got)
        if difference:
            place = vars(difference) | {"sample": difference.sample + offset}
            self._note(Difference(**place), mismatches(expected, got))

    def results(self, expected: Sequence[Words], got: Sequence[Words], offset: int = 0) -> None:
        """Compare output words, an array a sample."""
        self.compared += sum(map(len, expected))
        for number, wanted in enumerate(expected):
            found = got[number] if number < len(got) else np.empty(0, np.uint32)
            if not np.array_equal(wanted, found):
                self._note(*_in_result(wanted, found, offset + number))
        surplus = got[len(expected) :]
        if surplus:
            counts = len(expected), len(got)
            place = Difference("results", offset + len(expected), 0, "samples", *counts)
            self._note(place, len(surplus))

    def states(self, expected: State, got: State, sample: int) -> None:
        """Compare banks and LFSRs, held after `sample`."""
        for name, wanted in expected.banks.items():
            self.compared += wanted.size
            unequal = np.argwhere(wanted != got.banks[name])
            if len(unequal):
                where = tuple(map(int, unequal[0]))
                codes = int(wanted[where]), int(got.banks[name][where])
                self._note(Difference(name, sample, 0, str(where), *codes), len(unequal))
        for layer, lfsr in expected.lfsrs.items():
            self._value(layer, sample, "lfsr", lfsr, got.lfsrs[layer])

    def counters(self, expected: Mapping[str, int], got: Mapping[str, int], sample: int) -> None:
        """Compare every counter that is expected; those of stalls only hardware knows."""
        for name, count in expected.items():
            self._value(name, sample, "counter", count, got.get(name, "no counter"))

    def add(self, other: "Comparison") -> None:
        """Take in what was compared elsewhere; of two first differences the earlier stays."""
        self.compared += other.compared
        self.mismatches += other.mismatches
        if other.first and (self.first is None or other.first.sample < self.first.sample):
            self.first = other.first

    def _value(self, stage: str, sample: int, index: str, expected: int, got: int | str) -> None:
        self.compared += 1
        if expected != got:
            self._note(Difference(stage, sample, 0, index, expected, got), 1)

    def _note(self, difference: Difference, differing: int) -> None:
        self.mismatches += differing
        if self.first is None or difference.sample < self.first.sample:
            self.first = difference


def _in_result(wanted: Words, found: Words, sample: int) -> tuple[Difference, int]:
    """The first output word of a sample that differs, and how many do."""
    common = min(len(wanted), len(found))
    unequal = np.flatnonzero(wanted[:common] != found[:common])
    step = int(unequal[0]) if len(unequal) else common
    words = (int(side[step]) if step < len(side) else "no word" for side in (wanted, found))
    place = Difference("results", sample, step, "word", *words)
    return place, len(unequal) + abs(len(wanted) - len(found))

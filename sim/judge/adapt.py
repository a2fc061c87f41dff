"""Adaptation proved: every learner's stream through its Verilog, beside the model sample by sample.

The Verilog of each learner starts from the state that training left in the model, written through
the host's bus, and goes on without a seam: the stream as `model.study.adapt` gives it, and after
each look test images of the changed world and of the old one. Everything that crosses a boundary,
every result, bank, LFSR and counter is compared.
"""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any

import numpy as np
from rich.table import Table

from model.arith import Codes
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.fast.engine import FastChip
from model.network import Images
from model.study.adapt import Meeting, Start
from rtl.emit import emit_processes
from sim.judge.samples import Samples
from sim.judge.segment import Runner, Segment, Tally, Watch, Way, version
from sim.tools import COMPILED


@dataclass
class Proof:
    """What was compared of one learner, and its accuracies in Verilog after each of the looks."""

    learner: str
    tally: Tally = field(default_factory=Tally)
    changed: list[float] = field(default_factory=list)
    old: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        tally = self.tally
        return {
            "learner": self.learner,
            "changed": self.changed,
            "old": self.old,
            "samples_compared": tally.done,
            "compared_values": tally.compared,
            "mismatches": tally.mismatches,
            "first_mismatch": None if tally.first is None else asdict(tally.first),
            "cycles": tally.cycles_train + tally.cycles_test,
        }


def planned(met: Meeting, tests: int) -> int:
    """Samples that `prove` sends through Verilog, at most."""
    passes = 1 if met.margin is None else 2
    both = (met.world.changed_labels, met.world.old_labels)
    shown = sum(min(tests, len(labels)) for labels in both)
    return len(met.starts) * (passes * met.looks[-1] + len(met.looks) * shown)


def prove(
    met: Meeting, tests: int, simulator: str, seed: int, watch: Watch = lambda tally: None
) -> Iterator[Proof]:
    """Go through the meeting in Verilog, a learner at a time; ends a learner where it differs.

    Parameters: `tests`, the first so many images of either test; `simulator` that compiles; `seed`
    of what the Verilog leaves without a value. Raises `Refusal` for another simulator.
    """
    if simulator not in COMPILED:
        raise Refusal(f"a stream is long: the simulator must be {' or '.join(COMPILED)}")
    before = Tally()
    for start in met.starts:
        proof = Proof(start.learner)
        runner = Runner(emit_processes(start.config), Way(simulator), seed)
        with closing(runner):
            for kind, segment in _segments(met, start, tests, seed):
                finished = runner.go(segment)
                proof.tally.add(finished.tally)
                if kind is not None:
                    share = finished.tally.right_rtl / len(segment.samples)
                    getattr(proof, kind).append(share)
                sofar = Tally()
                sofar.add(before)
                sofar.add(proof.tally)
                watch(sofar)
                if not finished.tally.equal:
                    break
        before.add(proof.tally)
        yield proof


def _segments(
    met: Meeting, start: Start, tests: int, seed: int
) -> Iterator[tuple[str | None, Segment]]:
    """What a learner meets, piece by piece, and of which list of accuracies each piece is."""
    chip, world = start.chip(), met.world
    learned = at = 0
    for look in met.looks:
        pieces = _lessons(met, chip, learned, look)
        changed = met.changed(look)[:tests]
        tested = (
            ("changed", changed, world.changed_labels[:tests]),
            ("old", world.old_images[:tests], world.old_labels[:tests]),
        )
        learned = look
        for kind, images, labels, learn in chain(pieces, ((*test, False) for test in tested)):
            train = len(labels) if learn else 0
            rates = np.full(len(labels), met.rate if learn else 0)
            piece = Samples(images, labels, rates, train, met.scenario.kind, seed, at)
            yield kind, _passed(start.config, chip, piece)
            at += len(piece)


def _lessons(
    met: Meeting, chip: FastChip, first: int, last: int
) -> Iterator[tuple[None, Images, Codes, bool]]:
    """Images and labels that are learned; before, where the chip labels them, those it sees."""
    if first == last:
        return
    for lesson in met.lessons(chip, first, last):
        images = met.world.images[lesson.part]
        if met.margin is not None:
            yield None, images, lesson.labels, False
        if lesson.taken.any():
            yield None, images[lesson.taken], lesson.labels[lesson.taken], True


def _passed(config: ChipConfig, chip: FastChip, piece: Samples) -> Segment:
    """A segment, after the model has gone through it."""
    before = chip.state.copy()
    chip.run(piece.images, piece.labels, piece.rates, piece.learns)
    return Segment(piece, before, chip.state.copy())


def figures(met: Meeting, proofs: list[Proof], simulator: str) -> dict[str, Any]:
    """All that was compared, for JSON."""
    return {
        "scenario": asdict(met.scenario),
        "looks": met.looks,
        "rate": met.rate,
        "self_label": met.margin,
        "simulator": simulator,
        "simulator_version": version(simulator),
        "compared_values": sum(proof.tally.compared for proof in proofs),
        "mismatches": sum(proof.tally.mismatches for proof in proofs),
        "proofs": [proof.figures() for proof in proofs],
    }


def table(met: Meeting, proofs: list[Proof], simulator: str) -> Table:
    """A row a learner: values compared, and accuracies in Verilog."""
    title = f"{met.scenario.kind} in {simulator}: changed test (%) after so many samples"
    shown = Table("learning", *map(str, met.looks), "old after", "mismatches", title=title)
    for proof in proofs:
        cells = [f"{100 * share:.1f}" for share in (*proof.changed, *proof.old[-1:])]
        cells += [""] * (len(met.looks) + 1 - len(cells))
        told = f"{proof.tally.mismatches} of {proof.tally.compared:,}"
        shown.add_row(proof.learner, *cells, told)
    return shown

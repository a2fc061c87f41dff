"""The chip's rules at its AXI ports, under both simulators: accesses, malformed words, recovery."""

import re
from pathlib import Path

import numpy as np
import pytest

from model.banks import to_chunks, to_words
from model.contract import registers
from model.contract.choices import Hidden, Readout
from model.contract.config import ChipConfig
from model.contract.counters import Kind, counters
from model.contract.event import Event, Mark, pack_event, pack_mark
from model.contract.result import VERDICT_AT, pack_score
from model.contract.storage import host_banks
from model.contract.timing import recovery_cycles
from model.state import State, fresh
from rtl.top import AxiTop
from sim import tools
from sim.benches import bench
from sim.benches.vectors import random_samples, run_model

# Six lanes: words of 48 bits take two accesses.
CONFIG = ChipConfig(
    name="rules",
    height=3,
    width=5,
    lanes=6,
    hidden=(Hidden(neurons=12, shift=5, rate_shift=7, threshold=1 << 11),),
    readout=Readout(classes=10, shift=6, rate_shift=10),
)
#: Cycles from a beat's arrival at a stage to its effect at the next, for all stages together.
LATENCY_CYCLES = 16


def chunks(state: State) -> list[list[int]]:
    """All banks as the host writes them."""
    return [
        to_chunks(bank, to_words(bank, state.banks[bank.name])).reshape(-1).tolist()
        for bank in host_banks(CONFIG)
    ]


def vectors() -> dict[str, object]:
    """A sample that is malformed throughout, others partly, refused marks; the model's answers."""
    x_outside, late, never = Event(5, 0, 0, 0), Event(0, 0, 0, 3), Event(0, 0, 0, 255)
    y_outside, channel, good = Event(0, 3, 0, 0), Event(0, 0, 1, 0), Event(1, 1, 0, 4)
    learn, label, rate = Mark(2, True), Mark(10, True), Mark(1, True, 5)
    samples = [
        [pack_event(event) for event in (x_outside, never, y_outside, channel)]
        + [pack_mark(learn)],
        [pack_event(event) for event in (good, late, good)] + [pack_mark(learn)],
        [pack_event(good), pack_mark(label)],
        [pack_event(good)] * 20 + [pack_mark(rate)],
    ]
    words = [np.array(sample, dtype=np.uint32) for sample in samples]
    words += random_samples(CONFIG, 2, seed=0)
    state = fresh(CONFIG, 0)
    run = run_model(CONFIG, state, words)
    results = [
        [pack_score(int(score)) for (score,) in scores] + [1 << VERDICT_AT | int(verdict)]
        for scores, ((verdict,),) in zip(
            run.rows("readout.scores"), run.rows("readout.verdict"), strict=True
        )
    ]
    work = sum(
        counts[layer.name][phase]
        for counts in run.counts
        for layer in CONFIG.layer_shapes
        for phase in ("forward_cycles", "learn_cycles")
    )
    totals = {stage: run.total(stage) for stage in ("encode", "hidden1", "readout")}
    assert totals["encode"]["dropped_events"] == 4 + 1 + 5
    assert totals["encode"]["refused_marks"] == 2
    return {
        "config": int(CONFIG.sha256[:8], 16),
        "chunks": chunks(state),
        "words": [sample.tolist() for sample in words],
        "results": results,
        "banks": [(bank.words, bank.word_bits) for bank in host_banks(CONFIG)],
        "registers": [(found.offset, found.access) for found in registers.registers(CONFIG)],
        "seeds": [state.lfsrs[layer] for layer in registers.learning_layers(CONFIG)],
        "chunks_after": chunks(run.after),
        "seeds_after": [run.after.lfsrs[layer] for layer in registers.learning_layers(CONFIG)],
        "recovery": recovery_cycles(CONFIG),
        "flags": 1 << registers.STATUS_DROPPED
        | 1 << registers.STATUS_REFUSED
        | 1 << registers.STATUS_VERDICT,
        "counters": [
            (
                counter.name,
                None if counter.kind is Kind.STALL else totals[counter.stage][counter.event],
            )
            for counter in counters(CONFIG)
        ],
        "deadline": work + sum(map(len, words)) + LATENCY_CYCLES * len(words),
    }


@pytest.mark.parametrize(
    ("simulator", "monitors"), [*((name, True) for name in tools.DRIVEN), ("icarus", False)]
)
def test_the_chip_keeps_its_rules_at_its_ports(
    simulator: str, monitors: bool, tmp_path: Path
) -> None:
    """With and without monitors: results, what is learned, flags and counters are the model's."""
    top = AxiTop(CONFIG, monitors=monitors)
    results = bench.run(simulator, top, "rules", "sim.benches.axi", vectors(), tmp_path)
    shown = re.search(r"^  output .*\bmonitor_", (tmp_path / "rules.v").read_text(), re.MULTILINE)
    assert (shown is not None) is monitors
    assert len(results.tests) == 5 + 2 + 1 + 5 + 1 + 1

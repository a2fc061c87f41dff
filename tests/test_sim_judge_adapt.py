"""sim/judge/adapt.py: a stream that adapts, in Verilog; what differs is found."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.data import load
from model.study.adapt import Meeting, adapt, meeting
from model.study.experiment import samples_for
from model.study.scenario import Scenario
from sim.__main__ import app
from sim.judge.adapt import Proof, planned, prove
from sim.judge.segment import Tally
from sim.simulators.bulk import BulkChip
from sim.simulators.observed import Passed

TINY = preset("tiny")
WAY: dict[str, Any] = {"epochs": 1, "stream": 120, "rate": 1, "seed": 5}
TURNED = Scenario("rotate", degrees=90)


@cache
def met(margin: int | None = None) -> Meeting:
    return meeting(TINY, samples_for(TINY, load("digits")), TURNED, margin=margin, **WAY)


def of(given: Meeting, *learners: str) -> Meeting:
    """The meeting with these learners alone."""
    return replace(given, starts=[start for start in given.starts if start.learner in learners])


def test_verilog_fares_as_the_model_tells() -> None:
    seen: list[Tally] = []
    tests = len(met().world.changed_labels)
    some = of(met(), "readout", "drtp")
    proofs = list(prove(some, tests, "verilator", 0, seen.append))
    told = adapt(TINY, samples_for(TINY, load("digits")), TURNED, **WAY)
    courses = {course.learner: course for course in told.courses}
    for proof in proofs:
        course = courses[proof.learner]
        assert proof.tally.equal
        assert (proof.changed, proof.old) == (course.changed, course.old)
    assert seen[-1].done == planned(some, tests) == 2 * (120 + 4 * 2 * tests)
    readout, drtp = proofs
    assert drtp.changed[-1] > readout.changed[-1] > drtp.changed[0]


def test_a_chip_that_labels_itself_is_proved_too() -> None:
    (proof,) = prove(of(met(margin=1 << 12), "drtp"), 10, "verilator", 0)
    assert proof.tally.equal
    # Looked at once; learned where it is sure, which it is of some only.
    assert 120 < proof.tally.done - 4 * 20 < 240


def test_a_wrong_verdict_ends_the_learner_and_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    right = BulkChip.run

    def wrong(chip: BulkChip, words: np.ndarray, train: int, seed: int = 0) -> Passed:
        passed = right(chip, words, train, seed)
        if train:
            passed.results[3] = passed.results[3] ^ np.array([0] * 10 + [1], np.uint32)
        return passed

    monkeypatch.setattr(BulkChip, "run", wrong)
    (proof,) = prove(of(met(), "drtp"), 10, "verilator", 0)
    assert (proof.tally.mismatches, len(proof.changed)) == (1, 1)
    first = proof.tally.first
    assert first is not None and (first.stage, first.sample) == ("results", 20 + 3)


def test_the_command_tells_and_fails_where_something_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def some(given: Meeting, *others: Any) -> list[Proof]:
        return list(prove(of(given, "drtp"), *others))

    monkeypatch.setattr("sim.judge.adapt.prove", some)
    out = tmp_path / "a.json"
    arguments = ["adapt", "--scenario", "invert", "--preset", "tiny", "--epochs", "1"]
    arguments += ["--stream", "60", "--test", "10", "--json", str(out)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    assert figures["mismatches"] == 0 and figures["looks"] == [0, 50, 60]
    assert f"[0/{figures['compared_values']:,}] mismatches" in result.stdout
    assert [len(proof["changed"]) for proof in figures["proofs"]] == [3]
    with pytest.raises(Refusal, match="must be verilator or cxxrtl"):
        next(prove(met(), 10, "icarus", 0))

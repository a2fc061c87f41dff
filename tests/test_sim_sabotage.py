"""Sabotage itself: changes are caught, an intact project is not, and a broken one is refused."""

import random
from pathlib import Path

import pytest

from model.contract.refusal import Refusal
from sim import sabotage
from sim.mutants import Mutant
from sim.sabotage import Copy, Finding, emission, flip_expected, try_golden, try_model, try_verilog


def unchanged() -> Mutant:
    return Mutant("none", "nowhere", "", "", emission().verilog)


def test_unchanged_verilog_is_not_caught() -> None:
    assert try_verilog(unchanged()).caught_by == ""


def test_a_changed_operator_of_the_verilog_is_caught_by_a_difference() -> None:
    mutants = [
        mutant
        for mutant in sabotage.verilog_changes()
        if mutant.place.endswith("synapses.update") and " + " in mutant.before
    ]
    found = try_verilog(random.Random(0).choice(mutants))
    assert "expected" in found.caught_by


def test_a_changed_bit_of_golden_data_is_caught(tmp_path: Path) -> None:
    copy = Copy(tmp_path)
    first = next(try_golden(copy))
    assert "not the file whose sum MANIFEST.json holds" in first.caught_by
    assert "expected" in copy.judge("golden/anchors/update.json", flip_expected, noted=True)


def test_a_changed_operator_of_the_model_is_caught(tmp_path: Path) -> None:
    found = try_model(Copy(tmp_path), "arith", sabotage.model_changes("arith")[0])
    assert found.caught_by


def test_verilog_that_fails_unchanged_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Finding("Verilog", "nowhere", "", "", "results")
    monkeypatch.setattr(sabotage, "try_verilog", lambda mutant: broken)
    with pytest.raises(Refusal) as refusal:
        sabotage.check_intact()
    assert str(refusal.value) == ("the unchanged Verilog does not pass (results); mend that first")

"""Sabotage itself: changes are caught, an intact project is not, and a broken one is refused."""

import json
import random
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.contract.refusal import Refusal
from sim.__main__ import app
from sim.trust import sabotage
from sim.trust.mutants import Mutant, python_mutants, verilog_mutants
from sim.trust.sabotage import (
    Copy,
    Finding,
    emission,
    flip_expected,
    try_golden,
    try_model,
    try_verilog,
)

VERILOG = """\
module \\top.part (a, b, y);
  wire [7:0] y;
  wire [7:0] a;
  wire z;
  assign y = a + b;
  assign z = a + b;
  assign w = a < 8'h80;
  assign v = rst ? 4'h1 : a & b;
  assign u = a == 2'h0;
endmodule
"""
PYTHON = """\
def f(x):
    total = (x +
        1)
    return total >= 2 and "a + b"
"""


def test_verilog_is_changed_in_one_operator_or_bit_that_matters() -> None:
    mutants = list(verilog_mutants(VERILOG))
    assert [(mutant.kind, mutant.place, mutant.after) for mutant in mutants] == [
        ("+", "top.part", "assign y = a - b;"),
        ("<", "top.part", "assign w = a >= 8'h80;"),
        ("constant", "top.part", "assign w = a < 8'h81;"),
        ("constant", "top.part", "assign u = a == 2'h1;"),
    ]
    for mutant in mutants:
        lines = zip(VERILOG.splitlines(), mutant.text.splitlines(), strict=True)
        changed = [pair for pair in lines if len(set(pair)) > 1]
        assert changed[0] == (f"  {mutant.before}", f"  {mutant.after}")
        copies = [("  assign z = a + b;", "  assign z = a - b;")] if mutant.kind == "+" else []
        assert changed[1:] == copies


def test_python_is_changed_in_one_operator() -> None:
    mutants = list(python_mutants(PYTHON))
    assert [(mutant.kind, mutant.place, mutant.before, mutant.after) for mutant in mutants] == [
        ("+", "line 2", "total = (x +", "total = (x -"),
        (">=", "line 4", 'return total >= 2 and "a + b"', 'return total > 2 and "a + b"'),
    ]
    assert mutants[0].text == PYTHON.replace("(x +", "(x -")


def unchanged() -> Mutant:
    return Mutant("none", "nowhere", "", "", emission().verilog)


def test_unchanged_verilog_is_not_caught() -> None:
    assert try_verilog(unchanged()).caught_by == ""


def test_a_changed_operator_of_the_verilog_is_caught_by_a_difference() -> None:
    mutants = [
        mutant
        for mutant in sabotage.verilog_changes()
        if mutant.place.endswith(".update") and " + " in mutant.before
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


@pytest.mark.parametrize(("caught_by", "code"), [("trace", 0), ("", 1)])
def test_the_command_fails_where_a_change_is_not_caught(
    caught_by: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Finding("Verilog", "part", "a + b", "a - b", caught_by)
    monkeypatch.setattr(sabotage, "sabotage", lambda count, seed: iter([found]))
    result = CliRunner().invoke(app, ["sabotage", "--json", str(tmp_path / "found.json")])
    assert result.exit_code == code
    assert result.stdout.splitlines()[-1] == f"{code} of 1 changes were not caught"
    (told,) = json.loads((tmp_path / "found.json").read_text())
    assert told["caught_by"] == caught_by

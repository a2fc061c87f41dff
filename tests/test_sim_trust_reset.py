"""sim/trust/reset.py: random contents, cuts in any cycle, and resets that forget something."""

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from model.contract.choices import Conv, Hidden, Learning, Readout
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from rtl.emit import Emission, emit
from sim.__main__ import app
from sim.simulators.bulk import BulkChip
from sim.trust import reset
from sim.trust.reset import RUNS, Resets, Stop, at_random, registers, resets, stops

CONFIG = ChipConfig(
    name="stopped",
    height=4,
    width=4,
    lanes=2,
    conv=(Conv(4, 3, padding=1, pool=2, shift=8, places=2, inhibition=2, lanes=4),),
    hidden=(Hidden(neurons=4, shift=4, rate_shift=6, threshold=1 << 8),),
    readout=Readout(classes=3, shift=4, rate_shift=7),
    learning=Learning(density=2),
)


def changed(module: str, pattern: str, new: str) -> Emission:
    """The chip with the first such part of a module replaced."""
    emission = emit(CONFIG)
    path = re.escape(f"module \\stopped.chip.{module} ")
    whole = rf"({path}(?:(?!\nendmodule).)*?){pattern}"
    text, count = re.subn(whole, rf"\1{new}", emission.verilog, count=1, flags=re.DOTALL)
    assert count, pattern
    return dataclasses.replace(emission, verilog=text)


@pytest.mark.parametrize(("simulator", "count"), [("verilator", 60), ("icarus", 4)])
def test_after_any_reset_the_chip_is_a_fresh_one(simulator: str, count: int) -> None:
    found = resets(emit(CONFIG), simulator, count)
    assert found.failures == []
    assert (found.power_ons, found.cuts) == (count // 2, count // 2)
    assert found.compared > 100 * count


def test_a_word_of_a_memory_that_is_not_cleared_is_found() -> None:
    """The sweep over the potentials ends a word early."""
    early = changed("conv1.potentials", r"(\w+) == 4'h9;", r"\2 == 4'h8;")
    found = resets(early, "icarus", 3)
    assert any("conv1.features" in failure for failure in found.failures)


def test_a_register_that_is_not_reset_is_found() -> None:
    """The flag that a sample is open keeps its value."""
    next_one = re.search(r"open_sample <= (\w+);", emit(CONFIG).verilog)
    assert next_one
    kept = changed("encode", rf"assign {next_one[1]} = rst \? 1'h0 : ", f"assign {next_one[1]} = ")
    with pytest.raises(Refusal, match=r"failed: samples_pass|stood still"):
        resets(kept, "icarus", 4)


def test_verilator_draws_each_word_anew_and_a_seed_is_a_chip() -> None:
    emission = emit(CONFIG)
    random = dataclasses.replace(emission, verilog=at_random(emission.verilog))
    found = []
    for seed in (1, 1, 2):
        with BulkChip(random, "verilator", seed=seed, brief=True) as chip:
            found.append(chip.state().banks["hidden1.weights"])
    np.testing.assert_array_equal(found[0], found[1])
    assert np.mean(found[0] == found[2]) < 0.1
    assert len(np.unique(found[0], axis=0)) == len(found[0])


def test_all_registers_are_known_and_start_at_random() -> None:
    verilog = emit(CONFIG).verilog
    declared = re.findall(r"^ *(?:output )?reg ", verilog, re.MULTILINE)
    memories = 2  # modules, each with its words and what was read
    assert sum(map(len, registers(verilog).values())) == len(declared) - 2 * memories
    assert "open_sample" in registers(verilog)["stopped.chip.encode"]
    assert not re.search(r"reg [^;,\n]*= \d+'", at_random(verilog))
    with pytest.raises(Refusal, match="no registers or memories"):
        at_random("module empty;\nendmodule\n")


def test_a_seed_draws_the_same_moments() -> None:
    drawn = list(stops(50, 3, length=900))
    assert drawn == list(stops(50, 3, length=900)) != list(stops(50, 4, length=900))
    assert [stop.cycles > 0 for stop in drawn] == [False, True] * 25
    assert max(stop.cycles for stop in drawn) > 600
    assert isinstance(drawn[0], Stop)


def test_a_simulator_that_starts_nothing_at_random_is_refused() -> None:
    assert set(RUNS) == {"verilator", "icarus"}
    with pytest.raises(Refusal, match="'cxxrtl' starts nothing at random; choose verilator or"):
        resets(emit(CONFIG), "cxxrtl", 1)


@pytest.mark.parametrize(("failures", "code"), [([], 0), (["seed 3, reset after 7 cycles"], 1)])
def test_the_command_fails_where_a_reset_leaves_something(
    failures: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Resets("icarus", power_ons=2, cuts=1, compared=9, failures=failures)
    monkeypatch.setattr(reset, "resets", lambda *given: found)
    monkeypatch.setattr("rtl.emit.emit", lambda config: Emission(config, "tiny", (), ""))
    path = tmp_path / "found.json"
    result = CliRunner().invoke(app, ["reset", "--preset", "tiny", "--json", str(path)])
    assert result.exit_code == code
    assert result.stdout.splitlines() == [
        *failures,
        "icarus: 2 random power-ons and 1 resets in the middle of work, 9 values compared; "
        f"{code} left another chip than a fresh one",
    ]
    assert json.loads(path.read_text())["power_ons"] == 2

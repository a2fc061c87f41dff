"""sim/benches/edges.py: each threshold and both sides of it, in Verilog; `>` for `>=` is found."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest

from model.contract.choices import Activation, Gate
from model.contract.config import ChipConfig
from rtl.emit import Emission, emit
from sim.benches import edges
from sim.judge.difference import Comparison
from sim.simulators import cosim, plain
from sim.simulators.bulk import BulkChip

BOX, SIDE = Gate.BOX, Gate.ONE_SIDED
TANH, SIGN = Activation.TANH, Activation.SIGN
CHIPS = {
    "drtp": edges.chip("drtp", SIDE, TANH, None),
    "drtp-scaled": edges.chip("drtp-scaled", BOX, SIGN, 1),
    "sdfa": edges.chip("sdfa", SIDE, SIGN, None),
    "dfa": edges.chip("dfa", BOX, TANH, 1),
}
RULES = pytest.mark.parametrize("rule", CHIPS)


def seen(emission: Emission, simulator: str, folder: Path, most: int | None = None) -> Comparison:
    """The vectors, or the first of them, through a chip's Verilog, compared with the model."""
    config = emission.config
    samples, state, judged = edges.samples(config)[:most], edges.state(config), Comparison()
    words = np.concatenate(samples)
    if simulator == "icarus":
        about = (words, len(samples), state, 0.0, 0, simulator, False, folder)
        found = cosim.observe_emission(emission, *about)
    else:
        with BulkChip(emission, simulator, brief=True) as chip:
            chip.load(state)
            found = chip.observe(words, len(samples))
    judged.observed(plain.observe(config, state, samples), found)
    return judged


@RULES
def test_sums_and_errors_lie_at_every_threshold_and_beside_it(rule: str) -> None:
    config = CHIPS[rule]
    records = plain.observe(config, edges.state(config), edges.samples(config)).trace.records
    gate, loud = edges.GATE, config.error_threshold
    assert set(edges.beside(gate, -gate, 127, -127, 0)) <= set(records["hidden1.sums"].rows[:, 1])
    assert set(edges.beside(loud, -loud)) <= set(records["readout.modulation"].rows[:, 0])
    assert {1, 254, 255} <= set(records["conv1.features"].rows[:, 1])
    closed = records["hidden1.modulation"].rows[:, 0] == 0
    assert 0.02 < closed.mean() < 0.98


@pytest.mark.parametrize(
    ("rule", "simulator"),
    [("drtp", "icarus"), ("sdfa", "icarus"), ("dfa", "icarus"), ("dfa", "verilator")],
)
def test_the_verilog_is_the_models_there(rule: str, simulator: str, tmp_path: Path) -> None:
    judged = seen(emit(CHIPS[rule]), simulator, tmp_path)
    assert judged.first is None
    assert judged.compared > 3000


def spoilt(config: ChipConfig, module: str, operator: str) -> Emission:
    """The chip with the first comparison of a kind in a module made strict."""
    emission = emit(config)
    path = re.escape(f"module \\edges.chip.{module} ")
    text, count = re.subn(
        rf"({path}(?:(?!\nendmodule).)*? {operator[0]})= ",
        r"\1 ",
        emission.verilog,
        count=1,
        flags=re.DOTALL,
    )
    assert count
    return dataclasses.replace(emission, verilog=text)


@pytest.mark.parametrize(("rule", "operator"), [("drtp", ">="), ("dfa", "<=")])
def test_a_threshold_that_is_strict_is_found(rule: str, operator: str, tmp_path: Path) -> None:
    judged = seen(spoilt(CHIPS[rule], "hidden1.modulate", operator), "icarus", tmp_path, 13)
    assert judged.first is not None
    assert judged.first.stage.startswith("hidden1.")

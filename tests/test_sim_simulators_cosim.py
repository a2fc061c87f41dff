"""sim/simulators/cosim.py: a chip under cocotb shows what the model computes, every cycle."""

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from model.contract.choices import Conv, Hidden, Learning, Readout
from model.contract.config import ChipConfig
from model.contract.counters import Kind, counters
from model.contract.refusal import Refusal
from model.state import State, fresh
from model.trace import first_difference
from rtl.emit import emit
from sim import tools
from sim.benches.vectors import Run, random_samples, run_model
from sim.simulators import cosim
from sim.simulators.bulk import patience
from sim.simulators.observed import Observed

SIMULATORS = pytest.mark.parametrize("simulator", tools.DRIVEN)

CONFIG = ChipConfig(
    name="small-chip",
    height=6,
    width=6,
    lanes=4,
    conv=(Conv(kernels=3, size=3, pool=2, shift=6),),
    hidden=(Hidden(neurons=8, shift=4, rate_shift=6, threshold=1 << 10),),
    readout=Readout(classes=3, shift=5, rate_shift=8),
    learning=Learning(density=2),
)
SAMPLES, TRAIN = 8, 6


@cache
def expected() -> Run:
    """The model's run."""
    return run_model(CONFIG, fresh(CONFIG, 0), random_samples(CONFIG, SAMPLES, seed=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all runs: each simulator compiles once."""
    return tmp_path_factory.mktemp("cosim")


def observe(simulator: str, folder: Path, stalls: float = 0.0, waves: bool = False) -> Observed:
    run = expected()
    words = np.concatenate(run.samples)
    return cosim.observe(CONFIG, words, TRAIN, run.before, stalls, 2, simulator, waves, folder)


def assert_equal_states(expected: State, got: State) -> None:
    assert expected.lfsrs == got.lfsrs
    assert expected.banks.keys() == got.banks.keys()
    for name, bank in expected.banks.items():
        assert np.array_equal(bank, got.banks[name]), name


@SIMULATORS
@pytest.mark.parametrize("stalls", [0.0, 0.4])
def test_a_chip_shows_what_the_model_computes(simulator: str, stalls: float, folder: Path) -> None:
    run, got = expected(), observe(simulator, folder, stalls)
    assert first_difference(run.trace, got.trace) is None
    assert got.trace.samples == SAMPLES
    assert_equal_states(run.after, got.state)
    scores = [rows.ravel().tolist() for rows in run.rows("readout.scores") if len(rows)]
    assert [result[:-1].tolist() for result in got.results] == scores
    assert list(got.counters) == [counter.name for counter in counters(CONFIG)]
    for counter in counters(CONFIG):
        if counter.kind is not Kind.STALL:
            total = run.total(counter.stage)[counter.event]
            assert got.counters[counter.name] == total, counter.name
    assert got.counters["chip.cycles"] > got.cycles_train + got.cycles_test > 0


def test_both_simulators_take_the_same_cycles(folder: Path) -> None:
    icarus, verilator = (observe(simulator, folder, 0.2) for simulator in ("icarus", "verilator"))
    assert (icarus.cycles_train, icarus.cycles_test) == (
        verilator.cycles_train,
        verilator.cycles_test,
    )
    assert icarus.counters == verilator.counters


def test_waves_are_recorded_and_change_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cosim, "BUILD", folder)
    got = observe("icarus", folder, waves=True)
    assert first_difference(expected().trace, got.trace) is None
    text = (folder / "waves" / "small-chip-icarus.vcd").read_text()
    assert "$enddefinitions" in text
    assert "monitor_readout_verdict" in text


def test_a_chip_that_stands_still_is_refused_by_sample(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emission = emit(CONFIG)
    wire = ".results__ready(m_axis_tready)"
    assert emission.verilog.count(wire) == 1
    deaf = emission.verilog.replace(wire, ".results__ready(1'h0)")
    monkeypatch.setattr(cosim, "emit", lambda config: dataclasses.replace(emission, verilog=deaf))
    with pytest.raises(Refusal) as refusal:
        observe("icarus", folder / "deaf")
    log = next((folder / "deaf").glob("*/icarus/bench.log"))
    assert str(refusal.value) == (
        f"the chip stood still for {patience(CONFIG, 0.0)} cycles in sample 0; look at {log}"
    )

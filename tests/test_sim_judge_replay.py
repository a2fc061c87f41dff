"""sim/judge/replay.py: a sample again, with waves of it alone and views of them; a fault found."""

import dataclasses
import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.contract.stages import boundaries, stage_names
from model.data import load
from model.state import State, fresh
from rtl.emit import Emission, emit
from sim.__main__ import app
from sim.judge import replay as replays
from sim.judge import verify as verifications
from sim.judge.replay import Replay, of_stage, replay
from sim.judge.samples import Samples, samples
from sim.judge.segment import Expected

CONFIG = preset("tiny")
FAULTY = 730  #: the sample that a fault is planted in
SECONDS = 10  #: from a verdict to the open file, without what is compiled


@cache
def given() -> Samples:
    return samples(CONFIG, load("digits", seed=1), 1000, 100, 1)


@cache
def faulty() -> Emission:
    """A chip whose memory flips a bit of one word of sums, which sample `FAULTY` has first."""
    expected = Expected.of(CONFIG, fresh(CONFIG, 1), given().part(slice(0, FAULTY + 1)))
    shape = CONFIG.layer_shapes[0]
    sums = expected.trace.records["hidden1.sums"]
    groups = [sums[number][: shape.lanes, 1] for number in range(FAULTY + 1)]
    assert not any(np.array_equal(groups[FAULTY], group) for group in groups[:FAULTY])
    mask = (1 << shape.sum.bits) - 1
    word = sum((int(code) & mask) << shape.sum.bits * n for n, code in enumerate(groups[FAULTY]))
    right, bits = emit(CONFIG), shape.sum.bits * shape.lanes
    write = "words[write_address] <= write_data;"
    assert right.verilog.count(write) == 1
    place = f"WIDTH == {bits} && write_address == 0 && write_data == {bits}'h{word:x}"
    wrong = write.replace("write_data;", f"write_data ^ ({place});")
    return dataclasses.replace(right, verilog=right.verilog.replace(write, wrong))


@pytest.mark.sim
def test_a_fault_late_in_a_segmented_run_is_before_ones_eyes_in_seconds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """From the verdict's own command to the file of waves."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(verifications, "UNBROKEN_SAMPLES", 0)
    monkeypatch.setattr(verifications, "emit_processes", lambda config: faulty())
    monkeypatch.setattr("rtl.emit.emit", lambda config: faulty())
    told = tmp_path / "replay.json"
    chosen = ["--preset", "tiny", "--seed", "1", "--test", "100", "--jobs", "2"]
    verdict = CliRunner().invoke(app, ["verify", *chosen])
    assert verdict.exit_code == 1
    line = next(line for line in verdict.output.splitlines() if line.startswith("look at it: "))
    command = line.partition(" replay ")[2].split()
    assert command[command.index("--sample") + 1] == str(FAULTY)
    replay(faulty(), given(), 0)  # compiles
    began = time.process_time()
    seen = CliRunner().invoke(app, ["replay", *command, "--json", str(told)])
    assert time.process_time() - began < SECONDS
    assert seen.exit_code == 1, seen.output
    figures = json.loads(told.read_text())
    assert figures["first_mismatch"]["stage"] == "hidden1.sums"
    assert figures["first_mismatch"]["sample"] == FAULTY
    assert Path(figures["waves"]).stat().st_size < 1 << 20
    way = CliRunner().invoke(app, ["trace", *command, "--stage", "hidden1"])
    assert way.exit_code == 1
    assert "hidden1.sums" in way.output


@pytest.mark.sim
def test_a_sample_is_replayed_with_waves() -> None:
    replayed = replay(faulty(), given(), FAULTY - 1)
    assert replayed.comparison.equal
    assert replayed.comparison.compared > 0
    names = {crossing.boundary for crossing in replayed.crossings}
    assert names == {boundary.name for boundary in boundaries(CONFIG)}
    assert all(crossing.differs_at is None for crossing in replayed.crossings)
    assert all(crossing.model == crossing.rtl for crossing in replayed.crossings)
    assert_stepped(replayed)
    assert_viewed(replayed)


def assert_stepped(replayed: Replay) -> None:
    """Every row has its cycle, in order, and each stage begins behind the one before."""
    cycles = [step.cycle for step in replayed.steps]
    assert None not in cycles
    assert cycles == sorted(cycles, key=lambda cycle: cycle or 0)
    firsts = [of_stage(replayed.steps, stage)[0].cycle for stage in stage_names(CONFIG)]
    assert firsts == sorted(firsts, key=lambda cycle: cycle or 0)
    rows = {crossing.boundary: crossing.rows_rtl for crossing in replayed.crossings}
    counted = {name: [step.boundary for step in replayed.steps].count(name) for name in rows}
    assert counted == rows


def assert_viewed(replayed: Replay) -> None:
    """Both views group signals by stage, boundaries first, states by names."""
    gtkwave, surfer = replayed.views.gtkwave.read_text(), replayed.views.surfer.read_text()
    for stage in stage_names(CONFIG):
        block = gtkwave.partition(f"-{stage}\n")[2].partition(f"-{stage}\n")[0].splitlines()
        assert block[1].startswith(f"boundaries.{stage}."), stage
        shown = surfer.partition(f"divider_add {stage}\n")[2].partition("divider_add")[0]
        assert shown.startswith(f"variable_add boundaries.{stage}."), stage
    signed = "variable_add boundaries.hidden1.sums_sum\nitem_set_format Signed"
    assert signed in surfer
    (states,) = replayed.views.waves.parent.glob(f"{replayed.views.waves.stem}.*.conv1.*.states")
    assert "EVENTS" in states.read_text()
    assert f"^1 {states}" in gtkwave


@pytest.mark.sim
def test_from_the_seam_the_verilog_brings_what_it_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong weight that was stored before, which the model's state would not have."""
    right = replays._held
    assert replay(faulty(), given(), 12, from_seam=True).comparison.equal

    def stored(*arguments: Any) -> State:
        held = right(*arguments)
        held.banks["hidden1.weights"] ^= 1
        return held

    monkeypatch.setattr(replays, "_held", stored)
    first = replay(faulty(), given(), 12, from_seam=True).comparison.first
    assert first is not None
    assert (first.stage, first.sample) == ("hidden1.sums", 11)


@pytest.mark.parametrize(
    ("sample", "before", "said"),
    [
        (1100, 1, "the run has samples 0 to 1,099, and none of number 1100"),
        (5, 8, "0 to 7 samples can go before, not 8"),
    ],
)
def test_what_cannot_be_replayed_is_refused(sample: int, before: int, said: str) -> None:
    with pytest.raises(Refusal, match=f"^{said}$"):
        replay(faulty(), given(), sample, before=before)

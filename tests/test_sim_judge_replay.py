"""sim/judge/replay.py: a sample again, with waves of it alone and a view of them."""

import json
import re
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.contract.stages import boundaries, stage_names
from model.data import load
from rtl.emit import emit
from sim.__main__ import app
from sim.judge.replay import Replay, replay
from sim.judge.samples import Samples, samples

CONFIG = preset("tiny")
SAMPLE = 700


@cache
def given() -> Samples:
    return samples(CONFIG, load("digits", seed=1), 1000, 100, 1)


@pytest.mark.sim
def test_a_sample_late_in_a_run_is_replayed_with_waves() -> None:
    replayed = replay(emit(CONFIG), given(), SAMPLE)
    assert replayed.comparison.equal
    assert replayed.comparison.compared > 0
    names = {crossing.boundary for crossing in replayed.crossings}
    assert names == {boundary.name for boundary in boundaries(CONFIG)}
    assert all(crossing.differs_at is None for crossing in replayed.crossings)
    assert all(crossing.model == crossing.rtl for crossing in replayed.crossings)
    assert_viewed(replayed)


def assert_viewed(replayed: Replay) -> None:
    """Every stage has its heading and signals, all of which the waves hold."""
    view = replayed.view.read_text()
    head = replayed.waves.read_text().partition("$enddefinitions")[0]
    declared = {name.split()[0] for name in re.findall(r"\$var \w+ +\d+ \S+ (.+?) \$end", head)}
    for stage in stage_names(CONFIG):
        block = view.partition(f"-{stage}\n")[2].partition("@200")[0].splitlines()[1:]
        assert block, stage
        for line in block:
            path, _, name = line.partition(f".{stage}.")
            assert path and name.partition("[")[0] in declared
    assert replayed.waves.stat().st_size < 4 << 20


@pytest.mark.parametrize(
    ("sample", "before", "said"),
    [
        (1100, 1, "the run has samples 0 to 1,099, and none of number 1100"),
        (5, 8, "0 to 7 samples can go before, not 8"),
    ],
)
def test_what_cannot_be_replayed_is_refused(sample: int, before: int, said: str) -> None:
    with pytest.raises(Refusal, match=f"^{said}$"):
        replay(emit(CONFIG), given(), sample, before=before)


@pytest.mark.sim
def test_the_command_replays_and_tells(tmp_path: Path) -> None:
    told = tmp_path / "replay.json"
    chosen = ["--preset", "tiny", "--sample", "3", "--seed", "1", "--json", str(told)]
    done = CliRunner().invoke(app, ["replay", *chosen])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "[0] mismatches"
    figures = json.loads(told.read_text())
    assert figures["sample"] == 3
    assert figures["first_mismatch"] is None
    assert Path(figures["view"]).exists()

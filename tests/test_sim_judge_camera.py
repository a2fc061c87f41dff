"""sim/judge/camera.py: real recordings through the bus, taken in as the reader has them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from model.contract.choices import Coding, Conv, Hidden, Readout
from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.data import read_recording
from model.network import ChipModel
from model.sensor.decoder import EVENT
from model.state import fresh
from sim import tools
from sim.__main__ import app
from sim.judge.camera import Way, cut, play, table

REAL = sorted((Path(__file__).parent / "data" / "nmnist").glob("*.bin"))
SEEING = ChipConfig(
    name="seeing",
    height=34,
    width=34,
    channels=2,
    pixel_bits=4,
    coding=Coding.COUNT,
    windows=2,
    lanes=4,
    conv=(Conv(kernels=4, size=5, pool=10, shift=6, inhibition=2),),
    hidden=(Hidden(neurons=8, shift=2, rate_shift=6, threshold=1 << 10),),
    readout=Readout(classes=10, shift=6, rate_shift=9),
)


@pytest.mark.parametrize("simulator", tools.DRIVEN)
def test_real_recordings_are_taken_in_whole_and_equal(simulator: str, tmp_path: Path) -> None:
    """Two windows of 24 ms at a clock of 1 MHz: a cycle a microsecond."""
    given = {path.name: read_recording(path) for path in REAL}
    way = Way(simulator, window_us=24_000, folder=tmp_path)
    played = play(SEEING, fresh(SEEING, 1), given, way)
    assert played.found.equal and played.found.compared > 5000
    for one, events in zip(played.seen, given.values(), strict=True):
        within = int(np.sum(events["t"] - events["t"].min() < 48_000))
        assert one.sent == one.accepted == within > 500
        assert one.model == one.verilog
    assert played.late_cycles < 200
    assert table(played).row_count == 2


def test_what_a_slow_chip_loses_is_counted_and_the_rest_is_equal(tmp_path: Path) -> None:
    """A chip of 20 kHz takes an event in 25 cycles: 800 a second, where thousands come."""
    slow = dataclasses.replace(SEEING, windows=1)
    given = {REAL[0].name: read_recording(REAL[0])}
    way = Way("verilator", clock_hz=20e3, window_us=48_000, folder=tmp_path)
    played = play(slow, fresh(slow, 1), given, way)
    assert played.found.equal  # the counter of what the chip dropped, too
    (one,) = played.seen
    assert one.lost > 500
    # What it can take in the time that the handshakes last, and what waits in the queue.
    assert 32 < one.accepted <= played.cycles / played.event_cycles + 33
    with pytest.raises(Refusal, match="does not tell of which window"):
        play(SEEING, fresh(SEEING, 1), given, dataclasses.replace(way, window_us=24_000))


def test_what_does_not_fit_is_refused() -> None:
    far = np.array([(40, 3, 0, 1)], EVENT)
    with pytest.raises(Refusal, match=r"r has an event at 40, 3, outside the 34 x 34 pixels"):
        cut(far, SEEING, Way("icarus"), "r")
    with pytest.raises(Refusal, match="choose a chip that counts events"):
        play(preset("tiny"), fresh(preset("tiny"), 0), {}, Way("icarus"))


def test_the_command_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 3, (20, 34, 34, 4), np.uint8)
    model, out = tmp_path / "m.npz", tmp_path / "c.json"
    ChipModel(SEEING, epochs=1).fit(images, np.arange(20) % 10).save(model)
    monkeypatch.setattr("sim.judge.camera.BUILD", tmp_path)
    arguments = ["camera", str(REAL[0]), "--model", str(model), "--window-us", "4000"]
    result = CliRunner().invoke(app, [*arguments, "--json", str(out)])
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    assert f"[0/{figures['compared_values']:,}] mismatches" in result.stdout
    assert figures["recordings"][0]["lost"] == 0

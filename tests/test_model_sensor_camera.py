"""The emulated camera: beside real recordings, and by what it promises."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from model.__main__ import app
from model.contract.refusal import Refusal
from model.data import load, read_recording
from model.data.emulated import emulated, grey
from model.sensor import camera, recording

REAL = Path(__file__).parent / "data" / "nmnist"
PICTURE = np.load(REAL / "picture_6271.npy")


def figures(events: recording.Events) -> dict[str, Any]:
    return recording.statistics(events, camera.SACCADE_US, camera.SACCADES)


def counts(events: recording.Events) -> np.ndarray:
    return recording.counts(events, 34, 34, camera.SACCADE_US, camera.SACCADES)


@pytest.fixture
def pair(request: pytest.FixtureRequest, excerpts: Path) -> tuple[Any, Any]:
    """A real recording and the emulated one of the same picture."""
    if request.param == 1:
        pictures = load("mnist").x_train[:, :, :, 0]
        return read_recording(REAL / "00002_label0.bin"), camera.record(pictures[1], 1)
    return read_recording(REAL / "sample_nmnist_label4.bin"), camera.record(PICTURE, 6271)


@pytest.mark.parametrize("pair", [1, 6271], indirect=True)
def test_an_emulated_recording_is_like_the_real_one(pair: tuple[Any, Any]) -> None:
    real, made = map(figures, pair)
    assert made["events"] == pytest.approx(real["events"], rel=0.05)
    assert made["brighter"] == pytest.approx(real["brighter"], abs=0.02)
    assert made["windows"] == pytest.approx(real["windows"], rel=0.25)
    assert np.abs(np.subtract(made["profile"], real["profile"])).sum() < 0.25
    assert made["active"] == pytest.approx(real["active"], rel=0.1)
    assert made["once"] == pytest.approx(real["once"], rel=0.25)
    assert made["intervals_us"] == pytest.approx(real["intervals_us"], rel=0.15)
    assert made["bursts_us"] == pytest.approx(real["bursts_us"], rel=0.15)
    places = np.corrcoef([counts(events).ravel() for events in pair])[0, 1]
    assert places > 0.9


def test_polarity_saccade_and_place_are_the_real_ones() -> None:
    """Any of them exchanged, the counts of a pixel agree far less."""
    real = counts(read_recording(REAL / "sample_nmnist_label4.bin"))
    made = counts(camera.record(PICTURE, 0))
    for other in (
        made[:, :, ::-1],
        made[:, :, [1, 0, 3, 2, 5, 4]],
        made[::-1],
        np.roll(made, 2, 1),
    ):
        assert np.corrcoef(real.ravel(), other.ravel())[0, 1] < 0.7


def test_the_same_recording_on_every_machine() -> None:
    events = camera.record(PICTURE, 6271)
    assert len(events) == EVENTS
    assert hashlib.sha256(events.tobytes()).hexdigest()[:16] == SUM


EVENTS, SUM = 4428, "4ea8d0c3a7aea56c"


def test_logarithms_are_far_from_where_rounding_could_differ() -> None:
    exact = 1024 * np.log1p(np.arange(255 * 16 + 1) / (16 * camera.DARK))
    assert np.abs(exact % 1 - 0.5).min() > 7e-5
    assert camera.logarithms().tolist() == np.rint(exact).astype(int).tolist()


def test_the_path_ends_where_its_moves_end_and_stays_in_the_margin() -> None:
    path = camera.path()
    assert path.shape == (camera.MILLISECONDS + 1, 2)
    ends = np.cumsum([camera.START] + [move[2:] for move in camera.MOVES], axis=0)
    assert [path[5 * move[1]].tolist() for move in camera.MOVES] == ends[1:].tolist()
    assert np.abs(path).max() < (camera.MARGIN - 1) * camera.ONE


def test_a_pixel_is_blind_after_an_event_and_times_are_in_order() -> None:
    events = camera.record(PICTURE, 3)
    assert (np.diff(events["t"]) >= 0).all()
    assert events["t"][0] >= 0 and events["t"][-1] < 1000 * camera.MILLISECONDS
    place = events["y"].astype(int) * 34 + events["x"]
    gaps = [np.diff(events["t"][place == at]) for at in np.unique(place)]
    # Noise alone knows no blindness: 158 events of all.
    assert np.sum(np.concatenate(gaps) < camera.BLIND_US) < 60


def test_white_paper_gives_nothing_but_noise() -> None:
    events = camera.record(np.zeros((28, 28), np.uint8), 5)
    assert 100 < len(events) < 220
    assert 0.8 < events["p"].mean() < 1


def test_counts_are_those_of_the_recordings() -> None:
    pictures = np.stack([PICTURE, PICTURE[::-1], np.zeros_like(PICTURE)])
    single = [counts(camera.record(one, 7 + at)) for at, one in enumerate(pictures)]
    np.testing.assert_array_equal(camera.counts(pictures, 7), np.stack(single))


def test_a_set_is_recorded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = load("digits-emulated")
    assert first.x_train.shape[1:] == (14, 14, 6)
    assert first.note == "emulated"
    (kept,) = (tmp_path / "drtp-kit" / "emulated").iterdir()
    monkeypatch.setattr(camera, "counts", None)
    assert load("digits-emulated").sha256 == first.sha256
    monkeypatch.undo()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    kept.write_bytes(kept.read_bytes()[:1000])  # damaged: made anew
    assert load("digits-emulated").sha256 == first.sha256


def test_samples_are_numbered_as_the_set_numbers_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    pictures = load("digits")
    made = emulated(pictures, "mine")
    one = camera.record(pictures.x_train[300, :, :, 0], 300)
    wanted = recording.counts(one, 14, 14, camera.SACCADE_US, camera.SACCADES)
    np.testing.assert_array_equal(made.x_train[300], wanted)


def test_colour_becomes_grey() -> None:
    red = np.zeros((1, 2, 2, 3), np.uint8)
    red[..., 0] = 255
    assert grey(red).tolist() == [[[76, 76], [76, 76]]]
    assert grey(np.full((1, 1, 1, 3), 255, np.uint8)).tolist() == [[[255]]]


def test_an_unknown_set_is_refused() -> None:
    with pytest.raises(Refusal, match="nmnist-emulated"):
        load("faces-emulated")


def test_the_command_tells_a_recording_beside_an_emulated_one(
    excerpts: Path, tmp_path: Path
) -> None:
    said = tmp_path / "said.json"
    asked = ["data", "recording", str(REAL / "00002_label0.bin")]
    done = CliRunner().invoke(app, [*asked, "--beside", "mnist:1", "--json", str(said)])
    assert done.exit_code == 0, done.output
    real, made = json.loads(said.read_text()).values()
    assert (real["events"], real["active"]) == (5028, 519)
    assert made == figures(camera.record(load("mnist").x_train[1, :, :, 0], 1))
    assert "5,028" in done.output


@pytest.mark.parametrize("beside", ["mnist", "mnist:x", ":1", "digits:99999"])
def test_other_images_than_there_are_are_refused(beside: str) -> None:
    asked = ["data", "recording", str(REAL / "00002_label0.bin"), "--beside", beside]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code != 0
    assert not isinstance(done.exception, IndexError | ValueError)

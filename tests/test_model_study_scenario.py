"""Scenarios: what becomes of the images, and what a stream is made of."""

from pathlib import Path

import numpy as np
import pytest

from model.contract.refusal import Refusal
from model.study.scenario import KINDS, Scenario, read_scenario

IMAGES = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1) * 5
LABELS = np.array([0, 8, 1, 9, 3, 2])


def test_a_right_angle_is_a_right_angle() -> None:
    turned = Scenario("rotate", degrees=90).changed(IMAGES)
    np.testing.assert_array_equal(turned[:, :, :, 0], np.rot90(IMAGES[:, :, :, 0], axes=(1, 2)))


def test_a_drift_turns_more_and_more() -> None:
    drift = Scenario("drift", degrees=180)
    streamed = drift.streamed(np.repeat(IMAGES[:1], 2, axis=0))
    np.testing.assert_array_equal(streamed[0, :, :, 0], np.rot90(IMAGES[0, :, :, 0]))
    np.testing.assert_array_equal(streamed[1, :, :, 0], np.rot90(IMAGES[0, :, :, 0], 2))
    np.testing.assert_array_equal(drift.changed(IMAGES, 0.0), IMAGES)
    assert not drift.still and Scenario("rotate").still


def test_pixels_by_hand() -> None:
    assert Scenario("invert").changed(IMAGES)[0, 0, :, 0].tolist() == [255, 250, 245, 240]
    assert Scenario("contrast", divisor=4).changed(IMAGES)[0, 0, :, 0].tolist() == [0, 1, 2, 3]
    dead = Scenario("dead-rows", rows=(1, 3)).changed(IMAGES)
    assert not dead[:, 1:3].any()
    np.testing.assert_array_equal(dead[:, [0, 3]], IMAGES[:, [0, 3]])
    np.testing.assert_array_equal(Scenario("split").changed(IMAGES), IMAGES)


def test_new_classes_are_kept_back_and_asked_for() -> None:
    scenario = Scenario("new-classes", classes=(8, 9))
    assert scenario.known(LABELS).tolist() == [True, False, True, False, True, True]
    assert scenario.first(LABELS).tolist() == scenario.known(LABELS).tolist()
    assert scenario.asked(LABELS).tolist() == [False, True, False, True, False, False]


def test_a_split_stream_comes_task_by_task() -> None:
    scenario = Scenario("split")
    assert LABELS[scenario.order(LABELS)].tolist() == [0, 1, 3, 2, 8, 9]
    assert scenario.starts_untrained
    assert scenario.first(LABELS).tolist() == [True, False, True, False, False, False]
    assert Scenario("rotate").order(LABELS).tolist() == list(range(6))


def test_every_kind_is_a_scenario() -> None:
    for kind in KINDS:
        assert read_scenario(kind) == Scenario(kind)


def test_a_file_chooses(tmp_path: Path) -> None:
    path = tmp_path / "tilted.toml"
    path.write_text('kind = "rotate"\ndegrees = 20\n')
    assert read_scenario(str(path)) == Scenario("rotate", degrees=20)
    path.write_text('kind = "dead-rows"\nrows = [2, 3]\n')
    assert read_scenario(str(path)).rows == (2, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('kind = "melt"', "there is no scenario 'melt'; there are rotate, invert, "),
        ('kind = "rotate"\nangle = 2', "scenario {path} has no field 'angle'; it has kind, "),
        ('kind = "rotate"\ndegrees = "3"', "scenario {path}: degrees must be int, not '3'"),
        ('kind = "dead-rows"\nrows = [1]', "scenario {path}: rows must be a list of integers"),
        ('kind = "contrast"\ndivisor = 0', "a scenario's divisor and task_classes must be at"),
        ("degrees = 3", "scenario {path} lacks kind"),
        ("kind", "scenario {path} is not TOML: "),
    ],
)
def test_files_that_say_nothing_sensible_are_refused(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "s.toml"
    path.write_text(text)
    with pytest.raises(Refusal) as refusal:
        read_scenario(str(path))
    assert str(refusal.value).startswith(message.format(path=path))


def test_rows_that_no_image_has_are_refused() -> None:
    with pytest.raises(Refusal, match="rows 3 to 5 are no rows of an image of 4"):
        Scenario("dead-rows", rows=(3, 5)).changed(IMAGES)
    with pytest.raises(Refusal, match="there is no scenario 'hail'"):
        read_scenario("hail")
    with pytest.raises(Refusal, match="cannot read scenario"):
        read_scenario("/nowhere/at/all.toml")

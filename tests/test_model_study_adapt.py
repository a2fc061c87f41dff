"""Adaptation: courses of four learners through one stream, each number from the chip itself."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from model.__main__ import app
from model.chip import PlainChip
from model.contract.choices import Rule
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.data import load
from model.network import ChipModel
from model.sensor.image import sample_words
from model.state import fresh
from model.study.adapt import LEARNERS, Adaptation, Course, _kept, _under, adapt
from model.study.experiment import samples_for
from model.study.scenario import Scenario

TINY = preset("tiny")
SAMPLES = samples_for(TINY, load("digits"))
FEW = replace(SAMPLES, x_train=SAMPLES.x_train[:700], y_train=SAMPLES.y_train[:700])


def run(scenario: Scenario, **choices: Any) -> Adaptation:
    return adapt(TINY, FEW, scenario, epochs=2, stream=300, seed=3, **choices)


def course(found: Adaptation, learner: str) -> Course:
    return next(course for course in found.courses if course.learner == learner)


@pytest.fixture(scope="module")
def rotated() -> Adaptation:
    return run(Scenario("rotate", degrees=90))


def test_looks_are_those_of_the_stream(rotated: Adaptation) -> None:
    assert rotated.looks == [0, 50, 100, 200, 300]
    assert [course.learner for course in rotated.courses] == list(LEARNERS)


def test_a_chip_with_learning_off_stays_as_it_was(rotated: Adaptation) -> None:
    still = course(rotated, "off")
    assert len(set(still.changed)) == len(set(still.old)) == 1
    order = np.random.default_rng([3, 0xADA]).permutation(700)[:-300]
    model = ChipModel(TINY, epochs=2, seed=3).fit(FEW.x_train[order], FEW.y_train[order])
    assert still.old[0] == model.score(FEW.x_test, FEW.y_test)
    changed = Scenario("rotate", degrees=90).changed(FEW.x_test)
    assert still.changed[0] == model.score(changed, FEW.y_test)


def test_learning_adapts_and_the_old_task_is_told(rotated: Adaptation) -> None:
    off, drtp = course(rotated, "off"), course(rotated, "drtp")
    assert drtp.changed[0] == off.changed[0]
    assert drtp.changed[-1] > off.changed[-1] + 0.2
    assert drtp.old[-1] < drtp.old[0]
    assert off.met < drtp.met < 1


def test_the_stream_is_what_the_chip_learns_sample_by_sample(rotated: Adaptation) -> None:
    """The chip after the stream, learned by `fit`'s own engine from the base's state."""
    order = np.random.default_rng([3, 0xADA]).permutation(700)
    model = ChipModel(TINY, epochs=2, seed=3).fit(
        FEW.x_train[order[:-300]], FEW.y_train[order[:-300]]
    )
    turned = Scenario("rotate", degrees=90)
    plain = PlainChip(TINY, model.state_)
    then = order[-300:]
    plain.run(
        sample_words(TINY, image, int(label), True, 0)
        for image, label in zip(turned.changed(FEW.x_train[then]), FEW.y_train[then], strict=True)
    )
    assert course(rotated, "drtp").old[-1] == model.score(FEW.x_test, FEW.y_test)
    assert course(rotated, "drtp").changed[-1] == model.score(
        turned.changed(FEW.x_test), FEW.y_test
    )


def test_the_readout_alone_leaves_the_hidden_layer() -> None:
    chip = _under(TINY, "readout")
    assert chip.learning.rule is Rule.SHALLOW
    assert chip.settings == TINY.settings
    assert set(_kept(chip, fresh(TINY, 0)).lfsrs) == {"readout"}


def test_new_classes_start_from_nothing_and_are_learned() -> None:
    found = run(Scenario("new-classes", classes=(8, 9)))
    assert course(found, "off").changed == [0.0] * len(found.looks)
    assert course(found, "drtp").changed[-1] > 0.2


def test_split_starts_untrained_and_forgets() -> None:
    found = run(Scenario("split"))
    drtp = course(found, "drtp")
    assert drtp.changed[0] < 0.3
    assert max(drtp.old) > 0.7 and drtp.old[-1] < max(drtp.old)


def test_a_chip_that_labels_itself_says_how_well() -> None:
    every = run(Scenario("contrast", divisor=2), margin=0)
    none = run(Scenario("contrast", divisor=2), margin=1 << 40)
    assert course(every, "drtp").used == 1.0
    assert course(every, "drtp").right == pytest.approx(course(every, "drtp").met)
    assert course(none, "drtp").used == 0.0
    assert len(set(course(none, "drtp").changed)) == 1
    assert course(every, "off").used is None


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(Refusal, match="rate steps of tiny are 0 to 3, not 4"):
        run(Scenario("invert"), rate=4)
    with pytest.raises(Refusal, match="leaves these data nothing"):
        run(Scenario("new-classes", classes=tuple(range(10))))
    with pytest.raises(Refusal, match="at least one epoch"):
        adapt(TINY, FEW, Scenario("invert"), epochs=0)


def test_the_command_tells_writes_and_draws(tmp_path: Path) -> None:
    out, plot = tmp_path / "a.json", tmp_path / "a.png"
    arguments = ["adapt", "--preset", "tiny", "--scenario", "invert", "--epochs", "1"]
    arguments += ["--stream", "60", "--json", str(out), "--plot", str(plot)]
    result = CliRunner().invoke(app, [*arguments, "--self-label", "0"])
    assert result.exit_code == 0
    assert "used, right" in result.stdout and "compare with learning off" in result.stdout
    figures = json.loads(out.read_text())
    assert figures["looks"] == [0, 50, 60]
    assert [course["learner"] for course in figures["courses"]] == list(LEARNERS)
    assert figures["scenario"]["kind"] == "invert"
    assert plot.read_bytes().startswith(b"\x89PNG")
    refused = CliRunner().invoke(app, ["adapt", "--scenario", "hail"])
    assert refused.exit_code == 2

"""Alignment on the chip: forward, modulation and BP against the engines, differences, the paper."""

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from typer.testing import CliRunner

from model.__main__ import app
from model.arith import Codes
from model.chip import PlainChip
from model.contract.choices import Activation, Hidden
from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.data import load
from model.float_chip.chip import REAL, start
from model.float_chip.loops import Floats
from model.network import plan
from model.paper.algorithm import signals
from model.paper.layer import Dense
from model.paper.network import Network
from model.paper.settings import plan as plan_paper
from model.sensor.image import sample_words
from model.study import angle
from model.study.angle import (
    MEASURES,
    RULES,
    VARIANTS,
    Alignment,
    Passage,
    Variant,
    align,
    back_propagated,
    dense,
    forward,
    measure,
    modulations,
)
from model.study.experiment import Experiment, limited, named, samples_for
from model.study.picture import write_angles
from model.trace import Trace

TINY = preset("tiny")
DATA = load("digits")
SAMPLES = samples_for(TINY, limited(DATA, 600))
DEEP = replace(
    TINY,
    hidden=(
        Hidden(neurons=12, shift=4, rate_shift=6, threshold=1 << 11),
        Hidden(neurons=8, shift=5, rate_shift=6, threshold=1 << 12, spread=30),
    ),
    name="deep",
)
"""Two hidden layers, the second with neurons on both sides of their saturation."""


def trained(experiment: Experiment, samples: int = 300) -> Any:
    """A chip of either kind that has learned some samples."""
    chip: Any = experiment.chip()
    features = chip.features(SAMPLES.x_train[:samples])
    order, rates = plan(experiment.config, samples, 1, 0)
    chip.run_features(features[order], SAMPLES.y_train[:samples][order], rates, True)
    return chip


def passage_of(experiment: Experiment, chip: Any, count: int) -> tuple[Floats, Codes, Passage]:
    x = dense(chip.features(SAMPLES.x_train[:count]), experiment.config.layer_shapes[0].inputs)
    labels = SAMPLES.y_train[:count]
    real = experiment.kept is not None
    return x, labels, forward(experiment.config, angle.weights_of(chip), x, labels, real)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("config", [TINY, DEEP, preset("digits")], ids=lambda config: config.name)
def test_sums_errors_and_modulations_are_the_chips(config: ChipConfig, rule: str) -> None:
    experiment = named(config, rule, 1, 0)
    chip = trained(experiment)
    _, labels, passage = passage_of(experiment, chip, 20)
    ours = modulations(experiment.config, 0, passage, labels, real=False)
    for sample in range(20):
        trace = Trace.of(experiment.config)
        plain = PlainChip(experiment.config, chip.state.copy(), trace)
        image, label = SAMPLES.x_train[sample], int(labels[sample])
        plain.take(sample_words(experiment.config, image, label, True))
        seen = {name: trace.records[name][0] for name in trace.records}
        for number, shape in enumerate(experiment.config.layer_shapes):
            wanted = passage.sums[number][sample]
            assert np.array_equal(seen[f"{shape.name}.sums"][:, 1], wanted)
            shown = seen[f"{shape.name}.modulation"][:, 0]
            last = shape.name == "readout"
            assert np.array_equal(shown, (passage.error if last else ours[number])[sample])


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("config", [TINY, DEEP], ids=lambda config: config.name)
def test_real_modulations_are_what_a_float_chips_weights_move_by(
    config: ChipConfig, rule: str
) -> None:
    experiment = replace(named(config, rule, 1, 0), kept=REAL)
    chip = trained(experiment)
    _, labels, passage = passage_of(experiment, chip, 12)
    ours = modulations(experiment.config, 0, passage, labels, real=True)
    shapes = experiment.config.layer_shapes
    features = chip.features(SAMPLES.x_train[:12])
    for sample in range(12):
        learner = deepcopy(chip)
        one = slice(sample, sample + 1)
        learner.run_features(features[one], labels[one], np.zeros(1), True)
        for number, shape in enumerate(shapes[:-1]):
            moved = learner.weights[shape.name] - chip.weights[shape.name]
            rate = 0.5**shape.rate_shift
            wanted = rate * np.outer(passage.inputs[number][sample], ours[number][sample])
            np.testing.assert_allclose(moved, wanted, atol=1e-9)


def loss(config: ChipConfig, weights: dict[str, Floats], x: Floats, labels: Codes) -> float:
    """The integral of (score - target) over each readout sum, summed; forwards in real numbers."""
    sums = forward(config, weights, x, labels, real=True).sums[-1]
    z = sums / 2**config.readout.shift
    low, high = -128.0, 127.0
    inside = np.clip(z, low, high)
    primitive = inside**2 / 2 + 128 * inside  # of the score within its range
    primitive += 255 * np.maximum(z - high, 0)
    target = np.zeros_like(z)
    target[np.arange(len(labels)), labels] = 255
    return float((primitive - target * z).sum()) * 2**config.readout.shift


@pytest.mark.parametrize("config", [TINY, DEEP], ids=lambda config: config.name)
def test_bp_descends_the_loss_by_finite_differences(config: ChipConfig) -> None:
    experiment = replace(named(config, "dfa", 1, 0), kept=REAL)
    chip = trained(experiment)
    x, labels, passage = passage_of(experiment, chip, 30)
    weights = angle.weights_of(chip)
    _, signal = back_propagated(config, weights, passage)
    rng, step = np.random.default_rng(0), 1e-4
    compared = 0
    for number, shape in enumerate(config.layer_shapes[:-1]):
        gradient = -passage.inputs[number].T @ signal[number]
        assert np.abs(gradient).max() > 0
        for _ in range(40):
            at = tuple(rng.integers(0, size) for size in gradient.shape)
            sides = []
            for sign in (1, -1):
                moved = {name: values.copy() for name, values in weights.items()}
                moved[shape.name][at] += sign * step
                sides.append(loss(config, moved, x, labels))
            slope = (sides[0] - sides[1]) / (2 * step)
            assert slope == pytest.approx(gradient[at], rel=1e-4, abs=1e-4 * np.abs(gradient).max())
            compared += gradient[at] != 0
    assert compared > 20


def test_bp_is_the_papers_where_nothing_saturates() -> None:
    """Linear layers and squared error: the paper's own chain rule on the same weights."""
    rng = np.random.default_rng(1)
    chosen = plan_paper(
        "mnist", "fc12-fc8", "bp", activation="linear", output="linear", loss="mse", dtype="float64"
    )
    network = Network(chosen, (TINY.layer_shapes[0].inputs,), 10)
    weights = {}
    for part, shape in zip(network.layers, DEEP.layer_shapes, strict=True):
        assert isinstance(part, Dense)
        codes = rng.uniform(-0.5, 0.5, (shape.inputs, shape.outputs))
        weights[shape.name] = codes
        last = shape.name == "readout"
        number = list(weights).index(shape.name)
        scale = 0.5 ** (DEEP.readout.shift if last else DEEP.hidden[number].shift)
        part.weights[...] = scale * (codes[:-1] if last else codes).T
        part.bias[...] = scale * DEEP.bias_code * codes[-1] + 128 if last else 0
    x = rng.uniform(0, 9, (15, DEEP.layer_shapes[0].inputs))
    labels = rng.integers(10, size=15)
    passage = forward(DEEP, weights, x, labels, real=True)
    ours = back_propagated(DEEP, weights, passage)[1]
    target = 255.0 * np.eye(10)[labels]
    theirs = signals("bp", network, network.forward(x), target).dz
    for own, other, layer in zip(ours, theirs, DEEP.hidden, strict=False):
        # Theirs: 2/10 (y - t), and at the layer's scaled sum; ours: t - y, and at its codes' sum.
        # Between the two lies a factor for the whole layer, alike for all neurons and samples.
        ratio = own / other
        assert ratio.min() == pytest.approx(ratio.max(), rel=1e-9)
        assert ratio.max() < 0
        assert layer.neurons == own.shape[1]


def test_a_float_update_of_one_sample_has_the_angle_of_its_signal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(angle, "TOGETHER", 1)
    experiment = replace(named(DEEP, "dfa", 1, 0), kept=REAL)
    chip = trained(experiment)
    compared = 0
    for sample in range(20):
        one = slice(sample, sample + 1)
        features = chip.features(SAMPLES.x_train)[one]
        before = {name: values.copy() for name, values in chip.weights.items()}
        found = measure(chip, experiment, features, SAMPLES.y_train[one], 0)
        assert all(np.array_equal(before[name], chip.weights[name]) for name in before)
        for signal, asked, update in zip(*(found[name] for name in MEASURES[1:]), strict=True):
            assert len(signal) == len(asked) == len(update)
            assert asked == pytest.approx(signal, abs=1e-6)
            assert update == pytest.approx(signal, abs=1e-6)
            compared += len(signal)
    assert compared > 10


def test_a_sign_layer_has_the_slope_of_the_hard_tanh_that_saturates_with_its_gate() -> None:
    (layer,) = TINY.hidden
    config = replace(TINY, hidden=(replace(layer, activation=Activation.SIGN, shift=0),))
    experiment = named(config, "drtp", 1, 0)
    chip = trained(experiment)
    _, _, passage = passage_of(experiment, chip, 50)
    assert set(np.unique(passage.inputs[1][:, :-1])) == {-1.0, 1.0}
    dy, dz = back_propagated(experiment.config, angle.weights_of(chip), passage)
    inside = np.abs(passage.sums[0]) < layer.threshold
    np.testing.assert_allclose(dz[0], np.where(inside, dy[0] / layer.threshold, 0))


def test_variants_take_gate_and_sparse_b_away() -> None:
    spoon = preset("spoon")
    assert len(VARIANTS) == len(set(VARIANTS)) == 24
    own = Variant("drtp", True, True, False).of(spoon, 5, 0)
    assert own == named(spoon, "drtp", 5, 0)
    bare = Variant("dfa", False, False, True).of(spoon, 5, 0)
    assert bare.kept == REAL
    assert bare.config.learning.density == 10
    assert bare.config.hidden[0].threshold == angle.OPEN
    assert bare.config.hidden[0].rate_shift == spoon.with_rule("dfa").hidden[0].rate_shift
    _, state = start(bare.config, "dfa", 0)
    assert (state.banks["hidden1.modulation"] != 0).all()


@pytest.fixture(scope="module")
def found() -> Iterator[Alignment]:
    """Two seeds of the tiny chip, looked at thrice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(angle, "LOOKS", 3)
        yield align(TINY, SAMPLES, epochs=1, seeds=2)


def test_courses_are_the_trainings_they_tell_of(found: Alignment) -> None:
    assert found.looks[-1] == 600 and found.seeds == [0, 1]
    for variant in VARIANTS:
        for course in found.of(variant):
            experiment = variant.of(TINY, 1, course.seed)
            assert course.accuracy == experiment.run(SAMPLES)
            assert set(course.angles) == set(MEASURES)
            assert {len(line) for lines in course.angles.values() for line in lines} == {
                len(found.looks)
            }


def test_learning_aligns_the_chip(found: Alignment) -> None:
    """The published claim, on the chip: within 90 degrees, and closer than at first."""
    for rule in RULES:
        line = found.mean(Variant(rule, True, True, False), "signal", 0)
        assert line[-1] is not None and line[0] is not None
        assert line[-1] < 85 and line[-1] < line[0]


def call(*words: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(word) for word in words])
    return result.exit_code, result.stdout, result.stderr


def test_angles_are_printed_written_and_drawn(
    tmp_path: Path, found: Alignment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(angle, "align", lambda *words, **named: found)
    file, picture = tmp_path / "angles.json", tmp_path / "angles.png"
    code, said, _ = call(
        "angles",
        "--preset",
        "tiny",
        "--limit",
        600,
        "--epochs",
        1,
        "--json",
        file,
        "--plot",
        picture,
    )
    assert code == 0
    assert "drtp" in said and "integer" in said
    told = json.loads(file.read_text())
    assert (told["preset"], told["train_samples"], len(told["courses"])) == ("tiny", 600, 48)
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_layer_without_angles_is_drawn_as_none(tmp_path: Path, found: Alignment) -> None:
    nothing: Any = {measure: [[None] * len(found.looks)] for measure in MEASURES}
    empty = [replace(course, angles=nothing) for course in found.courses]
    blank = replace(found, courses=empty)
    assert blank.mean(VARIANTS[0], "signal", 0) == [None] * len(found.looks)
    write_angles(blank, "none", tmp_path / "none.png")
    told = StringIO()
    Console(file=told, width=200).print(angle.table(blank))
    assert told.getvalue().count(" - ") == 4 * 24  # four angles, 24 variants


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(Refusal) as refused:
        align(TINY, SAMPLES, epochs=1, seeds=0)
    assert str(refused.value) == "seeds must be at least 1, not 0"
    few = samples_for(TINY, limited(DATA, 100))
    with pytest.raises(Refusal) as refused:
        align(TINY, few, epochs=1, seeds=1)
    assert str(refused.value) == (
        "angles are taken of 500 training samples, not 100; give at least so many"
    )

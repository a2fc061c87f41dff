"""model/study/calibrate.py and draft.py: a chip for own data, its choices found on validation."""

import dataclasses
import json
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from joblib import parallel_config
from typer.testing import CliRunner

from model.__main__ import app
from model.contract.presets import preset
from model.contract.reading import from_toml
from model.contract.refusal import Refusal
from model.data import load
from model.data.split import stratified_split
from model.network import ChipModel
from model.study.calibrate import LEAST_SAMPLES, RUNGS, calibrate, ranges
from model.study.draft import chip_name, drafted, fitting_conv
from model.study.explore import COSTS, Point, Shape, front


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((28, 28), (5, 0, 4)),  # 24 x 24 in cells of 4: six a side
        ((8, 8), (3, 0, 1)),  # 6 x 6 as it is
        ((16, 16), (5, 0, 2)),
        ((32, 32), (5, 1, 5)),
        ((12, 12), (3, 1, 2)),
    ],
)
def test_a_convolution_leaves_about_six_cells_a_side(
    size: tuple[int, int], expected: tuple[int, int, int]
) -> None:
    conv = fitting_conv(*size, 1)
    assert conv is not None
    assert (conv.size, conv.padding, conv.pool) == expected


def test_colour_takes_random_kernels() -> None:
    conv = fitting_conv(32, 32, 3)
    assert conv is not None
    assert conv.bank == "random"


@pytest.mark.parametrize(
    ("source", "name"),
    [("digits", "digits"), ("/a/b/my data.npz", "my-data"), ("7.npz", "chip-7")],
)
def test_a_chip_is_named_after_its_data(source: str, name: str) -> None:
    assert chip_name(source) == name


def test_a_name_of_nothing_is_refused() -> None:
    with pytest.raises(Refusal, match="give --name"):
        chip_name("/tmp/---.npz")


def test_ranges_find_the_feature_shift_of_the_preset() -> None:
    digits = load("digits")
    dark = dataclasses.replace(preset("digits").conv[0], shift=0)
    config = dataclasses.replace(preset("digits"), conv=(dark,))
    assert ranges(config, digits.x_train).feature_shift == preset("digits").conv[0].shift


def test_a_wrong_guess_is_mended_on_validation_samples_alone() -> None:
    """A chip whose features saturate learns little; its calibrated twin is as good as the preset,
    on test samples that calibration never saw."""
    digits = load("digits")
    good = preset("digits")
    bad = dataclasses.replace(good, conv=(dataclasses.replace(good.conv[0], shift=2),))

    def tested(config: "type[ChipModel] | object") -> float:
        scores = [
            ChipModel(config, seed=seed)  # type: ignore[arg-type]
            .fit(digits.x_train, digits.y_train)
            .score(digits.x_test, digits.y_test)
            for seed in (50, 51, 52)
        ]
        return float(np.mean(scores))

    steps: list[tuple[int, int, float]] = []
    with parallel_config(n_jobs=1):
        found = calibrate(
            bad, digits.x_train, digits.y_train, progress=lambda *step: steps.append(step)
        )
    assert tested(bad) < tested(found.config) - 0.02
    assert tested(found.config) > tested(good) - 0.01
    assert len(found.trials) == steps[-1][0] == steps[-1][1]
    assert [trial.samples for trial in found.trials[: RUNGS[0].choices]] == [LEAST_SAMPLES] * RUNGS[
        0
    ].choices
    assert sum(t.samples == found.train_samples for t in found.trials) >= RUNGS[-1].choices
    train, held = stratified_split(digits.y_train, 0.15, 0, "")
    assert (found.train_samples, found.validation_samples) == (len(train), len(held))


def test_a_chip_that_does_not_learn_is_refused() -> None:
    digits = load("digits")
    with pytest.raises(Refusal, match="does not learn"):
        calibrate(preset("tiny", "none"), digits.x_train, digits.y_train)


def test_from_own_data_to_a_calibrated_chip(tmp_path: Path) -> None:
    """The commands: new, calibrate, train."""
    digits = load("digits")
    x = np.concatenate([digits.x_train, digits.x_test])[:600, 1:, :]  # 7 x 8: nothing like a preset
    y = np.concatenate([digits.y_train, digits.y_test])[:600]
    np.savez(tmp_path / "own.npz", x=x, y=y)
    own, chip, best = (str(tmp_path / name) for name in ("own.npz", "chip.toml", "best.toml"))
    run = CliRunner().invoke
    assert run(app, ["new", "--data", own, "--out", chip]).exit_code == 0
    assert from_toml(chip).height == 7
    again = run(app, ["new", "--data", own, "--out", chip])
    assert "chip.toml is there already; give --overwrite to replace it" in again.stderr
    figures, picture = tmp_path / "found.json", tmp_path / "ranges.png"
    options = ["--epochs", "2", "--json", str(figures), "--picture", str(picture)]
    done = run(app, ["calibrate", "--data", own, "--config", chip, "--out", best, *options])
    assert done.exit_code == 0, done.output
    told = json.loads(figures.read_text())
    assert told["config_sha256"] == from_toml(best).sha256
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert told["validation_accuracy"] > 0.8
    assert run(app, ["train", "--data", own, "--config", best]).exit_code == 0
    assert drafted(load(own), "own").name == "own"


def test_sizes_are_weighed_against_what_they_cost(tmp_path: Path) -> None:
    """`explore`: more bits and neurons cost more, and the front holds what nothing beats."""
    figures, plot = tmp_path / "points.json", tmp_path / "pareto.png"
    varied = ["--weight-bits", "4", "--weight-bits", "8", "--neurons", "16", "--neurons", "64"]
    options = ["--limit", "400", "--epochs", "1", "--json", str(figures), "--plot", str(plot)]
    done = CliRunner().invoke(app, ["explore", "--data", "digits", *varied, *options])
    assert done.exit_code == 0, done.output
    assert plot.read_bytes()[:4] == b"\x89PNG"
    points = json.loads(figures.read_text())["points"]
    assert {(p["weight_bits"], p["neurons"]) for p in points} == set(product((4, 8), (16, 64)))
    small, great = (
        next(p for p in points if (p["weight_bits"], p["neurons"]) == sizes)
        for sizes in ((4, 16), (8, 64))
    )
    for cost in COSTS:
        assert small[cost] < great[cost]
        assert cost in small["front"]  # nothing is cheaper
        assert cost in points[0]["front"] or points[0]["accuracy"] == points[1]["accuracy"]
    assert great["accuracy"] > small["accuracy"]


def test_a_front_holds_what_no_other_beats() -> None:
    def point(accuracy: float, cycles: float) -> Point:
        return Point(preset("tiny"), accuracy, 0, cycles, 0.0)

    best = [point(0.7, 10), point(0.8, 20), point(0.9, 40)]
    beaten = [point(0.6, 15), point(0.8, 30), point(0.9, 41)]
    assert front([*beaten, *best], "cycles") == best


def test_a_shape_that_does_not_fit_is_refused() -> None:
    with pytest.raises(Refusal, match="has no convolution"):
        Shape(kernels=4).apply(preset("fc1-500"))
    done = CliRunner().invoke(app, ["explore", "--data", "digits"])
    assert done.exit_code != 0
    assert Shape(weight_bits=2, neurons=8).apply(preset("digits")).hidden[0].spread == 1

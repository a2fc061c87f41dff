"""Integer against float: the same trainings, the ladder, profiles, picture, and the command."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from model.__main__ import app
from model.contract.choices import Gate, Learning
from model.contract.formats import Rounding
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.data import load
from model.float_chip.chip import ALGORITHMS, CHIP, REAL
from model.network import ChipModel
from model.state import fresh
from model.study.compare import Comparison, Spread, compare, float_accuracy, ladder
from model.study.experiment import FLOAT, NAMES, Experiment, limited, named, samples_for
from model.study.picture import write_picture
from model.study.profile import profiles

TINY = preset("tiny")
DATA = limited(load("digits"), 120)
SAMPLES = samples_for(TINY, DATA)


@pytest.fixture(scope="module")
def found() -> Comparison:
    """A comparison of two seeds."""
    return compare(TINY, SAMPLES, epochs=2, seeds=2)


def call(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output, standard error of `python -m model ...`."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


# -- experiments --------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ALGORITHMS[1:])
def test_the_integer_training_is_the_chips_own(rule: str) -> None:
    chip = ChipModel(TINY.with_rule(rule), epochs=2, seed=1).fit(DATA.x_train, DATA.y_train)
    accuracy = named(TINY, rule, 2, 1).run(SAMPLES)
    assert accuracy == chip.score(DATA.x_test, DATA.y_test)
    assert accuracy == Experiment(TINY, rule, 2, 1, CHIP).run(SAMPLES)


def test_float_learns_the_digits() -> None:
    data = load("digits")
    chip = preset("digits")
    assert float_accuracy(chip, data, epochs=3, seed=0) > 0.95
    samples = samples_for(chip, data)
    assert named(chip, "float-bp", 3, 0).run(samples) > 0.95
    assert float_accuracy(chip, data, 1, 0) == named(chip, "float-drtp", 1, 0).run(samples)


def test_float_accuracy_refuses_data_of_another_size_and_a_chip_that_does_not_learn() -> None:
    with pytest.raises(
        Refusal, match=r"images must be .* for the chip spoon, not \(120, 8, 8, 1\)"
    ):
        float_accuracy(preset("spoon"), DATA, 1, 0)
    with pytest.raises(Refusal, match="there is no algorithm 'none'"):
        float_accuracy(TINY.with_rule("none"), DATA, 1, 0)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(Refusal) as refusal:
        named(TINY, "float-adam", 1, 0)
    assert str(refusal.value) == (
        "there is no algorithm 'float-adam'; there are shallow, drtp, drtp-scaled, sdfa, dfa, "
        "float-bp, float-shallow, float-drtp, float-drtp-scaled, float-sdfa, float-dfa"
    )


def test_a_limit_draws_the_same_samples_each_time() -> None:
    whole = load("digits")
    assert limited(whole, None).sha256 == whole.sha256
    assert limited(whole, 120).sha256 == DATA.sha256
    assert len(DATA.y_train) == 120
    with pytest.raises(Refusal, match="training samples"):
        limited(whole, 10_000)


def test_experiments_share_features_only_where_they_are_equal() -> None:
    def front(seed: int = 0, bank: str = "gabor", name: str = "drtp", bits: int = 4) -> object:
        conv = tuple(replace(stage, bank=bank) for stage in TINY.conv)
        return named(replace(TINY, conv=conv, pixel_bits=bits), name, 1, seed).front

    assert front() == front(seed=1) == front(name="dfa")
    assert front(bank="random") != front(bank="random", seed=1)
    others = [front(), front(bits=3), front(name="float-drtp"), front(bank="random")]
    assert len(set(others)) == len(others)
    real = Experiment(TINY, "drtp", 1, 0, replace(CHIP, features=False))
    assert real.front not in (*others, Experiment(TINY, "drtp", 1, 0, REAL).front)


# -- the comparison -----------------------------------------------------------------------------


def test_every_training_of_a_comparison_is_the_same_as_alone(found: Comparison) -> None:
    for name in NAMES:
        alone = [named(TINY, name, 2, seed).run(SAMPLES) for seed in (0, 1)]
        assert found.accuracies(name) == alone
    for rung in found.rungs:
        alone = [Experiment(rung.config, "drtp", 2, s, rung.kept).run(SAMPLES) for s in (0, 1)]
        assert found.accuracies(rung.name) == alone
    assert set(found.curves) == {*NAMES, *(rung.name for rung in found.rungs)}


def test_curves_end_with_the_last_sample(found: Comparison) -> None:
    assert found.looks[-1] == 240
    assert found.looks == sorted(set(found.looks))
    assert {len(curve) for curves in found.curves.values() for curve in curves} == {1}
    longer = compare(TINY, SAMPLES, epochs=5, seeds=1)
    assert longer.looks[0] == 250
    assert longer.looks[-1] == 600
    assert {len(longer.curves[name][0]) for name in NAMES} == {12}


def test_progress_counts_every_training(found: Comparison) -> None:
    told: list[tuple[int, int]] = []
    compare(TINY, SAMPLES, epochs=1, seeds=1, progress=lambda *pair: told.append(pair))
    assert told == [(n + 1, len(found.curves)) for n in range(len(found.curves))]


def test_the_ladder_takes_away_one_thing_at_a_time() -> None:
    rungs = {rung.name: rung for rung in ladder(TINY)}
    assert list(rungs) == [
        *("weight bits", "activation bits", "feature bits", "pixel bits"),
        *("rounding", "gate", "B density", "LFSR sharing"),
    ]
    assert rungs["weight bits"].kept == replace(CHIP, weights=False)
    assert rungs["pixel bits"].change == "4 of 8 -> real"
    assert rungs["rounding"].kept == replace(CHIP, rounding=Rounding.NEAREST)
    assert rungs["gate"].config == replace(TINY, learning=Learning(gate=Gate.BOX))
    assert rungs["B density"].config == replace(TINY, learning=Learning(density=10))
    assert (rungs["gate"].kept, rungs["B density"].kept) == (None, None)
    assert all(rung.config == TINY for rung in rungs.values() if rung.kept is not None)


def test_the_ladder_leaves_out_what_a_chip_has_not() -> None:
    plain = replace(preset("fc1-500", "shallow"), learning=Learning(gate=Gate.BOX, density=10))
    names = [rung.name for rung in ladder(plain.with_rule("shallow"))]
    assert names == ["weight bits", "activation bits", "rounding", "LFSR sharing"]
    assert "error bits" in [rung.name for rung in ladder(TINY.with_rule("dfa"))]


def test_differences_are_taken_seed_by_seed() -> None:
    curves = {"drtp": [[0.1, 0.9], [0.1, 0.8]], "float-drtp": [[0.1, 0.8], [0.1, 0.6]]}
    made = Comparison(TINY, [0, 1], [1, 2], curves, [], [], [])
    assert made.accuracies("drtp") == [0.9, 0.8]
    difference = made.difference("drtp", "float-drtp")
    assert difference.mean == pytest.approx(0.15)
    assert difference.deviation == pytest.approx(0.1 / np.sqrt(2))
    assert difference.points("+.2f") == "+15.00 ± 7.07"
    assert Spread.of([0.5]).points() == "50.00"


def test_a_chip_that_does_not_learn_and_no_seeds_are_refused() -> None:
    with pytest.raises(Refusal) as refusal:
        compare(TINY.with_rule("none"), SAMPLES, epochs=1, seeds=1)
    assert str(refusal.value) == "the chip tiny does not learn; give it a rule with --rule"
    with pytest.raises(Refusal) as refusal:
        compare(TINY, SAMPLES, epochs=1, seeds=0)
    assert str(refusal.value) == "seeds must be at least 1, not 0"


# -- profiles and picture -----------------------------------------------------------------------


def test_profiles_count_every_code_by_its_bits() -> None:
    state = fresh(TINY, 0)
    state.banks["hidden1.weights"][0, :3] = 127, -127, 64
    before = state.copy()
    found = {p.tensor: p for p in profiles(TINY, state, SAMPLES.x_train, SAMPLES.y_train)}
    assert list(found) == [
        *("hidden1.weights", "readout.weights", "encode.events", "conv1.features"),
        *("hidden1.sums", "hidden1.activations", "hidden1.modulation"),
        *("readout.sums", "readout.scores", "readout.modulation"),
    ]
    for name, bank in state.banks.items():
        np.testing.assert_array_equal(bank, before.banks[name])
    assert all(sum(profile.shares) == pytest.approx(1) for profile in found.values())
    assert found["readout.weights"].shares[0] == 1
    weights = found["hidden1.weights"]
    assert weights.shares[7] == pytest.approx(3 / (54 * 16))
    assert weights.saturated == pytest.approx(2 / (54 * 16))
    pixels = SAMPLES.x_train >> 4
    for bits, share in enumerate(found["encode.events"].shares):
        low, high = (1 << bits) >> 1, (1 << bits) - 1
        assert share == pytest.approx(np.mean((pixels >= low) & (pixels <= high)))
    assert found["encode.events"].saturated == pytest.approx(np.mean(pixels == 15))
    scores = found["readout.scores"]
    assert scores.format.high == 255


def test_the_picture_is_a_png(found: Comparison, tmp_path: Path) -> None:
    path = tmp_path / "pictures" / "compare.png"
    write_picture(found, "tiny", path)
    assert path.read_bytes().startswith(b"\x89PNG")
    (tmp_path / "file").touch()
    with pytest.raises(Refusal, match="cannot write"):
        write_picture(found, "tiny", tmp_path / "file" / "compare.png")


# -- the command --------------------------------------------------------------------------------


def test_the_command_prints_both_tables_and_writes_what_it_measured(tmp_path: Path) -> None:
    out, plot = tmp_path / "c.json", tmp_path / "c.png"
    code, printed, errors = call(
        *("compare", "--preset", "tiny", "--limit", "60", "--epochs", "1", "--seeds", "1"),
        *("--json", out, "--plot", plot),
    )
    assert code == 0
    assert errors == (
        "note: the chip tiny has no settings for shallow, drtp-scaled, sdfa, dfa, so it takes "
        "those of drtp; give each its own in [rules.shallow] and the like\n"
    )
    for word in ("tiny on digits, 1 epochs of 60 samples", *ALGORITHMS, "LFSR sharing"):
        assert word in printed
    figures: dict[str, Any] = json.loads(out.read_text())
    assert (figures["data"], figures["epochs"], figures["train_samples"]) == ("digits", 1, 60)
    assert figures["config_sha256"] == TINY.sha256
    assert set(figures["test_accuracy"]) == {
        *NAMES, *(rung.name for rung in ladder(TINY)),
    }  # fmt: skip
    assert list(figures["profiles"]) == ["before", "after"]
    samples = samples_for(TINY, limited(load("digits"), 60))
    for name in ("drtp", FLOAT + "bp"):
        final = figures["test_accuracy"][name][0][-1]
        assert final == named(TINY, name, 1, 0).run(samples)
    assert plot.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (("--seeds", "0"), "seeds must be at least 1, not 0"),
        (("--rule", "none"), "the chip tiny does not learn; give it a rule with --rule"),
        (("--limit", "0"), "of 1346 training samples 1 to 1346 can be taken, not 0"),
        (("--data", "nothing.npz"), "nothing.npz is neither a data set"),
        (("--plot", "."), "cannot write .: it is a folder; name a file"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_one_sentence(
    asked: tuple[str, ...], told: str
) -> None:
    code, out, errors = call("compare", "--preset", "tiny", *asked)
    assert (code, out, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(f"error: {told}")

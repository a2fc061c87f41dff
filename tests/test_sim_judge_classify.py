"""sim/judge/classify.py: a chip that holds a model classifies after reset, unwritten."""

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.data import load
from model.network import ChipModel
from model.state import State
from sim.__main__ import app
from sim.judge import classify as classifying
from sim.judge.classify import classify
from sim.simulators.compiled import Bench

TEST = 60


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model of tiny."""
    path = tmp_path_factory.mktemp("classify") / "tiny.npz"
    data = load("digits")
    ChipModel(preset("tiny"), epochs=1).fit(data.x_train, data.y_train).save(path)
    return path


def test_it_equals_the_model_before_any_host_wrote(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touched: list[str] = []

    def noting(name: str, function: object) -> object:
        def note(*arguments: object) -> object:
            touched.append(name)
            return function(*arguments)  # type: ignore[operator]

        return note

    for name in ("write", "feed"):
        monkeypatch.setattr(Bench, name, noting(name, getattr(Bench, name)))
    found = classify(model, "none", load("digits"), TEST, "verilator", lambda tally: None)
    assert touched[0] == "feed"
    assert found["mismatches"] == 0
    assert found["compared_values"] > TEST * 11 + sum(
        codes.size for codes in ChipModel.load(model).weights_.values()
    )
    expected = np.mean(
        ChipModel.load(model).predict(load("digits").x_test[:TEST]) == load("digits").y_test[:TEST]
    )
    assert found["accuracy"]["rtl"] == pytest.approx(expected)
    assert expected > 0.5


def test_one_weight_that_is_another_is_seen(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = classifying._after_reset

    def wrong(config: ChipConfig, learned: State) -> State:
        state = right(config, learned.copy())
        codes = state.banks["readout.weights"]
        codes[0, 0] = -codes[0, 0] or 1
        return state

    monkeypatch.setattr(classifying, "_after_reset", wrong)
    found = classify(model, "none", load("digits"), TEST, "verilator", lambda tally: None)
    assert found["mismatches"] > 0


def test_what_it_cannot_do_is_refused(model: Path) -> None:
    digits = load("digits")
    for rule, test, simulator, words in (
        ("dfa", TEST, "verilator", "was trained under drtp"),
        ("none", TEST, "icarus", "not in icarus"),
        ("none", 100_000, "verilator", "test samples"),
    ):
        with pytest.raises(Refusal, match=words):
            classify(model, rule, digits, test, simulator, lambda tally: None)


def test_the_command_tells_equality(model: Path, tmp_path: Path) -> None:
    options = ["--rule", "none", "--test", str(TEST), "--json", str(tmp_path / "told.json")]
    done = CliRunner().invoke(app, ["classify", str(model), *options])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1].startswith("[0/")

"""The commands of the float world."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from model.contract.refusal import Refusal
from model.paper.bench import bench
from model.paper.commands import app
from model.paper.settings import plan
from model.paper.study import STUDIES
from model.paper.task import load


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def sentence(result: Result) -> str:
    assert result.exit_code == 2
    return result.stderr.splitlines()[-1]


def test_train_prints_and_writes_what_it_measured(tmp_path: Path) -> None:
    file, kept = tmp_path / "run.json", tmp_path / "run.npz"
    words = ("train", "--network", "fc20", "--algorithm", "dfa", "--set", "batch=50")
    result = call(*words, "--epochs", 2, "--set", "init=fan-in", "--json", file)
    assert result.exit_code == 0
    told = json.loads(file.read_text())
    assert told["settings"]["batch"] == 50
    assert told["settings"]["init"] == "fan-in"
    assert [point["epoch"] for point in told["points"]] == [1, 2]
    assert f"{told['points'][1]['test_error']:.2f}" in result.stdout
    assert told["config"] in result.stdout
    call(*words, "--epochs", 3, "--set", "zero=true", "--checkpoint", kept)
    assert call(
        *words, "--epochs", 3, "--set", "zero=true", "--checkpoint", kept, "--resume"
    ).stdout


REFUSED = [
    (
        ("train", "--data", "imagenet", "--network", "fc9", "--rate", 0.1),
        "error: imagenet is neither",
    ),
    (
        ("train", "--network", "fc9", "--set", "batch"),
        "error: 'batch' is no setting; write name=value, such as batch=50",
    ),
    (
        ("train", "--network", "fc9", "--set", "batch=many"),
        "error: 'batch=many' has no value of the right type; mend it",
    ),
    (
        ("train", "--network", "fc9", "--set", "zero=1"),
        "error: 'zero=1' has no value of the right type; mend it",
    ),
    (
        ("train", "--network", "fc9", "--resume"),
        "error: nothing to resume from; name the file with --checkpoint",
    ),
    (
        ("train", "--algorithm", "hebb", "--network", "fc9"),
        "error: there is no algorithm 'hebb'; choose one of bp, fa, dfa, sdfa, drtp, shallow",
    ),
    (
        ("theorem", "--hidden", "3,x"),
        "error: hidden must be units joined by commas, such as 20,15, not '3,x'",
    ),
    (("study", "none"), "error: there is no study 'none'; choose one of "),
    (("figure", "9"), "error: there is no figure '9'; choose one of "),
    (
        ("report", "--folder", "/nowhere"),
        "error: /nowhere holds no finished study; run `study anchors` first",
    ),
]


@pytest.mark.parametrize(("words", "said"), REFUSED)
def test_what_a_user_gets_wrong_is_told_in_one_sentence(
    words: tuple[object, ...], said: str
) -> None:
    assert sentence(call(*words)).startswith(said)


def test_theorem_writes_its_evidence(tmp_path: Path) -> None:
    file = tmp_path / "evidence.json"
    result = call("theorem", "--hidden", "9,7", "--steps", 8, "--loss", "ce", "--json", file)
    assert result.exit_code == 0
    evidence = json.loads(file.read_text())
    assert [seen["step"] for seen in evidence] == list(range(1, 9))
    assert all(seen["angle"] < 90 for seen in evidence[2:])


def test_study_and_report_work_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = [plan("mnist", "fc1-500", "bp", epochs=1, examples=60)]
    monkeypatch.setitem(STUDIES, "table1-fc1", lambda: iter(points))
    monkeypatch.setattr("model.paper.study.load", lambda name, data_dir: load_as_mnist())
    assert call("study", "table1-fc1", "--folder", tmp_path).exit_code == 0
    page, told = tmp_path / "page.md", tmp_path / "told.json"
    result = call("report", "--folder", tmp_path, "--json", told, "--page", page)
    assert result.exit_code == 0
    assert "1.65 ± 0.06" in result.stdout
    assert "1.65 ± 0.06" in page.read_text()
    (row,) = json.loads(told.read_text())
    assert row["published"] == 1.65
    assert row["difference"] == pytest.approx(row["ours"] - 1.65)
    assert (row["agrees"], row["epochs"]) == (False, 1)  # far off, and the page tells why


def load_as_mnist() -> object:
    """A stand-in of the same name, so that no test needs the files of MNIST."""
    from dataclasses import replace

    return replace(load("digits"), name="mnist")


def test_bench_measures_both_where_torch_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.paper.bench.find_spec", lambda name: None)
    speed = bench(load("digits"), epochs=1)
    assert speed.ours_s > 0
    assert speed.torch_s is None and speed.ratio is None
    assert speed.told()["conv_ratio"] == pytest.approx(speed.conv_plain_s / speed.conv_s)
    with pytest.raises(Refusal) as refused:
        bench(load("digits"), epochs=0)
    assert str(refused.value) == "epochs must be at least 1, not 0"


def test_bench_prints_a_ratio_where_torch_is_installed() -> None:
    pytest.importorskip("torch", reason="torch is not installed: no ratio to measure")
    speed = bench(load("digits"), epochs=1)
    assert speed.torch_s is not None
    assert speed.ratio == pytest.approx(speed.torch_s / speed.ours_s)


def test_an_interrupt_ends_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*ignored: object, **too: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("model.paper.training.fit", interrupt)
    result = call("train", "--network", "fc9")
    assert result.exit_code == 130
    assert "stopped by the user; nothing is kept" in result.stderr


def test_the_package_runs_as_a_module(monkeypatch: pytest.MonkeyPatch) -> None:
    import runpy

    monkeypatch.setattr(sys, "argv", ["reference", "theorem", "--steps", "1"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module("model.paper", run_name="__main__")
    assert ended.value.code == 0

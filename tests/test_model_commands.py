"""The commands of the model: what they print and write, and every way to ask wrongly."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from model.__main__ import app
from model.contract.presets import PRESETS, preset
from model.data import load
from model.network import ChipModel, drawn
from model.study.experiment import held_back

QUICK = ("train", "--preset", "tiny", "--epochs", "1", "--limit", "60")

KEYS = [
    "preset",
    "config_sha256",
    "rule",
    "data",
    "seed",
    "epochs",
    "train_samples",
    "validation_samples",
    "validation_accuracy",
    "test_samples",
    "test_accuracy",
    "recalls",
    "confusion",
    "equal_samples",
    "health",
    "images_per_second",
    "weights_sha256",
    "counters",
]


NOTE = "note: the chip tiny has no settings for "


WHOLE = (
    "height = 8\nwidth = 8\nhidden = [{neurons = 16, shift = 3, rate_shift = 6, threshold = 512}]\n"
)
WHOLE += "readout = {classes = 10, shift = 8, rate_shift = 11}\n"

ROOT = Path(__file__).resolve().parents[1]
LONG = ("train", "--preset", "tiny", "--epochs", "2")
STOPPED_SOON = """
import os, signal
from model import network
from model.__main__ import app

run, times = network._run, []

def run_and_stop(*arguments):
    times.append(1)
    if len(times) == 2:
        os.kill(os.getpid(), signal.SIGINT)
    return run(*arguments)

network._run = run_and_stop
app()
"""
"""Trains as the command does, and is stopped while the second part is learned."""


def call(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output, standard error of `python -m model ...`."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def trained(path: Path, *arguments: str | Path) -> dict[str, Any]:
    """What a training of seconds writes as JSON."""
    code, _, errors = call(*QUICK, "--json", path, *arguments)
    assert code == 0
    assert not errors or (errors.startswith(NOTE) and errors.count("\n") == 1)
    figures: dict[str, Any] = json.loads(path.read_text())
    return figures


def refused(*arguments: str | Path) -> str:
    """The one sentence that ends a command."""
    code, out, errors = call(*arguments)
    assert (code, out) == (2, "")
    assert errors.startswith("error: ")
    assert errors.endswith("\n")
    assert errors.count("\n") == 1
    return errors.removeprefix("error: ").removesuffix("\n")


def test_training_writes_its_figures_and_its_model(tmp_path: Path) -> None:
    out = tmp_path / "run.npz"
    figures = trained(tmp_path / "run.json", "--seed", "7", "--out", out)
    assert list(figures) == KEYS
    model = ChipModel.load(out, preset("tiny"))
    assert figures["preset"] == "tiny"
    assert figures["config_sha256"] == preset("tiny").sha256
    assert figures["rule"] == "drtp"
    assert (figures["data"], figures["seed"], figures["epochs"]) == ("digits", 7, 1)
    assert (figures["train_samples"], figures["test_samples"]) == (60, 451)
    assert 0 <= figures["test_accuracy"] <= 1
    assert figures["images_per_second"] > 0
    assert figures["weights_sha256"] == model.state_.weights_sha256
    assert figures["counters"] == model.counters_
    assert sorted(os.listdir(tmp_path)) == ["run.json", "run.npz"]


def test_what_was_trained_is_told() -> None:
    code, out, errors = call(*QUICK)
    assert (code, errors) == (0, "")
    for part in ("tiny, rule drtp", "digits, seed 0", "1 epochs of 60 samples", "451 test samples"):
        assert part in out


def test_the_seed_alone_decides(tmp_path: Path) -> None:
    first, again = (trained(tmp_path / name) for name in ("a.json", "b.json"))
    other = trained(tmp_path / "c.json", "--seed", "1")
    for figures in (first, again, other):
        del figures["images_per_second"]
    assert first == again
    assert first["weights_sha256"] != other["weights_sha256"]


@pytest.mark.parametrize("rule", ["none", "shallow", "drtp", "drtp-scaled", "sdfa", "dfa"])
def test_every_rule_is_a_choice(tmp_path: Path, rule: str) -> None:
    figures = trained(tmp_path / "a.json", "--rule", rule)
    assert figures["rule"] == rule
    assert figures["config_sha256"] == preset("tiny", rule).sha256
    assert ("hidden1.updates" in figures["counters"]) == (rule not in ("none", "shallow"))


def test_validation_samples_are_not_learned_and_tell_each_epoch(tmp_path: Path) -> None:
    figures = trained(
        tmp_path / "a.json", "--limit", "400", "--epochs", "3", "--validation-fraction", "0.25"
    )
    train, held = figures["train_samples"], figures["validation_samples"]
    assert (train + held, abs(held - 100) < 10) == (400, True)
    curve = figures["validation_accuracy"]
    assert len(curve) == 3 and curve[2] > curve[0]
    data = load("digits")
    taken, kept = held_back(data.y_train, drawn(len(data.y_train), 400, 0), 0.25, 0)
    chip = ChipModel(preset("tiny"), epochs=3).fit(data.x_train[taken], data.y_train[taken])
    assert chip.score(data.x_train[kept], data.y_train[kept]) == curve[-1]
    assert chip.score(data.x_test, data.y_test) == figures["test_accuracy"]
    assert np.trace(figures["confusion"]) == round(figures["test_accuracy"] * 451)
    assert "error: validation: test fraction must" in call(*QUICK, "--validation-fraction", "2")[2]


def test_test_images_that_were_trained_on_are_told(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 4, 5), dtype=np.uint8), np.arange(40) % 3
    np.savez(tmp_path / "twice.npz", x=np.concatenate([x, x]), y=np.concatenate([y, y]))
    (tmp_path / "mine.toml").write_text(OWN)
    arguments = ("--config", tmp_path / "mine.toml", "--data", tmp_path / "twice.npz")
    code, _, errors = call("train", *arguments, "--json", tmp_path / "a.json")
    assert code == 0
    equal = json.loads((tmp_path / "a.json").read_text())["equal_samples"]
    assert 5 < equal <= 20
    assert f"note: {equal} of " in errors and "they test nothing" in errors


OWN = (
    'name = "mine"\nheight = 4\nwidth = 5\nlanes = 2\n'
    "[[hidden]]\nneurons = 4\nshift = 3\nrate_shift = 6\nthreshold = 512\n"
    "[readout]\nclasses = 3\nshift = 6\nrate_shift = 9\n[learning]\ndensity = 2\n"
)


def test_a_chip_and_data_of_one_s_own(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(OWN)
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (40, 4, 5), dtype=np.uint8), np.arange(40) % 3
    np.savez(tmp_path / "mine.npz", x=x, y=y)
    code, _, errors = call(
        *("train", "--config", tmp_path / "mine.toml", "--data", tmp_path / "mine.npz"),
        *("--test-fraction", "0.2", "--rule", "dfa", "--json", tmp_path / "a.json"),
    )
    assert code == 0
    assert errors.startswith("note: the chip mine has no settings for dfa, so it takes those of")
    figures = json.loads((tmp_path / "a.json").read_text())
    assert (figures["preset"], figures["rule"], figures["epochs"]) == ("mine", "dfa", 5)
    assert figures["train_samples"] + figures["test_samples"] == 40


def test_resuming_a_finished_training_tells_its_figures_again(tmp_path: Path) -> None:
    out = tmp_path / "run.npz"
    first = trained(tmp_path / "a.json", "--out", out)
    content = out.read_bytes()
    again = trained(tmp_path / "b.json", "--out", out, "--resume")
    assert again.pop("images_per_second") is None
    del first["images_per_second"]
    assert first == again
    assert out.read_bytes() == content


# -- asked wrongly ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--preset", "spork"),
            f"there is no preset 'spork'; there are {', '.join(PRESETS)}; did you mean 'spoon'?",
        ),
        (
            ("--rule", "hebb"),
            "there is no rule 'hebb'; there are none, shallow, drtp, drtp-scaled, sdfa, dfa",
        ),
        (
            ("--preset", "tiny", "--config", "a.toml"),
            "--preset and --config both name a chip; give one of them",
        ),
        (("--epochs", "0"), "epochs must be at least 1, not 0"),
        (("--seed", "-1"), "seed must be 0 to 4294967295, not -1"),
        (
            ("--limit", "1347"),
            "of 1346 training samples 1 to 1346 can be taken, not 1347",
        ),
        (("--limit", "0"), "of 1346 training samples 1 to 1346 can be taken, not 0"),
        (("--test-fraction", "1"), "digits: test fraction must lie between 0 and 1, not 1.0"),
        (
            ("--preset", "spoon", "--data", "digits"),
            "images must be (N, 28, 28) or (N, 28, 28, 1) for the chip spoon, not (1346, 8, 8, 1)",
        ),
        (
            ("--config", "none.toml"),
            "cannot read configuration none.toml: No such file or directory; check the path",
        ),
        (
            ("--data-dir", "none", "--data", "mnist"),
            "data directory none is no folder; make it or give another",
        ),
    ],
)
def test_a_wrong_choice_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused("train", "--out", "run.npz", "--json", "run.json", *arguments) == message
    assert os.listdir(tmp_path) == []


def test_all_that_is_wrong_with_a_configuration_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"{WHOLE}name = 3\nheigth = 8\nlanes = 99")
    code, _, errors = call("train", "--config", path)
    first, *others = errors.splitlines()
    assert (code, first) == (2, f"error: configuration {path} has 3 mistakes:")
    assert [line[:9] for line in others] == ["  - name ", "  - the c", "  - lanes"]


def test_nothing_is_begun_anew_or_gone_on_from_without_a_word(tmp_path: Path) -> None:
    out = tmp_path / "run.npz"
    assert refused(*QUICK, "--out", out, "--resume") == (
        f"there is nothing to resume in {out}; leave --resume out to begin anew"
    )
    trained(tmp_path / "a.json", "--out", out)
    content = out.read_bytes()
    assert refused(*QUICK, "--out", out) == (
        f"{out} is there already; give --resume to go on from it, --overwrite to replace it, or "
        f"another path"
    )
    assert out.read_bytes() == content
    trained(tmp_path / "b.json", "--out", out, "--overwrite", "--seed", "7")
    assert out.read_bytes() != content


def test_a_stop_keeps_what_was_learned_and_says_where(tmp_path: Path) -> None:
    """Ctrl-C within the first seconds, long before a first checkpoint is due."""
    out, whole = tmp_path / "part.npz", tmp_path / "whole.npz"
    words = [*LONG, "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "-c", STOPPED_SOON, *words], stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as done:
        assert done.stderr is not None
        said = done.stderr.read().strip()
    assert done.returncode == 130
    assert said == (
        f"stopped by the user; 512 of 2,692 samples were learned and are kept in {out}, resume "
        f"goes on from there"
    )
    assert call(*words, "--resume")[0] == 0
    assert call(*LONG, "--out", whole)[0] == 0
    assert out.read_bytes() == whole.read_bytes()


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    code = "import resource as r; r.setrlimit(r.RLIMIT_FSIZE, (1000, 1000));"
    code += "from model.__main__ import app; app()"
    out = tmp_path / "run.npz"
    done = subprocess.run(
        [sys.executable, "-c", code, *QUICK, "--out", str(out)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (
        2,
        f"error: cannot write {out}: File too large; nothing there was changed, make room or "
        f"choose another path\n",
    )
    assert os.listdir(tmp_path) == []


def test_a_stop_without_a_file_says_that_nothing_is_kept(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED_SOON, *LONG], capture_output=True, text=True, cwd=ROOT
    )
    assert (done.returncode, done.stderr.strip()) == (
        130,
        "stopped by the user; 512 of 2,692 samples were learned, and nothing is kept",
    )


def test_resuming_needs_to_know_from_what() -> None:
    assert refused("train", "--resume") == "--resume goes on from what --out names; give --out"


def test_data_that_are_not_there_are_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    message = refused("train", "--data", "mnst", "--out", "run.npz")
    assert message.startswith("mnst is neither a data set (digits, mnist, ")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("name = ", "configuration {path} is not TOML: Invalid value (at end of document)"),
        (f"{WHOLE}name = 3", "name must be str, not 3"),
        (
            f"{WHOLE}name = 'a'\nheigth = 8",
            "the configuration has no field 'heigth'; it has name, "
            "height, width, hidden, readout, channels, pixel_bits, coding, windows, conv, "
            "learning, weight_bits, lanes, counters, rules; did you mean 'height'?",
        ),
    ],
)
def test_an_impossible_configuration_is_one_sentence(
    tmp_path: Path, content: str, message: str
) -> None:
    path, out = tmp_path / "mine.toml", tmp_path / "run.npz"
    path.write_text(content)
    assert refused("train", "--config", path, "--out", out) == message.format(path=path)
    assert not out.exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"not a zip at all"])
def test_damaged_data_are_one_sentence(tmp_path: Path, content: bytes) -> None:
    path, out = tmp_path / "mine.npz", tmp_path / "run.npz"
    path.write_bytes(content)
    message = refused("train", "--data", path, "--out", out)
    assert message == f"{path} is truncated or no .npz file; save it again with numpy.savez"
    assert not out.exists()


def test_labels_of_too_many_classes_are_one_sentence(tmp_path: Path) -> None:
    path, out = tmp_path / "mine.npz", tmp_path / "run.npz"
    np.savez(path, x=np.zeros((44, 8, 8), np.uint8), y=np.arange(44) % 11)
    message = refused("train", "--preset", "tiny", "--data", path, "--out", out)
    assert message == "labels must be 0..9 for the chip tiny, not 10"
    assert not out.exists()


def test_a_damaged_model_cannot_be_resumed_and_stays_as_it_is(tmp_path: Path) -> None:
    out = tmp_path / "run.npz"
    out.write_bytes(b"half a model")
    message = refused(*QUICK, "--out", out, "--resume")
    assert message == f"{out} is truncated or no .npz file; train the model again"
    assert out.read_bytes() == b"half a model"


@pytest.mark.parametrize("option", ["--out", "--json"])
def test_what_cannot_be_written_is_refused_before_training(tmp_path: Path, option: str) -> None:
    (tmp_path / "file").write_text("in the way")
    for path, message in (
        (
            tmp_path / "file" / "run",
            f"{tmp_path / 'file'} is no writable folder; choose another path",
        ),
        (tmp_path, "it is a folder; name a file"),
    ):
        assert refused("train", option, path) == f"cannot write {path}: {message}"
    assert os.listdir(tmp_path) == ["file"]


def test_a_set_that_cannot_be_downloaded_is_one_sentence() -> None:
    message = "mnst cannot be downloaded; choose one of mnist, fashion-mnist, cifar10, nmnist"
    assert refused("data", "get", "mnst") == message


def test_the_commands_run_from_the_root() -> None:
    root = Path(__file__).resolve().parent.parent
    for arguments in (("--help",), ("reference", "--help"), ("data", "--help")):
        command = [sys.executable, "-m", "model", *arguments]
        result = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
        assert "Usage: python -m model" in result.stdout

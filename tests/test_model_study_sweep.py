"""Sweeps: what a file may ask, every point saved, resumed, on two workers; every refusal."""

import csv
import platform
import socket
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import LocalCluster
from typer.testing import CliRunner

from model.__main__ import app
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.contract.stop import Stopped
from model.data import load
from model.float_chip.chip import under
from model.study import sweep as sweeps
from model.study import workers
from model.study.experiment import Samples, held_back, limited, named, samples_for
from model.study.sweep import read_sweep, sweep, with_fields

TINY = preset("tiny")
ASKED = """
preset = "tiny"
data = "digits"
epochs = 1
limit = 60
algorithms = ["drtp", "float-bp"]
seeds = [0, 3]

[grid]
weight_bits = [6, 8]
hidden1.neurons = [16]
"""


def asked(folder: Path, text: str = ASKED) -> Path:
    """A sweep's file."""
    path = folder / "sweep.toml"
    path.write_text(text)
    return path


def rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def call(*arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output, standard error of `python -m model ...`."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


class Stop(Exception):
    """Stops a sweep from within."""


def without_seconds(found: list[dict[str, str]]) -> list[dict[str, str]]:
    """Rows as they are the same each time."""
    return [{**row, "seconds": ""} for row in found]


def test_a_row_says_what_was_trained_and_what_came_of_it(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    sweep(read_sweep(asked(tmp_path)), out)
    found = rows(out)
    assert list(found[0]) == [
        *("data", "train_samples", "algorithm", "weight_bits", "hidden1.neurons", "epochs"),
        *("seed", "test_accuracy", "seconds"),
        *("config_sha256", "data_sha256", "python", "numpy", "numba"),
    ]
    assert [(r["weight_bits"], r["algorithm"], r["seed"]) for r in found] == [
        (bits, name, seed)
        for bits in ("6", "8")
        for name in ("drtp", "float-bp")
        for seed in ("0", "3")
    ]
    data = limited(load("digits"), 60)
    for row in found:
        chip = with_fields(TINY, {"weight_bits": int(row["weight_bits"])})
        alone = named(chip, row["algorithm"], 1, int(row["seed"])).run(samples_for(chip, data))
        assert float(row["test_accuracy"]) == pytest.approx(alone, abs=1e-6)
        assert float(row["seconds"]) >= 0
        assert row["config_sha256"] == under(chip, row["algorithm"].removeprefix("float-")).sha256
        assert row["data_sha256"] == data.sha256
        assert (row["data"], row["train_samples"]) == ("digits", "60")
        assert row["python"] == platform.python_version()


def test_a_swept_field_counts_for_every_algorithm(tmp_path: Path) -> None:
    """Where a rule has settings of its own, they are those that the sweep changes."""
    (tmp_path / "sweep.toml").write_text(
        'preset = "spoon"\nalgorithms = ["drtp", "dfa"]\nseeds = [0]\n[grid]\nhidden1.shift = [4]\n'
    )
    for point in read_sweep(tmp_path / "sweep.toml").points:
        own = preset("spoon", point.algorithm)
        assert point.experiment.config == with_fields(own, {"hidden1.shift": 4})
        assert point.experiment.config.rule_name == point.algorithm


def test_a_sweep_that_was_stopped_goes_on(tmp_path: Path) -> None:
    plan, out, whole = read_sweep(asked(tmp_path)), tmp_path / "out.csv", tmp_path / "whole.csv"

    def stop(done: int, _planned: int) -> None:
        if done == 3:
            raise Stop

    with pytest.raises(Stop):
        sweep(plan, out, progress=stop)
    kept = rows(out)
    assert len(kept) == 3
    told: list[tuple[int, int]] = []
    sweep(plan, out, progress=lambda *pair: told.append(pair))
    assert told == [(done, 8) for done in range(3, 9)]
    assert rows(out)[:3] == kept
    sweep(plan, whole)
    assert without_seconds(rows(out)) == without_seconds(rows(whole))


def test_a_stop_says_how_many_points_are_kept(tmp_path: Path) -> None:
    def stop(done: int, planned: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    out = tmp_path / "out.csv"
    with pytest.raises(Stopped) as stopped:
        sweep(read_sweep(asked(tmp_path)), out, progress=stop)
    assert str(stopped.value) == f"2 of 8 points are kept in {out}, the same command goes on"
    assert len(rows(out)) == 2


def test_what_is_measured_is_not_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, out = read_sweep(asked(tmp_path)), tmp_path / "out.csv"
    sweep(plan, out)
    before = out.read_bytes()
    monkeypatch.delattr(sweeps, "_measure")
    with pytest.raises(NameError):
        sweep(plan, tmp_path / "other.csv")
    found = sweep(plan, out)
    assert out.read_bytes() == before
    assert [str(row["test_accuracy"]) for row in found] == [r["test_accuracy"] for r in rows(out)]


def test_a_wider_sweep_keeps_the_rows_of_a_narrower_one(tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    sweep(read_sweep(asked(tmp_path)), out)
    narrow = rows(out)
    told: list[tuple[int, int]] = []
    wider = ASKED.replace("seeds = [0, 3]", "seeds = [0, 4]")
    sweep(read_sweep(asked(tmp_path, wider)), out, progress=lambda *pair: told.append(pair))
    assert told[0] == (4, 8)
    assert len(rows(out)) == 12
    assert all(row in rows(out) for row in narrow)


def test_two_workers_of_a_cluster_find_the_same(tmp_path: Path) -> None:
    plan, here, there = read_sweep(asked(tmp_path)), tmp_path / "here.csv", tmp_path / "there.csv"
    sweep(plan, here)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        sweep(plan, there, scheduler=cluster.scheduler_address)
    assert without_seconds(rows(there)) == without_seconds(rows(here))


def test_a_scheduler_without_workers_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "WORKERS_SECONDS", 0.2)
    with LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        with pytest.raises(Refusal) as refusal:
            sweep(read_sweep(asked(tmp_path)), tmp_path / "out.csv", scheduler=address)
    assert str(refusal.value) == (
        f"the Dask scheduler at {address} has no workers; start some with `dask worker`"
    )


def test_an_unreachable_scheduler_is_refused(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code, out, errors = call(
        "sweep", asked(tmp_path), "--scheduler", f"tcp://127.0.0.1:{port}"
    )  # fmt: skip
    assert (code, out) == (2, "")
    assert errors == (
        f"error: no Dask scheduler answers at tcp://127.0.0.1:{port} ([Errno 111] Connection "
        f"refused); start one with `dask scheduler`\n"
    )
    assert not (tmp_path / "sweep.csv").exists()


def test_what_listens_but_is_no_scheduler_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "ANSWER_SECONDS", 0.2)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(Refusal) as refusal:
            sweep(read_sweep(asked(tmp_path)), tmp_path / "out.csv", scheduler=address)
    assert str(refusal.value) == (
        f"no Dask scheduler answers at {address} (timed out); start one with `dask scheduler`"
    )


def test_an_address_that_is_none_is_refused(tmp_path: Path) -> None:
    for address in ("nowhere", "tcp://host:port", "tcp://:8786"):
        code, _, errors = call("sweep", asked(tmp_path), "--scheduler", address)
        assert code == 2
        assert errors == f"error: a scheduler's address is tcp://host:port, not {address!r}\n"


def test_the_command_writes_beside_the_file_and_chooses_nothing_by_the_test(
    tmp_path: Path,
) -> None:
    code, out, errors = call("sweep", asked(tmp_path))
    assert (code, errors) == (0, "")
    assert out.splitlines() == [
        f"8 points in {tmp_path / 'sweep.csv'}",
        "all were tested, so none is chosen; to choose, give a validation_fraction",
    ]


def test_the_best_on_validation_samples_is_tested_once(tmp_path: Path) -> None:
    path = asked(tmp_path)
    path.write_text("validation_fraction = 0.25\n" + path.read_text())
    plan = read_sweep(path)
    code, out, errors = call("sweep", path)
    assert (code, errors) == (0, "")
    found = rows(tmp_path / "sweep.csv")
    assert "test_accuracy" not in found[0]
    data = limited(load("digits"), 60)
    train, held = held_back(data.y_train, np.arange(60), 0.25, 0)
    assert {row["train_samples"] for row in found} == {str(len(train))}
    samples = samples_for(TINY, data)
    for row, point in zip(found, plan.points, strict=True):
        part = Samples(
            *(samples.x_train[train], samples.y_train[train]),
            *(samples.x_train[held], samples.y_train[held]),
        )
        alone = point.experiment.run(part)
        assert float(row["validation_accuracy"]) == pytest.approx(alone, abs=1e-6)
    best = max(range(8), key=lambda place: float(found[place]["validation_accuracy"]))
    tested = plan.points[best].experiment.run(samples)
    validated = float(found[best]["validation_accuracy"])
    assert out.splitlines()[1].startswith(f"best: {validated:.2%} of the validation samples with")
    assert out.splitlines()[2] == f"trained on them too: {tested:.2%} of the test samples"


def test_fields_are_named_by_dots() -> None:
    chip = with_fields(
        preset("fc2-500"),
        {"hidden2.neurons": 100, "learning.schedule": [0, 1], "readout.rate_shift": 9},
    )
    assert [layer.neurons for layer in chip.hidden] == [500, 100]
    assert chip.learning.schedule == (0, 1)
    assert chip.readout.rate_shift == 9
    assert with_fields(TINY, {"conv1.pool": 3}).conv[0].pool == 3
    assert with_fields(TINY, {}) == TINY


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"wieght_bits": 6}, "the chip tiny has no field 'wieght_bits' to sweep"),
        ({"hidden2.neurons": 6}, "the chip tiny has no field 'hidden2.neurons' to sweep"),
        ({"hidden0.neurons": 6}, "the chip tiny has no field 'hidden0.neurons' to sweep"),
        ({"hidden.neurons": 6}, "the chip tiny has no field 'hidden.neurons' to sweep"),
        ({"name.first": 6}, "the chip tiny has no field 'name.first' to sweep"),
        ({"hidden1.neurons": "six"}, "hidden1.neurons must be int, not 'six'"),
        ({"weight_bits": 99}, "weight_bits must be 2 to 16, not 99"),
        (
            {"learning.rule": "dfa"},
            "a sweep names rules as algorithms, not as the field learning.rule",
        ),
    ],
)
def test_fields_that_a_chip_cannot_have_are_refused(values: dict[str, Any], told: str) -> None:
    with pytest.raises(Refusal) as refusal:
        with_fields(TINY, values)
    assert str(refusal.value) == told


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"float-bp"', '"adam"', "there is no algorithm 'adam'; there are shallow, drtp, "),
        ('preset = "tiny"', 'preset = "huge"', "there is no preset 'huge'; there are tiny, "),
        ('preset = "tiny"', 'config = "no.toml"', "cannot read configuration {folder}/no.toml: "),
        ('data = "digits"', 'data = "mine"', "mine is neither a data set"),
        ("limit = 60", "limit = 6000", "of 1346 training samples 1 to 1346 can be taken, not 6000"),
        ("epochs = 1", "epoch = 1", "sweep {file} has no field 'epoch'; it has preset, config, "),
        ("epochs = 1", 'epochs = "1"', "sweep {file}: epochs must be int, not '1'"),
        ("epochs = 1", "epochs = 0", "sweep {file}: epochs must be at least 1, not 0"),
        ("seeds = [0, 3]", "seeds = [-1]", "sweep {file}: a seed must be 0 or more, not -1"),
        ("seeds = [0, 3]", "seeds = 3", "sweep {file}: seeds must be a list of int, not 3"),
        ("seeds = [0, 3]", "", "sweep {file}: seeds must be a list of int, not None"),
        ("[6, 8]", "6", "sweep {file}: grid.weight_bits must be a list of values, not 6"),
        ("[6, 8]", "[6, 99]", "weight_bits must be 2 to 16, not 99"),
        ("[6, 8]", "[6, 8", "sweep {file} is not TOML: "),
    ],
)
def test_a_sweep_that_cannot_be_is_refused_in_one_sentence(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in ASKED
    path = asked(tmp_path, ASKED.replace(old, new))
    code, out, errors = call("sweep", path)
    assert (code, out, errors.count("\n")) == (2, "", 1)
    assert errors.startswith("error: " + told.format(file=path, folder=tmp_path))
    assert [entry.name for entry in tmp_path.iterdir()] == ["sweep.toml"]


def test_a_grid_is_counted_before_it_is_built(tmp_path: Path) -> None:
    values = list(range(1000))
    text = ASKED.replace("[grid]", f"[grid]\nheight = {values}\nwidth = {values}\nlanes = {values}")
    with pytest.raises(Refusal, match=r"asks for 8,000,000,000 trainings, more than 100,000; make"):
        read_sweep(asked(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "grid." + "a." * 8000 + "a = [1]",
        "[grid]\nheight.x.y = [1]",
        "limit = 0x" + "f" * 5000,
    ],
)
def test_a_sweep_beyond_all_measure_is_refused(tmp_path: Path, text: str) -> None:
    path = asked(tmp_path, f"{text}\n{ASKED.replace('[grid]', '[other]')}")
    for words in (text, ASKED + text.removeprefix("[grid]\n").replace("grid.", "")):
        path.write_text(words)
        with pytest.raises(Refusal) as refusal:
            read_sweep(path)
        assert len(str(refusal.value)) < 600


def test_a_missing_file_and_a_table_of_another_sweep_are_refused(tmp_path: Path) -> None:
    code, _, errors = call("sweep", tmp_path / "none.toml")
    assert (code, errors) == (
        2,
        f"error: cannot read sweep {tmp_path / 'none.toml'}: No such file or directory; "
        f"check the path\n",
    )
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    code, _, errors = call("sweep", asked(tmp_path), "--out", other)
    assert (code, errors) == (
        2,
        f"error: {other} holds another sweep, with other columns; choose another --out\n",
    )
    assert other.read_text() == "a,b\n1,2\n"

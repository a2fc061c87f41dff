"""Studies, reports and figures: resumable files, published figures beside ours."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.contract import stop
from model.contract.refusal import Refusal
from model.paper import study as studies
from model.paper.figure import FIGURES, Scale, redraw
from model.paper.report import PUBLISHED, page, report
from model.paper.run import Run
from model.paper.settings import ALGORITHMS, Settings, plan
from model.paper.study import STUDIES, read_rows, study, write_rows
from model.paper.training import Progress


class Stopped(Exception):
    """The study is killed."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """A study of three short runs on the digits."""
    points = [plan("digits", "fc10", name, epochs=3) for name in ("bp", "drtp", "shallow")]
    monkeypatch.setitem(STUDIES, "small", lambda: iter(points))
    return points


def stop_at(number: int, done: int) -> Any:
    """Kill the run of that number after so many updates."""

    def begin(settings: Settings, point: int, count: int) -> Progress:
        def report(updates: int, total: int, run: Run) -> None:
            if (point, updates) == (number, done):
                raise Stopped

        return report

    return begin


def numbers(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row if name != "seconds"} for row in rows]


def test_a_stopped_study_resumes_and_measures_nothing_twice(
    tmp_path: Path, small: list[Settings]
) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    study("small", whole)
    with pytest.raises(Stopped):
        study("small", parts, progress=stop_at(2, 200))
    assert [row["algorithm"] for row in read_rows(parts / "small.csv")] == ["bp"]
    assert [file.suffix for file in (parts / ".work").iterdir()] == [".npz"]
    study("small", parts)
    for name in ("small.csv", "small.curves.csv"):
        assert numbers(read_rows(parts / name)) == numbers(read_rows(whole / name))
    assert not list((parts / ".work").iterdir())
    study("small", parts, progress=stop_at(1, 1))  # nothing is left to run


def test_a_cut_study_goes_on_to_the_same_rows(tmp_path: Path, small: list[Settings]) -> None:
    whole, parts, place = tmp_path / "whole", tmp_path / "parts", tmp_path / "begun"
    study("small", whole)
    study("small", parts, epochs=2, checkpoints=place)
    cut = read_rows(parts / "small.csv")
    assert [row["epochs_run"] for row in cut] == ["2", "2", "2"]
    assert len(list(place.iterdir())) == 3
    last = [
        row["test_error"] for row in read_rows(whole / "small.curves.csv") if row["epoch"] == "2"
    ]
    assert [row["final_test_error"] for row in cut] == last
    first: list[int] = []

    def begin(settings: Settings, point: int, count: int) -> Progress:
        return lambda updates, total, run: first.append(updates)

    study("small", parts, checkpoints=place, progress=begin)
    assert first[0] == 2 * len(first) // 3 + 1  # of three epochs only the third was left
    for name in ("small.csv", "small.curves.csv"):
        assert numbers(read_rows(parts / name)) == numbers(read_rows(whole / name))
    assert not list(place.iterdir())
    study("small", parts, epochs=1, progress=stop_at(1, 1))  # a longer run covers a shorter


def test_points_from_before_a_setting_have_its_default(
    tmp_path: Path, small: list[Settings]
) -> None:
    study("small", tmp_path)
    whole = (tmp_path / "small.csv").read_text()
    columns = [name for name in read_rows(tmp_path / "small.csv")[0] if name != "summed"]
    write_rows(tmp_path / "small.csv", tuple(columns), read_rows(tmp_path / "small.csv"))
    assert "summed" not in (tmp_path / "small.csv").read_text()
    study("small", tmp_path, progress=stop_at(1, 1))  # nothing is left to run
    rest = read_rows(tmp_path / "small.csv")[1:]
    write_rows(tmp_path / "small.csv", tuple(columns), rest)
    study("small", tmp_path)
    again = read_rows(tmp_path / "small.csv")
    assert again[-1]["algorithm"] == "bp" and {row["summed"] for row in again} == {"False"}
    assert sorted(again[0]) == sorted(whole.splitlines()[0].split(","))


def test_a_row_tells_settings_results_and_provenance(tmp_path: Path, small: list[Settings]) -> None:
    study("small", tmp_path)
    row = read_rows(tmp_path / "small.csv")[1]
    curve = [r for r in read_rows(tmp_path / "small.curves.csv") if r["config"] == row["config"]]
    assert (row["data"], row["network"], row["algorithm"]) == ("digits", "fc10", "drtp")
    assert row["config"] == small[1].hash
    assert row["library"].startswith("numpy ") and row["python"].count(".") == 2
    assert [r["epoch"] for r in curve] == ["1", "2", "3"]
    assert row["final_test_error"] == curve[-1]["test_error"]
    mean = sum(float(r["test_error"]) for r in curve) / 3
    assert float(row["test_error"]) == pytest.approx(mean, rel=1e-5)


def test_a_stop_says_what_is_kept(tmp_path: Path, small: list[Settings]) -> None:
    def begin(settings: Settings, point: int, count: int) -> Progress:
        def report(updates: int, total: int, run: Run) -> None:
            if (point, updates) == (2, 200):
                raise KeyboardInterrupt

        return report

    with pytest.raises(stop.Stopped) as stopped:
        study("small", tmp_path, progress=begin)
    (checkpoint,) = (tmp_path / ".work").iterdir()
    assert str(stopped.value) == (
        f"1 of 3 points are kept in {tmp_path / 'small.csv'}, the whole epochs of the next in "
        f"{checkpoint}, the same command goes on"
    )


def test_an_unknown_study_is_refused(tmp_path: Path) -> None:
    sentence = f"there is no study 'all'; choose one of {', '.join(STUDIES)}"
    for call in (study, report):
        with pytest.raises(Refusal) as refused:
            call("all", tmp_path)
        assert str(refused.value) == sentence


def test_every_study_can_be_planned() -> None:
    for points in STUDIES.values():
        hashes = [settings.hash for settings in points()]
        assert len(hashes) == len(set(hashes)) > 0


def test_the_anchors_are_six_algorithms_three_seeds_ten_epochs() -> None:
    mnist = [point for point in STUDIES["anchors"]() if point.data == "mnist"]
    assert {(point.algorithm, point.seed) for point in mnist} == {
        (algorithm, seed) for algorithm in ALGORITHMS for seed in range(3)
    }
    assert {(point.network, point.epochs, point.batch) for point in mnist} == {("fc1-500", 10, 60)}


def test_published_figures_are_the_papers() -> None:
    rows = read_rows(PUBLISHED)
    told = {
        (r["source"], r["network"], r["algorithm"], r["dropout"], r["flip"], r["quantity"]): (
            r["value"], r["spread"],
        )
        for r in rows
    }  # fmt: skip
    assert len(rows) == 289
    off = ("False", "test_error")
    assert told["table 1", "fc1-500", "drtp", "0.0", *off] == ("4.61", "0.13")
    assert told["table 1", "conv-trained", "bp", "0.25", *off] == ("1.00", "0.03")
    assert told["table s1", "fc2-1000", "sdfa", "0.1", *off] == ("4.51", "0.12")
    assert told["table 2", "fc1-500", "bp", "0.0", "True", "test_error"] == ("45.87", "0.22")
    assert told["table s2", "conv-trained", "sdfa", "0.25", *off] == ("40.08", "1.03")
    assert ("table 1", "conv-trained", "shallow", "0.0", *off) not in told


def fake_rows(folder: Path, name: str, points: Iterator[tuple[Settings, dict[str, Any]]]) -> None:
    columns = (*Settings.__annotations__, *studies.RESULTS, *studies.PROVENANCE)
    empty = dict.fromkeys(columns)
    rows = [
        {**empty, **vars(settings), "epochs_run": settings.epochs, **found}
        for settings, found in points
    ]
    write_rows(folder / f"{name}.csv", columns, rows)


def test_a_report_judges_by_the_papers_spread_or_the_programs_bounds(tmp_path: Path) -> None:
    chosen = [plan("mnist", "fc1-500", "drtp", seed=seed) for seed in range(2)]
    fake_rows(
        tmp_path,
        "table1-fc1",
        iter(zip(chosen, ({"test_error": 4.9}, {"test_error": 5.08}), strict=True)),
    )
    (row,) = report("table1-fc1", tmp_path)
    assert (row.published, row.spread, row.trials, row.epochs) == (4.61, 0.13, 2, 100)
    assert row.ours == pytest.approx(4.99)
    assert row.our_spread == pytest.approx(0.127, abs=1e-3)
    assert row.allowed == pytest.approx(0.39)
    assert row.agrees
    short = plan("mnist", "conv-random", "bp", epochs=10)
    errors = {"test_error": 2.5, "final_test_error": 1.4}
    fake_rows(tmp_path, "table1-conv", iter([(short, errors)]))
    (row,) = report("table1-conv", tmp_path)
    assert (row.published, row.ours, row.epochs, row.agrees) == (1.21, 1.4, 10, True)
    anchor = plan("mnist", "fc1-500", "bp", epochs=10)
    errors = {"final_test_error": 4.1, "final_train_error": 2.9}
    fake_rows(tmp_path, "anchors", iter([(anchor, errors)]))
    test, training = report("anchors", tmp_path)
    assert (test.published, test.agrees) == (3.4, False)
    assert (training.published, training.agrees) == (2.86, True)
    text = page(tmp_path)
    assert "| mnist | fc1-500 | drtp | 0 | test % | 4.61 ± 0.13 | 4.99 ± 0.13 |" in text
    assert "| 3.40 | 4.10 | 1 | 10 | +0.70 |  | no |" in text


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        (b"4.9", b"x", "point 1: test_error is 'x', no number; mend it or remove it"),
        (b"4.9", b"inf", "point 1: test_error is 'inf', no number; mend it or remove it"),
        (b"4.9", b"4.9,", "line 2, has other cells than the first line names; mend it or "),
        (b"4.9", b"\xff", "is no CSV ('utf-8' codec can't decode byte 0xff"),
        (b"4.9", b'"4.9', "is no CSV (unexpected end of data); mend it or remove it"),
        (b"epochs_run", b"epochs run", "has no column epochs_run; mend it or remove it"),
        (b",100,,", b"," + b"9" * 5000 + b",,", "no number; mend it or remove it"),
    ],
)
def test_a_damaged_table_is_refused(tmp_path: Path, old: bytes, new: bytes, fault: str) -> None:
    chosen = plan("mnist", "fc1-500", "drtp")
    fake_rows(tmp_path, "table1-fc1", iter([(chosen, {"test_error": 4.9})]))
    path = tmp_path / "table1-fc1.csv"
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))
    with pytest.raises(Refusal) as refusal:
        report("table1-fc1", tmp_path)
    assert str(refusal.value).startswith(str(path))
    assert fault in str(refusal.value)
    assert len(str(refusal.value)) < 500


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        report("synthetic", tmp_path)
    assert str(refused.value) == (
        f"study 'synthetic' has no finished point in {tmp_path}; "
        f"run `python -m model paper study synthetic` first"
    )


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_and_its_runs_kept(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = Scale(2, 20, choices={"epochs": 2, "examples": 300})
    whole = FIGURES[name]
    network = "conv3k3-fc8" if whole.network == "conv-trained" else "fc2-8"
    short = replace(whole, data="digits", network=network, rates=(), reduced=few)
    monkeypatch.setitem(FIGURES, name, short)
    picture = redraw(name, tmp_path)
    assert picture.read_bytes().startswith(b"\x89PNG")
    kept = sorted(tmp_path.glob("*.json"))
    assert len(kept) == 2 * len(whole.algorithms)
    assert json.loads(kept[0].read_text())["settings"]["epochs"] == 2
    before = [file.stat().st_mtime_ns for file in kept]
    redraw(name, tmp_path)
    assert [file.stat().st_mtime_ns for file in kept] == before


def test_an_unknown_figure_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refused:
        redraw("1", tmp_path)
    assert str(refused.value) == (f"there is no figure '1'; choose one of {', '.join(FIGURES)}")

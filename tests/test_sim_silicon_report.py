"""The table of what each rule costs, its sources, and the Pareto front of a sweep."""

import csv
import dataclasses
import json
from pathlib import Path

import pytest

from model.contract.choices import RULES
from model.contract.presets import preset
from model.data import Dataset, load
from sim.silicon import pareto, report
from sim.silicon.figures import Figures
from sim.silicon.pareto import Point, front
from sim.silicon.power import price, work
from sim.silicon.report import Row, changes, figures, page, sources, where
from sim.silicon.synth import ECP5, Synthesis, key


def synthesis(rule: str, target: str) -> Synthesis:
    """Figures that grow from rule to rule by a tenth of the first."""
    grown = 1 + RULES.index(rule) / 10
    about = {"config_sha256": "", "key": "", "seconds": 1.0}
    if target == "ecp5":
        return Synthesis(
            name="tiny",
            rule=rule,
            target=target,
            device=ECP5.device,
            tools={"yosys": "0.70", "nextpnr-ecp5": "0.11"},
            used={"lut": round(1000 * grown)},
            available={"lut": 1400},
            fmax_mhz=None if grown > 1.4 else 40.0,
            slowest=("chip.conv1", "chip.conv1"),
            **about,  # type: ignore[arg-type]
        )
    modules = {
        "chip.conv1": {"cells": 600.0, "flip_flops": 60.0, "area_um2": 30_000.0},
        "chip.learner": {
            "cells": 1000 * grown - 600,
            "flip_flops": 40.0,
            "area_um2": 50_000 * grown - 30_000,
        },
    }
    return Synthesis(
        name="tiny",
        rule=rule,
        target=target,
        device="cells",
        tools={"yosys": "0.70"},
        cells=round(1000 * grown),
        flip_flops=100,
        cells_um2=50_000 * grown,
        memory_bits=10_000,
        modules=modules,
        **about,  # type: ignore[arg-type]
    )


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


@pytest.fixture(scope="module")
def rows(digits: Dataset) -> list[Row]:
    found = []
    for rule in RULES:
        done = work(preset("tiny", rule), digits, 60, 30, 0, 1)
        cells, fpga = synthesis(rule, "cmos"), synthesis(rule, "ecp5")
        found.append(Row("tiny", rule, done, price(done), cells, fpga))
    return found


def test_overheads_are_over_the_rule_none(rows: list[Row]) -> None:
    entries = {entry["rule"]: entry for entry in figures(rows)}
    assert list(entries) == list(RULES)
    assert entries["none"]["area_overhead"] == entries["none"]["logic_overhead"] == 0
    assert entries["shallow"]["logic_overhead"] == pytest.approx(0.1)
    assert entries["dfa"]["logic_overhead"] == pytest.approx(0.5)
    for table in ("horowitz", "aladdin"):
        base = entries["none"][table]["classification_nj"]
        learned = entries["drtp"][table]["learned_sample_nj"]
        share = entries["drtp"][table]["learned_sample_overhead"]
        assert share == pytest.approx(learned / base - 1)
        assert entries["none"][table]["learned_sample_nj"] is None
        assert entries["none"][table]["learned_sample_overhead"] is None


def test_no_factor_is_fitted_without_spoon_on_mnist(rows: list[Row]) -> None:
    assert all(entry["horowitz"]["calibration"] is None for entry in figures(rows))
    assert not any("fitted" in line for line in sources(rows))


def test_every_column_has_a_source(rows: list[Row]) -> None:
    text = "\n".join(sources(rows))
    for column in ("accuracy", "cells", "logic mm2", "memory kbit", "area mm2", "Fmax", "cycles"):
        assert f"{column}:" in text
    for words in (
        "Stine",
        "WikiChip",
        "Stillmaker",
        "nextpnr-ecp5 0.11",
        "16.8 % power, 11.8 % area",
    ):
        assert words in text
    assert "scope: proxy at 28 nm 0.6 V; tiny" in text


def test_the_page_has_a_row_a_rule_and_says_what_does_not_fit(rows: list[Row]) -> None:
    text = page(rows)
    table = [line for line in text.splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0].strip("| ") for line in table] == ["rule", *RULES]
    assert all(line.count(" | ") == len(report.HEADINGS) - 1 for line in table)
    assert "does not fit" in table[-1]
    assert "40.0" in table[1]


def test_growth_is_told_by_module(rows: list[Row]) -> None:
    (line,) = where(rows)
    assert line == (
        "tiny, drtp over none: cells grow by 20.0% (chip.learner 100%, chip.conv1 0% of the "
        "growth), memory by 0 bits"
    )


def test_tables_and_figures_are_written(rows: list[Row], tmp_path: Path) -> None:
    report.write(rows, tmp_path)
    told = json.loads((tmp_path / "cost.json").read_text())
    assert len(told["rows"]) == len(RULES) and told["sources"] == sources(rows)
    assert (tmp_path / "cost.md").read_text() == page(rows)


def test_changes_beyond_a_margin_are_told(rows: list[Row], tmp_path: Path) -> None:
    kept = Figures(tmp_path / "synthesis.json", [])
    kept.record([each for row in rows[:3] for each in (row.cells, row.fpga)])
    assert changes(rows, kept) == []
    entry = kept.find("tiny", "none", "cmos")
    assert entry is not None
    entry["cells"] = 900
    assert changes(rows, kept) == ["tiny none cmos: cells was 900, is 1000 (margin 3%)"]


def test_what_is_recorded_of_an_fpga_is_not_routed_again(tmp_path: Path) -> None:
    config = preset("tiny")
    recorded = dataclasses.replace(synthesis("drtp", "ecp5"), key=key(config, "ecp5"))
    kept = Figures(tmp_path / "synthesis.json", [])
    kept.record([recorded])
    assert Figures.load(kept.path).recall(config, "ecp5") == recorded
    kept.record([dataclasses.replace(recorded, key="of another Verilog")])
    assert kept.recall(config, "ecp5") is None
    assert kept.recall(config, "up5k") is None


def test_progress_counts_steps_and_tells_the_time_left() -> None:
    lines: list[str] = []
    told = report._numbered(lines.append, 2)
    told("first")
    told("second")
    assert lines[0].startswith("[1/2] first (")
    assert lines[1].startswith("[2/2] second (") and "about 0 min left" in lines[1]


# Sweep


def point(accuracy: float, energy: float) -> Point:
    return Point("tiny", "drtp", 16, 4, accuracy, (energy, 4 * energy), energy / 1e3, 1000)


def test_the_front_holds_what_no_other_beats() -> None:
    points = [point(0.9, 10), point(0.8, 5), point(0.85, 12), point(0.95, 20), point(0.8, 6)]
    best = front(points, lambda p: p.middle_nj)
    assert [(p.accuracy, p.energy_nj[0]) for p in best] == [(0.8, 5), (0.9, 10), (0.95, 20)]
    assert best[0].middle_nj == pytest.approx(10)


def test_a_sweep_has_a_point_for_each_width_and_lane_count(
    digits: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pareto, "WIDTHS", (16, 32))
    monkeypatch.setattr(pareto, "LANES", (4, 32))
    monkeypatch.setattr(pareto, "SWEPT", ("shallow", "drtp"))
    points = pareto.sweep(["tiny"], digits, 40, 20, 0, Figures.load())
    assert [(p.rule, p.width, p.lanes) for p in points] == [
        (rule, width, lanes)
        for rule in ("shallow", "drtp")
        for width, lanes in ((16, 4), (32, 4), (32, 32))
    ]
    wide, narrow = points[-1], points[-2]
    assert wide.accuracy == narrow.accuracy
    assert wide.area_mm2 > narrow.area_mm2 and wide.cycles < narrow.cycles
    pareto.write(points, tmp_path, "digits")
    with (tmp_path / "pareto.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == len(points)
    assert (tmp_path / "pareto.svg").read_text().startswith("<?xml")

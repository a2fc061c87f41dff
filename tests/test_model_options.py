"""Options of all rooms: choices that are listed, completed, asked after, and that work."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

import model.__main__
import model.paper.commands
import rtl.__main__
import sim.__main__
from model import data
from model.contract.choices import RULES
from model.contract.presets import DATA_SETS, PRESETS, data_for, preset
from model.contract.reading import from_dict
from model.contract.refusal import Refusal
from model.options import among
from sim.tools import SIMULATORS

ROOMS = {
    "model": model.__main__.app,
    "paper": model.paper.commands.app,
    "rtl": rtl.__main__.app,
    "sim": sim.__main__.app,
}


def options() -> dict[tuple[str, str], Any]:
    """Every option of every command that is a door of no other room."""
    groups: dict[str, Any] = {room: get_command(app) for room, app in ROOMS.items()}
    return {
        (f"{room} {name}", option.name): option
        for room, group in groups.items()
        for name, command in group.commands.items()
        for option in command.params
    }


def test_the_same_option_has_the_same_words_in_all_rooms() -> None:
    """Where it means the same: what a chip, its data and its figures are."""
    others = {  # which draft a chip where none is given, or try several
        ("model calibrate", "config"),
        ("model explore", "config"),
        ("model explore", "rule"),
    }
    for name in ("preset", "config", "rule", "data_dir", "test_fraction"):
        helps = {
            option.help
            for (command, known), option in options().items()
            if known == name and (command, name) not in others and not command.startswith("paper")
        }
        assert len(helps) == 1, (name, helps)


@pytest.mark.parametrize(
    ("command", "option", "choices"),
    [
        ("model train", "preset", PRESETS),
        ("model train", "rule", RULES),
        ("model train", "data", DATA_SETS),
        ("rtl emit", "preset", PRESETS),
        ("sim verify", "preset", PRESETS),
        ("sim verify", "simulator", SIMULATORS),
        ("sim run", "data", DATA_SETS),
        ("paper train", "algorithm", ("bp", "drtp", "shallow")),
        ("paper train", "data", ("regression", "digits")),
    ],
)
def test_choices_are_listed(command: str, option: str, choices: tuple[str, ...]) -> None:
    words = re.split(r"[ ,.:]+", options()[command, option].help)
    assert set(choices) <= set(words)


def test_choices_are_completed() -> None:
    complete: Callable[[str], list[str]] = among(PRESETS)
    assert complete("spoon-c") == ["spoon-canonical"]
    assert complete("x") == []


def test_data_sets_by_name_are_those_that_load() -> None:
    assert set(DATA_SETS) == set(data.NAMES)


def test_a_chip_takes_the_data_of_its_size() -> None:
    assert {name: data_for(preset(name)) for name in ("tiny", "spoon", "spoon-fashion")} == {
        "tiny": "digits",
        "spoon": "mnist",
        "spoon-fashion": "fashion-mnist",
    }
    for name in PRESETS:
        assert data_for(preset(name)) in DATA_SETS
    other = from_dict(preset("tiny").to_dict() | {"height": 10, "width": 10})
    with pytest.raises(Refusal, match="no data set has the size of the chip tiny, 10 x 10 x 1;"):
        data_for(other)


@pytest.mark.parametrize(
    ("room", "words", "fault"),
    [
        ("model", ("train", "--preset", "spon"), "did you mean 'spoon'?"),
        ("model", ("train", "--rule", "drpt"), "did you mean 'drtp'?"),
        ("model", ("train", "--data", "digit"), "did you mean 'digits'?"),
        ("rtl", ("emit", "--preset", "tinny"), "did you mean 'tiny'?"),
        ("sim", ("verify", "--simulator", "verilater"), "did you mean 'verilator'?"),
        ("sim", ("verify", "--preset", "spon"), "did you mean 'spoon'?"),
        ("paper", ("train", "--algorithm", "drpt"), "did you mean 'drtp'?"),
        ("paper", ("study", "anchor"), "did you mean 'anchors'?"),
    ],
)
def test_a_slip_of_the_finger_is_asked_after(room: str, words: tuple[str, ...], fault: str) -> None:
    result = CliRunner().invoke(ROOMS[room], list(words))
    assert result.exit_code == 2
    (sentence,) = result.stderr.strip().splitlines()
    assert sentence.endswith(fault)


@pytest.mark.parametrize(
    ("room", "words", "called"),
    [
        ("model", ("compare",), "model.data.load"),
        ("rtl", ("emit",), "rtl.emit.emit"),
        ("sim", ("verify",), "model.data.load"),
        ("sim", ("golden",), "sim.trust.golden.compare"),
    ],
)
def test_a_stop_is_one_line_in_every_room(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, room: str, words: tuple[str, ...], called: str
) -> None:
    monkeypatch.chdir(tmp_path)

    def stop(*ignored: object, **too: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(called, stop)
    result = CliRunner().invoke(ROOMS[room], list(words))
    assert result.exit_code == 130
    assert result.stderr == "stopped by the user; no file is half-written\n"


@pytest.mark.parametrize("room", ["model", "rtl", "sim"])
def test_help_loads_nothing_that_computes(room: str) -> None:
    """It would take seconds: numba, Amaranth and the data readers are imported by commands."""
    code = f"import sys, {room}.__main__; print(*sys.modules)"
    root = Path(__file__).resolve().parents[1]
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    ).stdout.split()
    assert not {"numba", "amaranth", "PIL", "sklearn", "matplotlib", "cocotb"} & set(loaded)

"""model/progress.py: what was measured once is told the next time; nothing where nobody looks."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from model import progress
from model.progress import counting, remembering, stepping


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A build folder of its own, in which everything is remembered."""
    monkeypatch.setenv("DRTP_BUILD_DIR", str(tmp_path))
    monkeypatch.setattr(progress, "LEAST_SECONDS", 0.0)
    return tmp_path


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """A terminal in place of standard error."""
    seen = io.StringIO()
    terminal = Console(file=seen, force_terminal=True, width=120)
    monkeypatch.setattr(progress, "Console", lambda stderr: terminal)
    return seen


def test_the_seconds_of_last_time_are_told(folder: Path, screen: io.StringIO) -> None:
    with remembering("mapping"):
        pass
    assert "the first time" in screen.getvalue()
    (folder / progress.SECONDS).write_text(json.dumps({"mapping": 30.0, "other": 1.0}))
    with remembering("mapping", times=2.0):
        pass
    assert "about 60 s left" in screen.getvalue()
    kept = json.loads((folder / progress.SECONDS).read_text())
    assert 0 < kept["mapping"] < 1
    assert kept["other"] == 1.0


def test_steps_are_counted_and_the_time_left_is_told(folder: Path, screen: io.StringIO) -> None:
    with counting("learning") as advance, remembering("compiling"):
        advance(1, 4, "9 samples/s")
        advance(2)
    shown = screen.getvalue()
    assert "2/4" in shown
    assert "compiling" in shown


def test_what_fails_is_not_remembered_and_damage_is_as_nothing(folder: Path) -> None:
    for damage in ("[" * 100_000, "[1]", '{"mapping": "long"}', "\x00"):
        (folder / progress.SECONDS).write_text(damage)
        with pytest.raises(ValueError, match="no"), remembering("mapping"):
            raise ValueError("no")
        assert (folder / progress.SECONDS).read_text() == damage
    with remembering("mapping"):
        pass
    assert list(json.loads((folder / progress.SECONDS).read_text())) == ["mapping"]


def test_a_log_gets_a_line_a_step_and_no_bar(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with counting("learning") as advance, stepping("bench") as step:
        advance(1, 2)
        step("engines")
        step("chips")
    assert capsys.readouterr().err == "bench: engines\nbench: chips\n"
    kept = json.loads((folder / progress.SECONDS).read_text())
    assert list(kept) == ["bench: engines", "bench: chips"]

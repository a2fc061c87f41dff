"""examples/: each file runs, and ends with what it promises."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
#: File -> whether it takes a place to write to, and the least share that it must end with.
EXAMPLES = {
    "own_images.py": ("out", 0.9),
    "pipeline.py": (None, 0.94),
    "cluster.py": ("sweep.csv", 0.5),
}


def run(name: str, place: Path) -> str:
    """What an example prints."""
    argument = EXAMPLES[name][0]
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / name, *([str(place / argument)] if argument else [])],
        cwd=place,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs_and_reaches_what_it_should(name: str, tmp_path: Path) -> None:
    tested = re.findall(r"([\d.]+)% of (?:the|\d+) test samples", run(name, tmp_path))
    assert [float(share) / 100 >= EXAMPLES[name][1] for share in tested] == [True]
    if name == "own_images.py":
        assert "words[0] = " in (tmp_path / "out/rtl/shapes.v").read_text()
        assert (tmp_path / "out/c/model.h").is_file()


def test_every_example_of_python_is_run() -> None:
    assert {path.name for path in (ROOT / "examples").glob("*.py")} == set(EXAMPLES)

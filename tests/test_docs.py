"""docs/: commands and tutorials run, every picture and page is made, the site has no warning."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
TOML = re.compile(r"^```toml\n(.*?)^```", re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.docs


def blocks(page: Path) -> list[str]:
    return BLOCK.findall(page.read_text())


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """Variables of a shell that knows the command `drtp`, in a folder that is empty."""
    command = tmp_path / "bin" / "drtp"
    command.parent.mkdir()
    start = "from sim.console import main; main()"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "{start}" "$@"\n')
    command.chmod(0o755)
    path = f"{command.parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}


@pytest.mark.parametrize(
    "page", [p for p in PAGES if blocks(p)], ids=lambda p: str(p.relative_to(ROOT / "docs"))
)
def test_every_command_of_a_page_runs(page: Path, tmp_path: Path, shell: dict[str, str]) -> None:
    place = tmp_path / "work"
    place.mkdir()
    script = "set -e\n" + "\n".join(blocks(page))
    done = subprocess.run(
        ["bash", "-c", script], cwd=place, env=shell, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def test_the_sweep_that_is_shown_is_one(tmp_path: Path) -> None:
    from model.study.sweep import read_sweep

    (text,) = TOML.findall((ROOT / "docs/how-to/cluster.md").read_text())
    (tmp_path / "sweep.toml").write_text(text)
    assert len(read_sweep(tmp_path / "sweep.toml").points) == 8


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    mkdocs = shutil.which("mkdocs", path=str(Path(sys.executable).parent))
    if mkdocs is None:
        pytest.fail("mkdocs is not installed; `make docs-test` does it")
    command = [mkdocs, "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    # Tutorials ran as they were built: an error in a cell would have ended it.
    adapted = (tmp_path / "site/tutorials/adapt/index.html").read_text()
    assert "learning gains +" in adapted
    pages = list((tmp_path / "site").rglob("index.html"))
    assert len(pages) >= len(PAGES)
    fields = (tmp_path / "site/reference/fields/index.html").read_text()
    assert "rate_shift" in fields

"""The cache of compiled loops: it is used, and whatever damages it costs a compilation at most."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LOOP = """
import resource, sys
from model.jit import compiled

@compiled()
def total(count):
    found = 0
    for number in range(count):
        found += number
    return found

def main():
    if sys.argv[1:]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
    print(total(5), sum(total.stats.cache_hits.values()))
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a compiled loop of its own."""
    (tmp_path / "loop.py").write_text(LOOP)
    return tmp_path


def run(folder: Path, *words: str) -> str:
    """What a fresh process prints: the sum, and how often it was found in the cache."""
    done = subprocess.run(
        [sys.executable, "-c", "import loop; loop.main()", *words],
        cwd=folder,
        env={"PYTHONPATH": f"{ROOT}:{folder}", "HOME": str(folder)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    return content[:-20] + bytes([content[-20] ^ 1]) + content[-19:]


def test_a_damaged_cache_is_compiled_again(folder: Path) -> None:
    assert [run(folder), run(folder)] == ["10 0", "10 1"]
    for kind, damage in (("nbi", flip), ("nbc", flip), ("nbi", cut), ("nbc", cut)):
        (file,) = (folder / "__pycache__").glob(f"*.{kind}")
        file.write_bytes(damage(file.read_bytes()))
        assert run(folder) == "10 0"
    assert run(folder) == "10 1"


def test_a_full_disk_costs_the_cache_alone(folder: Path) -> None:
    assert run(folder, "full") == "10 0"
    assert not list((folder / "__pycache__").glob("*.nbc"))

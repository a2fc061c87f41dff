"""The cache of compiled loops: it is used, and whatever damages it costs a compilation at most."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from model.jit import _Files

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
    for damage in (flip, cut):
        (file,) = (folder / "__pycache__").glob("*.nb?")
        file.write_bytes(damage(file.read_bytes()))
        assert run(folder) == "10 0"
    assert run(folder) == "10 1"


def test_two_that_compile_at_once_keep_each_its_own_code(tmp_path: Path) -> None:
    """Numba's own files fail here: the second to save an index takes the first one's number."""
    both = threading.Barrier(2)

    class AtOnce(_Files):
        @contextmanager
        def _open_for_write(self, path: str) -> Iterator[IO[bytes]]:
            both.wait(10)
            with super()._open_for_write(path) as file:
                yield file

    keys = [((kind,), "processor", ("code", "closure")) for kind in ("int64", "float64")]
    files = [AtOnce(str(tmp_path), "total", (1, 2)) for _ in keys]
    savers = [
        threading.Thread(target=one.save, args=(key, key))
        for one, key in zip(files, keys, strict=True)
    ]
    for saver in savers:
        saver.start()
    for saver in savers:
        saver.join()
    assert [_Files(str(tmp_path), "total", (1, 2)).load(key) for key in keys] == keys
    assert _Files(str(tmp_path), "total", (1, 3)).load(keys[0]) is None  # another source


def test_a_full_disk_costs_the_cache_alone(folder: Path) -> None:
    assert run(folder, "full") == "10 0"
    assert not list((folder / "__pycache__").glob("*.nbc"))

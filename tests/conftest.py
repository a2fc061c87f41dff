"""What holds for all tests: the same examples in every run, and where data sets come from."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from gzip import decompress
from pathlib import Path

import pytest
from hypothesis import settings

from model.data import idx, images

# The same examples in every run, and no test that fails because a machine is slow.
settings.register_profile("house", deadline=None, derandomize=True)
settings.load_profile("house")

WATCHER = pytest.StashKey[subprocess.Popen[bytes]]()

# Waits for its standard input to end, which happens however its starter ends.
WATCH = "import os, sys; sys.stdin.read(); os.killpg(int(sys.argv[1]), 9)"


def pytest_configure(config: pytest.Config) -> None:
    """A worker and the simulators that it starts end together, even if the worker is killed."""
    if hasattr(config, "workerinput"):
        os.setpgid(0, 0)
        command = [sys.executable, "-I", "-c", WATCH, str(os.getpid())]
        config.stash[WATCHER] = subprocess.Popen(
            command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
        )


USES_SIM = re.compile(r"^(from|import) sim\b", re.MULTILINE)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests of files that import the room `sim`; let slow ones go first."""
    users = {path for path in {item.path for item in items} if USES_SIM.search(path.read_text())}
    for item in items:
        if item.path in users:
            item.add_marker("sim")
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


EXCERPTS = Path(__file__).parent / "data"
"""Real excerpts of the published sets, in the published formats: tests/data/README.md."""


@pytest.fixture
def excerpts(monkeypatch: pytest.MonkeyPatch) -> Path:
    """Named sets are the excerpts, whose sums stand in place of the published ones."""
    monkeypatch.setenv("DRTP_DATA_DIR", str(EXCERPTS))
    for name, sums in idx.SUMS.items():
        for file in sums:
            content = decompress((EXCERPTS / name / f"{file}.gz").read_bytes())
            monkeypatch.setitem(sums, file, f"sha256:{hashlib.sha256(content).hexdigest()}")
    pictures = images.read_files(EXCERPTS / "cifar10-jpeg")
    content = b"".join(str(name).encode() + pictures[name] for name in pictures)
    monkeypatch.setattr(images, "CIFAR10_JPEG_SUM", f"sha256:{hashlib.sha256(content).hexdigest()}")
    return EXCERPTS


@pytest.fixture
def published() -> Callable[[str], Path]:
    """Give the path of a published file, as `mnist/train-images-idx3-ubyte.gz`.

    Looked for in $DRTP_DATA_DIR, which promises it, and in `./data`, which does not.
    """

    def find(file: str) -> Path:
        promised = os.environ.get("DRTP_DATA_DIR")
        for folder in (*([Path(promised)] if promised else []), Path("data")):
            if (folder / file).exists():
                return folder / file
        if promised:
            pytest.fail(f"DRTP_DATA_DIR is {promised}, but {file} is not there")
        pytest.skip(f"{file} is not in ./data, and DRTP_DATA_DIR is not set")

    return find

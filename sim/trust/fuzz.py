"""Fuzzing: damaged files through every reader, which must accept each or refuse it in a sentence.

Every input goes through its reader in a process of its own, with little memory and little time. A
traceback, a killed process, a sentence that runs over, and a file that was changed or left behind
are faults.
"""

import faulthandler
import os
import random
import resource
import shutil
import signal
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.table import Table

from model.contract.refusal import Refusal
from model.data.memory import most_bytes
from sim.trust.mutation import Mutation

MEMORY_BYTES = 3 << 30  #: more than a process holds when it starts
CPU_SECONDS = 20
MOST_CHARACTERS = 600  #: of a line of a refusal
ACCEPTED, REFUSED, FAULT = 0, 2, 3  #: exit codes of an input's process


@dataclass(frozen=True)
class Reader:
    """A reader under test: valid files by suffix, how they are damaged, and who reads them.

    `read` is called with the path of a damaged file, `stem` and `suffix`, alone in its folder.
    `weight` is how often its turn comes.
    """

    name: str
    suffix: str
    seeds: tuple[bytes, ...]
    mutations: tuple[Mutation, ...]
    read: Callable[[Path], object]
    stem: str = "input"
    weight: int = 10

    def damaged(self, seed: int, number: int) -> bytes:
        """The content of an input: the same for the same seed and number."""
        rng = random.Random(f"{self.name} {seed} {number}")
        return rng.choice(self.mutations)(rng, rng.choice(self.seeds))


@dataclass(frozen=True)
class Fault:
    """An input that did not end as it must."""

    reader: str
    number: int
    what: str


@dataclass
class Tally:
    """What became of the inputs."""

    accepted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    faults: list[Fault] = field(default_factory=list)

    @property
    def inputs(self) -> int:
        """Number of inputs."""
        return self.accepted.total() + self.refused.total() + len(self.faults)

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "inputs": self.inputs,
            "accepted": dict(self.accepted),
            "refused": dict(self.refused),
            "faults": [vars(fault) for fault in self.faults],
        }

    def table(self) -> Table:
        """A row a reader."""
        shown = Table("reader", "accepted", "refused", "faults")
        faults = Counter(fault.reader for fault in self.faults)
        for name in sorted({*self.accepted, *self.refused, *faults}):
            counts = self.accepted[name], self.refused[name], faults[name]
            shown.add_row(name, *(f"{count:,}" for count in counts))
        return shown

    def sentence(self) -> str:
        """The verdict in one line."""
        refused, faults = self.refused.total(), len(self.faults)
        return f"{self.inputs:,} inputs, {refused:,} refused in a sentence, {faults:,} faults"


def fuzz(
    readers: tuple[Reader, ...], seed: int, keep: Path, goes_on: Callable[[Tally], bool]
) -> Iterator[Tally]:
    """Send inputs through the readers in turn, as long as `goes_on`; the tally after each.

    Inputs that end in a fault are kept in the folder `keep`.
    """
    tally = Tally()
    turns = random.Random(seed).choices(
        range(len(readers)), [reader.weight for reader in readers], k=100_003
    )
    number = 0
    while goes_on(tally):
        reader = readers[turns[number % len(turns)]]
        _count(tally, reader, seed, number, keep)
        number += 1
        yield tally


def _count(tally: Tally, reader: Reader, seed: int, number: int, keep: Path) -> None:
    content = reader.damaged(seed, number)
    code, what = run(reader, content)
    if code == ACCEPTED:
        tally.accepted[reader.name] += 1
    elif code == REFUSED:
        tally.refused[reader.name] += 1
    else:
        tally.faults.append(Fault(reader.name, number, what))
        keep.mkdir(parents=True, exist_ok=True)
        (keep / f"{reader.name}-{number}{reader.suffix}").write_bytes(content)


def run(reader: Reader, content: bytes) -> tuple[int, str]:
    """Send one input through its reader: how it ended, and what is wrong with that."""
    folder = Path(tempfile.mkdtemp(prefix="drtp-fuzz-"))
    try:
        path = folder / f"{reader.stem}{reader.suffix}"
        path.write_bytes(content)
        code, what = _in_a_process(reader, path)
        left = sorted(file.name for file in folder.iterdir())
        if code != FAULT and (left != [path.name] or path.read_bytes() != content):
            return FAULT, f"it changed its input, or left something behind: {', '.join(left)}"
        return code, what
    finally:
        shutil.rmtree(folder)


def _in_a_process(reader: Reader, path: Path) -> tuple[int, str]:
    listening, telling = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(listening)
        code, what = FAULT, "it ended itself"
        try:
            code, what = _limited(reader, path)
        finally:
            os.write(telling, what.encode(errors="replace")[:4000])
            os._exit(code)
    os.close(telling)
    with os.fdopen(listening, "rb") as pipe:
        what = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return FAULT, f"its process was killed: {signal.Signals(os.WTERMSIG(status)).name}"
    return os.WEXITSTATUS(status), what


def _limited(reader: Reader, path: Path) -> tuple[int, str]:
    """In the process of an input: read it, and say how it ended."""
    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY_BYTES,) * 2)
    most_bytes.cache_clear()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.disable()  # a test runner's: it would write over the runner's own lines
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    try:
        reader.read(path)
    except Refusal as refusal:
        first, *others = str(refusal).splitlines() or [""]
        listed = all(line.startswith("  - ") for line in others)
        if not first or not listed or max(map(len, (first, *others))) > MOST_CHARACTERS:
            return FAULT, f"its refusal is no sentence: {str(refusal)[:1000]!r}"
        return REFUSED, first
    except BaseException:
        return FAULT, traceback.format_exc()[-3000:]
    return ACCEPTED, ""


def until(minutes: float) -> Callable[[Tally], bool]:
    """A condition for `fuzz`: go on for so long."""
    end = time.monotonic() + 60 * minutes
    return lambda tally: time.monotonic() < end

"""Sabotage: one change at a time, to Verilog, to golden data, to the model; each must be caught.

A check that cannot fail proves nothing, so every check is shown to fail. Verilog is changed in one
operator or one bit of a constant, and runs under Icarus against the model. Golden data and the
model are changed in a copy of the project, in which `python -m sim golden` must notice.
"""

import dataclasses
import json
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from rich.table import Table

from model.arith import Words
from model.contract.choices import Conv, Hidden, Learning, Readout
from model.contract.config import ChipConfig
from model.contract.counters import Kind, counters
from model.contract.event import Mark, pack_mark
from model.contract.refusal import Refusal
from model.contract.result import VERDICT_AT
from model.state import fresh
from rtl.emit import Emission, emit
from sim.benches.vectors import (
    Run,
    extreme,
    malformed_samples,
    random_samples,
    repeated_samples,
    run_model,
)
from sim.judge.difference import Comparison
from sim.simulators import cosim
from sim.simulators.observed import Observed
from sim.trust import golden
from sim.trust.anchors import number
from sim.trust.mutants import Mutant, python_mutants, verilog_mutants

ROOT = Path(__file__).resolve().parents[2]

#: A chip whose every stage works: two groups of neurons, a padded lane, corners of every format.
VICTIM = ChipConfig(
    name="victim",
    height=6,
    width=6,
    lanes=4,
    conv=(Conv(kernels=3, size=3, pool=2, shift=7),),
    hidden=(Hidden(neurons=8, shift=5, rate_shift=2, threshold=1 << 15),),
    readout=Readout(classes=3, shift=6, rate_shift=6),
    learning=Learning(density=2),
)
#: Modules that are changed; the host's side has a bench of its own.
STAGES = ("encode", "conv", "hidden", "readout")
#: Files of the model that compute.
COMPUTING = ("arith", "lfsr", "encode", "conv", "hidden", "readout", "learn")


@dataclass(frozen=True)
class Finding:
    """A change, and what caught it: empty where nothing did."""

    target: str
    place: str
    before: str
    after: str
    caught_by: str


def table(findings: list[Finding]) -> Table:
    """One row a change."""
    rows = Table("changed", "where", "before", "after", "caught by", title="sabotage")
    for found in findings:
        caught = found.caught_by or "[red]nothing"
        rows.add_row(found.target, found.place, found.before, found.after, caught)
    return rows


def sabotage(count: int, seed: int) -> Iterator[Finding]:
    """Try changes: up to `count` of each kind in Verilog and in each file of the model, drawn by
    `seed`, and those of golden data."""
    check_intact()
    draw = random.Random(seed)
    for mutant in drawn(draw, count, verilog_changes()):
        yield try_verilog(mutant)
    with tempfile.TemporaryDirectory() as folder:
        copy = Copy(Path(folder))
        yield from try_golden(copy)
        for name in COMPUTING:
            for mutant in drawn(draw, count, model_changes(name)):
                yield try_model(copy, name, mutant)


def drawn(draw: random.Random, count: int, mutants: Iterable[Mutant]) -> list[Mutant]:
    """Up to `count` mutants of each kind."""
    kinds: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        kinds[mutant.kind].append(mutant)
    return [one for kind in kinds.values() for one in draw.sample(kind, min(count, len(kind)))]


def check_intact() -> None:
    """Refuse unless what is unchanged passes: a check that fails anyway catches nothing."""
    caught = try_verilog(Mutant("none", "nowhere", "", "", emission().verilog)).caught_by
    if caught:
        raise Refusal(f"the unchanged Verilog does not pass ({caught}); mend that first")
    failed = [found for found in golden.compare() if found.trouble]
    if failed:
        raise Refusal(f"{len(failed)} golden comparisons fail unchanged; run `make golden-check`")


# Verilog


@cache
def emission() -> Emission:
    """The Verilog that is changed."""
    return emit(VICTIM)


@cache
def expected() -> Run:
    """The model's run: images, malformed events, saturated potentials, sums, scores and weights.

    The faint images end it: their small steps take weights to the very ends of their format.
    """
    state = extreme(VICTIM, fresh(VICTIM, 0), share=0.5)
    samples = [
        *random_samples(VICTIM, 6, seed=1),
        *malformed_samples(VICTIM, 8, seed=2),
        *repeated_samples(VICTIM, 20),
        np.array([pack_mark(Mark(1, True))], dtype=np.uint32),
        *random_samples(VICTIM, 6, seed=3, density=1.0),
        *random_samples(VICTIM, 18, seed=4, density=1.0, brightest=40),
    ]
    return run_model(VICTIM, state, samples)


def verilog_changes() -> list[Mutant]:
    """Changes of the stages that change what they do.

    Those are: arithmetic on signed codes, comparisons of states, the guard's comparisons, and the
    constants of the first two, but for the one that a weight is below only where a host broke its
    format. Elsewhere a change may do nothing: an address, say, need only differ from others, and
    what no later stage reads may be anything.
    """
    return [mutant for mutant in verilog_mutants(emission().verilog) if _matters(mutant)]


def _matters(mutant: Mutant) -> bool:
    stage = mutant.place.removeprefix(f"{VICTIM.name}.chip.")
    if mutant.kind == "constant" and re.search(r"weights\S* < \$signed", mutant.before):
        return False
    if stage == "encode" and mutant.kind in ("<", ">", "==", "&"):
        return True
    return stage.startswith(STAGES) and (
        "$signed" in mutant.before or "fsm_state ==" in mutant.before
    )


def try_verilog(mutant: Mutant) -> Finding:
    """Run changed Verilog under Icarus and hold all that it shows against the model."""
    run = expected()
    changed = dataclasses.replace(emission(), verilog=mutant.text)
    words = np.concatenate(run.samples)
    with tempfile.TemporaryDirectory() as folder:
        try:
            seen = cosim.observe_emission(
                changed, words, 4, run.before, 0.3, 0, "icarus", False, Path(folder)
            )
            caught = difference(run, seen)
        except Refusal as refusal:
            caught = str(refusal)
    return Finding("Verilog", mutant.place, mutant.before, mutant.after, caught)


def difference(run: Run, seen: Observed) -> str:
    """Where the hardware first differs from the model, by verify's own judge; empty if nowhere."""
    last = len(run.samples)
    judged = Comparison()
    judged.traces(run.trace, seen.trace)
    judged.results(results(run), seen.results)
    judged.states(run.after, seen.state, last)
    judged.counters(wanted(run), seen.counters, last)
    return str(judged.first or "")


def wanted(run: Run) -> dict[str, int]:
    """Every counter of the model's run; none of stalls, which only hardware knows."""
    return {
        counter.name: run.total(counter.stage)[counter.event]
        for counter in counters(VICTIM)
        if counter.kind is not Kind.STALL
    }


def results(run: Run) -> list[Words]:
    """Output words of each sample that was not aborted: its scores, then its verdict."""
    pairs = zip(run.rows("readout.scores"), run.rows("readout.verdict"), strict=True)
    return [
        np.append(scores.ravel(), 1 << VERDICT_AT | verdict.ravel()).astype(np.uint32)
        for scores, verdict in pairs
        if len(scores)
    ]


# Golden data and the model


class Copy:
    """A copy of the project, in which `python -m sim golden` judges one changed file at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for room in ("model", "rtl", "sim", "golden"):
            shutil.copytree(
                ROOT / room, folder / room, ignore=shutil.ignore_patterns("__pycache__")
            )

    def judge(self, path: str, change: Callable[[Path], None], noted: bool = False) -> str:
        """Change a file, its sum `noted` in the manifest or not; gives what the command says."""
        changed, manifest = self.folder / path, self.folder / "golden" / golden.MANIFEST
        before = {file: file.read_bytes() for file in (changed, manifest)}
        change(changed)
        if noted:
            golden.note_sums(self.folder / "golden")
        done = subprocess.run(
            [sys.executable, "-B", "-m", "sim", "golden"],
            cwd=self.folder,
            capture_output=True,
            text=True,
        )
        for file, data in before.items():
            file.write_bytes(data)
        if done.returncode == 0:
            return ""
        lines = [line for line in done.stdout.splitlines() if not line.endswith("values equal")]
        return lines[0] if lines else done.stderr.strip().splitlines()[-1]


def flip(path: Path) -> None:
    """Flip the lowest bit of a byte in the middle."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def flip_expected(path: Path) -> None:
    """Flip the lowest bit of the first number that an anchor expects."""
    anchor = json.loads(path.read_text())
    place = anchor["cases"][0]
    key: str | int = "expected"
    while isinstance(place[key], dict | list):
        place = place[key]
        key = next(key for key in (place if isinstance(place, dict) else range(len(place))))
    hexadecimal = isinstance(place[key], str)
    place[key] = hex(number(place[key]) ^ 1) if hexadecimal else int(place[key]) ^ 1
    path.write_text(json.dumps(anchor))


def flip_array(path: Path) -> None:
    """Flip the lowest bit of a number in the middle of the greatest array of a file."""
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    greatest = max(arrays.values(), key=lambda array: array.size).reshape(-1)
    greatest[len(greatest) // 2] ^= 1
    np.savez_compressed(path, allow_pickle=False, **arrays)


#: Path, what is flipped, how, and whether the manifest is made to agree.
GoldenChange = tuple[str, str, Callable[[Path], None], bool]


def golden_changes() -> list[GoldenChange]:
    """Changes of a bit of a file, and of a number of every kind of file."""
    anchors = sorted((golden.GOLDEN / "anchors").glob("*.json"))
    frozen = ("inputs.npz", "tiny-drtp.trace.npz", "digits-drtp.state.npz")
    return [
        ("golden/README.md", "a bit", flip, False),
        (f"golden/{golden.MANIFEST}", "a bit", flip, False),
        ("golden/frozen/deep-dfa.trace.npz", "a bit", flip, False),
        *((f"golden/frozen/{name}", "a number, sum noted", flip_array, True) for name in frozen),
        *(
            (f"golden/anchors/{path.name}", "a number, sum noted", flip_expected, True)
            for path in anchors
        ),
    ]


def try_golden(copy: Copy) -> Iterator[Finding]:
    """Make every change of golden data."""
    for path, what, change, noted in golden_changes():
        yield Finding("golden", path, what, "flipped", copy.judge(path, change, noted))


def model_changes(name: str) -> list[Mutant]:
    """All changes of one file of the model, but for that of a shift by zero."""
    mutants = python_mutants((ROOT / "model" / f"{name}.py").read_text())
    return [mutant for mutant in mutants if "event.X_AT" not in mutant.before]


def try_model(copy: Copy, name: str, mutant: Mutant) -> Finding:
    """Change one operator of the model."""
    path = f"model/{name}.py"

    def change(file: Path) -> None:
        file.write_text(mutant.text)

    caught = copy.judge(path, change)
    return Finding("model", f"{path}, {mutant.place}", mutant.before, mutant.after, caught)

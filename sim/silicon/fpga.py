"""Boards: from a top in `rtl.boards` to a bitstream whose timing is met.

Yosys maps the design, nextpnr places and routes it, and a packer writes the bitstream, all in
build/fpga/BOARD. A design that does not fit and a clock that is missed are told with the resource
or the stage. `FIGURES` keeps what each board took when it was last recorded, to compare with.
"""

import dataclasses
import hashlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from model.contract.artifact import write_json
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from sim import tools
from sim.host.line import ROOT, board_files
from sim.silicon.synth import Progress, utilisation

FIGURES = ROOT / "results" / "boards.json"
FOLDER = Path("build/fpga")
USED_MARGIN = 0.05  #: by which a resource may grow over what was recorded
FMAX_MARGIN = 0.10  #: by which the greatest clock may fall below what was recorded

CLOCK_TOLERANCE = 1e-3  #: between the board's clock and the one that nextpnr found in the design


@dataclass(frozen=True)
class Family:
    """What FPGAs of one kind ask of nextpnr and the packer.

    `placed` is the ending of what nextpnr writes by its option of that name, `bitstream` that of
    what the packer makes; `pack` its arguments for both; `resources` are nextpnr's names.
    """

    placed: str
    bitstream: str
    packer: str
    pack: tuple[str, ...]
    resources: dict[str, str]


FAMILIES = {
    "nextpnr-ice40": Family(
        placed="asc",
        bitstream="bin",
        packer="icepack",
        pack=("{placed}", "{bitstream}"),
        resources={
            "logic cells": "ICESTORM_LC",
            "block RAM": "ICESTORM_RAM",
            "SPRAM": "ICESTORM_SPRAM",
            "DSP": "ICESTORM_DSP",
            "pins": "SB_IO",
        },
    ),
    "nextpnr-ecp5": Family(
        placed="textcfg",
        bitstream="bit",
        packer="ecppack",
        pack=("--compress", "--input", "{placed}", "--bit", "{bitstream}"),
        resources={
            "logic cells": "TRELLIS_COMB",
            "flip-flops": "TRELLIS_FF",
            "block RAM": "DP16KD",
            "multipliers": "MULT18X18D",
            "pins": "TRELLIS_IO",
        },
    ),
}


@dataclass(frozen=True)
class Routed:
    """A board's design, placed and routed.

    `clock_mhz` is what the board runs at, `fmax_mhz` the greatest clock that static timing allows;
    `slowest` says from which stage to which the slowest path goes and its nanoseconds. The
    bitstream is a path below the project's root.
    """

    board: str
    chip: str
    rule: str
    lanes: int
    config_sha256: str
    line: str
    clock_mhz: float
    fmax_mhz: float
    slowest: dict[str, Any]
    used: dict[str, int]
    available: dict[str, int]
    tools: dict[str, str]
    seconds: float
    bitstream: str
    bitstream_sha256: str

    @property
    def met(self) -> bool:
        """Whether timing is met."""
        return self.fmax_mhz >= self.clock_mhz

    def check_timing(self) -> None:
        """Raise `Refusal` naming the stage where timing is missed."""
        if not self.met:
            raise Refusal(
                f"{self.board} misses its {self.clock_mhz:g} MHz: {self.fmax_mhz:g} MHz, since "
                f"{self.slowest['from']} to {self.slowest['to']} takes {self.slowest['ns']:g} ns; "
                f"choose fewer lanes or a slower clock"
            )


def route(
    board: str,
    config: ChipConfig | None = None,
    contents: dict[str, list[int]] | None = None,
    progress: Progress = lambda step: None,
) -> Routed:
    """Map, place, route and pack a board's design.

    Parameters: `config` of the chip, the board's own where none is given; `contents`, words that
    its host banks hold from the start, by the bank's name. Raises `Refusal` for an unknown board, a
    missing tool, a design that does not fit, naming the resource, and where a tool fails. A missed
    clock is a result.
    """
    folder = FOLDER / board
    started = time.monotonic()
    progress("writing the design")
    about = design(board, folder, config, contents)
    program, *device = about["nextpnr"]
    family = FAMILIES[program]
    versions = {name: tools.require(name).version for name in ("yosys", program, family.packer)}

    progress("mapping")
    tools.call(tools.require("yosys"), ["-q", "-l", "yosys.log", f"{board}.ys"], folder)
    progress("placing and routing")
    placed = f"{board}.{family.placed}"
    arguments = [*device, "--json", f"{board}.json", f"--{about['constraints']}"]
    arguments += [f"{board}.{about['constraints']}", f"--{family.placed}", placed]
    arguments += ["--report", "report.json", "--log", "nextpnr.log", "--quiet"]
    try:
        tools.call(tools.require(program), [*arguments, "--timing-allow-fail"], folder)
    except Refusal:
        check_fits(board, family, (folder / "nextpnr.log").read_text())
        raise
    progress("packing")
    bitstream = f"{board}.{family.bitstream}"
    names = {"placed": placed, "bitstream": bitstream}
    pack = [argument.format(**names) for argument in family.pack]
    tools.call(tools.require(family.packer), pack, folder)

    report = json.loads((folder / "report.json").read_text())
    found = report["utilization"]
    return Routed(
        board=board,
        chip=about["chip"]["name"],
        rule=about["rule"],
        lanes=about["chip"]["lanes"],
        config_sha256=about["config_sha256"],
        line=about["line"],
        clock_mhz=about["clock_mhz"],
        fmax_mhz=_fmax(board, about["clock_mhz"], report),
        slowest=_slowest(report, _modules((folder / f"{board}.il").read_text())),
        used={name: found[kind]["used"] for name, kind in family.resources.items()},
        available={name: found[kind]["available"] for name, kind in family.resources.items()},
        tools=versions,
        seconds=round(time.monotonic() - started, 1),
        bitstream=str(folder / bitstream),
        bitstream_sha256=hashlib.sha256((folder / bitstream).read_bytes()).hexdigest(),
    )


def design(
    board: str, folder: Path, config: ChipConfig | None, contents: dict[str, list[int]] | None
) -> dict[str, Any]:
    """Write the files of a board into a folder, and give what its .board.json tells."""
    arguments = ["board", board, "--out", str(folder.resolve())]
    if config is None:
        board_files(*arguments)
    else:
        own = {"chip": config.to_dict(), "contents": contents}
        board_files(*arguments, "--own", choices=json.dumps(own))
    about: dict[str, Any] = json.loads((folder / f"{board}.board.json").read_text())
    return about


def check_fits(board: str, family: Family, log: str) -> None:
    """Raise `Refusal` naming every resource of which nextpnr's log says there is too little."""
    names = {kind: name for name, kind in family.resources.items()}
    short = [
        f"{used} of {available} {names.get(kind, kind)}, {used - available} too many"
        for kind, (used, available) in utilisation(log).items()
        if used > available
    ]
    if short:
        raise Refusal(f"{board} does not fit: {'; '.join(short)}; choose a smaller chip")


def _fmax(board: str, clock_mhz: float, report: dict[str, Any]) -> float:
    """The greatest clock, once it is sure that nextpnr timed the board's only clock."""
    clocks = list(report["fmax"].values())
    asked = [clock["constraint"] for clock in clocks]
    if len(clocks) != 1 or abs(asked[0] / clock_mhz - 1) > CLOCK_TOLERANCE:
        raise Refusal(
            f"nextpnr timed {board} at {asked} MHz, not at {clock_mhz:g}; correct its clock"
        )
    return round(float(clocks[0]["achieved"]), 2)


def _slowest(report: dict[str, Any], modules: set[str]) -> dict[str, Any]:
    """Ends and length of the slowest path from clock edge to clock edge."""
    (path,) = (p for p in report["critical_paths"] if p["from"] == p["to"])
    steps = path["path"]
    return {
        "from": _module(steps[0]["from"]["cell"], modules),
        "to": _module(steps[-1]["to"]["cell"], modules),
        "ns": round(sum(step["delay"] for step in steps), 2),
    }


def _modules(rtlil: str) -> set[str]:
    """Paths of all modules of a design, below its top."""
    return set(re.findall(r"^module \\\w+\.(\S+)", rtlil, re.MULTILINE))


def _module(cell: str, modules: set[str]) -> str:
    """The module that a cell lies in, by the longest path that begins its name."""
    parts = re.split(r"[.$]", cell)
    paths = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    return next((path for path in paths if path in modules), "the top").removeprefix("core.")


# What was recorded


def record(routed: Routed, path: Path = FIGURES) -> None:
    """Keep a board's figures to compare with."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    figures = dataclasses.asdict(routed)
    kept[routed.board] = {
        name: figures[name]
        for name in ("config_sha256", "clock_mhz", "fmax_mhz", "used", "available", "tools")
    }
    write_json(path, dict(sorted(kept.items())))


def regressions(routed: Routed, path: Path = FIGURES) -> list[str]:
    """In what a board is worse than recorded, beyond the margins.

    Raises `Refusal` where nothing is recorded of it.
    """
    kept = json.loads(path.read_text()) if path.exists() else {}
    if routed.board not in kept:
        raise Refusal(f"{path.name} has no figures of {routed.board}; record them with --record")
    before = kept[routed.board]
    worse = [
        f"{used} {name}, more than {1 + USED_MARGIN:g} times the {before['used'][name]} recorded"
        for name, used in routed.used.items()
        if used > before["used"][name] * (1 + USED_MARGIN)
    ]
    if routed.fmax_mhz < before["fmax_mhz"] * (1 - FMAX_MARGIN):
        worse.append(
            f"{routed.fmax_mhz:g} MHz, less than {1 - FMAX_MARGIN:g} times the "
            f"{before['fmax_mhz']:g} MHz recorded"
        )
    return worse


def table(routed: Routed) -> Table:
    """What a user wants to know of a routed board."""
    shown = Table(title=routed.board, show_header=False)
    shown.add_row("chip", f"{routed.chip}, rule {routed.rule}, {routed.lanes} lanes")
    shown.add_row("line", routed.line)
    shown.add_row("clock", f"{routed.clock_mhz:g} MHz; timing allows {routed.fmax_mhz:g} MHz")
    slowest = routed.slowest
    shown.add_row("slowest path", f"{slowest['ns']:g} ns, {slowest['from']} to {slowest['to']}")
    for name, used in routed.used.items():
        share = used / routed.available[name]
        shown.add_row(name, f"{used:,} of {routed.available[name]:,} ({share:.0%})")
    shown.add_row("bitstream", routed.bitstream)
    shown.add_row("time", f"{routed.seconds:.0f} s")
    return shown

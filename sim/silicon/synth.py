"""Synthesis: what a chip takes on an FPGA, and in standard cells.

Chips are synthesised without their counter bank and without monitors: neither belongs to a product.

- `up5k` and `ecp5`: mapped by Yosys, placed and routed by nextpnr. A chip's bus has more pins than
  a package, so every pin ends in a flip-flop of a shift register around the chip: paths through
  pins are timed as inside a larger design. Resources are those of the chip alone. Memories carry no
  initial contents, and what a word reads as while it is written is left open: a chip relies on
  neither. Weights lie in the UP5K's SPRAM, as on the board, where they are not too wide for it.
- `cmos`: mapped to standard cells module by module. Memories are black boxes: their bits are
  counted apart and priced as bit cells.

What was synthesised is kept in the build folder until the Verilog, the flow or a tool changes.
"""

import dataclasses
import hashlib
import json
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from model.contract.artifact import write_json
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.storage import Bank, banks
from model.cost.tables import MEMORY_BIT
from model.cost.technology import TARGET
from rtl.emit import Emission, emit
from sim import tools
from sim.silicon import cells
from sim.simulators.compiled import BUILD

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Blocks:
    """Large single-port memories of an FPGA: `count` of `words` words of `bits` bits, `kind` each.

    Yosys takes them for no memory by itself: the weights are named, the greatest bank first, while
    there are enough.
    """

    kind: str
    count: int
    words: int
    bits: int

    def of(self, bank: Bank) -> int:
        """How many a bank takes."""
        return -(-bank.word_bits // self.bits) * -(-bank.words // self.words)

    def taken(self, config: ChipConfig) -> dict[str, int]:
        """How many each layer's weights take; those that are left out lie in ordinary memory."""
        weights = [bank for bank in banks(config) if bank.kind == "weights"]
        left, found = self.count, {}
        for bank in sorted(weights, key=lambda bank: bank.bits, reverse=True):
            if self.of(bank) <= left:
                found[bank.stage] = self.of(bank)
                left -= found[bank.stage]
        return found


@dataclass(frozen=True)
class Fpga:
    """An FPGA: how a chip is mapped to it, placed and routed.

    `flip_flop` and `exclusive_or` are Verilog of the FPGA's own cells for the shift register;
    `resources` are nextpnr's names; `counts` are patterns of Yosys's cells, where nextpnr's report
    does not tell.
    """

    device: str
    nextpnr: str
    options: tuple[str, ...]
    synthesis: str
    flip_flop: str
    exclusive_or: str
    resources: dict[str, str]
    counts: dict[str, str]
    pins_share_cells: bool  #: whether a flip-flop and the gate before it count once
    asked_mhz: int
    blocks: Blocks | None = None


UP5K = Fpga(
    device="iCE40 UP5K, package SG48",
    nextpnr="nextpnr-ice40",
    options=("--up5k", "--package", "sg48"),
    synthesis="synth_ice40 -device u -dsp -spram -no-rw-check",
    flip_flop="SB_DFF {name} (.C(clk), .D({d}), .Q({q}));",
    exclusive_or="SB_LUT4 #(.LUT_INIT(16'h6666)) {name} "
    "(.I0({a}), .I1({b}), .I2(1'b0), .I3(1'b0), .O({y}));",
    resources={
        "lut": "ICESTORM_LC",
        "dsp": "ICESTORM_DSP",
        "bram": "ICESTORM_RAM",
        "spram": "ICESTORM_SPRAM",
    },
    counts={"ff": r"SB_DFF\w*"},
    pins_share_cells=True,
    asked_mhz=30,
    blocks=Blocks("SB_SPRAM256KA", count=4, words=1 << 14, bits=16),
)

ECP5 = Fpga(
    device="ECP5 LFE5U-45F, package CABGA381, speed grade 6",
    nextpnr="nextpnr-ecp5",
    options=("--45k", "--package", "CABGA381", "--speed", "6", "--lpf-allow-unconstrained"),
    synthesis="synth_ecp5 -no-rw-check",
    flip_flop='TRELLIS_FF #(.GSR("DISABLED"), .CEMUX("1"), .CLKMUX("CLK"), .LSRMUX("LSR"), '
    '.REGSET("RESET"), .SRMODE("LSR_OVER_CE")) {name} (.CLK(clk), .LSR(1\'b0), .DI({d}), .Q({q}));',
    exclusive_or="LUT4 #(.INIT(16'h6666)) {name} (.A({a}), .B({b}), .C(1'b0), .D(1'b0), .Z({y}));",
    resources={
        "lut": "TRELLIS_COMB",
        "ff": "TRELLIS_FF",
        "dsp": "MULT18X18D",
        "bram": "DP16KD",
    },
    counts={},
    pins_share_cells=False,
    asked_mhz=100,
)

FPGAS = {"up5k": UP5K, "ecp5": ECP5}
TARGETS = (*FPGAS, "cmos")


@dataclass(frozen=True)
class Synthesis:
    """What came out for one chip on one target.

    FPGA: `used` and `available` resources by name, `fmax_mhz` and the ends of the slowest path; a
    chip that does not fit has neither. CMOS: `cells`, `flip_flops` and `cells_um2` in the library's
    node, `modules` with the same of each module by its path, and `memory_bits`.
    """

    name: str
    rule: str
    config_sha256: str
    key: str  #: of all that the figures depend on: Verilog, flow, versions of tools
    target: str
    device: str
    tools: dict[str, str]
    seconds: float
    used: dict[str, int] = field(default_factory=dict)
    available: dict[str, int] = field(default_factory=dict)
    fmax_mhz: float | None = None
    asked_mhz: int | None = None
    slowest: tuple[str, str] | None = None
    cells: int | None = None
    flip_flops: int | None = None
    cells_um2: float | None = None
    memory_bits: int | None = None
    modules: dict[str, dict[str, float]] = field(default_factory=dict)

    @property
    def missing(self) -> dict[str, int]:
        """Resources of which there are too few, and how many too few."""
        return {
            name: used - self.available[name]
            for name, used in self.used.items()
            if used > self.available[name]
        }

    @property
    def fits(self) -> bool:
        """Whether the chip fits the target."""
        return not self.missing

    @property
    def logic_um2(self) -> float:
        """Cells in the target node of `model.cost.technology`."""
        if self.cells_um2 is None:
            raise Refusal(f"the target {self.target} has no area; ask for cmos")
        return cells.logic_um2(self.cells_um2)

    @property
    def area_um2(self) -> float:
        """Cells and bit cells together in that node."""
        if self.cells_um2 is None or self.memory_bits is None:
            raise Refusal(f"the target {self.target} has no area; ask for cmos")
        return cells.chip_um2(self.cells_um2, self.memory_bits)

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain values; what does not apply is left out."""
        found = {key: value for key, value in dataclasses.asdict(self).items() if value is not None}
        if self.target == "cmos":
            found["area_um2"] = round(self.area_um2, 1)
            found["area_node_nm"] = TARGET.node_nm
        else:
            found |= {"fits": self.fits, "missing": self.missing}
        return found


def synthesise(
    config: ChipConfig, target: str, progress: Progress = lambda step: None, fresh: bool = False
) -> Synthesis:
    """Synthesise a chip for a target, or find what was synthesised before.

    `fresh` does not look for it. Raises `Refusal` for an unknown target, a missing tool, and where
    a tool fails; a chip that does not fit is a result.
    """
    if target not in TARGETS:
        raise Refusal(f"there is no target {target!r}; choose {', '.join(TARGETS)}")
    plain = dataclasses.replace(config, counters=False)
    name = f"{config.name} {config.rule_name} {target}"
    progress(f"{name}: Verilog")
    emission = emit(plain)
    versions = _versions(target)
    found_key = _key(emission, target, versions)
    kept = BUILD / "synth" / f"{config.name}-{target}-{found_key}.json"
    if kept.exists() and not fresh:
        return restored(json.loads(kept.read_text()))
    about: dict[str, Any] = {
        "name": config.name,
        "rule": config.rule_name,
        "config_sha256": plain.sha256,
        "key": found_key,
        "target": target,
        "tools": versions,
    }
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="synth-") as place:
        folder = Path(place)
        (folder / "chip.v").write_text(emission.verilog)
        if target == "cmos":
            figures = _cells(emission, folder, lambda step: progress(f"{name}: {step}"))
        else:
            figures = _fpga(
                emission, FPGAS[target], folder, lambda step: progress(f"{name}: {step}")
            )
    found = Synthesis(**about, seconds=round(time.monotonic() - started, 1), **figures)
    write_json(kept, dataclasses.asdict(found))
    return found


def show(found: Synthesis) -> RenderableType:
    """The figures, and how they were got."""
    grid = Grid("what", "figure", title=f"{found.name}, rule {found.rule}: {found.device}")
    grid.columns[1].justify = "right"
    for name, used in found.used.items():
        available = found.available[name]
        style = "red" if used > available else None
        grid.add_row(name, f"{used:,} of {available:,} ({used / available:.0%})", style=style)
    if found.fmax_mhz is not None and found.slowest:
        grid.add_row("Fmax", f"{found.fmax_mhz:.1f} MHz")
        grid.add_row("slowest path", " to ".join(found.slowest))
    if found.target == "cmos":
        for name, module in found.modules.items():
            grid.add_row(name, f"{module['cells']:,} cells, {module['area_um2']:,.0f} um2")
        grid.add_section()
        grid.add_row("cells", f"{found.cells:,}, {found.flip_flops:,} of them flip-flops")
        grid.add_row(f"area of cells, {cells.NODE_NM} nm", f"{found.cells_um2:,.0f} um2")
        grid.add_row("memory bits", f"{found.memory_bits:,}")
        grid.add_row(
            f"cells and bits, {TARGET.node_nm} nm", f"{found.area_um2:,.0f} um2", style="bold"
        )
    return Group(grid, *(Text(line) for line in _remarks(found)))


def _remarks(found: Synthesis) -> list[str]:
    """Scope, sources, and whether timing was met, a line each."""
    versions = ", ".join(f"{name} {version}" for name, version in found.tools.items())
    lines = [f"scope: without counter bank and monitors; {versions}; {found.seconds:,.0f} s"]
    if found.target == "cmos":
        lines += [
            f"cells: {cells.SOURCE}; memories are black boxes",
            f"bits: {MEMORY_BIT.um2} um2 each without periphery, {MEMORY_BIT.source}",
            "from node to node: A. Stillmaker and B. Baas, 2017, Integration 58, pp. 74-81",
        ]
    if found.fmax_mhz and found.asked_mhz and found.slowest and found.fmax_mhz < found.asked_mhz:
        start, end = found.slowest
        lines.append(
            f"timing misses {found.asked_mhz} MHz: the slowest path begins in {start} and ends in "
            f"{end}"
        )
    return lines


def _versions(target: str) -> dict[str, str]:
    names = ["yosys"] + ([FPGAS[target].nextpnr] if target in FPGAS else [])
    return {name: tools.require(name).version for name in names}


def key(config: ChipConfig, target: str) -> str:
    """What the figures of a chip on a target would carry as their `key`."""
    emission = emit(dataclasses.replace(config, counters=False))
    return _key(emission, target, _versions(target))


def _key(emission: Emission, target: str, versions: dict[str, str]) -> str:
    if target in FPGAS:
        fpga = FPGAS[target]
        flow = [*_mapping(emission, fpga), *_routing(fpga), pins(emission, fpga)]
    else:
        flow = _to_cells(emission)
    parts = (emission.verilog, *flow, repr(versions))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def restored(figures: dict[str, Any]) -> Synthesis:
    """A result that was kept as plain values."""
    known = {
        each.name: figures[each.name]
        for each in dataclasses.fields(Synthesis)
        if each.name in figures
    }
    if known.get("slowest") is not None:
        known["slowest"] = tuple(known["slowest"])
    return Synthesis(**known)


def _opened(emission: Emission, monitors: bool) -> list[str]:
    """Commands that read a chip and leave its monitors open, unless they are wanted."""
    top = emission.top
    commands = ["read_verilog chip.v", f"hierarchy -check -top {top}"]
    return commands if monitors else [*commands, f"delete -port {top}/monitor_*"]


def _run_yosys(commands: list[str], folder: Path, *made: str) -> None:
    """Run Yosys; what it prints ends at its first use of ABC, so its files tell how it went."""
    tools.yosys("; ".join(commands), folder)
    for name in made:
        if not (folder / name).exists():
            raise Refusal(f"Yosys stopped without a word before it wrote {name}; run it again")


# Field-programmable gate arrays


def _mapping(emission: Emission, fpga: Fpga) -> list[str]:
    """Commands of Yosys."""
    return [
        *_opened(emission, monitors=False),
        "delete */t:$meminit*",
        *_placing(emission, fpga),
        "tee -q -o stat.json stat -json",
        "read_verilog pins.v",
        "hierarchy -check -top pins",
        "flatten",
        "write_json mapped.json",
    ]


def _placing(emission: Emission, fpga: Fpga) -> list[str]:
    """Commands that map a chip to an FPGA, weights to its large memories where it has any."""
    mapping = f"{fpga.synthesis} -top {emission.top}"
    if fpga.blocks is None:
        return [mapping]
    names = [f"m:chip.{stage}.synapses.bank.*" for stage in fpga.blocks.taken(emission.config)]
    named = [f'setattr -set ram_style "huge" {name}' for name in names]
    return [f"{mapping} -run :coarse", *named, f"{mapping} -run coarse:"]


def _routing(fpga: Fpga) -> list[str]:
    """Arguments of nextpnr."""
    arguments = [*fpga.options, "--json", "mapped.json", "--report", "report.json"]
    arguments += ["--log", "log", "--quiet", "--freq", str(fpga.asked_mhz)]
    return [*arguments, "--timing-allow-fail"]


def _fpga(emission: Emission, fpga: Fpga, folder: Path, progress: Progress) -> dict[str, Any]:
    progress("mapping")
    (folder / "pins.v").write_text(pins(emission, fpga))
    _run_yosys(_mapping(emission, fpga), folder, "stat.json", "mapped.json")
    mapped = json.loads((folder / "stat.json").read_text())["design"]["num_cells_by_type"]
    counted = {
        name: sum(count for kind, count in mapped.items() if re.fullmatch(pattern, kind))
        for name, pattern in fpga.counts.items()
    }
    if fpga.blocks:
        _check_blocks(emission.config, fpga.blocks, mapped)
    progress("placing and routing")
    try:
        tools.call(tools.require(fpga.nextpnr), _routing(fpga), folder)
    except Refusal:
        found = utilisation((folder / "log").read_text())
        figures = _resources(emission, fpga, found, counted)
        if all(used <= figures["available"][name] for name, used in figures["used"].items()):
            raise
        return figures
    report = json.loads((folder / "report.json").read_text())
    found = {
        name: (each["used"], each["available"]) for name, each in report["utilization"].items()
    }
    (clock,) = report["fmax"].values()
    (path,) = (path for path in report["critical_paths"] if path["from"] == path["to"])
    return _resources(emission, fpga, found, counted) | {
        "fmax_mhz": round(clock["achieved"], 2),
        "asked_mhz": fpga.asked_mhz,
        "slowest": (
            _place(path["path"][0]["from"]["cell"], emission),
            _place(path["path"][-1]["to"]["cell"], emission),
        ),
    }


def _check_blocks(config: ChipConfig, blocks: Blocks, mapped: dict[str, int]) -> None:
    wanted, found = sum(blocks.taken(config).values()), mapped.get(blocks.kind, 0)
    if found != wanted:
        raise Refusal(
            f"the weights of {config.name} were to take {wanted} {blocks.kind}, its netlist has "
            f"{found}; the memories' names have changed"
        )


def _resources(
    emission: Emission, fpga: Fpga, found: dict[str, tuple[int, int]], counted: dict[str, int]
) -> dict[str, Any]:
    """Used and available resources of the chip, the shift register around it taken off."""
    inputs, outputs = _bits(emission)
    around = {
        "lut": inputs + outputs if fpga.pins_share_cells else outputs,
        "ff": inputs + outputs,
    }
    used = {name: found[kind][0] - around.get(name, 0) for name, kind in fpga.resources.items()}
    available = {name: found[kind][1] for name, kind in fpga.resources.items()}
    for name, count in counted.items():
        used[name], available[name] = count, available["lut"]  # a flip-flop beside each table
    return {"device": fpga.device, "used": used, "available": available}


def utilisation(log: str) -> dict[str, tuple[int, int]]:
    """What nextpnr says that a chip uses and has of each of its own kinds."""
    rows = re.findall(r"^Info:\s+(\w+):\s+(\d+)/\s*(\d+)\s+\d+%", log, re.MULTILINE)
    return {kind: (int(used), int(available)) for kind, used, available in rows}


def _place(cell: str, emission: Emission) -> str:
    """The module that a cell of the placed design lies in, as "chip.readout.synapses"."""
    names = re.findall(r"^module \\?(\S+)", emission.verilog, re.MULTILINE)
    modules = [name.removeprefix(f"{emission.top}.") for name in names]
    path = cell.removeprefix("inside.")
    return max((m for m in modules if path.startswith(f"{m}.")), key=len, default="pins")


def _ports(emission: Emission) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Inputs and outputs of a chip but its clock and monitors, with their bits."""
    ports = [p for p in emission.ports if p.name != "clk" and not p.name.startswith("monitor_")]
    inputs = [(port.name, port.bits) for port in ports if port.direction == "input"]
    return inputs, [(port.name, port.bits) for port in ports if port.direction == "output"]


def _bits(emission: Emission) -> tuple[int, int]:
    """Bits of all inputs, of all outputs."""
    inputs, outputs = _ports(emission)
    return sum(bits for _, bits in inputs), sum(bits for _, bits in outputs)


def pins(emission: Emission, fpga: Fpga) -> str:
    """Verilog of a shift register around a chip, in the FPGA's own cells.

    Inputs come from flip-flops that are filled one by one; outputs are added, modulo 2, to what
    passes through flip-flops of their own. So no output is idle and no path ends at a pin.
    """
    inputs, outputs = _ports(emission)
    ins, outs = _bits(emission)
    lines = [
        "module pins(input clk, input serial, output result);",
        f"  wire [{ins}:0] in;",
        f"  wire [{outs}:0] sum;",
        f"  wire [{outs - 1}:0] out, next;",
        "  assign in[0] = serial;",
        f"  assign sum[0] = in[{ins}];",
        f"  assign result = sum[{outs}];",
    ]
    flip_flop, exclusive_or = fpga.flip_flop, fpga.exclusive_or
    for n in range(ins):
        lines.append("  " + flip_flop.format(name=f"in{n}", d=f"in[{n}]", q=f"in[{n + 1}]"))
    for n in range(outs):
        gate = exclusive_or.format(name=f"x{n}", a=f"out[{n}]", b=f"sum[{n}]", y=f"next[{n}]")
        keep = flip_flop.format(name=f"out{n}", d=f"next[{n}]", q=f"sum[{n + 1}]")
        lines += [f"  {gate}", f"  {keep}"]
    connections = [".clk(clk)"]
    for wires, ports, first in (("in", inputs, 1), ("out", outputs, 0)):
        at = first
        for name, bits in ports:
            connections.append(f".{name}({wires}[{at + bits - 1}:{at}])")
            at += bits
    return "\n".join(
        [*lines, f"  {emission.top} inside ({', '.join(connections)});", "endmodule\n"]
    )


# Standard cells


def memories(config: ChipConfig) -> tuple[Bank, ...]:
    """The banks that are memories: a single word of sums lies in flip-flops."""
    return tuple(b for b in banks(config) if not (b.name.endswith(".sums") and b.words == 1))


def cmos_script(emission: Emission, monitors: bool) -> str:
    """Yosys's commands that map a chip to standard cells, its hierarchy kept.

    Constants, ties and what nobody reads pass through the borders of modules, so that keeping them
    costs little: 3 % more cells than without them. Flip-flops have no initial value: the reset
    gives them theirs.
    """
    across = ["opt_hier", "opt"] * 3
    return "; ".join(
        [
            f"blackbox {emission.top}_memory_*",
            *_opened(emission, monitors)[1:],
            "proc",
            "opt_clean -purge",
            *across,
            "wreduce",
            "peepopt",
            "opt_clean",
            "alumacc",
            "share",
            "opt",
            "techmap",
            "opt -fast",
            "setundef -undriven -zero",
            "attrmap -remove init",
            "opt",
            "dfflibmap -liberty cells.lib",
            "abc -liberty cells.lib",
            "opt_clean -purge",
        ]
    )


def _to_cells(emission: Emission) -> list[str]:
    """Commands of Yosys."""
    return [
        "read_verilog chip.v",
        cmos_script(emission, monitors=False),
        "tee -q -o stat.json stat -json -liberty cells.lib -hierarchy",
    ]


def _cells(emission: Emission, folder: Path, progress: Progress) -> dict[str, Any]:
    progress("mapping")
    (folder / "cells.lib").write_bytes(cells.liberty().read_bytes())
    _run_yosys(_to_cells(emission), folder, "stat.json")
    stat = json.loads((folder / "stat.json").read_text())
    kinds = {kind: int(each["count"]) for kind, each in stat["design"]["num_cells_by_type"].items()}
    boxes = sum(kinds.pop(kind) for kind in list(kinds) if _holds_memory(kind))
    expected = memories(emission.config)
    count = sum(bank.copies for bank in expected)
    if boxes != count:
        raise Refusal(
            f"{emission.config.name} has {count} memories, its netlist {boxes}; "
            f"one was optimised away or doubled, so its figures would be wrong"
        )
    flip_flops = [kind for kind in kinds if kind.startswith("DFF")]
    return {
        "device": f"OSU {cells.NODE_NM} nm standard cells",
        "cells": sum(kinds.values()),
        "flip_flops": sum(kinds[kind] for kind in flip_flops),
        "cells_um2": round(float(stat["design"]["num_cells"]["area"]), 1),
        "memory_bits": sum(bank.bits for bank in expected),
        "modules": _modules(stat["modules"], emission.top),
    }


def _holds_memory(kind: str) -> bool:
    """Whether cells of a kind are memories of the emitted Verilog."""
    return re.search(r"_memory_\d\w+$", kind) is not None


def _modules(found: dict[str, Any], top: str) -> dict[str, dict[str, float]]:
    """Cells, flip-flops and area of each module itself, without those inside it, by its path."""
    modules = {}
    for name, stat in found.items():
        path = name.lstrip("\\").removeprefix(top).lstrip(".")
        kinds = stat["num_cells_by_type"]
        boxes = sum(int(n["local_count"]) for kind, n in kinds.items() if _holds_memory(kind))
        count = int(stat["num_cells"]["local_count"]) - boxes
        if not path or not count:
            continue
        modules[path] = {
            "cells": count,
            "flip_flops": sum(
                int(n["local_count"]) for kind, n in kinds.items() if kind.startswith("DFF")
            ),
            "area_um2": round(float(stat["num_cells"]["local_area"]), 1),
        }
    return dict(sorted(modules.items()))

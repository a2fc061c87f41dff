"""A chip as gates of one library: mapped, buffered and sized, its nets and their loads.

Flip-flops and gates keep the path of the module they came from, which tells the stage. Memories are
black boxes. The counter bank and the monitors are no part of a product and are left out.
"""

import dataclasses
import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from model.cache import content_of, kept
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.stages import stage_names
from rtl.emit import Emission, emit
from sim import tools
from sim.silicon.liberty import Cell, Library
from sim.silicon.synth import cmos_script
from sim.simulators.compiled import BUILD

ZERO, ONE, OPEN = 0, 1, 2  #: nets: constants, and what no net is connected to
FIRST_NET = 3
PERIOD_PS = 2000  #: that ABC buffers and sizes for
_CONSTANTS = {"0": ZERO, "1": ONE, "x": ZERO, "z": ZERO}


@dataclass(frozen=True)
class Gate:
    """A standard cell: its kind, the path of its module, and the net of each pin."""

    name: str
    path: str
    cell: Cell
    nets: Mapping[str, int]

    @property
    def is_flip_flop(self) -> bool:
        """Whether it holds a state."""
        return bool(self.cell.state)


@dataclass(frozen=True)
class Memory:
    """A memory of the emitted Verilog: words, bits of one, whether it has two ports, its nets."""

    path: str
    depth: int
    width: int
    two_ports: bool
    nets: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Netlist:
    """A mapped chip."""

    config: ChipConfig
    top: str
    library: Library
    gates: tuple[Gate, ...]
    memories: tuple[Memory, ...]
    ports: Mapping[str, tuple[int, ...]]
    outputs: frozenset[int]  #: nets that leave the chip
    nets: int
    verilog: str  #: of the netlist, for other tools
    sha256: str

    @cached_property
    def clock(self) -> int:
        """The net of the clock."""
        return self.ports["clk"][0]

    @cached_property
    def readers(self) -> Mapping[int, list[tuple[Gate, str]]]:
        """Net -> gates that read it, and by which pin."""
        found: dict[int, list[tuple[Gate, str]]] = defaultdict(list)
        for gate in self.gates:
            for pin in gate.cell.inputs:
                found[gate.nets[pin.name]].append((gate, pin.name))
        return found

    @cached_property
    def order(self) -> tuple[tuple[Gate, int], ...]:
        """Gates without a state and their depth, each behind all that it reads."""
        drivers = {
            gate.nets[pin.name]: gate
            for gate in self.gates
            if not gate.is_flip_flop
            for pin in gate.cell.outputs
        }
        depths: dict[str, int] = {}
        for start in drivers.values():
            _deepen(start, drivers, depths)
        loose = (gate for gate in self.gates if not gate.is_flip_flop)
        return tuple(sorted(((g, depths[g.name]) for g in loose), key=lambda pair: pair[1]))

    def stage(self, path: str) -> str:
        """The stage that a path lies in, "rest" for what lies outside all."""
        parts = path.split(".")
        return next((stage for stage in stage_names(self.config) if stage in parts), "rest")


def _deepen(start: Gate, drivers: Mapping[int, Gate], depths: dict[str, int]) -> None:
    """Note the depth of a gate and of all before it. Raises `Refusal` at a loop."""
    waiting: list[tuple[Gate, bool]] = [(start, False)]
    open_gates: set[str] = set()
    while waiting:
        gate, left = waiting.pop()
        if gate.name in depths:
            continue
        before = [
            drivers[gate.nets[pin.name]]
            for pin in gate.cell.inputs
            if gate.nets[pin.name] in drivers
        ]
        if left:
            depths[gate.name] = 1 + max((depths[each.name] for each in before), default=0)
            continue
        if gate.name in open_gates:
            raise Refusal(f"the netlist loops through {gate.name}, a {gate.cell.name}")
        open_gates.add(gate.name)
        waiting.append((gate, True))
        waiting.extend((each, False) for each in before if each.name not in depths)


def mapped(config: ChipConfig, library: Library) -> Netlist:
    """Map a chip to the cells of a library, or find it mapped.

    Raises `Refusal` where a tool is missing or fails.
    """
    emission = emit(dataclasses.replace(config, counters=False))
    commands = "; ".join(_commands(emission, library))
    about = (emission.verilog, commands, tools.require("yosys").version, library.sha256)
    key = hashlib.sha256("\0".join(about).encode()).hexdigest()

    def make(folder: Path) -> Path:
        (folder / "chip.v").write_text(emission.verilog)
        (folder / "cells.lib").write_bytes(library.path.read_bytes())
        driver = _flip_flop(library)
        (folder / "edges").write_text(f"set_driving_cell {driver}\nset_load 5.0 [all_outputs]\n")
        tools.call(tools.require("yosys"), ["-q", "-p", commands, "-o", "netlist.v"], folder)
        for name in ("netlist.json", "netlist.v"):
            if not (folder / name).exists():
                raise Refusal(f"Yosys stopped without a word before it wrote {name}; run it again")
        both = {
            "verilog": (folder / "netlist.v").read_text(),
            "modules": json.loads((folder / "netlist.json").read_text())["modules"],
        }
        (folder / "both.json").write_text(json.dumps(both))
        return folder / "both.json"

    path = kept(BUILD / "mapped" / f"{config.name}-{key[:16]}.json", make)
    return _netlist(config, emission.top, library, json.loads(content_of(path)))


def _flip_flop(library: Library) -> str:
    """The name of a plain flip-flop, as what drives the chip's inputs."""
    plain = (name for name in library.names if library.cell(name).state.get("next_state") == "D")
    return min(plain, key=lambda name: library.cell(name).area)


def _commands(emission: Emission, library: Library) -> list[str]:
    sized = f"abc -liberty cells.lib -constr edges -D {PERIOD_PS}"
    script = cmos_script(emission, monitors=False).replace("abc -liberty cells.lib", sized)
    return [
        "read_verilog chip.v",
        script,
        "flatten",
        "splitnets",
        "opt_clean -purge",
        "write_json netlist.json",
        "attrmap -remove src -remove hdlname",
    ]


def _netlist(config: ChipConfig, top: str, library: Library, both: dict[str, Any]) -> Netlist:
    module = both["modules"][top]
    numbers: dict[int, int] = {}

    def net(bit: int | str) -> int:
        if isinstance(bit, str):
            return _CONSTANTS[bit]
        return numbers.setdefault(bit, FIRST_NET + len(numbers))

    ports = {name: tuple(map(net, port["bits"])) for name, port in module["ports"].items()}
    leaving = {
        number
        for name, port in module["ports"].items()
        if port["direction"] == "output"
        for number in ports[name]
    }
    gates, memories = [], []
    for name, found in module["cells"].items():
        wires = {pin: tuple(map(net, bits)) for pin, bits in found["connections"].items()}
        if re.search(r"_memory_1r", found["type"]):
            memories.append(_memory(name, found, wires))
        else:
            gates.append(_gate(name, library.cell(found["type"]), wires))
    text = both["verilog"]
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Netlist(
        config, top, library, tuple(gates), tuple(memories), ports, frozenset(leaving),
        FIRST_NET + len(numbers), text, digest,
    )  # fmt: skip


def _gate(name: str, cell: Cell, wires: Mapping[str, tuple[int, ...]]) -> Gate:
    parts = name.removeprefix("$flatten\\").split(".")
    path = ".".join(part.lstrip("\\") for part in parts if not part.lstrip("\\").startswith("$"))
    nets = {
        pin.name: wires.get(pin.name, (OPEN if pin.output else ZERO,))[0]
        for pin in cell.pins.values()
    }
    return Gate(name, path, cell, nets)


def _memory(name: str, found: Any, wires: Mapping[str, tuple[int, ...]]) -> Memory:
    depth, width = (int(found["parameters"][each], 2) for each in ("DEPTH", "WIDTH"))
    two_ports = found["type"].endswith("1r1w")
    return Memory(name, depth, width, two_ports, wires)


def shapes(config: ChipConfig) -> set[tuple[int, int, bool]]:
    """Words, bits of one, and whether it has two ports, of every memory of a chip's Verilog."""
    emission = emit(dataclasses.replace(config, counters=False))
    pattern = r"_memory_(1rw|1r1w) #\(\s*\.ADDRESS_BITS\(\S+\),\s*\.DEPTH\(\d+'d(\d+)\),"
    pattern += r"\s*\.WIDTH\(\d+'d(\d+)\)"
    found = re.findall(pattern, emission.verilog)
    return {(int(depth), int(width), ports == "1r1w") for ports, depth, width in found}


def by_stage(netlist: Netlist) -> Iterator[tuple[str, list[int]]]:
    """Each stage with the numbers of its gates."""
    found: dict[str, list[int]] = {name: [] for name in (*stage_names(netlist.config), "rest")}
    for number, gate in enumerate(netlist.gates):
        found[netlist.stage(gate.path)].append(number)
    yield from found.items()

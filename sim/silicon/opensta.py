"""OpenSTA as an outside check of our power: the same netlist, library and uniform activity.

Source: Debian's opensta of 11 November 2019. Its conventions, found with circuits of one gate, are
not ours: for each toggle it adds a table's energies of both edges up, where a toggle is one of
them; shares of causes do not add up to one, each being the chance of what stands beside the cause
in the function; a flip-flop's outputs are independent. Later versions mended the first two. `Kind`
prices as it does, so that all else can be held against it: tables, slews, loads, leakage.
"""

import itertools
import re
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.contract.refusal import Refusal
from sim import tools
from sim.silicon import joules
from sim.silicon.edges import Edges
from sim.silicon.liberty import Function, Pin, Power
from sim.silicon.mapped import Netlist

Values = NDArray[np.float64]
GROUPS = ("Sequential", "Combinational")
PARTS = ("internal", "switching", "leakage")


class Kind(joules.Kind):
    """Gates of one kind, priced by the conventions of that OpenSTA."""

    def cause(self, pin: Pin) -> NDArray[np.int64]:
        return self.nets[pin.name]

    def output(self, pin: Pin) -> Values:
        total = np.zeros(len(self.nets[pin.name]))
        for power in pin.powers:
            total += self._weight(power, pin) * sum(self.energies(power, pin))
        return total

    def _weight(self, power: Power, pin: Pin) -> Values | float:
        if power.when is not None:
            return power.when.chance(self.duty)
        if pin.function is None or power.related not in pin.function.pins:
            return 1.0
        return self._beside(pin.function, power.related)

    def _beside(self, function: Function, name: str | None) -> Values | float:
        """Chance that what stands beside a pin lets it through."""
        if function.operator == "not":
            return self._beside(function.parts[0], name)
        if function.operator not in ("and", "or"):
            return 1.0
        first, second = function.parts
        chance = (second if name in first.pins else first).chance(self.duty)
        return chance if function.operator == "and" else 1 - chance

    def input(self, pin: Pin) -> Values:
        total = np.zeros(len(self.nets[pin.name]))
        for power in pin.powers:
            chance = 0.5 if power.when is None else power.when.chance(self.duty)
            total += chance * sum(self.energies(power, pin))
        return total


def ours(edges: Edges, activity: float, period_ns: float) -> dict[str, dict[str, float]]:
    """Our watts by OpenSTA's groups and parts, every net toggling `activity` times a cycle."""
    netlist = edges.netlist
    toggles = np.full(netlist.nets, activity)
    priced = joules.prices(edges, toggles, np.full(netlist.nets, 0.5), 1.0, Kind)
    flip_flops = np.array([gate.is_flip_flop for gate in netlist.gates])
    found = {}
    for group, chosen in zip(GROUPS, (flip_flops, ~flip_flops), strict=True):
        gates = np.flatnonzero(chosen)
        energies = priced.energies(toggles, gates)
        internal = energies["internal"] + energies["pins"] + priced.clock_fj[gates].sum()
        found[group] = {
            "internal": float(internal) * 1e-6 / period_ns,
            "switching": float(energies["switching"]) * 1e-6 / period_ns,
            "leakage": float(priced.leakage_nw[gates].sum()) * 1e-9,
        }
    return found


def theirs(netlist: Netlist, activity: float, period_ns: float) -> dict[str, dict[str, float]]:
    """The same by OpenSTA. Raises `Refusal` where it is missing or fails."""
    script = [
        "read_liberty cells.lib",
        "read_verilog netlist.v",
        f"link_design {netlist.top}",
        f"create_clock -period {period_ns} clk",
        "set_input_delay 0 -clock clk [all_inputs]",  # what no clock reaches has no power
        f"set_power_activity -global -activity {activity} -duty 0.5",
        "report_power -digits 6",
        "exit",
    ]
    with tempfile.TemporaryDirectory(prefix="opensta-") as place:
        folder = Path(place)
        (folder / "cells.lib").write_bytes(netlist.library.path.read_bytes())
        (folder / "netlist.v").write_text(_plain(netlist))
        (folder / "power.tcl").write_text("\n".join(script) + "\n")
        arguments = ["-no_splash", "-exit", "power.tcl"]
        printed = tools.call(tools.require("opensta"), arguments, folder)
    found = {}
    for group in GROUPS:
        row = re.search(rf"^{group}\s+(\S+)\s+(\S+)\s+(\S+)", printed, re.M)
        if not row:
            raise Refusal(f"OpenSTA reports no power of {group.lower()} cells: {printed[:200]}")
        found[group] = dict(zip(PARTS, map(float, row.groups()), strict=True))
    return found


def _plain(netlist: Netlist) -> str:
    """The netlist for a reader without parameters and attributes, each memory a box of its own."""
    number = itertools.count()
    memory = rf"^  ({netlist.top}_memory_\w+) #\(.*?\n  \) "
    text = re.sub(r"\(\*.*?\*\)", "", netlist.verilog)
    return re.sub(memory, lambda m: f"  {m[1]}_{next(number)} ", text, flags=re.M | re.S)

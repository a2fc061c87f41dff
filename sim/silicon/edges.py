"""Loads, slews and arrivals in a mapped netlist, by the library's tables: its clock follows.

Each net carries the load of its readers at either edge, and of its wire by the library's wire load
where that is asked for. Slews and arrivals go from flip-flops and inputs through the gates in order
of depth, the worst of all ways at every gate (L. W. Nagel's successors call it static timing).
The clock is ideal: it arrives everywhere at once, without a slew.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sim.silicon.liberty import EDGES, Arc, Pin
from sim.silicon.mapped import Gate, Netlist

Values = NDArray[np.float64]
OPPOSITE = {"rise": "fall", "fall": "rise"}


@dataclass(frozen=True)
class Edges:
    """Of every net and edge: load in fF; slew and arrival in ns, not a number where none comes."""

    netlist: Netlist
    wires: bool
    loads: dict[str, Values]
    slews: dict[str, Values]
    arrivals: dict[str, Values]

    @cached_property
    def load(self) -> Values:
        """Load of every net in fF, the greater of both edges."""
        return np.maximum(self.loads["rise"], self.loads["fall"])

    @cached_property
    def period_ns(self) -> float:
        """The shortest period: the latest arrival at a flip-flop, with its setup time."""
        latest = 0.0
        for gate in self.netlist.gates:
            if gate.is_flip_flop:
                data = gate.cell.pins[gate.cell.state["next_state"]]
                net = gate.nets[data.name]
                for edge in EDGES:
                    setup = max((t.at(0.0, _known(self.slews[edge][net])) for t in data.setup),
                                default=0.0)  # fmt: skip
                    latest = max(latest, _known(self.arrivals[edge][net]) + setup)
        return latest

    @cached_property
    def overloaded(self) -> int:
        """Gates that drive more than their library allows."""
        return sum(
            1
            for gate in self.netlist.gates
            for pin in gate.cell.outputs
            if pin.most_load and self.load[gate.nets[pin.name]] > pin.most_load
        )


def edges(netlist: Netlist, wires: bool = True, memory_pin_ff: float = 0.0) -> Edges:
    """Walk a netlist. `memory_pin_ff` is the load of every input of a memory."""
    loads = _loads(netlist, wires, memory_pin_ff)
    slews = {edge: np.full(netlist.nets, np.nan) for edge in EDGES}
    arrivals = {edge: np.full(netlist.nets, np.nan) for edge in EDGES}
    driven = {net for memory in netlist.memories for net in memory.nets.get("read_data", ())}
    inputs = {net for nets in netlist.ports.values() for net in nets} - netlist.outputs
    for net in driven | inputs:
        for edge in EDGES:
            slews[edge][net] = arrivals[edge][net] = 0.0
    found = Edges(netlist, wires, loads, slews, arrivals)
    for gate in netlist.gates:
        if gate.is_flip_flop:
            _launch(found, gate)
    for gate, _ in netlist.order:
        _pass(found, gate)
    return found


def _loads(netlist: Netlist, wires: bool, memory_pin_ff: float) -> dict[str, Values]:
    loads = {edge: np.zeros(netlist.nets) for edge in EDGES}
    readers = np.zeros(netlist.nets, int)
    for gate in netlist.gates:
        for pin in gate.cell.inputs:
            net = gate.nets[pin.name]
            readers[net] += 1
            for edge in EDGES:
                loads[edge][net] += pin.loads[edge]
    for memory in netlist.memories:
        for name, nets in memory.nets.items():
            for net in nets if name != "read_data" else ():
                readers[net] += 1
                for edge in EDGES:
                    loads[edge][net] += memory_pin_ff
    for net in netlist.outputs:
        readers[net] += 1
    if wires:
        lengths = {n: netlist.library.wire_load_ff(n) for n in set(readers.tolist())}
        wire = np.array([lengths[n] for n in readers.tolist()])
        for edge in EDGES:
            loads[edge] += wire
    return loads


def _launch(found: Edges, gate: Gate) -> None:
    """A flip-flop's outputs leave with the clock."""
    for pin in gate.cell.outputs:
        for arc in pin.arcs:
            if arc.related == gate.cell.state["clocked_on"]:
                for edge in EDGES:
                    _arrive(found, gate, pin, arc, edge, 0.0, 0.0)


def _pass(found: Edges, gate: Gate) -> None:
    for pin in gate.cell.outputs:
        for arc in pin.arcs:
            net = gate.nets[arc.related]
            for edge in EDGES:
                sources = {
                    "positive_unate": (edge,),
                    "negative_unate": (OPPOSITE[edge],),
                }.get(arc.sense, EDGES)
                for source in sources:
                    slew, arrival = found.slews[source][net], found.arrivals[source][net]
                    if slew == slew:  # something arrives
                        _arrive(found, gate, pin, arc, edge, slew, arrival)


def _arrive(
    found: Edges, gate: Gate, pin: Pin, arc: Arc, edge: str, slew: float, arrival: float
) -> None:
    """The worst of all ways stays."""
    net = gate.nets[pin.name]
    load = found.loads[edge][net]
    out = arc.slews[edge].at(slew, load)
    at = arrival + arc.delays[edge].at(slew, load)
    slews, arrivals = found.slews[edge], found.arrivals[edge]
    slews[net] = out if slews[net] != slews[net] else max(slews[net], out)
    arrivals[net] = at if arrivals[net] != arrivals[net] else max(arrivals[net], at)


def _known(value: float) -> float:
    return 0.0 if value != value else float(value)

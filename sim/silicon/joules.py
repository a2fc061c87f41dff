"""Energy of a mapped netlist by the tables of its library.

A toggle of a net charges or discharges its load (`switching`), and costs what the library tables
for the gate that drives it (`internal`), where several pins may have caused it each by its share of
their toggles. A toggle that ends at a gate's input costs too (`pins`); the clock's does so twice a
cycle in every flip-flop (`clock`). What flows at rest is power (`leakage`).

Conditions of the tables are met with the chance that the measured duties give, pins taken as
independent of each other, but a flip-flop's outputs as what they are: each other's inverse, and its
data unlike its output as often as the output toggles. A table's energies of a rise and of a fall
are met equally often.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.contract.refusal import Refusal
from sim.silicon.edges import OPPOSITE, Edges
from sim.silicon.liberty import Cell, Function, Pin, Power
from sim.silicon.mapped import OPEN, Gate

Values = NDArray[np.float64]

Part = tuple[NDArray[np.int64], NDArray[np.int64], Values]
"""Gates, nets, and prices in fJ a toggle of the net."""

_NONE = np.zeros(0, np.int64)

MOST_ACTIVITY = 1.0  #: toggles of a net a cycle, unless gates have delays


@dataclass(frozen=True)
class Prices:
    """Of each gate: fJ a toggle of its outputs (`switching`, `internal`) and of its inputs.

    Energies are sums over pins of a price times the toggles of the pin's net: `nets` holds for each
    part the gate, the net and the price in fJ. `clock_fj` is a cycle's, by gate; `leakage_nw` too.
    """

    parts: Mapping[str, Part]
    clock_fj: Values
    leakage_nw: Values

    def energies(
        self, toggles: NDArray[np.int64] | Values, gates: NDArray[np.intp] | None = None
    ) -> dict[str, Values]:
        """Energy in fJ of so many toggles (nets, ...), by part: of all gates, or of some."""
        found = {}
        for name, (owners, nets, prices) in self.parts.items():
            chosen = slice(None) if gates is None else np.isin(owners, gates)
            found[name] = prices[chosen] @ toggles[nets[chosen]].astype(float)
        return found


def prices(
    edges: Edges,
    toggles: Values,
    duty: Values,
    cycles: float,
    kind_of: "type[Kind] | None" = None,
) -> Prices:
    """What each toggle costs.

    `toggles` (nets,) in `cycles` cycles, for the shares of causes; `duty` (nets,). `kind_of`: how
    gates of a kind are priced, where not as here.
    """
    netlist, rate = edges.netlist, toggles / cycles
    kinds: dict[str, list[int]] = defaultdict(list)
    for number, gate in enumerate(netlist.gates):
        kinds[gate.cell.name].append(number)
    parts: dict[str, list[Part]] = {"switching": [], "internal": [], "pins": []}
    clock, leakage = np.zeros(len(netlist.gates)), np.zeros(len(netlist.gates))
    for numbers in kinds.values():
        kind = (kind_of or Kind)(edges, [netlist.gates[n] for n in numbers], rate, duty)
        owners = np.array(numbers)
        leakage[owners] = kind.leakage()
        for pin in kind.cell.pins.values():
            nets = kind.nets[pin.name]
            if pin.output:
                charge = 0.5 * kind.load(pin) * netlist.library.volts**2
                parts["switching"].append((owners, nets, charge))
                parts["internal"].append((owners, kind.cause(pin), kind.output(pin)))
            elif pin.clock:
                clock[owners] += 2 * kind.input(pin)
            elif pin.powers:
                parts["pins"].append((owners, nets, kind.input(pin)))
    return Prices({name: _joined(found) for name, found in parts.items()}, clock, leakage)


def _joined(found: list[Part]) -> Part:
    owners, nets, charges = zip(*found, strict=True) if found else ([_NONE], [_NONE], [_NONE])
    return np.concatenate(owners), np.concatenate(nets), np.concatenate(charges)


class Kind:
    """All gates of one kind, side by side."""

    def __init__(self, edges: Edges, gates: list[Gate], rate: Values, duty: Values) -> None:
        self.cell: Cell = gates[0].cell
        self.nets = {name: np.array([g.nets[name] for g in gates]) for name in self.cell.pins}
        self.edges = edges
        self.rate = {name: rate[nets] for name, nets in self.nets.items()}
        self.duty = {name: duty[nets] for name, nets in self.nets.items()}
        self.state, self.inverse = self._states()
        for pin in self.cell.inputs:
            if pin.clock:
                self.duty[pin.name] = np.full(len(gates), 0.5)
                self.rate[pin.name] = np.full(len(gates), 2.0)

    def _states(self) -> tuple[str, str]:
        """The pins that show a flip-flop's state and its inverse, empty where there are none."""
        names = {p.function.pin: p.name for p in self.cell.outputs if p.function}
        told = self.cell.state
        return names.get(told.get("state", ""), ""), names.get(told.get("inverse", ""), "")

    def load(self, pin: Pin) -> Values:
        """fF at an output; none where it is open."""
        nets = self.nets[pin.name]
        return np.where(nets == OPEN, 0.0, self.edges.load[nets])

    def cause(self, pin: Pin) -> NDArray[np.int64]:
        """The nets whose toggles are an output's: its twin's where a flip-flop's is open."""
        nets = self.nets[pin.name]
        twin = {self.state: self.inverse, self.inverse: self.state}.get(pin.name, "")
        return np.where(nets == OPEN, self.nets[twin], nets) if twin else nets

    def output(self, pin: Pin) -> Values:
        """fJ a toggle of an output: each cause by its share."""
        energies = [self.mean(power, pin) for power in pin.powers]
        if not energies:
            return np.zeros(len(self.nets[pin.name]))
        shares = np.array([np.broadcast_to(self._share(p, pin), energies[0].shape)
                           for p in pin.powers])  # fmt: skip
        total = shares.sum(axis=0)
        shares = np.where(total > 0, shares / np.where(total > 0, total, 1), 1 / len(shares))
        return np.sum(shares * np.array(energies), axis=0)

    def _share(self, power: Power, pin: Pin) -> Values | float:
        """How often a pin, under a condition, is what makes an output toggle."""
        function = pin.function
        if power.related is None or function is None or power.related not in function.pins:
            return 1.0 if power.when is None else self.chance(power.when)
        if power.when is not None and power.related not in power.when.pins:
            return self.rate[power.related] * self.chance(power.when)
        one = function.chance(self.duty | {power.related: np.float64(1.0)})
        zero = function.chance(self.duty | {power.related: np.float64(0.0)})
        return self.rate[power.related] * (one * (1 - zero) + zero * (1 - one))

    def mean(self, power: Power, pin: Pin) -> Values:
        """fJ a toggle, the mean of both edges."""
        return np.mean(self.energies(power, pin), axis=0)

    def energies(self, power: Power, pin: Pin) -> list[Values]:
        """fJ of each edge of a pin, at the slew of what moved it."""
        cause = self.cell.pins[power.related] if power.related else pin
        unate = next((a.sense for a in pin.arcs if a.related == power.related), "positive_unate")
        load = self.load(pin) if pin.output else np.zeros(len(self.nets[pin.name]))
        found = []
        for edge, table in power.edges.items():
            source = OPPOSITE[edge] if unate == "negative_unate" else edge
            slews = np.zeros(len(load))
            if not cause.clock and not cause.output:
                slews = np.nan_to_num(self.edges.slews[source][self.nets[cause.name]])
            found.append(table.over(slews, load))
        return found

    def input(self, pin: Pin) -> Values:
        """fJ a toggle of an input, mean of both edges, by the chance of each condition."""
        total = np.zeros(len(self.nets[pin.name]))
        for power in pin.powers:
            chance: Values | float = 1.0
            if power.when is not None:
                chance = self._clocked(power.when) if pin.clock else self.chance(power.when)
            total += chance * self.mean(power, pin)
        return total

    def chance(self, when: Function) -> Values | float:
        """Chance of a condition, in which a flip-flop's outputs are each other's inverse."""
        if not self.inverse or self.inverse not in when.pins:
            return when.chance(self.duty)
        return sum(when.chance(self.duty | {self.inverse: np.float64(n)}) for n in (0.0, 1.0))

    def _clocked(self, when: Function) -> Values | float:
        """Chance of a condition at the clock: data differs from the state where that toggles."""
        if not self.state:
            return self.chance(when)
        data = self.cell.state["next_state"]
        shown = np.where(self.nets[self.state] == OPEN, 1 - self.duty[self.inverse or self.state],
                         self.duty[self.state])  # fmt: skip
        rate = np.minimum(np.maximum(self.rate[self.state], self.rate[self.inverse or self.state]),
                          1.0)  # fmt: skip
        joint = {
            (1.0, 0.0): rate / 2,
            (0.0, 1.0): rate / 2,
            (1.0, 1.0): np.maximum(shown - rate / 2, 0),
            (0.0, 0.0): np.maximum(1 - shown - rate / 2, 0),
        }
        total = np.zeros(len(rate))
        for (coming, now), chance in joint.items():
            known = {data: np.float64(coming), self.state: np.float64(now)}
            if self.inverse:
                known[self.inverse] = np.float64(1 - now)
            total += chance * when.chance(self.duty | known)
        return total

    def leakage(self) -> Values:
        """nW of each gate."""
        count = len(next(iter(self.nets.values())))
        conditions = [(when, value) for when, value in self.cell.leakage if when is not None]
        if not conditions:
            return np.full(count, sum(value for _, value in self.cell.leakage))
        total = np.zeros(count)
        for when, value in conditions:
            total += self.chance(when) * value
        return total


def check(toggles: NDArray[np.int64], cycles: NDArray[np.int64]) -> None:
    """Refuse an activity that no zero-delay run has: more than a toggle of a net a cycle."""
    worst = float((toggles / cycles).max())
    if worst > MOST_ACTIVITY:
        raise Refusal(f"a net toggles {worst:.2f} times a cycle, which no net does: miscounted")

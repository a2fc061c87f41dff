"""A library of standard cells, from its liberty file: areas, pins, and tables of time and energy.

Format: Synopsys, Liberty User Guide and Reference Manual, 2017. What the kit needs is read: cells,
pins, functions, `timing`, `internal_power`, `leakage_power`; a cell when it is asked for.
Units are those of this module, whatever the file's: ns, fF, fJ, nW, V.
"""

import bisect
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.contract.refusal import Refusal

Values = NDArray[np.float64]

_TOKEN = re.compile(r'"([^"]*)"|([(){}:;])|([^\s(){}:;,"\\]+)')
_EXPRESSION = re.compile(r"[A-Za-z_]\w*|[01]|[!'&*|+^()]")
_SCALES = {"f": 1e-15, "p": 1e-12, "n": 1e-9, "u": 1e-6, "m": 1e-3, "k": 1e3, "": 1.0}
EDGES = ("rise", "fall")


# Functions of pins


@dataclass(frozen=True)
class Function:
    """A Boolean function of pins: an operator (`pin`, `not`, `and`, `or`, `xor`, `one`, `zero`)."""

    operator: str
    parts: tuple["Function", ...] = ()
    pin: str = ""

    @property
    def pins(self) -> frozenset[str]:
        """Names of the pins in it."""
        own = frozenset({self.pin} if self.pin else ())
        return own.union(*(part.pins for part in self.parts))

    def chance(self, duties: Mapping[str, Any]) -> Any:
        """Chance of being one, where each pin is one with a chance of its own, independently."""
        if self.operator == "pin":
            return duties[self.pin]
        if not self.parts:
            return float(self.operator == "one")
        first, *others = (part.chance(duties) for part in self.parts)
        if self.operator == "not":
            return 1 - first
        (second,) = others
        if self.operator == "and":
            return first * second
        if self.operator == "or":
            return 1 - (1 - first) * (1 - second)
        return first * (1 - second) + second * (1 - first)

    def written(self, names: Mapping[str, str]) -> str:
        """The function as an expression of C, `names` for the pins."""
        if self.operator == "pin":
            return names[self.pin]
        if not self.parts:
            return "~0ull" if self.operator == "one" else "0ull"
        first, *others = (part.written(names) for part in self.parts)
        if self.operator == "not":
            return f"~{first}"
        sign = {"and": "&", "or": "|", "xor": "^"}[self.operator]
        return f"({first} {sign} {others[0]})"


def function(text: str) -> Function:
    """Read an expression. Raises `Refusal` where it is none."""
    tokens = _EXPRESSION.findall(text)
    found, at = _alternatives(tokens, 0)
    if at != len(tokens) or not tokens:
        raise Refusal(f"{text!r} is no function of a liberty file")
    return found


def _alternatives(tokens: list[str], at: int) -> tuple[Function, int]:
    left, at = _differences(tokens, at)
    while at < len(tokens) and tokens[at] in "|+":
        right, at = _differences(tokens, at + 1)
        left = Function("or", (left, right))
    return left, at


def _differences(tokens: list[str], at: int) -> tuple[Function, int]:
    left, at = _products(tokens, at)
    while at < len(tokens) and tokens[at] == "^":
        right, at = _products(tokens, at + 1)
        left = Function("xor", (left, right))
    return left, at


def _products(tokens: list[str], at: int) -> tuple[Function, int]:
    """Factors side by side, with or without a sign between them."""
    left, at = _factor(tokens, at)
    while at < len(tokens) and tokens[at] not in "|+^)":
        right, at = _factor(tokens, at + (tokens[at] in "&*"))
        left = Function("and", (left, right))
    return left, at


def _factor(tokens: list[str], at: int) -> tuple[Function, int]:
    if at >= len(tokens):
        raise Refusal("a function of the liberty file ends too soon")
    token = tokens[at]
    if token == "!":
        inner, at = _factor(tokens, at + 1)
        return Function("not", (inner,)), at
    if token == "(":
        found, at = _alternatives(tokens, at + 1)
    elif token in "01":
        found = Function("one" if token == "1" else "zero")
    else:
        found = Function("pin", pin=token)
    at += 1
    while at < len(tokens) and tokens[at] == "'":
        found, at = Function("not", (found,)), at + 1
    return found, at


# Tables, pins, cells


@dataclass(frozen=True)
class Table:
    """A figure over input slew in ns and load in fF; either may be missing."""

    slews: tuple[float, ...]
    loads: tuple[float, ...]
    values: Values  #: (slews, loads)

    def at(self, slew: float, load: float) -> float:
        """The figure, on a plane through the four nearest points, also beyond the last."""
        row, high = _between(self.slews, slew)
        column, right = _between(self.loads, load)
        rows = self._rows[row : row + 2]
        low, top = (
            each[column] + (each[column + 1] - each[column]) * right if right else each[column]
            for each in (rows[0], rows[-1])
        )
        return low + (top - low) * high

    @cached_property
    def _rows(self) -> list[list[float]]:
        found: list[list[float]] = self.values.tolist()
        return found

    def over(self, slews: Values, loads: Values) -> Values:
        """The same for many at once."""
        rows, high = _between_all(self.slews, slews)
        columns, right = _between_all(self.loads, loads)
        below, beyond = _next(rows, self.slews), _next(columns, self.loads)
        low = self.values[rows, columns] * (1 - right) + self.values[rows, beyond] * right
        top = self.values[below, columns] * (1 - right) + self.values[below, beyond] * right
        return low * (1 - high) + top * high


def _between(points: tuple[float, ...], at: float) -> tuple[int, float]:
    """The point below, of which there is one above, and how far on the way to it."""
    if len(points) < 2:
        return 0, 0.0
    below = min(max(bisect.bisect_right(points, at) - 1, 0), len(points) - 2)
    return below, (at - points[below]) / (points[below + 1] - points[below])


def _between_all(points: tuple[float, ...], at: Values) -> tuple[NDArray[np.intp], Values]:
    if len(points) < 2:
        return np.zeros(at.shape, np.intp), np.zeros(at.shape)
    axis = np.array(points)
    below = np.clip(np.searchsorted(axis, at, "right") - 1, 0, len(points) - 2)
    return below, (at - axis[below]) / (axis[below + 1] - axis[below])


def _next(below: NDArray[np.intp], points: tuple[float, ...]) -> NDArray[np.intp]:
    return np.minimum(below + 1, max(len(points) - 1, 0))


@dataclass(frozen=True)
class Power:
    """Energies in fJ of a toggle of a pin: of each edge; which pin it came from, and when."""

    related: str | None
    when: Function | None
    edges: Mapping[str, Table]


@dataclass(frozen=True)
class Arc:
    """Delay and slew in ns of an output's edges, from a pin, and the sense of the way."""

    related: str
    sense: str
    delays: Mapping[str, Table]
    slews: Mapping[str, Table]


@dataclass(frozen=True)
class Pin:
    """A pin: what it loads its net with in fF at each edge, or what drives it."""

    name: str
    output: bool
    clock: bool
    loads: Mapping[str, float]
    function: Function | None
    powers: tuple[Power, ...]
    arcs: tuple[Arc, ...]
    setup: tuple[Table, ...]  #: of a flip-flop's data, over its slew and the clock's
    most_load: float | None


@dataclass(frozen=True)
class Cell:
    """A cell: area in um2, leakage in nW by condition, and its pins."""

    name: str
    area: float
    leakage: tuple[tuple[Function | None, float], ...]
    pins: Mapping[str, Pin]
    state: Mapping[str, str]  #: of a flip-flop: `next_state`, `clocked_on`, and names of its states

    @property
    def outputs(self) -> tuple[Pin, ...]:
        """Pins that drive."""
        return tuple(pin for pin in self.pins.values() if pin.output)

    @property
    def inputs(self) -> tuple[Pin, ...]:
        """Pins that are driven."""
        return tuple(pin for pin in self.pins.values() if not pin.output)


# The file


@dataclass
class Group:
    """`kind(names) { attributes, lists, groups }`."""

    kind: str
    names: list[str]
    attributes: dict[str, str] = field(default_factory=dict)
    lists: dict[str, list[str]] = field(default_factory=dict)
    groups: list["Group"] = field(default_factory=list)

    def of(self, kind: str) -> Iterator["Group"]:
        """The groups of one kind."""
        return (group for group in self.groups if group.kind == kind)


class Library:
    """The cells of one liberty file. Raises `Refusal` where it cannot be read as one."""

    def __init__(self, path: Path) -> None:
        raw = path.read_bytes()
        self.path = path
        self.sha256 = hashlib.sha256(raw).hexdigest()
        self._text = re.sub(r"/\*.*?\*/|//[^\n]*", " ", raw.decode("latin-1"), flags=re.S)
        places = list(re.finditer(r"^\s*cell\s*\(\s*\"?(\w+)\"?\s*\)", self._text, re.M))
        if not places:
            raise Refusal(f"{path} names no cell; it is no liberty file")
        self._places = {found[1]: found.start() for found in places}
        self._cells: dict[str, Cell] = {}
        self._head = _group(self._text[: places[0].start()] + "}", 0)
        self._templates = {
            group.names[0]: [
                group.attributes[name] for name in ("variable_1", "variable_2")
                if name in group.attributes
            ]
            for kind in ("lu_table_template", "power_lut_template")
            for group in self._head.of(kind)
        }  # fmt: skip
        self._axes = {
            group.names[0]: group.lists
            for kind in ("lu_table_template", "power_lut_template")
            for group in self._head.of(kind)
        }

    @property
    def names(self) -> tuple[str, ...]:
        """All cells."""
        return tuple(self._places)

    @cached_property
    def volts(self) -> float:
        """The supply at which the tables hold."""
        return float(self._head.attributes["nom_voltage"])

    @cached_property
    def _ns(self) -> float:
        return _unit(self._head.attributes["time_unit"]) / 1e-9

    @cached_property
    def _ff(self) -> float:
        number, unit = self._head.lists["capacitive_load_unit"]
        return float(number) * _unit(unit.lower()) / 1e-15

    @cached_property
    def _nw(self) -> float:
        return _unit(self._head.attributes.get("leakage_power_unit", "1nW")) / 1e-9

    def wire_load_ff(self, readers: int) -> float:
        """Capacitance in fF of a net with so many readers by the default wire load, 0 without."""
        model = self._head.attributes.get("default_wire_load")
        group = next((g for g in self._head.of("wire_load") if g.names == [model]), None)
        if group is None or not readers:
            return 0.0
        lengths = {int(n): float(length) for n, length in _pairs(group.lists["fanout_length"])}
        last = max(lengths)
        if readers in lengths:
            length = lengths[readers]
        elif readers > last:
            length = lengths[last] + (readers - last) * float(group.attributes["slope"])
        else:
            below, above = (
                max(n for n in lengths if n < readers) if min(lengths) < readers else min(lengths),
                min(n for n in lengths if n > readers),
            )
            share = (readers - below) / (above - below)
            length = lengths[below] + share * (lengths[above] - lengths[below])
        return length * float(group.attributes["capacitance"]) * self._ff

    def cell(self, name: str) -> Cell:
        """A cell. Raises `Refusal` where the library has none of that name."""
        if name not in self._places:
            raise Refusal(f"{self.path.name} has no cell {name}")
        if name not in self._cells:
            self._cells[name] = self._cell(_group(self._text, self._places[name]))
        return self._cells[name]

    def _cell(self, group: Group) -> Cell:
        leakage: list[tuple[Function | None, float]] = [
            (_when(each), float(each.attributes["value"]) * self._nw)
            for each in group.of("leakage_power")
        ]
        if not leakage and "cell_leakage_power" in group.attributes:
            leakage = [(None, float(group.attributes["cell_leakage_power"]) * self._nw)]
        state: dict[str, str] = {}
        for flip_flop in group.of("ff"):
            state = dict(flip_flop.attributes)
            state |= dict(zip(("state", "inverse"), flip_flop.names, strict=False))
        pins = {each.names[0]: self._pin(each) for each in group.of("pin")}
        area = float(group.attributes["area"])
        return Cell(group.names[0], area, tuple(leakage), pins, state)

    def _pin(self, group: Group) -> Pin:
        told = group.attributes
        plain = float(told.get("capacitance", "0"))
        loads = {e: float(told.get(f"{e}_capacitance", plain)) * self._ff for e in EDGES}
        timings = list(group.of("timing"))
        arcs = tuple(self._arc(each) for each in timings if self._is_arc(each))
        setup = tuple(
            self._table(table, self._ns, ("related_pin_transition", "constrained_pin_transition"))
            for each in timings
            if each.attributes.get("timing_type", "").startswith("setup")
            for table in each.groups
            if table.kind.endswith("_constraint")
        )
        most = told.get("max_capacitance")
        return Pin(
            name=group.names[0],
            output=told.get("direction") == "output",
            clock=told.get("clock") == "true",
            loads=loads,
            function=function(told["function"]) if "function" in told else None,
            powers=tuple(self._power(each) for each in group.of("internal_power")),
            arcs=arcs,
            setup=setup,
            most_load=float(most) * self._ff if most else None,
        )

    @staticmethod
    def _is_arc(group: Group) -> bool:
        return any(each.kind == "cell_rise" or each.kind == "cell_fall" for each in group.groups)

    def _arc(self, group: Group) -> Arc:
        tables = {each.kind: self._table(each, self._ns) for each in group.groups}
        return Arc(
            group.attributes["related_pin"],
            group.attributes.get("timing_sense", "non_unate"),
            {e: tables[f"cell_{e}"] for e in EDGES if f"cell_{e}" in tables},
            {e: tables[f"{e}_transition"] for e in EDGES if f"{e}_transition" in tables},
        )

    def _power(self, group: Group) -> Power:
        # The unit of energy is that of capacitance times volts squared.
        edges = {
            e: self._table(each, self._ff)
            for e in EDGES
            for each in group.groups
            if each.kind in (f"{e}_power", "power")
        }
        return Power(group.attributes.get("related_pin"), _when(group), edges)

    def _table(self, group: Group, scale: float, slews: tuple[str, ...] = ()) -> Table:
        """A table with its axes in the order of ours; one axis may be that of the slew or load."""
        template = group.names[0] if group.names else "scalar"
        variables = self._templates.get(template, [])
        values = [_numbers(row) for row in group.lists["values"]]
        grid = np.array(values[0] if len(values) == 1 else values) * scale
        axes: dict[str, tuple[float, ...]] = {}
        for number, variable in enumerate(variables, 1):
            told = group.lists.get(f"index_{number}") or self._axes[template][f"index_{number}"]
            load = "capacitance" in variable
            unit = self._ff if load else self._ns
            name = "load" if load or variable == next(iter(slews), "") else "slew"
            axes[name] = tuple(value * unit for value in _numbers(told[0]))
        grid = grid.reshape([len(axis) for axis in axes.values()])
        if list(axes) == ["load", "slew"]:
            grid = grid.T
        shape = [max(1, len(axes.get(name, ()))) for name in ("slew", "load")]
        return Table(axes.get("slew", ()), axes.get("load", ()), grid.reshape(shape))


def _group(text: str, at: int) -> Group:
    """The group that begins there, with all inside it."""
    open_groups: list[Group] = []
    words: list[str] = []
    names: list[str] | None = None  # of a parenthesis that was closed
    inside = colon = False
    for found in _TOKEN.finditer(text, at):
        string, mark, word = found.groups()
        if mark is None:
            token = string if word is None else word
            (names if inside and names is not None else words).append(token)
        elif mark == "(":
            names, inside = [], True
        elif mark == ")":
            inside = False
        elif mark == ":":
            colon = True
        elif mark == "{":
            group = Group(words[-1], names or [])
            if open_groups:
                open_groups[-1].groups.append(group)
            open_groups.append(group)
            words, names, colon = [], None, False
        elif mark == ";":
            _note(open_groups[-1], words, names, colon)
            words, names, colon = [], None, False
        elif mark == "}":
            _note(open_groups[-1], words, names, colon)
            words, names, colon = [], None, False
            group = open_groups.pop()
            if not open_groups:
                return group
    raise Refusal("the liberty file ends within a group")


def _note(group: Group, words: list[str], names: list[str] | None, colon: bool) -> None:
    """An attribute goes into its group; a list of several lines is one list."""
    if colon and len(words) > 1:
        group.attributes[words[0]] = " ".join(words[1:])
    elif names is not None and words:
        group.lists.setdefault(words[0], []).extend(names)


def _when(group: Group) -> Function | None:
    return function(group.attributes["when"]) if "when" in group.attributes else None


def _numbers(text: str) -> list[float]:
    return [float(number) for number in re.split(r"[\s,]+", text.strip()) if number]


def _pairs(values: list[str]) -> Iterator[tuple[str, str]]:
    return zip(values[::2], values[1::2], strict=True)


def _unit(text: str) -> float:
    """'1ns' -> 1e-9, 'pf' -> 1e-12."""
    found = re.fullmatch(r"([\d.]*)\s*([fpnumk]?)[A-Za-z]", text.strip())
    if not found:
        raise Refusal(f"{text!r} is no unit of a liberty file that is known here")
    return float(found[1] or 1) * _SCALES[found[2]]

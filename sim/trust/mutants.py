"""Mutants: a text changed in one operator, or in one bit of a constant.

The idea is mutation analysis: R. DeMillo, R. Lipton and F. Sayward, "Hints on test data selection",
1978. Which mutants must be caught is for `sim.trust.sabotage` to say.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

#: Operators of Verilog and what each becomes: comparisons their opposite.
VERILOG = {"+": "-", "-": "+", "*": "+", "<": ">=", ">": "<=", "==": "!=", "&": "|", "^": "|"}

#: Operators of Python and what each becomes.
PYTHON: dict[type[ast.AST], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.RShift: (">>", "<<"),
    ast.LShift: ("<<", ">>"),
    ast.BitAnd: ("&", "|"),
    ast.BitXor: ("^", "|"),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
}


@dataclass(frozen=True)
class Mutant:
    """A text with one change: its kind, the line before and after, and all of it."""

    kind: str
    place: str  #: the module, or the number of the line
    before: str
    after: str
    text: str


_WIRE = re.compile(
    r"  (?:(?:wire|output|input|reg|signed) )+(?:\[(?P<high>\d+):0\] )?(?P<name>[^\s,;]+)"
)
_ASSIGN = re.compile(r"  assign (?P<target>\S+) = (?P<value>.*);")
_MODULE = re.compile(r"module \\?(?P<name>[\w.]+)")
_CONSTANT = re.compile(r"(?P<bits>\d+)'h(?P<digits>[0-9a-f]+)")


def verilog_mutants(text: str) -> Iterator[Mutant]:
    """Every change of one operator in an assignment, and of the lowest bit of its constants.

    Yosys writes an operator once for each use of its value: what a module assigns several times
    changes everywhere. Left out are changes that change nothing: of values at reset, which the
    first cycles overwrite, of operations with zero, and of sums whose sign does not matter in the
    bits that are kept.
    """
    lines = text.splitlines(keepends=True)
    for (module, value), uses in _assigned(lines).items():
        for kind, other in _values(value, max(bits for _, bits in uses)):
            changed = lines.copy()
            for number, _ in uses:
                changed[number] = lines[number].replace(f"= {value};", f"= {other};")
            first = uses[0][0]
            before, after = lines[first].strip(), changed[first].strip()
            yield Mutant(kind, module, before, after, "".join(changed))


def _assigned(lines: list[str]) -> dict[tuple[str, str], list[tuple[int, int]]]:
    """Module and expression -> lines that assign it, and the bits that each keeps."""
    module = ""
    widths: dict[str, int] = {}
    found: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for number, line in enumerate(lines):
        if begins := _MODULE.match(line):
            module, widths = begins["name"], {}
        elif wire := _WIRE.match(line):
            widths[wire["name"].rstrip(";")] = int(wire["high"] or 0) + 1
        assign = _ASSIGN.match(line)
        if assign and "rst ?" not in line:
            use = number, widths.get(assign["target"], 1)
            found.setdefault((module, assign["value"]), []).append(use)
    return found


def _values(value: str, bits: int) -> Iterator[tuple[str, str]]:
    """Changes of an expression of which `bits` are kept: their kinds, and what it becomes."""
    constants = [int(found["digits"], 16) for found in _CONSTANT.finditer(value)]
    for operator, other in VERILOG.items():
        if value.count(f" {operator} ") != 1 or "?" in value or 0 in constants:
            continue
        # Twice the constant is what a sum changes by when its sign does.
        if operator in "+-" and any(
            2 * constant % (1 << bits) == 0 for constant in (1, *constants)
        ):
            continue
        yield operator, value.replace(f" {operator} ", f" {other} ")
    for constant in _CONSTANT.finditer(value):
        flipped = f"{constant['bits']}'h{int(constant['digits'], 16) ^ 1:x}"
        yield "constant", value[: constant.start()] + flipped + value[constant.end() :]


def python_mutants(text: str) -> Iterator[Mutant]:
    """Every change of one operator in a Python source."""
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def at(line: int, column: int) -> int:
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.BinOp(left=left, op=operator, right=right):
                pass
            case ast.Compare(left=left, ops=[operator], comparators=[right]):
                pass
            case _:
                continue
        if type(operator) not in PYTHON:
            continue
        kind, other = PYTHON[type(operator)]
        begin = at(left.end_lineno or 0, left.end_col_offset or 0)
        end = at(right.lineno, right.col_offset)
        changed = text[:begin] + text[begin:end].replace(kind, other, 1) + text[end:]
        row = (left.end_lineno or 0) - 1 + text[begin:end].partition(kind)[0].count("\n")
        before, after = lines[row].strip(), changed.splitlines()[row].strip()
        yield Mutant(kind, f"line {row + 1}", before, after, changed)

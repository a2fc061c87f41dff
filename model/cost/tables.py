"""Cost tables: what one operation costs, each constant with its source.

A table prices five kinds of operation at any width. How a published figure is carried to other
widths is part of the table:

- addition: in proportion to the bits, in straight lines between published widths;
- multiplication: in proportion to the product of both widths (Horowitz's two figures, 8 x 8 and
  32 x 32 bits, agree with that within 3 %);
- comparison: as addition; a table without a figure prices a subtraction;
- register: in proportion to the bits;
- access to a memory, read or write: in proportion to the bits of the word; for each bit a power of
  the capacity, between published capacities and beyond them. Horowitz's figures double from 8 to
  32 kB, the square root, and we use the square root where a table has one figure only. A bit never
  costs less than a register's.
"""

import math
from dataclasses import dataclass

from model.cost.technology import Technology, area_scale, energy_scale


@dataclass(frozen=True)
class Source:
    """Where a constant was published: author, year, title, and the page, figure or file."""

    author: str
    year: int
    title: str
    place: str

    def __str__(self) -> str:
        return f"{self.author}, {self.year}, {self.title}, {self.place}"


@dataclass(frozen=True)
class Constant:
    """A published figure: `value` in `unit`, at an operand `size`, in a technology.

    The size is in bits; of a multiplication, the product of both widths; of a memory, the capacity,
    and the value is that of one accessed bit.
    """

    value: float
    unit: str
    size: int
    technology: Technology
    source: Source

    def energy_pj(self, technology: Technology) -> float:
        """The figure in another technology."""
        return self.value * energy_scale(self.technology, technology)


@dataclass(frozen=True)
class Area:
    """A published area in square micrometres, in a node."""

    um2: float
    node_nm: float
    source: Source

    def at_um2(self, node_nm: float) -> float:
        """The area in another node."""
        return self.um2 * area_scale(self.node_nm, node_nm)


HOROWITZ_2014 = Source(
    "M. Horowitz", 2014, "Computing's energy problem, ISSCC", "pp. 10-14, figure 1.1.9"
)
_SHAO = "Y. S. Shao, B. Reagen, G.-Y. Wei and D. Brooks"
_ALADDIN = "Aladdin, ISCA, pp. 97-108, as tabled by the Accelergy library plug-in"
ALADDIN_ADDER = Source(_SHAO, 2014, _ALADDIN, "library/aladdin/aladdin_adder.csv")
ALADDIN_MULTIPLIER = Source(_SHAO, 2014, _ALADDIN, "library/aladdin/aladdin_multiplier.csv")
ALADDIN_COMPARATOR = Source(_SHAO, 2014, _ALADDIN, "library/aladdin/aladdin_comparator.csv")
ALADDIN_REGISTER = Source(_SHAO, 2014, _ALADDIN, "library/aladdin/aladdin_register.csv")
BISWAS_2016 = Source(
    "A. Biswas and A. P. Chandrakasan",
    2016,
    "A 0.36 V 128 kb 6T SRAM in 28 nm FDSOI, ESSCIRC",
    "abstract: energy of a bit access at 0.45 V",
)

_AT_45 = Technology(45, 0.9)
_AT_40 = Technology(40, 0.9)  # the source names the node; 0.9 V, its usual supply, is assumed
_AT_28 = Technology(28, 0.45)

_REGISTER = Constant(0.009, "pJ", 1, _AT_40, ALADDIN_REGISTER)


def _horowitz(value_pj: float, size: int) -> Constant:
    return Constant(value_pj, "pJ", size, _AT_45, HOROWITZ_2014)


@dataclass(frozen=True)
class Table:
    """Prices of operations, each from one or more published constants in order of size."""

    name: str
    add: tuple[Constant, ...]
    multiply: tuple[Constant, ...]
    compare: tuple[Constant, ...]
    register: tuple[Constant, ...]
    memory: tuple[Constant, ...]  #: of one accessed bit

    @property
    def constants(self) -> tuple[Constant, ...]:
        """All constants of the table."""
        return (*self.add, *self.multiply, *self.compare, *self.register, *self.memory)

    def add_pj(self, bits: int, technology: Technology) -> float:
        """Energy of an addition."""
        return _linear(self.add, bits, technology)

    def multiply_pj(self, left_bits: int, right_bits: int, technology: Technology) -> float:
        """Energy of a multiplication."""
        return _linear(self.multiply, left_bits * right_bits, technology)

    def compare_pj(self, bits: int, technology: Technology) -> float:
        """Energy of a comparison."""
        return _linear(self.compare, bits, technology)

    def register_pj(self, bits: int, technology: Technology) -> float:
        """Energy of writing and reading a register."""
        return _linear(self.register, bits, technology)

    def access_pj(self, capacity_bits: int, word_bits: int, technology: Technology) -> float:
        """Energy of one access to a memory."""
        bit = _power(self.memory, capacity_bits, technology)
        return word_bits * max(bit, self.register_pj(1, technology))


HOROWITZ = Table(
    name="horowitz",
    add=(_horowitz(0.03, 8), _horowitz(0.05, 16), _horowitz(0.1, 32)),
    multiply=(_horowitz(0.2, 8 * 8), _horowitz(3.1, 32 * 32)),
    compare=(_horowitz(0.03, 8), _horowitz(0.05, 16), _horowitz(0.1, 32)),
    register=(_REGISTER,),
    memory=(
        _horowitz(10 / 64, 8 << 13),
        _horowitz(20 / 64, 32 << 13),
        _horowitz(100 / 64, 1 << 23),
    ),
)

ALADDIN = Table(
    name="aladdin",
    add=(Constant(0.21, "pJ", 32, _AT_40, ALADDIN_ADDER),),
    multiply=(Constant(12.68, "pJ", 32 * 32, _AT_40, ALADDIN_MULTIPLIER),),
    compare=(Constant(0.02947, "pJ", 32, _AT_40, ALADDIN_COMPARATOR),),
    register=(_REGISTER,),
    memory=(Constant(0.0525, "pJ", 128 << 10, _AT_28, BISWAS_2016),),
)

TABLES = (HOROWITZ, ALADDIN)

#: One bit of a memory: a 6T cell. Foundries lie between 0.120 (Samsung, STMicroelectronics,
#: GlobalFoundries) and 0.127 (TSMC). Decoders, sense amplifiers and second ports are left out, so
#: memories come out smaller than in a chip, and logic weighs more in an overhead.
MEMORY_BIT = Area(
    0.120,
    28,
    Source("WikiChip", 2018, "28 nm lithography process", "table of SRAM cells, high density"),
)


def _linear(constants: tuple[Constant, ...], size: float, technology: Technology) -> float:
    """Straight lines from nothing through the constants, and on beyond the last."""
    points = [(0.0, 0.0), *((float(c.size), c.energy_pj(technology)) for c in constants)]
    above = next((n for n, (at, _) in enumerate(points) if n and size <= at), len(points) - 1)
    (x0, y0), (x1, y1) = points[above - 1], points[above]
    return y0 + (y1 - y0) * (size - x0) / (x1 - x0)


def _power(constants: tuple[Constant, ...], size: float, technology: Technology) -> float:
    """Powers of the size between the constants and beyond; the square root through one alone."""
    points = [(math.log(c.size), math.log(c.energy_pj(technology))) for c in constants]
    if len(points) == 1:
        points.append((points[0][0] + 2, points[0][1] + 1))
    at = math.log(size)
    above = next((n for n, (x, _) in enumerate(points) if n and at <= x), len(points) - 1)
    (x0, y0), (x1, y1) = points[above - 1], points[above]
    return math.exp(y0 + (y1 - y0) * (at - x0) / (x1 - x0))

"""Number formats of the chip, and the named ways a number is narrowed.

A *code* is the integer the chip holds; the *value* it stands for is ``code * 2**-frac``.
`Format.span` is a Python `range`: numpy clips to it, tests iterate over it, hypothesis samples it,
and Amaranth takes it as a shape, so this file needs neither library.
"""

from dataclasses import dataclass
from enum import Enum

from model.contract.refusal import Refusal


class Rounding(Enum):
    """How bits below the new unit disappear."""

    FLOOR = "floor"  #: towards minus infinity: an arithmetic shift right
    NEAREST = "nearest"  #: half a unit is added first: ties go towards plus infinity
    STOCHASTIC = "stochastic"  #: a uniform random number of the lost bits is added first


class Overflow(Enum):
    """What happens to a number that its format cannot hold."""

    SATURATE = "saturate"  #: it becomes the nearest code, and is counted
    PROVED = "proved"  #: it cannot happen: a static bound fits the format


@dataclass(frozen=True)
class Format:
    """A fixed-point format of `bits` bits, `frac` of them behind the binary point.

    `symmetric` drops the most negative code of a signed format, so that negation is closed.
    """

    bits: int
    frac: int = 0
    signed: bool = False
    symmetric: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 64:
            raise Refusal(f"a format must have 1 to 64 bits, not {self.bits}")
        if self.symmetric and (not self.signed or self.bits < 2):
            raise Refusal("only a signed format of at least 2 bits can be symmetric")

    @property
    def span(self) -> range:
        """All codes, in order."""
        if not self.signed:
            return range(0, 1 << self.bits)
        half = 1 << (self.bits - 1)
        return range(-half + self.symmetric, half)

    @property
    def low(self) -> int:
        """The least code."""
        return self.span[0]

    @property
    def high(self) -> int:
        """The greatest code."""
        return self.span[-1]


def signed_format(bound: int) -> Format:
    """Narrowest signed format that holds -bound..bound: an accumulator with a proved bound."""
    return Format(bound.bit_length() + 1, signed=True)

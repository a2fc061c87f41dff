"""What follows from the choices: sizes and number formats of each stage.

Sizes follow the house's axes: C input channels, K kernels, H W map, R kernel side, I fan-in,
J neurons. Maps are stored position by position with the channel innermost, so the flat index of
(y, x, k) in an (H, W, K) map is ``(y * W + x) * K + k``.
"""

from dataclasses import dataclass

from model.contract.formats import Format

#: Codes of the scaled modulation lie in -15..15.
SCALED_MODULATION = Format(5, signed=True, symmetric=True)
TERNARY = Format(2, signed=True, symmetric=True)
SCORE = Format(8)
ERROR = Format(9, signed=True, symmetric=True)


Steps = tuple[tuple[int | None, ...], ...]
"""A box of the map as it is walked: a row a cycle, a column a place of that cycle. An entry is the
distance of a place from the box's last one, and leaves its column as remainder modulo P."""


def steps(side: int, pitch: int, places: int) -> Steps:
    """The walk over a box of `side` x `side` places."""
    columns: list[list[int | None]] = [[] for _ in range(places)]
    for dy in range(side):
        for dx in range(side):
            distance = dx + pitch * dy
            columns[distance % places].append(distance)
    longest = max(map(len, columns))
    padded = [column + [None] * (longest - len(column)) for column in columns]
    return tuple(zip(*padded, strict=True))


@dataclass(frozen=True)
class ConvShape:
    """Derived sizes and formats of one convolution stage."""

    name: str
    channels: int
    kernels: int
    height: int
    width: int
    map_height: int
    map_width: int
    out_height: int
    out_width: int
    lanes: int
    groups: int
    places: int  #: P: memory words of the map that are worked on in a cycle
    pitch: int  #: from a place to the one below it: at least the width, and R modulo P
    window: "Steps"  #: of a kernel's window
    cell: "Steps"  #: of a pooling cell
    value: Format
    kernel: Format
    potential: Format
    total: Format  #: of the rectified potentials of all kernels of a place together
    pooled: Format
    feature: Format
    inhibits: bool

    @property
    def features(self) -> int:
        """Features a sample, zero or not."""
        return self.out_height * self.out_width * self.kernels

    @property
    def sums_first(self) -> bool:
        """Whether a cell is walked twice: its kernels lie in several words, to be summed first."""
        return self.inhibits and self.groups > 1

    @property
    def bank_words(self) -> int:
        """Words of a bank of potentials. Place (x, y) lies in bank ``(x + pitch * y) % places``."""
        last = self.map_width - 1 + self.pitch * (self.map_height - 1)
        return (last // self.places + 1) * self.groups


@dataclass(frozen=True)
class LayerShape:
    """Derived sizes and formats of one fully-connected layer (hidden or readout)."""

    name: str
    inputs: int  #: rows of the weight matrix; the readout's bias is its last row
    outputs: int
    lanes: int
    groups: int
    value: Format  #: of its inputs
    weight: Format
    sum: Format  #: of its pre-activations
    modulation: Format  #: of what multiplies the inputs in an update
    learns: bool
    saturating: bool  #: sums saturate, because a host may repeat an event
    rate_shift: int

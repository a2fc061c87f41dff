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
    value: Format
    kernel: Format
    potential: Format
    total: Format  #: of the rectified potentials of all kernels of a place together
    pooled: Format
    feature: Format

    @property
    def features(self) -> int:
        """Features a sample, zero or not."""
        return self.out_height * self.out_width * self.kernels


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

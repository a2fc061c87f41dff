"""Silicon technologies, and how energy and area scale from one to another.

Source: A. Stillmaker and B. Baas, Scaling equations for the accurate prediction of CMOS device
performance from 180 nm to 7 nm, Integration 58, 2017, pp. 74-81: energy of an operation is
proportional to a quadratic polynomial of the supply voltage whose coefficients are tabled for each
node (table 5; its values at 32 nm and 65 nm are confirmed by the authors' corrigendum), area to a
tabled factor. We take the columns for high performance. Nodes that are not tabled (40 nm, 28 nm)
lie on a straight line between their neighbours in the logarithms of node and factor: our
assumption. SRAM is taken to scale as logic does: our assumption too.
"""

import math
from dataclasses import dataclass

from model.contract.refusal import Refusal

#: Node in nm -> coefficients of the energy factor: of V squared, of V, and the constant.
ENERGY_COEFFICIENTS: dict[float, tuple[float, float, float]] = {
    45: (1.018, -0.3107, 0.1539),
    32: (0.8367, -0.4341, 0.1701),
    20: (0.373, -0.1582, 0.04104),
}

#: Node in nm -> area of a circuit there, as a share of its area at 180 nm.
AREA_SHARES: dict[float, float] = {
    180: 1.0,
    130: 0.34,
    90: 0.15,
    65: 0.08,
    45: 0.053,
    32: 0.025,
    20: 0.011,
}

LOWEST_VOLTS, HIGHEST_VOLTS = 0.45, 1.1  #: outside, the polynomials mean nothing (our limits)


@dataclass(frozen=True)
class Technology:
    """A CMOS node in nm and its supply voltage.

    Raises `Refusal` where the sources do not reach.
    """

    node_nm: float
    volts: float

    def __post_init__(self) -> None:
        if not min(ENERGY_COEFFICIENTS) <= self.node_nm <= max(ENERGY_COEFFICIENTS):
            raise Refusal(f"energy scales between nodes of 20 and 45 nm, not to {self.node_nm:g}")
        if not LOWEST_VOLTS <= self.volts <= HIGHEST_VOLTS:
            raise Refusal(
                f"the supply must be {LOWEST_VOLTS} to {HIGHEST_VOLTS} V, not {self.volts:g}"
            )

    def __str__(self) -> str:
        return f"{self.node_nm:g} nm {self.volts:g} V"

    @property
    def energy_factor(self) -> float:
        """Energy of an operation, relative to other technologies."""
        factors = {
            node: a2 * self.volts**2 + a1 * self.volts + a0
            for node, (a2, a1, a0) in ENERGY_COEFFICIENTS.items()
        }
        return _between(factors, self.node_nm)


#: What figures are scaled to: that of the published processor.
TARGET = Technology(28, 0.6)


def energy_scale(start: Technology, end: Technology) -> float:
    """Factor of an energy on the way from one technology to another."""
    return end.energy_factor / start.energy_factor


def area_scale(start_nm: float, end_nm: float) -> float:
    """Factor of an area on the way from one node to another."""
    return _between(AREA_SHARES, end_nm) / _between(AREA_SHARES, start_nm)


def _between(values: dict[float, float], node_nm: float) -> float:
    """The tabled value of a node, or one between those of its neighbours."""
    if node_nm in values:
        return values[node_nm]
    above = min(node for node in values if node > node_nm)
    below = max(node for node in values if node < node_nm)
    part = math.log(above / node_nm) / math.log(above / below)
    return values[above] ** (1 - part) * values[below] ** part

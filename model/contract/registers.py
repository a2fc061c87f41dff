"""The host's register map, once: RTL, Markdown, JSON and C header are made from it.

The bus has 32-bit words at byte addresses that are multiples of 4. Banks are reached through a
window: write BANK, write ADDRESS, then read or write DATA; a word of more than 32 bits takes
several accesses, lowest bits first, and is written with its last one; ADDRESS then steps to the
next word. Illegal accesses answer with an error and change nothing: an unknown address, a write to
what is read-only, a read of CONTROL, DATA outside the bank, reading and writing by turns within one
word, a seed of zero, and anything but reading ID, CONFIG, STATUS and counters while the chip is
busy. After reset it is busy until its working storage is clear: poll STATUS first.

A BANK or ADDRESS too great to be kept becomes the greatest that can be, which lies outside. Bits
above a word or a seed are ignored. A counter that may move is read HIGH, LOW, HIGH. The host may
write the one code that a symmetric format leaves out; the bounds of the sums do not allow for it.
"""

from dataclasses import dataclass
from enum import StrEnum

from model.contract.config import ChipConfig
from model.contract.counters import counters

IDENTITY = 0x44525450  #: "DRTP" in ASCII

ID = 0x000
CONFIG = 0x004
STATUS = 0x008
CONTROL = 0x00C
BANK = 0x010
ADDRESS = 0x014
DATA = 0x018
SEEDS = 0x040
COUNTERS = 0x100

STATUS_BUSY = 0
STATUS_DROPPED = 1
STATUS_REFUSED = 2

CONTROL_CLEAR_COUNTERS = 0
CONTROL_CLEAR_FLAGS = 1

ADDRESS_BITS = 12  #: of the whole map


class Access(StrEnum):
    """What the host may do with a register."""

    READ = "ro"
    WRITE = "wo"
    BOTH = "rw"


@dataclass(frozen=True)
class Register:
    """One 32-bit register at a byte offset."""

    name: str
    offset: int
    access: Access
    meaning: str


def registers(config: ChipConfig) -> tuple[Register, ...]:
    """All registers of a chip, by offset."""
    found = [
        Register("ID", ID, Access.READ, f"0x{IDENTITY:08X}"),
        Register("CONFIG", CONFIG, Access.READ, "first 32 bits of the configuration's SHA-256"),
        Register(
            "STATUS",
            STATUS,
            Access.READ,
            "bit 0 busy; bit 1 an event was dropped; bit 2 a mark was refused",
        ),
        Register("CONTROL", CONTROL, Access.WRITE, "bit 0 clears counters; bit 1 clears the flags"),
        Register("BANK", BANK, Access.BOTH, "number of the bank behind DATA"),
        Register("ADDRESS", ADDRESS, Access.BOTH, "word of the bank behind DATA"),
        Register("DATA", DATA, Access.BOTH, "the next 32 bits of the bank's word"),
    ]
    for number, layer in enumerate(learning_layers(config)):
        found.append(
            Register(
                f"SEED_{layer.upper()}",
                SEEDS + 4 * number,
                Access.BOTH,
                f"state of the LFSR of {layer}, not zero",
            )
        )
    if config.counters:
        for number, counter in enumerate(counters(config)):
            name = counter.name.replace(".", "_").upper()
            offset = COUNTERS + 8 * number
            found.append(Register(f"{name}_LOW", offset, Access.READ, counter.meaning))
            found.append(Register(f"{name}_HIGH", offset + 4, Access.READ, "its upper bits"))
    return tuple(found)


def learning_layers(config: ChipConfig) -> tuple[str, ...]:
    """Layers that have an LFSR, in the order of their seed registers."""
    return tuple(shape.name for shape in config.layer_shapes if shape.learns)

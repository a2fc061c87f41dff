"""The host's register map, once: RTL, Markdown, JSON, C header and SystemRDL are made from it.

The bus has 32-bit words at byte addresses that are multiples of 4. A host learns from VERSION,
INPUT, OUTPUT, LIMIT, PARTS, BANK_WORDS and BANK_FORM what chip it speaks to.

Banks are reached through a window: write BANK, write ADDRESS, then read or write DATA; a word of
more than 32 bits takes several accesses, lowest bits first, and is written with its last one;
ADDRESS then steps to the next word. Illegal accesses answer with an error and change nothing: an
unknown address, a write to what is read-only, a read of CONTROL, DATA outside the bank, reading and
writing by turns within one word, a seed of zero, and, while the chip is busy, anything but CONTROL,
INTERRUPT, and reading what is read-only. After reset the chip is busy until its working storage is
clear: poll STATUS first.

A chip stays busy while a sample is open. A host that finds it so, and knows of no sample, stops
whatever feeds the chip and writes CONTROL's `drop`: an abort mark (`model.contract.event`) follows
the last word that was taken. The chip is at rest within `model.contract.timing.recovery_cycles`, if
what waits at its results is taken; samples before are finished, nothing is learned from the dropped
one.

A BANK or ADDRESS too great to be kept becomes the greatest that can be, which lies outside. Bits
above a word or a seed are ignored. A counter that may move is read HIGH, LOW, HIGH. The host may
write the one code that a symmetric format leaves out; the bounds of the sums do not allow for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from model.contract import event
from model.contract.config import ChipConfig
from model.contract.counters import counters
from model.contract.geometry import geometry

IDENTITY = 0x44525450  #: "DRTP" in ASCII
MAP_VERSION = 2  #: of this map and its rules
BUS_BITS = 32

ID = 0x000
CONFIG = 0x004
STATUS = 0x008
CONTROL = 0x00C
BANK = 0x010
ADDRESS = 0x014
DATA = 0x018
VERSION = 0x01C
INTERRUPT = 0x020
FREEZE = 0x024
INPUT = 0x028
OUTPUT = 0x02C
LIMIT = 0x030
PARTS = 0x034
BANK_WORDS = 0x038
BANK_FORM = 0x03C
SEEDS = 0x040
COUNTERS = 0x100

STATUS_BUSY = 0
STATUS_DROPPED = 1
STATUS_REFUSED = 2
STATUS_VERDICT = 3

CONTROL_CLEAR_COUNTERS = 0
CONTROL_CLEAR_FLAGS = 1
CONTROL_CLEAR_VERDICT = 2
CONTROL_DROP = 3

INTERRUPT_VERDICT = 0
INTERRUPT_FLAGS = 1

ADDRESS_BITS = 12  #: of the whole map


class Access(StrEnum):
    """What the host may do with a register."""

    READ = "ro"
    WRITE = "wo"
    BOTH = "rw"


@dataclass(frozen=True)
class Field:
    """Some bits of a register: `bits` of them from bit `low` upwards.

    `value`: what it always reads as, where that is known of the chip.
    """

    name: str
    low: int
    bits: int
    meaning: str
    value: int | None = None


@dataclass(frozen=True)
class Register:
    """One 32-bit register at a byte offset; bits in none of its fields read as zero.

    `always`: it may be accessed while the chip is busy.
    """

    name: str
    offset: int
    access: Access
    meaning: str
    fields: tuple[Field, ...]
    always: bool = False

    @property
    def value(self) -> int | None:
        """What it always reads as, where that is known of the chip."""
        value = 0
        for field in self.fields:
            if field.value is None:
                return None
            value |= field.value << field.low
        return value


VERSIONS = {"map": MAP_VERSION, "words": event.VERSION}

#: Fields of the registers that a host takes apart, by offset.
FIELDS = {
    STATUS: (
        Field("busy", STATUS_BUSY, 1, "the chip holds work"),
        Field("dropped", STATUS_DROPPED, 1, "an event was dropped"),
        Field("refused", STATUS_REFUSED, 1, "a mark was refused"),
        Field("verdict", STATUS_VERDICT, 1, "a verdict was offered"),
    ),
    CONTROL: (
        Field("clear_counters", CONTROL_CLEAR_COUNTERS, 1, "1 clears the counters"),
        Field("clear_flags", CONTROL_CLEAR_FLAGS, 1, "1 clears dropped and refused"),
        Field("clear_verdict", CONTROL_CLEAR_VERDICT, 1, "1 clears verdict"),
        Field("drop", CONTROL_DROP, 1, "1 aborts the open sample"),
    ),
    VERSION: (
        Field("map", 0, 16, "version of the register map"),
        Field("words", 16, 16, "version of the input words"),
    ),
    INTERRUPT: (
        Field("verdict", INTERRUPT_VERDICT, 1, "1: STATUS's verdict raises the interrupt"),
        Field("flags", INTERRUPT_FLAGS, 1, "1: dropped and refused raise it"),
    ),
    FREEZE: (Field("freeze", 0, 1, "1: no sample is learned, whatever its mark asks"),),
    INPUT: (
        Field("width", 0, 12, "of the input"),
        Field("height", 12, 12, "of the input"),
        Field("channels", 24, 8, "of the input"),
    ),
    OUTPUT: (
        Field("classes", 0, 16, "scores a sample"),
        Field("rate_steps", 16, 8, "rate steps that the schedule knows"),
        Field("time_top", 24, 8, "time at which nothing fires any more"),
    ),
    LIMIT: (Field("event_limit", 0, 32, "most events a sample; 0: no limit"),),
    PARTS: (
        Field("banks", 0, 8, "banks behind the window"),
        Field("seeds", 8, 8, "layers that learn"),
        Field("counters", 16, 16, "counters; 0 where they are left out"),
    ),
    BANK_WORDS: (Field("words", 0, 32, "words of the bank that BANK chooses; 0: no such bank"),),
    BANK_FORM: (
        Field("lanes", 0, 8, "codes a word, the first in the lowest bits"),
        Field("code_bits", 8, 8, "bits a code"),
        Field("kind", 16, 8, "0 kernels, 1 weights, 2 modulation"),
        Field("stage", 24, 8, "its stage in the order of the data; 0 takes in the events"),
    ),
}


def join(offset: int, values: Mapping[str, int]) -> int:
    """The word of a register of `FIELDS` from the values of its fields; one not named is zero."""
    return sum(values.get(field.name, 0) << field.low for field in FIELDS[offset])


def split(offset: int, word: int) -> dict[str, int]:
    """The values of the fields of a register of `FIELDS`."""
    return {field.name: word >> field.low & ((1 << field.bits) - 1) for field in FIELDS[offset]}


def registers(config: ChipConfig) -> tuple[Register, ...]:
    """All registers of a chip, by offset."""
    return (*_fixed(config), *_seeds(config), *_counters(config))


def _fixed(config: ChipConfig) -> Iterator[Register]:
    """The registers that every chip has."""
    ro, wo, rw = Access.READ, Access.WRITE, Access.BOTH
    sizes = geometry(config)
    parts = {"banks": len(sizes.banks), "seeds": sizes.seeds, "counters": sizes.counters}
    short = int(config.sha256[:8], 16)
    yield _whole("ID", ID, ro, f"0x{IDENTITY:08X}", IDENTITY)
    yield _whole("CONFIG", CONFIG, ro, "first 32 bits of the configuration's SHA-256", short)
    yield _split("STATUS", STATUS, ro, "what the chip does, and what has happened")
    yield _split("CONTROL", CONTROL, wo, "what the chip is to do now", always=True)
    yield _whole("BANK", BANK, rw, "number of the bank behind DATA")
    yield _whole("ADDRESS", ADDRESS, rw, "word of the bank behind DATA")
    yield _whole("DATA", DATA, rw, "the next 32 bits of the bank's word")
    yield _split("VERSION", VERSION, ro, "of what host and chip must agree on", VERSIONS)
    yield _split("INTERRUPT", INTERRUPT, rw, "what raises the interrupt", always=True)
    yield _split("FREEZE", FREEZE, rw, "keeps the chip from learning")
    yield _split("INPUT", INPUT, ro, "size of a sample", vars(sizes))
    yield _split("OUTPUT", OUTPUT, ro, "size of a result, codes of time and rate", vars(sizes))
    yield _split("LIMIT", LIMIT, ro, "of a sample's events", vars(sizes))
    yield _split("PARTS", PARTS, ro, "how many there are behind the registers", parts)
    yield _split("BANK_WORDS", BANK_WORDS, ro, "size of the bank that BANK chooses")
    yield _split("BANK_FORM", BANK_FORM, ro, "a word of the bank that BANK chooses; 0: none")


def _seeds(config: ChipConfig) -> Iterator[Register]:
    for number, layer in enumerate(learning_layers(config)):
        meaning = f"state of the LFSR of {layer}, not zero"
        yield _whole(f"SEED_{layer.upper()}", SEEDS + 4 * number, Access.BOTH, meaning)


def _counters(config: ChipConfig) -> Iterator[Register]:
    for number, counter in enumerate(counters(config) if config.counters else ()):
        name, offset = counter.name.replace(".", "_").upper(), COUNTERS + 8 * number
        yield _whole(f"{name}_LOW", offset, Access.READ, counter.meaning)
        yield _whole(f"{name}_HIGH", offset + 4, Access.READ, "its upper bits")


def _whole(
    name: str, offset: int, access: Access, meaning: str, value: int | None = None
) -> Register:
    """A register of one field."""
    field = Field("value", 0, BUS_BITS, meaning, value)
    return Register(name, offset, access, meaning, (field,), access is Access.READ)


def _split(
    name: str,
    offset: int,
    access: Access,
    meaning: str,
    values: dict[str, int] | None = None,
    always: bool = False,
) -> Register:
    """A register of the fields in `FIELDS`; `values`: what they always read as."""
    fields = FIELDS[offset]
    if values:
        fields = tuple(replace(field, value=values[field.name]) for field in fields)
    return Register(name, offset, access, meaning, fields, always or access is Access.READ)


def learning_layers(config: ChipConfig) -> tuple[str, ...]:
    """Layers that have an LFSR, in the order of their seed registers."""
    return tuple(shape.name for shape in config.layer_shapes if shape.learns)

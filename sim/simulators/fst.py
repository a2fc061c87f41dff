"""FST: waves in a small part of the room of VCD, for GTKWave and Surfer.

The format is GTKWave's ("FST File Format" of its documentation): a header, one block of values,
the signals' lengths, their names. Values are packed by zlib alone, and signals that change alike
are one. Names of states go along as tables, by which viewers show them.
"""

import gzip
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from pathlib import Path

from model.contract.artifact import writing

HEADER, GEOMETRY, HIERARCHY, VALUES = 0, 3, 4, 8
MODULE, WIRE, IMPLICIT = 0, 16, 0
BEGIN_ATTRIBUTE, MISCELLANEOUS, STATES = 252, 0, 7
BEGIN_SCOPE, END_SCOPE = 254, 255
UNKNOWN = "xz"  #: what a bit can be beside 0 and 1, in the order of its codes
NANOSECONDS = -9
E = 2.7182818284590452354  #: tells a reader the order of bytes

Changes = list[tuple[int, str]]
"""Times, ascending, and what a signal is from then on: a character 0, 1, x or z a bit."""


@dataclass(frozen=True)
class Wave:
    """A signal, where it stands and when it changes; several may share their `changes`."""

    scopes: tuple[str, ...]
    name: str
    bits: int
    changes: Changes
    states: Mapping[int, str] = field(default_factory=dict)  #: names of its values
    signed: bool = False  #: for views: the file itself does not say it

    @property
    def path(self) -> str:
        """Dotted, as viewers name it."""
        return ".".join((*self.scopes, self.name))


def write(path: Path, waves: Sequence[Wave], program: str) -> None:
    """Write waves, in nanoseconds, that a `program` recorded.

    Raises `Refusal` where the file cannot be written.
    """
    waves = sorted(waves, key=lambda wave: wave.scopes)  # signals are numbered as they are named
    shared = list({id(wave.changes): wave for wave in waves}.values())
    handles = {id(wave.changes): number for number, wave in enumerate(shared, 1)}
    times = sorted({time for wave in shared for time, _ in wave.changes}) or [0]
    names = _names(waves, handles)
    depths = ((wave.scopes, range(len(wave.scopes))) for wave in waves)
    scopes = len({scopes[: depth + 1] for scopes, steps in depths for depth in steps})
    head = struct.pack(">QQ", times[0], times[-1]) + struct.pack("=d", E)
    head += struct.pack(">QQQQQb", 0, scopes, len(waves), len(shared), 1, NANOSECONDS)
    head += program.encode()[:127].ljust(128, b"\0") + bytes(26 + 93 + 1 + 8)
    lengths = b"".join(_varint(wave.bits) for wave in shared)
    with writing(path) as file:
        file.write(_block(HEADER, head))
        file.write(_block(VALUES, _values(shared, times)))
        counts = struct.pack(">QQ", len(lengths), len(shared))
        file.write(_block(GEOMETRY, counts + _packed(lengths)))
        file.write(_block(HIERARCHY, struct.pack(">Q", len(names)) + gzip.compress(names, mtime=0)))


def _block(kind: int, content: bytes) -> bytes:
    """A block; its length counts itself."""
    return struct.pack(">BQ", kind, 8 + len(content)) + content


def _varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first; all bytes but the last have bit 7 set."""
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _signed_varint(number: int) -> bytes:
    """The same of a positive number whose sign is kept: bit 6 of the last byte is clear."""
    found = _varint(number)
    return found if found[-1] < 0x40 else found[:-1] + bytes([found[-1] | 0x80, 0])


def _packed(content: bytes) -> bytes:
    """Compressed, unless that is not shorter: a reader knows by the length."""
    small = zlib.compress(content)
    return small if len(small) < len(content) else content


def _names(waves: Sequence[Wave], handles: Mapping[int, int]) -> bytes:
    """Scopes and signals, in order; tables of states go before the signals that have them."""
    found, known, tables = bytearray(), set[int](), 0
    within: tuple[str, ...] = ()
    for wave in waves:
        pairs = zip(within, wave.scopes, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        found += bytes([END_SCOPE]) * (len(within) - same)
        for scope in wave.scopes[same:]:
            found += bytes([BEGIN_SCOPE, MODULE]) + scope.encode() + b"\0\0"
        within = wave.scopes
        if wave.states:
            tables += 1
            found += bytes([BEGIN_ATTRIBUTE, MISCELLANEOUS, STATES])
            found += _table(wave).encode() + b"\0" + _varint(tables)
            found += bytes([BEGIN_ATTRIBUTE, MISCELLANEOUS, STATES]) + b"\0" + _varint(tables)
        handle = handles[id(wave.changes)]
        alias = handle if handle in known else 0
        known.add(handle)
        found += bytes([WIRE, IMPLICIT]) + wave.name.encode() + b"\0"
        found += _varint(wave.bits) + _varint(alias)
    return bytes(found + bytes([END_SCOPE]) * len(within))


def _table(wave: Wave) -> str:
    """A table of states: its name, how many, their names, then their values in bits."""
    words = [wave.path, str(len(wave.states)), *wave.states.values()]
    return " ".join([*words, *(f"{value:0{wave.bits}b}" for value in wave.states)])


def _values(shared: Sequence[Wave], times: Sequence[int]) -> bytes:
    """The one block of values: how each signal changes, where that stands, when."""
    places = {time: place for place, time in enumerate(times)}
    first = b"x" * sum(wave.bits for wave in shared)  # the changes tell the first values, too
    packed = _packed(first)
    found = bytearray(_varint(len(first)) + _varint(len(packed)) + _varint(len(shared)) + packed)
    found += _varint(len(shared))
    values, table = bytearray(b"Z"), bytearray()
    last = still = 0
    for wave in shared:
        changes = _changes(wave, places)
        if not changes:
            still += 1
            continue
        if still:
            table += _varint(still << 1)
            still = 0
        table += _signed_varint(len(values) - last << 1 | 1)
        last = len(values)
        small = zlib.compress(changes)
        values += _varint(len(changes)) + small if len(small) < len(changes) else b"\0" + changes
    if still:
        table += _varint(still << 1)
    found += values + table + struct.pack(">Q", len(table))
    steps = b"".join(_varint(b - a) for a, b in pairwise([0, *times]))
    packed = _packed(steps)
    found += packed + struct.pack(">QQQ", len(steps), len(packed), len(times))
    memory = sum(wave.bits * (1 + len(wave.changes)) for wave in shared)
    return struct.pack(">QQQ", times[0], times[-1], memory) + bytes(found)


def _changes(wave: Wave, places: Mapping[int, int]) -> bytes:
    """What a signal becomes: steps among the times, and values."""
    found, before = bytearray(), 0
    for time, value in wave.changes:
        place = places[time]
        step, before = place - before, place
        known = not value.strip("01")
        if wave.bits == 1:
            code = int(value) << 1 if known else UNKNOWN.index(value) << 1 | 1
            found += _varint(step << (2 if known else 4) | code)
        elif known:
            spare = -wave.bits % 8
            found += _varint(step << 1)
            found += (int(value, 2) << spare).to_bytes((wave.bits + spare) // 8, "big")
        else:
            found += _varint(step << 1 | 1) + value.encode()
    return bytes(found)

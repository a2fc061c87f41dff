"""sim/simulators/fst.py: what a reader of its own finds in the file is what was put there."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from sim.simulators.fst import Wave, write

SEED = 1


class Bytes:
    """A reader of FST, as its documentation tells, for files with one block of values."""

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0

    def take(self, count: int) -> bytes:
        self.at += count
        return self.content[self.at - count : self.at]

    def long(self) -> int:
        return int(struct.unpack(">Q", self.take(8))[0])

    def varint(self) -> int:
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return number

    def text(self) -> str:
        end = self.content.index(0, self.at)
        found = self.take(end - self.at).decode()
        self.at += 1
        return found


def blocks(path: Path) -> dict[int, bytes]:
    found, file = {}, Bytes(path.read_bytes())
    while file.at < len(file.content):
        kind = file.take(1)[0]
        found[kind] = file.take(file.long() - 8)
    return found


def unpacked(content: bytes, length: int) -> bytes:
    return content if len(content) == length else zlib.decompress(content)


def names(block: bytes) -> tuple[list[tuple[str, int, int]], list[str]]:
    """Path, bits and handle of every signal; all tables of states."""
    text = Bytes(gzip.decompress(block[8:]))
    scopes: list[str] = []
    found: list[tuple[str, int, int]] = []
    tables: list[str] = []
    last = 0
    while text.at < len(text.content):
        kind = text.take(1)[0]
        if kind == 254:
            text.take(1)
            scopes.append(text.text())
            text.text()
        elif kind == 255:
            scopes.pop()
        elif kind == 252:
            assert text.take(2) == bytes([0, 7])
            tables += [text.text()]
            text.varint()
        else:
            text.take(1)
            name, bits, alias = text.text(), text.varint(), text.varint()
            last += not alias
            found.append((".".join([*scopes, name]), bits, alias or last))
    assert scopes == []
    return found, [table for table in tables if table]


def values(block: bytes, bits: list[int]) -> list[list[tuple[int, str]]]:
    """The changes of every signal, by handle."""
    count, packed, length = struct.unpack(">QQQ", block[-8:] + block[-16:-8] + block[-24:-16])
    steps = Bytes(unpacked(block[-24 - packed : -24], length))
    times = np.cumsum([steps.varint() for _ in range(count)]).tolist()
    end = len(block) - 24 - packed - 8
    table = Bytes(block[end - struct.unpack(">Q", block[end : end + 8])[0] : end])
    head = Bytes(block)
    head.take(24)
    length, packed, count = head.varint(), head.varint(), head.varint()
    assert unpacked(head.take(packed), length) == b"x" * sum(bits)
    assert head.varint() == count == len(bits)
    start = head.at
    assert head.take(1) == b"Z"
    places: list[int | None] = []
    last = 0
    while table.at < len(table.content):
        number = table.varint()
        if number & 1:
            last += number >> 1
            places.append(last)
        else:
            places += [None] * (number >> 1)
    ends = [place for place in places if place is not None][1:]
    ends.append(end - len(table.content) - start)
    found: list[list[tuple[int, str]]] = []
    for place, width in zip(places, bits, strict=True):
        if place is None:
            found.append([])
            continue
        data = Bytes(block[start + place : start + ends.pop(0)])
        length = data.varint()
        rest = data.take(len(data.content) - data.at)
        found.append(changes(Bytes(zlib.decompress(rest) if length else rest), width, times))
    return found


def changes(data: Bytes, bits: int, times: list[int]) -> list[tuple[int, str]]:
    found, at = [], 0
    while data.at < len(data.content):
        code = data.varint()
        if bits == 1:
            at += code >> (4 if code & 1 else 2)
            value = "xz"[code >> 1 & 7] if code & 1 else str(code >> 1 & 1)
        else:
            at += code >> 1
            octets = data.take(bits if code & 1 else -(-bits // 8))
            whole = int.from_bytes(octets, "big") >> (-bits % 8)
            value = octets.decode() if code & 1 else f"{whole:0{bits}b}"
        found.append((times[at], value))
    return found


def test_a_reader_finds_every_change(tmp_path: Path) -> None:
    """Held against wellen, the reader of Surfer, by hand as well: the same changes."""
    rng = np.random.default_rng(SEED)
    waves = []
    for number in range(40):
        bits, count = int(rng.choice([1, 2, 7, 8, 9, 64, 200])), int(rng.choice([0, 1, 40]))
        times = np.cumsum(rng.integers(1, 300, count)) + 90
        drawn = ["".join(rng.choice(list("01xz"), bits, p=[0.45, 0.45, 0.05, 0.05])) for _ in times]
        scopes = ("top", *rng.choice(["a", "b"], rng.integers(0, 3)).tolist())
        changed = list(zip(times.tolist(), drawn, strict=True))
        waves.append(Wave(scopes, f"s{number}", bits, changed))
    waves.append(Wave(("top", "b"), "alike", waves[5].bits, waves[5].changes))
    waves.append(Wave(("top",), "state", 2, [(95, "10")], {0: "IDLE", 2: "RUN"}))
    write(tmp_path / "waves.fst", waves, "a test")
    found = blocks(tmp_path / "waves.fst")
    assert sorted(found) == [0, 3, 4, 8]
    assert len(found[0]) == 329 - 8
    told, tables = names(found[4])
    assert tables == ["top.state 2 IDLE RUN 00 10"]
    assert sorted(path for path, _, _ in told) == sorted(wave.path for wave in waves)
    handles = {handle: bits for _, bits, handle in told}
    assert len(handles) == len(waves) - 1
    shown = values(found[8], [handles[handle] for handle in sorted(handles)])
    for path, bits, handle in told:
        wave = next(wave for wave in waves if wave.path == path)
        assert (bits, shown[handle - 1]) == (wave.bits, wave.changes), path

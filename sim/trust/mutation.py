"""Mutations: what damage, haste and malice make of a valid file, drawn from a seed.

Bytes are changed anywhere; text also in its numbers, words and lines; what is packed also inside,
with the sums and lengths of the package set right again, so that the damage reaches its reader.
"""

import gzip
import io
import json
import random
import re
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

Mutation = Callable[[random.Random, bytes], bytes]

NUMBERS = (
    *(b"0", b"-1", b"1", b"255", b"256", b"65536", b"2147483648", b"18446744073709551616"),
    *(b"1e999", b"-1e999", b"nan", b"inf", b"1.5", b"true", b"null", b'""', b"[]", b"{}", b"0x1F"),
    *(b"9" * 5000, b"0x" + b"f" * 5000, b"[" * 2000, b'{"a":' * 500),
)
TOKENS = (
    *(b"[", b"]", b"{", b"}", b'"', b"'", b"=", b",", b".", b"\n", b"\r", b"\0", b"#", b"\\"),
    *(
        b"\xff\xfe",
        b"\xc3\x28",
        b"\xf0\x9f\x92\xa3",
        b"[[",
        b"]]",
        b"[a.a.a]\n",
        b'"""',
        b"/dev/zero",
    ),
)
LENGTHS = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
NUMBER = re.compile(rb"-?\d+(\.\d+)?")
WORD = re.compile(rb"[A-Za-z_]{2,}")


def of_bytes(rng: random.Random, content: bytes) -> bytes:
    """One to eight changes anywhere: bits, bytes, lengths, cuts, repeats."""
    found = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 4, 8))):
        found = rng.choice(_CHANGES)(rng, found)
    return bytes(found)


def _place(rng: random.Random, content: bytearray) -> int:
    """Anywhere, but every other time near the beginning, where headers are."""
    near = rng.random() < 0.5
    return rng.randrange(min(len(content), 64) if near else len(content)) if content else 0


def _flip(rng: random.Random, content: bytearray) -> bytearray:
    if content:
        content[_place(rng, content)] ^= 1 << rng.randrange(8)
    return content


def _set(rng: random.Random, content: bytearray) -> bytearray:
    if content:
        content[_place(rng, content)] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    return content


def _word(rng: random.Random, content: bytearray) -> bytearray:
    """Four bytes become a length that lies: none, huge, negative."""
    at = _place(rng, content)
    value = rng.choice(
        (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, len(content), rng.getrandbits(32))
    )
    content[at : at + 4] = value.to_bytes(4, rng.choice(("little", "big")))
    return content


def _cut(rng: random.Random, content: bytearray) -> bytearray:
    return content[: rng.randrange(len(content) + 1)]


def _remove(rng: random.Random, content: bytearray) -> bytearray:
    at = _place(rng, content)
    del content[at : at + rng.choice((1, 4, 16, 256))]
    return content


def _repeat(rng: random.Random, content: bytearray) -> bytearray:
    at = _place(rng, content)
    part = content[at : at + rng.choice((1, 16, 256))]
    content[at:at] = part * rng.choice((1, 2, 50))
    return content


def _insert(rng: random.Random, content: bytearray) -> bytearray:
    at = _place(rng, content)
    content[at:at] = rng.choice((rng.randbytes(8), bytes(64), *TOKENS))
    return content


_CHANGES = (_flip, _flip, _set, _set, _word, _cut, _remove, _repeat, _insert)


def of_text(rng: random.Random, content: bytes) -> bytes:
    """One to four changes of numbers, words and lines."""
    for _ in range(rng.choice((1, 1, 2, 4))):
        kind = rng.randrange(5)
        if kind == 0:
            content = _replaced(rng, NUMBER, content, lambda found: rng.choice(NUMBERS))
        elif kind == 1:
            content = _replaced(rng, WORD, content, lambda found: found[1:] + found[:1])
        elif kind == 2:
            content = _replaced(rng, WORD, content, lambda found: rng.choice(NUMBERS))
        elif kind == 3:
            lines = content.splitlines(keepends=True)
            at = rng.randrange(len(lines) + 1)
            lines[at : at + 1] = rng.choice(([], lines[at : at + 1] * 2, [rng.choice(TOKENS)]))
            content = b"".join(lines)
        else:
            at = rng.randrange(len(content) + 1)
            content = content[:at] + rng.choice(TOKENS) + content[at:]
    return content


def _replaced(
    rng: random.Random, pattern: re.Pattern[bytes], content: bytes, other: Callable[[bytes], bytes]
) -> bytes:
    found = list(pattern.finditer(content))
    if not found:
        return content
    match = rng.choice(found)
    return content[: match.start()] + other(match[0]) + content[match.end() :]


def in_gzip(inner: Mutation) -> Mutation:
    """Damage inside a .gz file."""
    return lambda rng, content: gzip.compress(inner(rng, gzip.decompress(content)), 1)


def in_tar(inner: Mutation) -> Mutation:
    """Damage inside one file of a tar file."""

    def mutate(rng: random.Random, content: bytes) -> bytes:
        with tarfile.open(fileobj=io.BytesIO(content)) as source:
            members = [(member, source.extractfile(member)) for member in source]
            files = [(member, file.read() if file else b"") for member, file in members]
        chosen, buffer = rng.randrange(len(files)), io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as target:
            for number, (member, text) in enumerate(files):
                new = inner(rng, text) if number == chosen else text
                member.size = len(new)
                target.addfile(member, io.BytesIO(new))
        return buffer.getvalue()

    return mutate


def in_npz(rng: random.Random, content: bytes) -> bytes:
    """Damage inside one array of an .npz file: its bytes, type, shape, values, or its JSON."""
    with zipfile.ZipFile(io.BytesIO(content)) as source:
        files = {name: source.read(name) for name in source.namelist()}
    name = rng.choice(sorted(files))
    array = np.load(io.BytesIO(files[name]), allow_pickle=False)
    kind = rng.randrange(5)
    if kind == 0:
        files[name] = of_bytes(rng, files[name])
    elif kind == 1:
        files[f"{rng.choice(sorted(files))}x.npy"] = files.pop(name)
    elif array.dtype.kind == "U" and array.ndim == 0:
        text = of_text(rng, str(array).encode()).decode(errors="replace").rstrip("\0")
        files[name] = _npy(np.array(_relabelled(rng, text)))
    else:
        files[name] = _npy(_distorted(rng, array))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        for other, part in files.items():
            target.writestr(other, part)
    return buffer.getvalue()


def _npy(array: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _distorted(rng: random.Random, array: Any) -> Any:
    """An array of another type, shape or content."""
    kind = rng.randrange(6)
    if kind == 0 and array.dtype.kind != "U":
        return array.astype(rng.choice(("f8", "i1", "u8", "U3", "?")))
    if kind == 1:
        return array.reshape(-1)[: rng.randrange(array.size + 1)]
    if kind == 2:
        return array[None]
    if kind == 3:
        return np.full_like(array, 0)
    if array.dtype.kind in "iuf" and array.size:
        with np.errstate(all="ignore"):
            found = array.astype("f8" if kind == 4 else "i8").copy()
            found.reshape(-1)[rng.randrange(found.size)] = rng.choice((-1, 2**40, 255, -32768))
        return found
    return np.empty(0)


def _relabelled(rng: random.Random, text: str) -> str:
    """JSON in which one value is another's, where it is still JSON."""
    try:
        told = json.loads(text)
        if rng.random() < 0.5 and isinstance(told, dict) and told:
            one, other = rng.choice(list(told)), rng.choice(list(told))
            told[one] = rng.choice((told[other], None, -1, 1.5, "x", [], {}, 10**30, True))
            return json.dumps(told)
    except (ValueError, RecursionError):
        pass
    return text

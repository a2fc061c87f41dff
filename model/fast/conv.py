"""Compiled loops of the fast engine's front: convolution of whole images, and lists of items.

Compiled functions call only functions of their own file: numba's cache looks no further.
"""

import math

import numpy as np
from numpy.typing import NDArray

from model.arith import Codes
from model.contract.choices import Conv
from model.contract.shapes import ConvShape
from model.jit import compiled

Maps = NDArray[np.uint8]

#: What is counted of a sample in a convolution stage, in this order; positions are those that
#: windows cover, waits those of `pool_waits` of the contract's timing.
TALLIES = ("events", "positions", "features", "feature_saturations", "waits")

#: Taps are added this many at a time. A loop of this constant length is what the compiler turns
#: into vector instructions; it unrolls shorter ones too early and leaves them scalar.
BLOCK = 64

_U = np.uint64  # unsigned indices spare the test for negative ones
_BLOCK = _U(BLOCK)


def taps(stage: Conv, shape: ConvShape, kernels: Codes) -> NDArray[np.signedinteger]:
    """Rows of taps for `convolve`: those of an event at x, then those of one at x + 1.

    A row holds the taps of a channel and a kernel row, mirrored in x and the kernel innermost, as
    an event adds them to potentials, and zeros up to whole blocks: (2 * C * R, length). Its type
    holds potentials, the sum of those of one place, and pooled cells.
    """
    length = stage.size * shape.kernels
    inhibits = stage.inhibition is not None
    # None of these has a sign.
    bits = 1 + max(shape.pooled.bits, shape.total.bits if inhibits else 0)
    kind = np.int16 if bits <= 16 else np.int32 if bits <= 32 else np.int64
    rows = kernels.transpose(1, 2, 3, 0)[:, :, ::-1].reshape(-1, length)
    found = np.zeros((2, len(rows), -(-(length + shape.kernels) // BLOCK) * BLOCK), kind)
    found[0, :, :length] = rows
    found[1, :, shape.kernels : shape.kernels + length] = rows
    return found.reshape(-1, found.shape[2])


@compiled()
def convolve(
    maps: Maps,
    rows: NDArray[np.signedinteger],
    size: int,
    padding: int,
    pool: int,
    inhibition: int,
    average: bool,
    shift: int,
    top: int,
    features: Maps,
    tallies: NDArray[np.int64],
) -> None:
    """Samples through a convolution stage: `accumulate` and `pool` of `model.conv`.

    Parameters: `maps` (n, H, W, C); `rows` that `taps` returns; `inhibition`, 0 for none;
    `features` (n, out height, out width, K), written; `tallies` (n, len(TALLIES)), written.
    """
    samples, height, width, channels = maps.shape
    kernel_count = features.shape[3]
    map_height = height + 2 * padding - size + 1
    map_width = width + 2 * padding - size + 1
    # A row of the map has a margin on either side: windows need no clipping in x.
    pitch = (width + size - 1) * kernel_count
    margin = (size - 1 - padding) * kernel_count
    potentials = np.empty(map_height * pitch + rows.shape[1], rows.dtype)
    covered = np.empty(width, np.int64)
    for x in range(width):
        covered[x] = min(map_width, x + padding + 1) - max(0, x + padding - size + 1)
    length = rows.shape[1]
    taps = rows.reshape(2, -1)
    for sample in range(samples):
        potentials[:] = 0
        events = 0
        positions = 0
        for y in range(height):
            first = max(0, y + padding - map_height + 1)
            last = min(size, y + padding + 1)
            for channel in range(channels):
                x = 0
                while x < width:
                    left = maps[sample, y, x, channel]
                    if left == 0:
                        x += 1
                        continue
                    right = maps[sample, y, x + 1, channel] if x + 1 < width else np.uint8(0)
                    events += 1
                    positions += (last - first) * covered[x]
                    if right != 0:
                        events += 1
                        positions += (last - first) * covered[x + 1]
                    for row in range(first, last):
                        to = (y + padding - row) * pitch + x * kernel_count
                        _add(
                            potentials,
                            to,
                            taps,
                            (channel * size + row) * length,
                            length,
                            left,
                            right,
                        )
                    x += 2
        tallies[sample, 0] = events
        tallies[sample, 1] = positions
        if inhibition:
            for y in range(map_height):
                _inhibit(potentials[y * pitch + margin :], map_width, kernel_count, inhibition)
        _pool(
            potentials, pitch, margin, pool, average, shift, top, features[sample], tallies[sample]
        )


@compiled(inline="always")
def _add(
    potentials: NDArray[np.signedinteger],
    to: int,
    taps: NDArray[np.signedinteger],
    start: int,
    length: int,
    left: np.uint8,
    right: np.uint8,
) -> None:
    """Add a row of taps times each of two neighbouring codes, in blocks."""
    for block in range(0, length, BLOCK):
        target, source = _U(to + block), _U(start + block)
        for tap in range(_BLOCK):
            potentials[target + tap] += (
                left * taps[_U(0), source + tap] + right * taps[_U(1), source + tap]
            )


@compiled(inline="always")
def _inhibit(
    line: NDArray[np.signedinteger], width: int, kernel_count: int, inhibition: int
) -> None:
    """Take from all kernels of a place their share of its rectified potentials.

    What is below zero before may be further below it after: `_join` rectifies.
    """
    for x in range(width):
        start = x * kernel_count
        total = 0
        for kernel in range(kernel_count):
            total += max(line[start + kernel], 0)
        share = total >> inhibition
        for kernel in range(kernel_count):
            line[start + kernel] -= share


@compiled(inline="always")
def _pool(
    potentials: NDArray[np.signedinteger],
    pitch: int,
    margin: int,
    pool: int,
    average: bool,
    shift: int,
    top: int,
    features: Maps,
    tally: NDArray[np.int64],
) -> None:
    """Rectify, pool and quantise one sample's potentials."""
    out_height, out_width, kernel_count = features.shape
    span = out_width * pool * kernel_count
    strip = np.empty(span, potentials.dtype)
    cells = np.empty(span, potentials.dtype)
    nonzero = 0
    saturated = 0
    for y in range(out_height):
        # All rows of the cells, then all columns: of every position, though a few are cells.
        strip[:] = 0
        for row in range(y * pool, (y + 1) * pool):
            line = potentials[row * pitch + margin :]
            _join(strip, line, span, average)
        cells[:] = 0
        for column in range(pool):
            _join(cells, strip[column * kernel_count :], span - column * kernel_count, average)
        for x in range(out_width):
            start = _U(x * pool * kernel_count)
            for kernel in range(_U(kernel_count)):
                feature = cells[start + kernel] >> shift
                nonzero += feature != 0
                saturated += feature > top
                features[y, x, kernel] = min(feature, top)
    tally[2] = nonzero
    tally[3] = saturated


@compiled(inline="always")
def _join(
    into: NDArray[np.signedinteger], line: NDArray[np.signedinteger], span: int, average: bool
) -> None:
    """Sum or maximum with the positive part of a line, place by place."""
    if average:
        for place in range(span):
            into[place] += max(line[place], 0)
    else:
        for place in range(span):
            into[place] = max(into[place], line[place])


@compiled()
def note_waits(
    features: Maps, lanes: int, steps: int, sums_first: bool, tallies: NDArray[np.int64]
) -> None:
    """`pool_waits` of `model.contract.timing`, sample by sample: writes the last tally.

    Parameters: `features` (n, out height, out width, K); `lanes` of a group; `steps` of a cell.
    """
    samples, height, width, kernel_count = features.shape
    groups = -(-kernel_count // lanes)
    for sample in range(samples):
        waits = 0
        sent = 0
        for y in range(height):
            for x in range(width):
                for first in range(0, kernel_count, lanes):
                    hidden = steps * (1 + groups) if sums_first and first == 0 else steps
                    waits += max(0, sent - hidden)
                    sent = 0
                    for kernel in range(first, min(first + lanes, kernel_count)):
                        sent += features[sample, y, x, kernel] != 0
        tallies[sample, 4] = waits + sent


def listed(maps: Maps, in_time: bool) -> tuple[NDArray[np.int32], NDArray[np.uint8], Codes]:
    """Codes that are not zero of (n, ...) maps as items: their places and codes, lengths (n,).

    Items come in order of place; or in order of time, the greatest codes first.
    """
    flat = maps.reshape(len(maps), math.prod(maps.shape[1:]))
    count = np.count_nonzero(flat)
    # One place more than there are items: `_in_place` writes before it decides.
    places, codes = np.empty(count + 1, np.int32), np.empty(count + 1, np.uint8)
    lengths = np.empty(len(flat), np.int64)
    fill = _in_time if in_time else _in_place
    fill(flat, places, codes, lengths)
    return places[:count], codes[:count], lengths


@compiled()
def _in_place(
    maps: Maps, places: NDArray[np.int32], codes: NDArray[np.uint8], lengths: Codes
) -> None:
    at = _U(0)
    for sample in range(len(maps)):
        start = at
        for place in range(maps.shape[1]):
            places[at] = place
            codes[at] = maps[sample, place]
            at += _U(maps[sample, place] != 0)
        lengths[sample] = at - start


@compiled()
def _in_time(
    maps: Maps, places: NDArray[np.int32], codes: NDArray[np.uint8], lengths: Codes
) -> None:
    following = np.empty(256, np.int64)
    start = 0
    for sample in range(len(maps)):
        following[:] = 0
        for code in maps[sample]:
            following[code] += 1
        # Where the next item of each code goes: after all greater codes.
        at = start
        for code in range(255, 0, -1):
            number = following[code]
            following[code] = at
            at += number
        for place in range(maps.shape[1]):
            code = maps[sample, place]
            if code != 0:
                places[following[code]] = place
                codes[following[code]] = code
                following[code] += 1
        lengths[sample] = at - start
        start = at

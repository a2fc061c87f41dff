"""Compiled loops of the fast engine's front: convolution of whole images, and lists of items.

The plain engine adds an event's kernels to the potentials that they cover. Here each potential is
the sum of its window, which is the same number: a pixel is one event, so nothing saturates on the
way. Two taps go at a time, as pairs of 16 bits whose products are added in 32 (the instruction that
processors have for it); a kernel that is another's negative costs nothing, as half of an oriented
bank is. Compiled functions call only functions of their own file: numba's cache looks no further.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

from model.arith import Codes
from model.contract.choices import Conv
from model.contract.shapes import ConvShape
from model.jit import compiled

Maps = NDArray[np.uint8]
Numbers = NDArray[np.int64]

#: What is counted of a sample in a convolution stage, in this order; positions are those that
#: windows cover, waits those of `pool_waits` of the contract's timing.
TALLIES = ("events", "positions", "features", "feature_saturations", "waits")

#: Kernels and places whose potentials are summed together, in registers: 10 of 8 places each.
KERNELS, VECTOR, VECTORS = 5, 8, 2
PLACES = VECTOR * VECTORS
#: Loops over places run on to a multiple of this: the compiler leaves the rest of a loop scalar.
WHOLE = 32

POTENTIAL_BITS = 32  #: most that `convolve` can sum

_U = np.uint64  # unsigned indices spare the test for negative ones


class Taps(NamedTuple):
    """A stage's kernels in the form that `convolve` takes; equal and opposite ones only once.

    A step adds two neighbouring taps of one kernel row and channel; rows come first, then channels.
    """

    codes: NDArray[np.int16]  #: (groups of `KERNELS`, steps, KERNELS, 2), zeros where no tap is
    source: Numbers  #: (K,) which of these kernels is meant
    sign: NDArray[np.int32]  #: (K,) 1, or -1 for its negative
    zero: NDArray[np.signedinteger]  #: (1,) of the type that holds totals and pooled cells


def taps(stage: Conv, shape: ConvShape, kernels: Codes) -> Taps:
    """The (K, C, R, R) kernels of a stage, packed."""
    places: dict[bytes, int] = {}
    source, sign = np.zeros(len(kernels), np.int64), np.ones(len(kernels), np.int32)
    for number, kernel in enumerate(kernels):
        opposite = places.get((-kernel).tobytes())
        sign[number] = 1 if opposite is None else -1
        same = places.setdefault(kernel.tobytes(), len(places)) if opposite is None else opposite
        source[number] = same
    first = np.unique(source[sign > 0], return_index=True)[1]
    single = kernels[np.flatnonzero(sign > 0)[first]]
    across = -(-stage.size // 2)
    codes = np.zeros(
        (-(-len(single) // KERNELS) * KERNELS, stage.size, shape.channels, 2 * across), np.int16
    )
    codes[: len(single), :, :, : stage.size] = single.transpose(0, 2, 1, 3)
    grouped = codes.reshape(-1, KERNELS, stage.size * shape.channels * across, 2)
    inhibits = stage.inhibition is not None
    bits = max(shape.pooled.bits, shape.total.bits if inhibits else 0)
    kind = np.int32 if bits < 32 else np.int64
    return Taps(
        np.ascontiguousarray(grouped.transpose(0, 2, 1, 3)), source, sign, np.zeros(1, kind)
    )


@compiled()
def convolve(
    maps: Maps,
    taps: Taps,
    size: int,
    padding: int,
    pool: int,
    inhibition: int,
    average: bool,
    shift: int,
    top: int,
    counted: bool,
    features: Maps,
    tallies: Numbers,
) -> None:
    """Samples through a convolution stage: `accumulate` and `pool` of `model.conv`.

    Parameters: `maps` (n, H, W, C); `inhibition`, 0 for none; `counted`, whether a code is so many
    events of one instead of one event of so much; `features` (n, out height, out width, K),
    written; `tallies` (n, len(TALLIES)), written. Potentials have at most `POTENTIAL_BITS`.
    """
    samples, height, width, channels = maps.shape
    rows, row = height + 2 * padding, width + 2 * padding
    map_height, map_width = rows - size + 1, row - size + 1
    groups, steps = taps.codes.shape[0], taps.codes.shape[1]
    # A pixel is the first of its own pair and the second of that before; one pair lies in front.
    plane = 1 + rows * row + PLACES + size
    pairs = np.zeros(2 * channels * plane, np.int16)
    offsets = np.empty(steps, np.int64)
    across = steps // (size * channels)
    for step in range(steps):
        rest = step % (channels * across)
        offset = 1 + step // (channels * across) * row + 2 * (rest % across)
        offsets[step] = offset + rest // across * plane
    # Rows of the map lie as they are pooled: the first of every cell, then the second of every one.
    pitch = -(-map_width // VECTOR) * VECTOR
    potentials = np.empty((groups * KERNELS, map_height * pitch + PLACES + WHOLE), np.int32)
    lost = np.zeros(potentials.shape[1], taps.zero.dtype)
    covered = np.empty(max(height, width), np.int64)
    for x in range(width):
        covered[x] = min(map_width, x + padding + 1) - max(0, x + padding - size + 1)
    filled = np.zeros(rows, np.bool_)
    for sample in range(samples):
        events = positions = np.int64(0)
        for y in range(height):
            to = (y + padding) * row + padding
            seen, over = _pair(maps[sample, y], pairs, to, plane, covered, counted)
            filled[y + padding] = seen > 0
            events += seen
            first, last = max(0, y + padding - size + 1), min(map_height, y + padding + 1)
            positions += over * (last - first)
        tallies[sample, 0] = events
        tallies[sample, 1] = positions
        for line in range(map_height):
            y = line % (map_height // pool) * pool + line // (map_height // pool)
            # Of the kernel rows, those that meet a pixel.
            first, last = 0, size
            while first < last and not filled[y + first]:
                first += 1
            while first < last and not filled[y + last - 1]:
                last -= 1
            for start in range(0, pitch, PLACES):
                x = max(0, min(start, pitch - PLACES))
                for group in range(groups):
                    _correlate(
                        pairs,
                        y * row + x,
                        offsets,
                        first * channels * across,
                        last * channels * across,
                        taps.codes,
                        group,
                        potentials,
                        line * pitch + x,
                    )
        if inhibition:
            _total(potentials, taps, map_height * pitch, inhibition, lost)
        _pool(
            potentials,
            taps,
            pitch,
            pool,
            lost,
            average,
            shift,
            top,
            features[sample],
            tallies[sample],
        )


@compiled(inline="always")
def _pair(
    line: Maps, pairs: NDArray[np.int16], to: int, plane: int, covered: Numbers, counted: bool
) -> tuple[int, int]:
    """Write a row of pixels; number of their events, and of windows across over these."""
    seen: Any = np.int64(0)
    over: Any = np.int64(0)
    width, channels = line.shape
    for channel in range(channels):
        at = _U(2 * (channel * plane + to))
        for x in range(_U(width)):
            code = line[x, channel]
            pairs[at + _U(2) * x + _U(1)] = code
            pairs[at + _U(2) * x + _U(2)] = code
            many = np.int64(code if counted else code != 0)
            seen += many
            over += np.int64(covered[x]) * many
    return int(seen), int(over)


def _correlation(
    context: Any,
    pairs: Any,
    at: Any,
    offsets: Any,
    first: Any,
    last: Any,
    codes: Any,
    group: Any,
    potentials: Any,
    to: Any,
) -> Any:
    """Potentials of `PLACES` neighbouring places, of a group of kernels, over some of the steps.

    ``potentials[k, to + i] = sum of pairs[at + offsets[s] + i] . codes[group, s, k]`` over steps s,
    a pair being one number of 32 bits. Written as vectors, since the compiler finds the instruction
    for sums of two products in vectors alone; it has other code where a processor lacks that.
    """
    whole = types.int64
    kinds = (pairs, whole, offsets, whole, whole, codes, whole, potentials, whole)
    return types.void(*kinds), _write_correlation


# The loops above call it like a function; numba checks the types that they give it.
_correlate: Any = intrinsic(_correlation)

_WORD, _LONG = ir.IntType(32), ir.IntType(64)
_SUMS = ir.VectorType(_WORD, VECTOR)
_HALVES = ir.VectorType(ir.IntType(16), 2 * VECTOR)
_PRODUCTS = ir.VectorType(_WORD, 2 * VECTOR)
_EVEN, _ODD = (ir.Constant(_SUMS, list(range(n, 2 * VECTOR, 2))) for n in (0, 1))


def _write_correlation(target: Any, build: ir.IRBuilder, signature: Any, values: Any) -> Any:
    """Write the instructions of `_correlate`."""
    arrays = {
        n: target.make_array(signature.args[n])(target, build, values[n]) for n in (0, 2, 5, 7)
    }
    words = {n: build.bitcast(array.data, _WORD.as_pointer()) for n, array in arrays.items()}
    grid = [(kernel, vector) for kernel in range(KERNELS) for vector in range(VECTORS)]
    totals = {place: cgutils.alloca_once_value(build, ir.Constant(_SUMS, None)) for place in grid}
    for total in totals.values():
        build.store(ir.Constant(_SUMS, None), total)
    steps = build.extract_value(arrays[2].shape, 0)
    start = build.mul(build.mul(values[6], steps), _whole(KERNELS))
    with cgutils.for_range_slice(build, values[3], values[4], _whole(1)) as (step, _):
        offset = build.load(build.gep(arrays[2].data, [step]))
        first = build.gep(words[0], [build.add(values[1], offset)])
        pixels = [_loaded(build, first, vector * VECTOR) for vector in range(VECTORS)]
        code = build.gep(words[5], [build.add(start, build.mul(step, _whole(KERNELS)))])
        weights = [_repeated(build, code, kernel) for kernel in range(KERNELS)]
        for kernel, vector in grid:
            total = totals[kernel, vector]
            added = _pair_sums(build, build.mul(pixels[vector], weights[kernel]))
            build.store(build.add(build.load(total), added), total)
    pitch = build.extract_value(arrays[7].shape, 1)
    for kernel, vector in grid:
        row = build.add(build.mul(values[6], _whole(KERNELS)), _whole(kernel))
        place = build.add(build.add(build.mul(row, pitch), values[8]), _whole(vector * VECTOR))
        to = build.bitcast(build.gep(words[7], [place]), _SUMS.as_pointer())
        build.store(build.load(totals[kernel, vector]), to, align=4)
    return target.get_dummy_value()


def _whole(number: int) -> ir.Constant:
    return ir.Constant(_LONG, number)


def _loaded(build: ir.IRBuilder, first: Any, place: int) -> Any:
    """Neighbouring pairs of pixels, each half as a number of 32 bits."""
    at = build.bitcast(build.gep(first, [_whole(place)]), _HALVES.as_pointer())
    return build.sext(build.load(at, align=4), _PRODUCTS)


def _repeated(build: ir.IRBuilder, code: Any, kernel: int) -> Any:
    """A kernel's pair of taps for every place."""
    pair = build.load(build.gep(code, [_whole(kernel)]))
    one = build.insert_element(ir.Constant(_SUMS, ir.Undefined), pair, ir.Constant(_WORD, 0))
    every = build.shuffle_vector(one, one, ir.Constant(_SUMS, None))
    return build.sext(build.bitcast(every, _HALVES), _PRODUCTS)


def _pair_sums(build: ir.IRBuilder, products: Any) -> Any:
    """The two products of each place, added."""
    even = build.shuffle_vector(products, products, _EVEN)
    return build.add(even, build.shuffle_vector(products, products, _ODD))


@compiled(inline="always")
def _total(
    potentials: NDArray[np.int32],
    taps: Taps,
    places: int,
    inhibition: int,
    lost: NDArray[np.signedinteger],
) -> None:
    """What every kernel of each place loses: its share of their rectified potentials."""
    exact = lost.dtype.type  # cuts numba's 64-bit results back: narrow types go many at a time
    whole = _U(-(-places // WHOLE) * WHOLE)
    for place in range(whole):
        lost[place] = 0
    for kernel in range(len(taps.source)):
        plane, sign = potentials[taps.source[kernel]], taps.sign[kernel]
        for place in range(whole):
            lost[place] += max(exact(plane[place] * sign), exact(0))
    bits = exact(inhibition & 31)
    for place in range(whole):
        lost[place] = exact(lost[place] >> bits)


@compiled(inline="always")
def _pool(
    potentials: NDArray[np.int32],
    taps: Taps,
    pitch: int,
    pool: int,
    lost: NDArray[np.signedinteger],
    average: bool,
    shift: int,
    top: int,
    features: Maps,
    tally: Numbers,
) -> None:
    """Rectify, inhibit, pool and quantise one sample's potentials."""
    exact = lost.dtype.type
    out_height, out_width, kernel_count = features.shape
    size = out_height * pitch
    places = _U(-(-size // WHOLE) * WHOLE)
    strip = np.zeros(places + pool, lost.dtype)
    cells = np.empty(places, lost.dtype)
    saturated = 0
    bits = exact(shift & 31)  # known to be less than the width
    for kernel in range(kernel_count):
        plane, sign = potentials[taps.source[kernel]], taps.sign[kernel]
        for place in range(places):
            strip[place] = 0
        for row in range(pool):
            line, less = plane[row * size :], lost[row * size :]
            if average:
                for place in range(places):
                    left = exact(exact(line[place] * sign) - less[place])
                    strip[place] += max(left, exact(0))
            else:
                for place in range(places):
                    left = exact(exact(line[place] * sign) - less[place])
                    strip[place] = max(strip[place], left)
        # All rows of the cells, then all columns: of every place, though a few are cells.
        for place in range(places):
            cells[place] = strip[place]
        for column in range(1, pool):
            rest = strip[column:]
            if average:
                for place in range(places):
                    cells[place] += rest[place]
            else:
                for place in range(places):
                    cells[place] = max(cells[place], rest[place])
        for place in range(places):
            cells[place] = exact(cells[place] >> bits)
        for y in range(out_height):
            for x in range(out_width):
                feature = cells[_U(y * pitch + x * pool)]
                saturated += feature > top
                features[y, x, kernel] = min(feature, top)
    nonzero = 0
    flat = features.reshape(-1)
    for at in range(len(flat)):
        nonzero += flat[at] != 0
    tally[2] = nonzero
    tally[3] = saturated


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

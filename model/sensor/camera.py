"""An emulated event camera before a picture that moves, fitted to two recordings of N-MNIST.

Integers only, compiled: every platform makes the same recording, in one to three milliseconds.

What is emulated, after G. Orchard et al., Converting Static Image Datasets to Spiking Neuromorphic
Datasets Using Saccades (2015): a picture shown dark on white, an ATIS camera on a mount that makes
three moves in 315 ms, cut to the picture and three pixels around it. A pixel fires when the
logarithm of its light has moved by a threshold from where it last fired (C. Posch et al., 2011),
and is blind for about two milliseconds after.

The path, the threshold, the dark light and the blind time were fitted to one recording, that of
training image 1 of MNIST; the other real one at hand, of image 6271, was kept for judging. Figures
made from such recordings are to be labelled emulated.
"""

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.jit import compiled
from model.sensor.decoder import EVENT
from model.sensor.recording import Events

BORDER = 3  #: pixels of the camera around the picture
SACCADE_US = 105_000  #: of each of the three moves
SACCADES = 3
MILLISECONDS = 315

Line = NDArray[np.int32]
Grid = NDArray[np.int32]

THRESHOLD = 326  #: change of the logarithm, in 1024ths, at which a pixel fires
DARK = 25  #: light of a pixel that sees black, beside the picture's 0..255
BLIND_US = 1800  #: shortest time between two events of a pixel; up to 1023 more at random
NOISE_ON = 235  #: of 256 events of noise, so many are brighter

SPEEDS = (
    *(10, 15, 28, 51, 79, 106, 130, 151, 168, 177, 181, 178, 162, 137, 102, 62, 31, 16, 10),
    *(10, 13, 20, 29, 43, 65, 85, 102, 120, 138, 149, 155, 154, 141, 117, 89, 66, 45, 29, 19, 16),
    *(15, 16, 16, 13, 13, 28),
    *(68, 119, 152, 161, 159, 159, 157, 144, 123, 98, 74, 52, 33, 18, 8, 2, 1),
)
"""Speed of the picture in steps of 5 ms, in parts of its move: a line of the table a move."""

MOVES = ((0, 19, 104, 379), (19, 46, 225, -386), (46, 63, -370, -18))
"""Of each move: first and last-plus-one step, and its way in x and y, in 64ths of a pixel."""

START = (-164, -111)
"""Where the picture stands at first, in 64ths of a pixel from the middle."""

STEP_MS = 5
FRACTION_BITS = 6  #: of a pixel, in the path
ONE = 1 << FRACTION_BITS
LIGHT_BITS = 4  #: of a grey level, after the blur
MARGIN = 8  #: white pixels that the picture may move into
REACH = BORDER + MARGIN


@cache
def path() -> NDArray[np.int64]:
    """Where the picture stands at each millisecond: (MILLISECONDS + 1, 2), x and y."""
    places = [START]
    for first, last, far_x, far_y in MOVES:
        x, y = places[-1]
        whole = STEP_MS * sum(SPEEDS[first:last])
        gone = 0
        for speed in SPEEDS[first:last]:
            for _ in range(STEP_MS):
                gone += speed
                places.append((x + far_x * gone // whole, y + far_y * gone // whole))
    return np.array(places, np.int64)


@cache
def logarithms() -> Line:
    """1024 times the natural logarithm of 1 + light / DARK, for every light of the picture.

    None comes nearer than 7 * 10^-5 to half an integer: every library of mathematics rounds alike.
    """
    top = 255 << LIGHT_BITS
    return np.array([round(1024 * math.log1p((v / 16) / DARK)) for v in range(top + 1)], np.int32)


def record(picture: NDArray[np.uint8], number: int) -> Events:
    """The recording of a picture: events in the order of their times.

    Parameters: `picture` (H, W) grey levels; `number`, which blind times and noise are drawn from.
    Returns: (n,) array of `EVENT`, x and y below W and H + 2 * BORDER, times below 315,000.
    """
    height, width = (side + 2 * BORDER for side in picture.shape)
    keys = np.empty(MILLISECONDS * (height * width + 1), np.int64)  # most that there can be
    keys = np.sort(keys[: _watch(displayed(picture), path(), logarithms(), number, keys)])
    events: Events = np.empty(len(keys), EVENT)
    events["x"], events["y"] = keys >> 17 & 0x7FFF, keys >> 2 & 0x7FFF
    events["t"], events["p"] = keys >> 32, keys & 1
    return events


def displayed(picture: NDArray[np.uint8]) -> Grid:
    """Light of a picture shown dark on white, a little blurred, with a margin: LIGHT_BITS more."""
    ink = np.pad(picture.astype(np.int64), REACH)
    for axis in (0, 1):
        ink = 2 * np.roll(ink, 1, axis) + 12 * ink + 2 * np.roll(ink, -1, axis)
    return ((255 << LIGHT_BITS) - (ink >> 8 - LIGHT_BITS)).astype(np.int32)


def counts(pictures: NDArray[np.uint8], first: int) -> NDArray[np.uint8]:
    """Events a pixel, polarity and saccade of the recordings of pictures.

    Parameters: `pictures` (n, H, W) grey levels; `first`, the number of the first of them.
    Returns: (n, H + 2 * BORDER, W + 2 * BORDER, SACCADES * 2), polarity innermost, as
    `model.sensor.recording.counts` of what `record` returns; at most 255.
    """
    count, *picture = pictures.shape
    height, width = (side + 2 * BORDER for side in picture)
    maps = np.zeros((count, height, width, SACCADES * 2), np.uint8)
    keys = np.empty(MILLISECONDS * (height * width + 1), np.int64)
    for at, one in enumerate(pictures):
        written = _watch(displayed(one), path(), logarithms(), first + at, keys)
        _count(keys[:written], maps[at])
    return maps


@compiled()
def _count(keys: NDArray[np.int64], maps: NDArray[np.uint8]) -> None:
    for key in keys:
        saccade = min((key >> 32) // SACCADE_US, SACCADES - 1)
        y, x, channel = key >> 2 & 0x7FFF, key >> 17 & 0x7FFF, 2 * saccade + (key & 1)
        maps[y, x, channel] = min(maps[y, x, channel] + 1, 255)


@compiled()
def _watch(
    light: Grid, path: NDArray[np.int64], logarithms: Line, number: int, keys: NDArray[np.int64]
) -> int:
    """Write the key of every event, millisecond by millisecond; return how many there are."""
    height, width = light.shape[0] - 2 * MARGIN, light.shape[1] - 2 * MARGIN
    fired = np.empty((height, width), np.int32)  # the logarithm at which a pixel fired last
    before = np.empty((height, width), np.int32)
    now = np.empty(width, np.int32)
    blind = np.zeros((height, width), np.int64)
    random = np.uint64(number) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x2545F4914F6CDD1D)
    count = 0
    for ms in range(len(path)):
        start = (ms - 1) * 1000
        # The picture moves right: the camera sees what was left of it.
        column, row = MARGIN * ONE - path[ms, 0], MARGIN * ONE - path[ms, 1]
        for y in range(height):
            upper = light[(row >> FRACTION_BITS) + y, column >> FRACTION_BITS :]
            lower = light[(row >> FRACTION_BITS) + y + 1, column >> FRACTION_BITS :]
            _see(upper, lower, np.int32(column % ONE), np.int32(row % ONE), logarithms, now)
            if ms == 0:
                fired[y] = now
            for x in range(width):
                moved = now[x] - fired[y, x]
                if -THRESHOLD < moved < THRESHOLD or blind[y, x] >= start + 1000:
                    continue
                fired[y, x] += THRESHOLD if moved > 0 else -THRESHOLD
                time = start
                if now[x] != before[y, x]:
                    gone = (fired[y, x] - before[y, x]) * 1000 // (now[x] - before[y, x])
                    time += max(0, min(999, gone))
                time = max(time, blind[y, x])
                random = _next(random)
                blind[y, x] = time + BLIND_US + np.int64(random >> np.uint64(54))
                keys[count] = _key(x, y, time, moved > 0)
                count += 1
            before[y] = now
        random = _next(random)
        if ms > 0 and random >> np.uint64(63):  # noise: an event in every other millisecond
            draw = np.int64(random >> np.uint64(8) & np.uint64((1 << 54) - 1))
            x, y, brighter = draw % width, draw // width % height, (draw >> 44) % 256 < NOISE_ON
            keys[count] = _key(x, y, start + (draw >> 24) % 1000, brighter)
            count += 1
    return count


@compiled(inline="always")
def _see(
    upper: Line, lower: Line, right: np.int32, down: np.int32, logarithms: Line, now: Line
) -> None:
    """Logarithms of the light of a row of pixels that lie between those of the picture."""
    one = np.int32(ONE)
    a, b = (one - down) * (one - right), (one - down) * right
    c, d = down * (one - right), down * right
    for x in range(len(now)):
        seen = a * upper[x] + b * upper[x + 1] + c * lower[x] + d * lower[x + 1]
        now[x] = logarithms[seen >> 2 * FRACTION_BITS]


@compiled(inline="always")
def _key(x: Any, y: Any, time: Any, brighter: Any) -> Any:
    """An event as an integer that sorts by time."""
    return time << 32 | x << 17 | y << 2 | brighter


@compiled(inline="always")
def _next(random: np.uint64) -> np.uint64:
    """The next state of xorshift64 (G. Marsaglia, 2003)."""
    random ^= random << np.uint64(13)
    random ^= random >> np.uint64(7)
    return random ^ random << np.uint64(17)

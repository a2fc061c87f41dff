"""Recordings of event cameras: maps of counts, and what can be told of a recording."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Events = NDArray[Any]
"""(n,) array of `EVENT`."""


def counts(
    events: Events, height: int, width: int, window_us: int, windows: int
) -> NDArray[np.uint8]:
    """Events a pixel, polarity and window: (height, width, windows * 2), polarity innermost.

    Windows are counted from time 0 on; what is later than the last goes to the last, as the tail of
    a saccade does. What lies outside the map is left out, and a count stops at 255.
    """
    inside = (events["x"] < width) & (events["y"] < height)
    events = events[inside]
    window = np.clip(events["t"] // window_us, 0, windows - 1)
    found = np.zeros((height, width, windows * 2), np.int64)
    np.add.at(found, (events["y"], events["x"], 2 * window + events["p"]), 1)
    return np.minimum(found, 255).astype(np.uint8)


INTERVALS = (5, 25, 50, 75)  #: per cent of intervals that are shorter


def statistics(events: Events, window_us: int, windows: int) -> dict[str, Any]:
    """What recordings can be compared by.

    `events`, how many; `brighter`, share; `windows`, events in each; `profile`, share of the events
    in each seventh of a window; `active` pixels and those that fire `once`; `intervals_us` between
    events of one pixel, quantiles INTERVALS; `bursts_us`, the same between those of one polarity.
    """
    x, y, t = (events[field].astype(np.int64) for field in "xyt")
    _, fired = np.unique(y << 16 | x, return_counts=True)
    order = np.lexsort((t, x, y))
    x, y, t, p = x[order], y[order], t[order], events["p"][order]
    same = (np.diff(x) == 0) & (np.diff(y) == 0)
    burst = same & (p[1:] == p[:-1])
    sevenths = np.bincount(np.clip(t * 7 // window_us, 0, 7 * windows - 1), minlength=7 * windows)
    return {
        "events": len(events),
        "brighter": float(np.mean(p)),
        "windows": sevenths.reshape(windows, 7).sum(axis=1).tolist(),
        "profile": (sevenths / len(events)).tolist(),
        "active": len(fired),
        "once": int(np.sum(fired == 1)),
        "intervals_us": _quantiles(np.diff(t)[same]),
        "bursts_us": _quantiles(np.diff(t)[burst]),
    }


def _quantiles(intervals: NDArray[np.int64]) -> list[float]:
    if not len(intervals):
        return []
    return [float(value) for value in np.percentile(intervals, INTERVALS)]

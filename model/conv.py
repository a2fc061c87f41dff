"""Event-driven convolution, rectification, inhibition, pooling. Twin: `rtl/conv.py`."""

from collections import Counter

import numpy as np

from model.arith import Codes, clipped, saturate, shift_floor
from model.contract.choices import Conv, Pooling
from model.contract.shapes import ConvShape
from model.contract.timing import conv_cycles, pool_waits


def accumulate(
    stage: Conv, shape: ConvShape, kernels: Codes, events: Codes, counts: Counter[str]
) -> Codes:
    """Add every event's kernel window to the potentials it covers.

    ``potential[y, x, k] += value * kernels[k, c, ey + padding - y, ex + padding - x]``

    Parameters: `kernels` (K, C, R, R) codes; `events` (n, 4) of x, y, channel, value.
    Returns: (map height, map width, K) codes. Potentials saturate one event at a time, which can
    only happen if events repeat a pixel. Counts: events, words, macs, potential_saturations.
    """
    potentials = np.zeros((shape.map_height, shape.map_width, shape.kernels), dtype=np.int64)
    for ex, ey, channel, value in events:
        y0, y1 = window(int(ey), stage, shape.map_height)
        x0, x1 = window(int(ex), stage, shape.map_width)
        rows = ey + stage.padding - np.arange(y0, y1)
        columns = ex + stage.padding - np.arange(x0, x1)
        taps = kernels[:, channel][:, rows][:, :, columns].transpose(1, 2, 0)
        raised = potentials[y0:y1, x0:x1] + value * taps
        potentials[y0:y1, x0:x1] = saturate(raised, shape.potential)
        positions = (y1 - y0) * (x1 - x0)
        counts["potential_saturations"] += clipped(raised, shape.potential)
        counts["words"] += positions * shape.groups
        counts["macs"] += positions * shape.kernels
    counts["events"] += len(events)
    return potentials


def window(at: int, stage: Conv, size: int) -> tuple[int, int]:
    """First and last-plus-one map coordinate whose kernel window covers input coordinate `at`."""
    return max(0, at + stage.padding - stage.size + 1), min(size, at + stage.padding + 1)


def inhibit(stage: Conv, rectified: Codes) -> Codes:
    """Kernels of one place inhibit each other: ``max(r - (sum of r over kernels >> shift), 0)``.

    What all kernels share, such as a thick stroke or a bright ground, is taken away before it is
    pooled; what one kernel alone answers stays. It is the subtractive kind of the normalisation by
    a pool of neighbours of M. Carandini and D. Heeger (2012, equation 1, which divides), with all
    kernels of a place as the pool, itself among them.

    Parameters: `rectified` (..., K) codes of at least zero. Returns: as many, none greater.
    """
    if stage.inhibition is None:
        return rectified
    total = rectified.sum(axis=-1, keepdims=True)
    return np.maximum(rectified - shift_floor(total, stage.inhibition), 0)


def pool(stage: Conv, shape: ConvShape, potentials: Codes, counts: Counter[str]) -> Codes:
    """Rectify, inhibit, pool and quantise the potentials.

    Returns: (out height, out width, K) codes: ``min(pooled >> shift, top)`` of the sum or the
    maximum of each cell. Counts: pool_words, features, feature_saturations.
    """
    cells = inhibit(stage, np.maximum(potentials, 0)).reshape(
        shape.out_height, stage.pool, shape.out_width, stage.pool, shape.kernels
    )
    pooled = cells.sum(axis=(1, 3)) if stage.pooling is Pooling.AVERAGE else cells.max(axis=(1, 3))
    shifted = shift_floor(pooled, stage.shift)
    features = saturate(shifted, shape.feature)
    counts["pool_words"] += shape.map_height * shape.map_width * shape.groups
    counts["features"] += int(np.count_nonzero(features))
    counts["feature_saturations"] += clipped(shifted, shape.feature)
    return features


def _sent(shape: ConvShape, features: Codes) -> Codes:
    """Non-zero features of each group of each cell, in order."""
    padded = np.zeros((*features.shape[:2], shape.groups * shape.lanes), dtype=np.int64)
    padded[:, :, : shape.kernels] = features
    return np.count_nonzero(padded.reshape(-1, shape.lanes), axis=1)


def convolve(
    stage: Conv, shape: ConvShape, kernels: Codes, events: Codes, counts: Counter[str]
) -> Codes:
    """One sample through the whole stage: (out height, out width, K) features."""
    sample: Counter[str] = Counter()
    features = pool(stage, shape, accumulate(stage, shape, kernels, events, sample), sample)
    waits = pool_waits(shape, _sent(shape, features).tolist())
    sample["forward_cycles"] = conv_cycles(shape, sample["events"], waits)
    counts.update(sample)
    return features


def feature_events(features: Codes) -> Codes:
    """Non-zero features as the events of the next convolution: (n, 4) of x, y, channel, value."""
    y, x, channel = np.nonzero(features)
    return np.stack([x, y, channel, features[y, x, channel]], axis=1)


def feature_items(features: Codes) -> Codes:
    """Non-zero features as the items of a layer: (n, 2) of flat index, value."""
    flat = features.reshape(-1)
    index = np.flatnonzero(flat)
    return np.stack([index, flat[index]], axis=1)

"""Learning of a fully-connected layer: the update of its weights. Twin: `rtl/learn.py`."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from model.arith import Codes, clipped, saturate, shift_stochastic
from model.contract.shapes import LayerShape
from model.contract.timing import learn_cycles
from model.lfsr import Lfsr


def update(
    shape: LayerShape,
    weights: Codes,
    items: Codes,
    modulation: Codes,
    rate: int,
    lfsr: Lfsr,
    masks: Codes,
    counts: Counter[str],
) -> Iterator[tuple[int, Codes]]:
    """Update `weights` in place; yield each word written as (address, codes of its lanes).

    ``w += floor((value * modulation + random) / 2**(rate_shift + rate))``, saturated; random is
    the LFSR's state exclusive-or the neuron's mask, and the LFSR steps once an item. Groups of
    lanes without modulation are not read; words that do not change are not written.
    Counts: all of the learning phase.
    """
    padded = np.zeros(shape.groups * shape.lanes, dtype=np.int64)
    padded[: shape.outputs] = modulation
    active = np.flatnonzero(padded.reshape(shape.groups, shape.lanes).any(axis=1))
    counts["modulated"] += int(np.count_nonzero(modulation))
    if not len(active):
        counts["learn_cycles"] += learn_cycles(False, 0, 0)
        return
    before = counts["learn_writes"]
    for index, value in items:
        change = shift_stochastic(value * modulation, shape.rate_shift + rate, lfsr.spread(masks))
        lfsr.step()
        raised = weights[index] + change
        changed = saturate(raised, shape.weight)
        counts["learn_items"] += 1
        counts["learn_reads"] += len(active)
        counts["updates"] += int(np.count_nonzero(changed != weights[index]))
        counts["weight_saturations"] += clipped(raised, shape.weight)
        yield from _written(shape, int(index), weights[index], changed, counts)
        weights[index] = changed
    writes = counts["learn_writes"] - before
    counts["learn_cycles"] += learn_cycles(True, len(items) * len(active), writes)


def _written(
    shape: LayerShape, index: int, before: Codes, after: Codes, counts: Counter[str]
) -> Iterator[tuple[int, Codes]]:
    for group in range(shape.groups):
        lanes = slice(group * shape.lanes, min((group + 1) * shape.lanes, shape.outputs))
        if (before[lanes] != after[lanes]).any():
            counts["learn_writes"] += 1
            word = np.zeros(shape.lanes, dtype=np.int64)
            word[: len(after[lanes])] = after[lanes]
            yield index * shape.groups + group, word

"""Forward pass of a fully-connected layer: its sums. Twin: `rtl/synapses.py`."""

from collections import Counter

import numpy as np

from model.arith import Codes, clipped, saturate
from model.contract.shapes import LayerShape
from model.contract.timing import forward_cycles


def accumulate(shape: LayerShape, weights: Codes, items: Codes, counts: Counter[str]) -> Codes:
    """Pre-activations ``sum of value * weights[index]`` over the (n, 2) items.

    Sums of a layer that raw events reach saturate one item at a time.
    Counts: items, words, macs, sums, sum_saturations, forward_cycles.
    """
    sums = np.zeros(shape.outputs, dtype=np.int64)
    for index, value in items:
        raised = sums + value * weights[index]
        counts["sum_saturations"] += clipped(raised, shape.sum)
        sums = saturate(raised, shape.sum)
    counts["items"] += len(items)
    counts["words"] += len(items) * shape.groups
    counts["macs"] += len(items) * shape.outputs
    counts["sums"] += shape.outputs
    counts["forward_cycles"] += forward_cycles(shape, len(items))
    return sums

"""Counters of the plain engine from the tallies of the compiled loops.

Cycle formulas are affine in what they take: at the totals of n samples they lack n - 1 constants.
"""

import numpy as np

from model.arith import Codes
from model.chip import Counts
from model.contract.config import ChipConfig
from model.contract.timing import conv_cycles, forward_cycles, learn_cycles
from model.fast.conv import TALLIES as CONV_TALLIES
from model.fast.layers import TALLIES as LAYER_TALLIES


def count_front(config: ChipConfig, counts: Counts, events: Codes, tallies: Codes) -> None:
    """Count the stages before the first layer.

    Parameters: `events` (n,) of each sample; `tallies` (n, convolution stages, `CONV_TALLIES`).
    """
    samples, windows = len(events), len(events) * config.windows
    counts["encode"].update(events=int(events.sum()), samples=samples)
    for number, shape in enumerate(config.conv_shapes):
        tally = _named(CONV_TALLIES, tallies[:, number].sum(axis=0))
        positions, waits = tally.pop("positions"), tally.pop("waits")
        words = positions * shape.groups
        cycles = conv_cycles(shape, tally["events"], waits)
        counts[shape.name].update(
            tally,
            words=words,
            macs=positions * shape.kernels,
            pool_words=windows * shape.map_height * shape.map_width * shape.groups,
            forward_cycles=cycles + (windows - 1) * conv_cycles(shape, 0, 0),
        )


def count_layers(config: ChipConfig, counts: Counts, tallies: Codes, samples: int) -> None:
    """Count the layers' work on `samples` samples; `tallies` is (layers, `LAYER_TALLIES`)."""
    sent = [*tallies[1:, LAYER_TALLIES.index("items")], 0]
    for number, shape in enumerate(config.layer_shapes):
        tally = _named(LAYER_TALLIES, tallies[number])
        items, saturations = tally["items"], tally.pop("saturations")
        learned, active = tally.pop("learned_samples"), tally.pop("active_samples")
        hidden = number < len(config.hidden)
        counts[shape.name].update(
            tally,
            words=items * shape.groups,
            macs=items * shape.outputs,
            sums=samples * shape.outputs,
            activations=int(sent[number]),
            activation_saturations=saturations if hidden else 0,
            score_saturations=0 if hidden else saturations,
            forward_cycles=forward_cycles(shape, items) + (samples - 1) * forward_cycles(shape, 0),
            learn_cycles=(learned - active) * learn_cycles(False, 0, 0)
            + active * learn_cycles(True, 0, 0)
            + tally["learn_reads"]
            + tally["learn_writes"],
        )


def _named(names: tuple[str, ...], tallies: np.ndarray) -> dict[str, int]:
    return dict(zip(names, map(int, tallies), strict=True))

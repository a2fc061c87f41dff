"""Cycles of work of each stage: the formulas behind the hardware's Timing words.

They hold whatever the back-pressure, since stalled and idle cycles are not work. The benches
measure them, and the counters of kind `WORK` carry them.
"""

from collections.abc import Sequence

from model.contract.choices import Coding
from model.contract.config import ChipConfig
from model.contract.shapes import ConvShape, LayerShape
from model.contract.stages import stage_names

STAGE_LATENCY = 16  #: cycles from a beat's arrival at a stage to its effect at the next, at most

#: From the cycle in which a potential word is asked for to the one before its cell's first feature
#: is sent, and one that sends the mark.
POOL_LATENCY = 6


def rivals_latency(shape: ConvShape) -> int:
    """Cycles that inhibition adds on the way: one for every two levels of the tree of adders.

    At least one; two where totals are read from a memory.
    """
    levels = (shape.lanes - 1).bit_length()
    least = 2 if shape.sums_first else 1
    return max(least, -(-levels // 2)) if shape.inhibits else 0


def conv_cycles(shape: ConvShape, events: int, waits: int) -> int:
    """Cycles of one sample in a convolution stage.

    A kernel word of P taps a cycle for every event and group; then a step a cycle for every group
    of every pooling cell, twice where their rivals are summed first; the `waits` of `pool_waits`;
    the way from the last word to the first feature.
    """
    cells = shape.out_height * shape.out_width
    passes = 2 if shape.sums_first else 1
    pooling = cells * passes * shape.groups * len(shape.cell)
    latency = POOL_LATENCY + rivals_latency(shape)
    return events * shape.groups * len(shape.window) + pooling + waits + latency


def pool_waits(shape: ConvShape, sent: Sequence[int]) -> int:
    """Cycles in which pooling waits for features to leave.

    Features of a cell's group leave one a cycle while the next one's words are read; so long as
    there are more of them, reading waits. For the last there is nothing to read.

    Parameters: `sent`, the non-zero features of each group of each cell, in order.
    """
    *early, last = sent
    waits = last
    for place, features in enumerate(early, start=1):
        whole = shape.sums_first and place % shape.groups == 0  # the next cell is summed first
        hidden = len(shape.cell) * (1 + shape.groups * whole)
        waits += max(0, features - hidden)
    return waits


def forward_cycles(shape: LayerShape, items: int) -> int:
    """Cycles of one sample's forward pass in a fully-connected layer.

    One a weight word, one to settle; then two a group and one a sum to read the sums out, one to
    send the mark.
    """
    return items * shape.groups + 1 + 2 * shape.groups + shape.outputs + 1


def learn_cycles(active: bool, reads: int, writes: int) -> int:
    """Cycles of one learned sample's updates in a fully-connected layer.

    One to look whether any group is active; if so one to begin, one a weight word read, one a word
    written (the memory has one port), and four until the last word is there.
    """
    return 1 + (5 + reads + writes if active else 0)


def sample_cycles(config: ChipConfig) -> int:
    """Cycles of work of the greatest sample that is no repetition, in all stages together.

    Every pixel fires, as often as it can be counted, every feature and activation is not zero,
    every group learns.
    """
    work = 0
    most = config.pixel.high if config.coding is Coding.COUNT else 1
    for shape in config.conv_shapes:
        events = shape.height * shape.width * shape.channels * most
        work += config.windows * conv_cycles(shape, events, waits=shape.features)
    for layer in config.layer_shapes:
        words = layer.inputs * layer.groups
        work += forward_cycles(layer, layer.inputs) + learn_cycles(True, words, words)
    return work


def recovery_cycles(config: ChipConfig) -> int:
    """Cycles from a drop to rest, at most, if all results are taken as they come.

    The dropped sample and, in each stage, the one before it; and the way between the stages.
    """
    return 2 * sample_cycles(config) + STAGE_LATENCY * len(stage_names(config))

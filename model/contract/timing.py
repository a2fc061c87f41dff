"""Cycles of work of each stage: the formulas behind the hardware's Timing words.

They hold whatever the back-pressure, since stalled and idle cycles are not work. The benches
measure them, and the counters of kind `WORK` carry them.
"""

from model.contract.choices import Conv
from model.contract.shapes import ConvShape, LayerShape


def conv_cycles(stage: Conv, shape: ConvShape, events: int, words: int, features: int) -> int:
    """Cycles of one sample in a convolution stage.

    One a potential word, one of rest an event (its last word is still being written), one to take
    the mark; then for each group of each pooling cell its words, one to settle, one a non-zero
    feature, one to move on; one to send the mark.
    """
    cells = shape.out_height * shape.out_width * shape.groups
    return words + events + 1 + cells * (stage.pool**2 + 2) + features + 1


def forward_cycles(shape: LayerShape, items: int) -> int:
    """Cycles of one sample's forward pass in a fully-connected layer.

    One a weight word, one to take the mark; then one a group and one a sum to read the sums out,
    one to send the mark.
    """
    return items * shape.groups + 1 + shape.groups + shape.outputs + 1


def learn_cycles(items: int, active_groups: int) -> int:
    """Cycles of one learned sample's updates in a fully-connected layer.

    One to look whether any group is active; if so two a word (read, write), groups without
    modulation skipped, and one to take the mark again.
    """
    return 1 + (2 * active_groups * items + 1 if active_groups else 0)

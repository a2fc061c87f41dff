"""Cycles of work of each stage: the formulas behind the hardware's Timing words.

They hold whatever the back-pressure, since stalled and idle cycles are not work. The benches
measure them, and the counters of kind `WORK` carry them.
"""

from model.contract.choices import Conv
from model.contract.config import ChipConfig
from model.contract.shapes import ConvShape, LayerShape
from model.contract.stages import stage_names

STAGE_LATENCY = 16  #: cycles from a beat's arrival at a stage to its effect at the next, at most


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


def sample_cycles(config: ChipConfig) -> int:
    """Cycles of work of the greatest sample that is no repetition, in all stages together.

    Every pixel fires, every feature and activation is not zero, every group learns.
    """
    work = 0
    for stage, shape in zip(config.conv, config.conv_shapes, strict=True):
        events = shape.height * shape.width * shape.channels
        words = events * stage.size**2 * shape.groups
        work += conv_cycles(stage, shape, events, words, shape.features)
    for layer in config.layer_shapes:
        work += forward_cycles(layer, layer.inputs) + learn_cycles(layer.inputs, layer.groups)
    return work


def recovery_cycles(config: ChipConfig) -> int:
    """Cycles from a drop to rest, at most, if all results are taken as they come.

    The dropped sample and, in each stage, the one before it; and the way between the stages.
    """
    return 2 * sample_cycles(config) + STAGE_LATENCY * len(stage_names(config))

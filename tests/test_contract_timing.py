"""Timing: the formulas on cases counted by hand."""

import dataclasses

from model.contract.presets import preset
from model.contract.timing import conv_cycles, forward_cycles, learn_cycles

TINY = preset("tiny")


def test_an_empty_sample_costs_a_convolution_its_scan() -> None:
    """Nine cells of two groups, each 4 words, one to settle, one to move on; mark in, mark out."""
    (stage,), (shape,) = TINY.conv, TINY.conv_shapes
    assert conv_cycles(stage, shape, events=0, words=0, features=0) == 1 + 9 * 2 * 6 + 1


def test_events_words_and_features_cost_a_cycle_each() -> None:
    (stage,), (shape,) = TINY.conv, TINY.conv_shapes
    empty = conv_cycles(stage, shape, 0, 0, 0)
    assert conv_cycles(stage, shape, events=3, words=20, features=7) == empty + 3 + 20 + 7


def test_an_item_costs_a_layer_a_cycle_a_group() -> None:
    hidden, _ = TINY.layer_shapes
    assert hidden.groups == 4
    assert forward_cycles(hidden, items=0) == 1 + 4 + 16 + 1
    assert forward_cycles(hidden, items=5) == 5 * 4 + 1 + 4 + 16 + 1


def test_learning_skips_groups_without_modulation() -> None:
    assert learn_cycles(items=5, active_groups=0) == 1
    assert learn_cycles(items=5, active_groups=3) == 1 + 2 * 3 * 5 + 1


def test_more_lanes_are_never_slower() -> None:
    slow, fast = (
        dataclasses.replace(preset("spoon"), lanes=lanes).layer_shapes[0] for lanes in (4, 16)
    )
    assert forward_cycles(fast, 180) < forward_cycles(slow, 180)

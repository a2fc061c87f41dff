"""Timing: the formulas on cases counted by hand."""

import dataclasses

import pytest

from model.contract.presets import preset
from model.contract.shapes import ConvShape
from model.contract.timing import conv_cycles, forward_cycles, learn_cycles, pool_waits

TINY = preset("tiny")


def shape(places: int, inhibition: int | None = None, lanes: int = 4) -> ConvShape:
    """The convolution of `tiny`, kernels 3 x 3 in six, cells 2 x 2 in nine, otherwise chosen."""
    (stage,) = TINY.conv
    stage = dataclasses.replace(stage, places=places, inhibition=inhibition, lanes=lanes)
    return dataclasses.replace(TINY, conv=(stage,)).conv_shapes[0]


@pytest.mark.parametrize(("places", "steps"), [(1, 4), (2, 2), (3, 2), (5, 1)])
def test_an_empty_sample_costs_a_convolution_its_scan(places: int, steps: int) -> None:
    """Nine cells of two groups, each so many steps; five to the last word's feature, the mark."""
    assert conv_cycles(shape(places), events=0, waits=0) == 9 * 2 * steps + 6


@pytest.mark.parametrize(("places", "steps"), [(1, 9), (2, 5), (3, 3), (5, 2), (9, 1)])
def test_an_event_costs_a_cycle_a_kernel_word_and_group(places: int, steps: int) -> None:
    empty = conv_cycles(shape(places), 0, 0)
    assert conv_cycles(shape(places), events=3, waits=7) == empty + 3 * 2 * steps + 7


def test_kernels_in_two_words_are_summed_before_they_are_pooled() -> None:
    """Two trips through each cell, and two cycles: four lanes are two levels, totals a memory."""
    plain = conv_cycles(shape(1), 0, 0)
    assert conv_cycles(shape(1, inhibition=2), 0, 0) == plain + 9 * 2 * 4 + 2


def test_kernels_in_one_word_cost_two_levels_of_adders_a_cycle() -> None:
    """Six lanes: three levels, two registers."""
    plain = conv_cycles(shape(1, lanes=6), 0, 0)
    assert conv_cycles(shape(1, inhibition=2, lanes=6), 0, 0) == plain + 2


def test_features_wait_for_each_other_only_where_reading_is_faster() -> None:
    """Steps of a cell of four places: 4, 2. Features 3 0 5, then 2, which nothing hides."""
    assert pool_waits(shape(1), [3, 0, 5, 2]) == 0 + 0 + 1 + 2
    assert pool_waits(shape(2), [3, 0, 5, 2]) == 1 + 0 + 3 + 2


def test_a_cell_that_is_summed_first_hides_more_of_the_one_before() -> None:
    """Two groups of four steps: the second group of a cell has 8 more until the next one's."""
    assert pool_waits(shape(1, inhibition=2), [5, 13, 5, 2]) == 1 + 1 + 1 + 2


def test_an_item_costs_a_layer_a_cycle_a_group() -> None:
    hidden, _ = TINY.layer_shapes
    assert hidden.groups == 4
    assert forward_cycles(hidden, items=0) == 1 + 2 * 4 + 16 + 1
    assert forward_cycles(hidden, items=5) == 5 * 4 + 1 + 2 * 4 + 16 + 1


def test_learning_costs_a_cycle_a_word_read_and_one_a_word_written() -> None:
    assert learn_cycles(active=False, reads=0, writes=0) == 1
    assert learn_cycles(active=True, reads=15, writes=6) == 1 + 1 + 15 + 6 + 4


def test_more_lanes_are_never_slower() -> None:
    slow, fast = (
        dataclasses.replace(preset("spoon"), lanes=lanes).layer_shapes[0] for lanes in (4, 16)
    )
    assert forward_cycles(fast, 180) < forward_cycles(slow, 180)

"""Weights: sums, updates, skipped words and their counts on cases worked by hand."""

import dataclasses
from collections import Counter

import numpy as np

from model.contract.choices import Hidden, Readout
from model.contract.config import ChipConfig
from model.contract.formats import Format
from model.contract.shapes import LayerShape
from model.learn import update
from model.lfsr import Lfsr
from model.synapses import accumulate


def layer(lanes: int = 2, rate_shift: int = 4, sum_bits: int | None = None) -> LayerShape:
    """Three inputs, four neurons."""
    config = ChipConfig(
        name="three",
        height=1,
        width=3,
        hidden=(Hidden(neurons=4, shift=3, rate_shift=rate_shift, threshold=100),),
        readout=Readout(classes=10, shift=4, rate_shift=8),
        lanes=lanes,
    )
    shape = config.layer_shapes[0]
    if sum_bits is None:
        return shape
    return dataclasses.replace(shape, sum=Format(sum_bits, signed=True))


WEIGHTS = np.array([[1, 2, 3, 4], [0, 0, 0, 0], [-5, 6, -7, 127]])
ITEMS = np.array([[0, 10], [2, 3]])


def test_sums_are_products_added_up() -> None:
    counts: Counter[str] = Counter()
    sums = accumulate(layer(), WEIGHTS, ITEMS, counts)
    assert sums.tolist() == [10 - 15, 20 + 18, 30 - 21, 40 + 381]
    assert counts == {
        "items": 2, "words": 4, "macs": 8, "sums": 4, "sum_saturations": 0,
        "forward_cycles": 2 * 2 + 1 + 2 * 2 + 4 + 1,
    }  # fmt: skip


def test_sums_saturate_item_by_item() -> None:
    """Ten bits: -512..511. 400 + 381 saturates at 511 before -889 comes."""
    items = np.array([[0, 100], [2, 3], [2, -7]])
    weights = np.array([[0, 0, 0, 4], [0] * 4, [0, 0, 0, 127]])
    counts: Counter[str] = Counter()
    sums = accumulate(layer(sum_bits=10), weights, items, counts)
    assert sums.tolist() == [0, 0, 0, 511 - 889]
    assert counts["sum_saturations"] == 1


def updated(
    modulation: list[int], *, state: int = 0xFFF0, rate: int = 0, lanes: int = 2
) -> tuple[np.ndarray, list[tuple[int, list[int]]], Counter[str], int]:
    """Weights, words written, counts and LFSR after one update without masks."""
    weights, counts, lfsr = WEIGHTS.copy(), Counter[str](), Lfsr(16, state)
    no_masks = np.zeros(4, dtype=np.int64)
    writes = update(
        layer(lanes), weights, ITEMS, np.array(modulation), rate, lfsr, no_masks, counts
    )
    return weights, [(at, word.tolist()) for at, word in writes], counts, lfsr.state


def test_an_update_is_the_product_shifted_and_rounded() -> None:
    """Random 0xFFF0 ends in zeros, then 0x7FF8 ends in 8. Item 0: 10 * 2 >> 4 = 1; item 2:
    (3 * 2 + 8) >> 4 = 0, (3 * -2 + 8) >> 4 = 0."""
    weights, writes, counts, state = updated([2, -2, 0, 0])
    assert weights.tolist() == [[2, 0, 3, 4], [0, 0, 0, 0], [-5, 6, -7, 127]]
    assert writes == [(0, [2, 0])]
    assert state == 0x3FFC
    assert counts == {
        "modulated": 2, "learn_items": 2, "learn_reads": 2, "learn_writes": 1, "updates": 2,
        "weight_saturations": 0, "learn_cycles": 1 + 1 + 2 + 1 + 4,
    }  # fmt: skip


def test_groups_without_modulation_are_not_read() -> None:
    _, writes, counts, _ = updated([0, 0, 0, 5])
    assert counts["learn_reads"] == 2
    assert [address % 2 for address, _ in writes] == [1] * len(writes)


def test_nothing_to_learn_leaves_all_alone_and_costs_a_look() -> None:
    weights, writes, counts, state = updated([0, 0, 0, 0])
    assert (weights == WEIGHTS).all()
    assert writes == []
    assert state == 0xFFF0
    assert counts == {"modulated": 0, "learn_cycles": 1}


def test_a_weight_saturates_and_is_counted() -> None:
    """Neuron 3: 127 + ((3 * 15 + 8) >> 4) = 130 -> 127: clipped, and not changed."""
    weights, _, counts, _ = updated([0, 0, 0, 15])
    assert weights[2, 3] == 127
    assert weights[0, 3] == 4 + 9
    assert counts["weight_saturations"] == 1
    assert counts["updates"] == 1


def test_the_rate_step_adds_to_the_shift() -> None:
    """Rate step 3, shift 7: random 0xFFF0 mod 128 = 112: (10 * 2 + 112) >> 7 = 1; then
    0x7FF8 mod 128 = 120: (3 * 2 + 120) >> 7 = 0."""
    weights, _, _, _ = updated([2, 0, 0, 0], rate=3)
    assert weights[:, 0].tolist() == [2, 0, -5]


def test_the_number_of_lanes_changes_no_weight() -> None:
    by_lanes = [updated([3, -9, 1, 15], lanes=lanes)[0] for lanes in (1, 2, 4)]
    assert all((weights == by_lanes[0]).all() for weights in by_lanes)


def test_padded_lanes_are_written_as_zero() -> None:
    """Ten classes on four lanes are three groups, two lanes of the last are padding."""
    config = ChipConfig(
        name="padded",
        height=1,
        width=3,
        hidden=(Hidden(neurons=4, shift=3, rate_shift=4, threshold=100),),
        readout=Readout(classes=10, shift=4, rate_shift=1),
        lanes=4,
    )
    shape = config.layer_shapes[-1]
    assert (shape.groups, shape.lanes) == (3, 4)
    weights = np.zeros((5, 10), dtype=np.int64)
    told = np.full(10, 4)
    lfsr, masks = Lfsr(16, 2), np.zeros(10, dtype=np.int64)
    writes = list(update(shape, weights, np.array([[4, 1]]), told, 0, lfsr, masks, Counter()))
    assert [(at, word.tolist()) for at, word in writes] == [
        (12, [2] * 4), (13, [2] * 4), (14, [2, 2, 0, 0]),
    ]  # fmt: skip

"""Hidden neurons: activation and modulation on cases worked by hand."""

import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest

from model.contract.choices import Activation, Gate, Hidden
from model.contract.config import ChipConfig
from model.contract.formats import Format
from model.contract.presets import preset
from model.hidden import activate, items, modulate

CODES = Format(8, signed=True, symmetric=True)
LAYER = Hidden(neurons=4, shift=3, rate_shift=6, threshold=100)


def test_hard_tanh_shifts_then_saturates() -> None:
    counts: Counter[str] = Counter()
    sums = np.array([-2000, -1017, -1016, -9, -8, -1, 0, 7, 8, 1023, 1024, 2000])
    activations = activate(LAYER, CODES, sums, counts)
    assert activations.tolist() == [-127, -127, -127, -2, -1, -1, 0, 0, 1, 127, 127, 127]
    assert counts["activation_saturations"] == 4  # -250, -128, 128, 250; -127 and 127 fit


def test_the_sign_saturates_nothing() -> None:
    counts: Counter[str] = Counter()
    layer = dataclasses.replace(LAYER, activation=Activation.SIGN)
    activations = activate(
        layer, Format(2, signed=True, symmetric=True), np.array([-9, 0, 9]), counts
    )
    assert activations.tolist() == [-1, 1, 1]
    assert not counts


def test_only_activations_that_are_not_zero_travel_and_the_bias_comes_last() -> None:
    activations = np.array([0, -3, 0, 5])
    assert items(activations, None).tolist() == [[1, -3], [3, 5]]
    assert items(activations, 127).tolist() == [[1, -3], [3, 5], [4, 127]]
    assert items(np.zeros(2, dtype=np.int64), 1).tolist() == [[2, 1]]
    assert items(np.zeros(2, dtype=np.int64), None).shape == (0, 2)


def chip(rule: str, gate: Gate = Gate.BOX, **learning: Any) -> ChipConfig:
    """The small chip with that learning."""
    config = preset("tiny").with_rule(rule)
    chosen = dataclasses.replace(config.learning, gate=gate, **learning)
    return dataclasses.replace(config, learning=chosen)


def told(config: ChipConfig, projection: Any, error: Any, sums: Any, random: int = 0) -> list[int]:
    """The modulation of four neurons for label 1."""
    numbers = np.full(4, random)
    return modulate(
        config, LAYER, np.array(projection), 1, np.array(error), np.array(sums), numbers
    ).tolist()


SELECTED = [[9, 9, 9, 9], [1, -1, 1, 0]]


def test_drtp_selects_the_label_s_row() -> None:
    assert told(chip("drtp"), SELECTED, [0, 0], [0, 0, 0, 0]) == [1, -1, 1, 0]


@pytest.mark.parametrize(
    ("gate", "sums", "modulation"),
    [
        (Gate.BOX, [99, -99, 100, 0], [1, -1, 0, 0]),
        (Gate.BOX, [-99, 99, -100, 0], [1, -1, 0, 0]),
        (Gate.BOX, [-100, 100, 0, 0], [0, 0, 1, 0]),
        (Gate.ONE_SIDED, [99, -99, 100, 0], [1, -1, 0, 0]),
        (Gate.ONE_SIDED, [-100, 100, 0, 0], [1, -1, 1, 0]),
        (Gate.ONE_SIDED, [100, -100, 5000, 0], [0, 0, 0, 0]),
        (Gate.ONE_SIDED, [-5000, 5000, -5000, 0], [1, -1, 1, 0]),
    ],
)
def test_the_gate_closes_at_the_threshold(
    gate: Gate, sums: list[int], modulation: list[int]
) -> None:
    assert told(chip("drtp", gate), SELECTED, [0, 0], sums) == modulation


def test_the_label_s_own_error_scales_the_modulation() -> None:
    """Error 200 of label 1, shift 6: 200 = 3 * 64 + 8 goes up from a random number of 56 on,
    -200 = -4 * 64 + 56 from 8 on; only its last six bits count."""
    config = chip("drtp-scaled")
    for random, one, minus_one in ((0, 3, -4), (7, 3, -4), (8, 3, -3), (55, 3, -3), (56, 4, -3)):
        for more in (0, 64, 64000):
            modulation = told(config, SELECTED, [7, 200], [0] * 4, random + more)
            assert modulation == [one, minus_one, one, 0]
    assert told(config, SELECTED, [7, 0], [0] * 4, random=63) == [0, 0, 0, 0]


def test_a_scaled_modulation_saturates() -> None:
    config = chip("drtp-scaled", error_shift=3)
    assert told(config, SELECTED, [0, 255], [0] * 4) == [15, -15, 15, 0]


PROJECTION = [[1, -1, 1], [-1, 0, 0], [0, 1, 1], [1, 1, 1]]


def test_dfa_projects_the_signs_of_loud_errors() -> None:
    """Threshold 48: errors [48, -255, 47] count as [1, -1, 0]."""
    config = chip("dfa", error_threshold=48)
    assert told(config, PROJECTION, [48, -255, 47], [0] * 4) == [2, -1, -1, 0]


def test_sdfa_projects_the_signs_of_all_errors() -> None:
    """Errors [48, -255, 1] count as [1, -1, 1]."""
    config = chip("sdfa", error_threshold=48)
    assert told(config, PROJECTION, [48, -255, 1], [0] * 4) == [3, -1, 0, 1]


def test_no_error_no_modulation() -> None:
    assert told(chip("sdfa"), PROJECTION, [0, 0, 0], [0] * 4) == [0, 0, 0, 0]


def test_a_projected_modulation_passes_the_gate_by_its_sign() -> None:
    config = chip("sdfa", Gate.ONE_SIDED)
    assert told(config, PROJECTION, [48, -255, 1], [100, 100, 100, 100]) == [0, -1, 0, 0]
    assert told(config, PROJECTION, [48, -255, 1], [-100] * 4) == [3, 0, 0, 1]

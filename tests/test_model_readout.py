"""Readout: scores, class and error on cases worked by hand."""

from collections import Counter

import numpy as np
import pytest

from model.contract.choices import Readout
from model.readout import classify, error, score

LAYER = Readout(classes=5, shift=4, rate_shift=8)


def test_a_score_is_a_hard_sigmoid() -> None:
    counts: Counter[str] = Counter()
    sums = np.array([-2049, -2048, -1, 0, 15, 16, 2047, 2048])
    assert score(LAYER, sums, counts).tolist() == [0, 0, 127, 128, 128, 129, 255, 255]
    assert counts["score_saturations"] == 2


@pytest.mark.parametrize(
    ("sums", "label"),
    [([1, 3, 2], 1), ([3, 1, 3], 0), ([0, 0, 0], 0), ([-5, -4, -4], 1), ([9000, 9001, 0], 1)],
)
def test_the_class_is_the_first_of_the_greatest_sums(sums: list[int], label: int) -> None:
    """Also where both scores saturate, as 9000 and 9001 do."""
    assert classify(np.array(sums)) == label


def test_an_error_is_the_target_less_the_score() -> None:
    assert error(np.array([0, 100, 255]), 1).tolist() == [0, 155, -255]


def test_a_score_that_is_right_has_no_error() -> None:
    assert error(np.array([0, 255, 0]), 1).tolist() == [0, 0, 0]

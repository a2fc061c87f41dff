"""Arithmetic against Python's own integers and fractions, exhaustively on small formats."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.arith import clipped, hard_sigmoid, saturate, shift_floor, shift_stochastic, sign
from model.contract.formats import Format

FORMATS = [
    Format(bits, signed=signed, symmetric=symmetric)
    for bits in range(1, 7)
    for signed, symmetric in ((False, False), (True, False), (True, True))
    if not symmetric or bits > 1
]
WIDE = range(-300, 301)


@pytest.mark.parametrize("to", FORMATS, ids=str)
def test_saturation_gives_the_nearest_code(to: Format) -> None:
    for wide in WIDE:
        distance = {code: abs(code - wide) for code in to.span}
        assert saturate(wide, to) == min(distance, key=distance.__getitem__)


@pytest.mark.parametrize("to", FORMATS, ids=str)
def test_clipped_counts_what_saturation_changes(to: Format) -> None:
    assert clipped(WIDE, to) == sum(wide not in to.span for wide in WIDE)


@pytest.mark.parametrize("shift", range(9))
def test_a_shift_is_the_floor_of_the_quotient(shift: int) -> None:
    floors = [math.floor(Fraction(code, 2**shift)) for code in WIDE]
    assert shift_floor(WIDE, shift).tolist() == floors


@given(st.integers(-(2**62), 2**62), st.integers(0, 62))
def test_a_shift_is_the_floor_for_wide_codes_too(code: int, shift: int) -> None:
    assert int(shift_floor(code, shift)) == math.floor(Fraction(code, 2**shift))


@pytest.mark.parametrize("shift", range(7))
def test_stochastic_rounding_has_the_exact_expectation(shift: int) -> None:
    """Over all random numbers of the lost bits the mean is the quotient itself, not nearly so."""
    randoms = np.arange(2**shift)
    for code in WIDE:
        rounded = shift_stochastic(np.full(2**shift, code), shift, randoms)
        assert Fraction(int(rounded.sum()), 2**shift) == Fraction(code, 2**shift)
        below = math.floor(Fraction(code, 2**shift))
        assert set(rounded.tolist()) <= {below, below + 1}


@pytest.mark.parametrize("shift", range(7))
def test_what_needs_no_rounding_is_not_rounded(shift: int) -> None:
    for code, random in itertools.product(range(-4, 5), range(2**shift)):
        assert int(shift_stochastic(code << shift, shift, random)) == code


@given(st.integers(-(2**40), 2**40), st.integers(0, 24), st.integers(0, 2**32 - 1))
def test_only_the_lost_bits_of_the_random_number_count(code: int, shift: int, random: int) -> None:
    lost = random % 2**shift
    rounded = int(shift_stochastic(code, shift, random))
    assert rounded == math.floor(Fraction(code + lost, 2**shift))


@pytest.mark.parametrize("shift", range(6))
def test_the_hard_sigmoid_is_a_clipped_line_through_the_middle(shift: int) -> None:
    to = Format(5)
    for code in WIDE:
        line = math.floor(Fraction(code, 2**shift)) + 16
        assert int(hard_sigmoid(code, shift, to)) == min(max(line, 0), 31)


def test_the_sign_of_zero_is_positive() -> None:
    assert sign([-2, -1, 0, 1, 2]).tolist() == [-1, -1, 1, 1, 1]


def test_operators_return_64_bit_codes() -> None:
    small = np.array([100, -100], dtype=np.int8)
    for codes in (
        saturate(small, Format(4)),
        shift_floor(small, 1),
        shift_stochastic(small, 1, small),
        hard_sigmoid(small, 1, Format(8)),
        sign(small),
    ):
        assert codes.dtype == np.int64

"""Formats: spans are what two's complement holds; impossible formats are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.contract.formats import Format, signed_format
from model.contract.refusal import Refusal


@pytest.mark.parametrize(
    ("code", "low", "high"),
    [
        (Format(1), 0, 1),
        (Format(8), 0, 255),
        (Format(1, signed=True), -1, 0),
        (Format(8, signed=True), -128, 127),
        (Format(8, signed=True, symmetric=True), -127, 127),
        (Format(2, signed=True, symmetric=True), -1, 1),
        (Format(64, signed=True), -(2**63), 2**63 - 1),
    ],
)
def test_a_span_is_every_code(code: Format, low: int, high: int) -> None:
    assert (code.low, code.high) == (low, high)
    assert code.span == range(low, high + 1)


@given(st.integers(1, 63), st.booleans())
def test_a_span_has_as_many_codes_as_bits_allow(bits: int, signed: bool) -> None:
    span = Format(bits, signed=signed).span
    assert span[-1] - span[0] + 1 == 2**bits
    assert 0 in span


@given(st.integers(2, 64))
def test_a_symmetric_format_is_closed_under_negation(bits: int) -> None:
    code = Format(bits, signed=True, symmetric=True)
    assert -code.low == code.high


@given(st.integers(0, 2**62))
def test_a_signed_format_is_the_narrowest_that_holds_its_bound(bound: int) -> None:
    code = signed_format(bound)
    assert code.low <= -bound
    assert bound <= code.high
    if code.bits > 1:
        assert bound > Format(code.bits - 1, signed=True).high


@pytest.mark.parametrize("bits", [0, -1, 65])
def test_a_width_out_of_range_is_refused(bits: int) -> None:
    with pytest.raises(Refusal) as refusal:
        Format(bits)
    assert str(refusal.value) == f"a format must have 1 to 64 bits, not {bits}"


@pytest.mark.parametrize(("bits", "signed"), [(8, False), (1, True)])
def test_a_symmetric_format_must_be_signed_and_hold_two_bits(bits: int, signed: bool) -> None:
    with pytest.raises(Refusal) as refusal:
        Format(bits, signed=signed, symmetric=True)
    message = "only a signed format of at least 2 bits can be symmetric"
    assert str(refusal.value) == message

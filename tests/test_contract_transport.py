"""Byte protocol: the bytes the table tells, and idle bytes that bring any host back in step."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.contract import transport as contract

ADDRESSES = st.integers(0, 4095)
WORDS = st.integers(0, (1 << 32) - 1)
REQUESTS = st.one_of(
    ADDRESSES.map(contract.read_request),
    st.tuples(ADDRESSES, WORDS).map(lambda both: contract.write_request(*both)),
    WORDS.map(contract.word_request),
)


@pytest.mark.parametrize(
    ("request_bytes", "hexadecimal"),
    [
        (contract.read_request(0x104), "1104"),
        (contract.read_request(0xFFC), "1ffc"),
        (contract.write_request(0x018, 0x12345678), "201878563412"),
        (contract.word_request(0x80000103), "3003010080"),
    ],
)
def test_requests_are_the_bytes_that_the_table_tells(
    request_bytes: bytes, hexadecimal: str
) -> None:
    assert request_bytes.hex() == hexadecimal


@pytest.mark.parametrize(
    ("first", "count"),
    [
        *((0x10, 5), (0x40, 5), (0x00, 1), (0x20, 1), (0x30, 1)),
        *((0x1E, 1), (0x2E, 1), (0xF1, 1), (0xF2, 1)),
    ],
)
def test_the_first_byte_tells_how_long_a_message_is(first: int, count: int) -> None:
    assert contract.message_bytes(first) == count


def test_nothing_else_begins_a_message() -> None:
    known = {0x10, 0x40, 0x00, 0x20, 0x30, 0x1E, 0x2E, 0xF1, 0xF2}
    assert {first for first in range(256) if contract.message_bytes(first)} == known


@given(st.lists(REQUESTS, max_size=6))
def test_no_whole_requests_hold_as_many_zeros_as_bring_the_chip_in_step(
    requests: list[bytes],
) -> None:
    assert not re.search(rb"\x00{%d}" % contract.RESYNC, b"".join(requests))


@given(REQUESTS)
def test_so_many_zeros_finish_any_request_that_was_begun(request: bytes) -> None:
    assert len(request) - 1 <= contract.RESYNC

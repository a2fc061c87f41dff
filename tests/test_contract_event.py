"""Event words: packing loses nothing, and the fields lie where the table says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.contract.event import ABORT, WINDOW, Event, Mark, pack_event, pack_mark, unpack


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        (0x00000000, Event(0, 0, 0, 0)),
        (0x00000001, Event(1, 0, 0, 0)),
        (0x000003FF, Event(1023, 0, 0, 0)),
        (0x00000400, Event(0, 1, 0, 0)),
        (0x00100000, Event(0, 0, 1, 0)),
        (0x00700000, Event(0, 0, 7, 0)),
        (0x00800000, Event(0, 0, 0, 1)),
        (0x7FFFFFFF, Event(1023, 1023, 7, 255)),
        (0x80000000, Mark(0, False, 0)),
        (0x80000009, Mark(9, False, 0)),
        (0x80000109, Mark(9, True, 0)),
        (0x80000FFF, Mark(255, True, 7)),
        (0x80000602, Mark(2, False, 3)),
        (0x80001000, ABORT),
        (0x80001FFF, Mark(255, True, 7, abort=True)),
        (0x80002000, WINDOW),
        (0x80003FFF, Mark(255, True, 7, abort=True, window=True)),
    ],
)
def test_fields_lie_where_the_table_says(word: int, meaning: Event | Mark) -> None:
    assert unpack(word) == meaning
    assert type(unpack(word)) is type(meaning)
    packed = pack_event(meaning) if isinstance(meaning, Event) else pack_mark(meaning)
    assert packed == word


def test_every_mark_comes_back() -> None:
    marks = [
        Mark(label, learn, rate, abort)
        for label in range(256)
        for learn in (False, True)
        for rate in range(8)
        for abort in (False, True)
    ]
    words = [pack_mark(mark) for mark in marks]
    assert [unpack(word) for word in words] == marks
    assert len(set(words)) == len(marks)


@given(
    st.builds(
        Event, st.integers(0, 1023), st.integers(0, 1023), st.integers(0, 7), st.integers(0, 255)
    )
)
def test_every_event_comes_back(event: Event) -> None:
    assert unpack(pack_event(event)) == event


@given(st.integers(0, 2**31 - 1))
def test_every_word_of_an_event_comes_back(word: int) -> None:
    event = unpack(word)
    assert isinstance(event, Event)
    assert pack_event(event) == word


@given(st.integers(2**31, 2**32 - 1))
def test_unused_bits_of_a_mark_mean_nothing(word: int) -> None:
    mark = unpack(word)
    assert isinstance(mark, Mark)
    assert pack_mark(mark) == word & 0x80003FFF


@given(*[st.integers(0, 2**20)] * 4)
def test_fields_are_cut_to_their_width(x: int, y: int, channel: int, time: int) -> None:
    assert unpack(pack_event(Event(x, y, channel, time))) == (
        Event(x % 1024, y % 1024, channel % 8, time % 256)
    )
    assert unpack(pack_mark(Mark(x, True, y))) == Mark(x % 256, True, y % 8)

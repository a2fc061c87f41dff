"""Encoding: images become events, and malformed events stay at the door."""

import dataclasses

import numpy as np
import pytest

from model.contract import event
from model.contract.choices import Coding, Conv, Hidden, Readout
from model.contract.config import ChipConfig
from model.contract.event import WINDOW, Event, Mark, pack_event, pack_mark
from model.contract.refusal import Refusal
from model.encode import admit, verdicts
from model.sensor.image import image_events, sample_words


def chip(height: int, width: int) -> ChipConfig:
    """A chip whose convolution does nothing."""
    return ChipConfig(
        name="door",
        height=height,
        width=width,
        conv=(Conv(kernels=1, size=1),),
        hidden=(Hidden(neurons=4, shift=3, rate_shift=6, threshold=512),),
        readout=Readout(classes=10, shift=8, rate_shift=11),
        lanes=4,
    )


def test_brighter_pixels_come_first_then_row_by_row() -> None:
    config = chip(2, 2)
    image = np.array([[[5], [0]], [[200], [200]]], dtype=np.uint8)
    events = admit(config, sample_words(config, image, 3, True, 2))
    assert events.events.tolist() == [[0, 1, 0, 200], [1, 1, 0, 200], [0, 0, 0, 5]]
    assert events.mark == Mark(3, True, 2)
    assert not events.faulty


def test_pixels_are_cut_to_the_bits_of_the_chip() -> None:
    config = dataclasses.replace(chip(1, 4), pixel_bits=2)
    image = np.array([[[63], [64], [191], [255]]], dtype=np.uint8)
    values = admit(config, sample_words(config, image, 0, False)).events
    assert values.tolist() == [[3, 0, 0, 3], [2, 0, 0, 2], [1, 0, 0, 1]]


@pytest.mark.parametrize("bits", range(1, 9))
def test_every_pixel_code_but_zero_comes_through(bits: int) -> None:
    config = dataclasses.replace(chip(16, 16), pixel_bits=bits)
    image = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    events = admit(config, sample_words(config, image, 0, False)).events
    got = {int(y) * 16 + int(x): int(value) for x, y, _, value in events}
    assert got == {p: p >> (8 - bits) for p in range(256) if p >> (8 - bits)}


TIME, X, Y, CHANNEL = 1 << 23, 1, 1 << 10, 1 << 20
GOOD, MARK = 5 * TIME, 1 << 31


@pytest.mark.parametrize(
    ("words", "dropped"),
    [
        ([GOOD], 0),
        ([GOOD + 2 * X], 1),
        ([GOOD + 2 * Y], 1),
        ([GOOD + CHANNEL], 1),
        ([255 * TIME], 1),
        ([254 * TIME], 0),
        ([GOOD, GOOD], 0),
        ([GOOD, GOOD - TIME], 1),
        ([GOOD, 200 * TIME + 3 * X, GOOD], 1),  # a dropped event does not move the clock
    ],
)
def test_malformed_events_are_dropped(words: list[int], dropped: int) -> None:
    config = chip(2, 2)
    admitted = admit(config, [*words, MARK])
    assert admitted.dropped == dropped
    assert len(admitted.events) == len(words) - dropped
    assert admitted.faulty == (dropped > 0)


def test_a_chip_without_convolution_takes_no_more_events_than_pixels() -> None:
    config = dataclasses.replace(chip(1, 2), conv=())
    admitted = admit(config, [GOOD] * 3 + [MARK])
    assert (len(admitted.events), admitted.dropped) == (2, 1)


@pytest.mark.parametrize(
    ("mark", "learn", "refused"),
    [
        (0x100 + 9, True, False),
        (0x100 + 10, False, True),  # no such class
        (0x100 + 0x600, True, False),
        (0x100 + 0x800, False, True),  # no such rate step
        (10, False, False),  # nobody asked to learn it
    ],
)
def test_a_mark_that_cannot_be_learned_is_refused(mark: int, learn: bool, refused: bool) -> None:
    admitted = admit(chip(2, 2), [GOOD, MARK + mark])
    assert admitted.mark.learn == learn
    assert (admitted.refused, admitted.faulty) == (refused, refused)


@pytest.mark.parametrize("mark", [0x1000, 0x1100 + 9, 0x1100 + 200])
def test_an_aborted_sample_is_not_learned_and_not_refused(mark: int) -> None:
    admitted = admit(chip(2, 2), [GOOD, GOOD + 2 * X, MARK + mark])
    assert (admitted.mark.abort, admitted.mark.learn, admitted.refused) == (True, False, False)
    assert (len(admitted.events), admitted.dropped) == (1, 1)


def test_a_frozen_chip_learns_nothing_and_refuses_nothing() -> None:
    for mark in (0x100 + 9, 0x100 + 200):
        admitted = admit(chip(2, 2), [GOOD, MARK + mark], freeze=True)
        assert (admitted.mark.learn, admitted.refused) == (False, False)


def test_a_mark_brings_a_verdict_but_an_abort_mark_none() -> None:
    words = np.array([GOOD, 0x1000, MARK, GOOD, MARK + 0x1100, MARK + 0xFFF], dtype=np.uint32)
    assert [verdicts(words[:end]) for end in range(7)] == [0, 0, 0, 1, 1, 1, 2]


def test_a_chip_that_cannot_learn_refuses_nothing() -> None:
    config = chip(2, 2).with_rule("none")
    admitted = admit(config, [GOOD, MARK + 0x100 + 200])
    assert (admitted.mark.learn, admitted.refused) == (False, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([GOOD], "a sample must end with a mark; append one to its events"),
        (
            [GOOD, MARK, GOOD, MARK],
            "a sample must have one mark, at its end; split the words at the marks",
        ),
    ],
)
def test_words_that_are_no_sample_are_refused(words: list[int], message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        admit(chip(2, 2), words)
    assert str(refusal.value) == message


def test_a_dark_image_has_no_events() -> None:
    config = chip(2, 2)
    assert len(image_events(config, np.zeros((2, 2, 1), dtype=np.uint8))) == 0


def test_an_image_of_another_chip_cannot_pass_unseen() -> None:
    """Events outside the chip's input are dropped at the door, and counted."""
    small, large = chip(2, 2), chip(3, 3)
    image = np.full((3, 3, 1), 9, dtype=np.uint8)
    admitted = admit(small, sample_words(large, image, 0, False))
    assert (len(admitted.events), admitted.dropped, admitted.faulty) == (4, 5, True)


# -- counts and windows -------------------------------------------------------------------------


def counting(windows: int = 1, pixel_bits: int = 2) -> ChipConfig:
    """A chip of two channels whose events count."""
    return dataclasses.replace(
        chip(2, 2), coding=Coding.COUNT, channels=2, windows=windows, pixel_bits=pixel_bits
    )


def test_a_count_is_so_many_events_of_one_and_stops_at_the_top() -> None:
    counts = np.zeros((2, 2, 2), np.uint8)
    counts[0, 1] = 2, 1
    counts[1, 0, 1] = 9  # two bits: three events
    admitted = admit(counting(), sample_words(counting(), counts, 0, False))
    assert admitted.events.tolist() == [
        *([1, 0, 0, 1], [1, 0, 1, 1], [0, 1, 1, 1]),  # the first of each pixel, then the second
        *([1, 0, 0, 1], [0, 1, 1, 1]),
        [0, 1, 1, 1],
    ]
    assert not admitted.faulty


def test_counted_events_have_any_time_that_is_in_order() -> None:
    times = [3, 255, 255, 254]
    words = [pack_event(Event(0, 0, 1, time)) for time in times]
    admitted = admit(counting(), [*words, pack_mark(Mark(0, False))])
    assert admitted.events.tolist() == [[0, 0, 1, 1]] * 3
    assert admitted.dropped == 1


def test_windows_have_times_and_ends_of_their_own() -> None:
    counts = np.zeros((2, 2, 6), np.uint8)
    counts[0, 0] = 1, 0, 0, 0, 2, 1
    words = sample_words(counting(windows=3), counts, 4, True)
    assert [event.unpack(int(word)) for word in words] == [
        *(Event(0, 0, 0, 0), WINDOW, WINDOW),
        *(Event(0, 0, 0, 0), Event(0, 0, 1, 0), Event(0, 0, 0, 1), Mark(4, True)),
    ]
    admitted = admit(counting(windows=3), words)
    assert admitted.ends == [1, 1, 4]
    assert admitted.events[:, 2].tolist() == [0, 0, 1, 0]


def test_times_begin_anew_in_a_window() -> None:
    late, early = (pack_event(Event(0, 0, 0, time)) for time in (200, 0))
    words = [late, pack_mark(WINDOW), early, pack_mark(Mark(0, False))]
    assert admit(counting(windows=2), words).ends == [1, 2]


@pytest.mark.parametrize("windows", [1, 2])
def test_a_window_too_many_is_dropped(windows: int) -> None:
    one, end = pack_event(Event(0, 0, 0, 0)), pack_mark(WINDOW)
    admitted = admit(counting(windows), [one, *[end, one] * windows, pack_mark(Mark(0, False))])
    assert admitted.dropped == 1
    assert admitted.ends == [*range(1, windows), windows + 1]
    assert admitted.faulty


def test_a_sample_does_not_end_with_a_window() -> None:
    with pytest.raises(Refusal, match="must end with a mark"):
        admit(counting(windows=2), [pack_mark(WINDOW)])

"""The 32-bit input word: an event, or the mark that ends a sample.

Events of a sample come in order of time; the mark closes the sample and carries its label, so
everything that a sample needs travels in one stream and nothing depends on when it arrives.

| bits  | event             | mark                                            |
|-------|-------------------|-------------------------------------------------|
| 31    | 0                 | 1                                               |
| 30-23 | time              | unused                                          |
| 22-20 | channel           | unused                                          |
| 19-10 | y                 | 13 window; 12 abort; 11-9 rate step; 8 learn    |
| 9-0   | x                 | 7-0 label                                       |

Coding first_spike, time to first spike: a pixel of code q fires at ``t = top - q`` with
``top = 2**pixel_bits - 1``: brighter is earlier, zero never fires. An event is malformed, dropped,
counted and flagged if its coordinates lie outside the chip's input, its time is not before `top`,
its time is before that of the last well-formed event of the sample, or the sample has reached
`ChipConfig.event_limit`. A mark whose label is no class, or whose rate step the schedule does not
know, is classified but not learned, and counted.

Coding count: an event is worth one whenever it comes, and time only orders: any time will do that
is not before the last one's. Polarity is the channel, its sign that of the channel's kernels.

A mark with `abort` takes back the sample that it ends: it passes through the chip as others do, but
nothing is learned from it and no result comes of it; its other fields mean nothing.

A mark with `window` ends a window and not the sample: what the potentials hold is pooled and sent
on, and they begin anew, as times do; its other fields mean nothing. A sample of a chip of W windows
has at most W - 1 of them; one more is malformed, and dropped as a malformed event is.
"""

from typing import Any, NamedTuple

VERSION = 2  #: of this word; the first had no abort, no windows
WORD_BITS = 32
X_BITS, Y_BITS, CHANNEL_BITS, TIME_BITS = 10, 10, 3, 8
LABEL_BITS, RATE_BITS = 8, 3

X_AT = 0
Y_AT = X_AT + X_BITS
CHANNEL_AT = Y_AT + Y_BITS
TIME_AT = CHANNEL_AT + CHANNEL_BITS
MARK_AT = 31
LABEL_AT = 0
LEARN_AT = LABEL_AT + LABEL_BITS
RATE_AT = LEARN_AT + 1
ABORT_AT = RATE_AT + RATE_BITS
WINDOW_AT = ABORT_AT + 1


LOST = (1 << MARK_AT) - 1
"""What stands in the stream for an event that was lost on its way: it lies outside any input."""


class Event(NamedTuple):
    """A pixel that fires: coordinates, channel, time code."""

    x: int
    y: int
    channel: int
    time: int


class Mark(NamedTuple):
    """End of a sample: label, whether to learn it, step of the rate schedule; or abort.

    With `window`, the end of one of its windows.
    """

    label: int
    learn: bool
    rate: int = 0
    abort: bool = False
    window: bool = False


ABORT = Mark(0, learn=False, abort=True)  #: takes back the sample before it
WINDOW = Mark(0, learn=False, window=True)  #: ends a window of a sample that goes on


def pack_event(event: Event) -> int:
    """The word of an event; fields are cut to their width."""
    word = 0
    for value, at, bits in (
        (event.x, X_AT, X_BITS),
        (event.y, Y_AT, Y_BITS),
        (event.channel, CHANNEL_AT, CHANNEL_BITS),
        (event.time, TIME_AT, TIME_BITS),
    ):
        word |= (value & ((1 << bits) - 1)) << at
    return word


def pack_mark(mark: Mark) -> int:
    """The word of a mark; fields are cut to their width."""
    label = mark.label & ((1 << LABEL_BITS) - 1)
    rate = mark.rate & ((1 << RATE_BITS) - 1)
    flags = bool(mark.window) << WINDOW_AT | bool(mark.abort) << ABORT_AT
    flags |= bool(mark.learn) << LEARN_AT
    return 1 << MARK_AT | flags | rate << RATE_AT | label << LABEL_AT


def ends_sample(words: Any) -> Any:
    """1 where a word, or each of an array of them, is the mark of a whole sample, else 0."""
    return words >> MARK_AT & ~(words >> WINDOW_AT) & 1


def unpack(word: int) -> Event | Mark:
    """The event or mark that a word stands for."""

    def field(at: int, bits: int) -> int:
        return word >> at & ((1 << bits) - 1)

    if field(MARK_AT, 1):
        label, learn = field(LABEL_AT, LABEL_BITS), bool(field(LEARN_AT, 1))
        flags = bool(field(ABORT_AT, 1)), bool(field(WINDOW_AT, 1))
        return Mark(label, learn, field(RATE_AT, RATE_BITS), *flags)
    return Event(
        field(X_AT, X_BITS),
        field(Y_AT, Y_BITS),
        field(CHANNEL_AT, CHANNEL_BITS),
        field(TIME_AT, TIME_BITS),
    )

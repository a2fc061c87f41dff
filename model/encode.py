"""Event encoding: images to time-to-first-spike events, and the guard at the chip's door.

Twin: `rtl/encode.py` (the guard; images become events before they reach the chip).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.arith import Codes
from model.contract import event
from model.contract.config import ChipConfig, Rule
from model.contract.event import Event, Mark
from model.contract.refusal import Refusal

Words = NDArray[np.uint32]


def pixel_codes(config: ChipConfig, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels of 8 bits cut to the chip's pixel bits: ``p >> (8 - pixel_bits)``."""
    return images >> np.uint8(8 - config.pixel_bits)


def image_events(config: ChipConfig, image: NDArray[np.uint8]) -> Words:
    """Event words of one (H, W, C) image of 8-bit pixels, in order of time, then y, x, channel.

    Time to first spike (S. Thorpe, 1990): a pixel of code q fires at ``top - q``; zero never fires.
    """
    codes = pixel_codes(config, image).astype(np.uint32)
    y, x, channel = np.nonzero(codes)
    time = config.time_top - codes[y, x, channel]
    order = np.argsort(time, kind="stable")
    words = (
        x << event.X_AT
        | y << event.Y_AT
        | channel << event.CHANNEL_AT
        | time.astype(np.int64) << event.TIME_AT
    )
    return words[order].astype(np.uint32)


def sample_words(
    config: ChipConfig, image: NDArray[np.uint8], label: int, learn: bool, rate: int = 0
) -> Words:
    """All words of one sample: its events, then its mark."""
    mark = event.pack_mark(Mark(label, learn, rate))
    return np.append(image_events(config, image), np.uint32(mark))


class Admitted:
    """What the guard lets through of one sample.

    `events` is (n, 4): x, y, channel, value. `learn` is what the chip will do, not what was asked.
    """

    def __init__(self, events: Codes, mark: Mark, dropped: int, refused: bool) -> None:
        self.events = events
        self.mark = mark
        self.dropped = dropped
        self.refused = refused

    @property
    def faulty(self) -> bool:
        """Whether anything of the sample was dropped or refused."""
        return self.dropped > 0 or self.refused


def admit(config: ChipConfig, words: Sequence[int] | Words) -> Admitted:
    """Pass one sample through the guard: events whose words are malformed are dropped.

    Raises `Refusal` if the words are not events followed by one mark.
    """
    kept: list[tuple[int, int, int, int]] = []
    latest = dropped = 0
    *body, last = (event.unpack(int(word)) for word in words)
    if not isinstance(last, Mark):
        raise Refusal("a sample must end with a mark; append one to its events")
    for item in body:
        if isinstance(item, Mark):
            raise Refusal("a sample must have one mark, at its end; split the words at the marks")
        full = config.event_limit is not None and len(kept) >= config.event_limit
        if full or not _well_formed(config, item, latest):
            dropped += 1
            continue
        latest = item.time
        kept.append((item.x, item.y, item.channel, config.time_top - item.time))
    known = last.label < config.readout.classes and last.rate < config.rate_steps
    asked = last.learn and config.learning.rule is not Rule.NONE
    mark = Mark(last.label, asked and known, last.rate)
    events = np.array(kept, dtype=np.int64).reshape(len(kept), 4)
    return Admitted(events, mark, dropped, asked and not known)


def _well_formed(config: ChipConfig, item: Event, latest: int) -> bool:
    inside = item.x < config.width and item.y < config.height and item.channel < config.channels
    return inside and latest <= item.time < config.time_top

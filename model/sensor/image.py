"""Images to events: time to first spike."""

import numpy as np
from numpy.typing import NDArray

from model.arith import Words
from model.contract import event
from model.contract.config import ChipConfig
from model.contract.event import Mark


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

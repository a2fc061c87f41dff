"""Images and maps of counts to event words."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.arith import Words
from model.contract import event
from model.contract.choices import Coding
from model.contract.config import ChipConfig
from model.contract.event import Mark


def pixel_codes(config: ChipConfig, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels of 8 bits cut to the chip's pixel bits: ``p >> (8 - pixel_bits)``; counts stop at top.

    Parameters and result: (..., windows * channels).
    """
    if config.coding is Coding.COUNT:
        return np.minimum(images, np.uint8(config.pixel.high))
    return images >> np.uint8(8 - config.pixel_bits)


def windows_apart(config: ChipConfig, maps: NDArray[Any]) -> NDArray[Any]:
    """Each window of (n, H, W, windows * C) samples for itself: (n * windows, H, W, C)."""
    if config.windows == 1:
        return maps
    count, height, width, _ = maps.shape
    apart = maps.reshape(count, height, width, config.windows, config.channels)
    return np.ascontiguousarray(apart.transpose(0, 3, 1, 2, 4)).reshape(
        -1, *apart.shape[1:3], config.channels
    )


def image_events(config: ChipConfig, image: NDArray[np.uint8]) -> Words:
    """Event words of one (H, W, windows * C) sample, and a window mark between two windows.

    In order of time, then y, x, channel. Time to first spike (S. Thorpe, 1990): a pixel of code q
    fires at ``top - q``; zero never fires. Counts: a pixel of code q fires at 0, 1, .. q - 1.
    """
    mark = np.uint32(event.pack_mark(event.WINDOW))
    first, *others = windows_apart(config, pixel_codes(config, image)[None])
    parts = [_map_events(config, first)]
    for codes in others:
        parts += [np.array([mark]), _map_events(config, codes)]
    return np.concatenate(parts)


def _map_events(config: ChipConfig, codes: NDArray[np.uint8]) -> Words:
    y, x, channel = np.nonzero(codes)
    if config.coding is Coding.COUNT:
        again = codes[y, x, channel]
        y, x, channel = (np.repeat(part, again) for part in (y, x, channel))
        time = np.arange(len(y)) - np.repeat(np.cumsum(again, dtype=np.int64) - again, again)
    else:
        time = config.time_top - codes[y, x, channel].astype(np.int64)
    order = np.argsort(time, kind="stable")
    words = x << event.X_AT | y << event.Y_AT | channel << event.CHANNEL_AT | time << event.TIME_AT
    return words[order].astype(np.uint32)


def sample_words(
    config: ChipConfig, image: NDArray[np.uint8], label: int, learn: bool, rate: int = 0
) -> Words:
    """All words of one sample: its events, then its mark."""
    mark = event.pack_mark(Mark(label, learn, rate))
    return np.append(image_events(config, image), np.uint32(mark))

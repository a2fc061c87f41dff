"""The guard at the chip's door: malformed events are dropped. Twin: `rtl/encode.py`.

Images and recordings become event words before they reach the chip: `model/sensor/`.
"""

from collections.abc import Sequence

import numpy as np

from model.arith import Codes, Words
from model.contract import event
from model.contract.choices import Coding, Rule
from model.contract.config import ChipConfig
from model.contract.event import Event, Mark
from model.contract.refusal import Refusal


class Admitted:
    """What the guard lets through of one sample.

    `events` is (n, 4): x, y, channel, value; `ends`, how many of them had come at the end of each
    window. `learn` is what the chip will do, not what was asked.
    """

    def __init__(
        self, events: Codes, ends: list[int], mark: Mark, dropped: int, refused: bool
    ) -> None:
        self.events = events
        self.ends = ends
        self.mark = mark
        self.dropped = dropped
        self.refused = refused

    @property
    def faulty(self) -> bool:
        """Whether anything of the sample was dropped or refused."""
        return self.dropped > 0 or self.refused


def verdicts(words: Words) -> int:
    """How many verdicts come of words (n,): one a mark, none where it aborts or ends a window."""
    return int(np.count_nonzero(event.ends_sample(words) & ~(words >> event.ABORT_AT)))


def admit(config: ChipConfig, words: Sequence[int] | Words, freeze: bool = False) -> Admitted:
    """Pass one sample through the guard: events whose words are malformed are dropped.

    `freeze`: the chip learns nothing, whatever the mark asks.

    Raises `Refusal` if the words are not events followed by one mark.
    """
    kept: list[tuple[int, int, int, int]] = []
    ends: list[int] = []
    latest = dropped = 0
    *body, last = (event.unpack(int(word)) for word in words)
    if not isinstance(last, Mark) or last.window:
        raise Refusal("a sample must end with a mark; append one to its events")
    for item in body:
        if isinstance(item, Mark) and item.window:
            if len(ends) == config.windows - 1:
                dropped += 1
            else:
                ends.append(len(kept))
                latest = 0
            continue
        if isinstance(item, Mark):
            raise Refusal("a sample must have one mark, at its end; split the words at the marks")
        full = config.event_limit is not None and len(kept) >= config.event_limit
        if full or not _well_formed(config, item, latest):
            dropped += 1
            continue
        latest = item.time
        counted = config.coding is Coding.COUNT
        value = 1 if counted else config.time_top - item.time
        kept.append((item.x, item.y, item.channel, value))
    known = last.label < config.readout.classes and last.rate < config.rate_steps
    learns = config.learning.rule is not Rule.NONE and not freeze and not last.abort
    asked = last.learn and learns
    mark = Mark(last.label, asked and known, last.rate, last.abort)
    events = np.array(kept, dtype=np.int64).reshape(len(kept), 4)
    return Admitted(events, [*ends, len(kept)], mark, dropped, asked and not known)


def _well_formed(config: ChipConfig, item: Event, latest: int) -> bool:
    inside = item.x < config.width and item.y < config.height and item.channel < config.channels
    return inside and latest <= item.time < config.time_top

"""Samples that go through a chip, as they are seen: samples/s, cycles/s, time left."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from model.progress import counting
from sim.judge.segment import Tally, Watch


@contextmanager
def watching(title: str, samples: int) -> Iterator[Watch]:
    """A watch for `verify` that shows how far it is; rates do not count what came before."""
    with counting(title, samples) as advance:
        first: list[tuple[int, float]] = []

        def watch(tally: Tally) -> None:
            now = time.perf_counter()
            first.append((tally.done, now))
            (done, began), cycles = first[0], tally.cycles_train + tally.cycles_test
            pace = (tally.done - done) / (now - began) if now > began else 0.0
            rate = cycles / tally.seconds if tally.seconds else 0.0
            note = f"{pace:,.0f} samples/s, {rate / 1e6:.2f} M cycles/s" if pace else ""
            advance(tally.done, note=note)

        yield watch

"""A progress bar for samples that go through a chip: samples/s, cycles/s, time left."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from sim.judge.segment import Tally, Watch


@contextmanager
def watching(title: str, samples: int) -> Iterator[Watch]:
    """A watch for `verify` that shows how far it is; silent where nobody looks."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=samples, speed="")
        began = time.perf_counter()
        first: list[int] = []

        def watch(tally: Tally) -> None:
            first.append(tally.done)
            spent = time.perf_counter() - began
            cycles = tally.cycles_train + tally.cycles_test
            rate = cycles / tally.seconds if tally.seconds else 0
            speed = f"{(tally.done - first[0]) / spent:,.0f} samples/s, {rate / 1e6:.2f} M cycles/s"
            bar.update(task, completed=tally.done, speed=speed)

        yield watch

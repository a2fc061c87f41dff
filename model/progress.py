"""How far something is, and how long it may still take: on standard error, where somebody looks.

`counting` is for what goes by steps. `remembering` is for what says nothing until it is done, such
as a compiler: its time left is that of the last time, kept in the build folder. `stepping` is for
several such, one after the other. All may be opened within each other and share one display.
"""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.text import Text

from model.cache import build_folder
from model.contract.artifact import write_json
from model.contract.refusal import Refusal

SECONDS = "seconds.json"  #: in the build folder: what took how long the last time, by title
LEAST_SECONDS = 1.0  #: what is over sooner is not remembered

_open: list[Progress] = []  # the display that is open, if any


class Advance(Protocol):
    """Is told how many steps are done, of how many if that is news, and what to say beside."""

    def __call__(self, done: float, planned: float | None = None, note: str = "") -> None: ...


@contextmanager
def counting(title: str, planned: float | None = None) -> Iterator[Advance]:
    """A bar of steps; `planned` is how many there will be, where that is known."""
    with _display() as display:
        task = display.add_task(title, total=planned, note="", typical=None, timed=False)

        def advance(done: float, planned: float | None = None, note: str = "") -> None:
            if planned is not None:
                display.update(task, total=planned)
            display.update(task, completed=done, note=note)

        yield advance


@contextmanager
def remembering(title: str, times: float = 1.0) -> Iterator[None]:
    """A bar of the seconds that this took the last time, for `times` as much of it now."""
    last = _remembered().get(title)
    typical = None if last is None else last * times
    began = time.monotonic()
    with _display() as display:
        task = display.add_task(title, total=None, note="", typical=typical, timed=True)
        try:
            yield
        finally:
            display.remove_task(task)
    spent = time.monotonic() - began
    if spent >= LEAST_SECONDS:
        with suppress(Refusal):  # a folder that cannot be written costs a guess
            write_json(build_folder() / SECONDS, _remembered() | {title: spent / times})


@contextmanager
def stepping(title: str) -> Iterator[Callable[[str], None]]:
    """Call what is given with the name of each step as it begins; a log gets a line of each."""
    logged = not Console(stderr=True).is_terminal
    with ExitStack() as step:

        def begin(name: str) -> None:
            step.close()
            step.enter_context(remembering(f"{title}: {name}"))
            if logged:
                print(f"{title}: {name}", file=sys.stderr, flush=True)

        yield begin


def _remembered() -> dict[str, float]:
    """Seconds by title; a damaged file is as none."""
    try:
        told = json.loads((build_folder() / SECONDS).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(told, dict):
        return {}
    return {title: value for title, value in told.items() if isinstance(value, (int, float))}


@contextmanager
def _display() -> Iterator[Progress]:
    if _open:
        yield _open[0]
        return
    console = Console(stderr=True)
    columns: tuple[ProgressColumn, ...] = (
        TextColumn("{task.description}"),
        _Bar(),
        _Amount(),
        TextColumn("{task.fields[note]}"),
        _Left(),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as display:
        _open.append(display)
        try:
            yield display
        finally:
            _open.clear()


class _Bar(BarColumn):
    """Of steps done, or of the seconds of last time."""

    def render(self, task: Task) -> ProgressBar:
        if not task.fields["timed"]:
            return super().render(task)
        typical, elapsed = task.fields["typical"], task.elapsed or 0.0
        done = 0.0 if typical is None else min(elapsed, typical)
        return ProgressBar(
            total=typical, completed=done, width=self.bar_width, animation_time=task.get_time()
        )


class _Amount(ProgressColumn):
    """Steps done of those planned, or seconds."""

    def render(self, task: Task) -> Text:
        if task.fields["timed"]:
            return Text(f"{task.elapsed or 0:.0f} s")
        planned = "?" if task.total is None else f"{task.total:,.0f}"
        return Text(f"{task.completed:,.0f}/{planned}")


class _Left(TimeRemainingColumn):
    """Time left: by the speed of the steps, or by the last time."""

    def render(self, task: Task) -> Text:
        if not task.fields["timed"]:
            return super().render(task)
        if task.fields["typical"] is None:
            return Text("the first time")
        left = task.fields["typical"] - (task.elapsed or 0.0)
        return Text(f"about {left:.0f} s left" if left > 0 else "longer than the last time")

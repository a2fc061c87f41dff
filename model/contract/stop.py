"""Stops: Ctrl-C waits for the end of a step, and what is kept is told."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stopped(KeyboardInterrupt):
    """The user's stop, with a sentence about what is kept and where."""


@contextmanager
def stops_wait() -> Iterator[Callable[[], bool]]:
    """Let a first Ctrl-C wait: what is yielded tells whether there was one. A second does not wait.

    Elsewhere than in the main thread, which alone hears of Ctrl-C, nothing changes.
    """
    asked = False

    def ask(number: int, frame: object) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True

    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield lambda: asked
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def keeping(told: Callable[[], str]) -> Iterator[None]:
    """Say at a stop what is kept; what was said further in stands."""
    try:
        yield
    except Stopped:
        raise
    except KeyboardInterrupt:
        raise Stopped(told()) from None

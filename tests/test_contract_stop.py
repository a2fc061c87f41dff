"""Stops: a first Ctrl-C waits, a second does not; what is kept is told."""

import os
import signal
import threading

import pytest

from model.contract.stop import Stopped, keeping, stops_wait


def interrupt() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_a_first_stop_waits_and_a_second_does_not() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stops_wait() as is_stopped:
        assert not is_stopped()
        interrupt()
        assert is_stopped()
        with pytest.raises(KeyboardInterrupt):
            interrupt()
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_are_left_alone() -> None:
    told: list[bool] = []

    def run() -> None:
        with stops_wait() as is_stopped:
            told.append(is_stopped())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert told == [False]


def test_the_innermost_word_stands() -> None:
    with pytest.raises(Stopped, match="outer"), keeping(lambda: "outer"):
        raise KeyboardInterrupt
    with pytest.raises(Stopped, match="inner"), keeping(lambda: "outer"), keeping(lambda: "inner"):
        raise KeyboardInterrupt

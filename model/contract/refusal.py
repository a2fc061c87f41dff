"""Refusals: every error a user can cause, told in one sentence.

Commands of all rooms run inside `speaking_plainly`, so a refused input ends as one line on
standard error and a non-zero exit code, never as a traceback.
"""

import errno
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any

UNTOLD = "no file is half-written"  #: what holds wherever a command says nothing of its own
MOST_CHARACTERS = 160  #: of a value or a library's message inside a sentence


class Refusal(ValueError):
    """One sentence for the user: what is wrong, where, and what to do."""


def note(sentence: str) -> None:
    """Tell the user what is no error, but should be known: a line on standard error."""
    print(f"note: {sentence}", file=sys.stderr)


def shown(value: Any) -> str:
    """A value as Python writes it, on one line and cut where it is long."""
    if isinstance(value, int) and value.bit_length() > 4 * MOST_CHARACTERS:
        return f"an integer of {value.bit_length():,} bits"  # Python refuses to write the longest
    try:
        return _cut(repr(value))
    except (RecursionError, ValueError):
        return f"{type(value).__name__} too long to be written"


def guess(word: Any, known: Iterable[str]) -> str:
    """The end of a sentence that asks whether a known word was meant; empty where none is near."""
    near = get_close_matches(word, [*map(str, known)], 1) if isinstance(word, str) else []
    return f"; did you mean {near[0]!r}?" if near else ""


def check_none(mistakes: Sequence[str], where: str) -> None:
    """Refuse where there are mistakes: one as it is, more of them a line each."""
    if len(mistakes) == 1:
        raise Refusal(mistakes[0])
    if mistakes:
        lines = "".join(f"\n  - {mistake}" for mistake in mistakes)
        raise Refusal(f"{where} has {len(mistakes)} mistakes:{lines}")


def reason(error: BaseException) -> str:
    """What a library's error says, on one line and cut where it is long; else its class."""
    return _cut(" ".join(str(error).split())) or type(error).__name__


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 3] + "..."


@contextmanager
def speaking_plainly() -> Iterator[None]:
    """Turn a `Refusal` into one line and exit code 2, an interrupt into one line and 130."""
    try:
        yield
    except Refusal as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        raise SystemExit(2) from None
    except MemoryError:
        print("error: the memory does not suffice; take less at a time", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print("error: the disk is full; make room, then run this again", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt as stop:
        print(f"stopped by the user; {stop if str(stop) else UNTOLD}", file=sys.stderr)
        raise SystemExit(130) from None

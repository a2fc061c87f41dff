"""Refusals: every error a user can cause, told in one sentence.

Commands of all rooms run inside `speaking_plainly`, so a refused input ends as one line on
standard error and a non-zero exit code, never as a traceback.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class Refusal(ValueError):
    """One sentence for the user: what is wrong, where, and what to do."""


def note(sentence: str) -> None:
    """Tell the user what is no error, but should be known: a line on standard error."""
    print(f"note: {sentence}", file=sys.stderr)


@contextmanager
def speaking_plainly() -> Iterator[None]:
    """Turn a `Refusal` into one line and exit code 2, an interrupt into one line and 130."""
    try:
        yield
    except Refusal as refusal:
        print(f"error: {refusal}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("stopped by the user; what was finished is kept", file=sys.stderr)
        raise SystemExit(130) from None

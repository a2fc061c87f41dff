"""Random streams: every draw of a run belongs to a purpose, so none disturbs another.

A stream depends on the seed, its purpose and a number (a layer or an epoch) alone: a run that was
stopped goes on with the very numbers it would have drawn, and no generator state is stored.
"""

from enum import IntEnum

from numpy.random import Generator, default_rng


class Purpose(IntEnum):
    """What random numbers are for; the values are part of every result and never change."""

    WEIGHTS = 0
    FEEDBACK = 1
    ORDER = 2
    DROPOUT = 3
    FLIP = 4
    TASK = 5


def stream(seed: int, purpose: Purpose, number: int = 0) -> Generator:
    """Return the generator of a seed, a purpose and a layer or epoch."""
    return default_rng([seed, purpose, number])

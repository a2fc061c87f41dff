"""Closed integer arithmetic: the only operators the chip has.

All take and return int64 codes. Twin: `rtl/arith.py`, written apart from this file.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.contract.formats import Format

Codes = NDArray[np.int64]
Words = NDArray[np.uint32]  #: event words


def saturate(codes: ArrayLike, to: Format) -> Codes:
    """Narrow to a format: a code that does not fit becomes the nearest that does."""
    return np.clip(np.asarray(codes, dtype=np.int64), to.low, to.high)


def clipped(codes: ArrayLike, to: Format) -> int:
    """Number of codes that `saturate` would change."""
    codes = np.asarray(codes)
    return int(np.count_nonzero((codes < to.low) | (codes > to.high)))


def shift_floor(codes: ArrayLike, shift: int) -> Codes:
    """``floor(codes / 2**shift)``: `Rounding.FLOOR`."""
    return np.asarray(codes, dtype=np.int64) >> shift


def shift_stochastic(codes: ArrayLike, shift: int, random: ArrayLike) -> Codes:
    """``floor((codes + random mod 2**shift) / 2**shift)``: `Rounding.STOCHASTIC`.

    With `random` uniform the expectation is ``codes / 2**shift`` exactly. Zero stays zero.
    Source: Gupta et al., "Deep Learning with Limited Numerical Precision" (2015), section 3.
    """
    lost = np.asarray(random, dtype=np.int64) & ((1 << shift) - 1)
    return (np.asarray(codes, dtype=np.int64) + lost) >> shift


def hard_sigmoid(codes: ArrayLike, shift: int, to: Format) -> Codes:
    """``clip(floor(codes / 2**shift) + half of the span)`` in an unsigned format."""
    return saturate(shift_floor(codes, shift) + (to.high + 1) // 2, to)


def sign(codes: ArrayLike) -> Codes:
    """+1 from zero upwards, -1 below."""
    return np.where(np.asarray(codes) >= 0, 1, -1).astype(np.int64)

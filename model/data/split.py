"""The split: which samples are held out for the test."""

import numpy as np
from numpy.typing import NDArray

from model.contract.refusal import Refusal

DEFAULT_FRACTION = 0.25


def stratified_split(
    y: NDArray[np.int64], fraction: float | None, seed: int, source: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Draw the same share of every class for the test.

    Of a class of n samples, floor(n * fraction + 1/2) are drawn, but at least one is drawn and one
    left.

    Parameters
    ----------
    y
        (N,) class numbers.
    fraction
        Share held out, between 0 and 1; a quarter where None.
    seed
        0..2**32-1; the same seed gives the same split, with every version of numpy.
    source
        What the labels belong to, for refusals.

    Returns
    -------
    train, test
        Sample numbers, ascending: both parts keep the order of the set.

    Raises
    ------
    Refusal
        For a fraction or seed out of range, or a class of a single sample.
    """
    fraction = DEFAULT_FRACTION if fraction is None else fraction
    if not 0 < fraction < 1:
        raise Refusal(f"{source}: test fraction must lie between 0 and 1, not {fraction}")
    if not 0 <= seed < 2**32:
        raise Refusal(f"{source}: seed of the split must be 0..2**32-1, not {seed}")
    # RandomState, not Generator: numpy promises that its stream never changes (NEP 19).
    random = np.random.RandomState(seed)
    test = np.zeros(len(y), bool)
    for label, count in zip(*np.unique(y, return_counts=True), strict=True):
        if count < 2:
            raise Refusal(
                f"{source}: class {label} has a single sample, which cannot be both learned from "
                f"and tested on; give more, or test samples of their own"
            )
        drawn = min(max(int(count * fraction + 0.5), 1), count - 1)
        test[random.permutation(np.flatnonzero(y == label))[:drawn]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)

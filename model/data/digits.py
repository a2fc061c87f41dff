"""The digits: the embedded default, needs no file."""

import numpy as np

from model.data.dataset import Dataset
from model.data.split import stratified_split


def load_digits(test_fraction: float | None, seed: int) -> Dataset:
    """Load scikit-learn's 1,797 handwritten digits, 8x8, 10 classes.

    The 17 grey levels v = 0..16 become (255 v + 8) // 16: 0 stays 0, 16 becomes 255, and every
    level between is rounded to the nearest code. The set brings no test samples: a stratified
    share is held out, see `stratified_split`.

    Source: E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, 1998 (its test part, as scikit-learn ships it).
    """
    from sklearn import datasets  # takes a second to import

    digits = datasets.load_digits()
    x = ((digits.images.astype(np.int64) * 255 + 8) // 16).astype(np.uint8)
    y = digits.target.astype(np.int64)
    train, test = stratified_split(y, test_fraction, seed, "digits")
    return Dataset("digits", x[train], y[train], x[test], y[test], classes=10)

"""Readout: scores, class and error of the output layer. Twin: `rtl/readout.py`."""

from collections import Counter

import numpy as np

from model.arith import Codes, clipped, hard_sigmoid, shift_floor
from model.contract.choices import Readout
from model.contract.formats import Format
from model.contract.shapes import SCORE


def score(layer: Readout, sums: Codes, counts: Counter[str]) -> Codes:
    """Hard sigmoid of the pre-activations: ``clip((sums >> shift) + 128)``.

    Counts: score_saturations.
    """
    centred = Format(SCORE.bits, signed=True)
    counts["score_saturations"] += clipped(shift_floor(sums, layer.shift), centred)
    return hard_sigmoid(sums, layer.shift, SCORE)


def classify(sums: Codes) -> int:
    """The class: the first of the greatest pre-activations (a score may saturate, a sum not)."""
    return int(np.argmax(sums))


def error(scores: Codes, label: int) -> Codes:
    """``target - score``, the target being the greatest score for the label, else zero."""
    target = np.zeros(len(scores), dtype=np.int64)
    target[label] = SCORE.high
    return target - scores

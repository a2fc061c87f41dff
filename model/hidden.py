"""Hidden neurons: activation on the way forward, modulation for learning. Twin: `rtl/hidden.py`."""

from collections import Counter

import numpy as np

from model.arith import Codes, clipped, saturate, shift_floor, shift_stochastic, sign
from model.contract.choices import Activation, Gate, Hidden, Rule
from model.contract.config import ChipConfig
from model.contract.formats import Format
from model.contract.shapes import SCALED_MODULATION


def activate(layer: Hidden, to: Format, sums: Codes, counts: Counter[str]) -> Codes:
    """Hard tanh ``clip(sums >> shift)`` or the sign of the pre-activations.

    Counts: activation_saturations.
    """
    if layer.activation is Activation.SIGN:
        return sign(sums)
    shifted = shift_floor(sums, layer.shift)
    counts["activation_saturations"] += clipped(shifted, to)
    return saturate(shifted, to)


def items(activations: Codes, bias_code: int | None) -> Codes:
    """Non-zero activations as (n, 2) items; the bias, if any, is the last one."""
    index = np.flatnonzero(activations)
    rows = np.stack([index, activations[index]], axis=1)
    if bias_code is None:
        return rows
    return np.concatenate([rows, [[len(activations), bias_code]]])


def modulate(
    config: ChipConfig,
    layer: Hidden,
    projection: Codes,
    label: int,
    error: Codes,
    sums: Codes,
    random: Codes,
) -> Codes:
    """The modulation of every neuron: what multiplies its inputs in the update.

    drtp: the row of B that the label selects (Frenkel, Lefebvre and Bol, 2021, figure 1D), if
    chosen scaled by the label's own error; sdfa and dfa: the projection of the ternary error. All
    pass the gate, which stands for the derivative of the activation. The learning rate lies in
    the rate shift, not in B.

    Parameters: `projection` (labels, J) for drtp, (J, labels) for sdfa and dfa; `error` (labels,)
    and `random` (J,), used only by rules that need them.
    """
    learning = config.learning
    if learning.rule is Rule.DRTP:
        modulation = projection[label]
        if learning.error_scaled:
            scaled = shift_stochastic(modulation * error[label], learning.error_shift, random)
            modulation = saturate(scaled, SCALED_MODULATION)
    else:
        loud = np.abs(error) >= config.error_threshold
        modulation = projection @ np.where(loud, np.sign(error), 0)
    driven = np.abs(sums) if learning.gate is Gate.BOX else np.sign(modulation) * sums
    closed = driven >= layer.threshold
    return np.where(closed, 0, modulation)

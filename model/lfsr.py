"""Pseudo-random source of stochastic rounding. Twin: `rtl/lfsr.py`."""

import numpy as np

from model.arith import Codes
from model.contract import noise


class Lfsr:
    """Galois LFSR of 16, 24 or 32 bits that shifts right; its state is never zero.

    Source: S. Golomb, "Shift Register Sequences" (1967); taps in `model.contract.noise`.
    """

    def __init__(self, bits: int, state: int) -> None:
        self.bits = bits
        self.state = state

    def step(self) -> None:
        """Move on by one step."""
        self.state = self.state >> 1 ^ (noise.TAPS[self.bits] if self.state & 1 else 0)

    def spread(self, masks: Codes) -> Codes:
        """One number a neuron from the present state: ``state ^ mask``."""
        return self.state ^ masks


def neuron_masks(count: int, bits: int) -> Codes:
    """Masks of neurons 0..count-1: exclusive-or of the basis over the set bits of the number."""
    masks = np.zeros(count, dtype=np.int64)
    numbers = np.arange(count)
    for bit, word in enumerate(noise.mask_basis(bits)):
        masks ^= np.where(numbers >> bit & 1, word, 0)
    return masks

"""Noise: the masks of neurons differ, so that no two round alike."""

import pytest

from model.contract.noise import MASK_BASIS, TAPS, mask_basis


@pytest.mark.parametrize("bits", TAPS)
def test_taps_fit_their_width_and_feed_its_top_bit(bits: int) -> None:
    assert TAPS[bits].bit_length() == bits


@pytest.mark.parametrize("bits", TAPS)
def test_no_two_of_all_neurons_share_a_mask(bits: int) -> None:
    masks = {0}
    for word in mask_basis(bits):
        masks |= {mask ^ word for mask in masks}
    assert len(masks) == 1 << len(MASK_BASIS)


@pytest.mark.parametrize("bits", TAPS)
def test_the_basis_is_cut_to_the_width(bits: int) -> None:
    assert mask_basis(bits) == tuple(word % 2**bits for word in MASK_BASIS)

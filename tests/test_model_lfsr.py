"""The LFSR: full period, shown by walking it and by the order of its step matrix."""

import numpy as np
import pytest

from model.contract.noise import TAPS, mask_basis
from model.lfsr import Lfsr, neuron_masks

#: Prime factors of 2**bits - 1.
FACTORS = {16: (3, 5, 17, 257), 24: (3, 5, 7, 13, 17, 241), 32: (3, 5, 17, 257, 65537)}

Matrix = list[int]
"""Columns over GF(2): column b is what bit b of the state becomes."""


def step_matrix(bits: int) -> Matrix:
    """The step as a matrix, read off the states of one bit each: the step is linear."""
    columns = []
    for bit in range(bits):
        lfsr = Lfsr(bits, 1 << bit)
        lfsr.step()
        columns.append(lfsr.state)
    return columns


def apply(matrix: Matrix, state: int) -> int:
    """Matrix times state."""
    result = 0
    for bit, column in enumerate(matrix):
        if state >> bit & 1:
            result ^= column
    return result


def power(matrix: Matrix, exponent: int) -> Matrix:
    """Matrix to the power of `exponent`, by squaring."""
    result = [1 << bit for bit in range(len(matrix))]
    while exponent:
        if exponent & 1:
            result = [apply(matrix, column) for column in result]
        matrix = [apply(matrix, column) for column in matrix]
        exponent >>= 1
    return result


def test_sixteen_bits_walk_through_every_state_but_zero() -> None:
    lfsr, seen = Lfsr(16, 1), bytearray(1 << 16)
    for _ in range(2**16 - 1):
        assert not seen[lfsr.state]
        seen[lfsr.state] = 1
        lfsr.step()
    assert lfsr.state == 1
    assert seen.count(1) == 2**16 - 1
    assert not seen[0]


def test_twenty_four_bits_walk_through_every_state_but_zero() -> None:
    """All 4,096 states 4,096 steps apart are found by walking, then walked from side by side."""
    jump = power(step_matrix(24), 4096)
    starts = [1]
    for _ in range(4095):
        starts.append(apply(jump, starts[-1]))
    states, seen = np.array(starts), np.zeros(1 << 24, dtype=bool)
    for _ in range(4096):
        seen[states] = True
        states = states >> 1 ^ np.where(states & 1, TAPS[24], 0)
    assert not seen[0]
    assert seen.sum() == 2**24 - 1


@pytest.mark.parametrize("bits", TAPS)
def test_the_step_is_linear(bits: int) -> None:
    matrix, lfsr = step_matrix(bits), Lfsr(bits, 0xACE1)
    for _ in range(1000):
        expected = apply(matrix, lfsr.state)
        lfsr.step()
        assert lfsr.state == expected


@pytest.mark.parametrize("bits", TAPS)
def test_the_order_of_the_step_is_the_full_period(bits: int) -> None:
    """Order 2**bits - 1: that power is the identity, and none with a prime factor less is."""
    identity = [1 << bit for bit in range(bits)]
    matrix, period, product = step_matrix(bits), 2**bits - 1, 1
    assert power(matrix, period) == identity
    for prime in FACTORS[bits]:
        assert power(matrix, period // prime) != identity
        while period % (product * prime) == 0:
            product *= prime
    assert product == period


@pytest.mark.parametrize(
    ("bits", "states"),
    [
        (16, [0x0001, 0xB400, 0x5A00, 0x2D00, 0x1680]),
        (24, [0x000001, 0xE10000, 0x708000]),
        (32, [0x00000001, 0x80200003, 0xC0300002, 0x60180001, 0xB02C0003]),
    ],
)
def test_first_steps_worked_by_hand(bits: int, states: list[int]) -> None:
    lfsr = Lfsr(bits, states[0])
    for state in states[1:]:
        lfsr.step()
        assert lfsr.state == state


@pytest.mark.parametrize("bits", TAPS)
def test_masks_are_exclusive_ors_of_the_basis(bits: int) -> None:
    masks, basis = neuron_masks(4096, bits).tolist(), mask_basis(bits)
    assert masks[0] == 0
    assert [masks[1 << bit] for bit in range(12)] == list(basis)
    assert masks[0b1011] == basis[0] ^ basis[1] ^ basis[3]
    assert len(set(masks)) == 4096


def test_neurons_spread_one_state_into_many_numbers() -> None:
    masks = neuron_masks(128, 16)
    assert Lfsr(16, 0xACE1).spread(masks).tolist() == [0xACE1 ^ int(mask) for mask in masks]

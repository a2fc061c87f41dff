"""Words: every code of a bank has the place that the address formulas give it, and comes back."""

import dataclasses

import numpy as np
import pytest

from model.banks import from_chunks, from_words, to_chunks, to_words
from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.contract.storage import Bank, host_banks
from model.state import bank_shapes, fresh

CHIPS = [preset("tiny"), preset("tiny", "dfa"), preset("digits"), preset("spoon", "sdfa")]
CASES = [(config, bank) for config in CHIPS for bank in host_banks(config)]


def label(case: ChipConfig | Bank) -> str:
    """Name of a case."""
    return case.name


def filled(config: ChipConfig, bank: Bank) -> np.ndarray:
    """Codes of a bank, drawn from its whole range."""
    rng = np.random.default_rng(0)
    return rng.integers(bank.code.low, bank.code.high + 1, bank_shapes(config)[bank.name])


def place(config: ChipConfig, bank: Bank, index: tuple[int, ...]) -> tuple[int, int]:
    """Address and lane of a code, by the formulas of the contract."""
    kind, lanes = bank.name.rsplit(".", 1)[1], bank.lanes
    shape = bank_shapes(config)[bank.name]
    if kind == "kernels":
        k, c, r, s = index
        places = config.conv_shapes[0].places
        lanes //= places
        size, groups = shape[2], -(-shape[0] // lanes)
        steps, tap = -(-(size**2) // places), r * size + s
        return (c * groups + k // lanes) * steps + tap // places, tap % places * lanes + k % lanes
    if kind == "weights":
        i, j = index
        return i * -(-shape[1] // lanes) + j // lanes, j % lanes
    if config.learning.rule == "drtp":
        label, j = index
        return label * shape[1] + j, 0
    j, label = index
    return j, label


@pytest.mark.parametrize(("config", "bank"), CASES, ids=label)
def test_every_code_has_the_place_of_its_formula(config: ChipConfig, bank: Bank) -> None:
    array = filled(config, bank)
    words = to_words(bank, array)
    assert words.shape == (bank.words, bank.lanes)
    taken = np.zeros(words.shape, dtype=bool)
    for index in np.ndindex(array.shape):
        address, lane = place(config, bank, index)
        assert words[address, lane] == array[index]
        assert not taken[address, lane]
        taken[address, lane] = True
    assert not words[~taken].any()


@pytest.mark.parametrize(("config", "bank"), CASES, ids=label)
def test_arrays_come_back_from_words_and_words_from_bus_words(
    config: ChipConfig, bank: Bank
) -> None:
    array = filled(config, bank)
    words = to_words(bank, array)
    chunks = to_chunks(bank, words)
    assert chunks.shape == (bank.words, bank.chunks)
    assert (from_chunks(bank, chunks) == words).all()
    assert (from_words(bank, words, array.shape) == array).all()


def test_lane_0_lies_in_the_lowest_bits() -> None:
    """Four lanes of 8 bits are one bus word: 1, -1, 127, -127."""
    bank = next(bank for bank in host_banks(CHIPS[0]) if bank.name == "hidden1.weights")
    words = np.zeros((bank.words, bank.lanes), dtype=np.int64)
    words[3] = [1, -1, 127, -127]
    assert to_chunks(bank, words)[3].tolist() == [0x817FFF01]


def test_wide_words_take_several_bus_words_lowest_first() -> None:
    """Ten kernels of 8 bits: 80 bits, three bus words; the last holds 16 bits."""
    config = preset("spoon-lite")
    config = dataclasses.replace(config, conv=(dataclasses.replace(config.conv[0], kernel_bits=8),))
    bank = host_banks(config)[0]
    words = np.zeros((bank.words, bank.lanes), dtype=np.int64)
    words[0] = np.arange(10)
    assert to_chunks(bank, words)[0].tolist() == [0x03020100, 0x07060504, 0x00000908]


@pytest.mark.parametrize("config", CHIPS, ids=lambda config: config.name)
def test_a_fresh_state_survives_the_host_bus(config: ChipConfig) -> None:
    for bank in host_banks(config):
        array = fresh(config, 2).banks[bank.name]
        chunks = to_chunks(bank, to_words(bank, array))
        assert (from_words(bank, from_chunks(bank, chunks), array.shape) == array).all()


def test_a_code_outside_its_format_is_refused() -> None:
    config = preset("tiny")
    (bank,) = (bank for bank in host_banks(config) if bank.name == "hidden1.weights")
    weights = fresh(config, 0).banks[bank.name]
    weights[3, 5] = -128
    with pytest.raises(Refusal) as refusal:
        to_words(bank, weights)
    assert str(refusal.value) == (
        "hidden1.weights holds -128, which is outside -127 to 127; saturate it"
    )

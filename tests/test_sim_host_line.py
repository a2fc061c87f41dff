"""sim/host/line.py, sim/host/demo.py: a chip behind simulated pins learns what the model learns."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from model.chip import PlainChip
from model.contract import registers
from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.contract.result import LEARNED_AT
from model.data import Dataset, load
from model.network import ChipModel, drawn
from model.sensor.image import sample_words
from model.state import State, fresh
from sim.host import line
from sim.host.demo import demonstrate, planned, sentence, table
from sim.host.line import LINES, SimulatedLine
from sim.host.remote import Link, RemoteChip

TINY = preset("tiny")
EACH_LINE = pytest.mark.parametrize("name", LINES)


def digits(test: int) -> Dataset:
    """The digits, with few test samples."""
    data = load("digits")
    return dataclasses.replace(data, x_test=data.x_test[:test], y_test=data.y_test[:test])


def demonstrated(config: ChipConfig, name: str, **choices: Any) -> dict[str, Any]:
    """A short demonstration on the digits."""
    settings = {"limit": 24, "epochs": 2, "seed": 3} | choices
    with SimulatedLine(config, name) as wire:
        return demonstrate(config, digits(test=10), wire, line=name, **settings)


def same(one: State, other: State) -> bool:
    """Whether two states are equal, bit for bit."""
    banks = all(np.array_equal(one.banks[name], other.banks[name]) for name in one.banks)
    return banks and one.lfsrs == other.lfsrs and one.banks.keys() == other.banks.keys()


@EACH_LINE
def test_a_chip_trained_byte_by_byte_learns_the_weights_of_the_model(name: str) -> None:
    figures = demonstrated(TINY, name)
    data = load("digits")
    kept = drawn(len(data.x_train), 24, 3)
    model = ChipModel(TINY, epochs=2, seed=3).fit(data.x_train[kept], data.y_train[kept])
    assert figures["weights_sha256"]["chip"] == model.state_.weights_sha256
    assert figures["weights_sha256"]["chip"] == figures["weights_sha256"]["model"]
    assert (figures["classes_differ"], figures["counters_differ"]) == (0, [])
    assert figures["equal"] is True
    assert figures["bytes_sent"] > 48 * 100 and figures["bytes_received"] > 48 * 55


def test_a_demonstration_tells_how_far_it_is() -> None:
    told: list[int] = []
    demonstrated(TINY, "uart", progress=told.append)
    assert told == [32, 48, 58]
    assert told[-1] == planned(digits(test=10), 24, 2)


def test_a_difference_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def changed(config: ChipConfig, seed: int) -> State:
        state = fresh(config, seed)
        state.lfsrs["hidden1"] ^= 2
        return state

    monkeypatch.setattr("sim.host.demo.fresh", changed)
    figures = demonstrated(TINY, "uart")
    assert figures["equal"] is False
    assert figures["weights_sha256"]["chip"] != figures["weights_sha256"]["model"]
    assert sentence(figures).endswith("MODEL AND CHIP DIFFER")
    assert table(figures).row_count == 6


@EACH_LINE
def test_a_state_comes_back_as_it_was_written(name: str) -> None:
    state = fresh(TINY, 5)
    with SimulatedLine(TINY, name) as wire:
        chip = RemoteChip(TINY, Link(wire))
        chip.load(state)
        assert same(chip.state(), state)
        assert chip.counters()["encode.events"] == 0


def test_a_register_that_the_chip_refuses_is_named_and_the_chip_goes_on() -> None:
    with SimulatedLine(TINY) as wire:
        link = Link(wire)
        with pytest.raises(Refusal, match=r"^the chip was to write register 0x000 and refused it$"):
            link.write(registers.ID, 1)
        assert link.read(registers.ID) == registers.IDENTITY


@EACH_LINE
def test_a_host_that_starts_amid_a_request_finds_the_chip_in_step(name: str) -> None:
    with SimulatedLine(TINY, name) as wire:
        wire.send(b"\x20\x10\x01")
        assert Link(wire).read(registers.ID) == registers.IDENTITY
        wire.send(b"\x77\x20\x10")
        assert Link(wire).read(registers.ID) == registers.IDENTITY


@EACH_LINE
def test_a_dead_host_s_sample_is_dropped_and_a_frozen_chip_keeps_its_state(name: str) -> None:
    image, state = load("digits").x_train[0].reshape(8, 8, 1), fresh(TINY, 5)
    words = sample_words(TINY, image, 1, True)
    with SimulatedLine(TINY, name) as wire:
        RemoteChip(TINY, Link(wire)).load(state)
        Link(wire).feed(words[:-1])  # and is heard of no more
        chip = RemoteChip(TINY, Link(wire))
        assert same(chip.state(), state)
        chip.freeze()
        frozen = chip.run(words)
        assert same(chip.state(), state)
        chip.freeze(False)
        learned = chip.run(words)
        assert frozen[0, -1] ^ learned[0, -1] == 1 << LEARNED_AT
        assert frozen[0, :-1].tolist() == learned[0, :-1].tolist()
        plain = PlainChip(TINY, state.copy())
        plain.take(words)
        assert same(chip.state(), plain.state)
        assert not same(chip.state(), state)


def test_a_chip_uses_no_word_that_is_written_while_it_is_read_and_no_initial_contents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the boards' memories leave open is made wrong here; the chip learns the same."""
    core = line.core

    def spoilt(name: str, choices: str) -> str:
        verilog = core(name, choices)
        read = "if (read_enable) read_data <= words[read_address];"
        wrong = (
            "if (read_enable) read_data <= write_enable && write_address == read_address"
            " ? ~words[read_address] : words[read_address];"
        )
        initial = "words[place] = {WIDTH{1'b0}};"
        assert verilog.count(read) == 1
        assert verilog.count(initial) == 2
        return verilog.replace(read, wrong).replace(initial, "words[place] = {WIDTH{1'b1}};")

    monkeypatch.setattr(line, "core", spoilt)
    assert demonstrated(TINY, "uart")["equal"] is True


def test_an_unknown_line_is_refused() -> None:
    with pytest.raises(Refusal, match=r"^there is no line 'i2c'; choose uart or spi$"):
        SimulatedLine(TINY, "i2c")

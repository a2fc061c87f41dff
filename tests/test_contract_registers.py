"""Registers: unique, aligned, inside the map, and as the counters are declared."""

import dataclasses

import pytest

from model.contract import registers as contract
from model.contract.choices import RULES
from model.contract.config import ChipConfig
from model.contract.counters import counters
from model.contract.presets import PRESETS, preset
from model.contract.registers import Access, learning_layers, registers

CHIPS = [preset("tiny", rule) for rule in RULES] + [preset(name) for name in PRESETS]


@pytest.mark.parametrize("config", CHIPS, ids=lambda config: config.name)
def test_registers_are_unique_aligned_and_inside_the_map(config: ChipConfig) -> None:
    found = registers(config)
    offsets = [register.offset for register in found]
    assert len(set(offsets)) == len(found)
    assert len({register.name for register in found}) == len(found)
    assert offsets == sorted(offsets)
    assert all(offset % 4 == 0 for offset in offsets)
    assert offsets[-1] + 4 <= 1 << contract.ADDRESS_BITS


@pytest.mark.parametrize("config", CHIPS, ids=lambda config: config.name)
def test_names_and_meanings_fit_a_c_header(config: ChipConfig) -> None:
    for register in registers(config):
        assert register.name.isidentifier()
        assert register.name == register.name.upper()
        assert "*/" not in register.meaning
        assert "\n" not in register.meaning


@pytest.mark.parametrize("config", CHIPS, ids=lambda config: config.name)
def test_every_counter_has_a_low_and_a_high_half(config: ChipConfig) -> None:
    offsets = {register.name: register.offset for register in registers(config)}
    for number, counter in enumerate(counters(config)):
        name = counter.name.replace(".", "_").upper()
        assert offsets[f"{name}_LOW"] == contract.COUNTERS + 8 * number
        assert offsets[f"{name}_HIGH"] == contract.COUNTERS + 8 * number + 4


def test_a_chip_without_counters_has_no_counter_registers() -> None:
    bare = dataclasses.replace(preset("tiny"), counters=False)
    assert all(register.offset < contract.COUNTERS for register in registers(bare))


def test_identity_spells_the_rule_s_name() -> None:
    assert contract.IDENTITY.to_bytes(4, "big") == b"DRTP"


@pytest.mark.parametrize(
    ("rule", "layers"),
    [("none", ()), ("shallow", ("readout",)), ("drtp", ("hidden1", "readout"))],
)
def test_a_layer_that_learns_has_a_seed(rule: str, layers: tuple[str, ...]) -> None:
    config = preset("tiny", rule)
    assert learning_layers(config) == layers
    seeds = [register for register in registers(config) if register.name.startswith("SEED_")]
    assert [register.name for register in seeds] == [f"SEED_{name.upper()}" for name in layers]
    assert [register.offset for register in seeds] == [0x40 + 4 * n for n in range(len(layers))]
    assert all(register.access is Access.BOTH for register in seeds)

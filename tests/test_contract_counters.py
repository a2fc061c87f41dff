"""Counters: unique, of a known stage, and only those of hardware that is there."""

import pytest

from model.contract.choices import RULES
from model.contract.config import ChipConfig
from model.contract.counters import COUNTER_BITS, Kind, Phase, counters, of_stage
from model.contract.presets import PRESETS, preset
from model.contract.stages import stage_names

CHIPS = [preset("tiny", rule) for rule in RULES] + [preset(name) for name in PRESETS]


@pytest.mark.parametrize("config", CHIPS, ids=lambda config: config.name)
def test_counters_are_unique_and_of_a_stage(config: ChipConfig) -> None:
    found = counters(config)
    assert len({counter.name for counter in found}) == len(found)
    assert {counter.stage for counter in found} == {*stage_names(config), "chip"}


@pytest.mark.parametrize("config", CHIPS, ids=lambda config: config.name)
def test_a_cycle_never_steps_a_counter_past_what_it_declares(config: ChipConfig) -> None:
    for counter in counters(config):
        places = max((shape.places for shape in config.conv_shapes), default=1)
        assert 1 <= counter.most <= config.lanes * places
        assert counter.most < 1 << COUNTER_BITS


@pytest.mark.parametrize("config", CHIPS, ids=lambda config: config.name)
def test_every_counter_says_what_it_counts(config: ChipConfig) -> None:
    meanings = [counter.meaning for counter in counters(config)]
    assert all(meanings)
    assert all(not meaning.endswith(".") for meaning in meanings)


def test_the_phase_of_learning_is_that_of_learning_hardware() -> None:
    learn = {
        rule: {
            counter.stage
            for counter in counters(preset("tiny", rule))
            if counter.phase is Phase.LEARN
        }
        for rule in RULES
    }
    assert learn["none"] == set()
    assert learn["shallow"] == {"readout"}
    assert learn["drtp"] == learn["dfa"] == {"hidden1", "readout"}


def test_only_sums_that_raw_events_reach_can_saturate() -> None:
    def saturating(config: ChipConfig) -> set[str]:
        ends = ("potential_saturations", "sum_saturations")
        return {counter.name for counter in counters(config) if counter.event in ends}

    assert saturating(preset("conv-cifar")) == {"conv1.potential_saturations"}
    assert saturating(preset("fc2-500")) == {"hidden1.sum_saturations"}


def test_only_stalls_depend_on_back_pressure() -> None:
    stalls = {counter.event for counter in counters(preset("tiny")) if counter.kind is Kind.STALL}
    assert stalls == {"stall_cycles", "cycles"}


def test_counters_of_a_stage_are_those_of_its_name() -> None:
    config = preset("tiny")
    parts = [of_stage(config, stage) for stage in (*stage_names(config), "chip")]
    assert tuple(counter for part in parts for counter in part) == counters(config)

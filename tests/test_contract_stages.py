"""Stages: their order, and the records at their boundaries."""

import pytest

from model.contract.choices import RULES
from model.contract.config import ChipConfig
from model.contract.presets import PRESETS, preset
from model.contract.stages import HEAD_BITS, boundaries, stage_names

CHIPS = [preset("tiny", rule) for rule in RULES] + [preset(name) for name in PRESETS]


def test_stages_are_in_the_order_of_the_data() -> None:
    assert stage_names(preset("conv-cifar")) == (
        *("encode", "conv1", "conv2", "hidden1", "hidden2", "readout"),
    )
    assert stage_names(preset("fc1-500")) == ("encode", "hidden1", "readout")


def test_boundaries_of_a_learning_chip() -> None:
    names = [boundary.name for boundary in boundaries(preset("tiny"))]
    assert names == [
        "encode.events",
        "conv1.features",
        "hidden1.sums",
        "hidden1.activations",
        "hidden1.modulation",
        "hidden1.updates",
        "readout.sums",
        "readout.scores",
        "readout.verdict",
        "readout.modulation",
        "readout.updates",
    ]


def test_a_layer_that_does_not_learn_has_no_learning_boundaries() -> None:
    for rule, absent in (("none", ("hidden1", "readout")), ("shallow", ("hidden1",))):
        names = {boundary.name for boundary in boundaries(preset("tiny", rule))}
        for layer in absent:
            assert not {f"{layer}.modulation", f"{layer}.updates"} & names


@pytest.mark.parametrize("config", CHIPS, ids=lambda config: config.name)
def test_ports_and_columns_are_unique(config: ChipConfig) -> None:
    found = boundaries(config)
    assert len({boundary.port for boundary in found}) == len(found)
    for boundary in found:
        assert boundary.port.isidentifier()
        assert len(set(boundary.columns)) == len(boundary.columns)
        assert {boundary.name.split(".")[0]} <= set(stage_names(config))


def test_a_port_carries_its_head_and_all_fields() -> None:
    found = {boundary.name: boundary for boundary in boundaries(preset("tiny"))}
    assert found["encode.events"].port_bits == HEAD_BITS + 3 + 3 + 1 + 8
    assert found["encode.events"].columns == ("x", "y", "channel", "value")
    assert found["readout.verdict"].port_bits == HEAD_BITS + 10
    updates = found["hidden1.updates"]
    assert updates.port_bits == HEAD_BITS + 8 + 4 * 8  # 54 features * 4 groups = 216 words
    assert updates.columns == ("address", "weight0", "weight1", "weight2", "weight3")

"""Storage: every code has one place, banks hold what a chip remembers."""

import math

import pytest

from model.contract.choices import RULES
from model.contract.config import ChipConfig
from model.contract.presets import PRESETS, preset
from model.contract.storage import banks, host_banks, index_bits, mark_bits, queue_depth
from model.state import bank_shapes

CHIPS = [preset("tiny", rule) for rule in RULES] + [preset(name) for name in PRESETS]


@pytest.mark.parametrize(("size", "bits"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (1025, 11)])
def test_an_index_has_as_many_bits_as_it_needs(size: int, bits: int) -> None:
    assert index_bits(size) == bits


@pytest.mark.parametrize("config", CHIPS, ids=lambda config: config.name)
def test_bank_names_are_unique(config: ChipConfig) -> None:
    names = [bank.name for bank in banks(config)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("config", CHIPS, ids=lambda config: config.name)
def test_a_host_bank_has_the_words_that_its_address_formula_reaches(config: ChipConfig) -> None:
    shapes = bank_shapes(config)
    assert set(shapes) == {bank.name for bank in host_banks(config)}
    for bank in host_banks(config):
        shape = shapes[bank.name]
        if bank.name.endswith(".modulation"):
            assert bank.words * bank.lanes == shape[0] * shape[1]
            continue
        if bank.name.endswith(".kernels"):
            kernels, channels, size, _ = shape
            groups = math.ceil(kernels * bank.taps / bank.lanes)
            assert bank.words == channels * groups * math.ceil(size**2 / bank.taps)
            continue
        last = (shape[0] - 1) * math.ceil(shape[1] / bank.lanes) + (shape[1] - 1) // bank.lanes
        assert bank.words == last + 1


def test_banks_of_the_processor_at_full_size() -> None:
    found = {bank.name: bank for bank in banks(preset("spoon"))}
    kernels, weights = found["conv1.kernels"], found["hidden1.weights"]
    assert (kernels.words, kernels.lanes, kernels.word_bits) == (13, 20, 160)
    assert (weights.words, weights.word_bits, weights.chunks) == (360 * 8, 128, 4)
    assert weights.bits == 360 * 128 * 8
    assert found["readout.weights"].words == 129 * 5
    potentials = found["conv1.potentials"]
    assert (potentials.copies, potentials.words) == (2, 300)  # 24 rows of 25 places, in two
    assert potentials.bits == 2 * 300 * potentials.word_bits
    assert found["hidden1.modulation"].words == 10 * 128
    assert found["hidden1.queue"].words == 512


@pytest.mark.parametrize(
    ("rule", "present"),
    [
        ("none", set()),
        ("shallow", {"readout.queue", "readout.active"}),
        ("drtp", {"hidden1.queue", "hidden1.active", "hidden1.modulation"}),
        ("drtp-scaled", {"hidden1.modulation", "hidden1.gates"}),
        ("sdfa", {"hidden1.modulation", "hidden1.gates"}),
        ("dfa", {"hidden1.modulation", "hidden1.gates"}),
    ],
)
def test_a_rule_keeps_only_what_it_needs(rule: str, present: set[str]) -> None:
    names = {bank.name for bank in banks(preset("tiny", rule))}
    assert present <= names
    if rule in ("none", "shallow"):
        assert not {"hidden1.queue", "hidden1.active", "hidden1.modulation"} & names
    if rule == "none":
        assert not {"readout.queue", "readout.active"} & names
    if rule == "drtp":
        assert "hidden1.gates" not in names


def test_modulation_is_selected_by_label_or_projects_the_error() -> None:
    selected = {bank.name: bank for bank in banks(preset("tiny", "drtp"))}["hidden1.modulation"]
    assert (selected.words, selected.lanes, selected.word_bits) == (10 * 16, 1, 2)
    projects = {bank.name: bank for bank in banks(preset("tiny", "dfa"))}["hidden1.modulation"]
    assert (projects.words, projects.lanes, projects.word_bits) == (16, 10, 20)


@pytest.mark.parametrize("config", CHIPS, ids=lambda config: config.name)
def test_a_queue_holds_a_whole_sample_and_its_mark(config: ChipConfig) -> None:
    for shape in config.layer_shapes:
        depth = queue_depth(shape)
        assert depth >= shape.inputs + 1
        assert depth & (depth - 1) == 0
        assert depth < 2 * (shape.inputs + 1)


def test_a_mark_carries_label_learn_rate_faulty_and_abort() -> None:
    assert mark_bits(preset("tiny")) == 4 + 1 + 2 + 1 + 1

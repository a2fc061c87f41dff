"""Energy proxy: sourced constants, prices of every action, scaling, hand-worked sums."""

import dataclasses

import numpy as np
import pytest

from model.contract.choices import RULES
from model.contract.config import ChipConfig
from model.contract.counters import Counter, Kind, Phase, counters
from model.contract.presets import PRESETS, preset
from model.contract.refusal import Refusal
from model.contract.storage import bank
from model.cost import proxy
from model.cost.actions import LEARNED_SAMPLES, Free, Part, actions
from model.cost.proxy import Bill, bill, overhead
from model.cost.tables import ALADDIN, HOROWITZ, MEMORY_BIT, TABLES, Constant, Source, Table
from model.cost.technology import TARGET, Technology, area_scale, energy_scale
from model.fast.engine import FastChip
from model.network import totals
from model.state import fresh

AT_45, AT_40 = Technology(45, 0.9), Technology(40, 0.9)


def counts_of(config: ChipConfig, **steps: int) -> dict[str, int]:
    """Zero of every activity, and the given steps; "conv1__words" stands for conv1.words."""
    found = {c.name: 0 for c in counters(config) if c.kind is Kind.ACTIVITY}
    found["encode.samples"] = 1
    return found | {name.replace("__", "."): count for name, count in steps.items()}


def scaled(table: Table, factor: float) -> Table:
    """A table whose every constant is so many times as large."""

    def larger(constants: tuple[Constant, ...]) -> tuple[Constant, ...]:
        return tuple(dataclasses.replace(c, value=c.value * factor) for c in constants)

    return Table(
        table.name,
        larger(table.add),
        larger(table.multiply),
        larger(table.compare),
        larger(table.register),
        larger(table.memory),
    )


def run(config: ChipConfig, learn: bool) -> dict[str, int]:
    """Counts of twenty random images."""
    rng = np.random.default_rng(5)
    size = (20, config.height, config.width, config.channels)
    images = rng.integers(0, 256, size).astype(np.uint8)
    chip = FastChip(config, fresh(config, 0))
    chip.run(images, rng.integers(0, 10, 20), np.zeros(20, np.int64), learn)
    return totals(config, chip.counts)


# Sources


def sourced(source: Source) -> bool:
    return (
        len(source.author) > 5
        and 1990 <= source.year <= 2030
        and len(source.title) > 5
        and any(word in source.place for word in ("p.", "pp.", "figure", "table", "abstract", "/"))
    )


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_constant_has_a_source_a_unit_and_a_technology(table: Table) -> None:
    assert len(table.constants) >= 5
    for constant in table.constants:
        assert sourced(constant.source), constant
        assert constant.unit == "pJ"
        assert constant.value > 0 and constant.size >= 1
        assert 28 <= constant.technology.node_nm <= 45


def test_the_bit_cell_has_a_source() -> None:
    assert sourced(MEMORY_BIT.source)
    assert MEMORY_BIT.at_um2(28) == 0.120


def test_a_constant_without_a_source_is_caught() -> None:
    assert not sourced(Source("", 2014, "Computing's energy problem", "p. 10"))
    assert not sourced(Source("M. Horowitz", 0, "Computing's energy problem", "p. 10"))
    assert not sourced(Source("M. Horowitz", 2014, "Computing's energy problem", ""))


def test_prices_are_the_published_figures_at_their_sizes() -> None:
    assert HOROWITZ.add_pj(8, AT_45) == pytest.approx(0.03)
    assert HOROWITZ.add_pj(16, AT_45) == pytest.approx(0.05)
    assert HOROWITZ.add_pj(32, AT_45) == pytest.approx(0.1)
    assert HOROWITZ.multiply_pj(8, 8, AT_45) == pytest.approx(0.2)
    assert HOROWITZ.multiply_pj(32, 32, AT_45) == pytest.approx(3.1)
    for capacity_bytes, access_pj in ((8 << 10, 10), (32 << 10, 20), (1 << 20, 100)):
        assert HOROWITZ.access_pj(8 * capacity_bytes, 64, AT_45) == pytest.approx(access_pj)
    assert ALADDIN.add_pj(32, AT_40) == pytest.approx(0.21)
    assert ALADDIN.multiply_pj(32, 32, AT_40) == pytest.approx(12.68)
    assert ALADDIN.compare_pj(32, AT_40) == pytest.approx(0.02947)
    assert ALADDIN.register_pj(1, AT_40) == pytest.approx(0.009)
    at = Technology(28, 0.45)
    assert ALADDIN.access_pj(128 << 10, 64, at) == pytest.approx(64 * 0.0525)


def test_prices_between_and_beyond_published_sizes_follow_the_stated_laws() -> None:
    assert HOROWITZ.add_pj(4, AT_45) == pytest.approx(0.015)
    assert HOROWITZ.add_pj(12, AT_45) == pytest.approx(0.04)
    assert HOROWITZ.add_pj(48, AT_45) == pytest.approx(0.15)
    assert ALADDIN.multiply_pj(8, 16, AT_40) == pytest.approx(12.68 / 8)
    quarter = HOROWITZ.access_pj(2 << 13, 64, AT_45)
    assert quarter == pytest.approx(5)  # half of 8 kB's in a quarter of its bits
    assert ALADDIN.access_pj(32 << 10, 1, Technology(28, 0.45)) == pytest.approx(0.0525 / 2)
    assert HOROWITZ.access_pj(16 << 13, 32, AT_45) == pytest.approx(5 * 2**0.5)


def test_a_bit_of_the_least_memory_costs_a_register() -> None:
    for table in TABLES:
        assert table.access_pj(8, 8, TARGET) == pytest.approx(table.register_pj(8, TARGET))


# Technology


def test_energy_factors_are_those_of_the_corrigendum() -> None:
    assert Technology(32, 0.9).energy_factor == pytest.approx(0.4571, abs=1e-4)


def test_scaling_there_and_back_is_one() -> None:
    assert energy_scale(AT_45, AT_45) == 1
    assert energy_scale(AT_45, TARGET) * energy_scale(TARGET, AT_45) == pytest.approx(1)
    assert area_scale(180, 32) == 0.025
    assert area_scale(28, 180) * area_scale(180, 28) == pytest.approx(1)


def test_nodes_between_the_tabled_lie_between_them() -> None:
    factors = [Technology(node, 0.9).energy_factor for node in (45, 40, 32, 28, 20)]
    assert factors == sorted(factors, reverse=True)
    assert area_scale(180, 32) > area_scale(180, 28) > area_scale(180, 20)


def test_less_voltage_costs_less() -> None:
    factors = [Technology(28, volts).energy_factor for volts in (1.1, 0.9, 0.6, 0.45)]
    assert factors == sorted(factors, reverse=True)


def test_technologies_beyond_the_sources_are_refused() -> None:
    with pytest.raises(Refusal) as refusal:
        Technology(65, 0.9)
    assert str(refusal.value) == "energy scales between nodes of 20 and 45 nm, not to 65"
    with pytest.raises(Refusal) as refusal:
        Technology(28, 0.3)
    assert str(refusal.value) == "the supply must be 0.45 to 1.1 V, not 0.3"


# Actions


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("name", PRESETS)
def test_every_action_of_every_chip_has_a_price(name: str, rule: str) -> None:
    config = preset(name, rule)
    for table in TABLES:
        assert bill(config, counts_of(config, encode__events=1), 0, table).total_pj() > 0


def test_what_is_free_says_why() -> None:
    config = preset("spoon")
    free = [action for action in actions(config).values() if isinstance(action, Free)]
    assert free
    assert all(len(action.reason.split()) >= 4 for action in free)


def test_an_action_without_a_price_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = preset("tiny")
    declared = (*counters(config), Counter("conv1", "wonders", "wonders", "unheard of"))
    monkeypatch.setattr(proxy, "counters", lambda config: declared)
    with pytest.raises(Refusal) as refusal:
        bill(config, counts_of(config), 0, HOROWITZ)
    assert str(refusal.value) == (
        "the action conv1.wonders has no price; give it one in model/cost/actions.py"
    )


def test_a_price_without_an_action_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    config = preset("tiny")
    priced = actions(config) | {"conv1.wonders": Free("nobody has ever seen one")}
    monkeypatch.setattr(proxy, "actions", lambda config: priced)
    with pytest.raises(Refusal) as refusal:
        bill(config, counts_of(config), 0, HOROWITZ)
    assert str(refusal.value) == (
        "the action conv1.wonders is priced but not counted; take it out of model/cost/actions.py"
    )


# Bills


def test_an_event_and_a_word_of_potentials_cost_what_a_hand_works_out() -> None:
    """An event reads all 13 kernel words of two taps; potentials lie in two memories."""
    config = preset("spoon")
    counts = counts_of(config, conv1__events=1, conv1__words=1)
    found = bill(config, counts, 0, HOROWITZ, AT_45)
    kernels, potentials = bank(config, "conv1.kernels"), bank(config, "conv1.potentials")
    assert (kernels.word_bits, kernels.memory_bits) == (160, 2_080)
    assert (potentials.word_bits, potentials.memory_bits) == (210, 63_000)
    # 10 pJ for 64 bits of 65,536, by the square root of the capacity; at 32 kB it has doubled.
    kernel_words, potential_words = 13 * 160 * 2_080**0.5, 2 * 210 * 63_000**0.5
    by_hand = 10 / 64 * (kernel_words + potential_words) / 65_536**0.5
    assert found.total_pj(part=Part.MEMORY) == pytest.approx(by_hand)


def test_a_mac_costs_its_multiplication_and_its_addition() -> None:
    config = preset("spoon")
    found = bill(config, counts_of(config, hidden1__macs=1000), 0, ALADDIN, AT_40)
    total = config.layer_shapes[0].sum.bits
    by_hand = 1000 * (12.68 * 8 * 8 / 1024 + 0.21 * total / 32)
    assert found.total_pj(part=Part.ARITHMETIC) == pytest.approx(by_hand)


def test_ternary_kernels_need_no_multiplication() -> None:
    lite = preset("spoon-lite")
    uses = actions(lite)["conv1.macs"]
    assert not isinstance(uses, Free)
    assert [type(use.operation).__name__ for use in uses] == ["Add", "Add", "Compare"]


def test_inhibition_costs_its_additions_and_where_a_place_has_two_words_a_read() -> None:
    spoon = preset("spoon")
    plain = dataclasses.replace(spoon, conv=(dataclasses.replace(spoon.conv[0], inhibition=None),))
    inhibited = dataclasses.replace(spoon, conv=(dataclasses.replace(plain.conv[0], inhibition=2),))

    def more(lanes: int, part: Part) -> float:
        chips = (dataclasses.replace(chip, lanes=lanes) for chip in (plain, inhibited))
        costs = [
            bill(chip, counts_of(chip, conv1__pool_words=1), 0, ALADDIN, AT_40).total_pj(part=part)
            for chip in chips
        ]
        return costs[1] - costs[0]

    # Potentials of 21 bits; ten of them, rectified, add up to 24.
    adds = 9 * 24 + 10 * 21
    assert more(16, Part.ARITHMETIC) == pytest.approx(0.21 * adds / 32)
    assert more(16, Part.MEMORY) == 0
    assert more(8, Part.ARITHMETIC) == pytest.approx(0.21 * (8 * 24 + 8 * 21) / 32)
    potentials = bank(dataclasses.replace(plain, lanes=8), "conv1.potentials")
    read = ALADDIN.access_pj(potentials.memory_bits, potentials.word_bits, AT_40)
    assert more(8, Part.MEMORY) == pytest.approx(read)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_scaling_a_table_scales_the_result(table: Table) -> None:
    config = preset("tiny")
    counts = run(config, learn=True)
    before, after = bill(config, counts, 20, table), bill(config, counts, 20, scaled(table, 3))
    assert after.total_pj() == pytest.approx(3 * before.total_pj())
    for key, energy in before.energies_pj.items():
        assert after.energies_pj[key] == pytest.approx(3 * energy)


def test_parts_stages_and_phases_sum_to_the_whole() -> None:
    config = preset("tiny")
    found = bill(config, run(config, learn=True), 20, HOROWITZ)
    assert sum(found.total_pj(part=part) for part in Part) == pytest.approx(found.total_pj())
    assert sum(found.total_pj(phase=phase) for phase in Phase) == pytest.approx(found.total_pj())
    stages = {stage for stage, _, _ in found.energies_pj}
    assert sum(found.total_pj(stage) for stage in stages) == pytest.approx(found.total_pj())
    assert sum(found.energies_pj.values()) == pytest.approx(20 * found.total_pj())


def test_a_chip_that_does_not_learn_pays_nothing_for_learning() -> None:
    config = preset("tiny", "none")
    found = bill(config, run(config, learn=False), 0, HOROWITZ)
    assert found.total_pj(phase=Phase.LEARN) == 0


@pytest.mark.parametrize("rule", ["shallow", "drtp", "drtp-scaled", "sdfa", "dfa"])
def test_learning_costs_more_than_classifying(rule: str) -> None:
    config = preset("tiny", rule)
    classified = bill(config, run(config, learn=False), 0, HOROWITZ)
    learned = bill(config, run(config, learn=True), 20, HOROWITZ)
    idle = classified.total_pj(phase=Phase.LEARN)
    assert 0 < idle < learned.total_pj(phase=Phase.LEARN)
    assert overhead(learned.total_pj(), classified.total_pj()) > 0


def test_each_learned_sample_is_priced_once_a_learning_layer() -> None:
    config = preset("tiny", "dfa")
    names = [name for name in actions(config) if name.endswith(LEARNED_SAMPLES)]
    assert names == [f"hidden1.{LEARNED_SAMPLES}", f"readout.{LEARNED_SAMPLES}"]
    one = bill(config, counts_of(config), 1, HOROWITZ).total_pj()
    assert bill(config, counts_of(config), 5, HOROWITZ).total_pj() - one == pytest.approx(
        4 * (one - bill(config, counts_of(config), 0, HOROWITZ).total_pj())
    )


def test_overhead_is_a_share_of_the_plain_figure() -> None:
    assert overhead(116.8, 100) == pytest.approx(0.168)


def test_an_empty_bill_sums_to_nothing() -> None:
    assert Bill("none", TARGET, 1, {}).total_pj() == 0

"""Energy proxy of chips at work, and toggles counted from waves."""

from pathlib import Path

import pytest

from model.contract.choices import RULES
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.cost.technology import TARGET, Technology
from model.data import Dataset, load
from sim.silicon.activity import Point, Toggles, correlation, table, toggles
from sim.silicon.power import Work, calibration, price, published, scope, told, work


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


def done(rule: str, digits: Dataset, train: int = 60, epochs: int = 1) -> Work:
    return work(preset("tiny", rule), digits, train, 30, 0, epochs)


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_is_counted_and_priced(rule: str, digits: Dataset) -> None:
    found = done(rule, digits)
    for priced in price(found):
        assert priced.classifying.total_pj() > 0
        if rule == "none":
            assert priced.learning is None
        else:
            assert priced.learning is not None
            assert priced.learning.total_pj() > priced.classifying.total_pj()
            assert priced.learning.samples == priced.classifying.samples == 60


def test_learning_and_classifying_meet_the_same_inputs(digits: Dataset) -> None:
    found = done("drtp", digits, epochs=2)
    assert (found.trained, found.classified) == (120, 60)
    for name in ("encode.events", "conv1.words", "conv1.macs", "conv1.features", "hidden1.macs"):
        assert found.mean(name) == found.mean(name, learning=True)


def test_a_chip_that_does_not_learn_classifies_with_learned_weights(digits: Dataset) -> None:
    plain, learned = done("none", digits, 600), done("drtp", digits, 600)
    assert plain.accuracy == learned.accuracy > 0.5
    assert plain.learning == {}
    assert plain.classifying["conv1.macs"] == learned.classifying["conv1.macs"]


def test_too_many_samples_are_refused(digits: Dataset) -> None:
    with pytest.raises(Refusal) as refusal:
        work(preset("tiny"), digits, 10, 1_000_000, 0, 1)
    assert str(refusal.value) == (
        f"--test must be 1 to the {len(digits.y_test)} test samples, not 1000000"
    )
    with pytest.raises(Refusal) as refusal:
        work(preset("tiny"), digits, 1_000_000, 10, 0, 1)
    count = len(digits.y_train)
    assert (
        str(refusal.value) == f"of {count} training samples 1 to {count} can be taken, not 1000000"
    )


def test_the_busiest_stage_sets_the_pace(digits: Dataset) -> None:
    found = done("drtp", digits)
    cycles = found.cycles(learning=True)
    assert set(cycles) == {"conv1", "hidden1", "readout"}
    assert found.pace(learning=True) == max(cycles.values())


def test_a_layer_without_a_queue_holds_the_stage_before_it_up(digits: Dataset) -> None:
    found = done("none", digits)
    groups = found.config.layer_shapes[0].groups
    waits = found.mean("hidden1.items") * (groups - 1)
    assert groups > 1
    assert found.pace() == pytest.approx(found.cycles()["conv1"] + waits)


def test_figures_name_stages_phases_parts_overheads_and_spread(digits: Dataset) -> None:
    found = told(done("drtp", digits), done("none", digits), TARGET)
    assert found["spread"] > 1
    assert set(found["tables"]) == {"horowitz", "aladdin"}
    for priced in found["tables"].values():
        rows = priced["learned_sample"]["by_stage_phase_part_pj"]
        assert sum(rows.values()) == pytest.approx(priced["learned_sample"]["total_pj"])
        assert "hidden1.learn.memory" in rows
        assert priced["learned_sample"]["overhead"] > priced["classification"]["overhead"] > 0


def test_the_scope_says_what_a_figure_stands_for(digits: Dataset) -> None:
    line = scope(done("drtp", digits), Technology(28, 0.9))
    for words in ("proxy at 28 nm 0.9 V", "tiny, rule drtp", "60 learned", "clock tree"):
        assert words in line


def test_energies_fall_with_the_voltage(digits: Dataset) -> None:
    found = done("drtp", digits)
    high, low = (price(found, Technology(28, volts))[0] for volts in (0.9, 0.6))
    assert low.classifying.total_pj() < high.classifying.total_pj()


def test_the_calibrated_classification_is_the_published_one(digits: Dataset) -> None:
    priced = price(done("drtp", digits))[0]
    assert calibration(priced) * priced.classifying.total_pj() == pytest.approx(313e3)
    assert published("power overhead of learning on chip") == 16.8


# Toggles

VCD = b"""$timescale 1ps $end
$scope module tiny $end
$var wire 1 ! clk $end
$scope module chip $end
$scope module conv1 $end
$var wire 4 " total [3:0] $end
$var wire 1 # busy $end
$var wire 1 ! clk $end
$scope module potentials $end
$var wire 8 $ words[0] [7:0] $end
$upscope $end
$upscope $end
$scope module hidden1._12_ $end
$var wire 1 % A $end
$var wire 1 & Y $end
$upscope $end
$var wire 1 # conv1_busy $end
$upscope $end
$upscope $end
$enddefinitions $end
#0
0!
b0000 "
0#
b00000000 $
0%
1&
#5
1!
b0111 "
1#
#10
0!
b11111111 $
#15
1!
b0100 "
0#
1%
0&
"""


@pytest.fixture
def waves(tmp_path: Path) -> Path:
    path = tmp_path / "waves.vcd"
    path.write_bytes(VCD)
    return path


def test_every_bit_of_every_net_counts_once(waves: Path) -> None:
    found = toggles(waves, ("encode", "conv1", "hidden1"), drivers_only=False)
    # total: 0000 to 0111 to 0100, 3 + 2; busy twice under two names; _12_: A and Y.
    assert found.by_stage == {"encode": 0, "conv1": 7, "hidden1": 2, "rest": 0}
    assert found.all == 9
    assert (found.cycles, found.period) == (2, "10 x 1ps")


def test_in_a_netlist_the_outputs_of_cells_count_alone(waves: Path) -> None:
    found = toggles(waves, ("conv1", "hidden1"), drivers_only=True)
    assert found.by_stage == {"hidden1": 1, "rest": 0}


def point(energy: float, count: int, kind: str = "rtl") -> Point:
    energies = {"horowitz": energy, "aladdin": 2 * energy}
    return Point(
        kind, 0.5, 0, True, 9, Toggles({"conv1": count}, 10, "10 x 1ps"), energies, energies
    )


def test_correlation_is_that_of_the_points_of_one_kind() -> None:
    points = [point(1, 10), point(2, 20), point(3, 30), point(9, 0, "gates"), point(1, 7, "gates")]
    assert correlation(points, "rtl", "horowitz", logic=False) == pytest.approx(1)
    assert correlation(points, "gates", "aladdin", logic=True) == pytest.approx(-1)


def test_the_csv_has_a_row_a_point() -> None:
    lines = table([point(1, 10), point(2, 20)]).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("kind,share,draw,learn,samples,events,cycles,period,toggles_conv1")

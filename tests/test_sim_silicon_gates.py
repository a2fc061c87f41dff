"""Power from gates: the library's tables, a netlist in 64 lanes, sums, and OpenSTA beside it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.data import load
from sim import tools
from sim.silicon import energy, joules, opensta
from sim.silicon.cells import liberty, nangate
from sim.silicon.edges import edges
from sim.silicon.energy import KINDS, Measured
from sim.silicon.lanes import LANES
from sim.silicon.liberty import Library, function
from sim.silicon.sram import PROCESS, sram

# A library of one gate and one flip-flop, worked by hand: energies 4 fJ and 2 fJ whatever the slew,
# so 3 fJ a toggle; pins of 1 fF; 1 V.
BY_HAND = """
library (hand) {
  time_unit : "1ns"; capacitive_load_unit (1, pf); leakage_power_unit : "1uW";
  nom_voltage : 1.0;
  power_lut_template (two) {
    variable_1 : input_transition_time; variable_2 : total_output_net_capacitance;
    index_1 ("0, 1"); index_2 ("0, 0.1");
  }
  cell (AND) {
    area : 2;
    leakage_power () { when : "A & B"; value : 0.004; }
    leakage_power () { when : "!(A & B)"; value : 0.001; }
    pin (A) { direction : input; capacitance : 0.001; }
    pin (B) { direction : input; capacitance : 0.001; }
    pin (Y) {
      direction : output; function : "A B";
      internal_power () {
        related_pin : "A";
        rise_power (two) { values ("0.004, 0.004", "0.004, 0.004"); }
        fall_power (two) { values ("0.002, 0.002", "0.002, 0.002"); }
      }
    }
  }
}
"""


def test_functions_mean_what_liberty_says() -> None:
    chance = {"A": 0.5, "B": 0.25, "C": 1.0}
    assert function("A B'").chance(chance) == 0.5 * 0.75  # side by side is and; behind it, not
    assert function("!(A | B) + C ^ 1").chance(chance) == 0.5 * 0.75
    assert function("A ^ B").chance(chance) == 0.5 * 0.75 + 0.25 * 0.5
    assert function("!A & B").written({"A": "a", "B": "b"}) == "(~a & b)"
    with pytest.raises(Refusal, match="ends too soon"):
        function("A &")


def test_a_library_worked_by_hand_reads_in_our_units(tmp_path: Path) -> None:
    (tmp_path / "hand.lib").write_text(BY_HAND)
    cell = Library(tmp_path / "hand.lib").cell("AND")
    assert cell.pins["A"].loads == pytest.approx({"rise": 1.0, "fall": 1.0})  # pF to fF
    assert sorted(value for _, value in cell.leakage) == pytest.approx([1.0, 4.0])  # uW to nW
    power = cell.pins["Y"].powers[0]
    assert power.edges["rise"].at(0.5, 50.0) == pytest.approx(4.0)
    (tmp_path / "other.lib").write_text("library (none) { }")
    with pytest.raises(Refusal, match="names no cell"):
        Library(tmp_path / "other.lib")


def test_tables_are_planes_between_points_for_one_and_for_many() -> None:
    table = Library(nangate()).cell("NAND2_X1").pins["ZN"].powers[0].edges["rise"]
    slews, loads = np.array([0.001, 0.05, 0.3]), np.array([0.4, 7.0, 90.0])
    many = table.over(slews, loads)
    assert many.tolist() == pytest.approx(
        [table.at(*pair) for pair in zip(slews, loads, strict=True)]
    )
    row, column = 2, 3
    assert table.at(table.slews[row], table.loads[column]) == table.values[row, column]


def test_the_library_of_180_nm_reads_too() -> None:
    library = Library(liberty())
    assert library.volts == 1.8
    assert library.cell("NAND2X1").pins["Y"].powers
    assert library.cell("DFFPOSX1").state["next_state"] == "D"


def test_memories_cost_more_with_size_and_with_a_second_port() -> None:
    one, two = sram(64, 15, True), sram(51, 32, False)
    assert 0 < one.read_pj < 100 and 0 < two.leakage_mw < 1
    with pytest.raises(Refusal, match="sim memories"):
        sram(12345, 67, False, PROCESS)


@pytest.fixture(scope="session")
def measured() -> Measured:
    data = load("digits")
    return energy.measure(preset("tiny"), Library(nangate()), data, len(data.y_train))


@pytest.mark.slow
def test_gates_learn_what_the_model_learns_and_every_lane_is_counted(measured: Measured) -> None:
    # `measure` refuses gates that differ; each lane has toggled, and a lane that learned, more.
    toggles = measured.activity.toggles.sum(axis=0)
    assert len(toggles) == LANES and (toggles[1::2] > toggles[::2]).all()
    assert (measured.learned_pj > measured.classified_pj).all()
    assert measured.activity.writes.sum() > 0


@pytest.mark.slow
def test_stages_and_kinds_add_up_and_each_stage_works(measured: Measured) -> None:
    figures = energy.told(measured)
    for phase in ("classified", "learned"):
        stages = figures[phase]["by_stage_nj"]
        whole = sum(sum(row.values()) for row in stages.values())
        assert whole == pytest.approx(figures[phase]["nj"], rel=1e-9)
        assert set(KINDS) == set(next(iter(stages.values())))
    assert set(figures["sha256"]) == {"library", "netlist", "activity", "memories"}


@pytest.mark.slow
def test_implausible_activity_is_refused(measured: Measured) -> None:
    activity = measured.activity
    with pytest.raises(Refusal, match="no net does"):
        joules.check(activity.toggles * 100, activity.cycles)
    dead = dataclasses.replace(activity, toggles=np.zeros_like(activity.toggles))
    with pytest.raises(Refusal, match="toggles in"):
        energy.spend(measured.edges, dead, measured.memories, measured.pace, True, False)


@pytest.mark.slow
def test_a_classification_by_hand_of_one_kind_of_gate(measured: Measured) -> None:
    # All inverters: switching energy is half the load times volts squared, toggle by toggle.
    netlist, walked = measured.netlist, measured.edges
    gates = [n for n, gate in enumerate(netlist.gates) if gate.cell.name == "INV_X1"]
    nets = [netlist.gates[n].nets["ZN"] for n in gates]
    by_hand = sum(0.5 * walked.load[n] * 1.1**2 * measured.activity.toggles[n] for n in nets)
    rate = measured.activity.toggles.sum(axis=1).astype(float)
    priced = joules.prices(walked, rate, measured.activity.duty, 1e6)
    found = priced.energies(measured.activity.toggles, np.array(gates))["switching"]
    assert found.tolist() == pytest.approx(by_hand.tolist())


@pytest.mark.slow
def test_our_power_is_openstas_at_uniform_activity(measured: Measured) -> None:
    if tools.examine("opensta").tool is None:
        pytest.skip("not run: OpenSTA is not there; `python -m sim get opensta` gets it")
    walked = edges(measured.netlist)
    ours, theirs = opensta.ours(walked, 0.1, 5.0), opensta.theirs(measured.netlist, 0.1, 5.0)
    for part in opensta.PARTS:
        both = [sum(found[group][part] for group in opensta.GROUPS) for found in (ours, theirs)]
        assert both[0] == pytest.approx(both[1], rel=0.01), part
    for group in opensta.GROUPS:
        whole = [sum(found[group].values()) for found in (ours, theirs)]
        assert whole[0] == pytest.approx(whole[1], rel=0.01), group

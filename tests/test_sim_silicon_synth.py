"""Synthesis: chips on an FPGA and in standard cells, estimates, netlists, kept figures."""

import dataclasses
import json
import re
from pathlib import Path

import pytest

from model.contract.choices import RULES, Conv, Hidden, Readout
from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.cost.tables import MEMORY_BIT
from model.cost.technology import area_scale
from model.data import Dataset, load
from rtl.emit import emit
from sim import tools
from sim.judge.samples import samples
from sim.judge.verify import Run
from sim.silicon import synth
from sim.silicon.estimate import estimate, fitted
from sim.silicon.figures import MARGINS, RESULTS, Figures
from sim.silicon.netlist import netlist, verify
from sim.silicon.synth import ECP5, UP5K, Synthesis, memories, pins, synthesise

#: The greatest error of a cell estimate that is still called one.
ESTIMATE_ERROR = 0.15


def atom(rule: str) -> ChipConfig:
    """The smallest chip that does all that chips do."""
    return ChipConfig(
        name="atom",
        height=8,
        width=8,
        pixel_bits=3,
        conv=(Conv(kernels=2, size=3, pool=3, shift=5),),
        hidden=(Hidden(neurons=4, shift=3, rate_shift=6, threshold=1 << 9),),
        readout=Readout(classes=10, shift=8, rate_shift=11),
        lanes=2,
        counters=False,
    ).with_rule(rule)


def found(**figures: object) -> Synthesis:
    """A result on an FPGA that was never synthesised."""
    about = {
        "name": "tiny",
        "rule": "drtp",
        "config_sha256": "",
        "key": "",
        "target": "up5k",
        "device": UP5K.device,
        "tools": {},
        "seconds": 1.0,
        "used": {"lut": 4000, "dsp": 12},
        "available": {"lut": 5280, "dsp": 8},
    }
    return Synthesis(**about | figures)  # type: ignore[arg-type]


# Real runs, held against the figures that are kept


def test_cells_of_tiny_are_those_kept() -> None:
    assert Figures.load().changes(synthesise(preset("tiny"), "cmos")) == []


def test_a_chip_is_placed_and_routed_as_kept() -> None:
    routed = synthesise(preset("tiny"), "ecp5")
    assert routed.fits
    assert Figures.load().changes(routed) == []


def test_a_chip_that_does_not_fit_says_what_is_missing() -> None:
    crowded = synthesise(preset("tiny"), "up5k")
    assert not crowded.fits
    assert crowded.missing == {"lut": 1166, "dsp": 8}
    assert crowded.fmax_mhz is None
    assert crowded.used["spram"] == 4  # two a layer of weights, words of 32 bits


def test_areas_of_modules_sum_to_that_of_the_chip() -> None:
    cells = synthesise(preset("tiny"), "cmos")
    assert sum(m["area_um2"] for m in cells.modules.values()) == pytest.approx(cells.cells_um2)
    assert sum(m["cells"] for m in cells.modules.values()) == cells.cells
    assert sum(m["flip_flops"] for m in cells.modules.values()) == cells.flip_flops
    assert {"chip.conv1", "chip.hidden1.synapses.learner.update", "chip.registers"} <= set(
        cells.modules
    )
    logic = (cells.cells_um2 or 0) * area_scale(180, 28)
    assert cells.area_um2 == pytest.approx(logic + 17_034 * MEMORY_BIT.um2)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load("digits")


@pytest.mark.parametrize("rule", ["drtp", "dfa"])
def test_a_mapped_netlist_equals_the_model(rule: str, digits: Dataset) -> None:
    config = atom(rule)
    given = samples(config, digits, 40, 20, seed=1)
    figures = verify(netlist(config), given, Run("verilator", stalls=0.2))
    assert figures["mismatches"] == 0
    assert figures["compared_values"] > 1000
    assert figures["weights_sha256"]["model"] == figures["weights_sha256"]["rtl"]


def test_a_wrong_cell_in_a_netlist_is_found(digits: Dataset) -> None:
    config = atom("drtp")
    mapped = netlist(config)
    right, wrong = r"\bXNOR2X1( \w+ \(\s+\.A\(\\chip\.conv1\.)", r"XOR2X1\1"
    text, changed = re.subn(right, wrong, mapped.verilog, count=1)
    assert changed == 1
    given = samples(config, digits, 20, 5, seed=1)
    figures = verify(dataclasses.replace(mapped, verilog=text), given, Run("verilator"))
    assert figures["mismatches"] > 0
    assert figures["first_mismatch"]["stage"] == "conv1.features"


# Without tools


@pytest.mark.parametrize(
    ("lanes", "taken"),
    [
        (2, {"hidden1": 2, "readout": 1}),  # as on the board
        (8, {"hidden1": 4}),
        (16, {"readout": 1}),  # a word of 128 bits is too wide
    ],
)
def test_weights_lie_in_spram_while_there_is_any(lanes: int, taken: dict[str, int]) -> None:
    assert UP5K.blocks
    config = dataclasses.replace(preset("spoon-lite"), lanes=lanes)
    assert UP5K.blocks.taken(config) == taken
    commands = synth._mapping(emit(dataclasses.replace(config, counters=False)), UP5K)
    named = [command for command in commands if command.startswith("setattr")]
    assert [command.split(".")[1] for command in named] == list(taken)


def test_weights_that_miss_their_spram_are_told() -> None:
    assert UP5K.blocks
    with pytest.raises(Refusal, match="were to take 4 SB_SPRAM256KA, its netlist has 3"):
        synth._check_blocks(preset("tiny"), UP5K.blocks, {"SB_SPRAM256KA": 3})


@pytest.mark.parametrize("rule", RULES)
def test_memories_are_those_of_the_verilog(rule: str) -> None:
    emission = emit(preset("tiny", rule))
    depths = re.findall(r"\.DEPTH\(32'd(\d+)\),\s+\.WIDTH\(32'd(\d+)\)", emission.verilog)
    expected = [
        (bank.words, bank.word_bits)
        for bank in memories(emission.config)
        for _ in range(bank.copies)
    ]
    assert sorted((int(depth), int(width)) for depth, width in depths) == sorted(expected)


def test_every_pin_but_the_clock_ends_in_a_flip_flop() -> None:
    emission = emit(preset("tiny"))
    ports = [p for p in emission.ports if not p.name.startswith("monitor") and p.name != "clk"]
    bits = sum(port.bits for port in ports)
    outputs = sum(port.bits for port in ports if port.direction == "output")
    for fpga, flip_flop, gate in ((UP5K, "SB_DFF", "SB_LUT4"), (ECP5, "TRELLIS_FF", "LUT4")):
        text = pins(emission, fpga)
        assert len(re.findall(rf"^  {flip_flop} ", text, re.MULTILINE)) == bits
        assert len(re.findall(rf"^  {gate} ", text, re.MULTILINE)) == outputs
        for port in ports:
            assert f".{port.name}(" in text
        assert "monitor" not in text


def test_an_unknown_target_is_refused() -> None:
    with pytest.raises(Refusal) as refusal:
        synthesise(preset("tiny"), "xc7")
    assert str(refusal.value) == "there is no target 'xc7'; choose up5k, ecp5, cmos"


def test_an_area_is_asked_of_cells_alone() -> None:
    with pytest.raises(Refusal) as refusal:
        _ = found().area_um2
    assert str(refusal.value) == "the target up5k has no area; ask for cmos"


def test_what_is_missing_is_counted() -> None:
    assert found().missing == {"dsp": 4}
    assert found(used={"lut": 5280, "dsp": 8}).fits


def test_resources_are_read_from_a_log_that_ends_early() -> None:
    log = "Info: Device utilisation:\nInfo: \t      ICESTORM_DSP:    12/    8   150%\nERROR: no"
    assert synth.utilisation(log) == {"ICESTORM_DSP": (12, 8)}


@pytest.mark.parametrize(
    ("cell", "place"),
    [
        ("inside.chip.readout.synapses._12__LUT4_Z", "chip.readout.synapses"),
        ("inside.chip.hidden1.synapses.bank.cells.words.0.1", "chip.hidden1.synapses.bank"),
        ("inside.bridge._3_", "bridge"),
        ("in12", "pins"),
    ],
)
def test_the_ends_of_a_path_are_named_by_their_module(cell: str, place: str) -> None:
    assert synth._place(cell, emit(preset("tiny"))) == place


def test_a_timing_miss_names_the_modules() -> None:
    slow = found(
        used={"lut": 9},
        available={"lut": 9},
        fmax_mhz=12.5,
        asked_mhz=20,
        slowest=("chip.hidden1", "chip.readout"),
    )
    assert synth._remarks(slow)[-1] == (
        "timing misses 20 MHz: the slowest path begins in chip.hidden1 and ends in chip.readout"
    )


def test_a_tool_that_stops_without_a_word_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tools, "yosys", lambda script, folder: "")
    with pytest.raises(Refusal) as refusal:
        synth._run_yosys(["stat"], tmp_path, "stat.json")
    assert str(refusal.value) == (
        "Yosys stopped without a word before it wrote stat.json; run it again"
    )


# Kept figures


def test_kept_figures_differ_by_more_than_their_margin(tmp_path: Path) -> None:
    kept = Figures(tmp_path / "synthesis.json", [])
    kept.record([found(fmax_mhz=20.0)])
    kept = Figures.load(tmp_path / "synthesis.json")
    assert kept.changes(found(fmax_mhz=22.9)) == []
    assert kept.changes(found(fmax_mhz=16.9)) == [
        "tiny drtp up5k: fmax_mhz was 20.0, is 16.9 (margin 15%)"
    ]
    more = found(fmax_mhz=20.0, used={"lut": 4000, "dsp": 13})
    assert kept.changes(more) == ["tiny drtp up5k: dsp was 12, is 13 (margin 0%)"]
    assert kept.changes(found()) == ["tiny drtp up5k: fmax_mhz was 20.0, is None (margin 15%)"]


def test_what_is_not_kept_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "synthesis.json"
    with pytest.raises(Refusal) as refusal:
        Figures(path, []).changes(found())
    assert str(refusal.value) == f"{path} holds nothing of tiny drtp on up5k"
    with pytest.raises(Refusal) as refusal:
        Figures.load(path)
    assert str(refusal.value) == (
        f"cannot read {path}: No such file or directory; restore it from the project's history"
    )


def test_the_file_states_the_margins_it_is_held_to() -> None:
    assert json.loads((RESULTS / "synthesis.json").read_text())["margins"] == MARGINS


# Estimates


def test_estimates_meet_what_was_synthesised() -> None:
    figures = Figures.load()
    fit = fitted(figures)
    assert fit.chips >= 24
    assert fit.error < ESTIMATE_ERROR
    for known in figures.of_target("cmos"):
        estimated = estimate(preset(known["name"], known["rule"]), figures)
        assert estimated.cells_um2 == pytest.approx(known["cells_um2"], rel=ESTIMATE_ERROR)
        assert sum(estimated.memory_bits.values()) == known["memory_bits"]


def test_estimated_cycles_are_near_those_counted() -> None:
    found_cycles = estimate(preset("spoon"), Figures.load()).cycles
    # Counted on MNIST: 149 events and 115 features a sample.
    assert found_cycles["conv1"] == pytest.approx(2239, rel=0.1)
    assert found_cycles["hidden1"] == pytest.approx(1064, rel=0.15)
    assert found_cycles["readout"] == pytest.approx(667, rel=0.05)


def test_too_few_chips_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        fitted(Figures(tmp_path / "synthesis.json", []))
    assert str(refusal.value) == (
        f"{tmp_path / 'synthesis.json'} holds 0 chips in cells, too few to estimate from; "
        f"run `python -m sim report-cost --record`"
    )

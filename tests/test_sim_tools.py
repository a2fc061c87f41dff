"""sim/tools/: tools are found, judged and refused; benches fail unless a test ran and passed."""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Module, Signal
from typer.testing import CliRunner

from model.contract.refusal import Refusal
from model.contract.waivers import WAIVERS
from sim import tools
from sim.__main__ import app
from sim.tools import debian, doctor, tool

SIMULATORS = pytest.mark.parametrize("simulator", tools.DRIVEN)


class Counter(Elaboratable):
    """Counts up to 255 and round again while `en` is high."""

    def __init__(self) -> None:
        self.en = Signal()
        self.count = Signal(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        with m.If(self.en):
            m.d.sync += self.count.eq(self.count + 1)
        return m


BENCH = '''
import os

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer


@cocotb.test()
async def counts_while_enabled(dut):
    """From reset, `count` equals the number of enabled edges."""
    dut.clk.value = 0  # else it starts at random, with or without an edge
    dut.rst.value = 1
    dut.en.value = 0
    await Timer(5, "ns")
    Clock(dut.clk, 10, "ns").start()
    await RisingEdge(dut.clk)
    dut.rst.value = 0
    dut.en.value = 1
    for expected in range(300):
        await RisingEdge(dut.clk)
        assert dut.count.value.to_unsigned() == expected % 256


@cocotb.test()
async def sees_its_environment(dut):
    assert os.environ["GREETING"] == "good day"
'''
FAILING = """
import cocotb
from cocotb.triggers import Timer


@cocotb.test()
async def passes(dut):
    await Timer(1, "ns")


@cocotb.test()
async def expects_the_impossible(dut):
    await Timer(1, "ns")
    assert dut.count.value.to_unsigned() == 77
"""
EMPTY = """
async def no_test_at_all(dut):
    pass
"""
SKIPPED = """
import cocotb


@cocotb.test(skip=True)
async def is_not_run(dut):
    pass
"""
STOPPING = """
import os

import cocotb


@cocotb.test()
async def takes_the_simulator_down(dut):
    os._exit(0)
"""


@pytest.fixture(scope="session")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Verilog of `Counter`."""
    folder = tmp_path_factory.mktemp("counter")
    design = Counter()
    text = rtlil.convert(design, name="counter", ports=[design.en, design.count])
    (folder / "counter.il").write_text(text)
    passes = "proc; memory_collect; pmuxtree; opt_clean"
    tools.yosys(f"read_rtlil counter.il; {passes}; write_verilog -noattr counter.v", folder)
    return folder / "counter.v"


@pytest.fixture(scope="session")
def benches(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder of bench modules, importable."""
    folder = tmp_path_factory.mktemp("benches")
    for name, text in {
        "counter_bench": BENCH,
        "failing_bench": FAILING,
        "empty_bench": EMPTY,
        "skipped_bench": SKIPPED,
        "stopping_bench": STOPPING,
    }.items():
        (folder / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@pytest.fixture(scope="session")
def built(benches: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One build folder for the benches of this file: each simulator compiles once."""
    return tmp_path_factory.mktemp("build")


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Tools are looked up anew, in a world the test changes."""
    tools.examine.cache_clear()
    yield monkeypatch
    monkeypatch.undo()
    tools.examine.cache_clear()


def fake(folder: Path, name: str, says: str, code: int = 0) -> Path:
    """A program that prints one line."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    program.chmod(0o755)
    return program


# Finding and judging


def test_every_tool_the_kit_needs_is_fit() -> None:
    findings = doctor.examine_all()
    needed = [finding for finding in findings if finding.recipe.needed]
    assert {finding.name: finding.trouble for finding in needed if finding.trouble} == {}
    assert doctor.is_well(findings)


@pytest.mark.parametrize(
    ("name", "program", "says", "why"),
    [
        (
            "verilator",
            "verilator",
            "Verilator 5.006 2023-01-22 rev (Debian 5.006-3)",
            "version 5.006, below 5.036: cocotb 2 does not build with it (Debian 12 ships 5.006); "
            "run `make .venv/.installed`",
        ),
        (
            "icarus",
            "iverilog",
            "Icarus Verilog version 10.3 (stable) ()",
            "version 10.3, below 11: cocotb 2 does not run on it; "
            "run `make .venv/.icarus`, or `apt-get install iverilog` as root",
        ),
        (
            "yosys",
            "yosys",
            "Yosys 0.23 (git sha1 7ce5011c24b)",
            "version 0.23, below 0.40: it cannot read what Amaranth 0.5 writes "
            "(Debian 12 ships 0.23); run `make .venv/.installed`",
        ),
        (
            "nextpnr-ice40",
            "nextpnr-ice40",
            "nextpnr-ice40 -- Next Generation Place and Route (Version 0.4-1)",
            "version 0.4, below 0.5: it cannot read what current Yosys writes "
            "(Debian 12 ships 0.4); run `make .venv/.installed`",
        ),
    ],
)
def test_known_bad_versions_are_refused_by_name(
    fresh: pytest.MonkeyPatch, tmp_path: Path, name: str, program: str, says: str, why: str
) -> None:
    path = fake(tmp_path / "bin", program, says)
    fresh.setattr(tool, "VENV", tmp_path / "venv")
    fresh.setattr(tool, "SITE", tmp_path / "site")
    fresh.setenv("PATH", f"{path.parent}:/usr/bin:/bin")
    with pytest.raises(Refusal, match="^" + re.escape(f"{name} cannot be used: {path} is {why}")):
        tools.require(name)
    assert not tools.examine(name).tool
    assert tools.examine(name).version in says


def test_a_missing_tool_is_refused_with_its_remedy(
    fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh.setattr(tool, "VENV", tmp_path)
    fresh.setenv("PATH", str(tmp_path))
    message = (
        "icarus cannot be used: it is not installed; "
        "run `make .venv/.icarus`, or `apt-get install iverilog` as root"
    )
    with pytest.raises(Refusal, match=f"^{re.escape(message)}$"):
        tools.require("icarus")
    findings = doctor.examine_all()
    assert not doctor.is_well(findings)
    assert doctor.report(findings)["icarus"]["trouble"] == "it is not installed"


def test_a_tool_that_fails_or_tells_no_version_is_refused(
    fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh.setattr(tool, "SITE", tmp_path / "site")
    broken = fake(tmp_path / "bin", "verilator", "Error: cannot find Pod/Usage.pm", code=2)
    fresh.setenv("PATH", f"{broken.parent}:/usr/bin:/bin")
    assert tools.examine("verilator").trouble == (
        "verilator failed: Error: cannot find Pod/Usage.pm"
    )
    tools.examine.cache_clear()
    fake(tmp_path / "bin", "verilator", "Verilator rev UNKNOWN")
    assert tools.examine("verilator").trouble == f"{broken} --version tells no version"


def test_an_unknown_tool_is_refused() -> None:
    with pytest.raises(Refusal, match=r"^there is no tool 'vcs'; choose one of g\+\+, make, "):
        tools.require("vcs")


def test_headers_of_compiled_simulation_are_where_tools_say() -> None:
    for name, header in (("verilator", "verilated.h"), ("cxxrtl", "cxxrtl/cxxrtl.h")):
        compiled = tools.SIMULATORS[name].compiled
        assert compiled
        _, folders = compiled.runtime(tools.require(name), False)
        assert (folders[0] / header).is_file()
    assert "g++" in tools.require("g++").path.name


def test_what_has_no_package_cannot_be_got() -> None:
    with pytest.raises(Refusal, match=r"^'vcs' has no package; get one of .*libpython, opensta$"):
        debian.get("vcs")


def test_without_apt_icarus_is_refused_in_one_sentence(
    fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh.setattr(tool, "VENV", tmp_path / "venv")
    fresh.setenv("PATH", str(tmp_path))
    message = (
        "icarus cannot be got without root: apt-get or dpkg-deb is not there; "
        "run `apt-get install iverilog` as root, or install it by other means"
    )
    with pytest.raises(Refusal, match=f"^{re.escape(message)}$"):
        debian.get("icarus")
    assert not list(tmp_path.iterdir())


def test_a_package_that_apt_does_not_have_leaves_nothing(
    fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake(tmp_path / "bin", "apt-get", "Reading lists", code=100)
    fake(tmp_path / "bin", "dpkg-deb", "")
    fresh.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    with pytest.raises(Refusal, match=r"^apt-get update failed \(it says nothing\)$"):
        debian.unpack(["no-such-package"], tmp_path / "here" / "package")
    assert not list((tmp_path / "here").iterdir())


def test_the_doctor_exits_with_zero_where_all_is_fit(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["doctor", "--json", str(tmp_path / "tools.json")])
    assert told.exit_code == 0
    assert all(name in told.output for name in tools.RECIPES)
    report = json.loads((tmp_path / "tools.json").read_text())
    assert report["verilator"]["version"] == tools.require("verilator").version
    assert all(report[name]["fit"] for name, recipe in tools.RECIPES.items() if recipe.needed)


def test_the_doctor_exits_with_one_where_a_needed_tool_is_missing(
    fresh: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fresh.setattr(tool, "VENV", tmp_path)
    fresh.setenv("PATH", "/usr/bin:/bin")
    fresh.setitem(tools.RECIPES, "icarus", replace(tools.RECIPES["icarus"], find=lambda: None))
    told = CliRunner().invoke(app, ["doctor"])
    assert told.exit_code == 1
    assert (
        "icarus: it is not installed; "
        "run `make .venv/.icarus`, or `apt-get install iverilog` as root\n"
    ) in told.output


# Running tools


def test_yosys_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"^yosys failed: ERROR: No such command: fold "):
        tools.yosys("fold", tmp_path)


def test_lint_passes_generated_verilog(counter: Path) -> None:
    tools.lint([counter], "counter")


def test_lint_refuses_what_is_not_waived(tmp_path: Path) -> None:
    source = tmp_path / "latch.v"
    source.write_text(
        "module latch(input en, input d, output reg q);\n  always @* if (en) q = d;\nendmodule\n"
    )
    with pytest.raises(Refusal, match=r"^verilator failed: %Warning-LATCH: \S*latch\.v:2:3"):
        tools.lint([source], "latch")


def test_waivers_are_of_width_or_style_and_each_has_its_reason() -> None:
    style = {"WIDTHEXPAND", "WIDTHTRUNC", "UNUSEDSIGNAL", "DECLFILENAME", "PROCASSINIT"}
    assert set(WAIVERS) <= style
    assert all(len(reason.split()) > 5 for reason in WAIVERS.values())


# Benches


@SIMULATORS
def test_a_bench_runs_and_tells_what_passed(counter: Path, built: Path, simulator: str) -> None:
    results = tools.run_bench(
        simulator,
        [counter],
        "counter",
        "counter_bench",
        built,
        environment={"GREETING": "good day"},
        seed=5,
    )
    assert [test.name for test in results.tests] == ["counts_while_enabled", "sees_its_environment"]
    assert results.tests[0].nanoseconds == 3005
    assert results.simulator == tools.require(simulator)
    assert results.waves is None
    assert "Seeding Python random module with 5" in results.log.read_text()


@SIMULATORS
def test_one_test_of_a_bench_can_be_named(counter: Path, built: Path, simulator: str) -> None:
    results = tools.run_bench(
        simulator, [counter], "counter", "failing_bench", built, testcase="passes"
    )
    assert [test.name for test in results.tests] == ["passes"]


@SIMULATORS
def test_a_failing_test_fails_the_bench(counter: Path, built: Path, simulator: str) -> None:
    message = (
        rf"^1 of 2 tests of failing_bench under {simulator} failed: expects_the_impossible "
        r"\(why: \S+/bench\.log\)$"
    )
    with pytest.raises(tools.BenchFailure, match=message):
        tools.run_bench(simulator, [counter], "counter", "failing_bench", built)


@SIMULATORS
@pytest.mark.parametrize("module", ["empty_bench", "skipped_bench"])
def test_a_bench_that_runs_no_test_fails(
    counter: Path, built: Path, simulator: str, module: str
) -> None:
    with pytest.raises(tools.BenchFailure, match=rf"^{module} under {simulator} "):
        tools.run_bench(simulator, [counter], "counter", module, built)


@SIMULATORS
@pytest.mark.parametrize("testcase", ["nothing", "passe", ["passes", "nothing"]])
def test_a_name_that_matches_no_test_fails_the_bench(
    counter: Path, built: Path, simulator: str, testcase: str | list[str]
) -> None:
    absent = "passe" if testcase == "passe" else "nothing"
    message = f"^failing_bench under {simulator} ran no test named {absent}$"
    with pytest.raises(tools.BenchFailure, match=message):
        tools.run_bench(simulator, [counter], "counter", "failing_bench", built, testcase=testcase)


@SIMULATORS
def test_missing_results_fail_the_bench(counter: Path, built: Path, simulator: str) -> None:
    with pytest.raises(tools.BenchFailure, match=f"^stopping_bench under {simulator} left no res"):
        tools.run_bench(simulator, [counter], "counter", "stopping_bench", built)


@SIMULATORS
def test_a_module_that_is_not_there_fails_the_bench(
    counter: Path, built: Path, simulator: str
) -> None:
    with pytest.raises(tools.BenchFailure, match=f"^no_such_bench under {simulator} "):
        tools.run_bench(simulator, [counter], "counter", "no_such_bench", built)


@SIMULATORS
def test_verilog_that_does_not_build_fails_the_bench(
    benches: Path, tmp_path: Path, simulator: str
) -> None:
    source = tmp_path / "broken.v"
    source.write_text("module broken(input a;\nendmodule\n")
    with pytest.raises(tools.BenchFailure, match=f"^{simulator} cannot build broken: .*broken"):
        tools.run_bench(simulator, [source], "broken", "counter_bench", tmp_path)


@SIMULATORS
def test_waves_are_recorded_and_move(
    counter: Path, benches: Path, tmp_path: Path, simulator: str
) -> None:
    results = tools.run_bench(
        simulator,
        [counter],
        "counter",
        "counter_bench",
        tmp_path,
        testcase="counts_while_enabled",
        waves=True,
    )
    assert results.waves
    waves = results.waves.read_text()
    declared = dict(re.findall(r"\$var \w+ +\d+ (\S+) (\w+)", waves))
    assert {"clk", "rst", "en", "count"} <= set(declared.values())
    changes = re.findall(r"^b([01]+) (\S+)$", waves, re.MULTILINE)
    counts = [int(value, 2) for value, code in changes if declared[code] == "count"]
    assert set(counts) == set(range(256))


def test_a_bench_leaves_the_environment_as_it_was(
    counter: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WAVES", "1")
    monkeypatch.setenv("MAKEFLAGS", "-n")
    monkeypatch.setenv("COCOTB_TEST_FILTER", "nothing")
    before = dict(os.environ)
    results = tools.run_bench(
        "icarus", [counter], "counter", "failing_bench", built, testcase="passes"
    )
    assert dict(os.environ) == before
    assert not list(results.log.parent.glob("*.fst"))


def test_an_unknown_simulator_is_refused(counter: Path, tmp_path: Path) -> None:
    message = "there is no simulator 'vcs'; choose verilator or icarus"
    with pytest.raises(Refusal, match=f"^{message}$"):
        tools.run_bench("vcs", [counter], "counter", "counter_bench", tmp_path)
    assert not list(tmp_path.iterdir())


def test_wrappers_of_icarus_work_from_anywhere(tmp_path: Path) -> None:
    """The unpacked Icarus is found by its own path, not by where it was made."""
    ours = tools.VENV / "iverilog"
    if not ours.exists():
        pytest.skip("the system's Icarus is in use")
    shutil.copytree(ours, tmp_path / "moved")
    source = tmp_path / "hello.v"
    source.write_text('module hello; initial $display("good day"); endmodule\n')
    moved = tmp_path / "moved" / "bin"
    tools.call(tools.Tool("iverilog", moved / "iverilog", ""), ["-o", tmp_path / "hello", source])
    said = tools.call(tools.Tool("vvp", moved / "vvp", ""), [tmp_path / "hello"])
    assert said.splitlines()[0] == "good day"

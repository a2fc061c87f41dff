"""rtl/boards: what a board hands to its tools, on the pins and at the clock that it states."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from amaranth.sim import Simulator

from model.contract.presets import preset
from model.contract.reading import from_dict
from model.contract.storage import host_banks
from model.contract.transport import UART_CYCLES
from rtl.boards import BOARDS, icebreaker
from rtl.boards.board import RESET_CYCLES, Reset
from rtl.boards.ecp5 import BAUD, Ecp5Board
from sim import tools
from sim.host.line import ROOT

EACH = pytest.mark.parametrize("name", BOARDS)


def command(*arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
    """What `python -m rtl.boards` did."""
    program = [sys.executable, "-m", "rtl.boards", *arguments]
    return subprocess.run(program, cwd=ROOT, input=given, capture_output=True, text=True)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files of all boards."""
    folder = tmp_path_factory.mktemp("boards")
    for name in BOARDS:
        done = command("board", name, "--out", str(folder))
        assert (done.returncode, done.stderr) == (0, "")
    return folder


@EACH
def test_a_board_tells_what_it_is(written: Path, name: str) -> None:
    about = json.loads((written / f"{name}.board.json").read_text())
    config = from_dict(about["chip"])
    assert (
        config.name
        == {
            "icebreaker": "spoon-lite",
            "versa": "spoon",
            "ulx3s": "spoon",
            "ulx3s_25f": "spoon-lite",
        }[name]
    )
    assert about["config_sha256"] == config.sha256
    assert about["rule"] == "drtp"
    assert about["clock_mhz"] * 1e6 == BOARDS[name].clock_hz
    assert about["nextpnr"][0] in ("nextpnr-ice40", "nextpnr-ecp5")


@EACH
def test_the_script_opens_memories_of_the_design_and_maps_its_top(written: Path, name: str) -> None:
    script = (written / f"{name}.ys").read_text()
    assert re.search(
        rf"^read_rtlil {name}\.il\ndelete .+\n *synth_\w+ .*-top {name}$", script, re.M
    )
    assert script.endswith(f"write_json {name}.json")
    assert f"module \\{name}.core.chip\n" in (written / f"{name}.il").read_text()


def camera_pins(handshake: str, x: str, y: str) -> dict[str, str]:
    """Pins of a camera by their names."""
    request, acknowledge = handshake.split()
    pins = {"request__io": request, "acknowledge__io": acknowledge}
    for axis, bus in (("x", x), ("y", y)):
        pins |= {f"{axis}__io[{bit}]": place for bit, place in enumerate(bus.split())}
    return {f"camera_0__{pin}": place for pin, place in pins.items()}


def test_host_and_camera_of_the_icebreaker_are_on_its_pmods(written: Path) -> None:
    pins = dict(re.findall(r"set_io (\S+) (\w+)", (written / "icebreaker.pcf").read_text()))
    host = {"cs": "4", "copi": "2", "cipo": "47", "sclk": "45"}
    camera = camera_pins("43 38", "34 31 42 36 32", "28 27 25 21 19")
    hosted = {f"host_0__{pin}__io": place for pin, place in host.items()}
    assert pins == hosted | camera | {"clk12_0__io": "35", "button_0__io": "10"}


def test_the_host_of_the_versa_is_on_the_usb_serial_port(written: Path) -> None:
    found = re.findall(r'LOCATE COMP "(\S+)" SITE "(\w+)"', (written / "versa.lpf").read_text())
    host = {"host_0__rx__io": "C11", "host_0__tx__io": "A11"}
    host |= camera_pins("B19 B12", "B9 E6 D6 E7 D7", "B11 B6 E9 D9 B8")
    assert dict(found) == host | {"clk100_0__p": "P3", "rst_0__io": "T1"}


@pytest.mark.parametrize("name", ["ulx3s", "ulx3s_25f"])
def test_the_host_of_the_ulx3s_is_on_the_usb_serial_port(written: Path, name: str) -> None:
    """By the board's own file of pins: ftdi_txd, which the USB chip drives, M1; ftdi_rxd L4."""
    found = re.findall(r'LOCATE COMP "(\S+)" SITE "(\w+)"', (written / f"{name}.lpf").read_text())
    host = {"host_0__rx__io": "M1", "host_0__tx__io": "L4"}
    host |= camera_pins("B11 C11", "A10 A11 A9 B10 B9", "C10 A7 A8 C8 B8")
    assert dict(found) == host | {"clk25_0__io": "G2", "button_fire_0__io": "R1"}
    about = json.loads((written / f"{name}.board.json").read_text())
    assert about["nextpnr"][1] == {"ulx3s": "--85k", "ulx3s_25f": "--25k"}[name]


def test_a_reset_outlasts_its_cause_by_what_memories_need() -> None:
    dut, lasted = Reset(), []

    async def bench(ctx: Any) -> None:
        for pressed in (0, 1, 7):
            if pressed:
                ctx.set(dut.cause, 1)
                await ctx.tick().repeat(pressed)
            ctx.set(dut.cause, 0)
            await ctx.tick().repeat(2)  # the way through the flip-flops
            lasted.append(0)
            while ctx.get(dut.active):
                lasted[-1] += 1
                await ctx.tick()
            await ctx.tick().repeat(100)
            assert not ctx.get(dut.active)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert lasted == [RESET_CYCLES] * 3


@EACH
def test_lock_and_button_reach_the_reset_through_flip_flops(written: Path, name: str) -> None:
    design = (written / f"{name}.il").read_text()
    (top,) = re.findall(rf"^module \\{name}\n(.*?)^end\n", design, re.M | re.S)
    (cell,) = re.findall(rf"cell \\{name}\.reset \\reset\n(.*?)^  end", top, re.M | re.S)
    assert re.search(r"connect \\cause ", cell)
    (reset,) = re.findall(rf"^module \\{name}\.reset\n(.*?)^end\n", design, re.M | re.S)
    assert re.search(rf"cell \\{name}\.reset\.synchronizer \\synchronizer", reset)


def test_clocks_are_what_they_must_be_and_inside_the_range_of_their_oscillators() -> None:
    assert BOARDS["icebreaker"].clock_hz >= 20e6
    assert BOARDS["versa"].clock_hz >= 50e6
    assert 533e6 <= icebreaker.OSCILLATOR_HZ * icebreaker.MULTIPLIER <= 1066e6
    for board in BOARDS.values():
        if issubclass(board, Ecp5Board):
            assert 400e6 <= board.clock_hz * board.output_divider <= 800e6


def test_serial_lines_are_as_fast_as_they_say() -> None:
    for board in BOARDS.values():
        if issubclass(board, Ecp5Board):
            cycles = board.clock_hz / BAUD
            assert abs(round(cycles) / cycles - 1) < 0.01
            assert cycles >= UART_CYCLES


@pytest.mark.parametrize("name", ["icebreaker", "ulx3s_25f"])
def test_a_board_takes_a_chip_of_ones_own_and_what_it_holds(name: str, tmp_path: Path) -> None:
    """Mapped by Yosys: the words stand in the design, and nothing else has contents."""
    config = preset("tiny", "none")
    draw = random.Random(3)
    contents = {
        bank.name: [draw.getrandbits(bank.word_bits) for _ in range(bank.words)]
        for bank in host_banks(config)
    }
    own = json.dumps({"chip": config.to_dict(), "contents": contents})
    done = command("board", name, "--out", str(tmp_path), "--own", given=own)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / f"{name}.board.json").read_text())["chip"]["name"] == "tiny"
    (opening,) = re.findall(r"^delete .+$", (tmp_path / f"{name}.ys").read_text(), re.M)
    script = f"read_rtlil {name}.il; {opening}; write_rtlil left.il"
    tools.call(tools.require("yosys"), ["-q", "-p", script], tmp_path)
    left = (tmp_path / "left.il").read_text()
    held = re.findall(r"cell \$meminit_v2 .*?connect \\DATA \d+'([01]+)", left, re.S)
    sizes = sorted(bank.words * bank.word_bits for bank in host_banks(config))
    assert sorted(map(len, held)) == sizes
    words = contents["readout.weights"]
    bits = next(bank.word_bits for bank in host_banks(config) if bank.name == "readout.weights")
    assert "".join(f"{word:0{bits}b}" for word in reversed(words)) in held


def test_only_the_weights_of_the_icebreaker_go_to_spram(written: Path) -> None:
    design = (written / "icebreaker.il").read_text()
    banks = re.findall(r"^module \\icebreaker\.(\S+\.synapses\.bank)$", design, re.M)
    assert banks == ["core.chip.hidden1.synapses.bank", "core.chip.readout.synapses.bank"]
    assert "*.synapses.bank/m:cells" in (written / "icebreaker.ys").read_text()


@pytest.mark.parametrize(
    ("line", "pins"), [("spi", {"cs", "sclk", "copi", "cipo"}), ("uart", {"rx", "tx"})]
)
def test_a_core_has_the_pins_of_its_line_and_the_same_bytes_every_time(
    line: str, pins: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "0")
    choices = json.dumps(preset("tiny").to_dict())
    first, second = (command("core", line, given=choices).stdout for _ in range(2))
    assert first == second
    (ports,) = re.findall(r"^module core ?\((.*?)\);", first, re.M | re.S)
    named = re.findall(r"^\s*(?:input|output)\s(?:.*\s)?(\w+),?$", ports, re.M)
    assert set(named) == pins | {"clk", "rst"}


def test_an_unknown_board_is_refused(tmp_path: Path) -> None:
    done = command("board", "papilio", "--out", str(tmp_path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: there is no board 'papilio'; there are {', '.join(BOARDS)}\n"
    assert list(tmp_path.iterdir()) == []


@EACH
def test_a_chip_with_more_pixels_than_pins_has_no_camera(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The camera of N-MNIST takes 15 pins: two of the handshake, 6 a coordinate, polarity."""
    board, nmnist = BOARDS[name], preset("nmnist")
    monkeypatch.setattr(board, "free_pins", board.free_pins[:15])
    assert len(board.camera_of(nmnist)) == 1
    monkeypatch.setattr(board, "free_pins", board.free_pins[:14])
    assert board.camera_of(nmnist) == []

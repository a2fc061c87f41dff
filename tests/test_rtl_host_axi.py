"""rtl/host/axi.py: the rules of AXI, whatever arrives when and whoever holds back."""

import dataclasses
import random
import sys
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from model.contract.presets import preset
from model.contract.storage import host_banks
from rtl.emit import emit, emit_component
from rtl.host.axi import LITE, OKAY, SLVERR, LiteBridge
from rtl.host.registers import Registers
from sim import tools

SPREAD = preset("tiny")
# Words of one access each: kernels of one place.
TINY = dataclasses.replace(SPREAD, conv=(dataclasses.replace(SPREAD.conv[0], places=1),))
WIDE = dataclasses.replace(TINY, lanes=16)  # words of several accesses
SIMULATORS = pytest.mark.parametrize("simulator", tools.DRIVEN)


# -- the bridge, before a bus that echoes ---------------------------------------------------------


class Bus:
    """The bus behind a bridge: echoes addresses, refuses odd ones, keeps what it is asked."""

    def __init__(self, pause: int) -> None:
        self.pause = pause
        self.done = False
        self.asked: list[tuple[int, int, int]] = []

    async def run(self, ctx: Any, dut: LiteBridge) -> None:
        request, response = dut.host.request, dut.host.response
        while not self.done:
            *_, valid, asked = await ctx.tick().sample(request.valid, request.p)
            if not valid:
                continue
            self.asked.append((asked.address, asked.write, asked.data))
            await ctx.tick().repeat(1 + self.pause)
            ctx.set(request.ready, 1)
            await ctx.tick()
            ctx.set(request.ready, 0)
            await ctx.tick().repeat(1 + self.pause)
            ctx.set(response.p, {"data": asked.address * 0x10001, "error": asked.address & 1})
            ctx.set(response.valid, 1)
            await ctx.tick().until(response.ready)
            ctx.set(response.valid, 0)

    @property
    def kinds(self) -> str:
        """One letter an access: r or w."""
        return "".join("rw"[write] for _, write, _ in self.asked)


Bench: TypeAlias = Callable[[Any, LiteBridge, Bus], Coroutine[Any, Any, None]]


def run(bench: Bench, pause: int = 0) -> None:
    """Run a bench on a bridge to its end."""
    dut, bus = LiteBridge(), Bus(pause)

    async def before(ctx: Any) -> None:
        await bench(ctx, dut, bus)
        bus.done = True

    async def behind(ctx: Any) -> None:
        await bus.run(ctx, dut)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(before)
    simulator.add_testbench(behind)
    simulator.run()
    assert bus.done


def drive(ctx: Any, dut: "LiteBridge | Front", **levels: int) -> None:
    """Set inputs by their names without prefix."""
    for name, level in levels.items():
        ctx.set(getattr(dut, f"s_axil_{name}"), level)


async def write(ctx: Any, dut: LiteBridge, address: int, data: int, strobe: int = 0xF) -> int:
    """Write, and give the response."""
    drive(ctx, dut, awaddr=address, awvalid=1, wdata=data, wstrb=strobe, wvalid=1)
    (together,) = await ctx.tick().sample(dut.s_axil_wready).until(dut.s_axil_awready)
    assert together
    drive(ctx, dut, awvalid=0, wvalid=0, bready=1)
    (response,) = await ctx.tick().sample(dut.s_axil_bresp).until(dut.s_axil_bvalid)
    drive(ctx, dut, bready=0)
    return int(response)


async def read(ctx: Any, dut: LiteBridge, address: int) -> tuple[int, int]:
    """Read, and give data and response."""
    drive(ctx, dut, araddr=address, arvalid=1)
    await ctx.tick().until(dut.s_axil_arready)
    drive(ctx, dut, arvalid=0, rready=1)
    data, response = (
        await ctx.tick().sample(dut.s_axil_rdata, dut.s_axil_rresp).until(dut.s_axil_rvalid)
    )
    drive(ctx, dut, rready=0)
    return int(data), int(response)


@pytest.mark.parametrize("pause", [0, 1, 7])
def test_accesses_reach_the_bus_and_its_answers_come_back(pause: int) -> None:
    async def bench(ctx: Any, dut: LiteBridge, bus: Bus) -> None:
        assert await write(ctx, dut, 0x104, 0xDEADBEEF) == OKAY
        assert await read(ctx, dut, 0x208) == (0x0208_0208, OKAY)
        assert await write(ctx, dut, 0x105, 1) == SLVERR
        assert (await read(ctx, dut, 0x201))[1] == SLVERR
        assert bus.kinds == "wrwr"
        assert bus.asked[0] == (0x104, 1, 0xDEADBEEF)

    run(bench, pause)


@pytest.mark.parametrize("strobe", range(15))
def test_a_write_of_less_than_a_word_is_refused_before_the_bus(strobe: int) -> None:
    async def bench(ctx: Any, dut: LiteBridge, bus: Bus) -> None:
        assert await write(ctx, dut, 0x100, 0xFFFF_FFFF, strobe) == SLVERR
        assert bus.asked == []
        assert await write(ctx, dut, 0x100, 0xFFFF_FFFF) == OKAY
        assert bus.asked == [(0x100, 1, 0xFFFF_FFFF)]

    run(bench)


@pytest.mark.parametrize("first", ["aw", "w"])
def test_a_write_waits_for_address_and_data_in_either_order(first: str) -> None:
    async def bench(ctx: Any, dut: LiteBridge, bus: Bus) -> None:
        second = {"aw": "w", "w": "aw"}[first]
        drive(ctx, dut, awaddr=8, wdata=9, wstrb=0xF, bready=1, **{f"{first}valid": 1})
        await ctx.tick().repeat(20)
        assert bus.asked == []
        # A read goes by meanwhile.
        assert await read(ctx, dut, 4) == (0x0004_0004, OKAY)
        drive(ctx, dut, **{f"{second}valid": 1})
        await ctx.tick().until(dut.s_axil_awready & dut.s_axil_wready)
        drive(ctx, dut, awvalid=0, wvalid=0)
        await ctx.tick().until(dut.s_axil_bvalid)
        assert bus.asked == [(4, 0, 9), (8, 1, 9)]

    run(bench)


def test_reads_and_writes_that_both_wait_take_turns() -> None:
    async def bench(ctx: Any, dut: LiteBridge, bus: Bus) -> None:
        drive(ctx, dut, awvalid=1, wvalid=1, wstrb=0xF, arvalid=1, bready=1, rready=1)
        while len(bus.asked) < 20:
            await ctx.tick()
        assert bus.kinds in ("rw" * 10, "wr" * 10)

    run(bench)


def test_a_read_that_nobody_takes_holds_up_no_write() -> None:
    async def bench(ctx: Any, dut: LiteBridge, bus: Bus) -> None:
        drive(ctx, dut, araddr=0x40, arvalid=1)
        for number in range(4):
            assert await write(ctx, dut, 0x80, number) == OKAY
        assert ctx.get(dut.s_axil_rvalid)
        assert ctx.get(dut.s_axil_rdata) == 0x0040_0040
        assert bus.kinds.count("r") == 1
        drive(ctx, dut, rready=1)
        await ctx.tick().repeat(20)
        assert bus.kinds.count("r") > 1

    run(bench)


def test_a_write_whose_response_nobody_takes_holds_up_no_read() -> None:
    async def bench(ctx: Any, dut: LiteBridge, bus: Bus) -> None:
        drive(ctx, dut, awaddr=0x81, awvalid=1, wvalid=1, wstrb=0xF)
        for _ in range(4):
            assert await read(ctx, dut, 0x40) == (0x0040_0040, OKAY)
        assert ctx.get(dut.s_axil_bvalid)
        assert ctx.get(dut.s_axil_bresp) == SLVERR
        assert bus.kinds.count("w") == 1
        drive(ctx, dut, bready=1)
        await ctx.tick().repeat(20)
        assert bus.kinds.count("w") > 1

    run(bench)


def test_no_output_depends_on_an_input_within_a_cycle() -> None:
    async def bench(ctx: Any, dut: LiteBridge, bus: Bus) -> None:
        rng = random.Random(1)
        inputs = [getattr(dut, name) for name, member in LITE.items() if member.flow is In]
        outputs = [getattr(dut, name) for name, member in LITE.items() if member.flow is Out]
        for _ in range(300):
            before = [ctx.get(port) for port in outputs]
            for port in inputs:
                ctx.set(port, rng.getrandbits(len(port)))
                assert [ctx.get(output) for output in outputs] == before
            await ctx.tick()
        assert {"r", "w"} == set(bus.kinds)

    run(bench)


# -- the bridge, before registers and memories, driven by AXI masters -----------------------------


class Front(wiring.Component):
    """A bridge, registers, and a memory for each bank."""

    def __init__(self) -> None:
        super().__init__({**LITE, "busy": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.bridge = bridge = LiteBridge()
        m.submodules.registers = registers = Registers(WIDE)
        wiring.connect(m, bridge.host, registers.host)
        m.d.comb += registers.busy.eq(self.busy)
        for name, member in LITE.items():
            ours, its = getattr(self, name), getattr(bridge, name)
            m.d.comb += its.eq(ours) if member.flow is In else ours.eq(its)
        for number, bank in enumerate(host_banks(WIDE)):
            memory = Memory(shape=bank.word_bits, depth=bank.words, init=[])
            m.submodules[f"memory_{number}"] = memory
            port = getattr(registers, f"bank_{number}")
            cells, store = memory.read_port(), memory.write_port()
            m.d.comb += [
                cells.addr.eq(port.address),
                store.addr.eq(port.address),
                store.data.eq(port.write_data),
                port.read_data.eq(cells.data),
                cells.en.eq(port.enable & ~port.write),
                store.en.eq(port.enable & port.write),
            ]
        return m


@pytest.mark.parametrize("kind", ["read", "write"])
def test_an_access_takes_the_cycles_that_the_bridge_tells(kind: str) -> None:
    dut, seen = Front(), []
    asks, taken, answered = {
        "read": ({"arvalid": 1}, dut.s_axil_arready, dut.s_axil_rvalid),
        "write": ({"awvalid": 1, "wvalid": 1, "wstrb": 15}, dut.s_axil_awready, dut.s_axil_bvalid),
    }[kind]

    async def bench(ctx: Any) -> None:
        await ctx.tick().repeat(3)
        drive(ctx, dut, **asks)
        for _ in range(6):
            *_, now, then = await ctx.tick().sample(taken, answered)
            seen.append((now, then))
            if now:
                drive(ctx, dut, **dict.fromkeys(asks, 0))

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert [now for now, _ in seen].index(1) == 2
    assert [then for _, then in seen].index(1) == 4


FRONT_BENCH = '''
"""Masters before the registers of a chip with words of several accesses."""

import logging
import random

import cocotb
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

from model.contract import registers
from sim.benches.drivers import randomly, start

PAUSES = {"never": lambda seed: (), "half": lambda seed: randomly(0.5, seed),
          "mostly": lambda seed: randomly(0.9, seed)}


class Host:
    """An AXI4-Lite master, its requests under the pauses `idle`, its responses under `hold`."""

    def __init__(self, dut, idle="never", hold="never"):
        logging.getLogger("cocotb").setLevel(logging.WARNING)
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        side = self.master
        for seed, (pauses, channel) in enumerate((
            (idle, side.write_if.aw_channel), (idle, side.write_if.w_channel),
            (hold, side.write_if.b_channel), (idle, side.read_if.ar_channel),
            (hold, side.read_if.r_channel),
        )):
            if pauses != "never":
                channel.set_pause_generator(PAUSES[pauses](seed))

    async def read(self, address):
        got = await self.master.read(address, 4)
        return int.from_bytes(got.data, "little"), got.resp

    async def write(self, address, data):
        return (await self.master.write(address, data.to_bytes(4, "little"))).resp

    async def open(self, bank, address):
        assert await self.write(registers.BANK, bank) == AxiResp.OKAY
        assert await self.write(registers.ADDRESS, address) == AxiResp.OKAY


async def begin(dut, idle="never", hold="never"):
    dut.busy.value = 0
    host = Host(dut, idle, hold)
    await start(dut)
    return host


@cocotb.test()
@cocotb.parametrize(idle=["never", "half", "mostly"], hold=["never", "half", "mostly"])
async def words_are_written_and_read_back(dut, idle, hold):
    """Queued accesses keep their order, and every word of 128 bits comes back as it went."""
    host = await begin(dut, idle, hold)
    draw = random.Random(f"{idle} {hold}")
    chunks = [draw.getrandbits(32) for _ in range(4 * 6)]
    await host.open(1, 3)
    writes = [host.master.init_write(registers.DATA, chunk.to_bytes(4, "little"))
              for chunk in chunks]
    for written in writes:
        await written.wait()
        assert written.data.resp == AxiResp.OKAY
    assert await host.read(registers.ADDRESS) == (3 + 6, AxiResp.OKAY)
    await host.open(1, 3)
    reads = [host.master.init_read(registers.DATA, 4) for _ in chunks]
    for got, chunk in zip(reads, chunks):
        await got.wait()
        assert got.data.resp == AxiResp.OKAY
        assert int.from_bytes(got.data.data, "little") == chunk


@cocotb.test()
@cocotb.parametrize(idle=["never", "half"], hold=["never", "half"])
async def reads_and_writes_at_once_are_all_answered(dut, idle, hold):
    host = await begin(dut, idle, hold)
    writes = [host.master.init_write(registers.BANK, bytes([n, 0, 0, 0])) for n in range(20)]
    reads = [host.master.init_read(registers.ID, 4) for _ in range(20)]
    for access in (*writes, *reads):
        await access.wait()
        assert access.data.resp == AxiResp.OKAY
    assert all(int.from_bytes(got.data.data, "little") == registers.IDENTITY for got in reads)


@cocotb.test()
async def what_is_illegal_is_refused_and_changes_nothing(dut):
    host = await begin(dut)
    refused = (0, AxiResp.SLVERR)
    await host.open(0, 0)
    for chunk in (0x12345678, 0x9ABC):
        assert await host.write(registers.DATA, chunk) == AxiResp.OKAY
    await host.open(0, 0)
    for address in (registers.ID, registers.CONFIG, registers.STATUS, 0x01C, 0x03C, 0x048, 0xFFC):
        assert await host.write(address, 1) == AxiResp.SLVERR, hex(address)
    for address in (registers.CONTROL, 0x01E, 0x048, 0x0FC, 0xFFC):
        assert await host.read(address) == refused, hex(address)
    for seed in (registers.SEEDS, registers.SEEDS + 4):
        assert await host.write(seed, 0) == AxiResp.SLVERR
    # Halves and bytes of words, which masters write with strobes.
    for address, data in ((registers.DATA, b"ab"), (registers.ADDRESS + 2, b"ab"),
                          (registers.BANK, b"x"), (registers.DATA + 3, b"x")):
        assert (await host.master.write(address, data)).resp == AxiResp.SLVERR
    dut.busy.value = 1
    for address in (registers.BANK, registers.ADDRESS, registers.DATA, registers.SEEDS,
                    registers.FREEZE):
        assert await host.read(address) == refused, hex(address)
        assert await host.write(address, 1) == AxiResp.SLVERR, hex(address)
    assert await host.write(registers.CONTROL, 3) == AxiResp.OKAY
    assert await host.read(registers.ID) == (registers.IDENTITY, AxiResp.OKAY)
    assert await host.read(registers.STATUS) == (1, AxiResp.OKAY)
    assert await host.read(registers.COUNTERS) == (0, AxiResp.OKAY)
    dut.busy.value = 0
    assert await host.read(registers.BANK) == (0, AxiResp.OKAY)
    assert await host.read(registers.ADDRESS) == (0, AxiResp.OKAY)
    assert await host.read(registers.DATA) == (0x12345678, AxiResp.OKAY)
    assert await host.read(registers.DATA) == (0x9ABC, AxiResp.OKAY)
'''


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the front's Verilog and its bench, importable."""
    folder = tmp_path_factory.mktemp("front")
    (folder / "front.v").write_text(emit_component(Front(), "front"))
    (folder / "front_bench.py").write_text(FRONT_BENCH)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


@SIMULATORS
def test_masters_of_any_pace_reach_the_registers(front: Path, simulator: str) -> None:
    results = tools.run_bench(
        simulator, [front / "front.v"], "front", "front_bench", front / "build"
    )
    assert len(results.tests) == 9 + 4 + 1


# -- the whole chip -------------------------------------------------------------------------------

CHIP_BENCH = '''
"""Events in, results out, at any pace of either side; the host looks on."""

import logging
import random
from dataclasses import replace

import cocotb
from cocotb.triggers import ClockCycles
from cocotbext.axi import (
    AxiLiteBus, AxiLiteMaster, AxiResp, AxiStreamBus, AxiStreamSink, AxiStreamSource,
)

from model.contract import event, registers, result
from model.contract.presets import preset
from model.contract.storage import host_banks
from sim.benches.drivers import AxisMonitor, randomly, start

SPREAD = preset("tiny")
CONFIG = replace(SPREAD, conv=(replace(SPREAD.conv[0], places=1),))
RESULTS = []


def samples(count):
    """Words of some samples, every other one to be learned."""
    draw = random.Random(5)
    found = []
    for number in range(count):
        pixels = draw.sample([(x, y) for x in range(8) for y in range(8)], 12)
        times = sorted(draw.randrange(CONFIG.time_top) for _ in pixels)
        found.append([event.pack_event(event.Event(x, y, 0, time))
                      for (x, y), time in zip(pixels, times)])
        found[-1].append(event.pack_mark(event.Mark(number % 10, number % 2 == 0, number % 3)))
    return found


def to_bytes(words):
    return b"".join(word.to_bytes(4, "little") for word in words)


class Chip:
    def __init__(self, dut, idle, hold):
        logging.getLogger("cocotb").setLevel(logging.WARNING)
        self.dut = dut
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
        AxisMonitor(dut, "m_axis")
        if idle:
            self.source.set_pause_generator(randomly(idle, 1))
        if hold:
            self.sink.set_pause_generator(randomly(hold, 2))

    async def read(self, address):
        got = await self.master.read(address, 4)
        return int.from_bytes(got.data, "little"), got.resp

    async def write(self, address, data):
        assert (await self.master.write(address, data.to_bytes(4, "little"))).resp == AxiResp.OKAY

    async def load(self):
        """Random codes in every bank, once the chip has come to rest after reset."""
        await self.rest()
        draw = random.Random(7)
        for number, bank in enumerate(host_banks(CONFIG)):
            await self.write(registers.BANK, number)
            await self.write(registers.ADDRESS, 0)
            for _ in range(bank.words):
                word = 0
                for lane in range(bank.lanes):
                    code = draw.randint(bank.code.low, bank.code.high)
                    word |= (code & (1 << bank.code.bits) - 1) << bank.code.bits * lane
                await self.write(registers.DATA, word)
        await self.write(registers.SEEDS, 0xACE1)
        await self.write(registers.SEEDS + 4, 0xBEEF)

    async def rest(self):
        while (await self.read(registers.STATUS))[0] & 1:
            pass


@cocotb.test()
@cocotb.parametrize(idle=[0, 0.6], hold=[0, 0.6])
async def results_do_not_depend_on_pace(dut, idle, hold):
    """One frame a sample: a score a class and the verdict, the same whatever the pauses."""
    chip = Chip(dut, idle, hold)
    await start(dut)
    await chip.load()
    sent = samples(6)
    for words in sent:
        chip.source.send_nowait(to_bytes(words))
    frames = []
    for number in range(len(sent)):
        data = (await chip.sink.recv()).tdata
        words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]
        assert len(words) == CONFIG.readout.classes + 1
        verdict = result.unpack(words[-1])
        assert isinstance(verdict, result.Verdict)
        assert (verdict.learned, verdict.faulty) == (number % 2 == 0, False)
        assert all(isinstance(result.unpack(word), int) for word in words[:-1])
        frames.append(words)
    await chip.rest()
    await chip.write(registers.BANK, 1)
    await chip.write(registers.ADDRESS, 0)
    weights = [await chip.read(registers.DATA) for _ in range(host_banks(CONFIG)[1].words)]
    RESULTS.append((frames, weights))
    assert RESULTS[-1] == RESULTS[0]
    assert len({tuple(frame) for frame in frames}) > 1
    await ClockCycles(dut.clk, 50)
    assert chip.sink.empty()


@cocotb.test()
async def a_busy_chip_refuses_the_host_what_would_disturb_it(dut):
    chip = Chip(dut, 0, 0)
    await start(dut)
    await chip.load()
    words = samples(1)[0]
    chip.source.send_nowait(to_bytes(words[:-1]))
    await chip.source.wait()
    assert await chip.read(registers.STATUS) == (1 << registers.STATUS_BUSY, AxiResp.OKAY)
    assert (await chip.read(registers.DATA))[1] == AxiResp.SLVERR
    assert (await chip.read(registers.COUNTERS)) == (len(words) - 1, AxiResp.OKAY)
    chip.source.send_nowait(to_bytes(words[-1:]))
    await chip.sink.recv()
    await chip.rest()
    # An event outside the input, and a label that is no class.
    chip.source.send_nowait(to_bytes([event.pack_event(event.Event(9, 0, 0, 0)),
                                      event.pack_mark(event.Mark(200, True))]))
    frame = (await chip.sink.recv()).tdata
    assert result.unpack(int.from_bytes(frame[-4:], "little")).faulty
    await chip.rest()
    flags = ("dropped", "refused", "verdict")
    flags = registers.join(registers.STATUS, dict.fromkeys(flags, 1))
    assert await chip.read(registers.STATUS) == (flags, AxiResp.OKAY)
    await chip.write(registers.CONTROL, 7)
    assert await chip.read(registers.STATUS) == (0, AxiResp.OKAY)
    assert await chip.read(registers.COUNTERS) == (0, AxiResp.OKAY)
'''


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the chip's Verilog and its bench, importable."""
    folder = tmp_path_factory.mktemp("chip")
    emit(TINY).write(folder)
    (folder / "axi_chip_bench.py").write_text(CHIP_BENCH)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def test_a_chip_answers_the_same_at_any_pace(chip: Path) -> None:
    results = tools.run_bench("icarus", [chip / "tiny.v"], "tiny", "axi_chip_bench", chip / "build")
    assert len(results.tests) == 4 + 1

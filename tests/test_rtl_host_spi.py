"""rtl/host/spi.py: a byte each way at once, none lost or doubled, whenever selected."""

import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from amaranth.sim import Simulator

from model.contract.transport import IDLE, SPI_CYCLES
from rtl.host.spi import Spi

Bench = Callable[["Controller"], Coroutine[Any, Any, None]]


class Controller:
    """An SPI controller in mode 0, and the near side's streams."""

    def __init__(self, ctx: Any, dut: Spi, cycles: int) -> None:
        self.ctx, self.dut, self.cycles = ctx, dut, cycles
        self.received = b""
        self.broken = 0
        self.waiting: list[int] = []  #: to be sent by the near side

    async def select(self, level: int) -> None:
        self.ctx.set(self.dut.cs, level)
        await self.ctx.tick().repeat(self.cycles)

    async def exchange(self, byte: int, bits: int = 8) -> int:
        """The byte that comes back for a byte, or for its first bits."""
        back = 0
        for bit in range(7, 7 - bits, -1):
            self.ctx.set(self.dut.copi, byte >> bit & 1)
            await self.ctx.tick().repeat(self.cycles // 2)
            back = back << 1 | self.ctx.get(self.dut.cipo)
            self.ctx.set(self.dut.sclk, 1)
            await self.ctx.tick().repeat(self.cycles // 2)
            self.ctx.set(self.dut.sclk, 0)
        return back


async def watch(ctx: Any, controller: Controller) -> None:
    """Collect what the near side receives."""
    line = controller.dut.bytes
    while True:
        _, _, valid, byte, lost = await ctx.tick().sample(
            line.incoming.valid, line.incoming.payload, line.broken
        )
        controller.received += bytes((byte,)) if valid else b""
        controller.broken += lost


async def offer(ctx: Any, controller: Controller) -> None:
    """Offer what waits to be sent, each byte until it is taken."""
    outgoing = controller.dut.bytes.outgoing
    while True:
        ctx.set(outgoing.valid, bool(controller.waiting))
        ctx.set(outgoing.payload, controller.waiting[0] if controller.waiting else 0)
        _, _, ready, valid = await ctx.tick().sample(outgoing.ready, outgoing.valid)
        assert valid or not ready
        if ready:
            controller.waiting.pop(0)


def run(cycles: int, bench: Bench) -> None:
    """Run a bench to its end, with bits of so many cycles."""
    dut = Spi()
    found: list[Controller] = []

    async def testbench(ctx: Any) -> None:
        found.append(Controller(ctx, dut, cycles))
        await ctx.tick().repeat(4)
        await bench(found[0])
        found.append(found[0])

    def beside(process: Callable[[Any, Controller], Coroutine[Any, Any, None]]) -> Any:
        async def background(ctx: Any) -> None:
            await process(ctx, found[0])

        return background

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    for process in (watch, offer):
        simulator.add_testbench(beside(process), background=True)
    simulator.run()
    assert len(found) == 2


@pytest.mark.parametrize("cycles", [SPI_CYCLES, 10, 20])
def test_bytes_cross_both_ways_at_once(cycles: int) -> None:
    async def bench(controller: Controller) -> None:
        ours, theirs = bytes((0x81, 0x00, 0xFF, 0x3C)), bytes((0x12, 0xFE, 0x01, 0x80))
        controller.waiting += theirs
        await controller.select(1)
        back = [await controller.exchange(byte) for byte in ours]
        await controller.select(0)
        assert (bytes(back), controller.received) == (theirs, ours)
        assert (controller.waiting, controller.broken) == ([], 0)

    run(cycles, bench)


def test_idle_bytes_come_where_nothing_waits() -> None:
    async def bench(controller: Controller) -> None:
        await controller.select(1)
        assert await controller.exchange(0x55) == IDLE
        await controller.ctx.tick().repeat(SPI_CYCLES)
        controller.waiting.append(0x77)  # too late for the byte that was made ready
        assert await controller.exchange(0x56) == IDLE
        assert await controller.exchange(0x57) == 0x77
        assert await controller.exchange(0x58) == IDLE
        await controller.select(0)
        assert controller.received == b"\x55\x56\x57\x58"

    run(SPI_CYCLES, bench)


def test_no_byte_is_lost_or_doubled_wherever_the_controller_deselects() -> None:
    async def bench(controller: Controller) -> None:
        rng = random.Random(1)
        ours: list[int] = []
        theirs: list[int] = []
        back: list[int] = []
        for _ in range(60):
            if rng.random() < 0.6:
                theirs.append(rng.randrange(1, 256))
                controller.waiting.append(theirs[-1])
            if rng.random() < 0.5:
                await controller.select(0)
            await controller.select(1)
            ours.append(rng.randrange(256))
            back.append(await controller.exchange(ours[-1]))
        while controller.waiting:
            ours.append(IDLE)
            back.append(await controller.exchange(IDLE))
        await controller.select(0)
        assert [byte for byte in back if byte != IDLE] == theirs
        assert controller.received == bytes(ours)
        assert controller.broken == 0

    run(SPI_CYCLES, bench)


@pytest.mark.parametrize("bits", range(1, 8))
def test_a_byte_that_was_cut_off_is_dropped_and_told(bits: int) -> None:
    async def bench(controller: Controller) -> None:
        await controller.select(1)
        await controller.exchange(0xFF, bits)
        await controller.select(0)
        assert (controller.received, controller.broken) == (b"", 1)
        await controller.select(1)
        await controller.exchange(0xA5)
        await controller.select(0)
        assert (controller.received, controller.broken) == (b"\xa5", 1)

    run(SPI_CYCLES, bench)


def test_nothing_is_heard_while_another_is_selected() -> None:
    async def bench(controller: Controller) -> None:
        controller.waiting.append(0x42)
        for byte in (0x12, 0x34):
            await controller.exchange(byte)
        assert (controller.received, controller.waiting) == (b"", [0x42])

    run(SPI_CYCLES, bench)

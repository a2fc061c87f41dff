"""rtl/host/uart.py: bytes cross both ways at every speed it allows, and a broken byte is told."""

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from amaranth.sim import Simulator

from model.contract.transport import UART_CYCLES
from rtl.host.uart import Uart

Bench = Callable[["Far"], Coroutine[Any, Any, None]]
BYTES = bytes((0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, 0x7E))


class Far:
    """The far end of the line, and the near side's stream."""

    def __init__(self, ctx: Any, dut: Uart, cycles: float) -> None:
        self.ctx, self.dut, self.cycles = ctx, dut, cycles
        self.received = b""
        self.broken = 0

    async def send(self, data: bytes, stop: int = 1) -> None:
        """Send bytes with bits of so many cycles, in parts of a cycle if need be."""
        for byte in data:
            frame = stop << 9 | byte << 1
            due = 0.0
            for bit in range(10):
                self.ctx.set(self.dut.rx, frame >> bit & 1)
                whole = round(due + self.cycles) - round(due)
                due += self.cycles
                await self.ctx.tick().repeat(whole)
        self.ctx.set(self.dut.rx, 1)

    async def rest(self) -> None:
        """Let the line be at rest for two bytes."""
        await self.ctx.tick().repeat(round(20 * self.cycles))


async def watch(ctx: Any, far: Far) -> None:
    """Collect what the near side receives."""
    incoming, broken = far.dut.bytes.incoming, far.dut.bytes.broken
    while True:
        _, _, valid, byte, lost = await ctx.tick().sample(incoming.valid, incoming.payload, broken)
        far.received += bytes((byte,)) if valid else b""
        far.broken += lost


def run(divisor: int, cycles: float, bench: Bench) -> None:
    """Run a bench to its end, on an UART of a divisor and a far end of bits of so many cycles."""
    dut = Uart(divisor)
    found: list[Far] = []

    async def testbench(ctx: Any) -> None:
        ctx.set(dut.rx, 1)
        found.append(Far(ctx, dut, cycles))
        await ctx.tick().repeat(4)
        await bench(found[0])
        found.append(found[0])

    async def background(ctx: Any) -> None:
        await watch(ctx, found[0])

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.add_testbench(background, background=True)
    simulator.run()
    assert len(found) == 2


@pytest.mark.parametrize("divisor", [UART_CYCLES, 5, 50])
@pytest.mark.parametrize("off", [0.98, 1.0, 1.02])
def test_bytes_are_received_though_the_clocks_differ(divisor: int, off: float) -> None:
    async def bench(far: Far) -> None:
        await far.send(BYTES)
        await far.rest()
        assert (far.received, far.broken) == (BYTES, 0)

    run(divisor, divisor * off, bench)


@pytest.mark.parametrize("divisor", [UART_CYCLES, 5, 60])
def test_a_glitch_is_no_byte_and_hides_none(divisor: int) -> None:
    async def bench(far: Far) -> None:
        for low in range(1, divisor // 2 + 1):
            far.ctx.set(far.dut.rx, 0)
            await far.ctx.tick().repeat(low)
            far.ctx.set(far.dut.rx, 1)
            await far.ctx.tick().repeat(divisor)
            assert (far.received, far.broken) == (BYTES[: low - 1], 0)
            await far.send(BYTES[low - 1 : low])
            await far.rest()
            assert (far.received, far.broken) == (BYTES[:low], 0)
            if low == len(BYTES):
                break
        else:
            assert low == divisor // 2
        # Low beyond the middle of a bit is a start bit.
        far.ctx.set(far.dut.rx, 0)
        await far.ctx.tick().repeat(divisor // 2 + 1)
        far.ctx.set(far.dut.rx, 1)
        await far.rest()
        assert (far.received, far.broken) == (BYTES[:low] + b"\xff", 0)

    run(divisor, divisor, bench)


def test_a_byte_without_its_stop_bit_is_dropped_and_told() -> None:
    async def bench(far: Far) -> None:
        await far.send(b"\x12", stop=0)
        await far.rest()
        assert (far.received, far.broken) == (b"", 1)
        await far.send(b"\x34")
        await far.rest()
        assert (far.received, far.broken) == (b"\x34", 1)

    run(8, 8, bench)


def test_a_line_that_stays_low_is_told_once() -> None:
    async def bench(far: Far) -> None:
        far.ctx.set(far.dut.rx, 0)
        await far.ctx.tick().repeat(2000)
        assert (far.received, far.broken) == (b"", 1)

    run(8, 8, bench)


@pytest.mark.parametrize("divisor", [UART_CYCLES, 7])
def test_bytes_are_sent_bit_by_bit(divisor: int) -> None:
    async def bench(far: Far) -> None:
        outgoing, tx = far.dut.bytes.outgoing, far.dut.tx
        for byte in BYTES:
            assert far.ctx.get(tx) == 1
            far.ctx.set(outgoing.payload, byte)
            far.ctx.set(outgoing.valid, 1)
            await far.ctx.tick().until(outgoing.ready)
            far.ctx.set(outgoing.valid, 0)
            levels = []
            for _ in range(10 * divisor):
                levels.append(far.ctx.get(tx))
                assert not far.ctx.get(outgoing.ready)
                await far.ctx.tick()
            frame = [0, *(byte >> bit & 1 for bit in range(8)), 1]
            assert levels == [level for level in frame for _ in range(divisor)]

    run(divisor, divisor, bench)

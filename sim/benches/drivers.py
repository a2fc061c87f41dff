"""Drivers for test benches: source, sink and monitor of a stream, over one base.

Streams are Amaranth's: ports `NAME__payload`, `NAME__valid` and `NAME__ready`; a payload is
transferred at a rising edge at which both `valid` and `ready` are high. Every driver asserts the
protocol at every edge: neither signal is X; `valid` once high stays high, and the payload stays as
it is, until it is transferred. A payload is a plain integer, the bits of the port.

When a source idles and a sink holds back is not theirs to decide: both take `pauses` from outside,
any iterable of booleans, one a cycle, true for a cycle of pause; where it ends, pauses end.
The AXI ports of the chip are driven by cocotbext-axi, whose pauses are the same iterables.
"""

import random
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.handle import LogicObject
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

PERIOD_NS = 10


def randomly(share: float, seed: int) -> Iterator[bool]:
    """Pauses at random in this share of the cycles, the same for the same seed."""
    draw = random.Random(seed)
    while True:
        yield draw.random() < share


def in_bursts(share: float, longest: int, seed: int) -> Iterator[bool]:
    """Pauses and runs of 1 to `longest` cycles; a pause follows a run with probability `share`."""
    draw = random.Random(seed)
    while True:
        yield from repeat(draw.random() < share, draw.randint(1, longest))


async def start(dut: Any) -> None:
    """Start the clock and reset. Drivers that are made before begin their work after."""
    Clock(dut.clk, PERIOD_NS, "ns").start()
    await reset(dut)


async def reset(dut: Any) -> None:
    """Hold reset for a few cycles. Drivers that are made before begin their work after."""
    dut.rst.value = 1
    await ClockCycles(dut.clk, 4)
    dut.rst.value = 0
    await RisingEdge(dut.clk)


def known(signal: LogicObject) -> bool:
    """Whether a signal of one bit is high; an X or Z fails the test."""
    value = str(signal.value)
    assert value in ("0", "1"), f"{signal._path} is {value}"
    return value == "1"


class Monitor:
    """Watches a stream from reset on.

    `transfers` are its payloads so far, in order, `cycles` when each was transferred, counted from
    reset. A stream without the port `ready` is always ready.
    """

    PAYLOAD, VALID, READY = "__payload", "__valid", "__ready"

    def __init__(self, dut: Any, name: str) -> None:
        self.name = name
        self.clk = dut.clk
        self.payload = getattr(dut, name + self.PAYLOAD)
        self.valid = getattr(dut, name + self.VALID)
        self.ready = getattr(dut, name + self.READY, None)
        self.transfers: list[int] = []
        self.cycles: list[int] = []
        self._cycle = 0
        self._held: int | None = None
        self._task = cocotb.start_soon(self._run(dut.rst))

    def stop(self) -> None:
        """Watch no longer."""
        self._task.cancel()

    async def _run(self, reset: LogicObject) -> None:
        await FallingEdge(reset)
        while True:
            await RisingEdge(self.clk)
            self._watch()
            self._drive()

    def _watch(self) -> None:
        """Check the protocol at this edge and note what it transfers."""
        self._cycle += 1
        valid, ready = known(self.valid), self.ready is None or known(self.ready)
        if not valid:
            assert self._held is None, f"{self.name} withdrew {self._held:#x} before its transfer"
            return
        bits = self.payload.value
        assert bits.is_resolvable, f"{self.name} offers the unknown payload {bits}"
        payload = bits.to_unsigned()
        if self._held is not None:
            assert payload == self._held, (
                f"{self.name} changed {self._held:#x} to {payload:#x} before its transfer"
            )
        self._held = None if ready else payload
        if ready:
            self.transfers.append(payload)
            self.cycles.append(self._cycle)

    def _drive(self) -> None:
        """Set signals for the next edge; a monitor has none."""

    async def reach(self, count: int, within_cycles: int) -> None:
        """Wait until `count` payloads have been transferred; fail if it takes longer."""
        for _ in range(within_cycles):
            if len(self.transfers) >= count:
                return
            await RisingEdge(self.clk)
        raise AssertionError(
            f"{self.name} transferred {len(self.transfers)} of {count} payloads in "
            f"{within_cycles} cycles"
        )

    def finish(self) -> None:
        """Assert that nothing is left over: no payload waits to be transferred."""
        assert self._held is None, f"{self.name} still offers {self._held:#x}"


class AxisMonitor(Monitor):
    """Watches an AXI4-Stream."""

    PAYLOAD, VALID, READY = "_tdata", "_tvalid", "_tready"


class Source(Monitor):
    """Feeds a stream: payloads given to `send` go out in order, with `pauses` between them.

    Between payloads the payload's bits are noise, so that a design that looks at them while `valid`
    is low is found out.
    """

    def __init__(self, dut: Any, name: str, pauses: Iterable[bool] = ()) -> None:
        super().__init__(dut, name)
        self._waiting: deque[int] = deque()
        self._pauses = chain(pauses, repeat(False))
        self._noise = random.Random(name)
        self._bits = len(self.payload)
        self.sent = 0
        self._idle()

    def send(self, payloads: Iterable[int]) -> None:
        """Queue payloads."""
        before = len(self._waiting)
        self._waiting.extend(payloads)
        self.sent += len(self._waiting) - before

    def _idle(self) -> None:
        self.valid.value = 0
        self.payload.value = self._noise.getrandbits(self._bits)

    def _drive(self) -> None:
        if self._held is not None:
            return
        if self._waiting and not next(self._pauses):
            self.payload.value = self._waiting.popleft()
            self.valid.value = 1
        else:
            self._idle()

    async def drain(self, within_cycles: int) -> None:
        """Wait until all that was queued has been transferred; fail if it takes longer."""
        await self.reach(self.sent, within_cycles)

    def finish(self) -> None:
        """Assert that everything queued was transferred."""
        left = self.sent - len(self.transfers)
        assert not left, f"{left} payloads for {self.name} were never taken"


class Sink(Monitor):
    """Drinks a stream: takes a payload in every cycle without a pause."""

    def __init__(self, dut: Any, name: str, pauses: Iterable[bool] = ()) -> None:
        super().__init__(dut, name)
        self._pauses = chain(pauses, repeat(False))
        self._taken = 0
        if self.ready is not None:
            self.ready.value = 0

    def _drive(self) -> None:
        if self.ready is not None:
            self.ready.value = not next(self._pauses)

    async def take(self, count: int, within_cycles: int) -> list[int]:
        """The next `count` payloads; fails if they take longer."""
        await self.reach(self._taken + count, within_cycles)
        self._taken += count
        return self.transfers[self._taken - count : self._taken]

    def finish(self) -> None:
        """Assert that nothing is left over: all payloads were asked for, and none is waiting."""
        super().finish()
        left = self.transfers[self._taken :]
        assert not left, f"{len(left)} payloads of {self.name} too many, first {left[0]:#x}"

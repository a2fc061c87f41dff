"""An asynchronous serial line: 8 bits, least significant first, no parity, one stop bit."""

from typing import ClassVar

from amaranth.hdl import Cat, Const, Elaboratable, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from rtl.host.transport import Line

START = 10  #: bits of a byte from the start bit on


class Uart(wiring.Component):
    """Bytes to and from an asynchronous serial line.

    Parameter: `divisor`, clock cycles a bit, at least `UART_CYCLES`.
    Members: `rx`, `tx` (pins, high at rest); `bytes`. What is no longer low in the middle of its
    start bit was a glitch, and nothing comes of it. A byte whose stop bit is low is dropped, and
    `broken` tells.
    Timing: a byte takes 10 bits; it shows in the middle of its stop bit. A bit is looked at once,
    in its middle, so the two clocks may differ by 2 %.
    """

    PINS: ClassVar = {"rx": In(1), "tx": Out(1, init=1)}

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({**self.PINS, "bytes": Out(Line)})

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the two directions."""
        m = Module()
        self._receive(m)
        self._send(m)
        return m

    def _receive(self, m: Module) -> None:
        level, before = Signal(init=1), Signal(init=1)
        m.submodules.rx = FFSynchronizer(self.rx, level, init=1)
        m.d.sync += before.eq(level)
        # Start bit, 8 bits, stop bit; how many of them are still to be looked at.
        wait, left = Signal(range(self._divisor)), Signal(range(START + 1))
        bits = Signal(8)
        m.d.comb += self.bytes.incoming.payload.eq(bits)
        with m.If(left == 0):
            with m.If(before & ~level):
                m.d.sync += [left.eq(START), wait.eq(self._divisor // 2 - 1)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [wait.eq(self._divisor - 1), left.eq(left - 1)]
            with m.If(left == START):
                with m.If(level):
                    m.d.sync += left.eq(0)
            with m.Elif(left == 1):
                m.d.comb += [self.bytes.incoming.valid.eq(level), self.bytes.broken.eq(~level)]
            with m.Else():
                m.d.sync += bits.eq(Cat(bits[1:], level))

    def _send(self, m: Module) -> None:
        source = self.bytes.outgoing
        wait, left = Signal(range(self._divisor)), Signal(range(11))
        bits = Signal(10, init=-1)
        m.d.comb += self.tx.eq(bits[0])
        with m.If(left == 0):
            m.d.comb += source.ready.eq(1)
            with m.If(source.valid):
                m.d.sync += [
                    bits.eq(Cat(Const(0, 1), source.payload, Const(1, 1))),
                    left.eq(10),
                    wait.eq(self._divisor - 1),
                ]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [
                wait.eq(self._divisor - 1),
                left.eq(left - 1),
                bits.eq(Cat(bits[1:], Const(1, 1))),
            ]

"""A serial peripheral interface, mode 0, most significant bit first; the host is its controller."""

from typing import ClassVar

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from model.contract.transport import IDLE
from rtl.host.transport import Line


class Spi(wiring.Component):
    """Bytes to and from an SPI controller; a byte each way at once.

    Members: `cs` (high while selected), `sclk`, `copi`, `cipo` (pins); `bytes`. Where nothing is
    to be sent, an idle byte goes out. Deselecting in the middle of a byte drops it, and `broken`
    tells.
    Timing: all pins are looked at by the chip's clock, through two flip-flops. A bit takes
    `SPI_CYCLES` cycles at least, and so does the pause between selecting and the first bit. A byte
    shows three cycles after its last rising edge. A byte is taken from `outgoing` at its first
    rising edge.
    """

    PINS: ClassVar = {"cs": In(1), "sclk": In(1), "copi": In(1), "cipo": Out(1)}

    def __init__(self) -> None:
        super().__init__({**self.PINS, "bytes": Out(Line)})

    def elaborate(self, platform: object) -> Elaboratable:
        """Build one shift register for both ways."""
        m = Module()
        cs, sclk, copi = Signal(), Signal(), Signal()
        m.submodules.cs = FFSynchronizer(self.cs, cs)
        m.submodules.sclk = FFSynchronizer(self.sclk, sclk)
        m.submodules.copi = FFSynchronizer(self.copi, copi)
        before = Signal()
        rises, falls = Signal(), Signal()
        m.d.sync += before.eq(sclk)
        m.d.comb += [rises.eq(cs & sclk & ~before), falls.eq(cs & ~sclk & before)]

        source, out = self.bytes.outgoing, self.bytes.incoming
        bits, number, real = Signal(8), Signal(3), Signal()
        latched = Signal()
        m.d.comb += [self.cipo.eq(bits[7]), out.payload.eq(Cat(latched, bits[:7]))]
        m.d.comb += source.ready.eq(rises & (number == 0) & real)
        m.d.sync += out.valid.eq(rises & (number == 7))
        with m.If(rises):
            m.d.sync += [latched.eq(copi), number.eq(number + 1)]
        with m.Elif(falls & (number != 0)):
            m.d.sync += bits.eq(Cat(latched, bits))
        with m.Elif(number == 0):
            # Between bytes: what stands here at the first rising edge is what goes out.
            with m.If(~cs | falls):
                m.d.sync += [
                    bits.eq(Mux(source.valid, source.payload, IDLE)),
                    real.eq(source.valid),
                ]
        with m.If(~cs & (number != 0)):
            m.d.comb += self.bytes.broken.eq(1)
            m.d.sync += number.eq(0)
        return m

"""Replay queue: a sample's items on their way forward, kept until learning has used them."""

from amaranth.hdl import Elaboratable, Module, Mux, Signal, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out


class ReplayQueue(wiring.Component):
    """First-in first-out queue whose reader can go back to the last commit.

    The layer reads a sample forward, then `rewind`s and reads it again to learn; `commit` frees
    what lies before the reader. Meanwhile the stage before it already writes the next sample.

    Parameters: `beat` layout of the entries, `depth` a power of two.
    Members: `input`, `output` streams; `rewind`, `commit` (pulses; `commit` counts a beat that is
    taken in the same cycle); `busy` (anything not yet committed).
    Timing: a beat shows at the output two cycles after it was written; one beat a cycle both ways;
    after `rewind` the first beat shows in the next cycle. Reset: empty.
    """

    def __init__(self, beat: data.Layout, depth: int) -> None:
        if depth & (depth - 1) or depth < 2:
            raise ValueError(f"depth must be a power of two, not {depth}")
        self.beat = beat
        self.depth = depth
        self.cells = memory.Memory(shape=unsigned(beat.size), depth=depth, init=[])
        # Places in the ring, with one bit more than an address.
        bits = depth.bit_length()
        self.written, self.head, self.base = (
            Signal(bits, name=name) for name in ("written", "head", "base")
        )
        super().__init__(
            {
                "input": In(stream.Signature(beat)),
                "output": Out(stream.Signature(beat)),
                "rewind": In(1),
                "commit": In(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the ring."""
        m = Module()
        m.submodules.cells = self.cells
        read, write = self.cells.read_port(), self.cells.write_port()
        written, head, base = self.written, self.head, self.base
        following = Signal.like(head)
        bits = len(write.addr)
        valid = Signal()
        taken = self.output.valid & self.output.ready
        m.d.comb += [
            self.input.ready.eq((written ^ base) != self.depth),
            write.addr.eq(written[:bits]),
            write.data.eq(self.input.payload.as_value()),
            write.en.eq(self.input.valid & self.input.ready),
            following.eq(Mux(self.rewind, base, head + taken)),
            read.addr.eq(following[:bits]),
            read.en.eq(1),
            self.output.valid.eq(valid),
            self.output.payload.as_value().eq(read.data),
            self.busy.eq(written != base),
        ]
        m.d.sync += [head.eq(following), valid.eq(following != written)]
        with m.If(write.en):
            m.d.sync += written.eq(written + 1)
        with m.If(self.commit):
            m.d.sync += base.eq(following)
        return m

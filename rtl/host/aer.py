"""An event camera's own bus: addresses by a four-phase handshake, as event words."""

from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from model.contract import event
from model.contract.config import ChipConfig
from model.contract.storage import index_bits

HANDSHAKE_CYCLES = 6
"""Least clock cycles from one event to the next: two for the request to be seen, one to answer,
and the same on the way back. The camera's own delays come on top."""


class Aer(wiring.Component):
    """Takes a camera's events one by one, stamps them, and lines them up with the host's words.

    The camera raises `request` while the address stands, waits for `acknowledge`, lowers `request`,
    and waits for `acknowledge` to fall. The request alone is synchronised, by two flip-flops; the
    address has stood for as long when it is read. A camera cannot wait: where the queue is full,
    its event is acknowledged and dropped, and `dropped` tells. The host's words, the marks that end
    windows and samples, go into the same queue as they come; each restarts the time.

    Parameters: `tick`, clock cycles a step of time, which stops at its last; `depth` of the queue.
    Members: `request`, `x`, `y`, `brighter`, `acknowledge` (pins); `host`, `words` (event words);
    `dropped` (a pulse).
    Timing: an event shows at `words` HANDSHAKE_CYCLES / 2 + 2 cycles after its request, at most one
    every HANDSHAKE_CYCLES. A chip that takes an event in C cycles takes clock / C a second for any
    time, and `depth` more in a burst. Reset: nothing queued, time 0.
    """

    def __init__(self, config: ChipConfig, tick: int, depth: int) -> None:
        self._polar = config.channels > 1
        self._tick = tick
        self._depth = depth
        words = stream.Signature(event.WORD_BITS)
        super().__init__(
            {
                "request": In(1),
                "x": In(index_bits(config.width)),
                "y": In(index_bits(config.height)),
                "brighter": In(1),
                "acknowledge": Out(1),
                "host": In(words),
                "words": Out(words),
                "dropped": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the handshake, the clock of the sample, and the queue."""
        m = Module()
        m.submodules.queue = queue = SyncFIFOBuffered(width=event.WORD_BITS, depth=self._depth)
        requested, taken = Signal(), Signal()
        stamped = self._word(self._time(m))
        m.submodules.request = FFSynchronizer(self.request, requested)
        m.d.comb += [
            taken.eq(requested & ~self.acknowledge),
            self.dropped.eq(taken & ~queue.w_rdy),
            self.host.ready.eq(queue.w_rdy & ~taken),
            queue.w_en.eq(taken | self.host.valid),
            queue.w_data.eq(self.host.payload),
            self.words.payload.eq(queue.r_data),
            self.words.valid.eq(queue.r_rdy),
            queue.r_en.eq(self.words.ready),
        ]
        m.d.sync += self.acknowledge.eq(requested)
        with m.If(taken):
            m.d.comb += queue.w_data.eq(stamped)
        return m

    def _time(self, m: Module) -> Signal:
        """Steps since the host's last word, the last of which lasts."""
        wait, time = Signal(range(self._tick)), Signal(event.TIME_BITS)
        last = (1 << event.TIME_BITS) - 1
        m.d.sync += wait.eq(wait + 1)
        with m.If(wait == self._tick - 1):
            m.d.sync += [wait.eq(0), time.eq(time + (time != last))]
        with m.If(self.host.valid & self.host.ready):
            m.d.sync += [wait.eq(0), time.eq(0)]
        return time

    def _word(self, time: Signal) -> Cat:
        channel = self.brighter if self._polar else Signal()
        fields = (
            (self.x, event.X_BITS),
            (self.y, event.Y_BITS),
            (channel, event.CHANNEL_BITS),
            (time, event.TIME_BITS),
        )
        return Cat(*(Cat(value, Signal(bits - len(value))) for value, bits in fields))

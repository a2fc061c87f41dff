"""An event camera's own bus: addresses by a four-phase handshake, as event words."""

from amaranth.hdl import Cat, Elaboratable, Module, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from model.contract import event
from model.contract.config import ChipConfig
from model.contract.storage import index_bits
from rtl.queue import ReplayQueue

HANDSHAKE_CYCLES = 6
"""Least clock cycles from one event to the next: two for the request to be seen, one to answer,
and the same on the way back. The camera's own delays come on top."""

LOST_BITS = 16  #: of those that wait for room

DEPTH = 32  #: events that wait for the chip


def pins(config: ChipConfig) -> dict[str, wiring.Member]:
    """What a camera of the chip's size drives and sees; of one channel it tells no polarity."""
    polarity = {"brighter": In(1)} if config.channels > 1 else {}
    return {
        "request": In(1),
        "x": In(index_bits(config.width)),
        "y": In(index_bits(config.height)),
        **polarity,
        "acknowledge": Out(1),
    }


class Aer(wiring.Component):
    """Takes a camera's events one by one, stamps them, and lines them up with the host's words.

    The camera raises `request` while the address stands, waits for `acknowledge`, lowers `request`,
    and waits for `acknowledge` to fall. The request alone is synchronised, by two flip-flops; the
    address has stood for as long when it is read. A camera cannot wait: where the queue is full,
    its event is acknowledged and lost. In its place a malformed word goes in as soon as there is
    room, so that the chip counts and flags it in the sample in which it was lost. The host's words,
    the marks that end windows and samples, go into the same queue, behind all that was lost before;
    each restarts the time.

    Parameters: `tick`, clock cycles a step of time, which stops at its last; `depth` of the queue,
    a power of two. Members: those of `pins`; `host`, `words` (event words).
    Timing: an event shows at `words` HANDSHAKE_CYCLES / 2 + 2 cycles after its request, at most one
    every HANDSHAKE_CYCLES. A chip that takes an event in C cycles takes clock / C a second for any
    time, and up to `depth` more in a burst; each that is lost costs it a cycle. More than
    2**LOST_BITS - 1 lost while the chip takes nothing are not counted. Reset: nothing queued, time
    0; an event whose handshake a reset cuts off counts as a new one.
    """

    def __init__(self, config: ChipConfig, tick: int, depth: int = DEPTH) -> None:
        self._polar = config.channels > 1
        self._tick = tick
        words = stream.Signature(event.WORD_BITS)
        self.queue = ReplayQueue(data.StructLayout({"word": event.WORD_BITS}), depth)
        self.lost = Signal(LOST_BITS)  # of which no word went in yet
        super().__init__({**pins(config), "host": In(words), "words": Out(words)})

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the handshake, the clock of the sample, and the queue."""
        m = Module()
        m.submodules.queue = queue = self.queue
        requested, taken = Signal(), Signal()
        going_in, room = queue.input, queue.input.ready
        missing = self.lost.any()
        m.submodules.request = FFSynchronizer(self.request, requested)
        m.d.comb += [
            taken.eq(requested & ~self.acknowledge),
            self.host.ready.eq(room & ~taken & ~missing),
            going_in.valid.eq(taken | missing | self.host.valid),
            going_in.payload.word.eq(self.host.payload),
            queue.commit.eq(1),
            self.words.payload.eq(queue.output.payload.word),
            self.words.valid.eq(queue.output.valid),
            queue.output.ready.eq(self.words.ready),
        ]
        stamped = self._word(self._time(m))
        m.d.sync += self.acknowledge.eq(requested)
        with m.If(taken):
            m.d.comb += going_in.payload.word.eq(stamped)
            with m.If(~room & ~self.lost.all()):
                m.d.sync += self.lost.eq(self.lost + 1)
        with m.Elif(missing):
            m.d.comb += going_in.payload.word.eq(event.LOST)
            m.d.sync += self.lost.eq(self.lost - room)
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

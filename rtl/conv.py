"""Event-driven convolution, rectification, pooling, quantisation. Twin: `model/conv.py`."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value, unsigned
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from model.contract.choices import Conv as Stage
from model.contract.choices import Pooling
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.stages import boundary, index_format
from model.contract.storage import bank
from rtl.arith import choose, lanes, multiply, pack, popcount, saturate
from rtl.beat import map_beat, mark_layout
from rtl.counters import steps_layout
from rtl.ports import BankPort
from rtl.storage import Bank


class Conv(wiring.Component):
    """One convolution stage: an event touches only the potentials whose window covers it.

    Potentials and kernels lie in words of `lanes` kernels; an event walks its window word by word,
    each word read in one cycle, added to and written in the next. At the mark the map is pooled
    cell by cell, potentials cleared as they are read, and non-zero features are sent on in the
    order of their flat index.

    Members: `events`, `features` (map beats); `kernels` (the host's bank port); `busy`; `count`;
    `monitor_features`.
    Timing: `model.contract.timing.conv_cycles`: words + events + 1, then for each cell and group
    pool**2 + 2 and one a feature, then 1. Takes no event while pooling. Stalls only while a
    feature or the mark waits for the next stage. Reset: clears the potentials, one word a cycle,
    before the first event is taken.
    """

    def __init__(self, config: ChipConfig, number: int) -> None:
        self.config = config
        self.stage = config.conv[number]
        self.shape = shape = config.conv_shapes[number]
        if self.stage.inhibition is not None:
            raise Refusal(f"{shape.name}.inhibition is not built in hardware yet; leave it out")
        self.name = shape.name
        self.potentials_saturate = number == 0
        self.kernel_bank = bank(config, f"{self.name}.kernels")
        self.potential_bank = bank(config, f"{self.name}.potentials")
        self.boundary = boundary(config, f"{self.name}.features")
        events = map_beat(config, shape.height, shape.width, shape.channels, shape.value)
        features = map_beat(config, shape.out_height, shape.out_width, shape.kernels, shape.feature)
        super().__init__(
            {
                "events": In(stream.Signature(events)),
                "features": Out(stream.Signature(features)),
                "kernels": In(BankPort(self.kernel_bank.word_bits, self.kernel_bank.words)),
                "busy": Out(1),
                "count": Out(steps_layout(config, self.name)),
                "monitor_features": Out(self.boundary.port_bits),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the walk over an event's window and the walk over the pooling cells."""
        m = Module()
        stage, shape, count = self.stage, self.shape, self.count
        m.submodules.kernel_bank = kernel_bank = Bank(
            self.kernel_bank.word_bits, self.kernel_bank.words
        )
        wiring.connect(m, wiring.flipped(self.kernels), kernel_bank.host)
        m.submodules.potentials = potentials = memory.Memory(
            shape=unsigned(self.potential_bank.word_bits), depth=self.potential_bank.words, init=[]
        )
        read, write = potentials.read_port(), potentials.write_port()

        # Where the walks are. y and x are map coordinates while accumulating, and cell coordinates
        # while pooling, dy and dx then being the place within the cell.
        y, x = Signal(range(shape.map_height)), Signal(range(shape.map_width))
        dy, dx = Signal(range(stage.pool)), Signal(range(stage.pool))
        group = Signal(range(shape.groups))
        last_group = group == shape.groups - 1
        event = self.events.payload.body.item
        mark = Signal(mark_layout(self.config))
        y_low, y_high = _window(stage, event.y, shape.map_height)
        x_low, x_high = _window(stage, event.x, shape.map_width)

        # Second pipeline step, named by what it does to the word read in the cycle before.
        adding, pooling, first = Signal(), Signal(), Signal()
        at = Signal(range(self.potential_bank.words))
        value = Signal(shape.value.span)
        useful = shape.kernels - (shape.groups - 1) * shape.lanes
        lane_count = Mux(last_group, useful, shape.lanes)
        m.d.sync += [adding.eq(0), pooling.eq(0), at.eq(read.addr), value.eq(event.value)]

        cells = (y * stage.pool + dy, x * stage.pool + dx)
        in_pool = Signal()
        row, column = Mux(in_pool, cells[0], y), Mux(in_pool, cells[1], x)
        tap_row = (event.y + stage.padding - y)[: _bits(stage.size)]
        tap_column = (event.x + stage.padding - x)[: _bits(stage.size)]
        tap = (event.channel * stage.size + tap_row) * stage.size + tap_column
        m.d.comb += [
            read.en.eq(0),
            read.addr.eq((row * shape.map_width + column) * shape.groups + group),
            kernel_bank.stage.address.eq(tap * shape.groups + group),
        ]

        sent = Signal(shape.lanes)
        pooled = [Signal(shape.pooled.span, name=f"pooled{n}") for n in range(shape.lanes)]
        self._second_step(m, read, write, kernel_bank, adding, pooling, first, at, value, pooled)

        last_place = (dy == stage.pool - 1) & (dx == stage.pool - 1)
        last_cell = (y == shape.out_height - 1) & (x == shape.out_width - 1)
        with m.FSM() as fsm:
            with m.State("CLEAR"):
                m.d.comb += [write.en.eq(1), write.addr.eq(at), write.data.eq(0)]
                m.d.sync += at.eq(at + 1)
                with m.If(at == self.potential_bank.words - 1):
                    m.next = "LOAD"
            with m.State("LOAD"):
                # Also the cycle of rest in which the last word of the event before is written.
                m.d.comb += count.forward_cycles.eq(self.events.valid)
                m.d.sync += group.eq(0)
                with m.If(self.events.valid & self.events.payload.end):
                    m.d.comb += self.events.ready.eq(1)
                    m.d.sync += mark.eq(self.events.payload.body.mark)
                    m.d.sync += [y.eq(0), x.eq(0), dy.eq(0), dx.eq(0)]
                    m.next = "POOL"
                with m.Elif(self.events.valid):
                    m.d.sync += [y.eq(y_low), x.eq(x_low)]
                    m.next = "ACCUMULATE"
            with m.State("ACCUMULATE"):
                m.d.comb += [
                    read.en.eq(1),
                    kernel_bank.stage.enable.eq(1),
                    count.forward_cycles.eq(1),
                    count.words.eq(1),
                    count.macs.eq(lane_count),
                ]
                m.d.sync += [adding.eq(1), group.eq(group + 1)]
                with m.If(last_group):
                    m.d.sync += [group.eq(0), x.eq(x + 1)]
                    with m.If(x == x_high):
                        m.d.sync += [x.eq(x_low), y.eq(y + 1)]
                        with m.If(y == y_high):
                            m.d.comb += [self.events.ready.eq(1), count.events.eq(1)]
                            m.next = "LOAD"
            with m.State("POOL"):
                m.d.comb += [
                    in_pool.eq(1),
                    read.en.eq(1),
                    count.forward_cycles.eq(1),
                    count.pool_words.eq(1),
                ]
                m.d.sync += [pooling.eq(1), first.eq((dy == 0) & (dx == 0)), dx.eq(dx + 1)]
                with m.If(dx == stage.pool - 1):
                    m.d.sync += [dx.eq(0), dy.eq(dy + 1)]
                with m.If(last_place):
                    m.d.sync += dy.eq(0)
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.comb += count.forward_cycles.eq(1)
                m.d.sync += sent.eq(0)
                m.next = "SEND"
            with m.State("SEND"):
                with m.If(~self._send(m, pooled, sent, y, x, group, last_group, useful)):
                    m.d.comb += count.forward_cycles.eq(1)
                    m.d.sync += group.eq(group + 1)
                    m.next = "POOL"
                    with m.If(last_group):
                        m.d.sync += [group.eq(0), x.eq(x + 1)]
                        with m.If(x == shape.out_width - 1):
                            m.d.sync += [x.eq(0), y.eq(y + 1)]
                        with m.If(last_cell):
                            m.next = "MARK"
            with m.State("MARK"):
                m.d.comb += [
                    self.features.valid.eq(1),
                    self.features.payload.end.eq(1),
                    self.features.payload.body.mark.eq(mark),
                    count.forward_cycles.eq(self.features.ready),
                ]
                with m.If(self.features.ready):
                    m.next = "LOAD"
        features = self.features
        item = features.payload.body.item
        fields = self.boundary.fields
        m.d.comb += [
            self.busy.eq(~fsm.ongoing("LOAD") | adding),
            count.stall_cycles.eq(features.valid & ~features.ready),
            self.monitor_features.eq(
                Cat(
                    features.valid & features.ready,
                    features.payload.end,
                    item.index[: fields[0].code.bits],
                    item.value[: fields[1].code.bits],
                )
            ),
        ]
        return m

    def _second_step(
        self,
        m: Module,
        read: memory.ReadPort,
        write: memory.WritePort,
        kernel_bank: Bank,
        adding: Value,
        pooling: Value,
        first: Value,
        at: Value,
        value: Value,
        pooled: list[Signal],
    ) -> None:
        """Add a kernel word to the potentials read, or absorb them into the cell and clear them."""
        shape = self.shape
        old = lanes(read.data, shape.potential, shape.lanes)
        taps = lanes(kernel_bank.stage.read_data, shape.kernel, shape.lanes)
        raised = [
            potential + multiply(value, tap, shape.kernel)
            for potential, tap in zip(old, taps, strict=True)
        ]
        if self.potentials_saturate:
            narrowed = [saturate(code, shape.potential) for code in raised]
            raised = [code for code, _ in narrowed]
            clips = popcount([clipped for _, clipped in narrowed])
            m.d.comb += self.count.potential_saturations.eq(Mux(adding, clips, 0))
        m.d.comb += [
            write.en.eq(adding | pooling),
            write.addr.eq(at),
            write.data.eq(Mux(adding, pack(raised, shape.potential), 0)),
        ]
        with m.If(pooling):
            for cell, potential in zip(pooled, old, strict=True):
                rectified = Mux(potential < 0, 0, potential)
                so_far = Mux(first, 0, cell)
                if self.stage.pooling is Pooling.AVERAGE:
                    m.d.sync += cell.eq(so_far + rectified)
                else:
                    m.d.sync += cell.eq(Mux(rectified > so_far, rectified, so_far))

    def _send(
        self,
        m: Module,
        pooled: list[Signal],
        sent: Signal,
        y: Signal,
        x: Signal,
        group: Signal,
        last_group: Value,
        useful: int,
    ) -> Value:
        """Send the lowest non-zero feature not yet sent; returns whether there is one."""
        shape, count = self.shape, self.count
        shifted = [cell >> self.stage.shift for cell in pooled]
        waiting = Signal(shape.lanes)
        for lane, code in enumerate(shifted):
            present = (code != 0) & ~sent[lane]
            m.d.comb += waiting[lane].eq(present if lane < useful else present & ~last_group)
        lane = Signal(range(shape.lanes))
        for number in reversed(range(shape.lanes)):
            with m.If(waiting[number]):
                m.d.comb += lane.eq(number)
        feature, clipped = saturate(choose(shifted, lane), shape.feature)
        item = self.features.payload.body.item
        channel = group * shape.lanes + lane
        with m.If(waiting != 0):
            m.d.comb += [
                self.features.valid.eq(1),
                item.value.eq(feature),
                item.x.eq(x),
                item.y.eq(y),
                item.channel.eq(channel),
                item.index.eq((y * shape.out_width + x) * shape.kernels + channel),
            ]
            with m.If(self.features.ready):
                m.d.sync += sent.eq(sent | (Const(1, 1) << lane))
                m.d.comb += [
                    count.forward_cycles.eq(1),
                    count.features.eq(1),
                    count.feature_saturations.eq(clipped),
                ]
        return waiting != 0


def _bits(size: int) -> int:
    return index_format(size).bits


def _window(stage: Stage, at: Value, size: int) -> tuple[Value, Value]:
    """First and last map coordinate whose kernel window covers input coordinate `at`."""
    reach = at + stage.padding
    low = Mux(reach < stage.size - 1, 0, reach - (stage.size - 1))
    high = Mux(reach > size - 1, size - 1, reach)
    return low[: _bits(size)], high[: _bits(size)]

"""Event-driven convolution: events into potentials, cells of them into features.

Twin: `model/conv.py`.
"""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from model.contract.config import ChipConfig
from model.contract.shapes import ConvShape
from model.contract.stages import boundary
from model.contract.storage import bank, index_bits
from rtl.accumulator import Accumulator
from rtl.arith import choose, popcount
from rtl.beat import map_beat, mark_layout
from rtl.counters import steps_layout
from rtl.multiplier import Multiplier
from rtl.places import Cells, Window, address_bits
from rtl.pool import Pool, place_layout
from rtl.ports import BankPort
from rtl.storage import Bank


class Conv(wiring.Component):
    """One convolution stage: an event touches only the potentials whose window covers it.

    P places of the map are worked on in a cycle, each in a memory of its own
    (`model.contract.storage`). An event walks over its window, a kernel word of P taps a cycle; at
    the mark the map is walked cell by cell, potentials cleared as they are read. Both walks go
    backwards from a box's last place, whose word and bank are counted along, never multiplied.

    Members: `events`, `features` (map beats); `kernels` (the host's bank port); `busy`; `count`;
    `monitor_features`.
    Timing: `model.contract.timing.conv_cycles`. A step of a walk: address; kernel word out,
    potentials asked for; product, potentials out; sum and write. The next event follows without
    rest, the next sample in the cycle of the mark. Takes no event while pooling. Stalls only while
    a feature or the mark waits for the next stage. Reset: clears the potentials, one word a bank
    and cycle, before the first event is taken.
    """

    def __init__(self, config: ChipConfig, number: int) -> None:
        self.config, self.number = config, number
        self.shape = shape = config.conv_shapes[number]
        self.kernel_bank = bank(config, f"{shape.name}.kernels")
        self.boundary = boundary(config, f"{shape.name}.features")
        self.pool = Pool(config, number)
        self.products = Products(shape)
        self.potentials = Accumulator(
            shape.potential,
            shape.lanes,
            shape.bank_words,
            shape.places,
            self.products.product_bits,
            saturating=number == 0,
        )
        events = map_beat(config, shape.height, shape.width, shape.channels, shape.value)
        super().__init__(
            {
                "events": In(stream.Signature(events)),
                "features": Out(stream.Signature(self.pool.features.payload.shape())),
                "kernels": In(BankPort(self.kernel_bank.word_bits, self.kernel_bank.words)),
                "busy": Out(1),
                "count": Out(steps_layout(config, shape.name)),
                "monitor_features": Out(self.boundary.port_bits),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the walks and what a step of them passes through."""
        m = Module()
        shape = self.shape
        m.submodules.pool = pool = self.pool
        m.submodules.potentials = potentials = self.potentials
        m.submodules.window = window = Window(self.config, self.number)
        m.submodules.cells = cells = Cells(self.config, self.number)
        m.submodules.taps = products = self.products
        m.submodules.kernel_bank = kernel_bank = Bank(self.kernel_bank)
        wiring.connect(m, wiring.flipped(self.kernels), kernel_bank.host)
        wiring.connect(m, wiring.flipped(self.events), window.events)
        wiring.connect(m, pool.features, wiring.flipped(self.features))
        pooling, walking = self._pass(m, window, cells)

        # Second step: potentials are asked for. Third: their words come out, products are made.
        adding, last_group = Signal(), Signal()
        place, third, fourth = (
            Signal(place_layout(shape), name=f"place_{step}")
            for step in ("second", "third", "fourth")
        )
        enable = Signal(shape.places)
        bank, value = Signal.like(window.bank), Signal.like(window.value)
        with m.If(pool.advance):
            m.d.sync += [
                adding.eq(window.valid),
                last_group.eq(window.last_group),
                place.eq(cells.place),
                third.eq(place),
                fourth.eq(third),
                enable.eq(Mux(walking, cells.enable, window.enable)),
            ]
            with m.If(window.valid):
                m.d.sync += [bank.eq(window.bank), value.eq(window.value)]
        m.d.comb += [
            kernel_bank.stage.enable.eq(window.valid),
            kernel_bank.stage.address.eq(window.kernel),
            products.word.eq(kernel_bank.stage.read_data),
            products.enable.eq(Mux(adding, enable, 0)),
            products.bank.eq(bank),
            products.value.eq(value),
            potentials.advance.eq(pool.advance),
            potentials.enable.eq(enable),
            potentials.clear.eq(place.valid),
            potentials.keep.eq(place.valid & place.summing),
            pool.place.eq(fourth),
            pool.mark_valid.eq(pooling & ~walking & ~place.valid & ~third.valid & ~fourth.valid),
        ]
        for number in range(shape.places):
            self._connect_bank(m, number, walking)
        pooled = place.valid & ~place.summing & pool.advance
        self._count(m, Mux(adding, enable, 0), last_group, Mux(pooled, enable, 0))
        m.d.comb += self.busy.eq(window.valid | pooling | enable.any() | potentials.busy)
        return m

    def _pass(self, m: Module, window: Window, cells: Cells) -> tuple[Value, Value]:
        """From events to cells to the mark; returns if a sample is pooled, if cells are walked."""
        pool = self.pool
        ready = self.potentials.ready & pool.ready
        m.d.comb += pool.mark.eq(self._mark(m, window))
        with m.FSM() as fsm:
            with m.State("EVENTS"):
                m.d.comb += window.open.eq(ready)
                with m.If(window.marked):
                    m.next = "CELLS"
            with m.State("CELLS"):
                m.d.comb += cells.run.eq(pool.advance)
                with m.If(cells.done):
                    m.next = "MARK"
            with m.State("MARK"):
                m.d.comb += window.open.eq(pool.done)
                with m.If(window.marked):
                    m.next = "CELLS"
                with m.Elif(pool.done):
                    m.next = "EVENTS"
        stalled = self.features.valid & ~self.features.ready
        m.d.comb += [
            self.count.events.eq(window.last),
            self.count.forward_cycles.eq(window.valid | (~fsm.ongoing("EVENTS") & ~stalled)),
        ]
        return ~fsm.ongoing("EVENTS"), fsm.ongoing("CELLS")

    def _mark(self, m: Module, window: Window) -> Value:
        """The mark of the sample that is pooled."""
        mark = Signal(mark_layout(self.config))
        with m.If(window.marked):
            m.d.sync += mark.eq(self.events.payload.body.mark)
        return mark

    def _connect_bank(self, m: Module, number: int, walking: Value) -> None:
        """A bank of potentials: its address a step late, its products, its word."""
        window, cells = m.submodules.window, m.submodules.cells
        name = f"address_{number}"
        at = Mux(walking, getattr(cells, name), getattr(window, name))
        enable = Mux(walking, cells.enable[number], window.enable[number])
        address = Signal(address_bits(self.shape), name=name)
        with m.If(self.pool.advance & enable):
            m.d.sync += address.eq(at)
        products = getattr(m.submodules.taps, f"products_{number}")
        m.d.comb += [
            getattr(self.potentials, name).eq(address),
            getattr(self.potentials, f"addends_{number}").eq(products),
            getattr(self.pool, f"word_{number}").eq(getattr(self.potentials, f"word_{number}")),
        ]

    def _count(self, m: Module, adding: Value, last_group: Value, pooling: Value) -> None:
        """Counters, but for events, and the monitor."""
        shape, count, features = self.shape, self.count, self.features
        useful = shape.kernels - (shape.groups - 1) * shape.lanes
        words = popcount(list(adding))
        macs = [
            Const(number * lanes)
            for number in range(shape.places + 1)
            for lanes in (shape.lanes, useful)
        ]
        sent = features.valid & features.ready
        item = features.payload.body.item
        fields = self.boundary.fields
        m.d.comb += [
            count.words.eq(words),
            count.macs.eq(choose(macs, Cat(last_group, words))),
            count.pool_words.eq(popcount(list(pooling))),
            count.features.eq(sent & ~features.payload.end),
            count.feature_saturations.eq(self.pool.count_clips),
            count.stall_cycles.eq(features.valid & ~features.ready),
            self.monitor_features.eq(
                Cat(
                    sent,
                    features.payload.end,
                    item.index[: fields[0].code.bits],
                    item.value[: fields[1].code.bits],
                )
            ),
        ]
        if self.potentials.saturating:
            m.d.comb += count.potential_saturations.eq(popcount(list(self.potentials.clips)))


class Products(wiring.Component):
    """An event's value times the taps of a kernel word, each in the bank of its place.

    Members: `enable` (one bit a bank), `bank` (of the word's first tap; the next lie in the banks
    before it), `value`, `word` (of kernels); two cycles later `products_<bank>`, lanes side by
    side.
    Timing: that of `Multiplier`.
    """

    def __init__(self, shape: ConvShape) -> None:
        self.shape = shape
        self.multipliers = [
            Multiplier(shape.value, shape.kernel, shape.lanes) for _ in range(shape.places)
        ]
        self.product_bits = self.multipliers[0].product_bits
        products = {
            f"products_{bank}": Out(shape.lanes * self.product_bits) for bank in range(shape.places)
        }
        super().__init__(
            {
                "enable": In(shape.places),
                "bank": In(index_bits(shape.places)),
                "value": In(shape.value.span),
                "word": In(shape.places * shape.lanes * shape.kernel.bits),
                **products,
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the turn from taps to banks before the multipliers."""
        m = Module()
        count, bits = self.shape.places, self.shape.lanes * self.shape.kernel.bits
        taps = [self.word[n * bits : (n + 1) * bits] for n in range(count)]
        for number, multiplier in enumerate(self.multipliers):
            m.submodules[f"bank_{number}"] = multiplier
            turned = choose([taps[(first - number) % count] for first in range(count)], self.bank)
            m.d.comb += [
                multiplier.enable.eq(self.enable[number]),
                multiplier.value.eq(self.value),
                multiplier.codes.eq(turned),
                getattr(self, f"products_{number}").eq(multiplier.products),
            ]
        return m

"""Weights of a fully-connected layer: items into sums, and what learning does to the weights.

Twin: `model/synapses.py`.
"""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Member, Out

from model.contract.config import ChipConfig
from model.contract.formats import Format
from model.contract.shapes import LayerShape
from model.contract.stages import boundary
from model.contract.storage import bank, index_bits
from rtl.accumulator import Accumulator
from rtl.arith import choose, lanes, popcount, resize
from rtl.beat import item_beat, mark_layout, sum_beat
from rtl.counters import steps_layout
from rtl.learn import product_bits
from rtl.learner import LEARNING, Learner, modulation_stream
from rtl.multiplier import Multiplier
from rtl.ports import BankPort, SeedPort
from rtl.queue import ReplayQueue
from rtl.storage import Bank
from rtl.walk import Walk


class Fetch(wiring.Component):
    """Items to addresses of weight words, group after group.

    Members: `items`; `open` (an item or mark may be taken, now or with the last word of the item
    under way); `marked` (a mark is taken, `items` shows it); `valid` (a word is asked for in this
    cycle), `last` (of the item), `last_group`; `address`, `group`, `value` (the item's).
    Timing: an item's first word is asked for in the cycle after it is taken, which may be that of
    the last word of the item before.
    """

    def __init__(self, config: ChipConfig, shape: LayerShape) -> None:
        self.shape = shape
        super().__init__(
            {
                "items": In(stream.Signature(item_beat(config, shape.inputs, shape.value))),
                "open": In(1),
                "marked": Out(1),
                "valid": Out(1),
                "last": Out(1),
                "last_group": Out(1),
                "address": Out(index_bits(shape.inputs * shape.groups)),
                "group": Out(index_bits(shape.groups)),
                "value": Out(shape.value.span),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the item's registers and the walk over the groups."""
        m = Module()
        head = self.items
        item = head.payload.body.item
        m.submodules.walk = walk = Walk(self.shape.groups)
        taken = Signal()
        m.d.comb += [
            head.ready.eq(self.open & (~self.valid | walk.last)),
            taken.eq(head.valid & head.ready & ~head.payload.end),
            self.marked.eq(head.valid & head.ready & head.payload.end),
            walk.step.eq(self.valid),
            self.last.eq(self.valid & walk.last),
            self.last_group.eq(walk.last),
            self.group.eq(walk.at_0),
        ]
        with m.If(self.valid):
            m.d.sync += self.address.eq(self.address + 1)
        with m.If(head.ready):
            m.d.sync += self.valid.eq(taken)
        with m.If(taken):
            m.d.sync += [
                self.address.eq(item.index * self.shape.groups),
                self.value.eq(item.value),
            ]
        return m


class SumsOut(wiring.Component):
    """The sums of a sample, one after another, then its mark.

    Members: `begin`, `mark` (holds); `read`, `group` (a word of sums asked for), `word` (two cycles
    later, holds); `sums`; `done` (the mark leaves), `busy`.
    Timing: a cycle to settle; for each group one to ask, one to wait, one a sum; one for the mark.
    """

    def __init__(self, config: ChipConfig, shape: LayerShape) -> None:
        self.shape = shape
        beat = sum_beat(config, shape.outputs, shape.sum)
        super().__init__(
            {
                "begin": In(1),
                "mark": In(mark_layout(config)),
                "read": Out(1),
                "group": Out(index_bits(shape.groups)),
                "word": In(shape.lanes * shape.sum.bits),
                "sums": Out(stream.Signature(beat)),
                "done": Out(1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the walk over groups and lanes."""
        m = Module()
        shape, out = self.shape, self.sums.payload
        m.submodules.walk = walk = Walk(shape.groups)
        lane, neuron = Signal(index_bits(shape.lanes)), Signal(index_bits(shape.outputs))
        useful = shape.outputs - (shape.groups - 1) * shape.lanes
        last_lane = lane == Mux(walk.last, useful - 1, shape.lanes - 1)
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.begin):
                    m.next = "SETTLE"
            with m.State("SETTLE"):
                m.d.sync += neuron.eq(0)
                m.next = "ASK"
            with m.State("ASK"):
                m.d.comb += self.read.eq(1)
                m.d.sync += lane.eq(0)
                m.next = "WAIT"
            with m.State("WAIT"):
                m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += self.sums.valid.eq(1)
                with m.If(self.sums.ready):
                    m.d.sync += [lane.eq(lane + 1), neuron.eq(neuron + 1)]
                    with m.If(last_lane):
                        m.d.comb += walk.step.eq(1)
                        m.next = "ASK"
                        with m.If(walk.last):
                            m.next = "MARK"
            with m.State("MARK"):
                m.d.comb += [self.sums.valid.eq(1), out.end.eq(1), self.done.eq(self.sums.ready)]
                with m.If(self.sums.ready):
                    m.next = "IDLE"
        m.d.comb += [
            self.group.eq(walk.at_0),
            out.sum.eq(choose(lanes(self.word, shape.sum, shape.lanes), lane)),
            out.neuron.eq(neuron),
            out.mark.eq(self.mark),
            self.busy.eq(~fsm.ongoing("IDLE")),
        ]
        return m


class Synapses(wiring.Component):
    """A layer's weights: accumulate, and where it learns what follows.

    Items add ``value * weights[index]`` to the sums, a word of lanes a cycle. At the mark the sums
    go out one by one and are cleared; then a layer that learns hands over to its `Learner`.

    Members: `items`, `sums`, `weights` (the host's bank port), `busy`, `count` (all but what the
    neurons count), `monitor_sums`; where the layer learns also `modulation` (always ready), `step`
    and `state` of the LFSR, `seed`, `monitor_modulation`, `monitor_updates`.
    Timing: `model.contract.timing`. A word's way: weights asked for; weights out, sums asked for;
    product; sum. Stalls only while a sum waits for the neurons. The items of the next sample are
    queued meanwhile. Reset: clears the sums, one group a cycle.
    """

    def __init__(self, config: ChipConfig, shape: LayerShape) -> None:
        self.config = config
        self.shape = shape
        self.bank = bank(config, f"{shape.name}.weights")

        def monitor(record: str) -> Member:
            return Out(boundary(config, f"{shape.name}.{record}").port_bits)

        self.beat = item_beat(config, shape.inputs, shape.value)
        learned = shape.modulation.bits if shape.learns else 0
        code = Format(max(shape.weight.bits, learned), signed=True, symmetric=True)
        self.multiplier = Multiplier(shape.value, code, shape.lanes)
        members = {
            "items": In(stream.Signature(self.beat)),
            "sums": Out(stream.Signature(sum_beat(config, shape.outputs, shape.sum))),
            "weights": In(BankPort(self.bank.word_bits, self.bank.words)),
            "busy": Out(1),
            "count": Out(steps_layout(config, shape.name)),
            "monitor_sums": monitor("sums"),
        }
        if shape.learns:
            self.learner = Learner(config, shape)
            self.queue = bank(config, f"{shape.name}.queue")
            bits = config.learning.lfsr_bits
            members |= {
                "modulation": In(modulation_stream(shape)),
                "step": In(1),
                "state": Out(bits),
                "seed": In(SeedPort(bits)),
                "monitor_modulation": monitor("modulation"),
                "monitor_updates": monitor("updates"),
            }
        super().__init__(members)

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the forward pass; the learner only where the layer learns."""
        m = Module()
        config, shape = self.config, self.shape
        m.submodules.bank = bank = Bank(self.bank)
        wiring.connect(m, wiring.flipped(self.weights), bank.host)
        m.submodules.fetch = fetch = Fetch(config, shape)
        m.submodules.multiplier = multiplier = self.multiplier
        m.submodules.totals = totals = Accumulator(
            shape.sum, shape.lanes, shape.groups, 1, multiplier.product_bits, shape.saturating
        )
        m.submodules.sums_out = sums_out = SumsOut(config, shape)
        wiring.connect(m, sums_out.sums, wiring.flipped(self.sums))

        # Second step: weights come out, their sums are asked for.
        adding, group = Signal(), Signal.like(fetch.group)
        value, mark = Signal.like(fetch.value), Signal(mark_layout(config))
        closed = Signal()  # from the mark until its sample is through
        m.d.sync += adding.eq(fetch.valid)
        with m.If(fetch.valid):
            m.d.sync += [group.eq(fetch.group), value.eq(fetch.value)]
        with m.If(fetch.marked):
            m.d.sync += mark.eq(fetch.items.payload.body.mark)
            m.d.sync += closed.eq(1)
        m.d.comb += [
            sums_out.begin.eq(fetch.marked),
            sums_out.mark.eq(mark),
            sums_out.word.eq(totals.word_0),
            totals.advance.eq(1),
            totals.enable.eq(adding | sums_out.read),
            totals.clear.eq(sums_out.read),
            totals.keep.eq(0),
            totals.address_0.eq(Mux(adding, group, sums_out.group)),
            totals.addends_0.eq(multiplier.products),
        ]
        through = opens = sums_out.done  # a sample; in the same cycle the next one may begin
        busy = fetch.valid | closed | totals.busy
        if shape.learns:
            self._learn(m, mark, adding, value)
            through, opens = self.learner.done, Const(0)  # the queue is committed in that cycle
            busy = busy | m.submodules.queue.busy
        else:
            wiring.connect(m, wiring.flipped(self.items), fetch.items)
            m.d.comb += [
                bank.stage.enable.eq(fetch.valid),
                bank.stage.address.eq(fetch.address),
                multiplier.enable.eq(adding),
                multiplier.value.eq(value),
                multiplier.codes.eq(bank.stage.read_data),
            ]
        m.d.comb += [fetch.open.eq((~closed | opens) & totals.ready), self.busy.eq(busy)]
        with m.If(through & ~fetch.marked):
            m.d.sync += closed.eq(0)
        self._count(m, fetch, sums_out)
        return m

    def _learn(self, m: Module, mark: Signal, adding: Signal, value: Signal) -> None:
        """The queue before, and the learner behind the forward pass: they share the multipliers.

        Modulation is not multiplied with weights but with items: while a layer learns, it takes the
        place of the weights before the multipliers' registers.
        """
        fetch, bank, multiplier = m.submodules.fetch, m.submodules.bank, m.submodules.multiplier
        m.submodules.learner = learner = self.learner
        m.submodules.queue = queue = ReplayQueue(self.beat, self.queue.words)
        wiring.connect(m, wiring.flipped(self.items), queue.input)
        wiring.connect(m, wiring.flipped(self.seed), learner.seed)
        head = queue.output
        codes = lanes(learner.codes, self.shape.modulation, self.shape.lanes)
        weights = lanes(bank.stage.read_data, self.shape.weight, self.shape.lanes)
        learns, width = learner.multiplying, multiplier.code.bits
        products = lanes(
            multiplier.products, Format(multiplier.product_bits, signed=True), self.shape.lanes
        )
        m.d.comb += [
            multiplier.enable.eq(adding | learns),
            multiplier.value.eq(Mux(learns, learner.value, value)),
            multiplier.codes.eq(Mux(learns, resize(codes, width), resize(weights, width))),
            # Products of the forward pass do not reach a learner at rest.
            learner.products.eq(Mux(learner.taking, resize(products, product_bits(self.shape)), 0)),
            learner.read_data.eq(bank.stage.read_data),
            bank.stage.enable.eq(fetch.valid | learner.read | learner.write),
            bank.stage.write.eq(learner.write),
            bank.stage.write_data.eq(learner.write_data),
            bank.stage.address.eq(Mux(fetch.valid, fetch.address, learner.address)),
            *(
                [port.valid.eq(head.valid), port.payload.eq(head.payload)]
                for port in (fetch.items, learner.items)
            ),
            head.ready.eq(fetch.items.ready | learner.items.ready),
            queue.rewind.eq(learner.rewind),
            queue.commit.eq(learner.commit),
            learner.modulation.valid.eq(self.modulation.valid),
            learner.modulation.payload.eq(self.modulation.payload),
            learner.begin.eq(m.submodules.sums_out.done),
            learner.learn.eq(mark.learn),
            learner.rate.eq(mark.rate),
            learner.step.eq(self.step),
            self.state.eq(learner.state),
            self.monitor_modulation.eq(learner.monitor_modulation),
            self.monitor_updates.eq(learner.monitor_updates),
        ]

    def _count(self, m: Module, fetch: Fetch, sums_out: SumsOut) -> None:
        """Counters, but for those of the neurons, and the monitor of the sums."""
        shape, count = self.shape, self.count
        out = self.sums.payload
        stalled, sent = self.sums.valid & ~self.sums.ready, self.sums.valid & self.sums.ready
        useful = shape.outputs - (shape.groups - 1) * shape.lanes
        m.d.comb += [
            count.items.eq(fetch.last),
            count.words.eq(fetch.valid),
            count.macs.eq(Mux(fetch.valid, Mux(fetch.last_group, useful, shape.lanes), 0)),
            count.sums.eq(sent & ~out.end),
            count.forward_cycles.eq(fetch.valid | (sums_out.busy & ~stalled)),
            count.stall_cycles.eq(stalled),
            self.monitor_sums.eq(Cat(sent, out.end, out.neuron, out.sum)),
        ]
        if shape.saturating:
            clips = m.submodules.totals.clips
            m.d.comb += count.sum_saturations.eq(popcount(list(clips)))
        if shape.learns:
            for event in LEARNING:
                m.d.comb += count[event].eq(getattr(self.learner, f"count_{event}"))

"""Weights of a fully-connected layer: forward accumulation, and the walk of learning.

Twin: `model/learn.py` (`accumulate`, and the loops of `update`).
"""

from collections.abc import Callable

from amaranth.hdl import Cat, Elaboratable, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Member, Out

from model.contract.config import ChipConfig
from model.contract.shapes import LayerShape
from model.contract.stages import boundary
from model.contract.storage import bank, index_bits
from rtl.arith import choose, lanes, multiply, pack, popcount, saturate
from rtl.beat import item_beat, mark_layout, sum_beat
from rtl.counters import steps_layout
from rtl.learn import Update, product_bits
from rtl.lfsr import Lfsr
from rtl.ports import BankPort, SeedPort
from rtl.queue import ReplayQueue
from rtl.storage import Bank


class Sums(wiring.Component):
    """Pre-activations of a layer, a word of lanes a group; a single group lies in registers.

    Members: `read_enable`, `read_group`, `word` (of the last read); `write_enable`, `write_group`,
    `write_word`. Timing: a word shows in the cycle after its read and holds; the reader never
    asks for the group that is written in the same cycle, except a single group, whose register
    shows what was last written.
    """

    def __init__(self, word_bits: int, groups: int) -> None:
        self.word_bits = word_bits
        self.groups = groups
        bits = index_bits(groups)
        super().__init__(
            {
                "read_enable": In(1),
                "read_group": In(bits),
                "word": Out(word_bits),
                "write_enable": In(1),
                "write_group": In(bits),
                "write_word": In(word_bits),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the register or the memory."""
        m = Module()
        if self.groups == 1:
            with m.If(self.write_enable):
                m.d.sync += self.word.eq(self.write_word)
            return m
        m.submodules.cells = cells = memory.Memory(
            shape=unsigned(self.word_bits), depth=self.groups, init=[]
        )
        read, write = cells.read_port(), cells.write_port()
        m.d.comb += [
            read.en.eq(self.read_enable),
            read.addr.eq(self.read_group),
            self.word.eq(read.data),
            write.en.eq(self.write_enable),
            write.addr.eq(self.write_group),
            write.data.eq(self.write_word),
        ]
        return m


class Synapses(wiring.Component):
    """A layer's weights, and the two things that happen to them: accumulate and update.

    Items add ``value * weights[index]`` to the sums, a word of lanes a cycle. At the mark the sums
    go out one by one and are cleared. If the sample is to be learned, one modulation a neuron comes
    back; groups of lanes with any modulation are kept in a list, the sample's items are replayed,
    and every word of a listed group is read, updated, and written if a code changed.

    Members: `items`, `sums`, `weights` (the host's bank port), `busy`, `count` (all but what the
    neurons count), `monitor_sums`; where the layer learns also `modulation` (always ready), `step`
    and `state` of the LFSR, `seed`, `monitor_modulation`, `monitor_updates`.
    Timing: `model.contract.timing`: forward items * groups + 1 + groups + outputs + 1, learning
    1 + (2 * active groups * items + 1 if any). One word a cycle forward, a word in two cycles in
    learning (one memory port). Stalls only while a sum waits for the neurons. The items of the
    next sample are queued meanwhile. Reset: clears the sums, one group a cycle.
    """

    def __init__(self, config: ChipConfig, shape: LayerShape) -> None:
        self.config = config
        self.shape = shape
        self.bank = bank(config, f"{shape.name}.weights")

        def monitor(record: str) -> Member:
            return Out(boundary(config, f"{shape.name}.{record}").port_bits)

        self.beat = item_beat(config, shape.inputs, shape.value)
        bits = config.learning.lfsr_bits
        members = {
            "items": In(stream.Signature(self.beat)),
            "sums": Out(stream.Signature(sum_beat(config, shape.outputs, shape.sum))),
            "weights": In(BankPort(self.bank.word_bits, self.bank.words)),
            "busy": Out(1),
            "count": Out(steps_layout(config, shape.name)),
            "monitor_sums": monitor("sums"),
        }
        if shape.learns:
            self.active = bank(config, f"{shape.name}.active")
            self.queue = bank(config, f"{shape.name}.queue")
            modulation = data.StructLayout({"code": shape.modulation.span})
            members |= {
                "modulation": In(stream.Signature(modulation, always_ready=True)),
                "step": In(1),
                "state": Out(bits),
                "seed": In(SeedPort(bits)),
                "monitor_modulation": monitor("modulation"),
                "monitor_updates": monitor("updates"),
            }
        super().__init__(members)

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the forward walk; the learning walk only where the layer learns."""
        m = Module()
        shape, count = self.shape, self.count
        m.submodules.bank = weights = Bank(self.bank.word_bits, self.bank.words)
        wiring.connect(m, wiring.flipped(self.weights), weights.host)
        m.submodules.totals = totals = Sums(shape.lanes * shape.sum.bits, shape.groups)
        head = self._head(m)
        item = head.payload.body.item

        group = Signal(range(shape.groups))
        lane = Signal(range(shape.lanes))
        mark = Signal(mark_layout(self.config))
        last_group = group == shape.groups - 1
        useful = shape.outputs - (shape.groups - 1) * shape.lanes
        lane_count = Mux(last_group, useful, shape.lanes)

        # Second pipeline step: the word read in the cycle before.
        adding, at, value = Signal(), Signal(range(shape.groups)), Signal(shape.value.span)
        m.d.sync += [adding.eq(0), at.eq(group), value.eq(item.value)]
        m.d.comb += [
            totals.read_group.eq(group),
            totals.write_group.eq(Mux(adding, at, group)),
            weights.stage.address.eq(item.index * shape.groups + group),
        ]
        learning = self._learner(m, weights, head, mark, value, adding, totals)

        with m.FSM() as fsm:
            with m.State("CLEAR"):
                m.d.comb += totals.write_enable.eq(1)
                m.d.sync += group.eq(group + 1)
                with m.If(last_group):
                    m.d.sync += group.eq(0)
                    m.next = "FORWARD"
            with m.State("FORWARD"):
                m.d.comb += count.forward_cycles.eq(head.valid)
                with m.If(head.valid & head.payload.end):
                    m.d.comb += head.ready.eq(1)
                    m.d.sync += mark.eq(head.payload.body.mark)
                    m.next = "READ"
                with m.Elif(head.valid):
                    m.d.comb += [
                        totals.read_enable.eq(1),
                        weights.stage.enable.eq(1),
                        count.words.eq(1),
                        count.macs.eq(lane_count),
                    ]
                    m.d.sync += [adding.eq(1), group.eq(group + 1)]
                    with m.If(last_group):
                        m.d.comb += [head.ready.eq(1), count.items.eq(1)]
                        m.d.sync += group.eq(0)
            with m.State("READ"):
                m.d.comb += [totals.read_enable.eq(1), count.forward_cycles.eq(1)]
                m.d.sync += lane.eq(0)
                m.next = "STREAM"
            with m.State("STREAM"):
                m.d.comb += self.sums.valid.eq(1)
                with m.If(self.sums.ready):
                    m.d.comb += [count.forward_cycles.eq(1), count.sums.eq(1)]
                    m.d.sync += lane.eq(lane + 1)
                    with m.If(lane == lane_count - 1):
                        m.d.comb += totals.write_enable.eq(1)  # with zero: nothing is being added
                        m.d.sync += group.eq(group + 1)
                        m.next = "READ"
                        with m.If(last_group):
                            m.d.sync += group.eq(0)
                            m.next = "MARK"
            with m.State("MARK"):
                m.d.comb += [self.sums.valid.eq(1), self.sums.payload.end.eq(1)]
                with m.If(self.sums.ready):
                    m.d.comb += count.forward_cycles.eq(1)
                    if shape.learns:
                        m.next = "WAIT"
                    else:
                        m.next = "FORWARD"
            learning()
        codes = lanes(totals.word, shape.sum, shape.lanes)
        out = self.sums.payload
        m.d.comb += [
            out.sum.eq(choose(codes, lane)),
            out.neuron.eq(group * shape.lanes + lane),
            out.mark.eq(mark),
            count.stall_cycles.eq(self.sums.valid & ~self.sums.ready),
            self.monitor_sums.eq(
                Cat(self.sums.valid & self.sums.ready, out.end, out.neuron, out.sum)
            ),
        ]
        self._watch_busy(m, fsm.ongoing("FORWARD"), adding)
        return m

    def _head(self, m: Module) -> stream.Interface:
        """The stream that the walks read: replayable only where the layer learns."""
        if not self.shape.learns:
            return self.items
        m.submodules.queue = queue = ReplayQueue(self.beat, self.queue.words)
        wiring.connect(m, wiring.flipped(self.items), queue.input)
        return queue.output

    def _watch_busy(self, m: Module, forward: Value, adding: Value) -> None:
        busy = ~forward | adding
        if self.shape.learns:
            busy = busy | m.submodules.queue.busy
        m.d.comb += self.busy.eq(busy)

    def _add(self, m: Module, totals: Sums, products: list[Value], adding: Value) -> None:
        """Second step of the forward walk: add the products to the sums read with them."""
        shape = self.shape
        old = lanes(totals.word, shape.sum, shape.lanes)
        raised = [total + product for total, product in zip(old, products, strict=True)]
        if shape.saturating:
            narrowed = [saturate(code, shape.sum) for code in raised]
            raised = [code for code, _ in narrowed]
            clips = popcount([clipped for _, clipped in narrowed])
            m.d.comb += self.count.sum_saturations.eq(Mux(adding, clips, 0))
        m.d.comb += totals.write_word.eq(Mux(adding, pack(raised, shape.sum), 0))
        with m.If(adding):
            m.d.comb += totals.write_enable.eq(1)

    def _learner(
        self,
        m: Module,
        weights: Bank,
        head: stream.Interface,
        mark: Signal,
        value: Value,
        adding: Value,
        totals: Sums,
    ) -> Callable[[], None]:
        """The products, and what follows the mark: list the active groups, replay, update.

        Returns a function that adds the learning states to the layer's state machine.
        """
        shape, count = self.shape, self.count
        word = lanes(weights.stage.read_data, shape.weight, shape.lanes)
        if not shape.learns:
            self._add(m, totals, [value * weight for weight in word], adding)
            return lambda: None
        queue = m.submodules.queue
        m.submodules.lfsr = lfsr = Lfsr(self.config.learning.lfsr_bits)
        m.submodules.update = update = Update(self.config, shape)
        m.submodules.groups = cells = memory.Memory(
            shape=unsigned(self.active.word_bits), depth=self.active.words, init=[]
        )
        read, write = cells.read_port(), cells.write_port()
        wiring.connect(m, wiring.flipped(self.seed), lfsr.seed)
        next_item = Signal()
        m.d.comb += [
            self.state.eq(lfsr.state),
            lfsr.step.eq(self.step | next_item),
            read.en.eq(0),  # an entry holds while its word is read and written
        ]

        listed, settled = Signal(range(shape.groups + 1)), Signal()
        complete = self._list_groups(m, write, listed, settled)

        # The multipliers of the forward walk serve learning too: while a weight is read, it gives
        # way to the modulation, and the item added last to the item learned. A ternary modulation
        # needs none.
        tag = index_bits(shape.groups)
        entry_group = read.data[:tag]
        codes = lanes(read.data[tag:], shape.modulation, shape.lanes)
        item = head.payload.body.item
        reading, writing = Signal(), Signal()
        width = product_bits(shape)
        if shape.modulation.high == 1:
            forward = [value * weight for weight in word]
            products = [multiply(item.value, code, shape.modulation) for code in codes]
        else:
            factor = Mux(reading, item.value, value)
            forward = products = [
                factor * Mux(reading, code, weight)
                for code, weight in zip(codes, word, strict=True)
            ]
        self._add(m, totals, forward, adding)
        sized = [Signal(width, name=f"product{n}") for n in range(shape.lanes)]
        changed = update.changes != 0
        m.d.comb += [
            *(signal.eq(product) for signal, product in zip(sized, products, strict=True)),
            update.products.eq(Cat(*sized)),
            update.weights.eq(weights.stage.read_data),
            update.group.eq(entry_group),
            update.rate.eq(mark.rate),
            update.state.eq(lfsr.state),
            weights.stage.write_data.eq(update.updated),
        ]
        entry = Signal(range(shape.groups))

        def states() -> None:
            with m.State("WAIT"):
                with m.If(~mark.learn):
                    m.d.comb += [queue.commit.eq(1), settled.eq(1)]
                    m.next = "FORWARD"
                with m.Elif(complete):
                    m.d.comb += [count.learn_cycles.eq(1), read.en.eq(1), read.addr.eq(0)]
                    m.d.sync += entry.eq(0)
                    with m.If(listed == 0):
                        m.d.comb += [queue.commit.eq(1), settled.eq(1)]
                        m.next = "FORWARD"
                    with m.Else():
                        m.d.comb += queue.rewind.eq(1)
                        m.next = "LEARN"
            with m.State("LEARN"):
                m.d.comb += [reading.eq(1), count.learn_cycles.eq(1)]
                with m.If(head.payload.end):
                    m.d.comb += [head.ready.eq(1), queue.commit.eq(1), settled.eq(1)]
                    m.next = "FORWARD"
                with m.Else():
                    m.d.comb += [
                        weights.stage.enable.eq(1),
                        weights.stage.address.eq(item.index * shape.groups + entry_group),
                        count.learn_reads.eq(1),
                    ]
                    m.next = "WRITE"
            with m.State("WRITE"):
                m.d.comb += [
                    writing.eq(1),
                    count.learn_cycles.eq(1),
                    weights.stage.enable.eq(changed),
                    weights.stage.write.eq(1),
                    weights.stage.address.eq(item.index * shape.groups + entry_group),
                    count.learn_writes.eq(changed),
                    count.updates.eq(popcount(list(update.changes))),
                    count.weight_saturations.eq(popcount(list(update.clips))),
                    read.en.eq(1),
                    read.addr.eq(entry + 1),
                ]
                m.d.sync += entry.eq(entry + 1)
                with m.If(entry == listed - 1):
                    m.d.comb += [
                        read.addr.eq(0),
                        head.ready.eq(1),
                        next_item.eq(1),
                        count.learn_items.eq(1),
                    ]
                    m.d.sync += entry.eq(0)
                m.next = "LEARN"

        m.d.comb += [
            self.monitor_modulation.eq(
                Cat(self.modulation.valid | settled, settled, self.modulation.payload.code)
            ),
            self.monitor_updates.eq(
                Cat(
                    (weights.stage.enable & writing) | settled,
                    settled,
                    weights.stage.address,
                    update.updated,
                )
            ),
        ]
        return states

    def _list_groups(
        self, m: Module, write: memory.WritePort, listed: Signal, settled: Value
    ) -> Value:
        """Collect one modulation a neuron; list every group that has one that is not zero.

        Returns whether all neurons of the sample have been heard.
        """
        shape = self.shape
        code = self.modulation.payload.code
        group, lane = Signal(range(shape.groups)), Signal(range(shape.lanes))
        gathered = [
            Signal(shape.modulation.span, name=f"modulation{n}") for n in range(shape.lanes)
        ]
        complete = Signal()
        last = group * shape.lanes + lane == shape.outputs - 1
        word = [Mux(lane == n, code, kept) for n, kept in enumerate(gathered)]
        present = Signal()
        tag = Signal(index_bits(shape.groups))
        m.d.comb += [
            tag.eq(group),
            present.eq((code != 0) | Cat(kept.any() for kept in gathered).any()),
            write.addr.eq(listed),
            write.data.eq(Cat(tag, pack(word, shape.modulation))),
        ]
        with m.If(self.modulation.valid):
            m.d.comb += self.count.modulated.eq(code != 0)
            m.d.sync += lane.eq(lane + 1)
            for number, kept in enumerate(gathered):
                with m.If(lane == number):
                    m.d.sync += kept.eq(code)
            with m.If((lane == shape.lanes - 1) | last):
                m.d.sync += [lane.eq(0), group.eq(group + 1)]
                m.d.sync += [kept.eq(0) for kept in gathered]
                with m.If(present):
                    m.d.comb += write.en.eq(1)
                    m.d.sync += listed.eq(listed + 1)
            with m.If(last):
                m.d.sync += [group.eq(0), complete.eq(1)]
        with m.If(settled):
            m.d.sync += [complete.eq(0), listed.eq(0)]
        return complete

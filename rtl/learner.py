"""Learning of a layer: the list of its modulated groups, the replay of its items, the update.

Twin: `model/learn.py` (`update`).
"""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from model.contract.config import ChipConfig
from model.contract.shapes import LayerShape
from model.contract.stages import boundary
from model.contract.storage import bank, index_bits
from rtl.arith import pack, popcount
from rtl.beat import item_beat
from rtl.learn import Update, product_bits
from rtl.lfsr import Lfsr
from rtl.ports import SeedPort

#: Counters of a layer that its learner steps.
LEARNING = (
    "modulated",
    "learn_items",
    "learn_reads",
    "learn_writes",
    "updates",
    "weight_saturations",
    "learn_cycles",
)


def modulation_stream(shape: LayerShape) -> stream.Signature:
    """One modulation a neuron of a learned sample, in order."""
    code = data.StructLayout({"code": shape.modulation.span})
    return stream.Signature(code, always_ready=True)


def entry_layout(shape: LayerShape) -> data.StructLayout:
    """An entry of the list: a group of lanes, and the modulation of each."""
    codes = shape.lanes * shape.modulation.bits
    return data.StructLayout({"group": index_bits(shape.groups), "codes": codes})


class GroupList(wiring.Component):
    """The groups of a sample's neurons of which any is modulated, in order, with their modulation.

    Members: `modulation` (one a neuron, in order; always ready), `modulated` (it is not zero),
    `complete` (all neurons have been heard), `count` (entries), `clear` (for the next sample);
    `read`, `at` (an entry), `entry` (shows in the next cycle, holds).
    Timing: one modulation a cycle; an entry may be read in the cycle after it is complete.
    """

    def __init__(self, config: ChipConfig, shape: LayerShape) -> None:
        self.shape = shape
        self.active = bank(config, f"{shape.name}.active")
        super().__init__(
            {
                "modulation": In(modulation_stream(shape)),
                "modulated": Out(1),
                "complete": Out(1),
                "count": Out(range(shape.groups + 1)),
                "clear": In(1),
                "read": In(1),
                "at": In(index_bits(shape.groups)),
                "entry": Out(entry_layout(shape)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Gather a group's modulations; write it down where any is not zero."""
        m = Module()
        shape = self.shape
        m.submodules.cells = cells = memory.Memory(
            shape=unsigned(self.active.word_bits), depth=self.active.words, init=[]
        )
        read, write = cells.read_port(), cells.write_port()
        heard = self.modulation.valid
        code = Mux(heard, self.modulation.payload.code, 0)
        group, lane = Signal(index_bits(shape.groups)), Signal(index_bits(shape.lanes))
        last = Signal()
        gathered = [
            Signal(shape.modulation.span, name=f"modulation{n}") for n in range(shape.lanes)
        ]
        word = [Mux(lane == n, code, kept) for n, kept in enumerate(gathered)]
        present = (code != 0) | Cat(kept.any() for kept in gathered).any()
        m.d.comb += [
            last.eq(group * shape.lanes + lane == shape.outputs - 1),
            self.modulated.eq(code != 0),
            read.en.eq(self.read),
            read.addr.eq(self.at),
            self.entry.as_value().eq(read.data),
            write.addr.eq(self.count),
            write.data.eq(Cat(group, pack(word, shape.modulation))),
        ]
        with m.If(heard):
            m.d.sync += lane.eq(lane + 1)
            for number, kept in enumerate(gathered):
                with m.If(lane == number):
                    m.d.sync += kept.eq(code)
            with m.If((lane == shape.lanes - 1) | last):
                m.d.sync += [lane.eq(0), group.eq(group + 1)]
                m.d.sync += [kept.eq(0) for kept in gathered]
                with m.If(present):
                    m.d.comb += write.en.eq(1)
                    m.d.sync += self.count.eq(self.count + 1)
            with m.If(last):
                m.d.sync += [group.eq(0), self.complete.eq(1)]
        with m.If(self.clear):
            m.d.sync += [self.complete.eq(0), self.count.eq(0)]
        return m


class Learner(wiring.Component):
    """What follows a sample's forward pass: its items again, listed groups' words updated.

    Members: `modulation` (as of `GroupList`); `begin` (a sample's forward pass is over; `learn` and
    `rate` are its mark's, and hold), `done` (its learning is over); `items` (the sample's, again
    after `rewind`), `commit` (they are not needed any more); `multiplying` (`value` and `codes` are
    to be multiplied), `products` (of lanes, two cycles later; needed where `taking` is on); `read`,
    `write`, `address`, `write_data`, `read_data` of the weights; `step` (the LFSR moves on),
    `state` (of it), `seed` (the host's port); `busy`; `count_*` (steps of the counters of that
    name), `monitor_modulation`, `monitor_updates`.
    Timing: `model.contract.timing.learn_cycles`. A word's way: its entry of the list is asked for;
    entry out; product made, weights asked for; weights out, step made; sum, and written if a code
    changed. The memory has one port, so in that cycle all that has not yet read stands still.
    """

    def __init__(self, config: ChipConfig, shape: LayerShape) -> None:
        self.config, self.shape = config, shape
        self.bank = bank(config, f"{shape.name}.weights")
        self.list = GroupList(config, shape)
        bits = config.learning.lfsr_bits
        lanes = shape.lanes
        counts = {f"count_{event}": Out(1) for event in LEARNING}
        counts["count_updates"] = counts["count_weight_saturations"] = Out(lanes.bit_length())
        super().__init__(
            {
                "modulation": In(modulation_stream(shape)),
                "begin": In(1),
                "learn": In(1),
                "rate": In(index_bits(config.rate_steps)),
                "done": Out(1),
                "items": In(stream.Signature(item_beat(config, shape.inputs, shape.value))),
                "rewind": Out(1),
                "commit": Out(1),
                "multiplying": Out(1),
                "value": Out(shape.value.span),
                "codes": Out(lanes * shape.modulation.bits),
                "taking": Out(1),
                "products": In(lanes * product_bits(shape)),
                "read": Out(1),
                "write": Out(1),
                "address": Out(index_bits(self.bank.words)),
                "write_data": Out(self.bank.word_bits),
                "read_data": In(self.bank.word_bits),
                "step": In(1),
                "state": Out(bits),
                "seed": In(SeedPort(bits)),
                "busy": Out(1),
                **counts,
                "monitor_modulation": Out(boundary(config, f"{shape.name}.modulation").port_bits),
                "monitor_updates": Out(boundary(config, f"{shape.name}.updates").port_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the list, the walk over items and entries, and the update of a word."""
        m = Module()
        m.submodules.list = groups = self.list
        m.submodules.lfsr = lfsr = Lfsr(self.config.learning.lfsr_bits)
        wiring.connect(m, wiring.flipped(self.seed), lfsr.seed)
        m.d.comb += [
            groups.modulation.valid.eq(self.modulation.valid),
            groups.modulation.payload.eq(self.modulation.payload),
            groups.clear.eq(self.done),
            self.state.eq(lfsr.state),
            self.count_modulated.eq(groups.modulated),
            self.monitor_modulation.eq(
                Cat(self.modulation.valid | self.done, self.done, self.modulation.payload.code)
            ),
        ]
        move = ~self.write  # of all that has not yet read
        issued, ends = self._replay(m, move)
        self._update(m, move, issued, ends)
        return m

    def _replay(self, m: Module, move: Value) -> tuple[Value, Value]:
        """The walk; returns if a word begins its way now, and if it is its item's last."""
        groups, head = self.list, self.items
        entry, drained = Signal(index_bits(self.shape.groups)), Signal(2)
        last = entry == groups.count - 1
        issued, take = Signal(), Signal()
        with m.FSM() as fsm:
            with m.State("IDLE"):
                with m.If(self.begin):
                    m.next = "LOOK"
            with m.State("LOOK"):
                with m.If(~self.learn):
                    m.d.comb += [self.commit.eq(1), self.done.eq(1)]
                    m.next = "IDLE"
                with m.Elif(groups.complete & (groups.count == 0)):
                    m.d.comb += [self.commit.eq(1), self.done.eq(1), self.count_learn_cycles.eq(1)]
                    m.next = "IDLE"
                with m.Elif(groups.complete):
                    m.d.comb += [self.rewind.eq(1), self.count_learn_cycles.eq(1)]
                    m.next = "FIRST"
            with m.State("FIRST"):
                m.d.comb += [take.eq(1), self.count_learn_cycles.eq(1)]
                m.next = "WALK"
                with m.If(head.payload.end):
                    m.next = "DRAIN"
            with m.State("WALK"):
                m.d.comb += [
                    issued.eq(move),
                    take.eq(move & last),
                    self.count_learn_cycles.eq(1),
                    self.count_learn_items.eq(take),
                ]
                with m.If(move):
                    m.d.sync += entry.eq(Mux(last, 0, entry + 1))
                with m.If(take & head.payload.end):
                    m.next = "DRAIN"
            with m.State("DRAIN"):
                m.d.comb += self.count_learn_cycles.eq(1)
                with m.If(move):
                    m.d.sync += drained.eq(drained + 1)
                    with m.If(drained == 3):
                        m.d.comb += self.done.eq(1)
                        m.next = "IDLE"
        with m.If(take & head.payload.end):
            m.d.comb += self.commit.eq(1)
        m.d.comb += [
            head.ready.eq(take),
            groups.read.eq(issued),
            groups.at.eq(entry),
            self.count_learn_reads.eq(issued),
            self.busy.eq(~fsm.ongoing("IDLE")),
        ]
        return issued, issued & last

    def _update(self, m: Module, move: Value, issued: Value, ends: Value) -> None:
        """A word's way, `valid` where it is: entry out, weights asked for, weights out, sum."""
        shape, entry, head = self.shape, self.list.entry, self.items
        m.submodules.update = update = Update(self.config, shape)
        item = head.payload.body.item
        base, value = Signal(len(self.address)), Signal(shape.value.span)
        with m.If(head.ready & ~head.payload.end):
            m.d.sync += [base.eq(item.index * shape.groups), value.eq(item.value)]
        valid, final = Signal(4), Signal(3)
        addresses = [Signal(len(self.address), name=f"address_{n}") for n in range(4)]
        groups = [Signal(index_bits(shape.groups), name=f"group_{n}") for n in range(2)]
        weights, fresh = Signal(self.bank.word_bits), self.read_data
        if shape.saturating:  # fed by a host, which may repeat an event: the same word once more
            fresh = Mux(self.write & (addresses[2] == addresses[3]), update.updated, fresh)
        with m.If(move):
            m.d.sync += [valid[:2].eq(Cat(issued, valid[0])), final[:2].eq(Cat(ends, final[0]))]
            with m.If(issued):
                m.d.sync += [addresses[0].eq(base), self.value.eq(value)]
            with m.If(valid[0]):
                m.d.sync += [addresses[1].eq(addresses[0] + entry.group), groups[0].eq(entry.group)]
            with m.If(valid[1]):
                m.d.sync += [addresses[2].eq(addresses[1]), groups[1].eq(groups[0])]
        m.d.sync += [valid[2:].eq(Cat(valid[1] & move, valid[2])), final[2].eq(final[1] & move)]
        with m.If(valid[2]):
            m.d.sync += [addresses[3].eq(addresses[2]), weights.eq(fresh)]
        m.d.comb += [
            self.multiplying.eq(valid[0] & move),
            self.codes.eq(entry.codes),
            self.read.eq(valid[1] & move),
            self.write.eq(valid[3] & update.changes.any()),
            self.address.eq(Mux(self.write, addresses[3], addresses[1])),
            self.write_data.eq(update.updated),
            m.submodules.lfsr.step.eq(self.step | final[2]),
            self.taking.eq(valid[2]),
            update.enable.eq(valid[2]),
            update.products.eq(self.products),
            update.weights.eq(weights),
            update.group.eq(groups[1]),
            update.rate.eq(self.rate),
            update.state.eq(self.state),
            self.count_learn_writes.eq(self.write),
            self.count_updates.eq(Mux(valid[3], popcount(list(update.changes)), 0)),
            self.count_weight_saturations.eq(Mux(valid[3], popcount(list(update.clips)), 0)),
            self.monitor_updates.eq(
                Cat(self.write | self.done, self.done, addresses[3], update.updated)
            ),
        ]

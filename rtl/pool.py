"""Rectification, inhibition, pooling, quantisation, and the sending of features."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from model.contract.choices import Pooling
from model.contract.config import ChipConfig
from model.contract.shapes import ConvShape
from model.contract.storage import index_bits
from model.contract.timing import rivals_latency
from rtl.accumulator import Accumulator
from rtl.arith import choose, lanes, saturate
from rtl.beat import map_beat, mark_layout
from rtl.walk import Walk


def place_layout(shape: ConvShape) -> data.StructLayout:
    """What comes beside the words of a step of a cell's walk.

    `banks`: whose word belongs to the cell; `first`, `last` step of a group; `step`, its number;
    `summing`: the walk that only sums the kernels of each place; `ends`: it is the last group.
    """
    return data.StructLayout(
        {
            "valid": 1,
            "banks": shape.places,
            "step": index_bits(len(shape.cell)),
            "first": 1,
            "last": 1,
            "summing": 1,
            "ends": 1,
        }
    )


class Inhibit(wiring.Component):
    """Positive parts of the potentials of P places, each less a share of its place's sum.

    One tree of adders a place, with a register after every second level. Where the kernels of a
    place lie in several words, `totals` adds these up in a first walk and holds them for a second.

    Members: `advance`, `place`, `word_<bank>`; so many cycles later as `rivals_latency` says
    `place_out` and `codes_<bank>`, lanes side by side, zero where the bank's word does not belong
    to the cell; `busy` (a step is under way); `ready` (after reset).
    Timing: one step a cycle. Reset: no step under way; clears `totals`.
    """

    def __init__(self, config: ChipConfig, number: int) -> None:
        self.stage, self.shape = config.conv[number], config.conv_shapes[number]
        shape = self.shape
        self.bits = shape.potential.bits - 1  # of what is not negative
        members = {}
        for bank in range(shape.places):
            members[f"word_{bank}"] = In(shape.lanes * shape.potential.bits)
            members[f"codes_{bank}"] = Out(shape.lanes * self.bits)
        layout = place_layout(shape)
        super().__init__(
            {
                "advance": In(1),
                "place": In(layout),
                "place_out": Out(layout),
                "busy": Out(1),
                "ready": Out(1),
                **members,
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Rectify; where kernels inhibit each other, add up, wait, subtract."""
        m = Module()
        shape = self.shape
        delay = rivals_latency(shape)
        places = [self.place]
        for number in range(delay):
            places.append(Signal(place_layout(shape), name=f"place_{number}"))
            with m.If(self.advance):
                m.d.sync += places[-1].eq(places[-2])
        m.d.comb += [
            self.place_out.eq(places[-1]),
            self.busy.eq(Cat(place.valid for place in places).any()),
            self.ready.eq(1),
        ]
        words = [self._rectify(m, bank) for bank in range(shape.places)]
        shares: list[Value] = [Const(0, 1)] * shape.places
        if shape.inhibits:
            totals = [self._tree(m, bank, word, delay) for bank, word in enumerate(words)]
            if shape.sums_first:
                totals = self._add_groups(m, places, totals)
            shares = [total >> self.stage.inhibition for total in totals]
            words = [self._delay(m, bank, word, delay) for bank, word in enumerate(words)]
        for bank, (word, share) in enumerate(zip(words, shares, strict=True)):
            left = [self._less(m, code, share) for code in word]
            keep = places[-1].banks[bank] & places[-1].valid & ~places[-1].summing
            m.d.comb += getattr(self, f"codes_{bank}").eq(
                Mux(keep, Cat(left if shape.inhibits else word), 0)
            )
        return m

    def _rectify(self, m: Module, bank: int) -> list[Value]:
        """Positive parts of a bank's word; zero in lanes without a kernel, and in foreign words."""
        shape = self.shape
        codes = lanes(getattr(self, f"word_{bank}"), shape.potential, shape.lanes)
        useful = shape.kernels - (shape.groups - 1) * shape.lanes
        keep = self.place.valid & self.place.banks[bank]
        positive = []
        for lane, code in enumerate(codes):
            kept = Signal(self.bits, name=f"positive_{bank}_{lane}")
            present = keep if lane < useful else keep & ~self.place.ends
            m.d.comb += kept.eq(Mux(present & (code >= 0), code[: self.bits], 0))
            positive.append(kept)
        return positive

    def _less(self, m: Module, code: Value, share: Value) -> Value:
        """What is left of a code, at least zero."""
        left = Signal(signed(max(self.bits, len(share)) + 1), src_loc_at=1)
        m.d.comb += left.eq(code - share)
        return Mux(left < 0, 0, left[: self.bits])

    def _tree(self, m: Module, bank: int, codes: list[Value], cycles: int) -> Value:
        """Sum of codes by halves, a register behind every second level: as many as cycles."""
        level = 0
        while level < 2 * cycles:
            pairs = [sum(codes[n : n + 2], start=Const(0, 0)) for n in range(0, len(codes), 2)]
            level += 1
            if level % 2:
                codes = pairs
                continue
            codes = []
            for number, pair in enumerate(pairs):
                register = Signal(len(pair), name=f"sum_{bank}_{level}_{number}")
                with m.If(self.advance):
                    m.d.sync += register.eq(pair)
                codes.append(register)
        return codes[0]

    def _delay(self, m: Module, bank: int, word: list[Value], cycles: int) -> list[Value]:
        for cycle in range(cycles):
            later = [
                Signal.like(code, name=f"wait_{bank}_{cycle}_{n}") for n, code in enumerate(word)
            ]
            with m.If(self.advance):
                m.d.sync += [register.eq(code) for register, code in zip(later, word, strict=True)]
            word = later
        return word

    def _add_groups(self, m: Module, places: list[Value], sums: list[Value]) -> list[Value]:
        """Totals of each place over its words: summed in the first walk, read in the second."""
        shape = self.shape
        m.submodules.totals = totals = Accumulator(
            shape.total, 1, len(shape.cell), shape.places, shape.total.bits + 1
        )
        asked = places[-3]
        m.d.comb += [
            totals.advance.eq(self.advance),
            totals.enable.eq(Mux(asked.valid, asked.banks, 0)),
            totals.clear.eq(~asked.summing & asked.ends),
            totals.keep.eq(~asked.summing & ~asked.ends),
            self.ready.eq(totals.ready),
        ]
        for bank, code in enumerate(sums):
            m.d.comb += [
                getattr(totals, f"address_{bank}").eq(asked.step),
                getattr(totals, f"addends_{bank}").eq(code),
            ]
        return [getattr(totals, f"word_{bank}") for bank in range(shape.places)]


class Pool(wiring.Component):
    """Cells of potential words in, non-zero features out, in the order of their flat index.

    Members: `place`, `word_<bank>` (of a step; the words come with it); `mark_valid`, `mark` (wait
    until all cells are through); `advance` (what leads here moves on in this cycle: it does not
    while a feature waits for the next stage, or a cell for the features of the one before);
    `features` (map beats); `done` (the mark leaves); `ready` (after reset); `count_clips` (the
    feature that leaves was clipped).
    Timing: a feature shows 3 cycles after its cell's last word, and as many more as
    `model.contract.timing.rivals_latency` says; then one a cycle, while the next cell comes in; the
    mark in the cycle after the last. Reset: empty.
    """

    def __init__(self, config: ChipConfig, number: int) -> None:
        self.config, self.stage = config, config.conv[number]
        self.shape = shape = config.conv_shapes[number]
        self.inhibit = Inhibit(config, number)
        size = shape.out_height, shape.out_width, shape.kernels
        features = map_beat(config, *size, shape.feature, config.windows)
        words = {
            f"word_{bank}": In(shape.lanes * shape.potential.bits) for bank in range(shape.places)
        }
        super().__init__(
            {
                "place": In(place_layout(shape)),
                "mark_valid": In(1),
                "mark": In(mark_layout(config)),
                "advance": Out(1),
                "features": Out(stream.Signature(features)),
                "done": Out(1),
                "ready": Out(1),
                "count_clips": Out(1),
                **words,
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the steps: inhibit, join the banks, add up the cell, quantise, send."""
        m = Module()
        m.submodules.inhibit = inhibit = self.inhibit
        m.d.comb += [
            inhibit.advance.eq(self.advance),
            inhibit.place.eq(self.place),
            self.ready.eq(inhibit.ready),
        ]
        for bank in range(self.shape.places):
            m.d.comb += getattr(inhibit, f"word_{bank}").eq(getattr(self, f"word_{bank}"))
        place = inhibit.place_out
        pooling = place.valid & ~place.summing
        joined, adding, first, last = self._join(m, pooling)
        cell, complete = self._cell(m, joined, adding, first, last)
        self._send(m, cell, complete, inhibit.busy | adding | complete)
        return m

    def _join(self, m: Module, pooling: Value) -> tuple[list[Signal], Signal, Signal, Signal]:
        """Sum or maximum over the banks' words of a step, a lane each."""
        shape, place = self.shape, self.inhibit.place_out
        bits = self.inhibit.bits
        words = [
            [
                getattr(self.inhibit, f"codes_{bank}")[lane * bits : (lane + 1) * bits]
                for lane in range(shape.lanes)
            ]
            for bank in range(shape.places)
        ]
        joined = []
        for lane in range(shape.lanes):
            code = self._together([word[lane] for word in words])
            joined.append(Signal(len(code), name=f"joined_{lane}"))
            with m.If(self.advance & pooling):
                m.d.sync += joined[-1].eq(code)
        adding, first, last = Signal(), Signal(), Signal()
        with m.If(self.advance):
            m.d.sync += [adding.eq(pooling), first.eq(place.first), last.eq(place.last)]
        return joined, adding, first, last

    def _together(self, codes: list[Value]) -> Value:
        """Their sum or their maximum, by halves."""
        if len(codes) == 1:
            return codes[0]
        half = len(codes) // 2
        left, right = self._together(codes[:half]), self._together(codes[half:])
        if self.stage.pooling is Pooling.AVERAGE:
            return left + right
        return Mux(left > right, left, right)

    def _cell(
        self, m: Module, joined: list[Signal], adding: Signal, first: Signal, last: Signal
    ) -> tuple[list[Signal], Signal]:
        """Steps of a cell taken together; returns its lanes, and whether they are complete."""
        cell = [Signal(self.shape.pooled.span, name=f"pooled_{n}") for n in range(self.shape.lanes)]
        complete = Signal()
        with m.If(self.advance):
            m.d.sync += complete.eq(adding & last)
            with m.If(adding):
                for pooled, code in zip(cell, joined, strict=True):
                    m.d.sync += pooled.eq(self._together([Mux(first, 0, pooled), code]))
        return cell, complete

    def _send(self, m: Module, cell: list[Signal], complete: Signal, under_way: Value) -> None:
        """Quantise a cell; its features that are not zero leave, the lowest lane first."""
        shape, features = self.shape, self.features
        item = features.payload.body.item
        waiting, chosen = Signal(shape.lanes), Signal(shape.lanes)
        codes = Signal(shape.lanes * shape.feature.bits)
        clips = Signal(shape.lanes)
        sending, more, stalled, load = Signal(), Signal(), Signal(), Signal()
        m.d.comb += [
            sending.eq(waiting.any()),
            more.eq((waiting & ~chosen).any()),
            stalled.eq(features.valid & ~features.ready),
            self.advance.eq(~stalled & ~(complete & more)),
            load.eq(complete & self.advance),
        ]
        lane = Signal(range(shape.lanes))
        for number in reversed(range(shape.lanes)):
            with m.If(waiting[number]):
                m.d.comb += [lane.eq(number), chosen.eq(1 << number)]
        self._quantise(m, cell, load, codes, clips)
        last_group = self._count_cells(m, load, sending, lane)
        useful = shape.kernels - (shape.groups - 1) * shape.lanes
        with m.If(load):
            present = Cat(
                ((pooled >> self.stage.shift) != 0) & (1 if n < useful else ~last_group)
                for n, pooled in enumerate(cell)
            )
            m.d.sync += waiting.eq(present)
        with m.Elif(sending & features.ready):
            m.d.sync += waiting.eq(waiting & ~chosen)
        with m.If(sending):
            m.d.comb += item.value.eq(choose(lanes(codes, shape.feature, shape.lanes), lane))
        m.d.comb += [
            self.count_clips.eq(sending & features.ready & choose(list(clips), lane)),
            features.valid.eq(sending),
        ]
        with m.If(~sending & self.mark_valid & ~under_way):
            m.d.comb += [
                features.valid.eq(~self._window),
                features.payload.end.eq(1),
                features.payload.body.mark.eq(self.mark),
                self.done.eq(features.ready | self._window),
            ]

    @property
    def _window(self) -> Value:
        """Whether the mark ends a window alone: it stays here, the next one's features follow."""
        return self.mark.window if self.config.windows > 1 else Const(0, 1)

    def _quantise(
        self, m: Module, cell: list[Signal], load: Signal, codes: Signal, clips: Signal
    ) -> None:
        """Features of a complete cell: shifted, saturated."""
        narrowed = [saturate(pooled >> self.stage.shift, self.shape.feature) for pooled in cell]
        with m.If(load):
            m.d.sync += [
                codes.eq(Cat(code for code, _ in narrowed)),
                clips.eq(Cat(clipped for _, clipped in narrowed)),
            ]

    def _count_cells(self, m: Module, load: Signal, sending: Signal, lane: Signal) -> Signal:
        """Place of the feature that leaves; returns whether the cell that comes is a last group.

        The walk is at the cell that comes next, the registers at the one that leaves.
        """
        shape, item = self.shape, self.features.payload.body.item
        m.submodules.walk = walk = Walk(shape.out_height, shape.out_width, shape.groups)
        x, y = Signal.like(walk.at_1, name="x"), Signal.like(walk.at_0, name="y")
        index = Signal(index_bits(self.config.windows * shape.features), name="index")
        base, channel = Signal.like(index, name="base"), Signal.like(item.channel, name="channel")
        last_useful = shape.kernels - (shape.groups - 1) * shape.lanes
        m.d.comb += walk.step.eq(load)
        with m.If(load):
            m.d.sync += [
                y.eq(walk.at_0),
                x.eq(walk.at_1),
                base.eq(index),
                index.eq(index + Mux(walk.last_2, last_useful, shape.lanes)),
                channel.eq(
                    choose([Const(n * shape.lanes) for n in range(shape.groups)], walk.at_2)
                ),
            ]
            with m.If(walk.last & ~self._window):
                m.d.sync += index.eq(0)
        with m.If(sending):
            m.d.comb += [
                item.y.eq(y),
                item.x.eq(x),
                item.channel.eq(channel + lane),
                item.index.eq(base + lane),
            ]
        return walk.last_2

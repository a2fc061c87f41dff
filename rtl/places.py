"""Where a convolution works in a cycle: walks over windows and cells, P places at a time.

Word and bank of a place are ``f // P`` and ``f % P`` of its flat index ``f``
(`model.contract.storage`). Both are counted along: ``f`` is held as quotient and remainder, and a
distance is added to both.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from model.contract.config import ChipConfig
from model.contract.shapes import ConvShape, Steps
from model.contract.storage import index_bits
from rtl.arith import choose
from rtl.beat import map_beat
from rtl.pool import place_layout
from rtl.walk import Walk


def address_bits(shape: ConvShape) -> int:
    """Bits of a potential word's address in its bank."""
    return index_bits(shape.bank_words)


class Places(wiring.Component):
    """Banks and words of a step of a walk over a box.

    Members: `start` (word of the box's last place), `bank` (its bank), `step` (its number),
    `present` (one bit a column of the box's `steps`); `enable` (one bit a bank), `address_<bank>`.
    Timing: combinational.
    """

    def __init__(self, shape: ConvShape, steps: Steps) -> None:
        self.shape, self.steps = shape, steps
        bits = address_bits(shape)
        addresses = {f"address_{bank}": Out(bits) for bank in range(shape.places)}
        super().__init__(
            {
                "start": In(bits),
                "bank": In(index_bits(shape.places)),
                "step": In(index_bits(len(steps))),
                "present": In(shape.places),
                "enable": Out(shape.places),
                **addresses,
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build a subtraction a column, and the turn from columns to banks."""
        m = Module()
        count, groups = self.shape.places, self.shape.groups
        words = []
        for column in range(count):
            # A column right of the last place's bank has come round: a word less.
            distances = [
                Const(((row[column] or 0) // count + around) * groups)
                for row in self.steps
                for around in (0, 1)
            ]
            word = Signal(len(self.start), name=f"word_{column}")
            index = Cat(self.bank < column, self.step)
            m.d.comb += word.eq(self.start - choose(distances, index))
            words.append(word)
        for bank in range(count):
            columns = [(last - bank) % count for last in range(count)]
            address = getattr(self, f"address_{bank}")
            m.d.comb += [
                address.eq(choose([words[column] for column in columns], self.bank)),
                self.enable[bank].eq(
                    choose([self.present[column] for column in columns], self.bank)
                ),
            ]
        return m


class Window(wiring.Component):
    """The walk of events over their windows: for every group of kernels, P taps a step.

    Members: `events`; `open` (an event or mark may be taken, now or at the end of the walk under
    way); `marked` (a mark is taken, `events` shows it); `valid` (a step in this cycle), `last` (of
    the event), `last_group`; `bank`, `enable`, `address_<bank>` as of `Places`, `kernel` (the
    kernel word's address), `value` (the event's).
    Timing: an event's first step comes in the cycle after it is taken, which may be that of the
    last step of the event before.
    """

    def __init__(self, config: ChipConfig, number: int) -> None:
        self.stage = config.conv[number]
        self.shape = shape = config.conv_shapes[number]
        self.kernel_words = shape.groups * len(shape.window)
        events = map_beat(config, shape.height, shape.width, shape.channels, shape.value)
        bits = address_bits(shape)
        addresses = {f"address_{bank}": Out(bits) for bank in range(shape.places)}
        super().__init__(
            {
                "events": In(stream.Signature(events)),
                "open": In(1),
                "marked": Out(1),
                "valid": Out(1),
                "last": Out(1),
                "last_group": Out(1),
                "bank": Out(index_bits(shape.places)),
                "enable": Out(shape.places),
                "kernel": Out(index_bits(shape.channels * self.kernel_words)),
                "value": Out(shape.value.span),
                **addresses,
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the event's registers, loaded through tables, and the walk."""
        m = Module()
        shape, event = self.shape, self.events.payload.body.item
        m.submodules.walk = walk = Walk(shape.groups, len(shape.window))
        m.submodules.places = places = Places(shape, shape.window)
        start, taken = Signal(address_bits(shape)), Signal()
        rows, columns = Signal(self.stage.size), Signal(self.stage.size)
        m.d.comb += [
            self.events.ready.eq(self.open & (~self.valid | walk.last)),
            self.marked.eq(self.events.valid & self.events.ready & self.events.payload.end),
            taken.eq(self.events.valid & self.events.ready & ~self.events.payload.end),
            walk.step.eq(self.valid),
            self.last.eq(self.valid & walk.last),
            self.last_group.eq(walk.last_0),
            places.start.eq(start),
            places.bank.eq(self.bank),
            places.step.eq(walk.at_1),
            places.present.eq(Mux(self.valid, self._present(walk.at_1, rows, columns), 0)),
            self.enable.eq(places.enable),
        ]
        for bank in range(shape.places):
            name = f"address_{bank}"
            m.d.comb += getattr(self, name).eq(getattr(places, name))
        with m.If(self.valid):
            m.d.sync += self.kernel.eq(self.kernel + 1)
            with m.If(walk.last_1):
                m.d.sync += start.eq(start + 1)
        with m.If(self.events.ready):
            m.d.sync += self.valid.eq(taken)
        with m.If(taken):
            word, bank = self._last_place(event.x, event.y)
            first = [Const(c * self.kernel_words) for c in range(shape.channels)]
            m.d.sync += [
                start.eq(word),
                self.bank.eq(bank),
                self.kernel.eq(choose(first, event.channel)),
                self.value.eq(event.value),
                rows.eq(self._inside(event.y, shape.height, shape.map_height)),
                columns.eq(self._inside(event.x, shape.width, shape.map_width)),
            ]
        return m

    def _last_place(self, x: Value, y: Value) -> tuple[Value, Value]:
        """Word and bank of the place that the event's first tap covers, from a table a coordinate.

        It may lie outside of the map, as others of the window: they are not present.
        """
        shape, padding = self.shape, self.stage.padding
        count = shape.places
        sides = []
        for at, size, pitch in ((x, shape.width, 1), (y, shape.height, shape.pitch)):
            flat = [(place + padding) * pitch for place in range(size)]
            words = choose([Const(index // count * shape.groups) for index in flat], at)
            banks = choose([Const(index % count) for index in flat], at)
            sides.append((words, banks))
        (x_words, x_banks), (y_words, y_banks) = sides
        banks = x_banks + y_banks
        over = banks >= count
        word = x_words + y_words + Mux(over, shape.groups, 0)
        return word, Mux(over, banks - count, banks)

    def _inside(self, at: Value, size: int, map_size: int) -> Value:
        """Of each row, or column, of the kernel, whether it falls into the map."""
        stage = self.stage
        bits = []
        for tap in range(stage.size):
            inside = [0 <= place + stage.padding - tap < map_size for place in range(size)]
            bits.append(choose([Const(bit, 1) for bit in inside], at))
        return Cat(*bits)

    def _present(self, step: Value, rows: Signal, columns: Signal) -> Value:
        """Of each column of the step, whether its place lies in the map."""
        size = self.stage.size
        taps = [divmod(tap, size) for tap in range(size**2)]
        inside = [rows[row] & columns[column] for row, column in taps]
        count = self.shape.places
        inside += [Const(0, 1)] * (-len(inside) % count)
        return Cat(*(choose(inside[column::count], step) for column in range(count)))


class Cells(wiring.Component):
    """The walk over pooling cells, for every group of kernels P places a step.

    Members: `run` (a step in this cycle); `done` (it is the sample's last); `enable`,
    `address_<bank>` as of `Places`; `place` (as of `rtl.pool`).
    Timing: moves on in the cycle after `run`; after the last step comes the first.
    """

    def __init__(self, config: ChipConfig, number: int) -> None:
        self.stage = config.conv[number]
        self.shape = shape = config.conv_shapes[number]
        addresses = {f"address_{bank}": Out(address_bits(shape)) for bank in range(shape.places)}
        super().__init__(
            {
                "run": In(1),
                "done": Out(1),
                "enable": Out(shape.places),
                "place": Out(place_layout(shape)),
                **addresses,
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the walk, and word and bank of the cell's last place, moved from cell to cell."""
        m = Module()
        shape, pool = self.shape, self.stage.pool
        passes = 2 if shape.sums_first else 1
        m.submodules.walk = walk = Walk(
            shape.out_height, shape.out_width, passes, shape.groups, len(shape.cell)
        )
        m.submodules.places = places = Places(shape, shape.cell)
        count = shape.places
        first_word, first_bank = divmod((pool - 1) * (1 + shape.pitch), count)
        start = Signal(address_bits(shape), init=first_word * shape.groups)
        bank = Signal(index_bits(count), init=first_bank)
        present = [
            Const(sum((entry is not None) << n for n, entry in enumerate(row)), count)
            for row in shape.cell
        ]
        m.d.comb += [
            walk.step.eq(self.run),
            self.done.eq(self.run & walk.last),
            places.start.eq(start),
            places.bank.eq(bank),
            places.step.eq(walk.at_4),
            places.present.eq(Mux(self.run, choose(present, walk.at_4), 0)),
            self.enable.eq(places.enable),
            self.place.valid.eq(self.run),
            self.place.banks.eq(places.enable),
            self.place.step.eq(walk.at_4),
            self.place.first.eq(walk.at_4 == 0),
            self.place.last.eq(walk.last_4),
            self.place.summing.eq(~walk.last_2),
            self.place.ends.eq(walk.last_3),
        ]
        for number in range(count):
            name = f"address_{number}"
            m.d.comb += getattr(self, name).eq(getattr(places, name))
        with m.If(self.run & walk.last_4):
            with m.If(~walk.last_3):
                m.d.sync += start.eq(start + 1)
            with m.Elif(~walk.last_2):
                m.d.sync += start.eq(start - (shape.groups - 1))
            with m.Elif(walk.last):
                m.d.sync += [start.eq(start.init), bank.eq(bank.init)]
            with m.Else():
                self._next_cell(m, start, bank, walk.last_1)
        return m

    def _next_cell(self, m: Module, start: Signal, bank: Signal, last_of_row: Value) -> None:
        """Move word and bank to the next cell's last place, and back to the first group."""
        shape, pool, count = self.shape, self.stage.pool, self.shape.places
        aside, below = pool, pool * (shape.pitch - shape.out_width + 1)
        words = Mux(last_of_row, below // count * shape.groups, aside // count * shape.groups)
        banks = Signal(range(2 * count))
        over = banks >= count
        m.d.comb += banks.eq(bank + Mux(last_of_row, below % count, aside % count))
        m.d.sync += [
            start.eq(start + words + Mux(over, 1, 1 - shape.groups)),
            bank.eq(Mux(over, banks - count, banks)),
        ]

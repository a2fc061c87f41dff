"""Sums in memory: read, add, write, a word a cycle in every bank, whatever the addresses."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from model.contract.formats import Format
from model.contract.storage import index_bits
from rtl.arith import lanes as split
from rtl.arith import pack, saturate


class Accumulator(wiring.Component):
    """Banks of words of sums, each an accumulator of its own: potentials of a map, sums of neurons.

    An operation names a word a bank. Two cycles later what is to be added must be there, and the
    word as it was shows; then the sum is written, or zero. The next operation may name the same
    word: a sum on its way is taken from there (no rest, no stall, each operation a cycle).

    Parameters: `code` of a sum, `lanes` a word, `words` a bank, `banks`, `addend_bits` (signed);
    `saturating`: sums stay within the format; else the caller knows that they do.
    Members: `advance` (all of it moves in this cycle; else it stands still), `enable` (one bit a
    bank), `clear` (zero is written in place of the sum), `keep` (nothing is), `address_<bank>`; two
    cycles later
    `addends_<bank>` (lanes side by side) and `word_<bank>` (before the addition; holds until the
    next operation on the bank shows); `clips` (one bit a lane and bank, in the cycle after the
    addition); `ready` (low while words are cleared after reset); `busy` (an operation is not done).
    Timing: an operation a cycle; a sum is seen by any later operation. Reset: clears all words, one
    a bank and cycle.
    """

    def __init__(
        self,
        code: Format,
        lanes: int,
        words: int,
        banks: int,
        addend_bits: int,
        saturating: bool = False,
    ) -> None:
        self.code, self.lanes, self.words, self.banks = code, lanes, words, banks
        self.addend_bits, self.saturating = addend_bits, saturating
        members = {}
        for bank in range(banks):
            members[f"address_{bank}"] = In(index_bits(words))
            members[f"addends_{bank}"] = In(lanes * addend_bits)
            members[f"word_{bank}"] = Out(lanes * code.bits)
        super().__init__(
            {
                "advance": In(1),
                "enable": In(banks),
                "clear": In(1),
                "keep": In(1),
                "clips": Out(lanes * banks),
                "ready": Out(1),
                "busy": Out(1),
                **members,
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the sweep after reset and the banks' pipelines."""
        m = Module()
        self.sweep, self.clearing = Signal(index_bits(self.words)), Signal(init=1)
        with m.If(self.clearing):
            m.d.sync += self.sweep.eq(self.sweep + 1)
            with m.If(self.sweep == self.words - 1):
                m.d.sync += self.clearing.eq(0)
        read, written = Signal(self.banks), Signal(self.banks)
        clears, keeps = Signal(2), Signal()
        with m.If(self.advance):
            m.d.sync += [
                read.eq(self.enable),
                written.eq(Mux(keeps, 0, read)),
                clears.eq(Cat(self.clear, clears)),
                keeps.eq(self.keep),
            ]
        m.d.comb += [
            self.ready.eq(~self.clearing),
            self.busy.eq(self.clearing | read.any() | written.any()),
        ]
        for bank in range(self.banks):
            self._bank(m, bank, read[bank], written[bank], clears[1])
        return m

    def _bank(self, m: Module, bank: int, read: Signal, written: Signal, clears: Signal) -> None:
        """One bank: the word asked for is read, caught, added to and written back."""
        bits = self.lanes * self.code.bits
        address = getattr(self, f"address_{bank}")
        old, new = Signal(bits, name=f"old_{bank}"), Signal(bits, name=f"new_{bank}")
        reading, adding = (
            Signal.like(address, name=f"r_{bank}"),
            Signal.like(address, name=f"a_{bank}"),
        )
        m.d.comb += [
            new.eq(Mux(clears, 0, self._sum(m, bank, old, written & ~clears))),
            getattr(self, f"word_{bank}").eq(old),
        ]
        fresh = self._store(m, bank, adding, new, written)
        with m.If(self.advance):
            with m.If(self.enable[bank]):
                m.d.sync += reading.eq(address)
            with m.If(read):
                # The sum that is being written in this cycle is not yet in the memory.
                m.d.sync += [
                    adding.eq(reading),
                    old.eq(Mux(written & (adding == reading), new, fresh)),
                ]

    def _store(self, m: Module, bank: int, adding: Signal, new: Signal, written: Signal) -> Signal:
        """The memory, or a register of a single word; returns the word read in the cycle before."""
        fresh = Signal(len(new), name=f"fresh_{bank}")
        if self.words == 1:
            with m.If(self.clearing):
                m.d.sync += fresh.eq(0)
            with m.Elif(written & self.advance):
                m.d.sync += fresh.eq(new)
            return fresh
        cells = memory.Memory(shape=unsigned(len(new)), depth=self.words, init=[])
        m.submodules[f"cells_{bank}"] = cells
        read, write = cells.read_port(), cells.write_port()
        address = getattr(self, f"address_{bank}")
        # A word that is written while it is asked for comes from here, not from the memory.
        kept, stale = Signal(len(new), name=f"kept_{bank}"), Signal(name=f"stale_{bank}")
        meets = Signal(name=f"meets_{bank}")
        m.d.comb += [
            read.en.eq(self.enable[bank] & self.advance),
            read.addr.eq(address),
            write.en.eq(self.clearing | (written & self.advance)),
            write.addr.eq(Mux(self.clearing, self.sweep, adding)),
            write.data.eq(Mux(self.clearing, 0, new)),
            meets.eq(self.enable[bank] & written & (adding == address)),
            fresh.eq(Mux(stale, kept, read.data)),
        ]
        with m.If(self.advance):
            m.d.sync += stale.eq(meets)
            with m.If(meets):
                m.d.sync += kept.eq(new)
        return fresh

    def _sum(self, m: Module, bank: int, old: Signal, adds: Value) -> Value:
        """The word's sums, saturated if they are to be."""
        addends = split(
            getattr(self, f"addends_{bank}"), Format(self.addend_bits, signed=True), self.lanes
        )
        total = []
        for lane, (code, addend) in enumerate(
            zip(split(old, self.code, self.lanes), addends, strict=True)
        ):
            raised = Signal(signed(self.code.bits + 1), name=f"raised_{bank}_{lane}")
            m.d.comb += raised.eq(code + addend)
            if not self.saturating:
                total.append(raised)
                continue
            narrowed, clipped = saturate(raised, self.code)
            total.append(narrowed)
            m.d.sync += self.clips[bank * self.lanes + lane].eq(clipped & adds & self.advance)
        return pack(total, self.code)

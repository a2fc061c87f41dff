"""The host's registers: the window to the banks, seeds, flags and counters of one chip.

The map and its rules are `model.contract.registers`; nothing of it is repeated here.
"""

from amaranth.hdl import C, Cat, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from model.contract import registers as contract
from model.contract.config import ChipConfig
from model.contract.counters import COUNTER_BITS, counters
from model.contract.geometry import BankForm, geometry
from model.contract.registers import Access, learning_layers
from model.contract.storage import Bank, host_banks
from rtl.ports import BUS_BITS, BankPort, HostBus, SeedPort


class Window(wiring.Component):
    """BANK, ADDRESS and DATA: banks of any width behind one 32-bit register.

    Members:

    - `bank_<n>`: port of bank n.
    - `data`: what the host writes; `set_bank`, `set_address`: it writes BANK or ADDRESS.
    - `write`: the host's access is a write; `legal`: DATA allows it now; `first`, `second`:
      the two cycles of a legal access to DATA, one right after the other.
    - `bank`, `address`: what BANK and ADDRESS read as; `read`: what DATA does, when `second` is on.
    - `words`, `form`: what BANK_WORDS and BANK_FORM read as.

    A BANK or ADDRESS too great to be kept becomes the greatest that is: outside every bank. A word
    of several accesses is read or written throughout: changing over in its middle is not legal,
    BANK and ADDRESS begin a new word. Bits above the word are ignored and read as zero.
    """

    def __init__(self, banks: tuple[Bank, ...], forms: tuple[BankForm, ...]) -> None:
        self._banks = banks
        self._forms = forms
        ports = {
            f"bank_{number}": Out(BankPort(bank.word_bits, bank.words))
            for number, bank in enumerate(banks)
        }
        super().__init__(
            {
                **ports,
                "data": In(BUS_BITS),
                "set_bank": In(1),
                "set_address": In(1),
                "write": In(1),
                "legal": Out(1),
                "first": In(1),
                "second": In(1),
                "bank": Out(len(banks).bit_length()),
                "address": Out(max(bank.words for bank in banks).bit_length()),
                "read": Out(BUS_BITS),
                "words": Out(BUS_BITS),
                "form": Out(BUS_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        most = max(bank.chunks for bank in self._banks)
        chunk, last, writing = Signal(range(most)), Signal(), Signal()
        kept = [Signal(BUS_BITS, name=f"kept_{number}") for number in range(most - 1)]
        word = Signal(BUS_BITS * most)

        for number, bank in enumerate(self._banks):
            port = getattr(self, f"bank_{number}")
            m.d.comb += [
                port.address.eq(self.address),
                port.write_data.eq(Cat(kept[: bank.chunks - 1], self.data)),
            ]
        with m.Switch(self.bank):
            for number, (bank, form) in enumerate(zip(self._banks, self._forms, strict=True)):
                port = getattr(self, f"bank_{number}")
                with m.Case(number):
                    m.d.comb += [
                        self.words.eq(form.words),
                        self.form.eq(contract.join(contract.BANK_FORM, vars(form))),
                        last.eq(chunk == bank.chunks - 1),
                        self.legal.eq(
                            (self.address < bank.words) & ((chunk == 0) | (writing == self.write))
                        ),
                        port.enable.eq(self.first & (last | ~self.write)),
                        port.write.eq(self.write),
                        word.eq(port.read_data),
                    ]
        m.d.comb += self.read.eq(word.word_select(chunk, BUS_BITS))

        with m.If(self.set_bank):
            m.d.sync += [self.bank.eq(_kept(self.data, len(self.bank))), chunk.eq(0)]
        with m.If(self.set_address):
            m.d.sync += [self.address.eq(_kept(self.data, len(self.address))), chunk.eq(0)]
        with m.If(self.first):
            m.d.sync += writing.eq(self.write)
            for number, part in enumerate(kept):
                with m.If(chunk == number):
                    m.d.sync += part.eq(self.data)
        with m.If(self.second):
            m.d.sync += chunk.eq(Mux(last, 0, chunk + 1))
            with m.If(last):
                m.d.sync += self.address.eq(self.address + 1)
        return m


def _kept(word: Value, bits: int) -> Value:
    """A bus word cut to `bits` bits; one that does not fit becomes the greatest that does."""
    return word[:bits] | word[bits:].any().replicate(bits)


class Registers(wiring.Component):
    """The register map of `model.contract.registers` behind a host bus.

    Members:

    - `host`: the bus.
    - `busy`: the chip holds work; then only some registers can be accessed.
    - `dropped`, `refused`, `verdict`: pulses that set the flags of STATUS.
    - `drop`: a pulse that takes back the open sample; `freeze`: no sample is to be learned.
    - `irq`: a flag is set that the host asked to hear of.
    - `bank_<n>`: port of bank n, in the order of `storage.host_banks`.
    - `seed_<n>`: port of the LFSR of learning layer n, in the order of `learning_layers`.
    - with `config.counters` alone: `clear`, a pulse that clears the counters; `counter_index`,
      a place in `counters(config)`, and `counter_value`, the count there a cycle later at most.

    Where the map is silent: to read CONTROL is an error; a seed is cut to the LFSR's bits before it
    is held against zero; a counter that moves is read as HIGH, LOW, HIGH.

    Timing: an access is judged, and takes effect, in the cycle in which its request is first seen;
    the request is taken one cycle later, its response is valid two cycles later. `irq`
    follows its flag and its mask after one cycle.
    """

    def __init__(self, config: ChipConfig) -> None:
        self._config = config
        self._banks = host_banks(config)
        members = {"host": In(HostBus), "busy": In(1)}
        members |= {name: In(1) for name in ("dropped", "refused", "verdict")}
        members |= {name: Out(1) for name in ("drop", "freeze", "irq")}
        for number, bank in enumerate(self._banks):
            members[f"bank_{number}"] = Out(BankPort(bank.word_bits, bank.words))
        for number in range(len(learning_layers(config))):
            members[f"seed_{number}"] = Out(SeedPort(config.learning.lfsr_bits))
        if config.counters:
            members["clear"] = Out(1)
            members["counter_index"] = Out(range(len(counters(config))))
            members["counter_value"] = In(COUNTER_BITS)
        super().__init__(members)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request, response = self.host.request, self.host.response
        legal, begin, finish, error = Signal(), Signal(), Signal(), Signal()
        read = Signal(BUS_BITS)

        with m.FSM(name="access"):
            with m.State("LOOK"), m.If(request.valid):
                m.d.comb += begin.eq(legal)
                m.d.sync += error.eq(~legal)
                m.next = "TAKE"
            with m.State("TAKE"):
                m.d.comb += [request.ready.eq(1), finish.eq(~error)]
                m.d.sync += [
                    response.p.data.eq(Mux(error | request.p.write, 0, read)),
                    response.p.error.eq(error),
                ]
                m.next = "ANSWER"
            with m.State("ANSWER"):
                m.d.comb += response.valid.eq(1)
                with m.If(response.ready):
                    m.next = "LOOK"

        written = begin & request.p.write
        window = self._window(m, begin, finish)
        reads = self._constants() | self._modes(m, written)
        reads |= {
            contract.BANK: window.bank,
            contract.ADDRESS: window.address,
            contract.DATA: window.read,
            contract.BANK_WORDS: window.words,
            contract.BANK_FORM: window.form,
            **{offset: port.state for offset, port in self._seeds().items()},
        }
        if self._config.counters:
            reads |= self._counters(m, written)
        with m.Switch(request.p.address):
            for offset, value in reads.items():
                with m.Case(offset):
                    m.d.comb += read.eq(value)

        m.d.comb += legal.eq(self._allowed())
        with m.If((request.p.address == contract.DATA) & ~window.legal):
            m.d.comb += legal.eq(0)
        for offset, port in self._seeds().items():
            chosen = request.p.write & (request.p.address == offset)
            m.d.comb += [port.data.eq(request.p.data), port.write.eq(begin & chosen)]
            with m.If(chosen & ~port.data.any()):
                m.d.comb += legal.eq(0)
        return m

    def _allowed(self) -> Value:
        """Whether the map's table and `busy` allow the request."""
        request = self.host.request.p

        def among(refused: Access) -> Value:
            offsets: dict[bool, list[int]] = {True: [], False: []}
            for register in contract.registers(self._config):
                if register.access is not refused:
                    offsets[register.always].append(register.offset)
            always, idle = (request.address.matches(*offsets[when]) for when in (True, False))
            return always | (idle & ~self.busy)

        return Mux(request.write, among(Access.READ), among(Access.WRITE))

    def _constants(self) -> dict[int, Value]:
        """What always reads the same, by offset."""
        return {
            register.offset: C(register.value, BUS_BITS)
            for register in contract.registers(self._config)
            if register.value is not None
        }

    def _window(self, m: Module, begin: Value, finish: Value) -> Window:
        """The window, connected to the bus and to the banks."""
        request = self.host.request.p
        m.submodules.window = window = Window(self._banks, geometry(self._config).banks)
        for number in range(len(self._banks)):
            name = f"bank_{number}"
            connect(m, getattr(window, name), flipped(getattr(self, name)))

        def during(cycle: Value, offset: int) -> Value:
            return cycle & (request.address == offset)

        m.d.comb += [
            window.data.eq(request.data),
            window.write.eq(request.write),
            window.set_bank.eq(during(begin & request.write, contract.BANK)),
            window.set_address.eq(during(begin & request.write, contract.ADDRESS)),
            window.first.eq(during(begin, contract.DATA)),
            window.second.eq(during(finish, contract.DATA)),
        ]
        return window

    def _controlled(self, written: Value, bit: int) -> Value:
        """Whether the host writes a one to a bit of CONTROL."""
        request = self.host.request.p
        return written & (request.address == contract.CONTROL) & request.data[bit]

    def _modes(self, m: Module, written: Value) -> dict[int, Value]:
        """STATUS, INTERRUPT and FREEZE, by offset, and what they and CONTROL lead to."""
        mask = Signal(len(contract.FIELDS[contract.INTERRUPT]))
        for offset, register in ((contract.INTERRUPT, mask), (contract.FREEZE, self.freeze)):
            with m.If(written & (self.host.request.p.address == offset)):
                m.d.sync += register.eq(self.host.request.p.data)
        dropped, refused, verdict = (
            self._flag(m, pulse, self._controlled(written, bit))
            for pulse, bit in (
                (self.dropped, contract.CONTROL_CLEAR_FLAGS),
                (self.refused, contract.CONTROL_CLEAR_FLAGS),
                (self.verdict, contract.CONTROL_CLEAR_VERDICT),
            )
        )
        m.d.comb += self.drop.eq(self._controlled(written, contract.CONTROL_DROP))
        m.d.sync += self.irq.eq(
            (verdict & mask[contract.INTERRUPT_VERDICT])
            | ((dropped | refused) & mask[contract.INTERRUPT_FLAGS])
        )
        status = Cat(self.busy, dropped, refused, verdict)
        return {
            contract.STATUS: status,
            contract.INTERRUPT: mask,
            contract.FREEZE: self.freeze,
        }

    def _flag(self, m: Module, pulse: Value, clear: Value) -> Signal:
        """A flag that a pulse sets, even in the cycle in which the host clears it."""
        flag = Signal()
        with m.If(pulse):
            m.d.sync += flag.eq(1)
        with m.Elif(clear):
            m.d.sync += flag.eq(0)
        return flag

    def _seeds(self) -> dict[int, wiring.PureInterface]:
        """The ports of the LFSRs by the offsets of their registers."""
        return {
            contract.SEEDS + 4 * number: getattr(self, f"seed_{number}")
            for number in range(len(learning_layers(self._config)))
        }

    def _counters(self, m: Module, written: Value) -> dict[int, Value]:
        """What the registers of the counters read as, by offset."""
        place = self.host.request.p.address - contract.COUNTERS
        m.d.comb += [
            self.counter_index.eq(place[3:]),
            self.clear.eq(self._controlled(written, contract.CONTROL_CLEAR_COUNTERS)),
        ]
        halves = {}
        for number in range(len(counters(self._config))):
            halves[contract.COUNTERS + 8 * number] = self.counter_value[:BUS_BITS]
            halves[contract.COUNTERS + 8 * number + 4] = self.counter_value[BUS_BITS:]
        return halves

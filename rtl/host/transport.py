"""The byte protocol's side of the chip: requests in, answers and results out.

The protocol is `model.contract.transport`; nothing of it is repeated here.
"""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Signal, Value
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out

from model.contract import transport as contract
from model.contract.event import WORD_BITS
from model.contract.registers import ADDRESS_BITS
from rtl.ports import BUS_BITS, HostBus
from rtl.queue import ReplayQueue

#: Bytes of a line as the line sees them. `broken`: bytes were lost, or came mutilated.
Line = wiring.Signature(
    {
        "incoming": Out(stream.Signature(8, always_ready=True)),
        "broken": Out(1),
        "outgoing": In(stream.Signature(8)),
    }
)


class Kind(enum.Enum, shape=2):  # type: ignore[call-arg]
    """What the host asks for; a fault stands in the queue where its request would."""

    READ = 0
    WRITE = 1
    WORD = 2
    FAULT = 3


Request = data.StructLayout({"kind": Kind, "address": ADDRESS_BITS, "data": BUS_BITS})


class Parser(wiring.Component):
    """Bytes to requests.

    Members: `incoming` and `broken` as in `Line`; `requests`; `in_step`: the next byte that is not
    idle begins a request.
    Timing: a request shows in the cycle after its last byte, for that cycle alone: where it is not
    taken, it is lost, and a fault follows as soon as there is room. Bytes may come in every cycle.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "incoming": In(stream.Signature(8, always_ready=True)),
                "broken": In(1),
                "requests": Out(stream.Signature(Request)),
                "in_step": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the counter of bytes to come, and the ear that a fault closes."""
        m = Module()
        byte, out = self.incoming.payload, self.requests
        kind, high, body = Signal(Kind), Signal(4), Signal(8 + BUS_BITS)
        left, complete = Signal(range(1 + contract.WORD_BYTES + 1)), Signal()
        deaf, zeros = Signal(), Signal(range(contract.RESYNC))
        fault, lost = Signal(), Signal()

        m.d.comb += self.in_step.eq((left == 0) & ~deaf)
        m.d.sync += complete.eq(0)
        with m.If(self.incoming.valid):
            with m.If(byte != contract.IDLE):
                m.d.sync += zeros.eq(0)
            with m.Elif(zeros == contract.RESYNC - 1):
                m.d.sync += [zeros.eq(0), deaf.eq(0)]
            with m.Else():
                m.d.sync += zeros.eq(zeros + 1)

            with m.If(left != 0):
                m.d.sync += [
                    body.eq(Cat(body[8:], byte)),
                    left.eq(left - 1),
                    complete.eq(left == 1),
                ]
            with m.Elif(~deaf & (byte != contract.IDLE)):
                m.d.sync += high.eq(byte[:4])
                with m.Switch(byte):
                    with m.Case(_first(contract.READ)):
                        m.d.sync += [kind.eq(Kind.READ), left.eq(1)]
                    with m.Case(_first(contract.WRITE)):
                        m.d.sync += [kind.eq(Kind.WRITE), left.eq(1 + contract.WORD_BYTES)]
                    with m.Case(contract.WORD):
                        m.d.sync += [kind.eq(Kind.WORD), left.eq(contract.WORD_BYTES)]
                    with m.Default():
                        m.d.sync += [fault.eq(1), lost.eq(0), deaf.eq(1)]

        # A fault goes first, since it came first; a request beside it is lost, as in a full queue.
        m.d.comb += out.valid.eq(fault | complete)
        with m.If(fault & out.ready):
            m.d.sync += fault.eq(0)
        with m.If(self.broken | (complete & (fault | ~out.ready))):
            m.d.sync += [fault.eq(1), lost.eq(1), deaf.eq(1), left.eq(0), zeros.eq(0)]

        low = Mux(kind == Kind.READ, body[BUS_BITS:], body[:8])
        with m.If(fault):
            m.d.comb += [
                out.payload.kind.eq(Kind.FAULT),
                out.payload.data.eq(Mux(lost, contract.LOST, contract.UNKNOWN)),
            ]
        with m.Else():
            m.d.comb += [
                out.payload.kind.eq(kind),
                out.payload.address.eq(Cat(low, high)),
                out.payload.data.eq(body[8:]),
            ]
        return m


def _first(code: int) -> str:
    """Pattern of a request's first byte that carries the upper bits of an address."""
    return f"{code >> 4:04b}----"


class Transport(wiring.Component):
    """Carries out requests in order, answers each, and sends results as they come.

    Members: `line`; `host`, `events`, `results` towards the chip.
    Timing: a byte a cycle both ways at most. Results go before answers, so a chip whose results
    are in the way of its next word is never waited for in vain.
    """

    def __init__(self) -> None:
        super().__init__(
            {
                "line": In(Line),
                "host": Out(HostBus),
                "events": Out(stream.Signature(WORD_BITS)),
                "results": In(stream.Signature(32)),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        """Build parser, queue, and the state machine that carries out."""
        m = Module()
        m.submodules.parser = parser = Parser()
        m.submodules.queue = queue = ReplayQueue(Request, contract.WINDOW)
        m.d.comb += [
            parser.incoming.valid.eq(self.line.incoming.valid),
            parser.incoming.payload.eq(self.line.incoming.payload),
            parser.broken.eq(self.line.broken),
            queue.commit.eq(1),  # nothing is ever replayed
        ]
        wiring.connect(m, parser.requests, queue.input)
        wanted, asked = queue.output, queue.output.payload
        request, response = self.host.request, self.host.response

        first, word = Signal(8), Signal(BUS_BITS)
        told = Signal()
        m.d.comb += [
            request.p.address.eq(asked.address),
            request.p.write.eq(asked.kind == Kind.WRITE),
            request.p.data.eq(asked.data),
            self.events.payload.eq(asked.data),
        ]
        code = Mux(asked.kind == Kind.WRITE, contract.WRITE, contract.READ)
        with m.FSM() as fsm:
            with m.State("LOOK"), m.If(wanted.valid):
                with m.Switch(asked.kind):
                    with m.Case(Kind.READ, Kind.WRITE):
                        m.d.comb += request.valid.eq(1)
                        with m.If(request.ready):
                            m.next = "HEAR"
                    with m.Case(Kind.WORD):
                        m.d.comb += self.events.valid.eq(1)
                        m.d.sync += first.eq(contract.WORD)
                        with m.If(self.events.ready):
                            m.next = "TELL"
                    with m.Case(Kind.FAULT):
                        m.d.sync += first.eq(asked.data)
                        m.next = "TELL"
            with m.State("HEAR"):
                m.d.comb += response.ready.eq(1)
                m.d.sync += [
                    first.eq(code | Mux(response.p.error, contract.REFUSED, 0)),
                    word.eq(response.p.data),
                ]
                with m.If(response.valid):
                    m.next = "TELL"
            with m.State("TELL"):
                m.d.comb += wanted.ready.eq(told)
                with m.If(told):
                    m.next = "LOOK"
        self._speak(m, fsm.ongoing("TELL"), first, word, told)
        return m

    def _speak(self, m: Module, telling: Value, first: Signal, word: Signal, told: Signal) -> None:
        """Send the bytes of a result, or else of the answer; `told` says that the latter began."""
        out, results = self.line.outgoing, self.results
        message, left = Signal(8 + BUS_BITS), Signal(range(1 + contract.WORD_BYTES + 1))
        m.d.comb += [out.valid.eq(left != 0), out.payload.eq(message[:8])]
        with m.If(left == 0):
            with m.If(results.valid):
                m.d.comb += results.ready.eq(1)
                m.d.sync += [
                    message.eq(Cat(Const(contract.RESULT, 8), results.payload)),
                    left.eq(1 + contract.WORD_BYTES),
                ]
            with m.Elif(telling):
                m.d.comb += told.eq(1)
                m.d.sync += [
                    message.eq(Cat(first, word)),
                    left.eq(Mux(first == contract.READ, 1 + contract.WORD_BYTES, 1)),
                ]
        with m.Elif(out.ready):
            m.d.sync += [message.eq(message[8:]), left.eq(left - 1)]

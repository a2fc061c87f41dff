"""A component among inputs that may be anything, and what is claimed of it.

A watch holds the component, a specification beside it that is written apart from it, and three
kinds of conditions of a cycle: claims, which are to hold; lemmas, which hold too and tie the
component's registers to the specification's, so that induction goes through; and scenes, which must
be seen to happen, so that no claim holds for want of a case. What the component may rely on is
assumed.
"""

from collections.abc import Iterator

from amaranth.hdl import (
    Array,
    Elaboratable,
    Fragment,
    Module,
    Mux,
    Shape,
    Signal,
    Value,
    ValueLike,
)
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In


class Cells:
    """What Amaranth asks for memories: registers, of which nothing is known that none has written.

    What reads a word while it is written sees anything, as the emitted memories promise.
    """

    def __init__(self) -> None:
        self.words: list[list[Signal]] = []  #: of every memory, in the order of their making
        self.known: list[Signal] = []  #: which of them were written
        self.anything: list[Signal] = []

    def get_memory(self, cells: memory.Memory) -> Module:
        """Registers in place of a memory."""
        m = Module()
        width = Shape.cast(cells.shape).width
        (read,), (write,) = cells.read_ports, cells.write_ports
        words = [Signal(width, name=f"word_{n}", reset_less=True) for n in range(cells.depth)]
        known = Signal(cells.depth, reset_less=True)
        anything = Signal(width, name=f"anything_{len(self.anything)}")
        self.anything.append(anything)
        self.words.append(words)
        with m.If(write.en), m.Switch(write.addr):
            for place, word in enumerate(words):
                with m.Case(place):
                    m.d.sync += [word.eq(write.data), known[place].eq(1)]
        certain = known.bit_select(read.addr, 1) & ~(write.en & (write.addr == read.addr))
        with m.If(read.en):
            m.d.sync += read.data.eq(Mux(certain, Array(words)[read.addr], anything))
        self.known.append(known)
        return m


class Watch(Elaboratable):
    """A component, what it is given, and what is claimed of it.

    Parameter: `part`, the component. Members: `m`, in which a specification is written; `inside`,
    the component's own signals by name; `cells`, its memories; `claims`, `lemmas`, `scenes`,
    `assumed`, conditions of a cycle; `apart`, claims that no wire leads from an input to an output
    within a cycle.
    """

    def __init__(self, part: Elaboratable) -> None:
        self.m = Module()
        self.part = part
        self.cells = Cells()
        self.claims: dict[str, Value] = {}
        self.scenes: dict[str, Value] = {}
        self.apart: dict[str, tuple[Signal, Signal]] = {}
        self.lemmas: list[Value] = []
        self.assumed: list[Value] = []
        self.inputs: list[Signal] = []
        self._pasts = 0
        self._fragment = fragment = Fragment.get(part, self.cells)
        self.m.submodules.part = fragment
        self._driven = sorted({id(s): s for s in _driven(fragment)}.values(), key=lambda s: s.duid)
        if isinstance(part, wiring.Component):
            for _, member, value in part.signature.flatten(part):
                signal = Value.cast(value)
                if member.flow is In and isinstance(signal, Signal):
                    self.inputs.append(signal)
        self.inputs += self.cells.anything

    def inside(self, name: str, which: int = 0) -> Signal:
        """The component's own signal of a name; of several that share it, in order of making.

        Amaranth names a signal of a tuple but the last "$signal".
        """
        return [signal for signal in self._driven if signal.name == name][which]

    def ongoing(self, machine: str, state: str) -> Value:
        """Whether the component's state machine of a name is in a state."""
        found = self._fragment.generated[machine]
        return found.state == found.encoding[state]

    def free(self, shape: int | range, name: str) -> Signal:
        """An input that may be anything in any cycle."""
        signal = Signal(shape, name=name)
        self.inputs.append(signal)
        return signal

    def past(self, value: ValueLike) -> Signal:
        """What a value was in the cycle before; zero in the first after reset."""
        value = Value.cast(value)
        before = Signal(value.shape(), name=f"past_{self._pasts}")
        self._pasts += 1
        self.m.d.sync += before.eq(value)
        return before

    def between(self, begin: ValueLike, end: ValueLike, name: str) -> Signal:
        """Whether something has begun, in a cycle before this, and has not ended."""
        on = Signal(name=name)
        self.m.d.sync += on.eq(begin | (on & ~Value.cast(end)))
        return on

    def kept(self, valid: Value, ready: Value, *payload: Value) -> Value:
        """Whether what was offered, and not taken, in the cycle before is offered still."""
        waited = self.past(valid & ~ready)
        same = [value == self.past(value) for value in payload]
        return ~waited | (valid & _all(same))

    def offers(self, out: stream.Interface, calm: ValueLike = 1) -> None:
        """Claim of an output what all streams have in common, after cycles that were `calm`."""
        kept = self.kept(out.valid, out.ready, Value.cast(out.payload))
        self.claims["holds"] = ~self.past(calm) | kept
        self.apart["waits"] = out.ready, out.valid
        self.scenes["waits"] = self.past(out.valid & ~out.ready)

    def elaborate(self, platform: object) -> Module:
        """Tie every kind of condition to a port."""
        for name, conditions in self._ports().items():
            port = Signal(name=name)
            self.m.d.comb += port.eq(_all(conditions))
            self.inputs.append(port)
        return self.m

    def _ports(self) -> dict[str, list[Value]]:
        claims = {f"claim_{name}": [value] for name, value in self.claims.items()}
        claims |= {f"apart_{name}": [end] for name, (_, end) in self.apart.items()}
        scenes = {f"scene_{name}": [value] for name, value in self.scenes.items()}
        lemmas = {f"lemma_{n}": [value] for n, value in enumerate(self.lemmas)}
        everything = [*self.claims.values(), *self.lemmas]
        return claims | scenes | lemmas | {"holds": everything, "assumed": self.assumed}


def _all(conditions: list[Value]) -> Value:
    whole: Value = Value.cast(1)
    for condition in conditions:
        whole = whole & Value.cast(condition).any()
    return whole


def _driven(fragment: Fragment) -> Iterator[Signal]:
    """Signals that a fragment drives, and those below it."""
    for statements in fragment.statements.values():
        for statement in statements:
            yield from statement._lhs_signals()
    for part, _, _ in fragment.subfragments:
        yield from _driven(part)

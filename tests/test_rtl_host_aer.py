"""The camera's bus: recordings at the camera's pace, losses counted, the handshake proved."""

import dataclasses
import inspect
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Cat, Module, Mux, ResetSignal, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In
from amaranth.sim import Simulator

from model.contract import event
from model.contract.event import LOST, Event, Mark, pack_mark, unpack
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.data import read_recording
from rtl import queue
from rtl.host import aer as bus
from rtl.host.aer import HANDSHAKE_CYCLES, Aer
from sim import tools

REAL = Path(__file__).parent / "data" / "nmnist"
CAMERA = dataclasses.replace(preset("tiny"), height=34, width=34, channels=2)
MARK = pack_mark(Mark(7, learn=True))


class Played:
    """What came of events that a camera sent: words, losses, and the cycles of each handshake."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.lost = 0
        self.taken_at: list[int] = []


def play(
    aer: Aer,
    events: Iterable[tuple[int, int, int, int]],
    *,
    period: int = 1,
    hold: int = 0,
) -> Played:
    """Send events (x, y, cycle, brighter) not before their cycles, then a mark; collect all words.

    The sink takes a word every `period` cycles; the camera waits `hold` cycles before each step.
    """
    played = Played()
    simulator = Simulator(aer)
    simulator.add_clock(1e-6)
    done = False

    async def camera(ctx: Any) -> None:
        nonlocal done
        now = 0

        async def tick(cycles: int = 1) -> None:
            nonlocal now
            now += cycles
            await ctx.tick().repeat(cycles)

        for x, y, at, brighter in events:
            if at > now:
                await tick(at - now)
            ctx.set(aer.x, x)
            ctx.set(aer.y, y)
            if hasattr(aer, "brighter"):
                ctx.set(aer.brighter, brighter)
            ctx.set(aer.request, 1)
            while not ctx.get(aer.acknowledge):
                await tick()
            played.taken_at.append(now)
            if hold:
                await tick(hold)
            ctx.set(aer.request, 0)
            # What stands on the wires after the handshake is no event any more.
            ctx.set(aer.x, 33)
            while ctx.get(aer.acknowledge):
                await tick()
            if hold:
                await tick(hold)
        ctx.set(aer.host.payload, MARK)
        ctx.set(aer.host.valid, 1)
        while not ctx.get(aer.host.ready):
            await tick()
        await tick()
        ctx.set(aer.host.valid, 0)
        done = True

    async def sink(ctx: Any) -> None:
        while not (done and played.words and played.words[-1] == MARK):
            ctx.set(aer.words.ready, 1)
            _, _, valid, word = await ctx.tick().sample(aer.words.valid, aer.words.payload)
            if valid and word == LOST:  # a chip drops it in a cycle
                played.lost += 1
                continue
            if valid:
                played.words.append(word)
            if period > 1:
                ctx.set(aer.words.ready, 0)
                await ctx.tick().repeat(period - 1)

    simulator.add_testbench(camera)
    simulator.add_testbench(sink)
    simulator.run()
    return played


def recording(name: str, until_us: int) -> np.ndarray:
    events = read_recording(REAL / name)
    return events[events["t"] < until_us]


@pytest.mark.parametrize("name", ["00002_label0.bin", "sample_nmnist_label4.bin"])
def test_a_real_recording_at_the_cameras_pace_arrives_whole(name: str) -> None:
    """A clock of 1 MHz, a cycle a microsecond: the first saccade, every event as the reader has it.

    The chip takes a word every 26 cycles, as a convolution of 5 x 5 does.
    """
    events = recording(name, 105_000)
    rows = [(int(e["x"]), int(e["y"]), int(e["t"]), int(e["p"])) for e in events]
    played = play(Aer(CAMERA, tick=512, depth=32), rows, period=26)
    *words, mark = map(unpack, played.words)
    assert mark == Mark(7, learn=True)
    assert played.lost == 0
    assert [word[:3] for word in words] == [(x, y, p) for x, y, _, p in rows]
    times = [word.time for word in words if isinstance(word, Event)]
    # Stamped when it is taken: a few cycles late, more behind others of the same microsecond.
    late = np.array(played.taken_at) - events["t"]
    assert late.min() > 0 and np.median(late) < 6
    assert times == [min((at - 1) // 512, 255) for at in played.taken_at]


def test_faster_events_than_the_chip_takes_are_lost_and_counted() -> None:
    """200 events as fast as the handshake allows, a chip that takes 40 cycles for each."""
    sent = [(n % 34, n // 34, 0, n & 1) for n in range(200)]
    depth, period = 8, 40
    played = play(Aer(CAMERA, tick=64, depth=depth), sent, period=period)
    arrived = [tuple(unpack(word)[:3]) for word in played.words[:-1]]
    assert len(arrived) + played.lost == 200
    cycles = played.taken_at[-1]
    stated = (cycles - played.lost) / period  # and as far as the queue goes, in a burst
    assert stated - 1 <= len(arrived) <= stated + depth
    order = [(x, y, p) for x, y, _, p in sent]
    places = [order.index((x, y, p)) for x, y, p in arrived]
    assert places == sorted(set(places))  # none doubled, none out of order


def test_the_stated_rate_of_the_handshake() -> None:
    sent = [(1, 2, 0, 1)] * 50
    played = play(Aer(CAMERA, tick=64, depth=8), sent)
    assert np.unique(np.diff(played.taken_at)).tolist() == [HANDSHAKE_CYCLES]
    assert played.lost == 0


def test_a_slow_camera_is_read_once_an_event() -> None:
    sent = [(n, 33 - n, 0, n & 1) for n in range(20)]
    played = play(Aer(CAMERA, tick=1000, depth=8), sent, hold=17)
    assert [unpack(word)[:3] for word in played.words[:-1]] == [(x, y, p) for x, y, _, p in sent]


def test_time_stops_at_its_last_step_and_restarts_at_the_hosts_word() -> None:
    aer = Aer(CAMERA, tick=4, depth=8)
    first = play(aer, [(0, 0, 0, 0), (0, 0, 2000, 0)])
    assert [unpack(word)[3] for word in first.words[:-1]] == [0, 255]


def test_one_channel_has_no_polarity() -> None:
    grey = dataclasses.replace(CAMERA, channels=1)
    played = play(Aer(grey, tick=64, depth=8), [(3, 4, 0, 1)])
    assert unpack(played.words[0]) == Event(3, 4, 0, 0)


class Proof(wiring.Component):
    """The bus before any camera that keeps its handshake, any host and any chip, and the claims.

    What was true a cycle ago stands in registers: a camera's event is seen as it is acknowledged.
    """

    def __init__(self, aer: Any) -> None:
        self.aer = aer
        free = {"track": In(1)}  # whether the word that goes into the queue now is followed
        ports = {name: member for name, member in aer.signature.members.items()}
        super().__init__({**ports, **free})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.aer = aer = self.aer
        for name in bus.pins(SMALL):
            mine, its = getattr(self, name), getattr(aer, name)
            m.d.comb += mine.eq(its) if name == "acknowledge" else its.eq(mine)
        wiring.connect(m, wiring.flipped(self.host), aer.host)
        wiring.connect(m, aer.words, wiring.flipped(self.words))
        m.d.comb += Assume(~ResetSignal())
        self._before: dict[str, Signal] = {}
        self._handshake(m)
        self._way_in(m)
        self._ring(m)
        return m

    def _was(self, m: Module, name: str, value: Any) -> Any:
        """A value a cycle ago; zero at first."""
        if name not in self._before:
            self._before[name] = Signal(len(value), name=f"was_{name}")
            m.d.sync += self._before[name].eq(value)
        return self._before[name]

    def _handshake(self, m: Module) -> None:
        """A camera's promises; an answer comes within four cycles, to a request, and once."""
        request, answer = self.request, self.acknowledge
        was_request = self._was(m, "request", request)
        address = Cat(self.x, self.y, self.brighter)
        same = address == self._was(m, "address", address)
        m.d.comb += [
            Assume(~(request & ~was_request) | ~answer),
            Assume(~(~request & was_request) | answer),
            Assume(~(request & was_request & ~answer) | same),
        ]
        self.answered = answer & ~self._was(m, "answer", answer)
        dropped = ~answer & self._was(m, "answer", answer)
        seen = self._was(m, "seen", was_request)
        way = (request, was_request, seen, answer)
        once, waited = Signal(), Signal(3)
        with m.If(request & ~was_request):
            m.d.sync += once.eq(0)
        with m.If(self.answered):
            m.d.sync += once.eq(1)
        m.d.sync += waited.eq(Mux(request & ~answer, waited + 1, 0))
        m.d.comb += [
            Assert(~self.answered | (was_request & ~once)),
            Assert(~dropped | ~was_request),
            Assert(waited < 4),
            # On the way from request to answer there is one change at most.
            Assert(sum(a ^ b for a, b in pairwise(way)) <= 1),
        ]

    def _way_in(self, m: Module) -> None:
        """An event is written as it is or counted; only what was lost and the host's come else."""
        ring, lost, host = self.aer.queue, self.aer.lost, self.host
        wrote = self._was(m, "wrote", ring.input.valid & ring.input.ready)
        word = self._was(m, "word", ring.input.payload.as_value())
        was_lost = self._was(m, "lost", lost)
        told = self._was(m, "told", host.valid & host.ready)
        said = self._was(m, "said", host.payload)
        x, y, brighter = (
            self._was(m, name, getattr(self, name)) for name in ("x", "y", "brighter")
        )
        address = x | y << event.Y_AT | brighter << event.CHANNEL_AT
        kept = wrote & (word[: event.TIME_AT] == address) & ~word[event.MARK_AT]
        counted = ~wrote & ((lost == was_lost + 1) | (lost.all() & was_lost.all()))
        of_host = wrote & told & (word == said) & (was_lost == 0) & (lost == 0)
        of_lost = wrote & ~told & (word == LOST) & (lost + 1 == was_lost)
        nothing = ~wrote & ~told & (lost == was_lost)
        with m.If(self.answered):
            m.d.comb += Assert(~told & ((kept & (lost == was_lost)) | counted))
        with m.Else():
            m.d.comb += Assert(of_host | of_lost | nothing)

    def _ring(self, m: Module) -> None:
        """A word that goes in comes out, once, unchanged, in its turn."""
        ring, out = self.aer.queue, self.words
        took = out.valid & out.ready
        wrote = ring.input.valid & ring.input.ready
        moved = (
            (ring.head, "head", self._was(m, "took", took)),
            (ring.written, "written", self._was(m, "going", wrote)),
        )
        for place, name, step in moved:
            m.d.comb += Assert(place == (self._was(m, name, place) + step)[: len(place)])
        followed, at, word = Signal(), Signal.like(ring.head), Signal(event.WORD_BITS)
        with m.If(wrote & self.track & ~followed):
            m.d.sync += [
                followed.eq(1),
                at.eq(ring.written),
                word.eq(ring.input.payload.as_value()),
            ]
        with m.Elif(took & followed & (at == ring.head)):
            m.d.sync += followed.eq(0)
            m.d.comb += Assert(out.payload == word)
        bits = len(at)
        inside = ((at - ring.head)[:bits]) < ((ring.written - ring.head)[:bits])
        m.d.comb += [
            Assert((ring.written - ring.head)[:bits] <= ring.depth),
            Assert(ring.base == ring.head),
            Assert(~out.valid | (ring.head != ring.written)),
            Assert(~out.valid | (out.payload == self._held(m, "first", ring.head))),
            Assert(~followed | (inside & (self._held(m, "at", at) == word))),
        ]

    def _held(self, m: Module, name: str, place: Any) -> Any:
        """What the queue holds at a place."""
        port = self.aer.queue.cells.read_port(domain="comb")
        m.d.comb += port.addr.eq(place[: len(port.addr)])
        return port.data


SMALL = dataclasses.replace(CAMERA, height=8, width=8)

TWINS = {
    "an event taken for as long as it is asked": ("requested & ~self.acknowledge", "requested"),
    "an answer without a request": ("acknowledge.eq(requested)", "acknowledge.eq(~requested)"),
    "an answer only where there is room": (
        "acknowledge.eq(requested)",
        "acknowledge.eq(requested & room)",
    ),
    "a loss that nobody counts": ("self.lost.eq(self.lost + 1)", "self.lost.eq(self.lost)"),
    "a host told that its word went in": ("room & ~taken & ~missing", "room & ~taken"),
    "a word that goes in over another": ("^ base) != self.depth", "^ base) != self.depth + 1"),
    "a word that stays": ("head + taken", "head"),
}
"""Changes of the sources, each of which loses or doubles an event or breaks the handshake."""


def twin(change: tuple[str, str]) -> Any:
    """The class of the bus with its queue, their sources changed in one place."""
    names = {**vars(queue), **vars(bus)}
    text = inspect.getsource(queue.ReplayQueue) + inspect.getsource(bus.Aer)
    assert text.count(change[0]) == 1
    exec(text.replace(*change), names)
    return names["Aer"]


def proved(aer: Any, folder: Path, steps: int, *options: str) -> None:
    """Have the claims proved from reset on for so many cycles, or by induction over them."""
    proof = Proof(aer)
    (folder / "aer.il").write_text(rtlil.convert(proof))
    script = "prep -flatten; memory_nordff; async2sync; dffunmap; write_smt2 -wires aer.smt2"
    tools.yosys(f"read_rtlil aer.il; {script}", folder)
    z3 = tools.require("z3").path.parent
    prover = dataclasses.replace(tools.require("smtbmc"), environment={"PATH": str(z3)})
    tools.call(prover, ["-s", "z3", "-t", str(steps), *options, "aer.smt2"], folder)


@pytest.mark.formal
@pytest.mark.parametrize("options", [(), ("-i",)])
def test_no_event_is_lost_or_doubled_and_no_answer_comes_unasked(
    options: tuple[str, ...], tmp_path: Path
) -> None:
    """Proved by induction: from reset, and from any state in which the claims hold for a while."""
    proved(Aer(SMALL, tick=4, depth=8), tmp_path, STEPS, *options)


@pytest.mark.formal
@pytest.mark.parametrize("name", TWINS)
def test_the_proof_fails_for_a_broken_twin(name: str, tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="Status: FAILED"):
        proved(twin(TWINS[name])(SMALL, tick=4, depth=2), tmp_path, BROKEN_STEPS)


STEPS = 8
BROKEN_STEPS = 20

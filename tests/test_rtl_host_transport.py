"""rtl/host/transport.py: every request is answered once and in order, whatever waits for what."""

import dataclasses
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Assert, Elaboratable, Module, ResetSignal, Signal
from amaranth.sim import Simulator

from model.contract import transport as contract
from model.contract.refusal import Refusal
from model.contract.transport import read_request, word_request, write_request
from rtl.host.transport import Parser, Transport
from sim import tools

REFUSING = 0x00C  #: an address that the stand-in's bus refuses
FAULT_UNKNOWN, FAULT_LOST = bytes((contract.UNKNOWN,)), bytes((contract.LOST,))


class Chip:
    """What stands around a transport: a line, a bus with registers, takers and makers of words."""

    def __init__(self, ctx: Any, dut: Transport) -> None:
        self.ctx, self.dut = ctx, dut
        self.rng = random.Random(1)
        self.registers: dict[int, int] = {}
        self.taken: list[int] = []
        self.said = b""
        self.results: list[int] = []
        self.takes_words = True
        self.pauses = 0.0  #: chance that a side is not ready in a cycle

    async def send(self, data: bytes, gap: int = 0) -> None:
        """Have bytes come in, `gap` cycles apart."""
        incoming = self.dut.line.incoming
        for byte in data:
            self.ctx.set(incoming.payload, byte)
            self.ctx.set(incoming.valid, 1)
            await self.ctx.tick()
            self.ctx.set(incoming.valid, 0)
            if gap:
                await self.ctx.tick().repeat(gap)

    async def ask(self, data: bytes, gap: int = 0) -> bytes:
        """What the chip says to bytes that come in, once it says nothing more."""
        before = len(self.said)
        await self.send(data, gap)
        await self.silence()
        return self.said[before:]

    async def silence(self) -> None:
        """Wait until nothing was said for a while."""
        heard = -1
        while heard != len(self.said):
            heard = len(self.said)
            await self.ctx.tick().repeat(200)

    async def break_line(self) -> None:
        """Have the line say that something was lost."""
        self.ctx.set(self.dut.line.broken, 1)
        await self.ctx.tick()
        self.ctx.set(self.dut.line.broken, 0)

    def ready(self) -> bool:
        return self.rng.random() >= self.pauses


async def hold(ctx: Any, valid: Any, ready: Any) -> None:
    """Offer a payload until it is taken."""
    ctx.set(valid, 1)
    taken = False
    while not taken:
        _, _, taken = await ctx.tick().sample(ready)
    ctx.set(valid, 0)


async def hear(ctx: Any, chip: Chip) -> None:
    """Collect what the chip says; a byte that waits must stay."""
    out, waiting = chip.dut.line.outgoing, None
    while True:
        ready = chip.ready()
        ctx.set(out.ready, ready)
        _, _, valid, byte = await ctx.tick().sample(out.valid, out.payload)
        assert waiting is None or (valid and byte == waiting)
        waiting = byte if valid and not ready else None
        if valid and ready:
            chip.said += bytes((byte,))


async def serve(ctx: Any, chip: Chip) -> None:
    """Be the host bus: a dictionary that refuses one address."""
    request, response = chip.dut.host.request, chip.dut.host.response
    while True:
        ctx.set(request.ready, 1)
        _, _, valid, asked = await ctx.tick().sample(request.valid, request.p)
        if not valid:
            continue
        ctx.set(request.ready, 0)
        while not chip.ready():
            await ctx.tick()
        error = asked.address == REFUSING
        if asked.write and not error:
            chip.registers[asked.address] = asked.data
        found = chip.registers.get(asked.address, 0)
        data = 0 if error or asked.write else found
        ctx.set(response.p, {"data": data, "error": error})
        await hold(ctx, response.valid, response.ready)


async def take(ctx: Any, chip: Chip) -> None:
    """Take input words; a word that waits must stay."""
    events, waiting = chip.dut.events, None
    while True:
        ready = chip.takes_words and chip.ready()
        ctx.set(events.ready, ready)
        _, _, valid, word = await ctx.tick().sample(events.valid, events.payload)
        assert waiting is None or (valid and word == waiting)
        waiting = word if valid and not ready else None
        if valid and ready:
            chip.taken.append(word)


async def give(ctx: Any, chip: Chip) -> None:
    """Give result words."""
    results = chip.dut.results
    while True:
        if chip.results:
            ctx.set(results.payload, chip.results.pop(0))
            await hold(ctx, results.valid, results.ready)
        else:
            await ctx.tick()


def run(bench: Callable[[Chip], Coroutine[Any, Any, None]]) -> None:
    """Run a bench to its end."""
    dut = Transport()
    found: list[Chip] = []

    async def testbench(ctx: Any) -> None:
        chip = Chip(ctx, dut)
        found.append(chip)
        await bench(chip)
        found.append(chip)

    def beside(process: Callable[[Any, Chip], Coroutine[Any, Any, None]]) -> Any:
        async def background(ctx: Any) -> None:
            await process(ctx, found[0])

        return background

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    for process in (hear, serve, take, give):
        simulator.add_testbench(beside(process), background=True)
    simulator.run()
    assert len(found) == 2


def read_answer(word: int) -> bytes:
    return bytes((contract.READ,)) + word.to_bytes(4, "little")


def result(word: int) -> bytes:
    return bytes((contract.RESULT,)) + word.to_bytes(4, "little")


def test_registers_are_written_and_read_and_refusals_told() -> None:
    async def bench(chip: Chip) -> None:
        assert await chip.ask(write_request(0xABC, 0x12345678)) == bytes((contract.WRITE,))
        assert chip.registers == {0xABC: 0x12345678}
        assert await chip.ask(read_request(0xABC)) == read_answer(0x12345678)
        assert await chip.ask(read_request(REFUSING)) == b"\x1e"
        assert await chip.ask(write_request(REFUSING, 1)) == b"\x2e"
        assert chip.registers == {0xABC: 0x12345678}

    run(bench)


def test_input_words_reach_the_chip_and_are_answered() -> None:
    async def bench(chip: Chip) -> None:
        words = [0, 0x80000103, 0xFFFFFFFF, 0x00FF00FF]
        said = await chip.ask(b"".join(map(word_request, words)))
        assert said == bytes((contract.WORD,)) * 4
        assert chip.taken == words

    run(bench)


def test_idle_bytes_between_requests_mean_nothing() -> None:
    async def bench(chip: Chip) -> None:
        assert await chip.ask(bytes(9)) == b""
        asked = bytes(3) + read_request(0) + bytes(2) + word_request(7) + bytes(1)
        assert await chip.ask(asked) == read_answer(0) + bytes((contract.WORD,))

    run(bench)


def test_what_waits_holds_up_nothing_but_answers() -> None:
    async def bench(chip: Chip) -> None:
        chip.takes_words = False
        chip.results += [5, 0x80000000]
        said = await chip.ask(word_request(1) + read_request(4))
        assert said == result(5) + result(0x80000000)
        chip.results.append(0xFFFFFFFF)
        await chip.silence()
        assert chip.said == said + result(0xFFFFFFFF)
        chip.takes_words = True
        await chip.silence()
        assert chip.said.endswith(bytes((contract.WORD,)) + read_answer(0))

    run(bench)


def test_a_window_of_requests_waits_and_is_answered_in_order() -> None:
    async def bench(chip: Chip) -> None:
        chip.takes_words = False
        words = list(range(1, contract.WINDOW + 1))
        assert await chip.ask(b"".join(map(word_request, words))) == b""
        chip.takes_words = True
        assert await chip.ask(b"") == bytes((contract.WORD,)) * contract.WINDOW
        assert chip.taken == words

    run(bench)


def test_a_request_beyond_the_window_is_lost_and_told_in_its_place() -> None:
    async def bench(chip: Chip) -> None:
        chip.takes_words = False
        words = list(range(1, contract.WINDOW + 4))
        await chip.ask(b"".join(map(word_request, words)))
        chip.takes_words = True
        said = await chip.ask(b"")
        assert said == bytes((contract.WORD,)) * contract.WINDOW + FAULT_LOST
        assert chip.taken == words[: contract.WINDOW]
        assert await chip.ask(read_request(0)) == b""
        assert await chip.ask(bytes(contract.RESYNC) + read_request(0)) == read_answer(0)

    run(bench)


def test_after_an_unknown_request_only_idle_bytes_are_heard() -> None:
    async def bench(chip: Chip) -> None:
        for byte in (0x01, 0x31, 0x40, 0xFF):
            asked = read_request(0) + bytes((byte,)) + read_request(4) + bytes(contract.RESYNC - 1)
            assert await chip.ask(asked) == read_answer(0) + FAULT_UNKNOWN
            assert await chip.ask(read_request(4)) == b""
            asked = bytes(contract.RESYNC) + read_request(4)
            assert await chip.ask(asked) == read_answer(0)

    run(bench)


@pytest.mark.parametrize("begun", [0, 1, 3])
def test_a_broken_line_drops_the_request_that_was_begun(begun: int) -> None:
    async def bench(chip: Chip) -> None:
        asked = write_request(0, 0x01020304)
        await chip.send(asked[:begun])
        await chip.break_line()
        assert await chip.ask(asked[begun:]) == FAULT_LOST
        assert chip.registers == {}
        assert await chip.ask(bytes(contract.RESYNC) + asked) == bytes((contract.WRITE,))

    run(bench)


@pytest.mark.parametrize("request_bytes", [read_request(4), write_request(4, 1), word_request(1)])
def test_idle_bytes_bring_the_chip_in_step_from_anywhere(request_bytes: bytes) -> None:
    async def bench(chip: Chip) -> None:
        for begun in range(1, len(request_bytes)):
            await chip.ask(request_bytes[:begun] + bytes(contract.RESYNC))
            assert await chip.ask(read_request(8)) == read_answer(0)

    run(bench)


@pytest.mark.parametrize("gap", [0, 3, 40])
@pytest.mark.parametrize("pauses", [0.0, 0.7])
def test_any_mix_is_answered_in_order(gap: int, pauses: float) -> None:
    async def bench(chip: Chip) -> None:
        rng = random.Random(gap)
        chip.pauses = pauses
        model: dict[int, int] = {}
        asked, expected, words = b"", b"", []
        for _ in range(60):
            address, word = 4 * rng.randrange(4), rng.getrandbits(32)
            kind = rng.choice("rwe")
            if kind == "e":
                asked += word_request(word)
                expected += bytes((contract.WORD,))
                words.append(word)
            elif kind == "w":
                asked += write_request(address, word)
                refused = address == REFUSING
                expected += bytes((contract.WRITE | (contract.REFUSED if refused else 0),))
                if not refused:
                    model[address] = word
            else:
                asked += read_request(address)
                found = read_answer(model.get(address, 0))
                expected += b"\x1e" if address == REFUSING else found
            asked += bytes(rng.randrange(2))
        assert await chip.ask(asked, gap) == expected
        assert (chip.taken, chip.registers) == (words, model)

    run(bench)


class Watched(Elaboratable):
    """A parser that gets a byte a cycle, any byte, and the claim that idle bytes bring in step."""

    def __init__(self, idles: int) -> None:
        self.idles = idles
        self.byte = Signal(8)

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.parser = parser = Parser()
        run = Signal(range(self.idles + 1))
        m.d.comb += [
            parser.incoming.valid.eq(1),
            parser.incoming.payload.eq(self.byte),
            parser.requests.ready.eq(1),
        ]
        with m.If(self.byte != contract.IDLE):
            m.d.sync += run.eq(0)
        with m.Elif(run != self.idles):
            m.d.sync += run.eq(run + 1)
        with m.If((run == self.idles) & ~ResetSignal()):
            m.d.comb += Assert(parser.in_step)
        return m


@pytest.mark.parametrize(
    ("idles", "holds"), [(contract.RESYNC, True), (contract.RESYNC - 1, False)]
)
def test_idle_bytes_bring_the_parser_in_step_from_any_state(
    idles: int, holds: bool, tmp_path: Path
) -> None:
    watched = Watched(idles)
    (tmp_path / "watched.il").write_text(rtlil.convert(watched, ports=[watched.byte]))
    script = "read_rtlil watched.il; prep; async2sync; dffunmap; write_smt2 -wires watched.smt2"
    tools.yosys(script, tmp_path)
    z3 = tools.require("z3").path.parent
    prover = dataclasses.replace(tools.require("smtbmc"), environment={"PATH": str(z3)})
    base = ["-s", "z3", "-t", str(idles + 4), "watched.smt2"]
    if holds:
        tools.call(prover, base, tmp_path)
        tools.call(prover, ["-i", *base], tmp_path)
    else:
        with pytest.raises(Refusal, match="Status: FAILED"):
            tools.call(prover, base, tmp_path)

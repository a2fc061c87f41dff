"""Bench of a chip's rules: the host's accesses, malformed words, and how soon it goes on.

Vectors: `config` (the register), `banks` (words, bits of a word), `registers` (offset, access); of
a run of the model, the `chunks` of every bank and the `seeds` before, the `words` of its samples,
their `results`, the `flags`, `counters`, `chunks_after` and `seeds_after` them, and the `deadline`:
cycles within which all results are out, from rest; `recovery`: cycles from a drop to rest.
"""

import logging
import random
from collections.abc import Iterable
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge, with_timeout
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiResp, AxiStreamBus, AxiStreamSink, AxiStreamSource

from model.contract import registers
from model.contract.registers import Access
from model.contract.result import LEARNED_AT
from sim.benches.bench import CROSSED, PAUSES, read
from sim.benches.drivers import PERIOD_NS, AxisMonitor, known, start
from sim.benches.host import WORD_BYTES, Host

REFUSED = AxiResp.SLVERR
CLEAR_FLAGS = 1 << registers.CONTROL_CLEAR_FLAGS | 1 << registers.CONTROL_CLEAR_VERDICT
RESULT_NS = 500_000  #: within which the next result must come
OUTSIDE = 1 << 20  #: greater than any bank's number and any address


class Chip:
    """The chip under test behind its host and both its streams."""

    def __init__(self, dut: Any, idle: str = "none", hold: str = "none") -> None:
        self.dut = dut
        self.vectors = read()
        self.seeds = [registers.SEEDS + 4 * n for n in range(len(self.vectors["seeds"]))]
        self.host = Host(dut)
        self.host.pause([PAUSES[idle](n) for n in range(3)], [PAUSES[hold](n) for n in (3, 4)])
        for side in ("s_axis", "m_axis"):
            logging.getLogger(f"cocotb.{dut._name}.{side}").setLevel(logging.WARNING)
        self.words, self.results = AxisMonitor(dut, "s_axis"), AxisMonitor(dut, "m_axis")
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
        self.source.set_pause_generator(PAUSES[idle](5))
        self.sink.set_pause_generator(PAUSES[hold](6))

    def send(self, words: Iterable[int]) -> None:
        """Queue words on the stream."""
        self.source.send_nowait(b"".join(word.to_bytes(WORD_BYTES, "little") for word in words))

    async def result(self) -> list[int]:
        """The words of the next sample."""
        data = (await with_timeout(self.sink.recv(), RESULT_NS, "ns")).tdata
        places = range(0, len(data), WORD_BYTES)
        return [int.from_bytes(data[at : at + WORD_BYTES], "little") for at in places]

    async def status(self) -> int:
        return (await self.host.read([registers.STATUS]))[0]

    async def rest(self) -> None:
        """Wait until the chip holds no work."""
        while await self.status() >> registers.STATUS_BUSY & 1:
            pass

    async def bank(self, number: int) -> list[int]:
        """All chunks of a bank."""
        words, bits = self.vectors["banks"][number]
        await self.host.write([registers.BANK, registers.ADDRESS], [number, 0])
        return await self.host.read([registers.DATA] * (words * -(-bits // 32)))

    async def fill(self, seed: int) -> list[list[int]]:
        """Write random words into every bank, and random seeds; gives the chunks of the banks."""
        draw = random.Random(seed)
        written = []
        for words, bits in self.vectors["banks"]:
            drawn = [draw.getrandbits(bits) for _ in range(words)]
            cuts = range(0, bits, 32)
            written.append([word >> at & 0xFFFFFFFF for word in drawn for at in cuts])
        await self.load(written, [draw.randrange(1, 1 << 16) for _ in self.vectors["seeds"]])
        return written

    async def load(self, banks: list[list[int]], seeds: list[int]) -> None:
        """Write every bank, and the seeds."""
        for number, chunks in enumerate(banks):
            await self.host.write([registers.BANK, registers.ADDRESS], [number, 0])
            await self.host.write([registers.DATA] * len(chunks), chunks)
        await self.host.write(self.seeds, seeds)

    async def held(self) -> list[int]:
        """Everything that an access could change: registers, seeds, all banks."""
        places = [registers.BANK, registers.ADDRESS, registers.STATUS, *self.seeds]
        found = await self.host.read(places)
        for number in range(len(self.vectors["banks"])):
            found += await self.bank(number)
        await self.host.write(places[:2], found[:2])
        return found


@cocotb.test()
@cocotb.parametrize(CROSSED)
async def banks_hold_what_is_written(dut: Any, idle: str, hold: str) -> None:
    """Words of several accesses, addresses that step on, seeds; under pauses of every channel."""
    chip = Chip(dut, idle, hold)
    await start(dut)
    await chip.rest()
    identity = await chip.host.read([registers.ID, registers.CONFIG])
    assert identity == [registers.IDENTITY, chip.vectors["config"]]
    written = await chip.fill(seed=1)
    for number, chunks in enumerate(written):
        assert await chip.bank(number) == chunks


@cocotb.test()
@cocotb.parametrize((("idle", "hold"), [("none", "none"), ("half", "half")]))
async def illegal_accesses_are_refused_and_change_nothing(dut: Any, idle: str, hold: str) -> None:
    chip = Chip(dut, idle, hold)
    await start(dut)
    await chip.rest()
    await chip.fill(seed=2)
    await chip.host.write([registers.BANK, registers.ADDRESS], [1, 2])
    before = await chip.held()
    access = {offset: Access(kind) for offset, kind in chip.vectors["registers"]}
    unknown = [
        offset for offset in range(0, 1 << registers.ADDRESS_BITS, 4) if offset not in access
    ]
    unaligned = [offset + step for offset in (registers.BANK, registers.ID) for step in (1, 2, 3)]
    for offset in [*random.Random(3).sample(unknown, 12), unknown[-1], *unaligned]:
        assert await chip.host.try_write(offset, 0) == REFUSED, f"write {offset:#x}"
        assert await chip.host.try_read(offset) == (REFUSED, 0), f"read {offset:#x}"
    for offset, kind in access.items():
        if kind is Access.READ:
            assert await chip.host.try_write(offset, 0xFFFFFFFF) == REFUSED, f"write {offset:#x}"
        if kind is Access.WRITE:
            assert await chip.host.try_read(offset) == (REFUSED, 0), f"read {offset:#x}"
    for strobes in range(0xF):
        assert await chip.host.try_write(registers.ADDRESS, 0, strobes) == REFUSED
        assert await chip.host.try_write(registers.DATA, 0, strobes) == REFUSED
    for seed in chip.seeds:
        assert await chip.host.try_write(seed, 0) == REFUSED
    assert await chip.held() == before
    banks = chip.vectors["banks"]
    for bank, address in ((0, banks[0][0]), (0, OUTSIDE), (len(banks), 0), (OUTSIDE, 0)):
        await chip.host.write([registers.BANK, registers.ADDRESS], [bank, address])
        assert await chip.host.try_write(registers.DATA, 0) == REFUSED, f"bank {bank}, {address}"
        assert await chip.host.try_read(registers.DATA) == (REFUSED, 0), f"bank {bank}, {address}"
    await chip.host.write([registers.BANK, registers.ADDRESS], [1, 2])
    assert await chip.held() == before


@cocotb.test()
async def a_busy_chip_keeps_what_it_works_with(dut: Any) -> None:
    """While a sample is open, only what is read-only, CONTROL and INTERRUPT can be accessed."""
    chip = Chip(dut)
    await start(dut)
    await chip.rest()
    await chip.fill(seed=4)
    await chip.host.write([registers.BANK, registers.ADDRESS], [0, 1])
    before = await chip.held()
    chip.send(chip.vectors["words"][1][:1])
    await chip.words.reach(1, within_cycles=100)
    assert await chip.status() >> registers.STATUS_BUSY & 1
    anytime = (registers.CONTROL, registers.INTERRUPT)
    for offset, kind in chip.vectors["registers"]:
        answer, _ = await chip.host.try_read(offset)
        reads = kind == Access.READ or offset == registers.INTERRUPT
        assert answer == (AxiResp.OKAY if reads else REFUSED), f"read {offset:#x} while busy"
        answer = await chip.host.try_write(offset, 1)
        writes = offset in anytime
        assert answer == (AxiResp.OKAY if writes else REFUSED), f"write {offset:#x} while busy"
    chip.send([1 << 31])  # a mark without learning
    await chip.result()
    await chip.rest()
    await chip.host.write([registers.CONTROL], [CLEAR_FLAGS])
    assert await chip.held() == before


@cocotb.test()
@cocotb.parametrize(CROSSED)
async def faulty_samples_are_dropped_counted_and_flagged(dut: Any, idle: str, hold: str) -> None:
    """Malformed events and refused marks: results, flags and counters as in the model.

    From rest, and where nothing pauses: the guard takes a word in every cycle, so a malformed one
    costs one cycle, and it takes the next sample in the cycle after the mark; all results are out
    within the deadline.
    """
    chip = Chip(dut, idle, hold)
    await start(dut)
    await chip.rest()
    assert await chip.status() == 0
    await chip.load(chip.vectors["chunks"], chip.vectors["seeds"])
    await chip.host.write([registers.CONTROL], [1 << registers.CONTROL_CLEAR_COUNTERS])
    for words in chip.vectors["words"]:
        chip.send(words)
    for expected in chip.vectors["results"]:
        assert await chip.result() == expected
    await chip.rest()
    assert await chip.status() == chip.vectors["flags"]
    await chip.host.write([registers.CONTROL], [CLEAR_FLAGS])
    assert await chip.status() == 0
    places = [registers.COUNTERS + 4 * place for place in range(2 * len(chip.vectors["counters"]))]
    halves = await chip.host.read(places)
    counts = [low | high << 32 for low, high in zip(halves[::2], halves[1::2], strict=True)]
    for (name, expected), count in zip(chip.vectors["counters"], counts, strict=True):
        assert expected in (None, count), f"{name}: expected {expected}, got {count}"
    if idle == hold == "none":
        _assert_prompt(chip)
    await RisingEdge(dut.clk)
    assert chip.source.empty()
    assert chip.sink.empty()


@cocotb.test()
async def a_dead_host_s_sample_is_dropped_without_a_trace(dut: Any) -> None:
    """Cut anywhere, at any moment of the sample before: the chip rests within its bound.

    The sample before is finished, and learned; nothing comes of the one that was cut.
    """
    chip = Chip(dut)
    draw = random.Random(5)
    await start(dut)
    await chip.rest()
    await chip.load(chip.vectors["chunks"], chip.vectors["seeds"])
    worst, taken = 0, 0
    for words, expected in zip(chip.vectors["words"], chip.vectors["results"], strict=True):
        for whole in (False, True):
            cut = words[: draw.randrange(len(words))]
            chip.send([*words, *cut] if whole else cut)
            taken += len(words) * whole + len(cut)
            await chip.words.reach(taken, within_cycles=chip.vectors["recovery"])
            await ClockCycles(
                dut.clk, draw.randrange(chip.vectors["deadline"]) * draw.randint(0, 1)
            )
            began = get_sim_time("ns")
            await chip.host.write([registers.CONTROL], [1 << registers.CONTROL_DROP])
            await chip.rest()
            worst = max(worst, int(get_sim_time("ns") - began) // PERIOD_NS)
            if whole:
                assert await chip.result() == expected
    assert worst <= chip.vectors["recovery"], f"{worst} cycles, not {chip.vectors['recovery']}"
    dut._log.info("at rest %d cycles after a drop, at most %d", worst, chip.vectors["recovery"])
    assert chip.sink.empty()
    for number, chunks in enumerate(chip.vectors["chunks_after"]):
        assert await chip.bank(number) == chunks, f"bank {number}"
    assert await chip.host.read(chip.seeds) == chip.vectors["seeds_after"]


@cocotb.test()
async def a_frozen_chip_learns_nothing_and_an_interrupt_tells_of_a_verdict(dut: Any) -> None:
    """FREEZE holds every weight and seed; the interrupt rises with the verdict until cleared."""
    chip = Chip(dut)
    await start(dut)
    await chip.rest()
    await chip.load(chip.vectors["chunks"], chip.vectors["seeds"])
    await chip.host.write([registers.FREEZE], [1])
    await chip.host.write([registers.INTERRUPT], [1 << registers.INTERRUPT_VERDICT])
    before = await chip.held()
    assert not known(dut.irq)
    for words in chip.vectors["words"][-2:]:
        chip.send(words)
        *_, verdict = await chip.result()
        assert not verdict >> LEARNED_AT & 1, "a frozen chip says that it learned"
        await chip.rest()
        assert known(dut.irq)
        await chip.host.write([registers.CONTROL], [CLEAR_FLAGS])
        assert not known(dut.irq)
    assert await chip.held() == before


def _assert_prompt(chip: Chip) -> None:
    """The first sample, malformed throughout, and the mark of the next went in without a gap."""
    first, second = chip.words.cycles[0], len(chip.vectors["words"][0])
    assert chip.words.cycles[second] == first + second, "the next sample was not taken at once"
    took = chip.results.cycles[-1] - first
    assert took <= chip.vectors["deadline"], f"{took} cycles, more than {chip.vectors['deadline']}"

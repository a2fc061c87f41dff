"""Bench of a system around an emitted chip, which is reset by AXI's `aresetn` behind a button.

Vectors: `banks`, `seeds` (as the host writes them), `words` of samples, their `results`, and the
`banks_after` them.
"""

import logging
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, Timer
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiStreamBus, AxiStreamSink, AxiStreamSource

from model.contract import registers
from sim.benches.bench import read
from sim.benches.drivers import PERIOD_NS, known

BASE = 0x4000_0000  #: anywhere: the system leaves the upper bits to an interconnect
RESULT_CYCLES = 20_000


class System:
    """The system under test, a host and both streams."""

    def __init__(self, dut: Any) -> None:
        for side in ("s_axil", "s_axis", "m_axis"):
            logging.getLogger(f"cocotb.{dut._name}.{side}").setLevel(logging.WARNING)
        self.dut, self.vectors = dut, read()
        about = (dut.clk, dut.reset_n, False)
        self.host = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), *about)
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), *about)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), *about)

    async def press(self) -> None:
        """The button, off the clock's beat."""
        self.dut.reset_n.value = 0
        await Timer(3 * PERIOD_NS + 3, "ns")
        self.dut.reset_n.value = 1
        self.source.clear()
        self.sink.clear()
        await ClockCycles(self.dut.clk, 3)
        while await self.host.read_dword(BASE + registers.STATUS) >> registers.STATUS_BUSY & 1:
            pass

    async def load(self) -> None:
        """What the chip is, then banks and seeds."""
        assert await self.host.read_dword(BASE + registers.ID) == registers.IDENTITY
        for number, chunks in enumerate(self.vectors["banks"]):
            await self._turn(number)
            for chunk in chunks:
                await self.host.write_dword(BASE + registers.DATA, chunk)
        for number, seed in enumerate(self.vectors["seeds"]):
            await self.host.write_dword(BASE + registers.SEEDS + 4 * number, seed)

    async def _turn(self, bank: int) -> None:
        await self.host.write_dword(BASE + registers.BANK, bank)
        await self.host.write_dword(BASE + registers.ADDRESS, 0)

    async def bank(self, number: int) -> list[int]:
        """All chunks of a bank."""
        await self._turn(number)
        count = len(self.vectors["banks"][number])
        return [await self.host.read_dword(BASE + registers.DATA) for _ in range(count)]

    def send(self, words: list[int]) -> None:
        """Queue words."""
        self.source.send_nowait(b"".join(word.to_bytes(4, "little") for word in words))

    async def result(self) -> list[int]:
        """The words of the next sample."""
        for _ in range(RESULT_CYCLES):
            if not self.sink.empty():
                break
            await ClockCycles(self.dut.clk, 1)
        data = self.sink.recv_nowait().tdata
        return [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]


@cocotb.test()
async def samples_are_learned_before_and_after_a_reset_in_their_middle(dut: Any) -> None:
    """The button leaves nothing behind but banks; the interrupt tells of a verdict."""
    system = System(dut)
    dut.reset_n.value = 0
    Clock(dut.clk, PERIOD_NS, "ns").start()
    for interrupted in (True, False):
        await system.press()
        await system.load()
        await system.host.write_dword(BASE + registers.INTERRUPT, 1 << registers.INTERRUPT_VERDICT)
        assert not known(dut.irq)
        for place, words in enumerate(system.vectors["words"]):
            system.send(words)
            if interrupted and place == 1:
                await ClockCycles(dut.clk, len(words) + 20)
                break
            assert await system.result() == system.vectors["results"][place]
            await ClockCycles(dut.clk, 2)  # the interrupt follows the verdict
            assert known(dut.irq)
    for number, chunks in enumerate(system.vectors["banks_after"]):
        assert await system.bank(number) == chunks, f"bank {number}"

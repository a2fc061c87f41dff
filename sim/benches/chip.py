"""Bench of a whole chip behind AXI: state in, samples through, everything logged, state out.

What to do comes from `sim.simulators.cosim` in a file; what was seen goes back in another, and is
judged elsewhere. This bench asserts the protocol alone: no X where something crosses, AXI's rules,
an answer to every access.
"""

import json
import logging
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cocotb
from cocotb.handle import ArrayObject, HierarchyObject, LogicArrayObject
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge
from cocotb.utils import get_sim_time
from cocotbext.axi import AxiStreamBus, AxiStreamSink, AxiStreamSource

from model.contract import registers
from model.contract.artifact import write_json
from model.contract.event import ABORT_AT
from sim.benches.bench import monitored
from sim.benches.drivers import PERIOD_NS, AxisMonitor, randomly, reset, start
from sim.benches.host import WORD_BYTES, Host

FOLDER = "CHIP_FOLDER"  #: environment variable: where the job is read and the findings are written
JOB = "job.json"
FINDINGS = "findings.json"

SOILING_CYCLES = 100


class Log:
    """What monitors show from reset on."""

    def __init__(self, dut: Any, monitors: list[str]) -> None:
        self.rows: dict[str, list[int]] = {port: [] for port in monitors}
        self.lengths: dict[str, list[int]] = {port: [] for port in monitors}
        self.beats = 0
        self._ends = dict.fromkeys(monitors, 0)
        self._task = cocotb.start_soon(self._run(dut))

    def stop(self) -> None:
        """Watch no longer."""
        self._task.cancel()

    async def _run(self, dut: Any) -> None:
        await FallingEdge(dut.rst)
        ports = [(name, getattr(dut, name)) for name in self.rows]
        while True:
            await RisingEdge(dut.clk)
            for name, port in ports:
                beat = monitored(port)
                if beat is not None:
                    self._note(name, beat)

    def _note(self, name: str, beat: int) -> None:
        self.beats += 1
        rows = self.rows[name]
        if beat == 0b11:
            self.lengths[name].append(len(rows) - self._ends[name])
            self._ends[name] = len(rows)
        else:
            rows.append(beat)


def now() -> int:
    """The number of the present cycle."""
    return int(get_sim_time("ns")) // PERIOD_NS


class Stuck(Exception):
    """The chip gives no result any more."""


class Chip:
    """The chip under test, its host, and both its streams; watched from `restart` on."""

    log: Log

    def __init__(self, dut: Any, job: dict[str, Any]) -> None:
        self.dut = dut
        self.job = job
        self.host = Host(dut)
        self.results: list[list[int]] = []
        for side in ("s_axis", "m_axis"):
            logging.getLogger(f"cocotb.{dut._name}.{side}").setLevel(logging.WARNING)
        self._source = AxiStreamSource(AxiStreamBus.from_prefix(dut, "s_axis"), dut.clk, dut.rst)
        self._sink = AxiStreamSink(AxiStreamBus.from_prefix(dut, "m_axis"), dut.clk, dut.rst)
        self._watchers: list[Log | AxisMonitor] = []
        self._registers = list(_registers(dut, job["registers"]))

    async def restart(self) -> None:
        """Reset, and watch from then on."""
        self._source.clear()
        self._sink.clear()
        self.results = []
        self.log = Log(self.dut, self.job["monitors"])
        self._watchers = [self.log, *(AxisMonitor(self.dut, side) for side in ("s_axis", "m_axis"))]
        await reset(self.dut)
        await self.rest()

    async def load(self) -> None:
        """Check that it is the chip that is meant; write banks."""
        await self.rest()
        identity = await self.host.read([registers.ID, registers.CONFIG])
        assert identity == [registers.IDENTITY, self.job["config"]], f"the chip is {identity}"
        for number, chunks in enumerate(self.job["banks"]):
            await self.host.write([registers.BANK, registers.ADDRESS], [number, 0])
            await self.host.write([registers.DATA] * len(chunks), chunks)

    async def soil(self, cycles: int, learning: bool) -> None:
        """Work on samples for so many cycles; on the first alone, unended, unless `learning`.

        The reset behind it must clear all but the banks.
        """
        train, test = self.job["samples"]
        samples = train + test
        self._send([w for words in samples for w in words] if learning else samples[0][:-1])
        await ClockCycles(self.dut.clk, cycles)

    def scramble(self, seed: int) -> None:
        """Set every register and every word of a memory to a random number."""
        draw = random.Random(seed)
        for register in self._registers:
            register.value = draw.getrandbits(len(register))

    def pause(self) -> None:
        """Begin the pauses of both streams."""
        if self.job["stalls"]:
            stalls, seed = self.job["stalls"], 2 * self.job["seed"]
            self._source.set_pause_generator(randomly(stalls, seed))
            self._sink.set_pause_generator(randomly(stalls, seed + 1))

    async def run(self) -> dict[str, Any]:
        """Seeds, samples through, everything read back."""
        await self.seed()
        self.pause()
        cycles = [await self.feed(samples) for samples in self.job["samples"]]
        return {"cycles": cycles, **await self.seen()}

    async def seen(self) -> dict[str, Any]:
        """What came out, and what the chip holds; nothing is watched any more."""
        held = await self.held()
        for watcher in self._watchers:
            watcher.stop()
        seen = {"rows": self.log.rows, "lengths": self.log.lengths, "results": self.results}
        return {**held, **seen}

    async def seed(self) -> None:
        """Write the seeds, clear the counters."""
        await self.host.write(self._seeds(), self.job["seeds"])
        if self.job["counters"]:
            clear = 1 << registers.CONTROL_CLEAR_COUNTERS
            await self.host.write([registers.CONTROL], [clear])

    async def feed(self, samples: list[list[int]]) -> int:
        """Send samples, take their results, wait for rest; returns the cycles that it took."""
        began = now()
        for words in samples:
            self._send(words)
        for words in samples:
            if not words[-1] >> ABORT_AT & 1:
                await self.take_result()
        await self.rest()
        return now() - began if samples else 0

    async def tell(self, word: int) -> None:
        """Send one word, and wait until it is taken."""
        self._send([word])
        await self._source.wait()

    async def take_result(self) -> None:
        """Wait for the words of the next sample."""
        self.results.append(await self._result())

    def _send(self, words: list[int]) -> None:
        data = b"".join(word.to_bytes(WORD_BYTES, "little") for word in words)
        self._source.send_nowait(data)

    async def _result(self) -> list[int]:
        """The words of the next sample; `Stuck` where nothing crosses anywhere for too long."""
        seen, since = self.log.beats, now()
        while self._sink.empty():
            await RisingEdge(self.dut.clk)
            if self.log.beats != seen:
                seen, since = self.log.beats, now()
            elif now() - since > self.job["patience"]:
                raise Stuck
        data = self._sink.recv_nowait().tdata
        return [
            int.from_bytes(data[place : place + WORD_BYTES], "little")
            for place in range(0, len(data), WORD_BYTES)
        ]

    async def rest(self) -> None:
        """Wait until the chip says that it holds no work."""
        since = now()
        while (await self.host.read([registers.STATUS]))[0] >> registers.STATUS_BUSY & 1:
            if now() - since > self.job["patience"]:
                raise Stuck

    def _seeds(self) -> list[int]:
        return [registers.SEEDS + 4 * number for number in range(len(self.job["seeds"]))]

    async def held(self) -> dict[str, Any]:
        """Banks, seeds and counters, read back."""
        banks = []
        for number, chunks in enumerate(self.job["banks"]):
            await self.host.write([registers.BANK, registers.ADDRESS], [number, 0])
            banks.append(await self.host.read([registers.DATA] * len(chunks)))
        count = range(2 * self.job["counters"])
        halves = await self.host.read(registers.COUNTERS + 4 * place for place in count)
        counters = [low | high << 32 for low, high in zip(halves[::2], halves[1::2], strict=True)]
        return {"banks": banks, "seeds": await self.host.read(self._seeds()), "counters": counters}


def _registers(dut: Any, names: dict[str, list[str]]) -> Iterator[LogicArrayObject]:
    """Registers of the modules at some paths; those of memories below them word by word."""
    if not names:
        return
    wanted = set(names.get(dut._path, ("read_data",)))
    for part in dut:
        name = part._name.strip().lstrip("\\")
        if isinstance(part, HierarchyObject):
            yield from _registers(part, names)
        elif isinstance(part, ArrayObject):
            yield from part
        elif name in wanted:
            wanted.remove(name)
            yield part
    assert not wanted, f"{dut._path} has no {wanted}"


@cocotb.test()
async def samples_pass(dut: Any) -> None:
    """Load, train, test, read back; the same after each reset that is asked for."""
    folder = Path(os.environ[FOLDER])
    job = json.loads((folder / JOB).read_text())
    chip = Chip(dut, job)
    await start(dut)
    runs: list[dict[str, Any]] = []
    findings: dict[str, Any] = {"runs": runs}
    try:
        await chip.load()
        await chip.soil(SOILING_CYCLES, learning=False)
        await chip.restart()
        runs.append(await chip.run())
        for seed, cycles in job["resets"]:
            if cycles:
                await chip.soil(cycles, learning=True)
            else:
                chip.scramble(seed)
            await chip.restart()
            await chip.load()
            runs.append(await chip.run())
    except Stuck:
        findings["stuck"] = len(chip.results)
    write_json(folder / FINDINGS, findings)

"""Bench of the replay queue: what is read again is what was read, until it is committed."""

import random
from collections.abc import Iterable
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles

from sim.benches.bench import CROSSED, PAUSES
from sim.benches.drivers import Sink, Source, known, start


@cocotb.test()
@cocotb.parametrize(CROSSED)
async def samples_are_replayed_until_committed(dut: Any, idle: str, hold: str) -> None:
    """Samples of random length, each read one to four times; the last reading commits it.

    Rewinding starts a sample anew; committing frees it, in the cycle of its last payload or later.
    """
    draw = random.Random(f"{idle} {hold}")
    bits = len(dut.input__payload)
    source = Source(dut, "input", PAUSES[idle](1))
    reader = Reader(dut, "output", PAUSES[hold](2))
    await start(dut)
    assert not known(dut.busy)
    samples = [
        [draw.getrandbits(bits) for _ in range(draw.choice([1, 2, 5, 7]))] for _ in range(30)
    ]
    for sample in samples:
        source.send(sample)
    for sample in samples:
        for _ in range(draw.randrange(3)):
            assert await reader.read(len(sample)) == sample
            await reader.pulse("rewind")
        at_once = draw.random() < 0.5
        assert await reader.read(len(sample), commit=at_once) == sample
        if not at_once:
            await reader.pulse("commit")
    await ClockCycles(dut.clk, 5)
    assert not known(dut.busy)
    source.finish()
    reader.finish()


class Reader(Sink):
    """Takes as many payloads as it is asked for, and no other; raises `rewind` and `commit`."""

    def __init__(self, dut: Any, name: str, pauses: Iterable[bool]) -> None:
        super().__init__(dut, name, pauses)
        self._dut = dut
        self._lines = {"rewind": dut.rewind, "commit": dut.commit}
        self._wanted = 0
        self._commits = False  # with the last payload
        self._due = ""
        for line in self._lines.values():
            line.value = 0

    def _watch(self) -> None:
        super()._watch()
        if known(self._lines["rewind"]):
            self._held = None  # what was offered makes way for what was read before

    def _drive(self) -> None:
        left = self._wanted - len(self.transfers)
        last = left == 1 and self._held is not None
        self._dut.output__ready.value = last or (left > 1 and not next(self._pauses))
        if last and self._commits:
            self._due = "commit"
        for name, line in self._lines.items():
            line.value = name == self._due
        self._due = ""

    async def read(self, count: int, commit: bool = False) -> list[int]:
        """The next `count` payloads; with `commit`, they are committed as the last is taken."""
        self._wanted, self._commits = len(self.transfers) + count, commit
        return await self.take(count, within_cycles=2000)

    async def pulse(self, name: str) -> None:
        """Raise "rewind" or "commit" for one cycle."""
        self._due = name
        await ClockCycles(self.clk, 3)

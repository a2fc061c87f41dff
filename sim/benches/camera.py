"""Bench of a whole chip behind a camera's bus: recordings at their own time, everything logged.

The job is that of `sim.benches.chip`, with `recordings`: of each the `events` (x, y, polarity,
cycle) and the `words` (word, cycle) that the host sends meanwhile, both from the recording's first
cycle on; the last word is the mark of the sample.
"""

import json
import os
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, RisingEdge

from model.contract.artifact import write_json
from sim.benches.chip import FINDINGS, FOLDER, JOB, Chip, Stuck, now
from sim.benches.drivers import known, start


class Camera:
    """Drives the bus of an event camera; `latest` is how late its latest event was asked for."""

    def __init__(self, dut: Any) -> None:
        self._dut = dut
        self.latest = 0
        self._polar = hasattr(dut, "aer_brighter")
        self._drive(0, 0, 0, 0)

    def _drive(self, request: int, x: int, y: int, brighter: int) -> None:
        dut = self._dut
        dut.aer_request.value, dut.aer_x.value, dut.aer_y.value = request, x, y
        if self._polar:
            dut.aer_brighter.value = brighter

    async def send(self, x: int, y: int, brighter: int, late: int) -> None:
        """One event, from its request to the end of the handshake."""
        self.latest = max(self.latest, late)
        self._drive(1, x, y, brighter)
        await self._answered(True)
        self._drive(0, 0, 0, 0)  # what stands on the wires now is no event
        await self._answered(False)

    async def _answered(self, level: bool) -> None:
        while known(self._dut.aer_acknowledge) is not level:
            await RisingEdge(self._dut.clk)


async def play(chip: Chip, camera: Camera, recording: dict[str, Any]) -> int:
    """Play a recording and take its result; gives the cycles that it took."""
    began = now()
    times = sorted(
        [(at, 0, event) for *event, at in recording["events"]]
        + [(at, 1, [word]) for word, at in recording["words"]],
        key=lambda entry: entry[:2],
    )
    for at, of_host, what in times:
        if began + at > now():
            await ClockCycles(chip.dut.clk, began + at - now())
        if of_host:
            await chip.tell(*what)
        else:
            x, y, brighter = what
            await camera.send(x, y, brighter, now() - began - at)
    await chip.take_result()
    await chip.rest()
    return now() - began


@cocotb.test()
async def recordings_pass(dut: Any) -> None:
    """Load, play, read back."""
    folder = Path(os.environ[FOLDER])
    job = json.loads((folder / JOB).read_text())
    chip, camera = Chip(dut, job), Camera(dut)
    await start(dut)
    findings: dict[str, Any] = {}
    try:
        await chip.load()
        await chip.restart()
        await chip.seed()
        cycles = [await play(chip, camera, recording) for recording in job["recordings"]]
        findings["runs"] = [{"cycles": [0, sum(cycles)], **await chip.seen()}]
        findings["late"] = camera.latest
    except Stuck:
        findings["stuck"] = len(chip.results)
    write_json(folder / FINDINGS, findings)

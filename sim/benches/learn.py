"""Bench of the update of a word: a row every cycle, its weights one cycle behind the rest."""

from itertools import pairwise
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.benches.bench import compare, read
from sim.benches.drivers import start

EARLY = ("products", "group", "rate", "state")
OUTPUTS = ("updated", "changes", "clips")


@cocotb.test()
async def updates_are_equal(dut: Any) -> None:
    """Every row's outputs show in the cycle of its weights, while the next row comes in."""
    rows = read()["rows"]
    assert rows
    dut.enable.value = 1
    await start(dut)
    for place, (before, row) in enumerate(pairwise([None, *rows, None])):
        for name in EARLY if row else ():
            getattr(dut, name).value = row[name]
        if before:
            dut.weights.value = before["weights"]
        await RisingEdge(dut.clk)
        for name in OUTPUTS if before else ():
            found = getattr(dut, name).value.to_unsigned()
            compare(f"row {place - 1}, {name}", [(before[name], -1)], [found])

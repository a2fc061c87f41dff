"""Bench of the weights of a layer: items in, sums out; modulation in, updates."""

from typing import Any

import cocotb

from sim.benches.bench import CROSSED, replay


@cocotb.test()
@cocotb.parametrize(("case", ["random", "corners"]), CROSSED)
async def adds_and_learns_as_the_model_does(dut: Any, case: str, idle: str, hold: str) -> None:
    await replay(dut, case, idle, hold)

"""Bench of a hidden layer: items in, activations out; errors in where the rule asks."""

from typing import Any

import cocotb

from sim.benches.bench import CROSSED, replay


@cocotb.test()
@cocotb.parametrize(("case", ["random", "corners"]), CROSSED)
async def activates_and_learns_as_the_model_does(dut: Any, case: str, idle: str, hold: str) -> None:
    await replay(dut, case, idle, hold)

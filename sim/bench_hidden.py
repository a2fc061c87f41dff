"""Bench of a hidden layer: items in, activations out; it learns by B, or by errors that come back."""

from typing import Any

import cocotb

from sim.bench import PAUSES, replay


@cocotb.test()
@cocotb.parametrize(case=["random", "corners"], idle=list(PAUSES), hold=list(PAUSES))
async def activates_and_learns_as_the_model_does(dut: Any, case: str, idle: str, hold: str) -> None:
    await replay(dut, case, idle, hold)

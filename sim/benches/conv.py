"""Bench of a convolution stage: events in, features out, in the cycles of its formula."""

from typing import Any

import cocotb

from sim.benches.bench import CROSSED, replay


@cocotb.test()
@cocotb.parametrize(("case", ["random", "corners"]), CROSSED)
async def convolves_as_the_model_does(dut: Any, case: str, idle: str, hold: str) -> None:
    await replay(dut, case, idle, hold)

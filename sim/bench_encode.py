"""Bench of the guard at the chip's door: words in, events out, one a cycle."""

from typing import Any

import cocotb

from sim.bench import PAUSES, replay


@cocotb.test()
@cocotb.parametrize(case=["images", "malformed"], idle=list(PAUSES), hold=list(PAUSES))
async def admits_what_the_model_admits(dut: Any, case: str, idle: str, hold: str) -> None:
    await replay(dut, case, idle, hold)

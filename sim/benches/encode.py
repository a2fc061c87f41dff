"""Bench of the guard at the chip's door: words in, events out, one a cycle."""

from typing import Any

import cocotb

from sim.benches.bench import CROSSED, replay


@cocotb.test()
@cocotb.parametrize(("case", ["images", "malformed"]), CROSSED)
async def admits_what_the_model_admits(dut: Any, case: str, idle: str, hold: str) -> None:
    await replay(dut, case, idle, hold)

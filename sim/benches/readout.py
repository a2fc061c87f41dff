"""Bench of the readout: items in, scores, class and errors out."""

from typing import Any

import cocotb

from sim.benches.bench import CROSSED, replay


@cocotb.test()
@cocotb.parametrize(("case", ["random", "corners"]), CROSSED)
async def scores_and_learns_as_the_model_does(dut: Any, case: str, idle: str, hold: str) -> None:
    await replay(dut, case, idle, hold)

"""Bench of the LFSR: steps, stands still, takes a seed."""

import random
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge

from sim.benches.bench import read
from sim.benches.drivers import start


@cocotb.test()
async def states_follow_as_in_the_model(dut: Any) -> None:
    """From a seed on, each step gives the next state; without a step it stays; a seed wins."""
    draw = random.Random(0)
    vectors = read()
    dut.step.value = 0
    dut.seed__write.value = 0
    await start(dut)
    assert dut.state.value.to_unsigned() == 1
    for states in vectors["states"]:
        dut.seed__write.value = 1
        dut.seed__data.value = states[0]
        dut.step.value = draw.random() < 0.5
        await RisingEdge(dut.clk)
        dut.seed__write.value = 0
        place = 0
        while place < len(states) - 1:
            step = draw.random() < 0.7
            dut.step.value = step
            await RisingEdge(dut.clk)
            found = dut.state.value.to_unsigned()
            assert found == states[place], (
                f"step {place}: expected {states[place]:#x}, got {found:#x}"
            )
            assert dut.seed__state.value.to_unsigned() == found
            place += step

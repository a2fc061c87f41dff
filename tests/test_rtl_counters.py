"""rtl/counters.py: every declared counter counts its steps, and all start again together."""

import random
from typing import Any

import pytest
from amaranth.sim import Simulator

from model.contract.config import ChipConfig
from model.contract.counters import COUNTER_BITS, counters, of_stage
from model.contract.presets import PRESETS, preset
from model.contract.stages import stage_names
from rtl.counters import CounterBank, steps_layout

CONFIGS = {
    "tiny": preset("tiny"),
    "inference": preset("tiny").with_rule("none"),
    "no convolution": preset("fc1-500"),
    "two stages and layers": preset("conv-cifar"),
}
EACH = pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)


class Bank:
    """A counter bank in a running simulation, and the counts that it should show."""

    def __init__(self, ctx: Any, dut: CounterBank, config: ChipConfig) -> None:
        self.ctx, self.dut, self.counters = ctx, dut, counters(config)
        self.counts = dict.fromkeys((counter.name for counter in self.counters), 0)

    async def cycle(self, steps: dict[str, int], clear: bool = False) -> None:
        """Let one cycle pass with these steps, none of the counters that are not named."""
        for counter in self.counters:
            if counter.stage != "chip":
                port = getattr(self.dut, f"count_{counter.stage}")
                self.ctx.set(port[counter.event], steps.get(counter.name, 0))
        self.ctx.set(self.dut.clear, clear)
        await self.ctx.tick()
        for name in self.counts:
            step = 1 if name == "chip.cycles" else steps.get(name, 0)
            self.counts[name] = (0 if clear else self.counts[name]) + step

    def check(self) -> None:
        """Every counter shows its count."""
        for place, counter in enumerate(self.counters):
            self.ctx.set(self.dut.index, place)
            assert self.ctx.get(self.dut.value) == self.counts[counter.name], counter.name


def run(config: ChipConfig, bench: Any) -> None:
    """Run a bench on a counter bank to its end."""
    dut = CounterBank(config)
    ran = []

    async def testbench(ctx: Any) -> None:
        await bench(Bank(ctx, dut, config))
        ran.append(True)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert ran


@EACH
def test_each_counter_counts_its_own_steps_and_no_others(config: ChipConfig) -> None:
    async def bench(bank: Bank) -> None:
        for counter in bank.counters:
            await bank.cycle({counter.name: counter.most} if counter.stage != "chip" else {})
            bank.check()

    run(config, bench)


def test_all_count_at_once_and_start_again_together() -> None:
    async def bench(bank: Bank) -> None:
        rng = random.Random(1)
        for _ in range(60):
            steps = {counter.name: rng.randint(0, counter.most) for counter in bank.counters}
            await bank.cycle(steps, clear=rng.random() < 0.1)
            bank.check()

    run(CONFIGS["tiny"], bench)


def test_the_steps_of_the_cycle_of_the_clearing_count() -> None:
    async def bench(bank: Bank) -> None:
        for _ in range(3):
            await bank.cycle({"encode.events": 1})
        await bank.cycle({"encode.events": 1, "conv1.macs": 4}, clear=True)
        assert bank.counts["encode.events"] == 1
        assert bank.counts["chip.cycles"] == 1
        bank.check()

    run(CONFIGS["tiny"], bench)


@pytest.mark.parametrize("name", PRESETS)
def test_every_declared_step_has_a_field_that_holds_its_most(name: str) -> None:
    config = preset(name)
    for stage in stage_names(config):
        layout = steps_layout(config, stage)
        declared = of_stage(config, stage)
        assert [event for event, _ in layout] == [counter.event for counter in declared]
        for counter in declared:
            assert counter.most < 1 << layout[counter.event].width


def test_a_counter_has_48_bits() -> None:
    dut = CounterBank(CONFIGS["tiny"])
    Simulator(dut)
    assert len(dut.value) == COUNTER_BITS == 48

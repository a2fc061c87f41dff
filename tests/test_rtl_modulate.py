"""rtl/modulate.py on Amaranth's own simulator: modulation of every neuron against the model's."""

import dataclasses
import random
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from model.contract.choices import Gate, Hidden, Learning, Readout
from model.contract.config import ChipConfig
from model.hidden import modulate
from model.lfsr import Lfsr, neuron_masks
from rtl.modulate import ModulateByError, ModulateByLabel

NEURONS, CLASSES, THRESHOLD = 6, 3, 40
BASE = ChipConfig(
    name="modulated",
    height=2,
    width=5,
    hidden=(Hidden(neurons=NEURONS, shift=3, rate_shift=4, threshold=THRESHOLD),),
    readout=Readout(classes=CLASSES, shift=4, rate_shift=6),
    learning=Learning(density=2),
    lanes=2,
)


async def write_projection(ctx: Any, part: Any, words: list[int]) -> None:
    """Write B through the host's port."""
    ctx.set(part.projection.enable, 1)
    ctx.set(part.projection.write, 1)
    for address, word in enumerate(words):
        ctx.set(part.projection.address, address)
        ctx.set(part.projection.write_data, word)
        await ctx.tick()
    ctx.set(part.projection.enable, 0)


def beat(neuron: int, total: int, label: int, learn: bool, end: bool = False) -> dict[str, Any]:
    """A beat of sums."""
    mark = {"label": label, "learn": learn, "rate": 0, "faulty": 0, "abort": 0}
    return {"end": end, "neuron": neuron, "sum": total, "mark": mark}


@pytest.mark.parametrize("gate", list(Gate))
@pytest.mark.parametrize("rule", ["drtp", "drtp-scaled", "sdfa", "dfa"])
def test_modulation_is_that_of_the_model(rule: str, gate: Gate) -> None:
    config = BASE.with_rule(rule)
    learning = dataclasses.replace(config.learning, gate=gate)
    config = dataclasses.replace(config, learning=learning)
    by_error = config.needs_error
    part = ModulateByError(config, 0) if by_error else ModulateByLabel(config, 0)
    draw, rng = random.Random(rule), np.random.default_rng(1)
    size = (CLASSES, NEURONS) if rule.startswith("drtp") else (NEURONS, CLASSES)
    projection = rng.integers(-1, 2, size)
    rows = projection.reshape(-1, 1) if rule.startswith("drtp") else projection
    words = [sum((int(code) & 3) << 2 * n for n, code in enumerate(row)) for row in rows]
    lfsr, masks = Lfsr(config.learning.lfsr_bits, 0xACE1), neuron_masks(NEURONS, 16)
    heard: list[int] = []
    steps = 0

    async def cycle(ctx: Any) -> None:
        nonlocal steps
        if ctx.get(part.modulation.valid):
            heard.append(ctx.get(part.modulation.payload.code))
        if by_error and ctx.get(part.step):
            steps += 1
            lfsr.step()
        await ctx.tick()
        if by_error:
            ctx.set(part.state, lfsr.state)

    async def sample(ctx: Any, sums: np.ndarray, label: int, learn: bool, error: list[int]) -> None:
        beats = [beat(n, int(total), label, learn) for n, total in enumerate(sums)]
        beats.append(beat(0, 0, label, learn, end=True))
        for before, coming in zip([None, *beats], [*beats, None], strict=True):
            ctx.set(part.accept, coming is not None)
            ctx.set(part.leaving, before is not None)
            if coming is not None:
                ctx.set(part.coming, coming)
            if before is not None:
                ctx.set(part.neuron, before)
            await cycle(ctx)
        ctx.set(part.leaving, 0)
        for code in error if by_error and learn else []:
            ctx.set(part.errors.valid, 1)
            ctx.set(part.errors.payload.code, code)
            await cycle(ctx)
        if by_error:
            ctx.set(part.errors.valid, 0)
        for _ in range(NEURONS + 5):
            await cycle(ctx)
        assert not ctx.get(part.busy)

    async def bench(ctx: Any) -> None:
        if by_error:
            ctx.set(part.state, lfsr.state)
        await write_projection(ctx, part, words)
        some = False
        for number in range(40):
            learn, label = number % 4 != 3, draw.randrange(CLASSES)
            edges = [-THRESHOLD - 1, -THRESHOLD, 1 - THRESHOLD, 0, THRESHOLD - 1, THRESHOLD]
            sums = rng.choice(edges, NEURONS)
            error = [draw.choice([-255, -48, -47, 0, 1, 47, 48, 200]) for _ in range(CLASSES)]
            random_numbers = lfsr.spread(masks)
            expected = modulate(
                config, config.hidden[0], projection, label, np.array(error), sums, random_numbers
            )
            heard.clear()
            await sample(ctx, sums, label, learn, error)
            assert heard == (expected.tolist() if learn else [])
            some = some or bool(expected.any())
        assert some

    simulator = Simulator(part)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert steps == (30 if rule == "drtp-scaled" else 0)

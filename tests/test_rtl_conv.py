"""rtl/conv.py on Amaranth's own simulator: events in, the features of the model out."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from model.arith import Codes
from model.banks import to_words
from model.contract.choices import Conv as Stage
from model.contract.choices import Hidden, Readout
from model.contract.config import ChipConfig
from model.contract.storage import bank
from model.conv import convolve, feature_items
from model.state import fresh
from rtl.conv import Conv

STAGES = {
    "plain": Stage(kernels=6, size=3, pool=2, shift=7, lanes=4),
    "inhibition in a word": Stage(kernels=4, size=3, pool=2, shift=6, inhibition=2, places=2),
    "inhibition over words": Stage(kernels=6, size=3, pool=2, shift=6, lanes=4, inhibition=2),
    "over words, two places": Stage(
        kernels=6, size=3, pool=2, shift=6, lanes=4, inhibition=2, places=2
    ),
}


def chip(stage: Stage) -> ChipConfig:
    """A chip of one convolution of a 6 x 6 input."""
    return ChipConfig(
        name="events",
        height=6,
        width=6,
        conv=(stage,),
        hidden=(Hidden(neurons=4, shift=3, rate_shift=6, threshold=512),),
        readout=Readout(classes=10, shift=8, rate_shift=11),
    )


@pytest.mark.parametrize("name", STAGES)
def test_events_become_the_features_of_the_model(name: str) -> None:
    """Two samples after each other: the second finds the potentials cleared."""
    config = chip(STAGES[name])
    rng = np.random.default_rng(3)
    kernels = fresh(config, 0).banks["conv1.kernels"]
    samples = [_events(rng) for _ in range(2)]
    component = Conv(config, 0)
    stage, shape = config.conv[0], config.conv_shapes[0]

    async def bench(ctx: Any) -> None:
        await _write(ctx, component, config, kernels)
        for events in samples:
            expected = feature_items(convolve(stage, shape, kernels, events, Counter()))
            assert len(expected) > 3
            assert await _sample(ctx, component, events) == [tuple(map(int, e)) for e in expected]

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def _events(rng: np.random.Generator) -> Codes:
    """A dozen events: x, y, channel, value."""
    places = rng.permutation(36)[:12]
    values = rng.integers(1, 256, 12)
    return np.stack([places % 6, places // 6, np.zeros(12, np.int64), values], axis=1)


async def _write(ctx: Any, component: Conv, config: ChipConfig, kernels: Codes) -> None:
    held, port = bank(config, "conv1.kernels"), component.kernels
    for address, word in enumerate(to_words(held, kernels).tolist()):
        codes = (code & (1 << held.code.bits) - 1 for code in word)
        packed = sum(code << lane * held.code.bits for lane, code in enumerate(codes))
        for member, value in (("enable", 1), ("write", 1), ("address", address)):
            ctx.set(getattr(port, member), value)
        ctx.set(port.write_data, packed)
        await ctx.tick()
    ctx.set(port.enable, 0)
    while ctx.get(component.busy):
        await ctx.tick()


async def _sample(ctx: Any, component: Conv, events: Codes) -> list[tuple[int, int]]:
    """Features of one sample, taken as they come."""
    given = [*events.tolist(), None]
    found: list[tuple[int, int]] = []
    ctx.set(component.features.ready, 1)
    for _ in range(2000):
        ctx.set(component.events.valid, bool(given))
        if given:
            ctx.set(component.events.payload.end, given[0] is None)
            if given[0] is not None:
                for field, value in zip(("x", "y", "channel", "value"), given[0], strict=True):
                    ctx.set(component.events.payload.body.item[field], value)
            if ctx.get(component.events.ready):
                given.pop(0)
        if ctx.get(component.features.valid):
            beat = ctx.get(component.features.payload)
            if beat.end:
                await ctx.tick()
                return found
            found.append((beat.body.item.index, beat.body.item.value))
        await ctx.tick()
    raise AssertionError("the mark did not come")

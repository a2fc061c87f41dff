"""rtl/pool.py and the walk of cells on Amaranth's own simulator: features against the model's."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.sim import Simulator

from model.arith import Codes
from model.contract.choices import Conv, Hidden, Pooling, Readout
from model.contract.config import ChipConfig
from model.contract.shapes import ConvShape
from model.contract.timing import pool_waits, rivals_latency
from model.conv import feature_items, pool
from rtl.places import Cells
from rtl.pool import Pool

STAGES = {
    "one place": Conv(kernels=5, size=3, pool=2, shift=7),
    "two places, two groups": Conv(kernels=6, size=3, pool=2, shift=7, lanes=4, places=2),
    "three places, maximum": Conv(
        kernels=3, size=3, pool=2, shift=5, places=3, pooling=Pooling.MAX
    ),
    "inhibition in a word": Conv(kernels=5, size=3, pool=3, shift=6, places=2, inhibition=2),
    "inhibition over words": Conv(
        kernels=7, size=3, pool=2, shift=6, lanes=3, places=2, inhibition=3
    ),
    "a lane a word": Conv(kernels=3, size=3, pool=2, shift=6, lanes=1, places=5, inhibition=1),
}


def chip(stage: Conv) -> ChipConfig:
    """A chip of one convolution of an 8 x 8 input."""
    return ChipConfig(
        name="pooled",
        height=8,
        width=8,
        conv=(stage,),
        hidden=(Hidden(neurons=4, shift=3, rate_shift=6, threshold=512),),
        readout=Readout(classes=10, shift=8, rate_shift=11),
    )


def banks(shape: ConvShape, potentials: Codes) -> Iterator[dict[int, int]]:
    """Memories of potential words as the contract lays them out."""
    padded = np.zeros((*potentials.shape[:2], shape.groups * shape.lanes), np.int64)
    padded[:, :, : shape.kernels] = potentials
    padded[:, :, shape.kernels :] = shape.potential.high  # lanes without a kernel do not matter
    mask = (1 << shape.potential.bits) - 1
    for bank in range(shape.places):
        words = {}
        for y, x in np.ndindex(*potentials.shape[:2]):
            flat = x + shape.pitch * y
            if flat % shape.places != bank:
                continue
            for group, codes in enumerate(padded[y, x].reshape(shape.groups, shape.lanes)):
                word = sum((int(c) & mask) << shape.potential.bits * n for n, c in enumerate(codes))
                words[flat // shape.places * shape.groups + group] = word
        yield words


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("taken", [1.0, 0.5])
def test_cells_become_the_features_of_the_model(name: str, taken: float) -> None:
    """Two samples; the cycles in which nothing stalls are those of the formula."""
    stage = STAGES[name]
    config = chip(stage)
    shape = config.conv_shapes[0]
    rng, draw = np.random.default_rng(0), random.Random(name)
    size = (shape.map_height, shape.map_width, shape.kernels)
    maps = [rng.integers(-3000, 3000, size), rng.integers(-9000, 30000, size)]
    cells, pooled = Cells(config, 0), Pool(config, 0)
    design = Module()
    design.submodules.cells, design.submodules.pool = cells, pooled

    async def sample(ctx: Any, potentials: Codes) -> tuple[list[tuple[int, int]], int]:
        """Features of a map, and cycles of work."""
        memories = list(banks(shape, potentials))
        running, work = True, 0
        found: list[tuple[int, int]] = []
        # A word comes three steps after its address, as through registers and memory.
        steps: list[Any] = [(None, {})] * 3
        features = pooled.features
        while True:
            place, words = steps[0]
            ctx.set(pooled.place.valid, place is not None)
            if place is not None:
                for field, value in place.items():
                    ctx.set(pooled.place[field], value)
            for bank, word in words.items():
                ctx.set(getattr(pooled, f"word_{bank}"), word)
            behind = any(step[0] is not None for step in steps)
            ctx.set(pooled.mark_valid, not running and not behind)
            ctx.set(features.ready, draw.random() < taken)
            advance = ctx.get(pooled.advance)
            ctx.set(cells.run, running and advance)
            stalled = ctx.get(features.valid) and not ctx.get(features.ready)
            work += not stalled
            if ctx.get(features.valid) and not stalled:
                beat = ctx.get(features.payload)
                if beat.end:
                    assert ctx.get(pooled.done)
                    await ctx.tick()
                    return found, work
                found.append((beat.body.item.index, beat.body.item.value))
            if advance:
                steps = [*steps[1:], (None, {})]
                if running:
                    enabled = [b for b in range(shape.places) if ctx.get(cells.enable) >> b & 1]
                    at = {b: ctx.get(getattr(cells, f"address_{b}")) for b in enabled}
                    asked = {
                        field: ctx.get(cells.place[field])
                        for field in ("banks", "step", "first", "last", "summing", "ends")
                    }
                    steps[-1] = (asked, {b: memories[b][address] for b, address in at.items()})
                    running = not ctx.get(cells.done)
            await ctx.tick()

    async def bench(ctx: Any) -> None:
        ctx.set(pooled.mark.rate, 0)
        while not ctx.get(pooled.ready):
            await ctx.tick()
        for potentials in maps:
            found, work = await sample(ctx, potentials)
            expected = pool(stage, shape, potentials, Counter())
            assert found == [tuple(map(int, item)) for item in feature_items(expected)]
            assert found
            groups = np.zeros((*expected.shape[:2], shape.groups * shape.lanes), np.int64)
            groups[:, :, : shape.kernels] = expected
            sent = np.count_nonzero(groups.reshape(-1, shape.lanes), axis=1).tolist()
            passes = 2 if shape.sums_first else 1
            reads = shape.out_height * shape.out_width * passes * shape.groups * len(shape.cell)
            assert work == reads + pool_waits(shape, sent) + 6 + rivals_latency(shape)

    simulator = Simulator(design)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()

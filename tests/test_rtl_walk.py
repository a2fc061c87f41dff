"""rtl/walk.py on Amaranth's own simulator: nested counters against nested loops."""

import random
from itertools import cycle, islice, product

import pytest
from amaranth.sim import Simulator

from rtl.walk import Walk


@pytest.mark.parametrize("sizes", [(7,), (2, 3), (3, 1, 4), (1, 5), (2, 2, 2, 2)])
def test_a_walk_visits_every_place_in_order_and_begins_again(sizes: tuple[int, ...]) -> None:
    walk = Walk(*sizes)
    draw = random.Random(repr(sizes))
    seen: list[tuple[int, ...]] = []

    async def bench(ctx) -> None:  # type: ignore[no-untyped-def]
        for _ in range(120):
            step = draw.random() < 0.7
            ctx.set(walk.step, step)
            at = tuple(ctx.get(getattr(walk, f"at_{n}")) for n in range(len(sizes)))
            lasts = [place == size - 1 for place, size in zip(at, sizes, strict=True)]
            assert [ctx.get(getattr(walk, f"last_{n}")) for n in range(len(sizes))] == lasts
            assert ctx.get(walk.last) == all(lasts)
            if step:
                seen.append(at)
            await ctx.tick()

    simulator = Simulator(walk)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert seen == list(islice(cycle(product(*map(range, sizes))), len(seen)))
    assert len(seen) > 60

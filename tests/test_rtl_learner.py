"""rtl/learner.py on Amaranth's own simulator: updates, words and cycles against the model's."""

import random
from collections import Counter
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from model.contract.choices import Hidden, Readout
from model.contract.config import ChipConfig
from model.contract.shapes import LayerShape
from model.learn import update
from model.lfsr import Lfsr, neuron_masks
from rtl.learn import product_bits
from rtl.learner import LEARNING, Learner

CONFIG = ChipConfig(
    name="learner",
    height=2,
    width=5,
    hidden=(Hidden(neurons=12, shift=3, rate_shift=4, threshold=512),),
    readout=Readout(classes=5, shift=4, rate_shift=6, lanes=2),
    lanes=4,
)


class Surroundings:
    """What a layer has around its learner: queue, weights in one port, multipliers."""

    def __init__(self, learner: Learner, shape: LayerShape, weights: np.ndarray) -> None:
        self.learner, self.shape = learner, shape
        self.weights = weights  # (inputs, groups, lanes), changed
        self.items: list[tuple[int, int]] = []
        self.at = 0
        self.products: list[list[int]] = [[0] * shape.lanes] * 2
        self.read = 0
        self.counts: Counter[str] = Counter()
        self.written: list[tuple[int, list[int]]] = []

    def packed(self, codes: list[int], bits: int) -> int:
        """Codes side by side, lane 0 lowest."""
        return sum((int(code) & ((1 << bits) - 1)) << bits * n for n, code in enumerate(codes))

    def signed(self, word: int, bits: int) -> list[int]:
        """The codes of a word."""
        parts = [word >> bits * n & ((1 << bits) - 1) for n in range(self.shape.lanes)]
        return [part - (part >> bits - 1 << bits) for part in parts]

    async def cycle(self, ctx: Any) -> bool:
        """Drive all for a cycle; returns whether the sample is done."""
        learner, shape = self.learner, self.shape
        head = self.items[self.at] if self.at < len(self.items) else None
        ctx.set(learner.items.payload.end, head is None)
        if head:
            ctx.set(learner.items.payload.body.item.index, head[0])
            ctx.set(learner.items.payload.body.item.value, head[1])
        ctx.set(learner.products, self.packed(self.products[0], product_bits(shape)))
        ctx.set(learner.read_data, self.read)
        bits = shape.weight.bits
        for name in LEARNING:
            self.counts[name] += ctx.get(getattr(learner, f"count_{name}"))
        index, group = divmod(ctx.get(learner.address), shape.groups)
        assert not (ctx.get(learner.read) and ctx.get(learner.write))  # one port
        if ctx.get(learner.write):
            codes = self.signed(ctx.get(learner.write_data), bits)
            self.weights[index, group] = codes
            self.written.append((index * shape.groups + group, codes))
        read = ctx.get(learner.read)
        made = self.products[1]
        if ctx.get(learner.multiplying):
            value = ctx.get(learner.value)
            codes = self.signed(ctx.get(learner.codes), shape.modulation.bits)
            made = [value * code for code in codes]
        takes, rewinds = ctx.get(learner.items.ready), ctx.get(learner.rewind)
        done = ctx.get(learner.done)
        await ctx.tick()
        if read:
            self.read = self.packed(list(self.weights[index, group]), bits)
        self.products = [self.products[1], made]
        self.at = 0 if rewinds else self.at + takes
        return bool(done)


@pytest.mark.parametrize("number", [0, 1], ids=["ternary", "error"])
def test_words_of_modulated_groups_are_updated_as_in_the_model(number: int) -> None:
    """Items repeat, groups lie idle, samples are not to be learned, nothing is modulated."""
    shape = CONFIG.layer_shapes[number]
    learner = Learner(CONFIG, shape)
    draw, rng = random.Random(number), np.random.default_rng(number)
    size = (shape.inputs, shape.groups * shape.lanes)
    weights = rng.integers(shape.weight.low, shape.weight.high + 1, size)
    weights[:, shape.outputs :] = 0
    model = weights[:, : shape.outputs].copy()
    around = Surroundings(learner, shape, weights.reshape(shape.inputs, shape.groups, -1))
    masks = neuron_masks(shape.outputs, 16)
    lfsr, counts = Lfsr(16, 1), Counter[str]()
    expected: list[tuple[int, list[int]]] = []

    async def bench(ctx: Any) -> None:
        for sample in range(30):
            learn = sample % 5 != 4
            rate = draw.randrange(CONFIG.rate_steps)
            repeats = sample % 3 == 0 and shape.saturating
            items = [
                (4 if repeats else index, draw.randint(max(shape.value.low, -90), 90))
                for index in range(shape.inputs)
                if draw.random() < 0.6
            ] * (sample != 7)
            density = draw.choice([0.0, 0.1, 0.5, 1.0])
            modulation = [
                draw.randint(shape.modulation.low, shape.modulation.high)
                if draw.random() < density
                else 0
                for _ in range(shape.outputs)
            ]
            if learn:
                pairs = np.array(items, np.int64).reshape(-1, 2)
                codes = np.array(modulation)
                words = update(shape, model, pairs, codes, rate, lfsr, masks, counts)
                expected.extend((address, word.tolist()) for address, word in words)
            around.items, around.at = items, len(items) + 1  # the forward pass has been here
            ctx.set(learner.learn, learn)
            ctx.set(learner.rate, rate)
            for place, code in enumerate(modulation if learn else []):
                ctx.set(learner.modulation.valid, 1)
                ctx.set(learner.modulation.payload.code, code)
                ctx.set(learner.begin, place == 0)
                await around.cycle(ctx)
            ctx.set(learner.modulation.valid, 0)
            ctx.set(learner.begin, not learn)
            while not await around.cycle(ctx):
                ctx.set(learner.begin, 0)
            ctx.set(learner.begin, 0)
            assert ctx.get(learner.state) == lfsr.state
            assert not ctx.get(learner.busy)

    simulator = Simulator(learner)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert around.written == expected
    assert (weights[:, : shape.outputs] == model).all()
    assert {name: around.counts[name] for name in LEARNING} == {
        name: counts[name] for name in LEARNING
    }
    assert counts["weight_saturations"]
    assert counts["learn_writes"] < counts["learn_reads"]

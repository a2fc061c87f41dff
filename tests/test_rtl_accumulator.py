"""rtl/accumulator.py on Amaranth's own simulator: each operation as if it were done at once."""

import random
from collections import deque
from typing import Any

import pytest
from amaranth.sim import Simulator

from model.contract.formats import Format
from rtl.accumulator import Accumulator

LANES, ADDEND_BITS = 2, 6


def packed(codes: list[int], bits: int) -> int:
    """Codes side by side, lane 0 lowest."""
    return sum((code & ((1 << bits) - 1)) << bits * lane for lane, code in enumerate(codes))


class Reference:
    """Words of sums, an operation after another."""

    def __init__(self, code: Format, words: int, banks: int, saturating: bool) -> None:
        self.code, self.saturating = code, saturating
        self.words = [[[0] * LANES for _ in range(words)] for _ in range(banks)]
        self.clips = 0

    def take(self, bank: int, at: int, kind: str, addends: list[int]) -> list[int]:
        """The word before the operation, which is then done."""
        before = list(self.words[bank][at])
        if kind == "clear":
            self.words[bank][at] = [0] * LANES
        elif kind == "add":
            raised = [code + addend for code, addend in zip(before, addends, strict=True)]
            if self.saturating:
                held = [min(max(code, self.code.low), self.code.high) for code in raised]
                self.clips += sum(a != b for a, b in zip(raised, held, strict=True))
                raised = held
            self.words[bank][at] = raised
        return before


@pytest.mark.parametrize("words", [1, 2, 3, 9])
@pytest.mark.parametrize("saturating", [False, True])
@pytest.mark.parametrize("moving", [1.0, 0.6])
def test_every_operation_sees_those_before_it(words: int, saturating: bool, moving: float) -> None:
    """Words repeat at every distance; the pipeline stands still now and then."""
    code, banks = Format(8 if saturating else 16, signed=True), 2
    part = Accumulator(code, LANES, words, banks, ADDEND_BITS, saturating)
    reference = Reference(code, words, banks, saturating)
    draw = random.Random(f"{words} {saturating} {moving}")
    clips = 0

    async def bench(ctx: Any) -> None:
        nonlocal clips
        swept = 0
        ctx.set(part.advance, 1)
        while not ctx.get(part.ready):
            swept += 1
            await ctx.tick()
        assert swept == words  # a word of every bank a cycle
        under_way: deque[list[Any]] = deque([[], []])
        for number in range(600):
            advance = draw.random() < moving
            operations = []
            kind = draw.choices(["add", "clear", "keep"], [8, 1, 1])[0]
            for bank in range(banks):
                if number < 590 and draw.random() < 0.8:
                    addends = [draw.randrange(-32, 32) for _ in range(LANES)]
                    operations.append((bank, draw.randrange(words), kind, addends))
            ctx.set(part.advance, advance)
            ctx.set(part.enable, sum(1 << bank for bank, *_ in operations))
            ctx.set(part.clear, kind == "clear")
            ctx.set(part.keep, kind == "keep")
            for bank, at, *_ in operations:
                ctx.set(getattr(part, f"address_{bank}"), at)
            for bank, _, _, addends in under_way[0]:
                ctx.set(getattr(part, f"addends_{bank}"), packed(addends, ADDEND_BITS))
            for operation in under_way[0] if advance else []:
                bank = operation[0]
                before = packed(reference.take(*operation), code.bits)
                assert ctx.get(getattr(part, f"word_{bank}")) == before
            await ctx.tick()
            clips += ctx.get(part.clips).bit_count()
            if advance:
                under_way.popleft()
                under_way.append(operations)
        assert not ctx.get(part.busy)

    simulator = Simulator(part)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    assert clips == reference.clips
    assert bool(clips) == saturating

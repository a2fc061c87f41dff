"""Nested counters: where a stage is in its loops."""

from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from model.contract.storage import index_bits


class Walk(wiring.Component):
    """Counters of nested loops, the innermost last; each starts again as the one outside steps.

    Members: `step` (move on); `at_<n>` (the place in loop n, from 0), `last_<n>` (loop n is at its
    last place), `last` (all are).
    Timing: moves in the cycle after `step`; after the last place comes the first. Reset: the first.
    """

    def __init__(self, *sizes: int) -> None:
        self.sizes = sizes
        members = {}
        for number, size in enumerate(sizes):
            members[f"at_{number}"] = Out(index_bits(size))
            members[f"last_{number}"] = Out(1)
        super().__init__({"step": In(1), "last": Out(1), **members})

    def elaborate(self, platform: object) -> Module:
        """Build one counter a loop; a carry runs from the innermost outwards."""
        m = Module()
        carry = Signal(name="step_innermost")
        m.d.comb += carry.eq(self.step)
        all_last = []
        for number in reversed(range(len(self.sizes))):
            at, last = getattr(self, f"at_{number}"), getattr(self, f"last_{number}")
            m.d.comb += last.eq(at == self.sizes[number] - 1)
            if self.sizes[number] > 1:
                with m.If(carry):
                    m.d.sync += at.eq(at + 1)
                    with m.If(last):
                        m.d.sync += at.eq(0)
            outer = Signal(name=f"step_{number}")
            m.d.comb += outer.eq(carry & last)
            carry = outer
            all_last.append(last)
        whole = all_last[0]
        for last in all_last[1:]:
            whole = whole & last
        m.d.comb += self.last.eq(whole)
        return m

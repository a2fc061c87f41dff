"""Pseudo-random source of stochastic rounding. Twin: `model/lfsr.py`."""

from functools import reduce
from operator import xor

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from model.contract import noise
from rtl.ports import SeedPort


class Lfsr(wiring.Component):
    """Galois LFSR that shifts right.

    Members: `step` (move on), `state`; `seed` (the host's port; a write wins over a step).
    Timing: the new state shows in the cycle after `step` or the write. Reset: state 1.
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__({"step": In(1), "state": Out(bits, init=1), "seed": In(SeedPort(bits))})

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the register and its feedback."""
        m = Module()
        state = self.state
        m.d.comb += self.seed.state.eq(state)
        with m.If(self.seed.write):
            m.d.sync += state.eq(self.seed.data)
        with m.Elif(self.step):
            m.d.sync += state.eq((state >> 1) ^ Mux(state[0], noise.TAPS[self.bits], 0))
        return m


def mask(neuron: ValueLike, bits: int, first: int = 0) -> Value:
    """Lowest `bits` of the exclusive-or of the mask basis over the set bits of a neuron's number.

    `first`: which bit of the number the lowest bit of `neuron` is.
    """
    neuron = Value.cast(neuron)
    if isinstance(neuron, Const):
        words = [noise.MASK_BASIS[first + n] for n in range(len(neuron)) if neuron.value >> n & 1]
        return Const(reduce(xor, words, 0) & ((1 << bits) - 1), bits)
    columns = [
        [neuron[n] for n in range(len(neuron)) if noise.MASK_BASIS[first + n] >> place & 1]
        for place in range(bits)
    ]
    return Cat(Cat(*column).xor() for column in columns)

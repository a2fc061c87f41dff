"""Pseudo-random source of stochastic rounding. Twin: `model/lfsr.py`."""

from amaranth.hdl import Cat, Const, Elaboratable, Module, Mux, Value, ValueLike
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from model.contract import noise
from rtl.registers import SeedPort


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


def mask(neuron: ValueLike, bits: int) -> Value:
    """Exclusive-or of the mask basis over the set bits of a neuron's number."""
    neuron = Value.cast(neuron)
    result: Value = Const(0, bits)
    for bit, word in zip(neuron, noise.mask_basis(bits), strict=False):
        result = result ^ Cat(bit if word >> place & 1 else Const(0, 1) for place in range(bits))
    return result

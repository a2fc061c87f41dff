"""The update of one memory word of weights. Twin: `model/learn.py` (`update`)."""

from amaranth.hdl import Const, Elaboratable, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from model.contract.config import ChipConfig
from model.contract.formats import Format
from model.contract.shapes import LayerShape
from model.contract.storage import index_bits
from rtl.arith import choose, lanes, pack, saturate
from rtl.lfsr import mask


def product_bits(shape: LayerShape) -> int:
    """Signed bits that hold any input times any modulation."""
    peak = max(shape.value.high, -shape.value.low)
    return (peak * shape.modulation.high).bit_length() + 1


class Update(wiring.Component):
    """Stochastic rounding and saturating addition for every lane of a word.

    ``w + floor((product + random mod 2**shift) / 2**shift)`` with ``shift = rate_shift + rate`` and
    ``random = state ^ mask(neuron)``, saturated to the weight's format.

    Members: `enable`, `products` and `weights` (words of lanes), `group` (which neurons these are),
    `rate`, `state` (of the LFSR); `updated` (the new word), `changes` and `clips` (one bit a lane).
    Timing: the weights come one cycle after all else, and the outputs show in that cycle. What is
    not enabled is not taken: nothing switches.
    """

    def __init__(self, config: ChipConfig, shape: LayerShape) -> None:
        self.config = config
        self.shape = shape
        word = shape.lanes * shape.weight.bits
        super().__init__(
            {
                "enable": In(1),
                "products": In(shape.lanes * product_bits(shape)),
                "weights": In(word),
                "group": In(index_bits(shape.groups)),
                "rate": In(index_bits(config.rate_steps)),
                "state": In(config.learning.lfsr_bits),
                "updated": Out(word),
                "changes": Out(shape.lanes),
                "clips": Out(shape.lanes),
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        """Build one adder, one choice of shifts and one saturating adder a lane."""
        m = Module()
        shape, steps = self.shape, self.config.rate_steps
        width = product_bits(shape)
        most = shape.rate_shift + steps - 1
        shifts = [shape.rate_shift + step for step in range(steps)]
        kept = Signal(most)  # the random bits that the rate leaves in
        m.d.comb += kept.eq(choose([Const((1 << shift) - 1, most) for shift in shifts], self.rate))
        products = [
            self.products[lane * width : (lane + 1) * width].as_signed()
            for lane in range(shape.lanes)
        ]
        weights = lanes(self.weights, shape.weight, shape.lanes)
        updated = []
        randoms = self._randoms(m, most)
        for lane, (product, weight, random) in enumerate(
            zip(products, weights, randoms, strict=True)
        ):
            bits = max(width, most + 1) + 1
            total = Signal(signed(bits))
            step = Signal(signed(bits - shifts[0]), name=f"step{lane}")
            m.d.comb += total.eq(product + (random & kept))
            with m.If(self.enable):
                m.d.sync += step.eq(choose([total >> shift for shift in shifts], self.rate))
            code, clipped = saturate(weight + step, shape.weight)
            updated.append(code)
            m.d.comb += [
                self.changes[lane].eq(_changes(weight, step, shape.weight)),
                self.clips[lane].eq(clipped),
            ]
        m.d.comb += self.updated.eq(pack(updated, shape.weight))
        return m

    def _randoms(self, m: Module, bits: int) -> list[Value]:
        """The random number of every lane, cut to the bits that any rate takes.

        The mask is linear in the neuron's number: where the lane is the number's lowest bits, all
        lanes share the exclusive-ors for the group and differ by constants.
        """
        shape = self.shape
        lane_bits = (shape.lanes - 1).bit_length()
        if shape.groups > 1 and shape.lanes != 1 << lane_bits:
            neurons = [self.group * shape.lanes + lane for lane in range(shape.lanes)]
            return [self.state[:bits] ^ mask(neuron, bits) for neuron in neurons]
        shared = Signal(bits)
        groups = self.group if shape.groups > 1 else Const(0, 0)
        m.d.comb += shared.eq(self.state[:bits] ^ mask(groups, bits, lane_bits))
        return [shared ^ mask(Const(lane, lane_bits), bits) for lane in range(shape.lanes)]


def _changes(weight: Value, step: Value, of: Format) -> Value:
    """Whether ``saturate(weight + step)`` is not the weight, told without waiting for the sum.

    A step changes every weight but the one that ends the range on its side. The code that a
    symmetric format leaves out, which only a host can write, changes always.
    """
    down = step < 0
    still = Mux(down, weight == of.low, (step == 0) | (weight == of.high))
    return ~still | (weight < of.low)

"""Products of a word of lanes by one value."""

from amaranth.hdl import Cat, Module, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from model.contract.formats import Format
from rtl.arith import lanes, multiply


class Multiplier(wiring.Component):
    """A multiplier a lane, a register before it and one behind.

    By ternary values or codes it is a choice of -1, 0 and 1 times the other: no multiplier.

    Members: `enable`, `value`, `codes` (lanes side by side); two cycles later `products`, which
    hold until the next.
    Timing: a word a cycle. What is not enabled is not taken: nothing switches.
    """

    def __init__(self, value: Format, code: Format, count: int) -> None:
        self.value_format, self.code, self.count = value, code, count
        self.product_bits = value.bits + code.bits
        super().__init__(
            {
                "enable": In(1),
                "value": In(value.span),
                "codes": In(count * code.bits),
                "products": Out(count * self.product_bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the registers and multipliers."""
        m = Module()
        loaded = Signal()
        value, codes = (
            Signal.like(self.value, name="factor"),
            Signal.like(self.codes, name="factors"),
        )
        m.d.sync += loaded.eq(self.enable)
        with m.If(self.enable):
            m.d.sync += [value.eq(self.value), codes.eq(self.codes)]
        products = []
        for lane, code in enumerate(lanes(codes, self.code, self.count)):
            product = Signal(signed(self.product_bits), name=f"product_{lane}")
            with m.If(loaded):
                m.d.sync += product.eq(self._product(value, code))
            products.append(product)
        m.d.comb += self.products.eq(Cat(*products))
        return m

    def _product(self, value: Value, code: Value) -> Value:
        if self.value_format.high == 1 and self.value_format.signed:
            return multiply(code, value, self.value_format)
        return multiply(value, code, self.code)

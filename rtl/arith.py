"""The chip's operators on Amaranth values. Twin: `model/arith.py`, written apart from this file.

All are combinational. Operands keep every bit (Amaranth widens); only these operators narrow.
"""

from amaranth.hdl import Array, Cat, Const, Mux, Shape, Value, ValueLike

from model.contract.formats import Format


def saturate(code: ValueLike, to: Format) -> tuple[Value, Value]:
    """The nearest code of a format, and whether it is another code."""
    code = Value.cast(code)
    below, above = code < to.low, code > to.high
    narrowed = Mux(below, Const(to.low, to.span), Mux(above, to.high, code))
    width = Shape.cast(to.span).width
    return narrowed[:width].as_signed() if to.signed else narrowed[:width], below | above


def multiply(left: Value, right: Value, right_format: Format) -> Value:
    """Product; by a ternary code it is a choice of ``-left``, 0 and ``left``: no multiplier."""
    if right_format.high > 1:
        return left * right
    return Mux(right == 0, 0, Mux(right < 0, -left, left))


def lanes(word: Value, of: Format, count: int) -> list[Value]:
    """The codes of a memory word, lane 0 in the lowest bits."""
    parts = [word[number * of.bits : (number + 1) * of.bits] for number in range(count)]
    return [part.as_signed() for part in parts] if of.signed else parts


def choose(values: list[Value], index: ValueLike) -> Value:
    """The value at an index."""
    return Array(values)[Value.cast(index)] if len(values) > 1 else values[0]


def popcount(bits: list[Value]) -> Value:
    """Number of ones, by halves."""
    if len(bits) == 1:
        return bits[0]
    half = len(bits) // 2
    return popcount(bits[:half]) + popcount(bits[half:])


def pack(codes: list[Value], of: Format) -> Value:
    """The memory word of some codes, each cut to the format's bits."""
    return Cat(*(Value.cast(code)[: of.bits] for code in codes))

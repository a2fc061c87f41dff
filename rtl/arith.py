"""The chip's operators on Amaranth values. Twin: `model/arith.py`, written apart from this file.

All are combinational. Operands keep every bit (Amaranth widens); only these operators narrow.
"""

from amaranth.hdl import Array, Cat, Const, Mux, Value, ValueLike

from model.contract.formats import Format


def saturate(code: ValueLike, to: Format) -> tuple[Value, Value]:
    """The nearest code of a format, and whether it is another code.

    A code lies inside if all bits above the format's equal its sign: no comparator.
    """
    code = Value.cast(code)
    negative = code[-1] if code.shape().signed else Const(0, 1)
    kept = to.bits - to.signed  # bits of the format beside its sign
    code = Cat(code, negative.replicate(max(0, kept + 1 - len(code))))
    upper, lower = code[kept:], code[:kept]
    above = ~negative & upper.any()
    below = negative & ~upper.all() if to.signed else negative
    if to.symmetric:
        below = below | (negative & ~lower.any())
    low = Const(to.low & ((1 << to.bits) - 1), to.bits)
    narrowed = Mux(below, low, Mux(above, to.high, code[: to.bits]))
    return narrowed.as_signed() if to.signed else narrowed, below | above


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


def resize(codes: list[Value], bits: int) -> Value:
    """Signed codes side by side, each cut or extended to so many bits."""
    return Cat(*(Cat(code, code[-1].replicate(max(0, bits - len(code))))[:bits] for code in codes))

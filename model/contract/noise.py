"""Constants of the pseudo-random source: feedback taps and per-neuron masks.

Each learning layer has one Galois LFSR that shifts right; when a 1 leaves, the taps are
exclusive-ored in. Neuron j rounds with ``state ^ mask(j)``, where ``mask(j)`` is the exclusive-or
of `MASK_BASIS[b]` over the set bits b of j: linear, so hardware builds it from a few gates and it
does not depend on how many lanes the chip has.

Source of the taps: P. Alfke, Xilinx XAPP052 (1996), table of maximal-length LFSR taps, as the
toggle masks of the Galois form; their full period is proved by the tests. The basis is arbitrary:
the fractional digits of pi in hexadecimal, chosen so that nobody chose it.
"""

#: LFSR width in bits -> toggle mask of the right-shifting Galois form.
TAPS = {16: 0xB400, 24: 0xE10000, 32: 0x80200003}

#: One mask per bit of a neuron's number, cut to the LFSR's width.
MASK_BASIS = (
    0x243F6A88,
    0x85A308D3,
    0x13198A2E,
    0x03707344,
    0xA4093822,
    0x299F31D0,
    0x082EFA98,
    0xEC4E6C89,
    0x452821E6,
    0x38D01377,
    0xBE5466CF,
    0x34E90C6C,
)


def mask_basis(bits: int) -> tuple[int, ...]:
    """The basis cut to an LFSR of `bits` bits."""
    return tuple(word & ((1 << bits) - 1) for word in MASK_BASIS)

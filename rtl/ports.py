"""Ports between the host's side and the rest of the chip: its bus, its way to banks and seeds."""

from collections.abc import Mapping

from amaranth.hdl import Module
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from model.contract.registers import ADDRESS_BITS
from model.contract.storage import index_bits

BUS_BITS = 32

Request = data.StructLayout({"address": ADDRESS_BITS, "write": 1, "data": BUS_BITS})
Response = data.StructLayout({"data": BUS_BITS, "error": 1})

#: The host's bus as its master sees it: one response a request, in order. `address` counts bytes.
#: A refused request is answered with `error`; the `data` of its response, and of a write's, is 0.
HostBus = wiring.Signature(
    {"request": Out(stream.Signature(Request)), "response": In(stream.Signature(Response))}
)


def pass_on(
    m: Module, outer: object, inner: object, pins: Mapping[str, wiring.Member], prefix: str = ""
) -> None:
    """Make the pins of an inner component, behind a prefix, those of the outer one."""
    for name, member in pins.items():
        ours, its = getattr(outer, prefix + name), getattr(inner, name)
        m.d.comb += its.eq(ours) if member.flow is In else ours.eq(its)


class BankPort(wiring.Signature):
    """The host's way into a bank of `words` words of `word_bits` bits, as the registers see it.

    Members: `enable` accesses word `address` in this cycle; with `write` it becomes `write_data`,
    without it the word stands on `read_data` in the next cycle.
    """

    def __init__(self, word_bits: int, words: int) -> None:
        super().__init__(
            {
                "enable": Out(1),
                "write": Out(1),
                "address": Out(index_bits(words)),
                "write_data": Out(word_bits),
                "read_data": In(word_bits),
            }
        )


class SeedPort(wiring.Signature):
    """The host's way to an LFSR of `bits` bits, as the registers see it.

    Members: `write` makes `data` its state in this cycle; `state` is what it holds.
    """

    def __init__(self, bits: int) -> None:
        super().__init__({"write": Out(1), "data": Out(bits), "state": In(bits)})

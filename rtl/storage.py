"""Memories of the chip. Sizes come from `model.contract.storage`."""

from amaranth.hdl import Elaboratable, Module, Mux, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from rtl.ports import BankPort

#: An attribute of memories: they never read and write in the same cycle.
SINGLE_PORT = "single_port"


class Bank(wiring.Component):
    """A single-port memory that a stage shares with the host.

    Members: `stage`, `host` (the host wins; the chip lets it in only while idle).
    Timing: read data shows in the cycle after `enable` without `write` and holds until the next
    read; one access a cycle, which suits single-port SRAM and the UP5K's SPRAM.
    """

    def __init__(self, word_bits: int, words: int) -> None:
        self.word_bits = word_bits
        self.words = words
        port = BankPort(word_bits, words)
        super().__init__({"stage": In(port), "host": In(port)})

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the memory and its arbiter."""
        m = Module()
        m.submodules.cells = cells = memory.Memory(
            shape=unsigned(self.word_bits), depth=self.words, init=[], attrs={SINGLE_PORT: 1}
        )
        read, write = cells.read_port(), cells.write_port()
        stage, host = self.stage, self.host
        address = Mux(host.enable, host.address, stage.address)
        writing = Mux(host.enable, host.write, stage.write)
        m.d.comb += [
            read.addr.eq(address),
            write.addr.eq(address),
            read.en.eq((host.enable | stage.enable) & ~writing),
            write.en.eq((host.enable | stage.enable) & writing),
            write.data.eq(Mux(host.enable, host.write_data, stage.write_data)),
            host.read_data.eq(read.data),
            stage.read_data.eq(read.data),
        ]
        return m

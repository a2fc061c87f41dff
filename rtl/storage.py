"""Memories of the chip. Sizes come from `model.contract.storage`."""

from amaranth.hdl import Elaboratable, Module, Mux, unsigned
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In

from model.contract import storage
from rtl.ports import BankPort

#: An attribute of memories: they never read and write in the same cycle.
SINGLE_PORT = "single_port"
#: An attribute of memories that are to hold something from the start: the bank's name.
LOADED = "loaded"


class Bank(wiring.Component):
    """A single-port memory that a stage shares with the host.

    Members: `stage`, `host` (the host wins; the chip lets it in only while idle).
    Timing: read data shows in the cycle after `enable` without `write` and holds until the next
    read; one access a cycle, which suits single-port SRAM and the UP5K's SPRAM.
    """

    def __init__(self, bank: storage.Bank) -> None:
        self.bank = bank
        port = BankPort(bank.word_bits, bank.words)
        super().__init__({"stage": In(port), "host": In(port)})

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the memory and its arbiter."""
        m = Module()
        bank = self.bank
        attributes: dict[str, int | str] = {SINGLE_PORT: 1}
        # What a platform has `contents` for is there from the start; a reset leaves it alone.
        words = getattr(platform, "contents", {}).get(bank.name, [])
        if words:
            attributes[LOADED] = bank.name
        m.submodules.cells = cells = memory.Memory(
            shape=unsigned(bank.word_bits), depth=bank.words, init=words, attrs=attributes
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

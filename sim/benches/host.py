"""The host behind AXI4-Lite, for test benches: accesses that must be answered, and how."""

import logging
from collections.abc import Iterable
from typing import Any

from cocotb.triggers import with_timeout
from cocotbext.axi import AxiLiteBus, AxiLiteMaster, AxiResp

WORD_BYTES = 4
ALL_BYTES = 0xF
ANSWER_NS = 50_000  #: within which an access must be answered


class Host:
    """Drives `s_axil_*`; `read` and `write` must be answered OKAY, others as they are asked."""

    def __init__(self, dut: Any) -> None:
        logging.getLogger(f"cocotb.{dut._name}.s_axil").setLevel(logging.WARNING)
        self._master = AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst)
        writer, reader = self._master.write_if, self._master.read_if
        self._aw, self._w, self._b = writer.aw_channel, writer.w_channel, writer.b_channel
        self._ar, self._r = reader.ar_channel, reader.r_channel

    def pause(self, idle: list[Iterable[bool]], hold: list[Iterable[bool]]) -> None:
        """Pauses of the channels: address and data of writes, address of reads; both responses."""
        for channel, pauses in zip((self._aw, self._w, self._ar), idle, strict=True):
            channel.set_pause_generator(pauses)
        for channel, pauses in zip((self._b, self._r), hold, strict=True):
            channel.set_pause_generator(pauses)

    async def write(self, addresses: Iterable[int], values: Iterable[int]) -> None:
        """Write each value to its register, one after the other."""
        waiting = []
        for address, value in zip(addresses, values, strict=True):
            data = value.to_bytes(WORD_BYTES, "little")
            waiting.append((address, self._master.init_write(address, data)))
        for address, written in waiting:
            await with_timeout(written.wait(), ANSWER_NS, "ns")
            assert written.data.resp == AxiResp.OKAY, f"writing {address:#x} was refused"

    async def read(self, addresses: Iterable[int]) -> list[int]:
        """Read registers, one after the other."""
        waiting = [(address, self._master.init_read(address, WORD_BYTES)) for address in addresses]
        found = []
        for address, read in waiting:
            await with_timeout(read.wait(), ANSWER_NS, "ns")
            assert read.data.resp == AxiResp.OKAY, f"reading {address:#x} was refused"
            found.append(int.from_bytes(read.data.data, "little"))
        return found

    async def try_write(self, address: int, value: int, strobes: int = ALL_BYTES) -> AxiResp:
        """How a write is answered, at any address and with any bytes of the word."""
        await self._aw.send(self._aw._transaction_obj(awaddr=address, awprot=0))
        await self._w.send(self._w._transaction_obj(wdata=value, wstrb=strobes))
        answer = await with_timeout(self._b.recv(), ANSWER_NS, "ns")
        return AxiResp(answer.bresp)

    async def try_read(self, address: int) -> tuple[AxiResp, int]:
        """How a read is answered, at any address."""
        await self._ar.send(self._ar._transaction_obj(araddr=address, arprot=0))
        answer = await with_timeout(self._r.recv(), ANSWER_NS, "ns")
        return AxiResp(answer.rresp), int(answer.rdata)

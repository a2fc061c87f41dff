"""What all boards have in common: the chip, the byte protocol, and a line to the host."""

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from model.contract.config import ChipConfig
from rtl.chip import Chip
from rtl.host.spi import Spi
from rtl.host.transport import Transport
from rtl.host.uart import Uart


class Core(wiring.Component):
    """A chip that a host reaches through the pins of a line.

    Parameters: `config`; `line`, an `Uart` or a `Spi`. Members: the line's pins.
    """

    def __init__(self, config: ChipConfig, line: Uart | Spi) -> None:
        self._config = config
        self._line = line
        super().__init__(line.PINS)

    def elaborate(self, platform: object) -> Elaboratable:
        """Connect the line to the protocol, and the protocol to the chip."""
        m = Module()
        m.submodules.chip = chip = Chip(self._config)
        m.submodules.transport = transport = Transport()
        m.submodules.line = line = self._line
        wiring.connect(m, line.bytes, transport.line)
        wiring.connect(m, transport.host, chip.host)
        wiring.connect(m, transport.events, chip.events)
        wiring.connect(m, chip.results, transport.results)
        for name, member in line.PINS.items():
            ours, its = getattr(self, name), getattr(line, name)
            m.d.comb += its.eq(ours) if member.flow is In else ours.eq(its)
        return m

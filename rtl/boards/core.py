"""What all boards have in common: the chip, the byte protocol, a line to the host, a camera."""

from amaranth.hdl import Elaboratable, Module
from amaranth.lib import wiring

from model.contract.config import ChipConfig
from rtl.chip import Chip
from rtl.host.aer import Aer, pins
from rtl.host.spi import Spi
from rtl.host.transport import Transport
from rtl.host.uart import Uart
from rtl.ports import pass_on


class Core(wiring.Component):
    """A chip that a host reaches through the pins of a line, and before it, if at all, a camera.

    Parameters: `config`; `line`, an `Uart` or a `Spi`; `tick`, clock cycles a step of time of the
    camera's events, where there is one. Members: the line's pins; `camera_` and the name of each
    pin of `rtl.host.aer`.
    """

    def __init__(self, config: ChipConfig, line: Uart | Spi, tick: int | None = None) -> None:
        self._config = config
        self._line = line
        self._tick = tick
        camera = pins(config) if tick else {}
        super().__init__({**line.PINS, **{f"camera_{pin}": camera[pin] for pin in camera}})

    def elaborate(self, platform: object) -> Elaboratable:
        """Connect the line to the protocol, and the protocol to the chip."""
        m = Module()
        m.submodules.chip = chip = Chip(self._config)
        m.submodules.transport = transport = Transport()
        m.submodules.line = line = self._line
        wiring.connect(m, line.bytes, transport.line)
        wiring.connect(m, transport.host, chip.host)
        if self._tick:
            m.submodules.camera = camera = Aer(self._config, self._tick)
            wiring.connect(m, transport.events, camera.host)
            wiring.connect(m, camera.words, chip.events)
            pass_on(m, self, camera, pins(self._config), "camera_")
        else:
            wiring.connect(m, transport.events, chip.events)
        wiring.connect(m, chip.results, transport.results)
        pass_on(m, self, line, line.PINS)
        return m

"""What boards with an ECP5 have in common: a PLL at the oscillator, a host on a serial line."""

from amaranth.build import Attrs, Pins, Platform, Resource, Subsignal
from amaranth.build.run import BuildPlan
from amaranth.hdl import Const, Instance, Module, Signal
from amaranth.lib import io

from model.contract.config import ChipConfig
from rtl.boards.board import Board
from rtl.host.uart import Uart
from rtl.verilog import Contents

BAUD = 1_000_000


class Ecp5Board(Board):
    """A board whose chip runs from the PLL, its host on a serial line.

    `amaranth_board`, the board as `amaranth_boards` has it; `receive_pin`, `send_pin` of the line,
    as the chip sees it. `oscillator`, the resource; `input_divider`, `multiplier` of its clock: the
    PLL compares the one's share of the oscillator with the other's of its output; `output_divider`
    of the PLL's own oscillator, which must run at 400 to 800 MHz.
    """

    constraints = "lpf"
    line_says = f"{BAUD} baud, 8 bits, no parity, 1 stop bit, on the USB serial port"
    pin_attributes = {"IO_TYPE": "LVCMOS33"}  # noqa: RUF012
    pull_up = {"PULLMODE": "UP"}  # noqa: RUF012
    amaranth_board: type[Platform]
    receive_pin: str
    send_pin: str
    oscillator: str
    input_divider: int
    multiplier: int
    output_divider: int

    def __init__(self, config: ChipConfig | None = None, contents: Contents | None = None) -> None:
        super().__init__(config, contents)
        self.line = Uart(round(self.clock_hz / BAUD))

    def prepare(self) -> BuildPlan:
        return self.platform().prepare(self, self.name, script_after_read=self.plain_memories)

    def platform(self) -> Platform:
        """Amaranth's board, with the host's line and the camera."""
        line = Resource(
            "host",
            0,
            Subsignal("rx", Pins(self.receive_pin)),
            Subsignal("tx", Pins(self.send_pin)),
            Attrs(**self.pin_attributes, **self.pull_up),
        )
        platform = self.amaranth_board()
        platform.add_resources([line, *self.camera])
        return platform

    def start_clock(self, m: Module, platform: Platform, clock: Signal) -> Signal:
        locked = Signal()
        oscillator = io.Buffer("i", platform.request(self.oscillator, 0, dir="-"))
        m.submodules.oscillator = oscillator
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_FEEDBK_PATH="CLKOP",
            p_CLKI_DIV=self.input_divider,
            p_CLKFB_DIV=self.multiplier,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=self.output_divider,
            p_CLKOP_CPHASE=self.output_divider // 2 - 1,
            p_CLKOP_FPHASE=0,
            i_CLKI=oscillator.i,
            i_CLKFB=clock,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_ENCLKOP=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(1),
            i_PHASESTEP=Const(1),
            i_PHASELOADREG=Const(1),
            i_PLLWAKESYNC=Const(0),
            o_CLKOP=clock,
            o_LOCK=locked,
        )
        return locked

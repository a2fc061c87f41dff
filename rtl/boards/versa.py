"""Lattice Versa ECP5-5G: an ECP5-5G with 45,000 tables, the host by the USB port's serial line."""

from amaranth.build import Attrs, Pins, Platform, Resource, Subsignal
from amaranth.build.run import BuildPlan
from amaranth.hdl import Const, Instance, Module, Signal
from amaranth.lib import io
from amaranth_boards.versa_ecp5_5g import VersaECP55GPlatform

from model.contract.presets import preset
from rtl.boards.board import PLAIN_MEMORIES, Board
from rtl.host.uart import Uart

BAUD = 1_000_000
OSCILLATOR_HZ = 100_000_000
# The PLL compares a fifth of the oscillator with a third of its output, a tenth of its own 600 MHz.
INPUT_DIVIDER, MULTIPLIER, OUTPUT_DIVIDER = 5, 3, 10

HOST = Resource(
    "host",
    0,
    Subsignal("rx", Pins("C11")),
    Subsignal("tx", Pins("A11")),
    Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP"),
)


class Versa(Board):
    """`spoon` as the preset has it: 16 lanes, all counters."""

    name = "versa"
    button = "rst"
    nextpnr = ("nextpnr-ecp5", "--um5g-45k", "--package", "CABGA381", "--speed", "8")
    constraints = "lpf"
    clock_hz = OSCILLATOR_HZ * MULTIPLIER / INPUT_DIVIDER

    def __init__(self) -> None:
        self.config = preset("spoon")
        self.line = Uart(round(self.clock_hz / BAUD))
        self.line_says = f"{BAUD} baud, 8 bits, no parity, 1 stop bit, on the USB serial port"

    def prepare(self) -> BuildPlan:
        platform = VersaECP55GPlatform()
        platform.add_resources([HOST])
        return platform.prepare(self, self.name, script_after_read=PLAIN_MEMORIES)

    def start_clock(self, m: Module, platform: Platform, clock: Signal) -> Signal:
        locked = Signal()
        oscillator = io.Buffer("i", platform.request("clk100", 0, dir="-"))
        m.submodules.oscillator = oscillator
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_FEEDBK_PATH="CLKOP",
            p_CLKI_DIV=INPUT_DIVIDER,
            p_CLKFB_DIV=MULTIPLIER,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=OUTPUT_DIVIDER,
            p_CLKOP_CPHASE=OUTPUT_DIVIDER // 2 - 1,
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

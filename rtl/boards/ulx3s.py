"""ULX3S with an ECP5 of 25,000 tables, the host by the USB port's serial line."""

import dataclasses

from amaranth.build import Attrs, Pins, Platform, Resource, Subsignal
from amaranth.build.run import BuildPlan
from amaranth.hdl import Const, Instance, Module, Signal
from amaranth.lib import io
from amaranth_boards.ulx3s import ULX3S_25F_Platform

from model.contract.presets import preset
from rtl.boards.board import Board
from rtl.uart import Uart

BAUD = 1_000_000
OSCILLATOR_HZ = 25_000_000
MULTIPLIER, DIVIDER = 2, 12  #: the PLL's oscillator runs at both times the input: 600 MHz

HOST = Resource(
    "host",
    0,
    Subsignal("rx", Pins("M1")),
    Subsignal("tx", Pins("L4")),
    Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP"),
)

# No memory needs initial contents, and no word is read while it is written.
AFTER_READ = "delete */t:$meminit_v2"
SYNTHESIS = "-no-rw-check"


class Ulx3s(Board):
    """`spoon` with eight lanes and all counters."""

    name = "ulx3s"
    nextpnr = ("nextpnr-ecp5", "--25k", "--package", "CABGA381", "--speed", "6")
    constraints = "lpf"
    clock_hz = OSCILLATOR_HZ * MULTIPLIER

    def __init__(self) -> None:
        self.config = dataclasses.replace(preset("spoon"), lanes=8)
        self.line = Uart(round(self.clock_hz / BAUD))
        self.line_says = f"{BAUD} baud, 8 bits, no parity, 1 stop bit, on the USB serial port"

    def prepare(self) -> BuildPlan:
        platform = ULX3S_25F_Platform()
        platform.add_resources([HOST])
        options = {"script_after_read": AFTER_READ, "synth_opts": SYNTHESIS}
        return platform.prepare(self, self.name, **options)

    def start_clock(self, m: Module, platform: Platform, clock: Signal) -> Signal:
        locked = Signal()
        oscillator = io.Buffer("i", platform.request("clk25", 0, dir="-"))
        m.submodules.oscillator = oscillator
        m.submodules.pll = Instance(
            "EHXPLLL",
            a_ICP_CURRENT="12",
            a_LPF_RESISTOR="8",
            a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2",
            p_FEEDBK_PATH="CLKOP",
            p_CLKI_DIV=1,
            p_CLKFB_DIV=MULTIPLIER,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_DIV=DIVIDER,
            p_CLKOP_CPHASE=DIVIDER // 2 - 1,
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

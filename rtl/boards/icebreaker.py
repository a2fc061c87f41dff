"""iCEBreaker: iCE40 UP5K, the host by SPI on PMOD 1A, a camera on PMOD 1B and 2."""

import dataclasses

from amaranth.build import Attrs, Pins, PinsN, Platform, Resource, Subsignal
from amaranth.build.run import BuildPlan
from amaranth.hdl import Const, Instance, Module, Signal
from amaranth_boards.icebreaker import ICEBreakerPlatform

from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.contract.transport import SPI_CYCLES
from rtl.boards.board import Board
from rtl.host.spi import Spi
from rtl.verilog import Contents

OSCILLATOR_HZ = 12e6
MULTIPLIER, DIVIDER_LOG2 = 56, 5  #: the PLL's oscillator must run at 533 to 1066 MHz

#: The pins of a PMOD as its standard has them for SPI.
HOST = Resource(
    "host",
    0,
    Subsignal("cs", PinsN("1", conn=("pmod", 0))),
    Subsignal("copi", Pins("2", conn=("pmod", 0))),
    Subsignal("cipo", Pins("3", conn=("pmod", 0))),
    Subsignal("sclk", Pins("4", conn=("pmod", 0))),
    Attrs(IO_STANDARD="SB_LVCMOS"),
)

IN_SPRAM = 'setattr -set ram_style "huge" *.synapses.bank/m:cells'
# Multipliers are built from tables, since nextpnr knows no delay through those of the device.
SYNTHESIS = "-device u"


class Icebreaker(Board):
    """`spoon-lite` with two lanes, no counters.

    The weights lie in SPRAM, which holds nothing from the start: those that are given lie in block
    RAM.
    """

    name = "icebreaker"
    button = "button"
    nextpnr = ("nextpnr-ice40", "--up5k", "--package", "sg48")
    constraints = "pcf"
    loader = ("iceprog",)
    free_pins = tuple(f"pmod_{pmod}:{pin}" for pmod in (1, 2) for pin in (1, 2, 3, 4, 7, 8, 9, 10))
    pin_attributes = {"IO_STANDARD": "SB_LVCMOS"}  # noqa: RUF012
    pull_up = {"PULLUP": 1}  # noqa: RUF012
    clock_hz = OSCILLATOR_HZ * MULTIPLIER / 2**DIVIDER_LOG2

    line_says = f"SPI mode 0 on PMOD 1A, at most {clock_hz / SPI_CYCLES / 1e6:.1f} MHz"

    def __init__(self, config: ChipConfig | None = None, contents: Contents | None = None) -> None:
        super().__init__(config, contents)
        self.line = Spi()

    def own_chip(self) -> ChipConfig:
        return dataclasses.replace(preset("spoon-lite"), lanes=2, counters=False)

    def prepare(self) -> BuildPlan:
        platform = ICEBreakerPlatform()
        platform.add_resources([HOST, *self.camera])
        script = self.plain_memories if self.contents else f"{self.plain_memories}; {IN_SPRAM}"
        options = {"script_after_read": script, "synth_opts": SYNTHESIS}
        return platform.prepare(self, self.name, **options)

    def start_clock(self, m: Module, platform: Platform, clock: Signal) -> Signal:
        locked = Signal()
        oscillator = platform.request("clk12", 0, dir="-")
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(0, 4),
            p_DIVF=Const(MULTIPLIER - 1, 7),
            p_DIVQ=Const(DIVIDER_LOG2, 3),
            p_FILTER_RANGE=Const(1, 3),
            i_PACKAGEPIN=oscillator.io,
            i_RESETB=Const(1),
            i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=clock,
            o_LOCK=locked,
        )
        return locked

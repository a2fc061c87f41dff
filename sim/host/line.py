"""A simulated chip at the end of a simulated line: every bit of it crosses the pins of the core.

The core is that of the boards (`rtl.boards.core`): chip, byte protocol, UART or SPI. Its Verilog
is compiled by Verilator around `line_harness.cpp`, which is the host's end of the line. What was
built is kept in the build folder and used again until the Verilog, the harness or a tool changes.
"""

import ctypes
import hashlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Self

from model.cache import kept
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.transport import SPI_CYCLES, UART_CYCLES
from model.progress import stepping
from sim import tools
from sim.simulators.compiled import BUILD

HARNESS = Path(__file__).parent / "line_harness.cpp"
ROOT = Path(__file__).resolve().parents[2]
ADAPTER = ROOT / "sim" / "simulators" / "verilator_adapter.h"

#: Lines, and the clock cycles that a bit takes on each: as fast as they can be.
LINES = {"uart": UART_CYCLES, "spi": SPI_CYCLES}

PATIENCE_CYCLES = 1_000_000  #: of silence, after which nothing is waited for

_U64, _ADDRESS = ctypes.c_uint64, ctypes.c_void_p
_FUNCTIONS: dict[str, tuple[type | None, list[type]]] = {
    "open": (_ADDRESS, [_U64]),
    "close": (None, [_ADDRESS]),
    "send": (None, [_ADDRESS, ctypes.c_char_p, _U64]),
    "listen": (None, [_ADDRESS, _U64]),
    "heard": (_U64, [_ADDRESS, _ADDRESS]),
    "forget": (None, [_ADDRESS]),
    "cycles": (_U64, [_ADDRESS]),
}


def board_files(*arguments: str, choices: str = "") -> str:
    """What `python -m rtl.boards` prints, the same bytes every time.

    Amaranth's names depend on the order of sets, which is settled when Python starts: hence a
    process of its own. Raises `Refusal` with its last line where it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", "rtl.boards", *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONHASHSEED": "0"},
        input=choices,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        trouble = done.stderr.strip().splitlines() or ["it printed nothing"]
        raise Refusal(trouble[-1].removeprefix("error: "))
    return done.stdout


@cache
def core(line: str, choices: str) -> str:
    """The Verilog of a chip (its choices as JSON) behind a line; written once a process."""
    return board_files("core", line, choices=choices)


class SimulatedLine:
    """A core out of reset, behind its line: a `sim.host.remote.Transport`.

    Parameters: `config` of the chip; `line`, one of `LINES`; `seed` of whatever the Verilog leaves
    without a value. `bytes_sent` and `bytes_received` count, idle bytes included. Raises `Refusal`
    for an unknown line, a missing or unfit tool.
    """

    def __init__(self, config: ChipConfig, line: str = "uart", seed: int = 0) -> None:
        self._library = ctypes.CDLL(str(build(config, line)))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._library, f"line_{name}")
            function.restype, function.argtypes = result, arguments
        self._line: int | None = self._library.line_open(seed)
        self.bytes_sent = self.bytes_received = 0

    def close(self) -> None:
        """Give back the memory."""
        if self._line:
            self._library.line_close(self._line)
            self._line = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def cycles(self) -> int:
        """Clock cycles since the simulation began."""
        return int(self._library.line_cycles(self._line))

    def send(self, data: bytes) -> None:
        """Have the bytes sent to the chip, all of them."""
        self.bytes_sent += len(data)
        self._library.line_send(self._line, data, len(data))

    def receive(self) -> bytes:
        """Bytes that came and were not given yet; waits for `PATIENCE_CYCLES` at most."""
        self._library.line_listen(self._line, PATIENCE_CYCLES)
        heard = _ADDRESS()
        count = self._library.line_heard(self._line, ctypes.byref(heard))
        data = ctypes.string_at(heard, count) if count else b""
        self._library.line_forget(self._line)
        self.bytes_received += len(data)
        return data


def build(config: ChipConfig, line: str, folder: Path = BUILD / "lines") -> Path:
    """The shared object of a core and its line, built unless it is in `folder`."""
    if line not in LINES:
        raise Refusal(f"there is no line {line!r}; choose {' or '.join(LINES)}")
    verilog = core(line, json.dumps(config.to_dict()))
    header = (
        f'#define CHIP Vchip\n#include "{ADAPTER}"\n'
        f"#define LINE_{line.upper()}\nconstexpr int CYCLES = {LINES[line]};\n"
    )
    about = (tools.compiled_by("verilator"), verilog, header)
    key = hashlib.sha256(repr(about).encode())
    for source in (HARNESS, ADAPTER):
        key.update(source.read_bytes())

    def make(place: Path) -> Path:
        with stepping("compiling") as step:
            step(f"{config.name} behind {line} with verilator")
            tools.translate("verilator", verilog, "core", place, waves=False)
            (place / "line.h").write_text(header)
            return tools.compile_shared("verilator", HARNESS, place, False)

    return kept(folder / f"{config.name}-{line}-{key.hexdigest()[:16]}.so", make)

"""Compiled simulation: a chip's Verilog in this process, fed in bulk, no Python per cycle.

Verilator or CXXRTL translates the Verilog into C++; `harness.cpp` around it drives the
streams and the host's bus and logs every monitor. What was built is kept in the build folder
and used again until the Verilog, the harness or a tool changes.
"""

import ctypes
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.arith import Codes, Words
from model.cache import build_folder, kept
from model.contract.refusal import Refusal
from model.encode import verdicts
from model.progress import stepping
from sim import tools
from sim.tools.simulators import Code

BUILD = build_folder()
HARNESS = Path(__file__).parent / "harness.cpp"

STREAM_PORTS = ("tdata", "tvalid", "tready", "tlast")
HOST_PORTS = (
    *("awaddr", "awprot", "awvalid", "awready", "wdata", "wstrb", "wvalid", "wready"),
    *("bresp", "bvalid", "bready"),
    *("araddr", "arprot", "arvalid", "arready", "rdata", "rresp", "rvalid", "rready"),
)
PORTS = (
    *("clk", "rst"),
    *(f"{side}_axis_{port}" for side in "sm" for port in STREAM_PORTS),
    *(f"s_axil_{port}" for port in HOST_PORTS),
)

CLOCKED = "@(posedge clk)"  #: where all that has an edge has this one, an edge can be a cycle

WAVE_SAMPLES = 8  #: waves are recorded for so many samples: they are large
MOST_STALLS = 0.95

STUCK, REFUSED = 1, 2  #: outcomes that the harness gives beside 0


@dataclass(frozen=True)
class Monitor:
    """A monitor port of a chip and its width."""

    port: str
    bits: int

    @property
    def words(self) -> int:
        """32-bit words of a row."""
        return -(-self.bits // 32)


@dataclass(frozen=True)
class Log:
    """What a monitor showed: `rows` (n, words) as on the port, `lengths` rows of each sample.

    Rows that no end of a sample followed are the last length.
    """

    rows: NDArray[np.uint32]
    lengths: Codes


# Building


def build(
    simulator: str,
    verilog: str,
    toplevel: str,
    monitors: Sequence[Monitor],
    *,
    waves: bool = False,
    brief: bool = False,
    former: bool = False,
    folder: Path = BUILD / "compiled",
) -> Path:
    """The shared object of a chip, from the text of its Verilog, built unless it is in `folder`.

    `brief` is for a short run of much logic: built sooner, slower. `former` is built as release
    0.1 built it, two evaluations a cycle, to compare with.
    Raises `Refusal` for a missing or unfit tool, and where the Verilog does not build.
    """
    about = (
        tools.compiled_by(simulator, former),
        verilog,
        toplevel,
        monitors,
        waves,
        brief,
        former,
    )
    key = hashlib.sha256(repr(about).encode())
    for source in (HARNESS, HARNESS.with_name(f"{simulator}_adapter.h")):
        key.update(source.read_bytes())
    every = len(re.findall(r"\b(?:pos|neg)edge\b", verilog))
    one_clock = verilog.count(CLOCKED) == every
    edges = tools.has_edges(simulator, former) and not waves and one_clock

    def make(place: Path) -> Path:
        with stepping("compiling") as step:
            step(f"{toplevel} with {simulator}")
            code = tools.translate(simulator, verilog, toplevel, place, waves, edges, former)
            (place / "ports.h").write_text(_ports(simulator, code, monitors, edges))
            return tools.compile_shared(simulator, HARNESS, place, waves, brief, former)

    return kept(folder / f"{toplevel}-{simulator}-{key.hexdigest()[:16]}.so", make)


def _ports(simulator: str, code: Code, monitors: Sequence[Monitor], edges: bool) -> str:
    """The C++ header that tells the harness the names of a chip's pins."""

    def pin(port: str) -> str:
        return f"simulation.pins.{code.pin(port)}"

    visits = (f"VISIT({number}, {pin(monitor.port)})" for number, monitor in enumerate(monitors))
    words = ", ".join(str(monitor.words) for monitor in monitors)
    lines = [
        f"#define CHIP {code.chip}",
        *(["#define EDGES"] if edges else []),
        f'#include "{simulator}_adapter.h"',
        *(f"#define PIN_{port} {pin(port)}" for port in PORTS),
        f"#define MONITORS(VISIT) {' '.join(visits)}",
        f"constexpr uint32_t MONITOR_COUNT = {len(monitors)}, MONITOR_WORDS[] = {{{words}}};",
    ]
    return "\n".join(lines) + "\n"


# Driving

_U64, _ADDRESS = ctypes.c_uint64, ctypes.c_void_p
_FUNCTIONS: dict[str, tuple[type | None, list[type]]] = {
    "open": (_ADDRESS, [_U64, _U64, ctypes.c_int, ctypes.c_char_p, _U64]),
    "close": (None, [_ADDRESS]),
    "feed": (ctypes.c_int, [_ADDRESS, _ADDRESS, _U64, _U64, _U64, _U64]),
    "cut": (None, [_ADDRESS, _ADDRESS, _U64, _U64, _U64, _U64]),
    "rest": (ctypes.c_int, [_ADDRESS]),
    "write": (ctypes.c_int, [_ADDRESS, _ADDRESS, _ADDRESS, _U64, _ADDRESS]),
    "read": (ctypes.c_int, [_ADDRESS, _ADDRESS, _ADDRESS, _U64, _ADDRESS]),
    "cycles": (_U64, [_ADDRESS]),
    "verdicts": (_U64, [_ADDRESS]),
    "results": (_U64, [_ADDRESS, _ADDRESS, _ADDRESS]),
    "rows": (_U64, [_ADDRESS, ctypes.c_uint32, _ADDRESS]),
    "ends": (_U64, [_ADDRESS, ctypes.c_uint32, _ADDRESS]),
    "clear": (None, [_ADDRESS]),
}


class Bench:
    """A chip out of reset, driven by the harness.

    Parameters: `library` from `build`, with the same `monitors`; `patience`, cycles in which
    nothing crosses anywhere after which the chip counts as standing still; `seed` of what the
    Verilog leaves without a value (Verilator alone); `logging` False leaves the monitors unread;
    `waves`, a VCD file for the first `WAVE_SAMPLES` samples, of a library built with waves.
    """

    def __init__(
        self,
        library: Path,
        monitors: Sequence[Monitor],
        *,
        patience: int = 1_000_000,
        seed: int = 0,
        logging: bool = True,
        waves: Path | None = None,
    ) -> None:
        self._library = ctypes.CDLL(str(library))
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._library, f"bench_{name}")
            function.restype, function.argtypes = result, arguments
        self._monitors = monitors
        self._patience = patience
        path = str(waves).encode() if waves else None
        self._bench: int | None = self._call(
            "open", seed, patience, logging, path, WAVE_SAMPLES, bench=False
        )

    def close(self) -> None:
        """Give back the memory; waves are whole from now on."""
        if self._bench:
            self._call("close")
            self._bench = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def cycles(self) -> int:
        """Clock cycles since reset."""
        return self._call("cycles")

    def feed(self, words: Words, stalls: float = 0.0, seed: int = 0) -> None:
        """Send whole samples, (n,) words of which the marks have bit 31 set, and wait for rest.

        In a cycle the source pauses, and the sink is not ready, with a chance of `stalls` each;
        `seed` is theirs. Raises `Refusal` naming the sample where the chip stands still.
        """
        chance = _chance(stalls)
        words = np.ascontiguousarray(words, dtype=np.uint32)
        before, samples = self._call("verdicts"), verdicts(words)
        if self._call("feed", words.ctypes.data, len(words), samples, chance, seed):
            raise Refusal(
                f"the chip stood still for {self._patience} cycles in sample "
                f"{self._call('verdicts') - before} of the {samples} it was given"
            )

    def cut(self, words: Words, cycles: int, stalls: float = 0.0, seed: int = 0) -> None:
        """Send words for so many cycles, meddle with the host's bus, and reset in their middle."""
        words = np.ascontiguousarray(words, dtype=np.uint32)
        self._call("cut", words.ctypes.data, len(words), cycles, _chance(stalls), seed)

    def rest(self) -> None:
        """Wait until the chip holds no work. Raises `Refusal` where it never does."""
        if self._call("rest"):
            raise Refusal(f"the chip was still busy after {self._patience} cycles")

    def write(self, addresses: ArrayLike, values: ArrayLike) -> None:
        """Write each value (n,) to its register (n,) or to one for all.

        Raises `Refusal` naming the address where the chip answers with an error or not at all.
        """
        values = np.ascontiguousarray(values, dtype=np.uint32)
        self._access("write", np.broadcast_to(addresses, values.shape), values)

    def read(self, addresses: ArrayLike) -> NDArray[np.uint32]:
        """Read each register (n,). Raises `Refusal` as `write` does."""
        places = np.atleast_1d(np.asarray(addresses))
        values = np.empty(places.shape, dtype=np.uint32)
        self._access("read", places, values)
        return values

    def results(self) -> tuple[Words, NDArray[np.bool_]]:
        """Output words since the last `clear`, and which came with tlast."""
        words, lasts = _ADDRESS(), _ADDRESS()
        count = self._call("results", ctypes.byref(words), ctypes.byref(lasts))
        return _array(words, count, np.uint32), _array(lasts, count, np.uint8).astype(bool)

    def log(self, monitor: int) -> Log:
        """What the monitor of that number showed since the last `clear`."""
        words, ends = _ADDRESS(), _ADDRESS()
        width = self._monitors[monitor].words
        rows = self._call("rows", monitor, ctypes.byref(words))
        samples = self._call("ends", monitor, ctypes.byref(ends))
        lengths = np.diff(_array(ends, samples, np.int64), prepend=0)
        surplus = rows - int(lengths.sum())
        if surplus:
            lengths = np.append(lengths, surplus)
        return Log(_array(words, rows * width, np.uint32).reshape(rows, width), lengths)

    def clear(self) -> None:
        """Forget results and logs."""
        self._call("clear")

    def _call(self, name: str, *arguments: object, bench: bool = True) -> int:
        function = getattr(self._library, f"bench_{name}")
        return function(self._bench, *arguments) if bench else function(*arguments)

    def _access(self, way: str, places: ArrayLike, values: NDArray[np.uint32]) -> None:
        addresses, done = np.ascontiguousarray(places, dtype=np.uint32), _U64()
        outcome = self._call(
            way, addresses.ctypes.data, values.ctypes.data, len(values), ctypes.byref(done)
        )
        if outcome:
            trouble = "refused it" if outcome == REFUSED else "did not answer"
            address = int(addresses[done.value])
            raise Refusal(f"the chip was to {way} register 0x{address:03x} and {trouble}")


def _chance(stalls: float) -> int:
    """A chance in parts of 2**32."""
    if not 0 <= stalls <= MOST_STALLS:
        raise Refusal(f"stalls must be a chance of 0 to {MOST_STALLS}, not {stalls}")
    return round(stalls * 2**32)


def _array(address: ctypes.c_void_p, count: int, kind: type[np.generic]) -> np.ndarray:
    """A copy of `count` elements in the harness's memory."""
    if not count:
        return np.empty(0, dtype=kind)
    size = count * np.dtype(kind).itemsize
    return np.frombuffer(ctypes.string_at(address, size), dtype=kind)

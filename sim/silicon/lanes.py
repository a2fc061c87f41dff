"""64 samples at once through a mapped netlist, one in each bit of a word, every toggle counted.

A lane is a chip of its own, with a state of its own: where a model's training passes through a
state, a lane starts there. The host's bus loads all lanes in step; samples then take as long as
each takes. Counts of toggles, kept by net and lane, are all that stays: no waves.
"""

import ctypes
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.arith import Words
from model.cache import kept
from model.contract import registers
from model.contract.refusal import Refusal
from model.contract.timing import sample_cycles
from model.state import State
from sim import tools
from sim.silicon.liberty import Cell, Library
from sim.silicon.mapped import ONE, OPEN, Memory, Netlist
from sim.simulators.compiled import BUILD
from sim.simulators.host import HostChip, Read, Write

LANES = 64
SOURCE = Path(__file__).parent / "lanes.cpp"
QUIET_CYCLES = 64  #: after so many without a toggle a lane rests: it has no counter that runs on

_WRITE = ("awaddr", "awvalid", "wdata", "wvalid", "bready", "awready", "wready", "bvalid", "bresp")
_READ = ("araddr", "arvalid", "rready", "arready", "rvalid", "rresp", "rdata")
_FEED = (
    *("s_axis_tdata", "s_axis_tvalid", "s_axis_tready", "s_axis_tlast"),
    *("m_axis_tdata", "m_axis_tvalid", "m_axis_tready"),
)

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Activity:
    """What a run of samples toggled.

    `toggles` (nets, lanes); `duty` (nets), the share of cycles a net is one; `reads`, `writes`
    (memories, lanes); `cycles` (lanes) from a sample's first word to its last toggle; `results`,
    the words that came out of each lane.
    """

    toggles: Counts
    duty: NDArray[np.float64]
    reads: Counts
    writes: Counts
    cycles: Counts
    results: list[Words]

    @property
    def sha256(self) -> str:
        """A hash over all counts."""
        digest = hashlib.sha256()
        for counts in (self.toggles, self.reads, self.writes, self.cycles):
            digest.update(np.ascontiguousarray(counts, "<i8").data)
        return digest.hexdigest()


def kinds(library: Library) -> list[Cell]:
    """Cells that a netlist may be simulated with: gates whose outputs are functions of inputs."""
    found = []
    for name in library.names:
        cell = library.cell(name)
        inputs = {pin.name for pin in cell.inputs}
        functions = [pin.function for pin in cell.outputs]
        if functions and all(each is not None and each.pins <= inputs for each in functions):
            found.append(cell)
    return found


def _source(library: Library) -> str:
    """C++ of every kind of gate."""
    names, lines = [], []
    for number, cell in enumerate(kinds(library)):
        pins = [*cell.inputs, *cell.outputs]
        at = {pin.name: f"from[pin[{n}]]" for n, pin in enumerate(pins)}
        lines.append(
            f"void kind{number}(const Word* from, Word* to, const uint32_t* pin, uint32_t count) {{"
            f"  // {cell.name}\n    for (; count--; pin += {len(pins)}) {{"
        )
        for n, pin in enumerate(cell.outputs, len(cell.inputs)):
            if pin.function is not None:
                lines.append(f"        to[pin[{n}]] = {pin.function.written(at)};")
        lines.append("    }\n}")
        names.append((f"kind{number}", len(pins)))
    lines += [
        "using Kind = void (*)(const Word*, Word*, const uint32_t*, uint32_t);",
        f"constexpr Kind KINDS[] = {{{', '.join(name for name, _ in names)}}};",
        f"constexpr uint32_t PINS[] = {{{', '.join(str(pins) for _, pins in names)}}};",
    ]
    return "\n".join(lines) + "\n"


def _library(library: Library) -> ctypes.CDLL:
    """The simulator with the functions of a library's cells, built unless it is there."""
    text = _source(library)
    about = (text, SOURCE.read_text(), tools.require("g++").version)
    key = hashlib.sha256("\0".join(about).encode()).hexdigest()[:16]

    def make(folder: Path) -> Path:
        (folder / "kinds.h").write_text(text)
        flags = ["-std=c++17", "-O2", "-march=native", "-fPIC", "-shared", "-fvisibility=hidden"]
        flags += [f"-I{folder}", "-o", "lanes.so"]
        tools.call(tools.require("g++"), [*flags, SOURCE], folder)
        return folder / "lanes.so"

    found = ctypes.CDLL(str(kept(BUILD / "lanes" / f"lanes-{key}.so", make)))
    for name in ("cycles", "steps", "results"):
        getattr(found, f"lanes_{name}").restype = ctypes.c_uint64
    found.lanes_open.restype = ctypes.c_void_p
    return found


class LaneChip:
    """A mapped netlist, 64 times side by side, out of reset.

    `seed` is of what memories and flip-flops hold before the reset.
    """

    def __init__(self, netlist: Netlist, seed: int = 0) -> None:
        self.netlist = netlist
        self._library = _library(netlist.library)
        runs, pins = _runs(netlist)
        flip_flops = _flip_flops(netlist)
        memories = np.array([n for m in netlist.memories for n in _memory(m)], np.uint32)
        self._held = (runs, pins, flip_flops, memories)  # the simulator points into them
        self._chip: ctypes.c_void_p | None = ctypes.c_void_p(
            self._library.lanes_open(
                netlist.nets, _at(runs), len(runs), _at(pins), _at(flip_flops), len(flip_flops),
                _at(memories), len(netlist.memories), ctypes.c_uint64(seed),
            )
        )  # fmt: skip
        self._nets = {name: np.array(nets, np.uint32) for name, nets in netlist.ports.items()}
        self._reset()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the memory."""
        if self._chip:
            self._library.lanes_close(self._chip)
            self._chip = None

    def load(self, states: Sequence[State]) -> None:
        """Write a state (lanes) into each lane."""
        config = self.netlist.config
        written: list[list[tuple[ArrayLike, ArrayLike]]] = [[] for _ in states]
        for lane, state in enumerate(states):
            host = HostChip(config, self._lane_reader(lane), _scribe(written[lane]))
            host.load(state)
        spread = [_spread(*each) for each in written[0]]
        addresses = np.concatenate([places for places, _ in spread])
        values = np.stack(
            [np.concatenate([_spread(*each)[1] for each in lane]) for lane in written], axis=1
        )
        values = np.ascontiguousarray(values)
        if self._bus("write", _WRITE, addresses, values):
            raise Refusal(f"the netlist of {config.name} refuses what its host writes")

    def states(self) -> list[State]:
        """Read the states of all lanes back."""
        config, found = self.netlist.config, []
        seen: list[NDArray[np.uint32]] = []

        def look(addresses: ArrayLike) -> NDArray[np.uint32]:
            seen.append(self._read(addresses))
            return seen[-1][:, 0]

        HostChip(config, look, self._write).state()
        for lane in range(LANES):
            replies = iter([each[:, lane] for each in seen])
            found.append(HostChip(config, lambda _: next(replies), _nothing).state())  # noqa: B023
        return found

    def _lane_reader(self, lane: int) -> Read:
        return lambda addresses: self._read(addresses)[:, lane]

    def run(self, words: Sequence[Words], unit_delay: bool = False) -> Activity:
        """Send each lane its words and wait until all rest.

        With `unit_delay` each gate takes a unit of time, so glitches are counted.
        Raises `Refusal` where a lane never rests.
        """
        config = self.netlist.config
        whole = np.ascontiguousarray(np.concatenate(words), np.uint32)
        ends = np.cumsum([len(each) for each in words], dtype=np.uint64)
        ports = (ctypes.c_void_p * 7)(*(self._nets[name].ctypes.data for name in _FEED))
        most = 20_000 + 4 * sample_cycles(config) * max(1, max(map(len, words)) // 100)
        outcome = self._library.lanes_feed(
            self._chip, ctypes.byref(ports), _at(whole), _at(ends), ctypes.c_uint64(QUIET_CYCLES),
            ctypes.c_uint64(most), ctypes.c_uint64(2**64 - 1), int(unit_delay),
        )  # fmt: skip
        if outcome:
            raise Refusal(f"the netlist of {config.name} was still at work after {most:,} cycles")
        return self._counted()

    def _counted(self) -> Activity:
        pointers = [ctypes.c_void_p() for _ in range(4)]
        self._library.lanes_counted(self._chip, *map(ctypes.byref, pointers))
        nets = self.netlist.nets
        toggles = _array(pointers[0], nets * LANES, np.uint32).reshape(nets, LANES)
        moved, began = (_array(pointer, LANES, np.uint64) for pointer in pointers[2:])
        cycles = (moved - began).astype(np.int64)
        window = LANES * (int(cycles.max()) + QUIET_CYCLES + 1)
        duty = _array(pointers[1], nets, np.uint64) / window
        duty[ONE] = 1.0
        reads, writes = [], []
        for number in range(len(self.netlist.memories)):
            both = [ctypes.c_void_p(), ctypes.c_void_p()]
            self._library.lanes_accesses(self._chip, number, *map(ctypes.byref, both))
            reads.append(_array(both[0], LANES, np.uint64))
            writes.append(_array(both[1], LANES, np.uint64))
        results = []
        for lane in range(LANES):
            words = ctypes.c_void_p()
            count = self._library.lanes_results(self._chip, lane, ctypes.byref(words))
            results.append(_array(words, count, np.uint32))
        return Activity(
            toggles.astype(np.int64), duty, np.array(reads, np.int64).reshape(-1, LANES),
            np.array(writes, np.int64).reshape(-1, LANES), cycles, results,
        )  # fmt: skip

    def _reset(self) -> None:
        self._put("rst", 1)
        self._put("s_axil_wstrb", 15)
        for _ in range(4):
            self._library.lanes_settle(self._chip)
            self._library.lanes_rise(self._chip)
        self._put("rst", 0)
        while self._read(registers.STATUS)[0, 0] & 1:
            pass  # it clears its working storage

    def _put(self, port: str, value: int) -> None:
        values = np.full(LANES, value, np.uint32)
        nets = self._nets[port]
        self._library.lanes_put(self._chip, _at(nets), len(nets), _at(values))

    def _read(self, addresses: ArrayLike) -> NDArray[np.uint32]:
        """Registers (n,) of all lanes: (n, lanes)."""
        places = np.atleast_1d(np.asarray(addresses)).astype(np.uint32)
        values = np.empty((len(places), LANES), np.uint32)
        if self._bus("read", _READ, places, values):
            raise Refusal(f"the netlist of {self.netlist.config.name} answers its host in error")
        return values

    def _write(self, addresses: ArrayLike, values: ArrayLike) -> None:
        """The same values (n,) to registers of all lanes."""
        places, told = _spread(addresses, values)
        same = np.ascontiguousarray(np.repeat(told[:, None], LANES, axis=1))
        if self._bus("write", _WRITE, places, same):
            raise Refusal(f"the netlist of {self.netlist.config.name} refuses what its host writes")

    def _bus(
        self,
        way: str,
        names: tuple[str, ...],
        places: NDArray[np.uint32],
        values: NDArray[np.uint32],
    ) -> int:
        places = np.ascontiguousarray(places)
        nets = [self._nets[f"s_axil_{name}"] for name in names]
        bus = (ctypes.c_void_p * len(nets))(*(each.ctypes.data for each in nets))
        bits = np.array([len(each) for each in nets], np.uint32)
        function = getattr(self._library, f"lanes_{way}")
        count = ctypes.c_uint64(len(places))
        return int(function(self._chip, bus, _at(bits), _at(places), _at(values), count))


def _runs(netlist: Netlist) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Gates by depth and kind: (runs, 2) of kind and count, and the nets of their pins in a row."""
    numbers = {cell.name: number for number, cell in enumerate(kinds(netlist.library))}
    order = sorted(netlist.order, key=lambda pair: (pair[1], numbers[pair[0].cell.name]))
    runs: list[list[int]] = []
    pins: list[int] = []
    last = None
    for gate, depth in order:
        kind = numbers[gate.cell.name]
        if (depth, kind) != last:
            runs.append([kind, 0])
            last = depth, kind
        runs[-1][1] += 1
        pins += [gate.nets[pin.name] for pin in (*gate.cell.inputs, *gate.cell.outputs)]
    return np.array(runs, np.uint32), np.array(pins, np.uint32)


def _flip_flops(netlist: Netlist) -> NDArray[np.uint32]:
    """(flip-flops, 3): the nets of what comes next, of the output, of its inverse."""
    found = []
    for gate in netlist.gates:
        if not gate.is_flip_flop:
            continue
        state = gate.cell.state
        if gate.nets[state["clocked_on"]] != netlist.clock or state["next_state"] not in gate.nets:
            raise Refusal(f"{gate.name} is a {gate.cell.name}, which is not simulated here")
        nets = {pin.function.pin: gate.nets[pin.name] for pin in gate.cell.outputs if pin.function}
        outputs = [nets.get(state[name], OPEN) for name in ("state", "inverse")]
        found.append([gate.nets[state["next_state"]], *outputs])
    return np.array(found, np.uint32)


def _memory(memory: Memory) -> list[int]:
    """Depth, width, address bits, ports, and the nets in the simulator's order."""
    nets, ways = memory.nets, ("read_", "write_") if memory.two_ports else ("",)
    addresses = [nets[f"{way}address"] for way in ways]
    enables = ("read_enable", "write_enable") if memory.two_ports else ("enable", "write")
    told = [memory.depth, memory.width, len(addresses[0]), int(memory.two_ports)]
    told += [nets[name][0] for name in enables]
    told += [net for address in addresses for net in address]
    told += nets["write_data"]
    read = nets.get("read_data", ())
    return [*told, *read, *[OPEN] * (memory.width - len(read))]


def _spread(addresses: ArrayLike, values: ArrayLike) -> tuple[NDArray[np.uint32], ...]:
    """Each value (n,) with an address (n,) of its own."""
    told = np.atleast_1d(np.asarray(values)).astype(np.uint32)
    return np.broadcast_to(np.asarray(addresses), told.shape).astype(np.uint32), told


def _at(array: NDArray[np.generic]) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def _array(address: ctypes.c_void_p, count: int, kind: type[np.generic]) -> np.ndarray:
    """A copy of `count` elements in the simulator's memory."""
    if not count:
        return np.empty(0, kind)
    return np.frombuffer(ctypes.string_at(address, count * np.dtype(kind).itemsize), kind)


def _scribe(log: list[tuple[ArrayLike, ArrayLike]]) -> Write:
    """What a host writes goes into a log."""
    return lambda addresses, values: log.append((addresses, values))


def _nothing(addresses: ArrayLike, values: ArrayLike) -> None:
    """What a host writes goes nowhere."""

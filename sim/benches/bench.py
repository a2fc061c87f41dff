"""What all test benches of single components share: cases, and how they are replayed.

A `Case` says what goes into a component and what must come out. It is made from the model outside
of the simulator, handed over by `run`, and replayed inside by `replay`, which knows nothing of the
model: it drives, watches and compares bits.
"""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge

from model.contract.artifact import write_json, write_text
from rtl.emit import emit_component
from sim.benches.drivers import Monitor, Sink, Source, in_bursts, known, randomly, reset, start
from sim.tools import Results, run_bench

VECTORS = "BENCH_VECTORS"  #: environment variable that holds the path of the vectors

#: Patterns of pauses by name.
PAUSES: dict[str, Callable[[int], Iterable[bool]]] = {
    "none": lambda seed: (),
    "half": lambda seed: randomly(0.5, seed),
    "bursts": lambda seed: in_bursts(0.7, 20, seed),
}

#: Pauses of sources crossed with those of sinks.
CROSSED = (
    ("idle", "hold"),
    [("none", "none"), ("none", "half"), ("half", "none"), ("half", "half"), ("bursts", "bursts")],
)

Bits = tuple[int, int]
"""What is expected of some bits: their value, and a mask of those that matter."""


@dataclass
class Case:
    """What goes into a component, and what must come out; ports by name, payloads as integers.

    Plain values only, since it crosses into the simulator as JSON.
    """

    inputs: dict[str, list[int]] = field(default_factory=dict)  #: payloads of streams
    outputs: dict[str, list[Bits]] = field(default_factory=dict)  #: payloads of streams
    #: Streams that answer others: the other's name, the payloads sent after each transfer of it
    answers: dict[str, tuple[str, list[list[int]]]] = field(default_factory=dict)
    monitors: dict[str, list[Bits]] = field(default_factory=dict)  #: beats, heads included
    banks: dict[str, list[int]] = field(default_factory=dict)  #: words before
    banks_after: dict[str, list[int]] = field(default_factory=dict)
    seeds: dict[str, int] = field(default_factory=dict)  #: LFSR states before
    seeds_after: dict[str, int] = field(default_factory=dict)
    counters: list[tuple[str, int]] = field(default_factory=list)  #: names and bits in `count`
    counts: dict[str, int] = field(default_factory=dict)  #: totals of counters
    pulses: dict[str, int] = field(default_factory=dict)  #: signals and in how many cycles high
    pins: dict[str, int] = field(default_factory=dict)  #: inputs that stay as they are
    #: Cycles from each end of a sample to the next on a stream, where nothing pauses
    cycles: dict[str, list[int]] = field(default_factory=dict)


def run(
    simulator: str,
    component: Any,
    name: str,
    module: str,
    vectors: Mapping[str, Any],
    folder: Path,
) -> Results:
    """Run the bench `module` on a component's Verilog, with vectors that it finds by `read`.

    Raises as `sim.tools.run_bench` does.
    """
    verilog = folder / f"{name}.v"
    write_text(verilog, emit_component(component, name, _ports(component)))
    write_json(folder / "vectors.json", vectors)
    variables = {VECTORS: str(folder / "vectors.json")}
    return run_bench(simulator, [verilog], name, module, folder, environment=variables)


def _ports(component: Any) -> list[Any]:
    """A component's ports, but for the constant `ready` of a stream that is always ready."""
    members = (member for _, _, member in component.signature.flatten(component))
    values = [getattr(member, "as_value", lambda member=member: member)() for member in members]
    return [value for value in values if hasattr(value, "name")]


def read() -> dict[str, Any]:
    """The vectors, inside the simulator."""
    return json.loads(Path(os.environ[VECTORS]).read_text())


def compare(where: str, expected: Sequence[Bits], got: Sequence[int]) -> None:
    """Assert that the bits that matter are equal, all of them."""
    for place, ((value, mask), bits) in enumerate(zip(expected, got, strict=False)):
        assert bits & mask == value & mask, (
            f"{where}, {place}: expected {value & mask:#x}, got {bits & mask:#x} of {mask:#x}"
        )
    assert len(got) == len(expected), f"{where}: expected {len(expected)}, got {len(got)}"


def monitored(port: Any) -> int | None:
    """The beat that a monitor port shows in this cycle, if any; of an end nothing but the head."""
    bits = str(port.value)
    crosses, ends = bits[-1], bits[-2]
    assert crosses in "01", f"{port._path} is {bits}"
    if crosses == "0":
        return None
    if ends == "1":
        return 0b11
    assert set(bits) <= {"0", "1"}, f"{port._path} is {bits}"
    return int(bits, 2)


class Watch:
    """Totals of what shows beside the streams, cycle by cycle: counts, monitors, pulses."""

    def __init__(self, dut: Any, case: Case) -> None:
        self.counts: Counter[str] = Counter()
        self.pulses: Counter[str] = Counter()
        self.monitors: dict[str, list[int]] = {port: [] for port in case.monitors}
        self._fields = []
        place = 0
        for name, bits in case.counters:
            self._fields.append((name, place, (1 << bits) - 1))
            place += bits
        self._case = case
        cocotb.start_soon(self._run(dut))

    async def _run(self, dut: Any) -> None:
        await FallingEdge(dut.rst)
        ports = [(beats, getattr(dut, port)) for port, beats in self.monitors.items()]
        lines = [(name, getattr(dut, name)) for name in self._case.pulses]
        while True:
            await RisingEdge(dut.clk)
            for beats, port in ports:
                beat = monitored(port)
                if beat is not None:
                    beats.append(beat)
            for name, line in lines:
                self.pulses[name] += known(line)
            if self._fields:
                self._count(dut.count.value.to_unsigned())

    def _count(self, steps: int) -> None:
        if steps:
            for name, place, mask in self._fields:
                self.counts[name] += steps >> place & mask

    def compare(self) -> None:
        """Assert that everything is as the case says."""
        for port, expected in self._case.monitors.items():
            compare(port, expected, self.monitors[port])
        for name, total in self._case.counts.items():
            assert self.counts[name] == total, f"{name}: expected {total}, got {self.counts[name]}"
        for name, cycles in self._case.pulses.items():
            assert self.pulses[name] == cycles, (
                f"{name}: expected {cycles} cycles, got {self.pulses[name]}"
            )


async def replay(dut: Any, name: str, idle: str, hold: str, within_cycles: int = 100_000) -> None:
    """Replay a case, its sources under the pauses `idle`, its sinks under `hold`.

    Asserts that all outputs, monitors, counts, banks and seeds are as the case says, that nothing
    is left over, and that the component comes to rest. Before, work is begun and cut off by a
    reset, which must leave no trace.
    """
    case = Case(**read()[name])
    await _soil(dut, case)
    watch = Watch(dut, case)
    sources = {
        port: Source(dut, port, PAUSES[idle](place))
        for place, port in enumerate([*case.inputs, *case.answers])
    }
    sinks = {
        port: Sink(dut, port, PAUSES[hold](100 + place)) for place, port in enumerate(case.outputs)
    }
    await reset(dut)
    await _seed(dut, case)
    for port, (asked, payloads) in case.answers.items():
        cocotb.start_soon(_answer(sources[port], sinks[asked], payloads))
    for port, queued in case.inputs.items():
        sources[port].send(queued)
    for port, beats in case.outputs.items():
        got = await sinks[port].take(len(beats), within_cycles)
        compare(port, beats, got)
    await rest(dut, within_cycles)
    for driver in (*sources.values(), *sinks.values()):
        driver.finish()
    watch.compare()
    if idle == hold == "none":
        for port, cycles in case.cycles.items():
            took = _between_ends(sinks[port])
            assert took == cycles, f"{port}: expected {cycles} cycles, got {took}"
    await _compare_held(dut, case)


async def _soil(dut: Any, case: Case) -> None:
    """Start the clock, write the banks, and feed the first payload of every input for a while."""
    levels = dict(case.pins)
    levels |= {f"{port}__enable": 0 for port in {**case.banks, **case.banks_after}}
    levels |= {f"{port}__write": 0 for port in {**case.seeds, **case.seeds_after}}
    levels |= {f"{port}__valid": 0 for port in {**case.inputs, **case.answers}}
    for name, level in levels.items():
        getattr(dut, name).value = level
    await start(dut)
    for port, words in case.banks.items():
        getattr(dut, f"{port}__write").value = 1
        getattr(dut, f"{port}__enable").value = 1
        for address, word in enumerate(words):
            getattr(dut, f"{port}__address").value = address
            getattr(dut, f"{port}__write_data").value = word
            await RisingEdge(dut.clk)
        getattr(dut, f"{port}__enable").value = 0
    for port, payloads in case.inputs.items():
        getattr(dut, f"{port}__payload").value = payloads[0]
        getattr(dut, f"{port}__valid").value = 1
    await ClockCycles(dut.clk, 60)


async def _seed(dut: Any, case: Case) -> None:
    for port, state in case.seeds.items():
        getattr(dut, f"{port}__data").value = state
        getattr(dut, f"{port}__write").value = 1
        await RisingEdge(dut.clk)
        getattr(dut, f"{port}__write").value = 0


async def _answer(source: Source, asked: Monitor, payloads: list[list[int]]) -> None:
    for place, answer in enumerate(payloads):
        while len(asked.transfers) <= place:
            await RisingEdge(source.clk)
        source.send(answer)


async def rest(dut: Any, within_cycles: int) -> None:
    """Wait until the component is no longer busy, and some cycles more for what should not come."""
    for _ in range(within_cycles):
        if not known(dut.busy):
            break
        await RisingEdge(dut.clk)
    await ClockCycles(dut.clk, 40)
    assert not known(dut.busy), f"the component is still busy after {within_cycles} cycles"


def _between_ends(stream: Monitor) -> list[int]:
    """Cycles from each beat with its lowest bit set to the next."""
    ends = [
        cycle for cycle, payload in zip(stream.cycles, stream.transfers, strict=True) if payload & 1
    ]
    return [after - before for before, after in pairwise(ends)]


async def _compare_held(dut: Any, case: Case) -> None:
    """Read banks and seeds back."""
    for port, words in case.banks_after.items():
        getattr(dut, f"{port}__write").value = 0
        getattr(dut, f"{port}__enable").value = 1
        for address, word in enumerate(words):
            getattr(dut, f"{port}__address").value = address
            await ClockCycles(dut.clk, 2)
            found = getattr(dut, f"{port}__read_data").value.to_unsigned()
            assert found == word, f"{port}, word {address}: expected {word:#x}, got {found:#x}"
        getattr(dut, f"{port}__enable").value = 0
    for port, state in case.seeds_after.items():
        found = getattr(dut, f"{port}__state").value.to_unsigned()
        assert found == state, f"{port}: expected {state:#x}, got {found:#x}"

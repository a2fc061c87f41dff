"""Test benches: Verilog built by a simulator, and a cocotb bench run on it."""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from model.contract.refusal import Refusal
from sim.tools.compiled import OBJCACHE
from sim.tools.recipes import require
from sim.tools.simulators import DRIVEN, SIMULATORS, Driven
from sim.tools.tool import Tool, surroundings, trouble


class BenchFailure(Refusal):
    """A test bench that did not build, failed, or ran no test."""


@dataclass(frozen=True)
class BenchTest:
    """A test of a bench, passed."""

    name: str
    seconds: float
    nanoseconds: float  # simulated


@dataclass(frozen=True)
class Results:
    """A bench of which at least one test ran and every test that ran passed."""

    simulator: Tool
    tests: tuple[BenchTest, ...]
    log: Path
    waves: Path | None  # a VCD file


def run_bench(
    simulator: str,
    sources: Sequence[Path],
    toplevel: str,
    module: str,
    build_dir: Path,
    *,
    testcase: str | Sequence[str] = (),
    waves: bool = False,
    parameters: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    seed: int = 0,
) -> Results:
    """Build Verilog and run the cocotb tests of the Python module `module` on it.

    The build lies in `build_dir`/verilator or /icarus, with -waves behind it where waves are asked
    for, which is another program; Verilog that did not change is not compiled again. `testcase`
    names one test or several (default: all). `environment` holds variables for the bench to read.
    `seed` seeds cocotb's random numbers, and the random values that Verilator gives to everything
    the Verilog leaves without an initial value. A folder serves one bench at a time, and so does
    a process, for its environment variables are changed while the bench runs.

    Raises `Refusal` for a simulator that is missing or unfit, and `BenchFailure` where the Verilog
    does not build, a test fails, a named test is not there, no test ran or results are missing.
    """
    driven = SIMULATORS[simulator].driven if simulator in SIMULATORS else None
    if driven is None:
        raise Refusal(f"there is no simulator {simulator!r}; choose {' or '.join(DRIVEN)}")
    tool = require(simulator)
    names = (testcase,) if isinstance(testcase, str) else tuple(testcase)
    folder = Path(build_dir).resolve() / (f"{simulator}-waves" if waves else simulator)
    folder.mkdir(parents=True, exist_ok=True)
    verilog = [Path(source) for source in sources]
    bench = _Bench(tool, driven, verilog, toplevel, module, folder, waves)
    with bench.environment():
        bench.build(parameters or {})
        bench.run(names, environment or {}, seed)
    return Results(tool, bench.passed(names), bench.log, bench.waves_file if waves else None)


@dataclass(frozen=True)
class _Bench:
    """One bench on one simulator, in one folder."""

    simulator: Tool
    driven: Driven
    sources: Sequence[Path]
    toplevel: str
    module: str
    folder: Path
    waves: bool

    @property
    def log(self) -> Path:
        return self.folder / "bench.log"

    @property
    def waves_file(self) -> Path:
        return self.folder / "waves.vcd"

    @property
    def results_file(self) -> Path:
        return self.folder / "results.xml"

    @contextmanager
    def environment(self) -> Iterator[None]:
        """Have the bench's variables in this process, where cocotb's runner looks for them."""
        before = dict(os.environ)
        variables = {
            **self.simulator.environment,
            **require("libpython").environment,
            "PATH": f"{self.simulator.path.parent}{os.pathsep}{before['PATH']}",
            "COCOTB_ANSI_OUTPUT": "0",
        }
        cache = " ".join(map(str, OBJCACHE))
        variables["OBJCACHE"] = f"{sys.executable} -I {cache}"  # in front of Verilator's compiler
        if self.waves and self.driven.suffix:
            variables["SIM_CMD_SUFFIX"] = self.driven.suffix
        try:
            _replace_environment(surroundings(variables))
            yield
        finally:
            _replace_environment(before)

    def build(self, parameters: Mapping[str, object]) -> None:
        """Compile the Verilog into a simulation."""
        from cocotb_tools.runner import get_runner

        more, arguments = self.driven.build(self.folder, self.toplevel, self.waves)
        log = self.folder / "build.log"
        try:
            get_runner(self.simulator.name).build(
                sources=[*self.sources, *more],
                hdl_toplevel=self.toplevel,
                parameters=parameters,
                build_args=arguments,
                build_dir=self.folder,
                always=True,
                timescale=("1ns", "1ps"),
                waves=self.waves and self.driven.traces,
                log_file=log,
            )
        except RuntimeError:
            told = trouble(log.read_text())
            raise BenchFailure(
                f"{self.simulator.name} cannot build {self.toplevel}: {told} (all of it: {log})"
            ) from None

    def run(self, names: Sequence[str], environment: Mapping[str, str], seed: int) -> None:
        """Run the tests; how they went stands in the results file, for exit codes have lied."""
        from cocotb_tools.runner import get_runner

        arguments, plusargs = self.driven.run(self.waves_file, seed, self.waves)
        for stale in (self.results_file, self.waves_file):
            stale.unlink(missing_ok=True)
        with suppress(RuntimeError):
            get_runner(self.simulator.name).test(
                test_module=self.module,
                hdl_toplevel=self.toplevel,
                hdl_toplevel_lang="verilog",
                test_filter=rf"\.({'|'.join(map(re.escape, names))})(/.*)?$" if names else None,
                seed=seed,
                test_args=arguments,
                plusargs=plusargs,
                extra_env=environment,
                build_dir=self.folder,
                waves=self.waves and self.driven.traces,
                results_xml=str(self.results_file),
                log_file=self.log,
            )

    def passed(self, names: Sequence[str]) -> tuple[BenchTest, ...]:
        """Read the results file."""
        where = f"{self.module} under {self.simulator.name}"
        try:
            cases = list(ElementTree.parse(self.results_file).iter("testcase"))
        except (OSError, ElementTree.ParseError):
            told = trouble(self.log.read_text())
            raise BenchFailure(f"{where} left no results: {told} (all of it: {self.log})") from None
        ran = [case for case in cases if case.find("skipped") is None]
        failed = [case.get("name", "") for case in ran if _failed(case)]
        if failed:
            raise BenchFailure(
                f"{len(failed)} of {len(ran)} tests of {where} failed: {', '.join(failed)}"
                f" (why: {self.log})"
            )
        tests = tuple(map(_bench_test, ran))
        absent = set(names) - {test.name.partition("/")[0] for test in tests}
        if absent:
            raise BenchFailure(f"{where} ran no test named {', '.join(sorted(absent))}")
        if not tests:
            raise BenchFailure(f"{where} ran no test (why: {self.log})")
        if self.waves and not self.waves_file.exists():
            raise BenchFailure(f"{where} recorded no waves (why: {self.log})")
        return tests


def _replace_environment(variables: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


def _failed(case: ElementTree.Element) -> bool:
    return case.find("failure") is not None or case.find("error") is not None


def _bench_test(case: ElementTree.Element) -> BenchTest:
    properties = {item.get("name"): item.get("value", "") for item in case.iter("property")}
    return BenchTest(
        case.get("name", ""),
        float(case.get("time", 0)),
        float(properties.get("sim_time_duration", 0)),
    )

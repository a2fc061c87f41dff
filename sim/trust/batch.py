"""Batches of mutants: one compiled chip that holds many, of which a number chooses one.

Yosys mutates the cells of the emitted Verilog, flattened, so that a mutant's cell still names the
module that it comes from: a bit of a port is inverted, held at 0 or 1, or mixed with another bit of
the same port, and for constants, enables, selects and addresses alike. All mutants of a batch lie
in one text, each behind a comparison with the number that the process's environment holds when a
bench is opened. So a campaign compiles a few times, not once a mutant. Mutation: C. Wolf's MCY.
"""

import os
import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rtl.emit import Emission
from sim import tools

CHOOSING = "DRTP_MUTANT"  #: the variable whose number the compiled chip reads
NUMBER_BITS = 16
INTACT = 0

# What no value depends on is taken away first, so that no mutant of it counts. Nothing relies on
# what memories hold at power-on, so that is no place for a mutant, either.
FLATTEN = (
    "read_verilog chip.v; hierarchy -top {top}; proc; flatten; delete t:$meminit_v2 t:$scopeinfo; "
    "opt -full; wreduce; opt -full; opt_clean -purge"
)


@dataclass(frozen=True)
class Mutant:
    """A change of one bit in one cell: its number in the batch, where, and what."""

    number: int
    module: str  #: path of the module within the chip
    place: str  #: cell, port and bit
    mode: str
    command: str  #: by which Yosys makes it, without its number


def draw(emission: Emission, count: int, seed: int) -> list[Mutant]:
    """Mutants of a chip, drawn evenly over its modules by Yosys and `seed`, numbered from 1.

    Raises `Refusal` where Yosys fails.
    """
    script = f"{FLATTEN}; mutate -list {2 * count} -seed {seed} -o list.txt"
    with _laid(emission) as folder:
        tools.yosys(script.format(top=emission.top), folder)
        lines = (folder / "list.txt").read_text().splitlines()
    commands = {re.sub(r" -(src|wire|wirebit) \S+", "", line): line for line in lines}
    chosen = random.Random(seed).sample(sorted(commands), min(count, len(commands)))
    return [_read(number, line, commands[line]) for number, line in enumerate(chosen, 1)]


def _read(number: int, command: str, line: str) -> Mutant:
    """A mutant; its module is that of its cell, or, of a cell that Yosys made, of its wire."""
    fields = dict(re.findall(r"-(\w+) (\S+)", line))
    paths = (
        re.match(r"(?:\$flatten)?((?:\\?\w+\.)*)", fields.get(n, "")) for n in ("cell", "wire")
    )
    module = next((p[1].replace("\\", "").rstrip(".") for p in paths if p and p[1]), "")
    cell = re.sub(r"^.*?\$(\w+)\$.*?(\d+)\$.*$", r"\1 of line \2", fields["cell"])
    bit = f"[{fields['portbit']}]" if "portbit" in fields else ""
    other = f" by [{fields['ctrlbit']}]" if "ctrlbit" in fields else ""
    place = f"{cell}, {fields['port'].lstrip(chr(92))}{bit}{other}"
    return Mutant(number, module or "top", place, fields["mode"], command)


def merged(emission: Emission, mutants: list[Mutant]) -> Emission:
    """The chip with all of these mutants, none of which shows until it is chosen."""
    commands = [
        f"{mutant.command} -ctrl mutant {NUMBER_BITS} {mutant.number}" for mutant in mutants
    ]
    script = [
        FLATTEN.format(top=emission.top),
        *commands,
        "opt_clean",
        "write_verilog -noattr out.v",
    ]
    with _laid(emission) as folder:
        (folder / "script.ys").write_text("\n".join("\n".join(script).split("; ")))
        tools.yosys("script script.ys", folder)
        text = (folder / "out.v").read_text()
    return replace(emission, verilog=_choosing(text))


def _choosing(text: str) -> str:
    """The Verilog whose input of the mutant's number became a register that the process sets."""
    bits = f"[{NUMBER_BITS - 1}:0]"
    ask = f'$c32("std::getenv(\\"{CHOOSING}\\") ? std::atoi(std::getenv(\\"{CHOOSING}\\")) : 0")'
    # A mutant may close a circle of logic, which Verilator would take for a mistake.
    text = "/* verilator lint_off UNOPTFLAT */\n" + text
    text = re.sub(r"(module [^;]*?)mutant, |(module [^;]*?), mutant", r"\1\2", text, count=1)
    text = re.sub(rf"^  input {re.escape(bits)} mutant;\n", "", text, flags=re.MULTILINE)
    register = f"  reg {bits} mutant;\n  initial mutant = {ask};\n"
    wire = rf"^  wire {re.escape(bits)} mutant;\n"
    return re.sub(wire, lambda _: register, text, flags=re.MULTILINE)


@contextmanager
def chosen(number: int) -> Iterator[None]:
    """Benches that are opened within hold this mutant."""
    os.environ[CHOOSING] = str(number)
    try:
        yield
    finally:
        del os.environ[CHOOSING]


@contextmanager
def _laid(emission: Emission) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "chip.v").write_text(emission.verilog)
        yield Path(folder)

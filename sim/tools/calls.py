"""Calls of single tools: a synthesis script, lint."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from sim.tools.recipes import require
from sim.tools.simulators import waived
from sim.tools.tool import call


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
        options = ["--lint-only", "-Wall", "--top-module", toplevel, str(waived(Path(place)))]
        call(require("verilator"), [*options, *sources])

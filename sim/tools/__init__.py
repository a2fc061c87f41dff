"""Outside tools: the one place that knows them, their flags and versions, save `rtl.verilog`.

`require` gives a tool that is there and fit, or refuses in one sentence. `run_bench` builds Verilog
with a simulator and runs a cocotb test bench on it; `lint` holds Verilog against Verilator's
warnings; `yosys` runs a synthesis script; `translate` and `compile_shared` turn a chip and a
harness into a shared object; `call` runs any tool on any arguments. `SIMULATORS` is their table.
"""

from sim.tools.bench import BenchFailure, BenchTest, Results, run_bench
from sim.tools.calls import lint, yosys
from sim.tools.compiled import compile_shared, compiled_by, has_edges, translate
from sim.tools.recipes import RECIPES, Finding, examine, require
from sim.tools.simulators import COMPILED, DRIVEN, SIMULATORS
from sim.tools.tool import VENV, Recipe, Tool, call

__all__ = [
    "COMPILED",
    "DRIVEN",
    "RECIPES",
    "SIMULATORS",
    "VENV",
    "BenchFailure",
    "BenchTest",
    "Finding",
    "Recipe",
    "Results",
    "Tool",
    "call",
    "compile_shared",
    "compiled_by",
    "examine",
    "has_edges",
    "lint",
    "require",
    "run_bench",
    "translate",
    "yosys",
]

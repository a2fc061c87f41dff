"""The mapped netlist of a chip, so that the ladder's judge can hold it against the model.

What `sim.silicon.synth` maps to standard cells, monitors and counters kept, becomes Verilog again:
the netlist, a model of each cell made from its function in the liberty file, and the memories.
"""

import dataclasses
import re
import tempfile
import time
from pathlib import Path
from typing import Any

from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from rtl.emit import Emission, emit
from sim import tools
from sim.judge.samples import Samples
from sim.judge.segment import Watch
from sim.judge.verify import Run, Verification
from sim.silicon import cells
from sim.silicon.synth import cmos_script


def netlist(config: ChipConfig) -> Emission:
    """A chip's Verilog after mapping, with the same ports.

    A memory's word that is read while it is written reads as its complement, which no macro would
    do: a chip that relied on what comes out then would fail.
    Raises `Refusal` where a tool is missing or fails.
    """
    emission = emit(config)
    with tempfile.TemporaryDirectory(prefix="netlist-") as place:
        folder = Path(place)
        (folder / "chip.v").write_text(emission.verilog)
        (folder / "cells.lib").write_bytes(cells.liberty().read_bytes())
        commands = [
            "read_verilog chip.v",
            cmos_script(emission, monitors=True),
            # Bits of one net may feed one another: simulators would take that for a loop.
            "flatten",
            "splitnets",
            "opt_clean -purge",
            "read_liberty -ignore_miss_func -overwrite cells.lib",
            f"hierarchy -check -purge_lib -top {emission.top}",
            "attrmap -remove src",
        ]
        arguments = ["-q", "-p", "; ".join(commands), "-o", "netlist.v"]
        tools.call(tools.require("yosys"), arguments, folder)
        mapped = folder / "netlist.v"
        if not mapped.exists():
            raise Refusal("Yosys stopped without a word before it wrote netlist.v; run it again")
        text = mapped.read_text()
    return dataclasses.replace(emission, verilog=text + _memories(emission))


def _memories(emission: Emission) -> str:
    """The modules of the memories, unkind to a read during a write."""
    modules = re.findall(
        rf"^module {emission.top}_memory_\w+ .*?^endmodule\n", emission.verilog, re.M | re.S
    )
    plain = "if (read_enable) read_data <= words[read_address];"
    text = "\n".join(modules)
    if text.count(plain) != 1:
        raise Refusal(f"the Verilog of {emission.top} holds no memory module that is known here")
    unkind = (
        "if (read_enable) read_data <= words[read_address]\n"
        "        ^ {WIDTH{write_enable && write_address == read_address}};"
    )
    return "\n" + text.replace(plain, unkind)


def verify(
    mapped: Emission, given: Samples, run: Run, watch: Watch | None = None
) -> dict[str, Any]:
    """Hold a netlist against the model, as `sim.judge.verify` does Verilog: the figures."""
    began = time.perf_counter()
    brief = dataclasses.replace(run, brief=True)
    verification = Verification(mapped.config, given, brief, mapped)
    verification.go(watch)
    return verification.figures(time.perf_counter() - began)

"""Bench of what has no clock: rows of inputs, and the outputs that each must give."""

from typing import Any

import cocotb
from cocotb.triggers import Timer

from sim.benches.bench import compare, read


@cocotb.test()
async def rows_are_equal(dut: Any) -> None:
    """Every row's inputs give its outputs, bit for bit."""
    table = read()
    assert table["rows"]
    inputs = [getattr(dut, name) for name in table["inputs"]]
    outputs = [getattr(dut, name) for name in table["outputs"]]
    for place, row in enumerate(table["rows"]):
        for port, code in zip(inputs, row, strict=False):
            port.value = code
        await Timer(1, "ns")
        expected = row[len(inputs) :]
        got = [port.value.to_unsigned() if len(port) > 1 else int(port.value) for port in outputs]
        for name, wanted, found in zip(table["outputs"], expected, got, strict=True):
            compare(f"row {place}, {name}", [(wanted, -1)], [found])

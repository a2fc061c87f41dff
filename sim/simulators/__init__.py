"""One way to run the Verilog a file, all with one face: `observe(...) -> Observed`."""

SIMULATORS = ("verilator", "cxxrtl", "icarus")
"""By name, the one that is taken where none is named first."""

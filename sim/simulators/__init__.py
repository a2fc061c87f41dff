"""One way to run the Verilog a file, all with one face: `observe(...) -> Observed`."""

"""Whether model and Verilog agree: the same samples through both, everything compared."""

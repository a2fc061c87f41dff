"""HOW the chip is built: Amaranth components, twins of `model` by file name."""

"""WHAT the chip computes: the bit-accurate integer model of the processor."""

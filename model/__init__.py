"""WHAT the chip computes: the bit-accurate integer model of the processor."""

__version__ = "0.2.0"

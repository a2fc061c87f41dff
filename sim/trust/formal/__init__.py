"""Proofs: what the parts of the hardware do in every cycle, whatever comes, from reset on."""

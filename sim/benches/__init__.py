"""Benches that run in a simulator under cocotb, the cases they replay, and their drivers."""

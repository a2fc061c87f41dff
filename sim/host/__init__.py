"""The host's side of a chip: byte protocol, simulated line, a demo that learns through it."""

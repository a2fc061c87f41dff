"""The host's side of the chip: registers, and the lines that carry a host's requests to them."""

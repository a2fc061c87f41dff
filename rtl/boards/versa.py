"""Lattice Versa ECP5-5G: 45,000 tables, the host by the USB port's serial line, a camera on X3."""

from amaranth_boards.versa_ecp5_5g import VersaECP55GPlatform

from model.contract.config import ChipConfig
from model.contract.presets import preset
from rtl.boards.ecp5 import Ecp5Board


class Versa(Ecp5Board):
    """`spoon` as the preset has it: 16 lanes, all counters."""

    name = "versa"
    amaranth_board = VersaECP55GPlatform
    receive_pin, send_pin = "C11", "A11"
    button = "rst"
    nextpnr = ("nextpnr-ecp5", "--um5g-45k", "--package", "CABGA381", "--speed", "8")
    loader = ("openFPGALoader", "--cable", "ft2232")
    free_pins = tuple(f"expcon_1:{number}" for number in range(4, 21))  # X3
    oscillator = "clk100"
    input_divider, multiplier, output_divider = 5, 3, 10
    clock_hz = 100e6 * multiplier / input_divider

    def own_chip(self) -> ChipConfig:
        return preset("spoon")

"""ULX3S: an ECP5 with 84,000 or 24,000 tables, the host by USB's serial line, a camera on J1."""

from amaranth_boards.ulx3s import ULX3S_25F_Platform, ULX3S_85F_Platform

from model.contract.config import ChipConfig
from model.contract.presets import preset
from rtl.boards.ecp5 import Ecp5Board


class Ulx3s(Ecp5Board):
    """The board with 84,000 tables: `spoon` as the preset has it."""

    name = "ulx3s"
    amaranth_board = ULX3S_85F_Platform
    # What the board calls ftdi_txd is driven by the USB chip, and heard here.
    receive_pin, send_pin = "M1", "L4"
    button = "button_fire"
    nextpnr = ("nextpnr-ecp5", "--85k", "--package", "CABGA381", "--speed", "6")
    loader = ("openFPGALoader", "--board", "ulx3s")
    free_pins = tuple(f"gpio_0:{number}{side}" for number in range(14) for side in "+-")  # J1
    oscillator = "clk25"
    input_divider, multiplier, output_divider = 1, 2, 12
    clock_hz = 25e6 * multiplier / input_divider

    def own_chip(self) -> ChipConfig:
        return preset("spoon")


class Ulx3s25(Ulx3s):
    """The board with 24,000 tables: `spoon-lite`."""

    name = "ulx3s_25f"
    amaranth_board = ULX3S_25F_Platform
    nextpnr = ("nextpnr-ecp5", "--25k", "--package", "CABGA381", "--speed", "6")

    def own_chip(self) -> ChipConfig:
        return preset("spoon-lite")

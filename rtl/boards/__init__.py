"""Chips on FPGA boards: tops for Amaranth's board definitions."""

from rtl.boards.board import Board
from rtl.boards.icebreaker import Icebreaker
from rtl.boards.ulx3s import Ulx3s, Ulx3s25
from rtl.boards.versa import Versa

BOARDS: dict[str, type[Board]] = {
    board.name: board for board in (Icebreaker, Versa, Ulx3s, Ulx3s25)
}

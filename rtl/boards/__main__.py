"""Files of a board for its tools, and Verilog of a core for simulation: `python -m rtl.boards`."""

import json
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from model.contract.artifact import write_text
from model.contract.reading import from_dict
from model.contract.refusal import Refusal, speaking_plainly
from model.contract.transport import UART_CYCLES
from rtl.boards import BOARDS
from rtl.boards.core import Core
from rtl.emit import emit_component
from rtl.host.spi import Spi
from rtl.host.uart import Uart

#: Lines as fast as they can be.
LINES: dict[str, Callable[[], Spi | Uart]] = {"spi": Spi, "uart": lambda: Uart(UART_CYCLES)}


def board(arguments: Namespace) -> None:
    """Write the files of a board; with --own, chip and contents come as JSON on standard input."""
    if arguments.name not in BOARDS:
        raise Refusal(f"there is no board {arguments.name!r}; there are {', '.join(BOARDS)}")
    own = json.load(sys.stdin) if arguments.own else {}
    config = from_dict(own["chip"]) if own else None
    board = BOARDS[arguments.name](config, own.get("contents"))
    for name, text in board.files().items():
        write_text(arguments.out / name, text)


def core(arguments: Namespace) -> None:
    """Print the Verilog of a core; the choices of its chip come as JSON on standard input."""
    config = from_dict(json.load(sys.stdin))
    sys.stdout.write(emit_component(Core(config, LINES[arguments.line]()), "core"))


def main() -> None:
    """Parse the command line and obey."""
    parser = ArgumentParser(prog="python -m rtl.boards", description=__doc__)
    commands = parser.add_subparsers(required=True)
    boards = commands.add_parser("board", help=board.__doc__)
    boards.add_argument("name")
    boards.add_argument("--out", type=Path, required=True)
    boards.add_argument("--own", action="store_true")
    boards.set_defaults(command=board)
    cores = commands.add_parser("core", help=core.__doc__)
    cores.add_argument("line", choices=LINES)
    cores.set_defaults(command=core)
    arguments = parser.parse_args()
    arguments.command(arguments)


if __name__ == "__main__":
    with speaking_plainly():
        main()

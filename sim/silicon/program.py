"""The last step to a board: its bitstream, brought there by the loader that the board names."""

import json
import shutil
import subprocess
from pathlib import Path

from model.contract.refusal import Refusal
from sim.silicon.fpga import FAMILIES, FOLDER

#: Where the loaders come from.
REMEDIES = {
    "iceprog": "run `apt-get install fpga-icestorm` as root",
    "openFPGALoader": "run `apt-get install openfpgaloader` as root",
}


def program(board: str, folder: Path = FOLDER) -> list[str]:
    """Load what `sim fpga` made for a board, and give the command that did it.

    Raises `Refusal` where nothing was made, the loader is missing, or it fails.
    """
    command = loading(board, folder)
    if shutil.which(command[0]) is None:
        raise Refusal(
            f"{command[0]}, which loads the {board}, is not installed; {REMEDIES[command[0]]}, "
            f"then `{' '.join(command)}`"
        )
    if status := subprocess.run(command).returncode:
        raise Refusal(f"`{' '.join(command)}` failed ({status}); check the cable and the rights")
    return command


def loading(board: str, folder: Path = FOLDER) -> list[str]:
    """The command that loads a board. Raises `Refusal` where `sim fpga` made nothing for it."""
    about = folder / board / f"{board}.board.json"
    if not about.exists():
        raise Refusal(f"there is no design of {board} in {folder}; run `make fpga BOARD={board}`")
    told = json.loads(about.read_text())
    bitstream = about.with_name(f"{board}.{FAMILIES[told['nextpnr'][0]].bitstream}")
    if not bitstream.exists():
        raise Refusal(f"{bitstream} was not made; run `make fpga BOARD={board}` to its end")
    return [*told["loader"], str(bitstream)]

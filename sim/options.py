"""Options that commands of this room share, beside those of all rooms."""

from typing import Annotated

import typer

from model.options import among
from sim.tools import SIMULATORS

Simulator = Annotated[
    str,
    typer.Option(
        help=f"What runs the Verilog: {', '.join(SIMULATORS)}.", autocompletion=among(SIMULATORS)
    ),
]
TrainSamples = Annotated[int, typer.Option(help="Training samples.")]
TestSamples = Annotated[int, typer.Option(help="Test samples.")]
Stalls = Annotated[float, typer.Option(help="Chance of a pause on either side.")]
Waves = Annotated[bool, typer.Option("--waves", help="Record waves.")]

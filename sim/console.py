"""The console command `drtp`: all rooms behind one word."""

import os
from pathlib import Path
from typing import Annotated

import typer

import model
from model.cache import BUILD_DIR
from model.contract.refusal import speaking_plainly
from model.door import Door, opening

ROOMS = opening(
    Door("model", "model.__main__", "What the chip computes: train, compare, sweep, profile."),
    Door("rtl", "rtl.__main__", "How it is built: emit its Verilog."),
    Door("sim", "sim.__main__", "Whether they agree, what it costs: verify, power, estimate."),
)

app = typer.Typer(cls=ROOMS, no_args_is_help=True, pretty_exceptions_enable=False)


def _tell_version(asked: bool) -> None:
    if asked:
        print(f"drtp {model.__version__}")
        raise typer.Exit


@app.callback()
def drtp(
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which.")
    ] = False,
    build_dir: Annotated[
        Path | None, typer.Option(help="Put what is built here, not among the user's caches.")
    ] = None,
) -> None:
    """A chip that learns by direct random target projection: model, hardware, and their proof."""
    if build_dir is not None:
        os.environ[BUILD_DIR] = str(build_dir.resolve())


def main() -> None:
    """Run a command."""
    with speaking_plainly():
        app(prog_name="drtp")

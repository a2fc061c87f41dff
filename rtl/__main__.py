"""Commands of the hardware: `python -m rtl`."""

from pathlib import Path
from typing import Annotated

import typer

from model.contract.presets import chosen
from model.contract.refusal import speaking_plainly
from model.door import Plain
from model.options import Config, Preset, Rule

app = typer.Typer(
    cls=Plain, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)


@app.callback()
def rtl() -> None:
    """The chip's hardware: how it is built."""


@app.command()
def emit(
    preset: Preset = None,
    config: Config = None,
    rule: Rule = None,
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("build/rtl"),
) -> None:
    """Write the chip's Verilog, port list, register map, C header and FuseSoC core file."""
    from rtl import emit as emission

    for path in emission.emit(chosen(preset, config, rule)).write(out):
        print(path)


if __name__ == "__main__":
    with speaking_plainly():
        app(prog_name="python -m rtl")

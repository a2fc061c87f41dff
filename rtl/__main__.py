"""Commands of the hardware: `python -m rtl`."""

from pathlib import Path
from typing import Annotated

import typer

from model.contract.artifact import check_absent
from model.contract.presets import chosen
from model.contract.refusal import Refusal, speaking_plainly
from model.door import Plain
from model.options import Config, Overwrite, Preset, Rule
from model.progress import remembering

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
    reset: Annotated[
        str, typer.Option(help="Reset by its name: rst (active high) or AXI's aresetn (low).")
    ] = "rst",
    monitors: Annotated[
        bool, typer.Option(help="Show what crosses each boundary on ports of its own.")
    ] = True,
    weights: Annotated[
        Path | None,
        typer.Option(help="Trained model, as `model train --out` wrote it: its chip, its weights."),
    ] = None,
    camera: Annotated[
        int | None,
        typer.Option(min=1, help="With an event camera's bus; clock cycles a step of its time."),
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder to write into.")] = Path("build/rtl"),
    overwrite: Overwrite = False,
) -> None:
    """Write the chip's Verilog and waivers, ports, registers, C header, SystemRDL, FuseSoC core.

    With --weights the memories hold the model from the start: the chip classifies after reset,
    without a host; --rule none leaves out all that learns.
    """
    from model.export.trained import trained
    from rtl import emit as emission
    from rtl.top import RESETS

    if reset not in RESETS:
        raise Refusal(f"reset must be {' or '.join(RESETS)}, not {reset!r}")
    if weights is None:
        chip = chosen(preset, config, rule)
        held = None
    else:
        if preset or config:
            raise Refusal("--weights brings its own chip; leave --preset and --config out")
        chip, held = trained(weights, rule)
    check_absent(out / f"{chip.name}.v", overwrite)
    with remembering(f"writing the Verilog of {chip.name}"):
        if held is None:
            found = emission.emit(chip, reset, monitors, camera)
        else:
            found = emission.emit_loaded(chip, held, reset, monitors, camera)
    for path in found.write(out):
        print(path)


if __name__ == "__main__":
    with speaking_plainly():
        app(prog_name="python -m rtl")

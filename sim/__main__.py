"""Commands of the simulation room: `python -m sim COMMAND`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from model.contract.artifact import write_json
from model.contract.refusal import speaking_plainly
from sim import debian
from sim import doctor as doctors
from sim import golden as goldens

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)


@app.command()
def doctor(
    json: Annotated[Path | None, typer.Option(help="Write the findings here too.")] = None,
) -> None:
    """Tell of each tool its version, whether it is fit and why, and how to get it."""
    findings = doctors.examine_all()
    Console().print(doctors.table(findings))
    for line in doctors.advice(findings):
        print(line)
    if json:
        write_json(json, doctors.report(findings))
    raise typer.Exit(0 if doctors.is_well(findings) else 1)


@app.command()
def get(tool: Annotated[str, typer.Argument(help="icarus or libpython")]) -> None:
    """See to it that a tool without a wheel is there: the system's, or Debian's unpacked."""
    found = debian.get(tool)
    print(f"{found.name} {found.version} ({found.path})")


@app.command()
def golden(
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Write the frozen runs and the manifest anew.")
    ] = False,
) -> None:
    """Compare the model with the golden data: anchors from outside, frozen runs, sums."""
    if rewrite:
        goldens.rewrite()
    comparisons = goldens.compare()
    print(goldens.summary(comparisons))
    raise typer.Exit(1 if any(found.trouble for found in comparisons) else 0)


if __name__ == "__main__":
    with speaking_plainly():
        app(prog_name="python -m sim")

"""Commands of the simulation room: `python -m sim COMMAND`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from model.contract.artifact import write_json
from model.contract.refusal import speaking_plainly
from sim import debian
from sim import doctor as doctors

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
    if json:
        write_json(json, doctors.report(findings))
    raise typer.Exit(0 if doctors.is_well(findings) else 1)


@app.command()
def get(tool: Annotated[str, typer.Argument(help="icarus or libpython")]) -> None:
    """See to it that a tool without a wheel is there: the system's, or Debian's unpacked."""
    found = debian.get(tool)
    print(f"{found.name} {found.version} ({found.path})")


if __name__ == "__main__":
    with speaking_plainly():
        app(prog_name="python -m sim")

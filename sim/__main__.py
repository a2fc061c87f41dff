"""Commands of the simulation room: `python -m sim COMMAND`."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from model.contract.artifact import write_json
from model.contract.presets import chosen
from model.contract.refusal import speaking_plainly
from model.data import load
from sim import debian, speed
from sim import doctor as doctors
from sim import golden as goldens
from sim import run as runs
from sim import verify as verifications
from sim.progress import watching

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


@app.command()
def run(
    preset: Annotated[str, typer.Option(help="A chip by name.")] = "digits",
    data: Annotated[str, typer.Option(help="Name of a data set, or a path.")] = "digits",
    simulator: Annotated[str, typer.Option(help="verilator, cxxrtl or icarus")] = "verilator",
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
    waves: Annotated[bool, typer.Option("--waves", help="Record waves.")] = False,
    out: Annotated[Path, typer.Option(help="Where to put the Verilog.")] = Path("build/rtl"),
    json: Annotated[Path | None, typer.Option(help="Write the figures here.")] = None,
) -> None:
    """Train a chip on real data in the model and in its Verilog, and prove both equal."""
    job = runs.run(preset, data, simulator, seed, waves, out)
    Console().print(runs.table(job))
    if json:
        write_json(json, job.told())
    if not job.equal:
        _tell_mismatches(job.figures)


def _tell_mismatches(figures: dict[str, Any]) -> None:
    """Write what differs to a file, say where, and fail."""
    verifications.write_mismatches(figures, Path("mismatches.json"))
    print(f"{verifications.sentence(figures)}; see mismatches.json")
    raise typer.Exit(1)


@app.command()
def verify(
    preset: Annotated[str | None, typer.Option(help="A chip by name.")] = None,
    config: Annotated[Path | None, typer.Option(help="A chip of your own, TOML.")] = None,
    rule: Annotated[str | None, typer.Option(help="How it learns.")] = None,
    simulator: Annotated[str, typer.Option(help="verilator, cxxrtl or icarus")] = "verilator",
    data: Annotated[str, typer.Option(help="Name of a data set, or a path.")] = "digits",
    data_dir: Annotated[Path | None, typer.Option(help="Where data sets lie.")] = None,
    test_fraction: Annotated[float | None, typer.Option(help="Share held out.")] = None,
    train: Annotated[int, typer.Option(help="Training samples.")] = 1000,
    test: Annotated[int, typer.Option(help="Test samples.")] = 400,
    epochs: Annotated[int, typer.Option(help="Passes over the training samples.")] = 1,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
    stalls: Annotated[float, typer.Option(help="Chance of a pause on either side.")] = 0.0,
    cocotb: Annotated[bool, typer.Option("--cocotb", help="Drive Verilator by cocotb.")] = False,
    waves: Annotated[bool, typer.Option("--waves", help="Record waves.")] = False,
    checkpoint: Annotated[Path | None, typer.Option(help="Keep the run here.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --checkpoint.")] = False,
    json: Annotated[Path | None, typer.Option(help="Write the figures here.")] = None,
) -> None:
    """Train and test model and Verilog on the same samples and compare everything."""
    chip = chosen(preset, config, rule)
    loaded = load(data, data_dir=data_dir, test_fraction=test_fraction, seed=seed)
    given = verifications.samples(chip, loaded, train, test, seed, epochs)
    run = verifications.Run(simulator, stalls, waves, cocotb, checkpoint, resume)
    with watching(f"{chip.name} in {simulator}", len(given)) as watch:
        _, figures = verifications.verify(chip, given, run, watch)
    if json:
        write_json(json, figures)
    print(verifications.summary(figures))
    if figures["mismatches"]:
        _tell_mismatches(figures)
    print(verifications.sentence(figures))


@app.command()
def bench(
    preset: Annotated[str, typer.Option(help="Chip for the simulators.")] = "digits",
    json: Annotated[Path | None, typer.Option(help="Write the figures here.")] = None,
) -> None:
    """Measure engines, every way to run the Verilog, and the chip, side by side."""
    tables, told = speed.report(preset)
    Console().print(tables)
    if json:
        write_json(json, told)


if __name__ == "__main__":
    with speaking_plainly():
        app(prog_name="python -m sim")

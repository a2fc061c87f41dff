"""Commands of what a chip costs; `python -m sim` takes them in."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from model.contract.artifact import write_json, write_text
from model.contract.config import ChipConfig
from model.contract.presets import chosen, data_for
from model.contract.refusal import Refusal
from model.cost.tables import TABLES
from model.cost.technology import TARGET, Technology
from model.options import Config, Data, DataDir, Json, Preset, Rule, Seed
from model.progress import remembering, stepping

if TYPE_CHECKING:
    from model.data.dataset import Dataset

Train = Annotated[int | None, typer.Option(help="Training samples (all).")]
Record = Annotated[
    bool, typer.Option("--record", help="Keep the figures in results/synthesis.json.")
]


def power(
    preset: Preset = None,
    config: Config = None,
    rule: Rule = None,
    source: Annotated[
        str, typer.Option("--from", help="proxy: counters and tables; gates: toggles of a netlist.")
    ] = "proxy",
    data: Data = None,
    data_dir: DataDir = None,
    train: Train = None,
    test: Annotated[int | None, typer.Option(help="Test samples (all); proxy.")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training samples.")] = 1,
    seed: Seed = 0,
    volts: Annotated[float, typer.Option(help="Supply that the proxy is scaled to.")] = 0.6,
    picture: Annotated[Path | None, typer.Option(help="Draw it here; gates.")] = None,
    threats: Annotated[
        bool, typer.Option("--threats", help="Change each assumption alone; gates.")
    ] = False,
    json: Json = None,
) -> None:
    """Price what a chip does on real data, stage by stage: by counters, or on its gates."""
    from model.data import load
    from sim.silicon import power as powers

    if source not in ("proxy", "gates"):
        raise Refusal(f"--from is proxy or gates, not {source}")
    chip = chosen(preset, config, rule)
    loaded = load(data or data_for(chip), data_dir=data_dir, seed=seed)
    if source == "gates":
        _power_of_gates(
            chip, loaded, train or len(loaded.y_train), epochs, seed, json, picture, threats
        )
        return
    technology = Technology(TARGET.node_nm, volts)
    sizes = train or len(loaded.y_train), test or len(loaded.y_test)
    done, plain = (
        powers.work(each, loaded, *sizes, seed, epochs) for each in (chip, chip.with_rule("none"))
    )
    if json:
        write_json(json, powers.told(done, plain, technology))
    Console().print(powers.show(done, plain, technology))


def _power_of_gates(
    chip: ChipConfig,
    data: "Dataset",
    train: int,
    epochs: int,
    seed: int,
    json: Path | None,
    picture: Path | None,
    threats: bool,
) -> None:
    from sim.silicon import cells, energy, portrait
    from sim.silicon import threats as assumptions
    from sim.silicon.liberty import Library

    library = Library(cells.nangate())
    with stepping(f"gates of {chip.name}") as step:
        found = energy.measure(chip, library, data, train, epochs=epochs, seed=seed, progress=step)
    if json:
        write_json(json, energy.told(found))
    if picture:
        portrait.draw(energy.told(found), picture)
    Console().print(energy.show(found))
    if threats:
        with stepping(f"threats to {chip.name}") as step:
            for name, *factors in assumptions.threats(
                found, chip, library, data, train, seed, step
            ):
                print(f"{name}: classified x {factors[0]:.4f}, learned x {factors[1]:.4f}")


def memories(
    preset: Preset = None, config: Config = None, rule: Rule = None, json: Json = None
) -> None:
    """Price a chip's memories by CACTI; what is not in results/cacti.json is asked and recorded."""
    from sim.silicon import sram
    from sim.silicon.mapped import shapes

    wanted = shapes(chosen(preset, config, rule))
    found = [
        each for each in sram.record(wanted) if (each.depth, each.width, each.two_ports) in wanted
    ]
    Console().print(sram.show(found))
    if json:
        write_json(json, [dataclasses.asdict(each) for each in found])


def synth(
    preset: Preset = None,
    config: Config = None,
    rule: Rule = None,
    target: Annotated[str, typer.Option(help="up5k, ecp5 or cmos")] = "cmos",
    fresh: Annotated[bool, typer.Option("--fresh", help="Do not look at what is kept.")] = False,
    record: Record = False,
    json: Json = None,
) -> None:
    """Synthesise a chip: resources and clock on an FPGA, or standard cells and memory bits."""
    from sim.silicon import synth as syntheses
    from sim.silicon.figures import Figures

    chip = chosen(preset, config, rule)
    with stepping(f"{chip.name} for {target}") as step:
        found = syntheses.synthesise(chip, target, step, fresh)
    if record:
        Figures.load().record([found])
    if json:
        write_json(json, found.to_dict())
    Console().print(syntheses.show(found))
    for name, count in found.missing.items():
        print(
            f"error: {found.name} does not fit {found.device}: it takes {found.used[name]:,} "
            f"{name}, {count:,} more than there are; choose fewer lanes or another chip",
            file=sys.stderr,
        )
    raise typer.Exit(0 if found.fits else 1)


def estimate(
    preset: Preset = None, config: Config = None, rule: Rule = None, json: Json = None
) -> None:
    """Estimate memory bits, lanes, cycles and cells, before synthesis."""
    from sim.silicon import estimate as estimates
    from sim.silicon.figures import Figures

    found = estimates.estimate(chosen(preset, config, rule), Figures.load())
    if json:
        write_json(json, found.to_dict())
    Console().print(estimates.show(found))


def gates(
    preset: Preset = "tiny",
    config: Config = None,
    rule: Rule = None,
    simulator: Annotated[str, typer.Option(help="verilator or cxxrtl")] = "verilator",
    data: Data = None,
    data_dir: DataDir = None,
    train: Annotated[int, typer.Option(help="Training samples.")] = 200,
    test: Annotated[int, typer.Option(help="Test samples.")] = 100,
    seed: Seed = 0,
    stalls: Annotated[float, typer.Option(help="Chance of a pause on either side.")] = 0.0,
    out: Annotated[Path | None, typer.Option(help="Write the netlist here.")] = None,
    json: Json = None,
) -> None:
    """Verify the mapped netlist of a chip as `verify` does its Verilog, bit for bit."""
    from model.data import load
    from sim.judge.progress import watching
    from sim.judge.samples import samples
    from sim.judge.verify import Run, sentence, summary
    from sim.silicon import netlist as netlists

    chip = chosen(preset, config, rule)
    given = samples(
        chip, load(data or data_for(chip), data_dir=data_dir, seed=seed), train, test, seed
    )
    with remembering(f"mapping {chip.name} to cells"):
        mapped = netlists.netlist(chip)
    if out:
        write_text(out, mapped.verilog)
    with watching(f"netlist of {chip.name} in {simulator}", len(given)) as watch:
        figures = netlists.verify(mapped, given, Run(simulator, stalls), watch)
    if json:
        write_json(json, figures)
    print(summary(figures))
    print(f"netlist in standard cells: {sentence(figures)}")
    raise typer.Exit(1 if figures["mismatches"] else 0)


def activity(
    preset: Preset = "tiny",
    config: Config = None,
    rule: Rule = None,
    data: Data = None,
    data_dir: DataDir = None,
    seed: Seed = 0,
    out: Annotated[Path, typer.Option(help="Write every point here, as CSV.")] = Path(
        "build/activity.csv"
    ),
) -> None:
    """Correlate the energy proxy with the toggles of the Verilog and of the mapped netlist."""
    from model.data import load
    from sim.silicon import activity as activities

    chip = chosen(preset, config, rule)
    loaded = load(data or data_for(chip), data_dir=data_dir, seed=seed)
    with stepping(f"toggles of {chip.name}") as step:
        points = activities.measure(chip, loaded, seed, step)
    activities.keep(points, out)
    for line in activities.told(points):
        print(line)
    print(f"every point: {out}")


def report_cost(
    presets: Annotated[list[str] | None, typer.Option("--preset", help="Chips by name.")] = None,
    data: Annotated[str, typer.Option(help="Data set by name, or path of your own.")] = "mnist",
    data_dir: DataDir = None,
    train: Train = None,
    test: Annotated[int | None, typer.Option(help="Test samples (all).")] = None,
    epochs: Annotated[int, typer.Option(help="Passes over the training samples.")] = 1,
    seed: Seed = 0,
    sweep: Annotated[
        int, typer.Option(help="Sweep widths, lanes and rules, on so many samples each.")
    ] = 10_000,
    record: Record = False,
    out: Annotated[Path, typer.Option(help="Folder of the tables.")] = Path("build/cost"),
) -> None:
    """Tell what each rule costs: accuracy, cells, memory, clock, cycles and energy."""
    from model.data import load
    from sim.silicon import pareto, report
    from sim.silicon.figures import Figures

    names = presets or list(report.PRESETS)
    loaded = load(data, data_dir=data_dir, seed=seed)
    sizes = train or len(loaded.y_train), test or len(loaded.y_test)
    kept = Figures.load()
    rows = report.measure(names, loaded, *sizes, epochs, seed, kept, _say)
    report.write(rows, out)
    Console().print(report.show(rows))
    for sentence_ in report.changes(rows, kept):
        print(f"changed: {sentence_}")
    if record:
        kept.record([each for row in rows for each in (row.cells, row.fpga)])
    points = pareto.sweep(names, loaded, sweep, sizes[1], seed, kept, _say)
    note = f"{data}, one pass over {sweep:,} samples; cells estimated, energies by {_tables()}"
    pareto.write(points, out, note)
    print(f"tables: {out}")


COMMANDS: tuple[Callable[..., Any], ...] = (
    *(power, memories),
    *(synth, estimate, gates, activity, report_cost),
)


def _tables() -> str:
    return " and ".join(table.name for table in TABLES)


def _say(step: str) -> None:
    print(step, file=sys.stderr, flush=True)

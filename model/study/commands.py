"""From own data to an own chip, and away with it; mounted as `python -m model`."""

import json as text
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.contract.artifact import check_absent, write_json, write_text
from model.contract.refusal import Refusal, speaking_plainly
from model.options import (
    Config,
    Data,
    DataDir,
    Json,
    Overwrite,
    Preset,
    Rule,
    Scenario,
    Seed,
    SelfLabel,
    Stream,
    StreamRate,
    TestFraction,
)
from model.progress import counting

if TYPE_CHECKING:
    from model.study.calibrate import Calibration, Progress


def new(
    data: Annotated[str, typer.Option(help="Data set by name, or path of your own.")],
    data_dir: DataDir = None,
    name: Annotated[str | None, typer.Option(help="Of the chip (after the data).")] = None,
    out: Annotated[Path | None, typer.Option(help="Write the TOML here (printed).")] = None,
    overwrite: Overwrite = False,
) -> None:
    """Draft a chip that fits your data: a commented TOML, every field explained."""
    from model.contract.draft import toml
    from model.data import load
    from model.study.draft import chip_name, drafted

    with speaking_plainly():
        if out is not None:
            check_absent(out, overwrite)
        loaded = load(data, data_dir=data_dir)
        chip = drafted(loaded, name or chip_name(data))
        count, *size = loaded.x_train.shape
        head = (
            f"A chip for {data}: {count:,} training images of {size[0]} x {size[1]} x {size[2]}, "
            f"{loaded.classes} classes. Shifts, thresholds and rates are first guesses from these "
            f"images; `python -m model calibrate --data {data} --config FILE` finds better ones."
        )
        if out is None:
            print(toml(chip, head), end="")
        else:
            write_text(out, toml(chip, head))
            print(f"{chip.name} in {out}")


def calibrate(
    data: Annotated[str, typer.Option(help="Data set by name, or path of your own.")],
    out: Annotated[Path, typer.Option(help="Write the chip here, as TOML.")],
    config: Annotated[
        Path | None, typer.Option(help="Chip of your own, as TOML (drafted from the data).")
    ] = None,
    data_dir: DataDir = None,
    rule: Rule = None,
    limit: Annotated[int, typer.Option(help="Search on at most that many samples.")] = 20000,
    epochs: Annotated[int, typer.Option(help="Passes over them in each training.")] = 3,
    validation_fraction: Annotated[
        float, typer.Option(help="Share of the training samples that decides.")
    ] = 0.15,
    seed: Seed = 0,
    beside: Annotated[
        int, typer.Option(help="Then also train so many drawn choices in full, to compare.")
    ] = 0,
    json: Annotated[Path | None, typer.Option(help="Write what was tried here.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Draw each tensor against its range here, as PNG.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Find the shifts, thresholds and rates with which a chip learns your data best."""
    from joblib import parallel_config

    from model.contract.draft import toml
    from model.contract.presets import chosen
    from model.data import load
    from model.network import checked_images, checked_labels, drawn
    from model.study import calibrate as study
    from model.study.draft import chip_name, drafted

    with speaking_plainly():
        check_absent(out, overwrite)
        loaded = load(data, data_dir=data_dir)
        if config is not None:
            chip = chosen(None, config, rule)
        else:
            chip = drafted(loaded, chip_name(data))
            chip = chip.with_rule(rule) if rule else chip
        taken = drawn(len(loaded.x_train), min(limit, len(loaded.x_train)), seed)
        images = checked_images(chip, loaded.x_train[taken])
        labels = checked_labels(chip, loaded.y_train[taken], len(taken))
        how: dict[str, Any] = {
            "validation_fraction": validation_fraction,
            "epochs": epochs,
            "seed": seed,
        }
        began = time.monotonic()
        with _searching(f"{chip.name} calibrated on {data}") as watch, parallel_config(n_jobs=-1):
            found = study.calibrate(chip, images, labels, **how, progress=watch)
        seconds = time.monotonic() - began
        head = (
            f"Calibrated on {found.train_samples:,} training samples of {data}, {epochs} epochs: "
            f"{found.accuracy:.2%} of {found.validation_samples:,} validation samples, the best of "
            f"{len(found.trials)} trainings of which it was chosen. Test samples were not read."
        )
        write_text(out, toml(found.config, head))
        figures = {"data": data, "epochs": epochs, "seconds": seconds, **found.figures()}
        _show(found, seconds)
        if beside:
            began = time.monotonic()
            with _searching(f"{beside} drawn choices") as watch, parallel_config(n_jobs=-1):
                sweep = study.swept(chip, images, labels, beside, **how, progress=watch)
            swept_seconds = time.monotonic() - began
            figures |= {"swept": sweep.figures(), "swept_seconds": swept_seconds}
            print(
                f"the best of {beside} drawn choices: {sweep.accuracy:.2%} of the same validation "
                f"samples, in {swept_seconds / seconds:.1f} times the time"
            )
        if json is not None:
            write_json(json, figures)
        if picture is not None:
            from model.study.picture import write_ranges  # takes a second to import

            write_ranges(found.config, images[:1000], labels[:1000], epochs, picture)
        print(f"{chip.name} in {out}")


def explore(
    data: Annotated[str, typer.Option(help="Data set by name, or path of your own.")],
    config: Annotated[
        Path | None, typer.Option(help="Chip of your own, as TOML (drafted from the data).")
    ] = None,
    data_dir: DataDir = None,
    weight_bits: Annotated[list[int] | None, typer.Option(help="Repeat for each.")] = None,
    kernels: Annotated[list[int] | None, typer.Option(help="Repeat for each.")] = None,
    neurons: Annotated[list[int] | None, typer.Option(help="Repeat for each.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="Repeat for each.")] = None,
    limit: Annotated[int, typer.Option(help="Search on at most that many samples.")] = 5000,
    epochs: Annotated[int, typer.Option(help="Passes over them in each training.")] = 3,
    seed: Seed = 0,
    json: Annotated[Path | None, typer.Option(help="Write every point here.")] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Draw accuracy against each cost here, as PNG.")
    ] = None,
) -> None:
    """Weigh sizes of a chip: accuracy against memory, cycles and energy, each calibrated."""
    from joblib import parallel_config
    from rich.console import Console
    from rich.table import Table

    from model.contract.presets import chosen
    from model.data import load
    from model.network import checked_images, checked_labels, drawn
    from model.study import explore as study
    from model.study.draft import chip_name, drafted

    with speaking_plainly():
        asked = study.shapes(weight_bits or (), kernels or (), neurons or (), rule or ())
        if len(asked) < 2:
            raise Refusal("nothing is varied; repeat --weight-bits, --kernels, --neurons or --rule")
        loaded = load(data, data_dir=data_dir)
        chip = chosen(None, config, None) if config else drafted(loaded, chip_name(data))
        taken = drawn(len(loaded.x_train), min(limit, len(loaded.x_train)), seed)
        images = checked_images(chip, loaded.x_train[taken])
        labels = checked_labels(chip, loaded.y_train[taken], len(taken))
        with _searching(f"{chip.name} in {len(asked)} shapes") as watch, parallel_config(n_jobs=-1):
            points = study.explore(
                chip, images, labels, asked, epochs=epochs, seed=seed, progress=watch
            )
        found = list(study.rows(points))
        if json is not None:
            chips = {"config": chip.to_dict(), "points": found}
            write_json(json, {"data": data, "samples": len(taken), "epochs": epochs, **chips})
        if plot is not None:
            study.write_pareto(points, f"{chip.name} on {data}, {len(taken):,} samples", plot)
        table = Table(title=f"{chip.name} on {data}; * none is better at that cost")
        for name in found[0]:
            table.add_column(name.replace("_", " "), justify="right")
        for row in found:
            table.add_row(*(_cell(name, value, row["front"]) for name, value in row.items()))
        console = Console()
        (console if console.is_terminal else Console(width=100)).print(table)


def _cell(name: str, value: Any, at_front: list[str]) -> str:
    """A figure of a point as the table shows it."""
    if name == "front":
        return "*" if value else ""
    if isinstance(value, str):
        return value
    shown = f"{value:.2%}" if name == "accuracy" else f"{value:,.1f}".removesuffix(".0")
    return f"{shown}*" if name in at_front else shown


def schema(
    out: Annotated[Path | None, typer.Option(help="Write it here (printed).")] = None,
) -> None:
    """The JSON Schema of a chip's TOML, for editors that complete and check it."""
    from model.contract.draft import schema as fields

    written = text.dumps(fields(), indent=2) + "\n"
    with speaking_plainly():
        if out is None:
            print(written, end="")
        else:
            write_text(out, written)


def assess(
    model: Annotated[Path, typer.Argument(help="Trained model, as `train --out` wrote it.")],
    data: Data = None,
    data_dir: DataDir = None,
    test_fraction: TestFraction = None,
    seed: Annotated[int | None, typer.Option(help="Of the split (the model's).")] = None,
    json: Json = None,
) -> None:
    """Test a trained model on held-out data: accuracy, and each class for what it is taken."""
    from rich.console import Console

    from model.contract.presets import data_for
    from model.data import load
    from model.network import ChipModel
    from model.study.confusion import Confusion, table

    with speaking_plainly():
        chip = ChipModel.load(model)
        data = data or data_for(chip.config)
        split = chip.seed if seed is None else seed
        loaded = load(data, data_dir=data_dir, test_fraction=test_fraction, seed=split)
        found = Confusion.of(chip.predict(loaded.x_test), loaded.y_test, chip.config)
        if json is not None:
            about = {
                "model": str(model),
                "data": data,
                "weights_sha256": chip.state_.weights_sha256,
            }
            write_json(json, {**about, **found.figures()})
        Console().print(table(found, f"{chip.config.name} on {data}"))
        print(f"{found.accuracy:.2%} of {found.samples:,} test samples")


def show(
    model: Annotated[Path, typer.Argument(help="Trained model, as `train --out` wrote it.")],
    picture: Annotated[
        Path | None, typer.Option(help="Draw kernels, weights and their histograms here, as PNG.")
    ] = None,
) -> None:
    """Show what a trained model holds: sizes, memory, and how its codes fill their formats."""
    from rich.console import Console

    from model.network import ChipModel
    from model.study import portrait

    with speaking_plainly():
        chip = ChipModel.load(model)
        Console().print(portrait.table(chip.config, chip.state_))
        if picture is not None:
            portrait.write(chip.config, chip.state_, picture)
            print(f"drawn in {picture}")


def export(
    model: Annotated[Path, typer.Argument(help="Trained model, as `train --out` wrote it.")],
    to: Annotated[str, typer.Option(help="c (classifies as the chip does) or hex ($readmemh).")],
    out: Annotated[Path, typer.Option(help="Folder to write into.")],
    overwrite: Overwrite = False,
) -> None:
    """Take a trained model away: C that classifies bit for bit as the chip, or memory files."""
    from model.export import c, hex
    from model.network import ChipModel

    writers = {"c": c.files, "hex": hex.files}
    with speaking_plainly():
        if to not in writers:
            raise Refusal(f"a model is exported to {' or '.join(writers)}, not {to!r}")
        chip = ChipModel.load(model)
        files = writers[to](chip.config, chip.state_)
        for name in files:
            check_absent(out / name, overwrite)
        for name, written in files.items():
            write_text(out / name, written)
            print(out / name)


def adapt(
    scenario: Scenario,
    preset: Preset = None,
    config: Config = None,
    data: Data = None,
    data_dir: DataDir = None,
    epochs: Annotated[int, typer.Option(help="Passes of the training before the change.")] = 3,
    stream: Stream = 10000,
    rate: StreamRate = 0,
    self_label: SelfLabel = None,
    seed: Seed = 0,
    json: Json = None,
    plot: Annotated[Path | None, typer.Option(help="Write the picture here, as PNG.")] = None,
) -> None:
    """Change a trained chip's world, and see it adapt: off, the readout, drtp and dfa.

    The same in Verilog: sim adapt.
    """
    from rich.console import Console

    from model.contract.presets import chosen, data_for
    from model.data import load
    from model.study import adapt as study
    from model.study.experiment import samples_for
    from model.study.scenario import read_scenario

    with speaking_plainly():
        world = read_scenario(scenario)
        chip = chosen(preset, config, None)
        data = data or data_for(chip)
        samples = samples_for(chip, load(data, data_dir=data_dir, seed=seed))
        with counting(f"{chip.name} meets {scenario}") as watch:
            found = study.adapt(
                chip,
                samples,
                world,
                epochs=epochs,
                stream=stream,
                rate=rate,
                seed=seed,
                margin=self_label,
                progress=watch,
            )
        if json is not None:
            about = {"data": data, "epochs": epochs, "rate": rate, "self_label": self_label}
            write_json(json, about | found.figures())
        if plot is not None:
            from model.study.picture import write_adaptation  # takes a second to import

            write_adaptation(found, f"{chip.name} on {data}: {world.kind}", plot)
        Console().print(study.table(found))
        if self_label is not None:
            print(study.LIMITS)


COMMANDS: dict[str, Callable[..., None]] = {
    "adapt": adapt,
    "new": new,
    "calibrate": calibrate,
    "explore": explore,
    "schema": schema,
    "test": assess,
    "show": show,
    "export": export,
}


@contextmanager
def _searching(title: str) -> Iterator["Progress"]:
    with counting(title) as advance:
        yield lambda done, planned, best: advance(done, planned, f"best so far {best:.2%}")


def _show(found: "Calibration", seconds: float) -> None:
    """The best trials of the last rung, best first."""
    from rich.console import Console
    from rich.table import Table

    most = max(trial.samples for trial in found.trials)
    full = sorted((t for t in found.trials if t.samples == most), key=lambda t: -t.accuracy)
    if not full:
        raise Refusal("nothing was tried")
    table = Table(
        title=f"{len(found.trials)} trainings in {seconds:.0f} s; on all {most:,} samples:"
    )
    for name in (*vars(full[0].choice), "validation accuracy"):
        table.add_column(name.replace("_", " "), justify="right")
    for trial in full:
        table.add_row(*map(str, vars(trial.choice).values()), f"{trial.accuracy:.2%}")
    Console().print(table)

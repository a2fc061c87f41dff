"""Commands of the model: `python -m model`."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.table import Table

from model.contract.artifact import check_intent, check_replaceable, write_json
from model.contract.config import ChipConfig
from model.contract.presets import borrowing, chosen, data_for
from model.contract.refusal import Refusal, note, speaking_plainly
from model.contract.stop import keeping
from model.door import Door, Plain, opening
from model.options import (
    Config,
    Data,
    DataDir,
    Epochs,
    Json,
    Limit,
    Overwrite,
    Preset,
    Rule,
    Seed,
    TestFraction,
)
from model.progress import Advance, counting
from model.study import commands as own

if TYPE_CHECKING:
    from model.study.experiment import Samples

PAPER = "The float world: the paper's algorithms, and its analyses redone."
DOORS = opening(
    Door("paper", "model.paper.commands", PAPER),
    # The name of the room until 0.1; kept for one release.
    Door("reference", "model.paper.commands", PAPER, hidden=True),
)

app = typer.Typer(
    cls=DOORS, no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False
)
data_app = typer.Typer(cls=Plain, no_args_is_help=True)
app.add_typer(data_app, name="data", help="Data sets.")


@app.callback()
def model() -> None:
    """The integer model of the chip: what it computes, bit for bit."""


@app.command()
def train(
    preset: Preset = None,
    config: Config = None,
    rule: Rule = None,
    data: Data = None,
    data_dir: DataDir = None,
    test_fraction: TestFraction = None,
    validation_fraction: Annotated[
        float | None,
        typer.Option(help="Share of the training samples kept back, tested after each epoch."),
    ] = None,
    limit: Limit = None,
    epochs: Epochs = 5,
    seed: Seed = 0,
    out: Annotated[Path | None, typer.Option(help="Write the model here, as .npz.")] = None,
    json: Json = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --out.")] = False,
    overwrite: Overwrite = False,
) -> None:
    """Train a chip on real data, then test it on held-out data."""
    from model.data import load
    from model.network import ChipModel, drawn
    from model.study.confusion import Confusion
    from model.study.experiment import held_back
    from model.study.health import equal_samples, health

    with speaking_plainly():
        if resume and out is None:
            raise Refusal("--resume goes on from what --out names; give --out")
        for path in (out, json):
            if path is not None:
                _check_writable(path)
        if out is not None:
            check_intent(out, resume, overwrite)
        chip = ChipModel(chosen(preset, config, rule), epochs=epochs, seed=seed)
        data = data or data_for(chip.config)
        samples = load(data, data_dir=data_dir, test_fraction=test_fraction, seed=seed)
        kept = drawn(len(samples.x_train), limit, seed)
        kept, held = held_back(samples.y_train, kept, validation_fraction, seed)
        x_train, y_train = samples.x_train[kept], samples.y_train[kept]
        curve: list[float] = []

        def validate() -> None:
            curve.append(chip.score(samples.x_train[held], samples.y_train[held]))

        with counting(f"{chip.config.name} learns {data}") as advance:
            watch = _Watch(advance)
            chip.fit(
                *(x_train, y_train),
                checkpoint=out,
                resume=resume,
                progress=watch,
                each_epoch=validate if len(held) else None,
            )
        found = Confusion.of(chip.predict(samples.x_test), samples.y_test, chip.config)
        well = health(chip.config, chip.state_, chip.counters_, x_train, y_train)
        figures = {
            "preset": chip.config.name,
            "config_sha256": chip.config.sha256,
            "rule": chip.config.rule_name,
            "data": data,
            "seed": seed,
            "epochs": epochs,
            "train_samples": len(kept),
            "validation_samples": len(held),
            "validation_accuracy": curve,
            **found.figures(),
            "equal_samples": equal_samples(x_train, samples.x_test),
            "health": well.figures(),
            "images_per_second": watch.images_per_second,
            "weights_sha256": chip.state_.weights_sha256,
            "counters": chip.counters_,
        }
        if json is not None:
            write_json(json, figures)
        _show(figures, samples.note)


@app.command("compare")
def compare_command(
    preset: Preset = None,
    config: Config = None,
    rule: Rule = None,
    data: Data = None,
    data_dir: DataDir = None,
    limit: Limit = None,
    epochs: Epochs = 5,
    seeds: Annotated[int, typer.Option(help="Trainings under each algorithm.")] = 5,
    json: Json = None,
    plot: Annotated[Path | None, typer.Option(help="Write the picture here, as PNG.")] = None,
) -> None:
    """Set integer beside float: every algorithm, and what each approximation costs."""
    from joblib import parallel_config

    from model.study.compare import compare, tables

    with speaking_plainly():
        study = _studied(chosen(preset, config, rule), data, data_dir, limit, epochs, (json, plot))
        chip, samples, told = study.chip, study.samples, study.told
        with counting(f"{chip.name} compared") as progress, parallel_config(n_jobs=-1):
            found = compare(chip, samples, epochs=epochs, seeds=seeds, progress=progress)
        if json is not None:
            about = study.about | {"test_samples": len(samples.y_test)}
            write_json(json, about | found.figures())
        if plot is not None:
            from model.study.picture import write_picture  # takes a second to import

            write_picture(found, told, plot)
        console = Console()
        console.print(f"{told}{study.source}, seeds {seeds}")
        for table in tables(found):
            console.print(table)
        if found.without_settings:
            note(borrowing(chip, found.without_settings))


@app.command("angles")
def angles_command(
    preset: Preset = None,
    config: Config = None,
    data: Data = None,
    data_dir: DataDir = None,
    limit: Limit = None,
    epochs: Epochs = 5,
    seeds: Annotated[int, typer.Option(help="Trainings of each variant.")] = 3,
    json: Json = None,
    plot: Annotated[Path | None, typer.Option(help="Write the picture here, as PNG.")] = None,
) -> None:
    """Measure the angle between hidden updates and back-propagation's, integer beside float."""
    from model.study import angle

    with speaking_plainly():
        study = _studied(chosen(preset, config, None), data, data_dir, limit, epochs, (json, plot))
        chip, samples, told = study.chip, study.samples, study.told
        with counting(f"{chip.name}, angles") as progress:
            found = angle.align(chip, samples, epochs=epochs, seeds=seeds, progress=progress)
        if json is not None:
            write_json(json, study.about | found.figures())
        if plot is not None:
            from model.study.picture import write_angles  # takes a second to import

            write_angles(found, f"{told}, mean of seeds {found.seeds}", plot)
        console = Console()
        if not console.is_terminal:
            console = Console(width=100)  # of a table that goes to a file or a pipe
        console.print(f"{told}{study.source}, seeds {found.seeds}")
        console.print(angle.table(found))
        unsettled = [rule for rule in angle.RULES if not chip.has_settings(rule)]
        if unsettled:
            note(borrowing(chip, unsettled))


@app.command("sweep")
def sweep_command(
    file: Annotated[Path, typer.Argument(help="Sweep, as TOML.")],
    out: Annotated[Path | None, typer.Option(help="Results, as CSV (beside FILE).")] = None,
    data_dir: DataDir = None,
    scheduler: Annotated[str | None, typer.Option(help="Dask scheduler, tcp://host:port.")] = None,
) -> None:
    """Train over a grid of fields, algorithms and seeds; a sweep that was stopped goes on."""
    from joblib import parallel_config

    from model.study.sweep import read_sweep, sweep, winner

    with speaking_plainly():
        asked = read_sweep(file)
        out = out or file.with_suffix(".csv")
        _check_writable(out)
        with counting(f"sweep {file}") as progress, parallel_config(n_jobs=-1):
            rows = sweep(asked, out, data_dir=data_dir, scheduler=scheduler, progress=progress)
        print(f"{len(rows)} points in {out}")
        best = winner(asked, rows, data_dir)
        if best is None:
            print("all were tested, so none is chosen; to choose, give a validation_fraction")
            return
        row, tested = best
        values = ", ".join(f"{name} {row[name]}" for name in ("algorithm", *asked.fields, "seed"))
        print(f"best: {float(row[asked.measure]):.2%} of the validation samples with {values}")
        print(f"trained on them too: {tested:.2%} of the test samples")


for name, command in own.COMMANDS.items():
    app.command(name)(command)


@data_app.command("get")
def data_get(
    name: Annotated[str, typer.Argument(help="mnist, fashion-mnist, cifar10 or nmnist.")],
    data_dir: Annotated[Path | None, typer.Option(help="Where to put it (./data).")] = None,
    mirror: Annotated[str | None, typer.Option(help="Address of the folder of the files.")] = None,
) -> None:
    """Download a data set; its sums are checked."""
    from model.data import get

    with speaking_plainly(), keeping(lambda: "files that came whole are kept"):
        for path in get(name, data_dir, mirror):
            print(path)


@data_app.command("recording")
def data_recording(
    file: Annotated[Path, typer.Argument(help="Recording: .bin, .aedat4 or .npz.")],
    beside: Annotated[
        str | None, typer.Option(help="Training image that is emulated beside it: mnist:1.")
    ] = None,
    data_dir: DataDir = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures here.")] = None,
) -> None:
    """Tell a recording's statistics; beside them those of an image that is emulated."""
    from model.data import load, read_recording
    from model.data.emulated import grey
    from model.sensor import camera, recording

    def figures(events: Any) -> dict[str, Any]:
        return recording.statistics(events, camera.SACCADE_US, camera.SACCADES)

    with speaking_plainly():
        columns = {file.name: figures(read_recording(file))}
        if beside is not None:
            name, _, number = beside.rpartition(":")
            if not name or not number.isdecimal():
                raise Refusal(f"--beside names an image of a set, as mnist:1, not {beside}")
            images = load(name, data_dir=data_dir).x_train
            if int(number) >= len(images):
                raise Refusal(f"{name} has training images 0 to {len(images) - 1}, not {number}")
            picture = grey(images[int(number)][None])[0]
            columns[f"{beside}, emulated"] = figures(camera.record(picture, int(number)))
        if json is not None:
            write_json(json, columns)
        table = Table("", *columns)
        for name in next(iter(columns.values())):
            table.add_row(name, *(_spoken(column[name]) for column in columns.values()))
        Console().print(table)


def _spoken(value: Any) -> str:
    """A number, or several, as a table shows them."""
    if isinstance(value, list):
        return " ".join(map(_spoken, value))
    return f"{value:,.3f}" if isinstance(value, float) and value < 10 else f"{value:,.0f}"


class _Watch:
    """Told how far training is: moves the bar and measures the speed."""

    def __init__(self, advance: Advance) -> None:
        self._advance = advance
        self._first: tuple[int, float] | None = None
        self.images_per_second: float | None = None  #: None where nothing was left to learn

    def __call__(self, learned: int, planned: int) -> None:
        now = time.monotonic()
        if self._first is None:
            self._first = learned, now
        if learned > self._first[0]:
            self.images_per_second = (learned - self._first[0]) / (now - self._first[1])
        self._advance(learned, planned, f"{self.images_per_second or 0:,.0f} images/s")


class _Study(NamedTuple):
    """What a study is of: a chip, its samples, and how that is told."""

    chip: ChipConfig
    samples: "Samples"
    told: str
    source: str
    about: dict[str, Any]


def _studied(
    chip: ChipConfig,
    data: str | None,
    data_dir: Path | None,
    limit: int | None,
    epochs: int,
    outputs: tuple[Path | None, ...],
) -> _Study:
    """The samples of a study; refuses before it begins what could not be written after it."""
    from model.data import load
    from model.study.experiment import limited, samples_for

    for path in outputs:
        if path is not None:
            _check_writable(path)
    name = data or data_for(chip)
    loaded = load(name, data_dir=data_dir)
    samples = samples_for(chip, limited(loaded, limit))
    count = len(samples.y_train)
    told = f"{chip.name} on {name}, {epochs} epochs of {count:,} samples"
    source = f" ({loaded.note})" if loaded.note else ""
    about = {"data": name, "epochs": epochs, "train_samples": count}
    return _Study(chip, samples, told, source, about)


def _check_writable(path: Path) -> None:
    """Refuse before training what could not be written after it."""
    check_replaceable(path)
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise Refusal(f"cannot write {path}: {folder} is no writable folder; choose another path")


def _show(figures: dict[str, Any], source: str) -> None:
    table = Table(show_header=False)
    table.add_row(
        "chip", f"{figures['preset']}, rule {figures['rule']}, {figures['config_sha256'][:8]}"
    )
    table.add_row(
        "data", f"{figures['data']}{f' ({source})' if source else ''}, seed {figures['seed']}"
    )
    table.add_row("trained", f"{figures['epochs']} epochs of {figures['train_samples']:,} samples")
    speed = figures["images_per_second"]
    if speed is not None:
        table.add_row("speed", f"{speed:,.0f} images/s")
    if figures["validation_accuracy"]:
        curve = ", ".join(f"{accuracy:.2%}" for accuracy in figures["validation_accuracy"])
        samples = f"{figures['validation_samples']:,} validation samples"
        table.add_row("validation", f"{curve} of {samples}, after each epoch")
    accuracy = figures["test_accuracy"]
    table.add_row("accuracy", f"{accuracy:.2%} of {figures['test_samples']:,} test samples")
    shares = figures["health"]["shares"].items()
    table.add_row("health", "; ".join(f"{what} {share:.1%}" for what, share in shares))
    table.add_row("weights", figures["weights_sha256"][:16])
    Console().print(table)
    for advice in figures["health"]["advice"]:
        note(advice)
    if figures["equal_samples"]:
        equal, tested = figures["equal_samples"], figures["test_samples"]
        note(f"{equal:,} of {tested:,} test images are training images too: they test nothing")


if __name__ == "__main__":
    app(prog_name="python -m model")

"""Commands of the float world; mounted as `python -m model paper`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from model.contract.artifact import check_intent, write_json, write_text
from model.contract.presets import DATA_SETS
from model.contract.refusal import Refusal, speaking_plainly
from model.contract.stop import keeping
from model.options import DataDir, Json, Overwrite, Seed, among
from model.paper import bench as benches
from model.paper import report as reports
from model.paper import study as studies
from model.paper import theorem as theorems
from model.paper import training
from model.paper.run import Run
from model.paper.settings import ALGORITHMS, Settings, plan
from model.paper.task import load
from model.progress import counting

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False)

RESULTS = Path("results")
TASKS = ("regression", "synthetic", *DATA_SETS)
WIDE = 110  # characters of a table that goes to a file or a pipe

BackendName = Annotated[str, typer.Option(help="numpy, torch, torch:cuda or cupy.")]
Folder = Annotated[Path, typer.Option(help="Where results are kept.")]
Setting = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Any other setting, as name=value: batch, activation, loss, init, zero, ..."
    ),
]


@app.callback()
def reference() -> None:
    """Train with the paper's algorithms in float and redo its analyses."""


@contextmanager
def bar() -> Iterator[Callable[[str], training.Progress]]:
    """Show progress; what is yielded starts a line and returns what `fit` reports to."""
    with ExitStack() as lines:

        def begin(title: str) -> training.Progress:
            advance = lines.enter_context(counting(title))

            def report(done: int, total: int, run: Run) -> None:
                rate = done * run.settings.batch / run.seconds if run.seconds else 0.0
                advance(done, total, f"{rate:,.0f} samples/s")

            return report

        yield begin


def _titled(
    begin: Callable[[str], training.Progress],
) -> Callable[[Settings, int, int], training.Progress]:
    """Name a point of many by its number, network, algorithm and seed."""
    return lambda settings, number, count: begin(
        f"[{number}/{count}] {settings.network} {settings.algorithm} seed {settings.seed}"
    )


@app.command()
def train(
    data: Annotated[
        str, typer.Option(help=f"What it learns: {', '.join(TASKS)}.", autocompletion=among(TASKS))
    ] = "digits",
    network: Annotated[str | None, typer.Option(help="fc1-500, conv-random, fc64-fc32 ...")] = None,
    algorithm: Annotated[
        str,
        typer.Option(
            help=f"How it learns: {', '.join(ALGORITHMS)}.", autocompletion=among(ALGORITHMS)
        ),
    ] = "drtp",
    epochs: Annotated[int | None, typer.Option(help="The paper's, if left out.")] = None,
    rate: Annotated[float | None, typer.Option(help="The paper's Table 3, if left out.")] = None,
    dropout: Annotated[float, typer.Option(help="Probability at fully-connected inputs.")] = 0.0,
    flip: Annotated[bool, typer.Option("--flip", help="Mirror training images at random.")] = False,
    seed: Seed = 0,
    backend: BackendName = "numpy",
    setting: Setting = None,
    checkpoint: Annotated[Path | None, typer.Option(help="File written every epoch.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --checkpoint.")] = False,
    overwrite: Overwrite = False,
    data_dir: DataDir = None,
    json: Json = None,
) -> None:
    """Train one network and print its errors after every epoch."""
    with speaking_plainly():
        choices: dict[str, Any] = _parsed(setting or [])
        if epochs is not None:
            choices["epochs"] = epochs
        choices |= {"dropout": dropout, "flip": flip, "seed": seed, "backend": backend}
        settings = plan(data, network, algorithm, rate=rate, **choices)
        if resume and checkpoint is None:
            raise Refusal("nothing to resume from; name the file with --checkpoint")
        if checkpoint is not None:
            check_intent(checkpoint, resume, overwrite)
        task = load(data, data_dir)
        with bar() as begin, keeping(lambda: _kept(checkpoint)):
            run = training.fit(
                settings,
                task,
                checkpoint=checkpoint,
                resume=resume,
                progress=begin(f"{settings.network} {algorithm}"),
            )
        _print_points(run, task.note)
        if json:
            run.write_json(json)


def _kept(checkpoint: Path | None) -> str:
    """What is kept of a run that the user stops."""
    if checkpoint is None or not checkpoint.exists():
        return "nothing is kept"
    return f"the whole epochs are kept in {checkpoint}, --resume goes on"


def _parsed(settings: list[str]) -> dict[str, Any]:
    """Read `name=value` settings by the types that `Settings` gives them."""
    types: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": _truth}
    parsed = {}
    for setting in settings:
        name, sign, text = setting.partition("=")
        kind = Settings.__annotations__.get(name)
        if not sign or kind is None:
            raise Refusal(f"{setting!r} is no setting; write name=value, such as batch=50")
        try:
            parsed[name] = types[kind if isinstance(kind, str) else kind.__name__](text)
        except ValueError as error:
            raise Refusal(f"{setting!r} has no value of the right type; mend it") from error
    return parsed


def _truth(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError(text)
    return text == "true"


def _print_points(run: Run, note: str) -> None:
    settings = run.settings
    title = f"{settings.data}{f' ({note})' if note else ''} {settings.network} {settings.algorithm}"
    table = Table("epoch", "train loss", "test loss", "train error %", "test error %", title=title)
    for point in run.points:
        errors = (point.train_error, point.test_error)
        table.add_row(
            str(point.epoch),
            f"{point.train_loss:.5f}",
            f"{point.test_loss:.5f}",
            *("" if error is None else f"{error:.2f}" for error in errors),
        )
    Console().print(table)
    Console().print(f"{run.seconds:.1f} s, configuration {settings.hash}")


@app.command()
def study(
    name: Annotated[str, typer.Argument(help=", ".join(studies.STUDIES))],
    folder: Folder = RESULTS,
    data_dir: DataDir = None,
    backend: BackendName = "numpy",
    epochs: Annotated[int | None, typer.Option(help="Cut each run here; it can go on.")] = None,
    checkpoints: Annotated[Path | None, typer.Option(help="Where runs in progress live.")] = None,
) -> None:
    """Run the missing points of a study; what was finished or begun before is kept."""
    with speaking_plainly(), bar() as begin:
        studies.study(
            name,
            folder,
            data_dir=data_dir,
            backend=backend,
            epochs=epochs,
            checkpoints=checkpoints,
            progress=_titled(begin),
        )


@app.command()
def report(
    names: Annotated[list[str] | None, typer.Argument(help="Studies; all if left out.")] = None,
    folder: Folder = RESULTS,
    json: Json = None,
    page: Annotated[Path | None, typer.Option(help="Write all as a Markdown page.")] = None,
) -> None:
    """Print what studies measured beside what was published."""
    with speaking_plainly():
        measured = [name for name in studies.STUDIES if (folder / f"{name}.csv").exists()]
        found, console = [], Console()
        for name in names or measured:
            rows = reports.report(name, folder)
            table = Table(title=name, box=SIMPLE_HEAD, padding=0, collapse_padding=True)
            for column in reports.COLUMNS:
                table.add_column(column, no_wrap=True)
            for row in rows:
                table.add_row(*reports.cells(row))
            (console if console.is_terminal else Console(width=WIDE)).print(table)
            found += reports.as_json(rows)
        if not found:
            raise Refusal(f"{folder} holds no finished study; run `study anchors` first")
        if json:
            write_json(json, found)
        if page:
            write_text(page, reports.page(folder))


@app.command()
def figure(
    name: Annotated[str, typer.Argument(help="2, 3, s1, s2, s3, s4, s5, s6a or s6b.")],
    paper_scale: Annotated[
        bool, typer.Option("--paper-scale", help="The paper's epochs and trials.")
    ] = False,
    folder: Folder = RESULTS / "figures",
    data: Annotated[str | None, typer.Option(help="Another data set than the paper's.")] = None,
    data_dir: DataDir = None,
    backend: BackendName = "numpy",
) -> None:
    """Redraw a figure of the paper."""
    from model.paper.figure import redraw  # plotting takes a second to import

    with speaking_plainly():
        with bar() as begin:
            path = redraw(
                name,
                folder,
                paper_scale=paper_scale,
                data=data,
                data_dir=data_dir,
                backend=backend,
                progress=_titled(begin),
            )
        Console().print(f"drawn: {path}")


@app.command()
def theorem(
    hidden: Annotated[str, typer.Option(help="Units of the hidden layers.")] = "20,15,10",
    loss: Annotated[str, typer.Option(help="bce or ce.")] = "bce",
    steps: Annotated[int, typer.Option(help="Updates.")] = 30,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Check lemma and theorem on a linear network trained by DRTP on one example."""
    with speaking_plainly():
        if not all(units.isdecimal() for units in hidden.split(",")):
            raise Refusal(f"hidden must be units joined by commas, such as 20,15, not {hidden!r}")
        sizes = tuple(int(units) for units in hidden.split(","))
        evidence = theorems.check(sizes, loss=loss, steps=steps, seed=seed)
        columns = ("step", "smallest coefficient", "smallest s_k", "residual", "widest angle")
        table = Table(*columns, title=f"DRTP on one example, {hidden}, {loss}")
        for seen in evidence:
            angle = "" if seen.angle is None else f"{seen.angle:.2g}"
            values = (seen.smallest, min(seen.factors), seen.residual)
            table.add_row(str(seen.step), *(f"{value:.3g}" for value in values), angle)
        Console().print(table)
        if json:
            write_json(json, [asdict(seen) for seen in evidence])


@app.command()
def bench(epochs: int = 2, data_dir: DataDir = None, json: Json = None) -> None:
    """Measure the processor time of an epoch: FC1-500 beside torch, if installed; CONV."""
    with speaking_plainly():
        speed = benches.bench(load("mnist", data_dir), epochs)
        said = f"FC1-500, {speed.samples} samples: {speed.ours_s:.2f} s of processor an epoch"
        if speed.ratio is None:
            Console().print(f"{said}; torch is not installed, so no ratio")
        else:
            Console().print(
                f"{said}, torch {speed.torch_s:.2f} s: {speed.ratio:.2f} times as fast as torch"
            )
        Console().print(
            f"CONV (random), Adam in one pass: {speed.conv_s:.1f} s of processor an epoch, "
            f"through the array library {speed.conv_plain_s:.1f} s: "
            f"{speed.conv_ratio:.2f} times as fast"
        )
        if json:
            write_json(json, speed.told())

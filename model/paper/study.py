"""Studies: the long runs behind the reproduction tables, point by point, resumable at any moment.

A study is a list of settings. Each finished point is written at once to `<folder>/<study>.csv`, its
epochs to `<folder>/<study>.curves.csv`; the point in progress has a checkpoint in `<folder>/.work`
or where the caller says, written after every epoch. A study that was stopped, however rudely, goes
on from there; so does one that was cut at fewer epochs than planned.
"""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from model.contract.artifact import write_text
from model.contract.refusal import Refusal, guess, reason, shown
from model.contract.stop import keeping
from model.data.places import read
from model.paper.run import Run, provenance
from model.paper.settings import ALGORITHMS, Settings, plan
from model.paper.task import Task, load
from model.paper.training import Progress, fit

Row = dict[str, Any]

RESULTS = (
    "test_error",  # mean of the last ten epochs, as the paper has it
    "final_test_error",
    "final_test_loss",
    "final_train_error",
    "final_train_loss",
    "epochs_run",
    "seconds",
)
PROVENANCE = ("config", "python", "library")
COLUMNS = (*(field.name for field in fields(Settings)), *RESULTS, *PROVENANCE)
WHOLE = ("epochs", "epochs_run", "patience")
NUMBERS = (*RESULTS, *WHOLE, "dropout")
MOST = 1e12  # of any of them
CURVE = ("epoch", "test_error", "test_loss", "train_error", "train_loss")


LATER = {"summed": "False"}
"""Settings that came after the first results: their text in the rows from before."""


def _anchors() -> Iterator[Settings]:
    """Runs of the authors' program: its initialisation and its epochs, three seeds.

    Twenty seeds of the regression, whose losses move most from run to run.
    """
    for algorithm in ALGORITHMS:
        for seed in range(3):
            yield plan("mnist", "fc1-500", algorithm, epochs=10, seed=seed, init="fan-in")
    for data, trials in (("synthetic", 3), ("regression", 20)):
        for algorithm in ALGORITHMS:
            if (data, algorithm) != ("regression", "drtp"):
                for seed in range(trials):
                    yield plan(data, None, algorithm, epochs=20, seed=seed, init="fan-in")


def _fc1() -> Iterator[Settings]:
    """Table 1, FC1-500 at the paper's 100 epochs; three trials of DRTP."""
    yield from _trials("fc1-500")


def _trials(network: str) -> Iterator[Settings]:
    """One trial of each algorithm, the most telling first, then two more of DRTP."""
    for algorithm in ("bp", "drtp", "shallow", "dfa", "fa", "sdfa"):
        yield plan("mnist", network, algorithm, init="fan-in")
    for seed in (1, 2):
        yield plan("mnist", network, "drtp", init="fan-in", seed=seed)


def _dropout() -> Iterator[Settings]:
    """Table 1, FC1-500 with dropout 0.1."""
    for algorithm in ALGORITHMS:
        yield plan("mnist", "fc1-500", algorithm, init="fan-in", dropout=0.1)


def _fc2() -> Iterator[Settings]:
    """Table 1, FC2-500; three trials of DRTP."""
    yield from _trials("fc2-500")


def _wide() -> Iterator[Settings]:
    """Table 1, layers of 1000."""
    for network in ("fc1-1000", "fc2-1000"):
        for algorithm in ("drtp", "bp"):
            yield plan("mnist", network, algorithm, init="fan-in")


def _init() -> Iterator[Settings]:
    """Table 1, FC1-500, from the first weights of the paper's text (He), not its program's."""
    for algorithm in ("drtp", "shallow", "bp"):
        yield plan("mnist", "fc1-500", algorithm, init="he")


def _conv() -> Iterator[Settings]:
    """CONV (random) of Table 1 at the paper's 100 epochs; three trials of DRTP as far as measured.

    A row of fewer epochs is a run that goes on: it stands with the error after its last.
    """
    for algorithm in ("drtp", "bp", "dfa", "fa", "sdfa", "shallow"):
        yield plan("mnist", "conv-random", algorithm, init="fan-in")
    for seed in (1, 2):
        yield plan("mnist", "conv-random", "drtp", init="fan-in", seed=seed)


def _conv_trained() -> Iterator[Settings]:
    """CONV (trained) of Table 1, the same."""
    for algorithm in ("drtp", "bp", "dfa", "fa", "sdfa"):
        yield plan("mnist", "conv-trained", algorithm, init="fan-in")


def _synthetic() -> Iterator[Settings]:
    """Figure 3's final errors: the synthetic classification at its 500 epochs."""
    for algorithm in ("bp", "dfa", "shallow", "sdfa", "fa"):
        yield plan("synthetic", None, algorithm, init="fan-in")


def _synthetic_init() -> Iterator[Settings]:
    """The same from He weights in every layer: neither those of its program, nor any at zero."""
    for algorithm in ("bp", "shallow", "dfa", "fa", "sdfa"):
        yield plan("synthetic", None, algorithm, init="he", zero=False)


def _synthetic_nag() -> Iterator[Settings]:
    """The same by the optimiser that the authors' program takes unless told otherwise.

    Nesterov's momentum 0.9 and projections summed over the batch, from the program's weights.
    """
    for algorithm in ("shallow", "sdfa", "bp", "dfa", "fa"):
        chosen = {"init": "fan-in", "optimiser": "nag", "summed": True}
        yield plan("synthetic", None, algorithm, **chosen)


def _jpeg() -> Iterator[Settings]:
    """Table 2's first row, on the JPEG copy of CIFAR-10; the last tenth judges early stopping.

    CONV (random) by DRTP for five of the paper's 200 epochs.
    """
    yield plan("cifar10-jpeg", "conv-random", "drtp", init="fan-in", epochs=5)
    for algorithm in ("drtp", "bp", "shallow", "sdfa", "dfa", "fa"):
        yield plan("cifar10-jpeg", "fc1-500", algorithm, init="fan-in", held_out=5000, patience=10)


STUDIES: dict[str, Callable[[], Iterator[Settings]]] = {
    "anchors": _anchors,
    "table1-fc1": _fc1,
    "table1-fc2": _fc2,
    "table1-dropout": _dropout,
    "table1-wide": _wide,
    "table1-init": _init,
    "table1-conv": _conv,
    "table1-conv-trained": _conv_trained,
    "table2-jpeg": _jpeg,
    "synthetic": _synthetic,
    "synthetic-init": _synthetic_init,
    "synthetic-nag": _synthetic_nag,
}

#: Studies whose published figures tell the training error too.
MEASURING_TRAIN = ("anchors", "synthetic", "synthetic-init", "synthetic-nag")


def study(
    name: str,
    folder: Path,
    *,
    data_dir: Path | None = None,
    backend: str = "numpy",
    epochs: int | None = None,
    checkpoints: Path | None = None,
    progress: Callable[[Settings, int, int], Progress] | None = None,
) -> list[Row]:
    """Run what is not yet measured of a study and return all its rows.

    `epochs`: cut every point after so many, for a look at a run before it ends: its row counts as
    another point, and the whole run goes on from the same checkpoint and takes that row's place.
    `checkpoints`: where the points in progress live, `<folder>/.work` if left out.
    `progress(settings, number, count)` is called as a point begins and returns what `fit` reports
    to. Raises `Refusal` for an unknown study and as `fit` does.
    """
    if name not in STUDIES:
        raise Refusal(
            f"there is no study {name!r}; choose one of {', '.join(STUDIES)}{guess(name, STUDIES)}"
        )
    planned = [replace(settings, backend=backend) for settings in STUDIES[name]()]
    if epochs is not None:
        planned = [replace(point, epochs=min(epochs, point.epochs)) for point in planned]
    points, curves = folder / f"{name}.csv", folder / f"{name}.curves.csv"
    rows = read_points(points)
    task: Task | None = None
    for number, settings in enumerate(planned, 1):
        begun = [row for row in rows if _on_course(row, settings)]
        if any(int(row["epochs"]) >= settings.epochs for row in begun):
            continue
        if task is None or task.name != settings.data:
            task = load(settings.data, data_dir)
        checkpoint = (checkpoints or folder / ".work") / f"{_course(settings)}.npz"
        shown = progress(settings, number, len(planned)) if progress else None
        with keeping(_kept(number - 1, len(planned), points, checkpoint)):
            run = fit(
                settings,
                task,
                measure_train=name in MEASURING_TRAIN,
                checkpoint=checkpoint,
                resume=True,
                progress=shown,
            )
        past = {settings.hash, *(row["config"] for row in begun)}
        kept = [row for row in read_rows(curves) if row["config"] not in past]
        write_rows(curves, ("config", *CURVE), [*kept, *_curve(run)])
        rows = [*(row for row in rows if row["config"] not in past), _row(run)]
        write_rows(points, COLUMNS, rows)
        if epochs is None:
            checkpoint.unlink(missing_ok=True)
    return rows


def _kept(number: int, count: int, points: Path, checkpoint: Path) -> Callable[[], str]:
    """What is kept of a study that the user stops within a point."""
    return lambda: (
        f"{number:,} of {count:,} points are kept in {points}, "
        + (f"the whole epochs of the next in {checkpoint}, " if checkpoint.exists() else "")
        + "the same command goes on"
    )


def _course(settings: Settings) -> str:
    """What runs of these settings share however many epochs they have."""
    return replace(settings, epochs=1).hash


def _on_course(row: Row, settings: Settings) -> bool:
    """Whether a row is of these settings but for its epochs."""
    wanted = asdict(settings)
    return all(
        str(_cell(row[name])) == str(_cell(value))
        for name, value in wanted.items()
        if name != "epochs"
    )


def _row(run: Run) -> Row:
    """A tidy row: settings, results, provenance."""
    last = run.points[-1]
    return {
        **asdict(run.settings),
        "test_error": None if last.test_error is None else run.test_error,
        "final_test_error": last.test_error,
        "final_test_loss": last.test_loss,
        "final_train_error": last.train_error,
        "final_train_loss": last.train_loss,
        "epochs_run": last.epoch,
        "seconds": round(run.seconds, 1),
        **provenance(run.settings),
    }


def _curve(run: Run) -> Iterator[Row]:
    for point in run.points:
        yield {"config": run.settings.hash, **{name: getattr(point, name) for name in CURVE}}


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a CSV as text, none where there is no file yet.

    Raises `Refusal` where the file cannot be read, or a row has other cells than the first line
    names.
    """
    if not path.exists():
        return []
    rows: list[Row] = []
    try:
        reader = csv.DictReader(io.StringIO(read(path).decode(), newline=""), strict=True)
        for row in reader:
            if None in row or None in row.values():
                raise Refusal(
                    f"{path}, line {reader.line_num}, has other cells than the first line names; "
                    f"mend it or remove it"
                )
            rows.append(row)
    except (csv.Error, UnicodeDecodeError) as error:
        raise Refusal(f"{path} is no CSV ({reason(error)}); mend it or remove it") from error
    return rows


def read_points(path: Path) -> list[Row]:
    """Return the finished points of a study, none where there is no file yet.

    A setting that files older than it cannot name has the value they were made with.

    Raises `Refusal` where a column is missing, or a cell that is reported is no number.
    """
    rows = [{**LATER, **row} for row in read_rows(path)]
    for number, row in enumerate(rows, 1):
        for name in COLUMNS:
            if name not in row:
                raise Refusal(f"{path} has no column {name}; mend it or remove it")
            if name in NUMBERS and not _is_number(row[name], name in WHOLE):
                raise Refusal(
                    f"{path}, point {number}: {name} is {shown(row[name])}, no number; mend it or "
                    f"remove it"
                )
    return rows


def _is_number(text: str, whole: bool) -> bool:
    """Whether a cell is empty or holds a number that a mean can be taken of."""
    try:
        return (not text and not whole) or abs(int(text) if whole else float(text)) < MOST
    except ValueError:
        return False


def write_rows(path: Path, columns: tuple[str, ...], rows: list[Row]) -> None:
    """Write rows as CSV, whole or not at all; None becomes an empty cell."""
    text = io.StringIO()
    table = csv.DictWriter(text, columns, lineterminator="\n")
    table.writeheader()
    table.writerows({name: _cell(row[name]) for name in columns} for row in rows)
    write_text(path, text.getvalue())


def _cell(value: Any) -> Any:
    return f"{value:.6g}" if isinstance(value, float) else value

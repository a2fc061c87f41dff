"""Sweeps: trainings over a grid of configuration fields, algorithms and seeds, side by side.

A sweep is a TOML file:

    preset = "digits"           # or: config = "chip.toml"
    data = "digits"
    epochs = 5
    limit = 1000                # training samples; all of them where not given
    validation_fraction = 0.2   # of them, kept back to choose by
    algorithms = ["drtp", "float-drtp"]
    seeds = [0, 1, 2]

    [grid]                      # every combination of
    weight_bits = [6, 8]
    hidden1.neurons = [64, 128]

Each finished point is saved at once, as a row of a CSV with its provenance; what the CSV holds is
not measured again. With a validation fraction, points are measured and ranked on samples kept back
from the training, and the best alone is tested once. Without it all are tested, and none is chosen.
"""

import itertools
import math
import platform
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from model.arith import Codes
from model.contract.config import ChipConfig
from model.contract.presets import chosen
from model.contract.reading import from_dict, read_toml
from model.contract.refusal import Refusal, guess, shown
from model.contract.stop import keeping
from model.data import Dataset, load
from model.network import Images, Progress
from model.paper.study import Row, read_rows, write_rows
from model.study.experiment import Experiment, Samples, held_back, limited, named, samples_for
from model.study.workers import workers

FIELDS = (
    *("preset", "config", "data", "test_fraction", "validation_fraction", "epochs", "limit"),
    *("algorithms", "seeds"),
)
PROVENANCE = ("config_sha256", "data_sha256", "python", "numpy", "numba")
IDENTITY = ("config_sha256", "data_sha256", "train_samples", "algorithm", "epochs", "seed")
MOST_POINTS = 100_000


@dataclass(frozen=True)
class Point:
    """One training of a sweep: `values` are those of the swept fields, by dotted name."""

    algorithm: str
    values: dict[str, Any]
    experiment: Experiment


@dataclass(frozen=True)
class Sweep:
    """What a sweep's file asks for."""

    data: str
    test_fraction: float | None
    validation_fraction: float | None
    limit: int | None
    fields: list[str]
    points: list[Point]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the CSV."""
        asked = ("data", "train_samples", "algorithm", *self.fields, "epochs", "seed")
        return (*asked, self.measure, "seconds", *PROVENANCE)

    @property
    def measure(self) -> str:
        """What is measured of every point."""
        return "test_accuracy" if self.validation_fraction is None else "validation_accuracy"


def read_sweep(path: Path) -> Sweep:
    """Read a sweep. Raises `Refusal` for anything unknown, missing, of a wrong type or impossible.

    A path that the file gives is relative to the file's folder.
    """
    table = read_toml(path, "sweep")
    for name in table:
        if name not in (*FIELDS, "grid"):
            names = f"{', '.join(FIELDS)}, grid{guess(name, (*FIELDS, 'grid'))}"
            raise Refusal(f"sweep {path} has no field {shown(name)}; it has {names}")
    file = _value(path, table, "config", str, None)
    base = chosen(
        _value(path, table, "preset", str, None), path.parent / file if file else None, None
    )
    try:
        grid = dict(_leaves(_value(path, table, "grid", dict, {})))
    except RecursionError as error:
        raise Refusal(
            f"sweep {path}: grid nests too deep; name fields as hidden1.neurons"
        ) from error
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise Refusal(
                f"sweep {path}: grid.{name} must be a list of values, not {shown(values)}"
            )
    algorithms = _list(path, table, "algorithms", str)
    seeds = _list(path, table, "seeds", int)
    epochs = _value(path, table, "epochs", int, 5)
    if epochs < 1:
        raise Refusal(f"sweep {path}: epochs must be at least 1, not {shown(epochs)}")
    if min(seeds) < 0:
        raise Refusal(f"sweep {path}: a seed must be 0 or more, not {shown(min(seeds))}")
    count = math.prod([*map(len, grid.values()), len(algorithms), len(seeds)])
    if count > MOST_POINTS:
        raise Refusal(
            f"sweep {path} asks for {count:,} trainings, more than {MOST_POINTS:,}; make it smaller"
        )
    points = []
    for values in itertools.product(*grid.values()):
        assigned = dict(zip(grid, values, strict=True))
        for algorithm, seed in itertools.product(algorithms, seeds):
            experiment = named(base, algorithm, epochs, seed)
            config = with_fields(experiment.config, assigned)
            points.append(Point(algorithm, assigned, replace(experiment, config=config)))
    return Sweep(
        data=_value(path, table, "data", str, "digits"),
        test_fraction=_value(path, table, "test_fraction", float, None),
        validation_fraction=_value(path, table, "validation_fraction", float, None),
        limit=_value(path, table, "limit", int, None),
        fields=list(grid),
        points=points,
    )


def with_fields(config: ChipConfig, values: dict[str, Any]) -> ChipConfig:
    """The chip with other values of some fields, by dotted name ("hidden1.neurons").

    Raises `Refusal` where there is no such field, or the chip cannot be.
    """
    choices = config.to_dict()
    for name, value in values.items():
        if name in ("learning.rule", "learning.error_scaled") or name.startswith("rules."):
            raise Refusal(f"a sweep names rules as algorithms, not as the field {name}")
        *place, leaf = name.split(".")
        part: Any = choices
        for step in place:
            part = (part.get(step) or _numbered(part, step)) if isinstance(part, dict) else {}
        if not isinstance(part, dict) or leaf not in part:
            raise Refusal(f"the chip {config.name} has no field {shown(name)} to sweep")
        part[leaf] = value
    return from_dict(choices)


def sweep(
    asked: Sweep,
    out: Path,
    *,
    data_dir: Path | None = None,
    scheduler: str | None = None,
    progress: Progress | None = None,
) -> list[Row]:
    """Measure what `out` lacks, saving each point as it is finished; all rows in their order.

    Trainings run side by side as joblib is told to (`joblib.parallel_config`), or on the Dask
    cluster of a scheduler, "tcp://host:port", whose workers run in the project's folder. Raises
    `Refusal` where data are missing or not the chip's, `out` is of another sweep, or no scheduler
    answers.
    """
    data = limited(
        load(asked.data, data_dir=data_dir, test_fraction=asked.test_fraction), asked.limit
    )
    if asked.validation_fraction is not None:
        data = _validated(data, asked.validation_fraction)
    for point in asked.points:  # all chips of a sweep take the same images, or are refused
        samples = samples_for(point.experiment.config, data)
    rows = {_identity(row): row for row in _rows_so_far(out, asked.columns)}
    planned = {_identity(row): (row, point) for row, point in _plan(asked, data)}
    missing = [key for key in planned if key not in rows]
    if progress is not None:
        progress(len(planned) - len(missing), len(planned))

    def kept() -> str:
        count = sum(key in rows for key in planned)
        return f"{count:,} of {len(planned):,} points are kept in {out}, the same command goes on"

    # Made inside: where it runs is what is said around it.
    with keeping(kept), workers(scheduler), Parallel(return_as="generator_unordered") as pool:
        # Arrays stand alone among the arguments: a cluster is sent each of them once.
        arrays = samples.x_train, samples.y_train, samples.x_test, samples.y_test
        jobs = [
            delayed(_measure)(number, planned[key][1].experiment, *arrays)
            for number, key in enumerate(missing)
        ]
        for number, accuracy, seconds in pool(jobs):
            key = missing[number]
            rows[key] = {**planned[key][0], asked.measure: accuracy, "seconds": seconds}
            others = [row for other, row in rows.items() if other not in planned]
            ours = [rows[other] for other in planned if other in rows]
            write_rows(out, asked.columns, [*others, *ours])
            if progress is not None:
                progress(len(ours), len(planned))
    return [rows[key] for key in planned]


def winner(asked: Sweep, rows: list[Row], data_dir: Path | None = None) -> tuple[Row, float] | None:
    """Row of the best point on validation samples, and its test accuracy, measured this once.

    It is trained anew, on all training samples. Nothing where points were measured on the test.
    """
    if asked.validation_fraction is None:
        return None
    pairs = zip(rows, asked.points, strict=True)
    row, point = max(pairs, key=lambda pair: float(pair[0][asked.measure]))
    data = load(asked.data, data_dir=data_dir, test_fraction=asked.test_fraction)
    samples = samples_for(point.experiment.config, limited(data, asked.limit))
    return row, point.experiment.run(samples)


def _validated(data: Dataset, fraction: float) -> Dataset:
    """The data set with a share of its training samples in place of the test."""
    everything = np.arange(len(data.y_train))
    train, held = held_back(data.y_train, everything, fraction, seed=0)
    return replace(
        data,
        x_train=data.x_train[train],
        y_train=data.y_train[train],
        x_test=data.x_train[held],
        y_test=data.y_train[held],
    )


def _plan(asked: Sweep, data: Dataset) -> Iterator[tuple[Row, Point]]:
    """What is known of every row before it is measured."""
    for point in asked.points:
        row = {
            "data": asked.data,
            "train_samples": len(data.y_train),
            "algorithm": point.algorithm,
            **point.values,
            "epochs": point.experiment.epochs,
            "seed": point.experiment.seed,
            "config_sha256": point.experiment.config.sha256,
            "data_sha256": data.sha256,
            "python": platform.python_version(),
            "numpy": version("numpy"),
            "numba": version("numba"),
        }
        yield row, point


def _measure(
    number: int,
    experiment: Experiment,
    x_train: Images,
    y_train: Codes,
    x_test: Images,
    y_test: Codes,
) -> tuple[int, float, float]:
    began = time.monotonic()
    accuracy = experiment.run(Samples(x_train, y_train, x_test, y_test))
    return number, accuracy, round(time.monotonic() - began, 2)


def _rows_so_far(out: Path, columns: tuple[str, ...]) -> list[Row]:
    rows = read_rows(out)
    if rows and tuple(rows[0]) != columns:
        raise Refusal(f"{out} holds another sweep, with other columns; choose another --out")
    return rows


def _identity(row: Row) -> tuple[str, ...]:
    """What makes two rows the same measurement."""
    return tuple(str(row[name]) for name in IDENTITY)


def _leaves(table: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Dotted name and value of every leaf of nested tables."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{before}{name}.")
        else:
            yield before + name, value


def _numbered(part: dict[str, Any], step: str) -> Any:
    """The n-th of a list of tables, "hidden1" the first of "hidden"; nothing if there is none."""
    match = re.fullmatch(r"([a-z]+)([1-9])", step)
    parts = part.get(match[1]) if match else None
    place = int(match[2]) - 1 if match else 0
    return parts[place] if isinstance(parts, list) and place < len(parts) else {}


def _value(path: Path, table: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = table.get(name, default)
    if value is not default and type(value) is not kind:
        raise Refusal(f"sweep {path}: {name} must be {kind.__name__}, not {shown(value)}")
    return value


def _list(path: Path, table: dict[str, Any], name: str, kind: type) -> list[Any]:
    values = table.get(name)
    if not isinstance(values, list) or not values or any(type(v) is not kind for v in values):
        raise Refusal(
            f"sweep {path}: {name} must be a list of {kind.__name__}, not {shown(values)}"
        )
    return values

"""Reports: what a study measured beside what was published, and whether the two agree.

`published.csv` holds the paper's Tables 1, 2, S1 and S2 (test error in %, mean and standard
deviation of ten trials), the errors that Figure 3's caption names, and one run each of the authors'
public program (its regression losses divided by the ten outputs, as losses are means here).
"""

import inspect
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev

from model.contract.refusal import Refusal
from model.paper.settings import LIKE
from model.paper.study import STUDIES, Row, read_points, read_rows

PUBLISHED = Path(__file__).with_name("published.csv")
PROGRAM = "authors' program"

FIGURE_3 = ("synthetic", "synthetic-init", "synthetic-nag")
SOURCES = {"anchors": (PROGRAM,), **dict.fromkeys(FIGURE_3, ("figure 3",))}
TABLES = ("table 1", "table s1", "table 2", "table s2")

ALLOWED_POINTS = {"mnist": 0.6, "synthetic": 0.8}  # of error, against the authors' program
ALLOWED_SHARE = 0.15  # of loss, against the authors' program
ALLOWED_SPREADS, ALLOWED_AT_LEAST = 3, 0.3  # the paper's standard deviations, or points
TABLE_EPOCHS = 100  # of Table 1: the mean of the last ten would blur a run cut short


@dataclass(frozen=True)
class Comparison:
    """A published figure and ours, errors in %, losses as means over outputs.

    `spread`, `our_spread`: standard deviations, None where there is one run; `trials`, `epochs`:
    of ours; `allowed`: how far apart the two may be, None where nothing says so.
    """

    source: str
    data: str
    network: str
    algorithm: str
    dropout: float
    flip: bool
    init: str
    quantity: str
    published: float
    spread: float | None
    ours: float
    our_spread: float | None
    trials: int
    epochs: int
    allowed: float | None

    @property
    def difference(self) -> float:
        """Ours less the published."""
        return self.ours - self.published

    @property
    def spreads(self) -> float | None:
        """The difference in the paper's standard deviations, or in ours where it gives none."""
        spread = self.spread or self.our_spread
        return self.difference / spread if spread else None

    @property
    def agrees(self) -> bool | None:
        """Whether the difference is within what is allowed; None where nothing is said."""
        return None if self.allowed is None else abs(self.difference) <= self.allowed


def report(study: str, folder: Path) -> list[Comparison]:
    """Return a study's finished points beside the published ones.

    Raises `Refusal` for an unknown study and where none of its points has been measured.
    """
    if study not in STUDIES:
        raise Refusal(f"there is no study {study!r}; choose one of {', '.join(STUDIES)}")
    rows = read_points(folder / f"{study}.csv")
    if not rows:
        raise Refusal(
            f"study {study!r} has no finished point in {folder}; "
            f"run `python -m model paper study {study}` first"
        )
    sources = SOURCES.get(study, TABLES)
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((*_place(row), row["init"]), []).append(row)
    return [
        _compare(told, group)
        for place, group in groups.items()
        for told in read_rows(PUBLISHED)
        if told["source"] in sources and _place(told) == (_paper_data(place[0]), *place[1:5])
    ]


def _place(row: Row) -> tuple[str, ...]:
    """What a published figure and a measured one have in common."""
    return (
        row["data"],
        row["network"],
        row["algorithm"],
        str(float(row["dropout"])),
        row["flip"],
    )


def _paper_data(data: str) -> str:
    return LIKE.get(data, data)


def _compare(told: Row, group: list[Row]) -> Comparison:
    whole = max(int(row["epochs"]) for row in group)  # a trial cut shorter would blur the mean
    group = [row for row in group if int(row["epochs"]) == whole]
    epochs = max(int(row["epochs_run"]) for row in group)
    quantity = told["quantity"]
    cut_short = epochs < TABLE_EPOCHS and group[0]["patience"] == "0"
    if quantity == "test_error" and cut_short:
        quantity = "final_test_error"
    values = [float(row[quantity]) for row in group if row[quantity]]
    published = float(told["value"])
    spread = float(told["spread"]) if told["spread"] else None
    return Comparison(
        told["source"],
        group[0]["data"],
        told["network"],
        told["algorithm"],
        float(told["dropout"]),
        told["flip"] == "True",
        group[0]["init"],
        quantity,
        published,
        spread,
        fmean(values) if values else float("nan"),
        stdev(values) if len(values) > 1 else None,
        len(values),
        epochs,
        _allowed(told, published, spread),
    )


def _allowed(told: Row, published: float, spread: float | None) -> float | None:
    if spread is not None:
        return max(ALLOWED_SPREADS * spread, ALLOWED_AT_LEAST)
    if told["source"] != PROGRAM:
        return None
    if told["quantity"].endswith("loss"):
        return ALLOWED_SHARE * published
    return ALLOWED_POINTS[told["data"]]


COLUMNS = (
    "data", "network", "algorithm", "dropout", "of", "published", "ours", "trials", "epochs",
    "less", "in sd", "agrees",
)  # fmt: skip


QUANTITIES = {
    "test_error": "test %",
    "final_test_error": "test %, last epoch",
    "final_train_error": "train %",
    "final_test_loss": "test loss",
    "final_train_loss": "train loss",
}


def cells(row: Comparison) -> tuple[str, ...]:
    """Return a comparison as text, a cell for each of `COLUMNS`."""
    places = 4 if row.quantity.endswith("loss") else 2
    return (
        row.data + (" (JPEG)" if row.data.endswith("jpeg") else ""),
        row.network,
        row.algorithm,
        f"{row.dropout:g}" + (" flip" if row.flip else ""),
        QUANTITIES[row.quantity],
        _value(row.published, row.spread, places),
        _value(row.ours, row.our_spread, places),
        str(row.trials),
        str(row.epochs),
        f"{row.difference:+.{places}f}",
        "" if row.spreads is None else f"{row.spreads:+.1f}",
        {True: "yes", False: "no", None: ""}[row.agrees],
    )


def _value(mean: float, spread: float | None, places: int) -> str:
    return f"{mean:.{places}f}" + (f" ± {spread:.{places}f}" if spread is not None else "")


def page(folder: Path) -> str:
    """Return all reports of a results folder as one Markdown page."""
    parts = ["# Reproduction: published, ours, difference\n"]
    parts.append(
        "Generated by `python -m model paper report`. Errors in %, losses as means over the "
        "outputs. A figure agrees where it lies within 0.6 points (MNIST), 0.8 points (synthetic "
        "classification) or 15 % of the loss of the authors' program; within three of the paper's "
        "standard deviations or 0.3 points, whichever is larger, in the tables. `in sd`: the "
        "difference in the paper's standard deviations, or in ours beside a single published run. "
        "The tables average the last ten epochs; runs cut short stand with the error after their "
        "last.\n"
    )
    for study, points in STUDIES.items():
        if (folder / f"{study}.csv").exists():
            parts.append(f"\n## {study}\n\n{inspect.cleandoc(points.__doc__ or '')}\n")
            parts.append(_markdown(report(study, folder)))
    return "\n".join(parts)


def _markdown(rows: Iterable[Comparison]) -> str:
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS)]
    lines += ["| " + " | ".join(cells(row)) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def as_json(rows: Iterable[Comparison]) -> list[Row]:
    """Return comparisons for JSON."""
    return [
        {**asdict(row), "difference": row.difference, "spreads": row.spreads, "agrees": row.agrees}
        for row in rows
    ]

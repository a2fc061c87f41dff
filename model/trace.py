"""Traces: what crossed every boundary, sample by sample, and the only comparison of the project."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from model.arith import Codes
from model.contract.artifact import writing
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal, reason
from model.contract.stages import boundaries
from model.data.arrays import read_arrays


@dataclass(frozen=True)
class Difference:
    """Where two traces first differ: the earliest sample, in it the earliest stage.

    `step` is the row within the sample's record, `index` the column; "rows" where one record is
    shorter, "samples" where one trace ends early, "columns" where a boundary has other columns.
    """

    stage: str
    sample: int
    step: int
    index: str
    expected: int | str
    got: int | str

    def __str__(self) -> str:
        return (
            f"{self.stage}, sample {self.sample}, step {self.step}, {self.index}: "
            f"expected {self.expected}, got {self.got}"
        )


class Record:
    """What crossed one boundary: `record[sample]` is an (n, columns) array of codes.

    Rows of all samples lie end to end in `rows`; `lengths` holds the number of rows a sample.
    """

    def __init__(self, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self._rows: list[Codes] = [np.empty((0, len(columns)), np.int64)]
        self._lengths: list[Codes] = [np.empty(0, np.int64)]

    def extend(self, rows: ArrayLike, lengths: ArrayLike) -> None:
        """Append samples: their rows end to end (n, columns), and how many rows each has.

        Raises `ValueError` where the shapes or the lengths do not fit.
        """
        rows = np.asarray(rows)
        lengths = np.asarray(lengths)
        if not all(array.dtype.kind in "iu" for array in (rows, lengths) if array.size):
            raise ValueError("rows and lengths must be integers")
        rows, lengths = rows.astype(np.int64, copy=False), lengths.astype(np.int64, copy=False)
        if rows.size == 0:
            rows = rows.reshape(0, len(self.columns))
        if rows.ndim != 2 or rows.shape[1] != len(self.columns):
            raise ValueError(f"rows must be (n, {len(self.columns)}), not {rows.shape}")
        if lengths.ndim != 1 or (lengths < 0).any() or lengths.sum() != len(rows):
            raise ValueError(f"lengths must be (samples,) and add up to {len(rows)} rows")
        self._rows.append(rows)
        self._lengths.append(lengths)

    @property
    def rows(self) -> Codes:
        """Rows of all samples, (n, columns)."""
        if len(self._rows) > 1:
            self._rows = [np.concatenate(self._rows)]
        return self._rows[0]

    @property
    def lengths(self) -> Codes:
        """Number of rows of each sample, (samples,)."""
        if len(self._lengths) > 1:
            self._lengths = [np.concatenate(self._lengths)]
        return self._lengths[0]

    @property
    def starts(self) -> Codes:
        """First row of each sample, (samples,)."""
        return np.cumsum(self.lengths) - self.lengths

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, sample: int) -> Codes:
        start = int(self.lengths[:sample].sum())
        return self.rows[start : start + self.lengths[sample]]

    def __iter__(self) -> Iterator[Codes]:
        return iter(np.split(self.rows, self.starts[1:]) if len(self) else [])


class Trace:
    """Records of every boundary: `records[boundary][sample]` is an (n, columns) array of codes."""

    def __init__(self, columns: dict[str, tuple[str, ...]]) -> None:
        self.columns = columns
        self.records = {name: Record(names) for name, names in columns.items()}

    @classmethod
    def of(cls, config: ChipConfig) -> "Trace":
        """An empty trace of a chip."""
        return cls({boundary.name: boundary.columns for boundary in boundaries(config)})

    @property
    def samples(self) -> int:
        """Number of whole samples."""
        return min(len(record) for record in self.records.values())

    def add(self, name: str, rows: Iterable[Iterable[int]] | Codes) -> None:
        """Append one sample's record at a boundary."""
        if not isinstance(rows, np.ndarray):
            rows = np.array([list(row) for row in rows], dtype=np.int64)
        self.records[name].extend(rows, [len(rows)])

    def extend(self, name: str, rows: ArrayLike, lengths: ArrayLike) -> None:
        """Append many samples' records at a boundary: rows end to end, and each one's length.

        Raises `ValueError` where the shapes or the lengths do not fit.
        """
        self.records[name].extend(rows, lengths)

    def values(self) -> int:
        """Number of integers held."""
        return sum(record.rows.size for record in self.records.values())

    def save(self, path: Path | str) -> None:
        """Write as .npz: rows of all samples end to end, and the length of each sample."""
        arrays: dict[str, np.ndarray] = {}
        for name, record in self.records.items():
            arrays[f"{name}:rows"] = record.rows
            arrays[f"{name}:lengths"] = record.lengths
            arrays[f"{name}:columns"] = np.array(record.columns)
        with writing(path) as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path | str) -> "Trace":
        """Read what `save` wrote. Raises `Refusal` where the file is no whole trace."""
        arrays = read_arrays(Path(path), _REMEDY)
        names = [name.removesuffix(":rows") for name in arrays if name.endswith(":rows")]
        if not names or set(arrays) != {f"{name}:{part}" for name in names for part in _PARTS}:
            raise Refusal(f"{path} is no trace: {_REMEDY}")
        trace = cls({name: tuple(map(str, arrays[f"{name}:columns"])) for name in names})
        for name in names:
            try:
                trace.extend(name, arrays[f"{name}:rows"], arrays[f"{name}:lengths"])
            except ValueError as error:
                told = f"{name}: {reason(error)}"
                raise Refusal(f"{path} is no whole trace: {told}; {_REMEDY}") from error
        return trace


_PARTS = ("rows", "lengths", "columns")
_REMEDY = "write it anew with Trace.save"


def first_difference(expected: Trace, got: Trace) -> Difference | None:
    """The first place where two traces differ, or None: by sample, then by stage, row, column."""
    for name in (*expected.columns, *got.columns):
        wanted, found = (trace.columns.get(name, ("absent",)) for trace in (expected, got))
        if wanted != found:
            return Difference(name, 0, 0, "columns", ", ".join(wanted), ", ".join(found))
    first: Difference | None = None
    for name, record in expected.records.items():
        other = got.records[name]
        sample = _first_sample(record, other)
        if sample is not None and (first is None or sample < first.sample):
            first = _first_in_sample(name, sample, record, other)
    return first


def _first_sample(expected: Record, got: Record) -> int | None:
    """The first sample whose records differ: up to the first other length, rows stand in line."""
    common = min(len(expected), len(got))
    other_length = np.flatnonzero(expected.lengths[:common] != got.lengths[:common])
    in_line = int(other_length[0]) if len(other_length) else common
    rows = int(expected.lengths[:in_line].sum())
    unequal = np.flatnonzero((expected.rows[:rows] != got.rows[:rows]).any(axis=1))
    if len(unequal):
        return int(np.searchsorted(np.cumsum(expected.lengths), unequal[0], side="right"))
    return in_line if in_line < max(len(expected), len(got)) else None


def _first_in_sample(name: str, sample: int, expected: Record, got: Record) -> Difference:
    if sample >= min(len(expected), len(got)):
        return Difference(name, sample, 0, "samples", len(expected), len(got))
    wanted, found = expected[sample], got[sample]
    common = min(len(wanted), len(found))
    unequal = np.argwhere(wanted[:common] != found[:common])
    if len(unequal):
        step, column = map(int, unequal[0])
        codes = int(wanted[step, column]), int(found[step, column])
        return Difference(name, sample, step, expected.columns[column], *codes)
    return Difference(name, sample, common, "rows", len(wanted), len(found))


def mismatches(expected: Trace, got: Trace) -> int:
    """Number of integers that differ, missing or surplus rows included.

    A boundary that one trace lacks, or has with other columns, differs in all its integers.
    """
    total = 0
    for name in {**expected.columns, **got.columns}:
        if expected.columns.get(name) == got.columns.get(name):
            total += _mismatches(expected.records[name], got.records[name])
        else:
            traces = [trace for trace in (expected, got) if name in trace.records]
            total += max(trace.records[name].rows.size for trace in traces)
    return total


def _mismatches(expected: Record, got: Record) -> int:
    samples = min(len(expected), len(got))
    common = np.minimum(expected.lengths[:samples], got.lengths[:samples])
    # Row numbers of the common rows: each sample's start, repeated, and the place in the sample.
    place = np.arange(common.sum()) - np.repeat(np.cumsum(common) - common, common)
    left, right = (
        record.rows[np.repeat(record.starts[:samples], common) + place]
        for record in (expected, got)
    )
    surplus = len(expected.rows) + len(got.rows) - 2 * int(common.sum())
    return int(np.count_nonzero(left != right)) + surplus * len(expected.columns)

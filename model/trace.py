"""Traces: what crossed every boundary, sample by sample, and the only comparison of the project."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.arith import Codes
from model.contract.artifact import writing
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.stages import boundaries


@dataclass(frozen=True)
class Difference:
    """Where two traces first differ: the earliest sample, in it the earliest stage.

    `step` is the row within the sample's record, `index` the column.
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


class Trace:
    """Records of every boundary: `records[boundary][sample]` is an (n, columns) array of codes."""

    def __init__(self, columns: dict[str, tuple[str, ...]]) -> None:
        self.columns = columns
        self.records: dict[str, list[Codes]] = {name: [] for name in columns}

    @classmethod
    def of(cls, config: ChipConfig) -> "Trace":
        """An empty trace of a chip."""
        return cls({boundary.name: boundary.columns for boundary in boundaries(config)})

    @property
    def samples(self) -> int:
        """Number of whole samples."""
        return min(len(records) for records in self.records.values())

    def add(self, name: str, rows: Iterable[Iterable[int]] | Codes) -> None:
        """Append one sample's record at a boundary."""
        if not isinstance(rows, np.ndarray):
            rows = np.array([list(row) for row in rows], dtype=np.int64)
        self.records[name].append(rows.reshape(-1, len(self.columns[name])))

    def values(self) -> int:
        """Number of integers held."""
        return sum(rows.size for records in self.records.values() for rows in records)

    def save(self, path: Path | str) -> None:
        """Write as .npz: rows of all samples end to end, and the length of each sample."""
        arrays: dict[str, np.ndarray] = {}
        for name, records in self.records.items():
            width = len(self.columns[name])
            arrays[f"{name}:rows"] = np.concatenate([np.empty((0, width), np.int64), *records])
            arrays[f"{name}:lengths"] = np.array([len(rows) for rows in records], dtype=np.int64)
            arrays[f"{name}:columns"] = np.array(self.columns[name])
        with writing(path) as file:
            np.savez_compressed(file, **arrays)

    @classmethod
    def load(cls, path: Path | str) -> "Trace":
        """Read what `save` wrote. Raises `Refusal` where the file is no whole trace."""
        try:
            with np.load(path, allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            names = [name.removesuffix(":rows") for name in arrays if name.endswith(":rows")]
            trace = cls({name: tuple(map(str, arrays[f"{name}:columns"])) for name in names})
            for name in names:
                ends = np.cumsum(arrays[f"{name}:lengths"])
                parts = np.split(arrays[f"{name}:rows"], ends)
                if len(parts.pop()):
                    raise ValueError(f"{name} has rows of no sample")
                trace.records[name] = parts
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise Refusal(f"cannot read a trace from {path}: {error}") from error
        except Exception as error:  # zipfile and zlib raise classes of their own
            raise Refusal(f"{path} is damaged: {error}") from error
        return trace


def first_difference(expected: Trace, got: Trace) -> Difference | None:
    """The first place where two traces differ, or None: by sample, then by stage, row, column."""
    for name in expected.columns:
        if expected.columns[name] != got.columns.get(name):
            return Difference(name, 0, 0, "columns", "present", "absent or other")
    counts = {name: (len(expected.records[name]), len(got.records[name])) for name in got.columns}
    for sample in range(max((max(pair) for pair in counts.values()), default=0)):
        for name, (wanted, found) in counts.items():
            if sample >= wanted and sample >= found:
                continue
            if sample >= min(wanted, found):
                return Difference(name, sample, 0, "samples", wanted, found)
            difference = _first_in_rows(
                name, sample, expected.records[name][sample], got.records[name][sample],
                expected.columns[name],
            )
            if difference:
                return difference
    return None


def _first_in_rows(
    name: str, sample: int, expected: Codes, got: Codes, columns: tuple[str, ...]
) -> Difference | None:
    common = min(len(expected), len(got))
    unequal = np.argwhere(expected[:common] != got[:common])
    if len(unequal):
        step, column = map(int, unequal[0])
        return Difference(
            name, sample, step, columns[column], int(expected[step, column]), int(got[step, column])
        )
    if len(expected) != len(got):
        return Difference(name, sample, common, "rows", len(expected), len(got))
    return None


def mismatches(expected: Trace, got: Trace) -> int:
    """Number of integers that differ, missing or surplus rows included."""
    total = 0
    for name, records in expected.records.items():
        others = got.records[name]
        for number in range(max(len(records), len(others))):
            left = records[number] if number < len(records) else np.empty((0, 0), np.int64)
            right = others[number] if number < len(others) else np.empty((0, 0), np.int64)
            common = min(len(left), len(right))
            width = max(left.shape[1], right.shape[1])
            total += int(np.count_nonzero(left[:common] != right[:common])) if common else 0
            total += (max(len(left), len(right)) - common) * width
    return total

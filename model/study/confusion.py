"""The confusion matrix: for what each class is taken."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from model.arith import Codes
from model.contract.config import ChipConfig


@dataclass(frozen=True)
class Confusion:
    """`counts[label, class]`: how many samples of a label were given a class."""

    counts: Codes

    @classmethod
    def of(cls, classes: Codes, labels: Codes, config: ChipConfig) -> "Confusion":
        """From what a chip said (N,) and what is true (N,)."""
        size = config.readout.classes
        flat = np.bincount(labels * size + classes, minlength=size * size)
        return cls(flat.reshape(size, size))

    @property
    def samples(self) -> int:
        """How many samples were classified."""
        return int(self.counts.sum())

    @property
    def accuracy(self) -> float:
        """Share of the samples whose class is their label."""
        return float(np.trace(self.counts) / self.samples)

    @property
    def recalls(self) -> list[float | None]:
        """Of each label, the share that was recognised; None where there was no sample."""
        totals = self.counts.sum(axis=1)
        hits = np.diag(self.counts)
        return [float(h / t) if t else None for h, t in zip(hits, totals, strict=True)]

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "test_samples": self.samples,
            "test_accuracy": self.accuracy,
            "recalls": self.recalls,
            "confusion": self.counts.tolist(),
        }


def table(found: Confusion, title: str) -> Table:
    """One row a label: how many samples, how many recognised, what the others were taken for."""
    shown = Table(title=title)
    for name in ("label", "samples", "recognised", "most often taken for"):
        shown.add_column(name, justify="left" if name.startswith("most") else "right")
    for label, (row, recall) in enumerate(zip(found.counts, found.recalls, strict=True)):
        wrong = row.copy()
        wrong[label] = 0
        worst = [int(c) for c in np.argsort(-wrong, kind="stable")[:3] if wrong[c]]
        taken = ", ".join(f"{c} ({wrong[c]})" for c in worst)
        share = "" if recall is None else f"{recall:.2%}"
        shown.add_row(str(label), f"{row.sum():,}", share, taken)
    return shown

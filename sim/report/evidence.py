"""What a report is made of: JSON of commands and trained models, told apart by their fields."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model.contract.refusal import Refusal
from model.network import ChipModel

# Kind -> the fields that only its command writes.
KINDS: dict[str, tuple[str, ...]] = {
    "classify": ("loaded_by_host", "mismatches"),
    "verify": ("compared_values", "mismatches"),
    "train": ("images_per_second", "test_accuracy", "counters"),
    "test": ("confusion", "recalls"),
    "calibrate": ("trials", "validation_accuracy"),
    "explore": ("config", "points"),
    "compare": ("looks", "profiles"),
    "cost": ("rows", "sources"),
    "power": ("tables", "scope", "cycles"),
    "fpga": ("fmax_mhz", "used", "available"),
}


@dataclass(frozen=True)
class Evidence:
    """The figures of one command: its `kind`, the file they come from, and that file's sum."""

    kind: str
    path: str
    sha256: str
    figures: dict[str, Any]


@dataclass(frozen=True)
class Trained:
    """A trained model, as `train --out` wrote it."""

    path: str
    sha256: str
    model: ChipModel


def gathered(paths: list[Path]) -> tuple[list[Evidence], list[Trained]]:
    """Read every file.

    Raises `Refusal` where one is missing, damaged, or holds the figures of no known command.
    """
    evidence, models = [], []
    for path in paths:
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise Refusal(f"cannot read {path}: {error.strerror}; check the path") from error
        sha256 = hashlib.sha256(raw).hexdigest()
        if path.suffix == ".npz":
            models.append(Trained(path.name, sha256, ChipModel.load(path)))
            continue
        figures = _figures(path, raw)
        evidence.append(Evidence(_kind(path, figures), path.name, sha256, figures))
    return evidence, models


def _figures(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        figures = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{path} is not JSON: {error}") from error
    if not isinstance(figures, dict):
        raise Refusal(f"{path} holds no table of figures; give the --json of a command")
    return figures


def _kind(path: Path, figures: dict[str, Any]) -> str:
    for kind, fields in KINDS.items():
        if all(field in figures for field in fields):
            return kind
    raise Refusal(f"{path} holds the figures of none of {', '.join(KINDS)}; give such a --json")

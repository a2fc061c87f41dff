"""Figures of synthesis that are kept: the regression file that later runs are compared with.

`results/synthesis.json` holds one entry a chip and target, and the margins within which a figure
may move before it counts as changed.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Self

from model.contract.artifact import write_json
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from sim.silicon.synth import Synthesis, key, restored

RESULTS = Path(__file__).resolve().parents[2] / "results"

#: Share by which a figure may differ from the kept one: mapping moves by little with every change
#: of names, place and route by much.
MARGINS = {
    "cells": 0.03,
    "cells_um2": 0.03,
    "flip_flops": 0.02,
    "memory_bits": 0.0,
    "lut": 0.05,
    "ff": 0.02,
    "dsp": 0.0,
    "bram": 0.0,
    "spram": 0.0,
    "fmax_mhz": 0.15,
}


class Figures:
    """The kept figures, by name of the chip, rule and target."""

    def __init__(self, path: Path, entries: list[dict[str, Any]]) -> None:
        self.path = path
        self._entries = {(e["name"], e["rule"], e["target"]): e for e in entries}

    @classmethod
    def load(cls, path: Path = RESULTS / "synthesis.json") -> Self:
        """Read the file. Raises `Refusal` where it is missing or damaged."""
        try:
            return cls(path, json.loads(path.read_text())["figures"])
        except OSError as error:
            raise Refusal(
                f"cannot read {path}: {error.strerror}; restore it from the project's history"
            ) from error
        except (ValueError, KeyError) as error:
            raise Refusal(
                f"{path} holds no figures of synthesis: {error}; restore it from the project's "
                "history"
            ) from error

    def find(self, name: str, rule: str, target: str) -> dict[str, Any] | None:
        """One entry, or None."""
        return self._entries.get((name, rule, target))

    def recall(self, config: ChipConfig, target: str) -> Synthesis | None:
        """What was kept of a chip, if its Verilog, the flow and the tools are still the same."""
        kept = self.find(config.name, config.rule_name, target)
        return restored(kept) if kept and kept["key"] == key(config, target) else None

    def of_target(self, target: str) -> Iterator[dict[str, Any]]:
        """The entries of one target."""
        return (entry for key, entry in self._entries.items() if key[2] == target)

    def record(self, results: Iterable[Synthesis]) -> None:
        """Put results in the place of those kept before, and write the file."""
        for found in results:
            figures = dataclasses.asdict(found)
            entry = {name: figure for name, figure in figures.items() if figure not in (None, {})}
            self._entries[found.name, found.rule, found.target] = entry
        entries = [self._entries[each] for each in sorted(self._entries)]
        write_json(self.path, {"margins": MARGINS, "figures": entries})

    def changes(self, found: Synthesis) -> list[str]:
        """What differs from the kept entry by more than its margin, a sentence each.

        Raises `Refusal` where nothing is kept of this chip and target.
        """
        kept = self.find(found.name, found.rule, found.target)
        if kept is None:
            raise Refusal(
                f"{self.path} holds nothing of {found.name} {found.rule} on {found.target}"
            )
        now = found.to_dict()
        sentences = []
        for name, margin in MARGINS.items():
            before, after = _figure(kept, name), _figure(now, name)
            if before == after:
                continue
            if before is None or after is None or abs(after - before) > margin * before:
                sentences.append(
                    f"{found.name} {found.rule} {found.target}: {name} was {before}, is {after} "
                    f"(margin {margin:.0%})"
                )
        return sentences


def _figure(entry: dict[str, Any], name: str) -> float | None:
    return entry.get("used", {}).get(name, entry.get(name))

"""What the figures of gates hang on: each assumption changed alone, and how far energy moves."""

import dataclasses
from collections.abc import Iterator

import numpy as np

from model.contract.config import ChipConfig
from model.data import Dataset
from sim.silicon import energy
from sim.silicon.edges import Edges, edges
from sim.silicon.energy import Measured
from sim.silicon.liberty import Library
from sim.silicon.sram import PROCESSES, sram
from sim.silicon.synth import Progress


def threats(
    found: Measured, config: ChipConfig, library: Library, data: Dataset, train: int,
    seed: int, progress: Progress,
) -> Iterator[tuple[str, float, float]]:  # fmt: skip
    """Name, and the factor of a classification's and of a learned sample's energy."""
    walked, memories = found.edges, found.memories
    yield from _one(
        "no wires: loads of pins alone", found, edges(found.netlist, wires=False), found
    )
    yield from _one("inputs of memories load no net", found, edges(found.netlist), found)
    for process in PROCESSES[1:]:
        other = tuple(sram(*each.shape, process) for each in memories)
        yield from _one(
            f"memories of {process}", dataclasses.replace(found, memories=other), walked, found
        )
    slower = dataclasses.replace(found, pace=2 * found.pace)
    yield from _one("samples half as often, clock on", slower, walked, found)
    progress("glitches: every gate takes a unit of time")
    glitching = energy.measure(
        config, library, data, train, seed=seed, unit_delay=True, progress=progress
    )
    yield _ratio("glitches: every gate takes a unit of time", found, glitching)
    half = np.arange(energy.PAIRS) % 2 == 0
    yield (
        "every other sample",
        float(found.classified_pj[half].mean() / found.classified_pj.mean()),
        float(found.learned_pj[half].mean() / found.learned_pj.mean()),
    )


def _one(
    name: str, changed: Measured, walked: Edges, found: Measured
) -> Iterator[tuple[str, float, float]]:
    """The same counts, priced otherwise."""
    spent = energy.spend(
        walked, changed.activity, changed.memories, changed.pace, changed.spent.learns, False
    )
    yield _ratio(name, found, dataclasses.replace(changed, spent=spent))


def _ratio(name: str, found: Measured, other: Measured) -> tuple[str, float, float]:
    return (
        name,
        float(other.classified_pj.mean() / found.classified_pj.mean()),
        float(other.learned_pj.mean() / found.learned_pj.mean()),
    )

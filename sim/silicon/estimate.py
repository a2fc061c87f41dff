"""What a chip will take, before synthesis, in less than a second.

Memory bits, lanes and cycles are exact or formulas of the contract. Cells are estimated: their area
is a sum over what the configuration asks for (multipliers, accumulators, pooling, updates, host
words), whose weights are fitted by least squares of relative errors to the chips in
`results/synthesis.json`. The error beside an estimate is the greatest among those chips when each
is estimated from all the others.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.table import Table as Grid
from rich.text import Text

from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.contract.storage import host_banks
from model.contract.timing import conv_cycles, forward_cycles, learn_cycles
from sim.silicon import cells
from sim.silicon.figures import Figures
from sim.silicon.synth import memories

#: Shares of an input that are active, measured on MNIST: pixels that fire, features that are not
#: zero with `spoon-plain`, and with `spoon`, whose kernels inhibit each other. An active pixel lies
#: far enough from the border for its whole window.
ACTIVE_PIXELS = 0.19
ACTIVE_FEATURES = 0.54
INHIBITED_FEATURES = 0.32


@dataclass(frozen=True)
class Estimate:
    """An estimate of one chip; `cells_um2` and `error` are for `sim.silicon.cells`' library."""

    config: ChipConfig
    memory_bits: dict[str, int]
    lanes: dict[str, int]
    multipliers: int
    cycles: dict[str, int]
    learn_cycles: dict[str, int]
    cells_um2: float
    error: float
    fitted_to: int
    synthesised_um2: float | None

    def to_dict(self) -> dict[str, Any]:
        """All figures as plain values."""
        found = {
            "preset": self.config.name,
            "rule": self.config.rule_name,
            "memory_bits": self.memory_bits | {"all": sum(self.memory_bits.values())},
            "lanes": self.lanes | {"all": sum(self.lanes.values())},
            "multipliers": self.multipliers,
            "active_shares": {
                "pixels": ACTIVE_PIXELS,
                "features": ACTIVE_FEATURES,
                "inhibited_features": INHIBITED_FEATURES,
            },
            "cycles": self.cycles,
            "learn_cycles_at_most": self.learn_cycles,
            "cells_um2": round(self.cells_um2),
            "cells_error": self.error,
            "fitted_to_chips": self.fitted_to,
        }
        if self.synthesised_um2 is not None:
            found["synthesised_um2"] = self.synthesised_um2
            found["difference"] = self.cells_um2 / self.synthesised_um2 - 1
        return found


def estimate(config: ChipConfig, figures: Figures) -> Estimate:
    """What a chip will take; its cells by what was synthesised before.

    Raises `Refusal` where too few chips were synthesised to fit.
    """
    fit = fitted(figures)
    cycles, learning = _cycles(config)
    lanes = {shape.name: shape.lanes for shape in config.conv_shapes}
    lanes |= {layer.name: layer.lanes for layer in config.layer_shapes}
    known = figures.find(config.name, config.rule_name, "cmos")
    return Estimate(
        config,
        {bank.name: bank.bits for bank in memories(config)},
        lanes,
        _multipliers(config),
        cycles,
        learning,
        float(_demands(config) @ fit.weights),
        fit.error,
        fit.chips,
        None if known is None else known["cells_um2"],
    )


def _multipliers(config: ChipConfig) -> int:
    """Lanes that multiply: a ternary factor needs an adder only."""
    convs = sum(shape.places * shape.lanes for shape in config.conv_shapes if shape.kernel.high > 1)
    return convs + sum(layer.lanes for layer in config.layer_shapes if layer.value.bits > 2)


def _cycles(config: ChipConfig) -> tuple[dict[str, int], dict[str, int]]:
    """Cycles of work a sample of each stage: forward, and learning at most."""
    found, learning = {}, {}
    active = round(ACTIVE_PIXELS * config.height * config.width * config.channels)
    for shape in config.conv_shapes:
        share = INHIBITED_FEATURES if shape.inhibits else ACTIVE_FEATURES
        waits = round(share * shape.lanes)  # even features wait for the last cell only
        found[shape.name] = conv_cycles(shape, active, waits)
        active = round(share * shape.features)
    for layer in config.layer_shapes:
        found[layer.name] = forward_cycles(layer, active)
        if layer.learns:
            words = active * layer.groups
            learning[layer.name] = learn_cycles(True, words, words)
        active = layer.outputs + 1
    return found, learning


def show(found: Estimate) -> RenderableType:
    """The figures of an estimate, and how far to trust them."""
    grid = Grid("what", "where", "figure", title=f"estimate of {found.config.name}")
    grid.columns[2].justify = "right"
    for what, figures in (
        ("memory bits", found.memory_bits),
        ("lanes", found.lanes),
        ("cycles a sample", found.cycles),
        ("cycles of learning, at most", found.learn_cycles),
    ):
        for place, figure in figures.items():
            grid.add_row(what, place, f"{figure:,}")
        if what in ("memory bits", "lanes"):
            grid.add_row(what, "all", f"{sum(figures.values()):,}", style="bold")
        grid.add_section()
    grid.add_row("lanes that multiply", "all", f"{found.multipliers:,}")
    grid.add_row(f"area of cells, {cells.NODE_NM} nm", "all", f"{found.cells_um2:,.0f} um2")
    lines = [
        f"cycles: {ACTIVE_PIXELS:.0%} of the pixels fire, {ACTIVE_FEATURES:.0%} of the features "
        f"are not zero, {INHIBITED_FEATURES:.0%} with inhibition (measured on MNIST)",
        f"cells: fitted to {found.fitted_to} synthesised chips, of which each, estimated from the "
        f"others, is met within {found.error:.1%}",
    ]
    if found.synthesised_um2 is not None:
        difference = found.cells_um2 / found.synthesised_um2 - 1
        lines.append(
            f"synthesis found {found.synthesised_um2:,.0f} um2: the estimate differs by "
            f"{difference:+.1%}"
        )
    return Group(grid, *(Text(line) for line in lines))


# Cells


@dataclass(frozen=True)
class Fit:
    """Weights of what a configuration asks for; the greatest relative error left out one by one."""

    weights: NDArray[np.float64]
    error: float
    chips: int


def fitted(figures: Figures) -> Fit:
    """Weights from all synthesised chips of known presets.

    Raises `Refusal` where there are too few.
    """
    rows, areas = [], []
    for known in figures.of_target("cmos"):
        rows.append(_demands(preset(known["name"], known["rule"])))
        areas.append(known["cells_um2"])
    demands, area = np.array(rows), np.array(areas)
    if len(rows) < 2 * len(DEMANDS):
        raise Refusal(
            f"{figures.path} holds {len(rows)} chips in cells, too few to estimate from; "
            f"run `python -m sim report-cost --record`"
        )
    scaled = demands / area[:, None]
    errors = []
    for out in range(len(area)):
        kept = np.arange(len(area)) != out
        errors.append(abs(scaled[out] @ _weights(scaled[kept]) - 1))
    return Fit(_weights(scaled), float(max(errors)), len(area))


def _weights(scaled: NDArray[np.float64]) -> NDArray[np.float64]:
    weights = np.linalg.lstsq(scaled, np.ones(len(scaled)), rcond=None)[0]
    return np.asarray(weights, dtype=np.float64)


#: What `_demands` counts, in its order.
DEMANDS = (
    "a chip",
    "bits of multipliers: products of both widths",
    "bits of ternary products",
    "bits of accumulators",
    "bits of pooled cells",
    "bits of products in updates, for each rate step",
    "bits of host words",
)


def _demands(config: ChipConfig) -> NDArray[np.float64]:
    """What a configuration asks for, in the order of `DEMANDS`."""
    multiplied = ternary = accumulated = pooled = updated = 0
    for shape in config.conv_shapes:
        lanes = shape.places * shape.lanes
        if shape.kernel.high > 1:
            multiplied += lanes * shape.value.bits * shape.kernel.bits
        else:
            ternary += lanes * shape.value.bits
        accumulated += lanes * shape.potential.bits
        pooled += lanes * shape.pooled.bits
    for layer in config.layer_shapes:
        width = max(layer.weight.bits, layer.modulation.bits if layer.learns else 0)
        multiplied += layer.lanes * layer.value.bits * width
        accumulated += layer.lanes * layer.sum.bits
        if layer.learns:
            product = layer.value.bits + layer.modulation.bits
            updated += layer.lanes * product * config.rate_steps
    host = sum(bank.word_bits for bank in host_banks(config))
    return np.array([1, multiplied, ternary, accumulated, pooled, updated, host], dtype=np.float64)

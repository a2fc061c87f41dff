"""A picture of energy on gates: stages and phases beside the proxies, and the curve of training."""

from pathlib import Path
from typing import Any

import numpy as np

from model.cost.tables import TABLES

PHASES = ("classified", "learned")


def draw(figures: dict[str, Any], path: Path) -> None:
    """Write the picture of what `sim.silicon.energy.told` tells."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    picture, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4), width_ratios=(3, 2))
    _stages(figures, left)
    if "curve" in figures:
        _curve(figures, right)
    picture.suptitle(
        f"{figures['preset']}, {figures['rule']}, {figures['data']}: {figures['node']}, "
        f"{figures['clock_mhz']:g} MHz; netlist {figures['sha256']['netlist'][:8]}"
    )
    picture.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=110)
    pyplot.close(picture)


def _stages(figures: dict[str, Any], axes: Any) -> None:
    """Bars: gates by kind of energy, and each proxy beside."""
    phases = [phase for phase in PHASES if phase in figures]
    columns = [(s, phase) for s in figures["classified"]["by_stage_nj"] for phase in phases]
    at = np.arange(len(columns))
    base = np.zeros(len(columns))
    for kind in next(iter(figures["classified"]["by_stage_nj"].values())):
        height = np.array([figures[phase]["by_stage_nj"][s][kind] for s, phase in columns])
        axes.bar(at - 0.25, height, 0.4, base, label=kind)
        base += height
    for number, table in enumerate(TABLES):
        axes.bar(
            at + 0.07 + 0.2 * number,
            [_proxy(figures, table.name, *column) for column in columns],
            0.2,
            label=f"proxy {table.name}",
            color=str(0.4 + 0.3 * number),
        )
    axes.set_xticks(at, [f"{s}\n{phase}" for s, phase in columns], fontsize=7)
    axes.set_ylabel("nJ a sample")
    axes.legend(fontsize=7)


def _proxy(figures: dict[str, Any], table: str, stage: str, phase: str) -> float:
    rows = figures["proxies_nj"][table]
    learning = rows.get(f"{stage}.learn", 0.0) if phase == "learned" else 0.0
    return float(rows.get(f"{stage}.forward", 0.0) + learning)


def _curve(figures: dict[str, Any], axes: Any) -> None:
    """What learning adds to a classification by the same chip, over the first samples."""
    ends = list(figures["curve"])
    shares = [100 * figures["curve"][end]["share"] for end in ends]
    errors = [100 * figures["curve"][end]["share_error"] for end in ends]
    axes.errorbar([int(end) for end in ends], shares, errors, fmt="o-", capsize=3)
    axes.set_xscale("log")
    axes.set_xlabel("first samples of training")
    axes.set_ylabel("learning adds, % of a classification")
    axes.set_ylim(bottom=0)

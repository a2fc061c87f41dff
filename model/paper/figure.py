"""The paper's figures, redrawn: 2, 3 and S1 to S6.

Each is a handful of runs, watched, and a drawing. By default the scale is reduced (fewer epochs,
trials and examples) so that a figure takes a minute or a few; the paper's scale is a flag away. A
finished run is kept as JSON beside the pictures, a run in progress as a checkpoint: a figure that
was stopped goes on. Where the paper measures errors several times an epoch, in S4 and S5, we
measure once an epoch.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Picture
from numpy.typing import NDArray

from model.contract.artifact import writing
from model.contract.refusal import Refusal, reason
from model.data.places import read
from model.paper.settings import ALGORITHMS, Settings, plan
from model.paper.task import Task, load
from model.paper.training import Progress, Watcher, fit
from model.paper.watcher import BINS, Activations, Angles, smooth

Told = dict[str, Any]  # a run as `Run.write_json` leaves it
ToldOf = dict[str, list[Told]]  # of each algorithm, a run a seed


@dataclass(frozen=True)
class Scale:
    """How much is run: trials, updates between two angles, samples between two measurements."""

    trials: int
    angle_every: int = 1
    monitor: int = 0
    choices: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """A figure: whose runs, what is watched, at which scales, and how it is drawn."""

    title: str
    data: str
    network: str | None
    algorithms: tuple[str, ...]
    rates: tuple[float, ...]
    reduced: Scale
    paper: Scale
    draw: Callable[[ToldOf, str], Picture]
    signal: str = "dz"
    activations: bool = False

    def planned(self, scale: Scale, data: str, backend: str) -> list[Settings]:
        """Return the settings of every run."""
        rates = self.rates or (None,) * len(self.algorithms)
        return [
            plan(
                data, self.network, algorithm, rate=rate, seed=seed, backend=backend,
                **scale.choices,
            )
            for algorithm, rate in zip(self.algorithms, rates, strict=True)
            for seed in range(scale.trials)
        ]  # fmt: skip

    def watched(self, scale: Scale) -> str:
        """Return a word for what is noted; the same settings may be run for two figures."""
        return "activations" if self.activations else f"{self.signal}{scale.angle_every}"

    def watchers(self, scale: Scale) -> tuple[Watcher, ...]:
        """Return what is noted while the runs learn."""
        return (Activations(),) if self.activations else (Angles(scale.angle_every, self.signal),)


def redraw(
    name: str,
    folder: Path,
    *,
    paper_scale: bool = False,
    data: str | None = None,
    data_dir: Path | None = None,
    backend: str = "numpy",
    progress: Callable[[Settings, int, int], Progress] | None = None,
) -> Path:
    """Run what is missing for a figure, draw it, and return the path of the picture.

    `data` replaces the paper's data set (cifar10-jpeg for cifar10, say). Raises `Refusal` for an
    unknown figure and as `fit` does.
    """
    if name not in FIGURES:
        raise Refusal(f"there is no figure {name!r}; choose one of {', '.join(FIGURES)}")
    figure = FIGURES[name]
    scale = figure.paper if paper_scale else figure.reduced
    planned = figure.planned(scale, data or figure.data, backend)
    told: ToldOf = {}
    task: Task | None = None
    for number, settings in enumerate(planned, 1):
        kept = folder / f"{settings.hash}.{figure.watched(scale)}.json"
        if not kept.exists():
            task = task or load(settings.data, data_dir)
            checkpoint = folder / ".work" / f"{kept.stem}.npz"
            run = fit(
                settings,
                task,
                monitor=scale.monitor,
                watchers=figure.watchers(scale),
                checkpoint=checkpoint,
                resume=True,
                progress=progress(settings, number, len(planned)) if progress else None,
            )
            run.write_json(kept)
            checkpoint.unlink(missing_ok=True)
        told.setdefault(settings.algorithm, []).append(_read(kept))
    try:
        picture = figure.draw(told, f"{figure.title}{_caption(planned, scale)}")
    except Refusal:
        raise
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise Refusal(
            f"a run kept in {folder} is damaged ({reason(error)}); remove its .json files"
        ) from error
    path = folder / f"figure_{name}{'_paper' if paper_scale else ''}.png"
    with writing(path) as file:
        picture.savefig(file, format="png", dpi=120)
    return path


def _read(path: Path) -> Told:
    """A run that was kept as JSON."""
    try:
        told = json.loads(read(path))
        if not isinstance(told, dict):
            raise ValueError("it is no run")
    except Refusal:
        raise
    except (ValueError, RecursionError) as error:
        raise Refusal(f"{path} is no kept run ({reason(error)}); remove it") from error
    return told


def _caption(planned: list[Settings], scale: Scale) -> str:
    first = planned[0]
    examples = f", {first.examples:,} examples" if first.examples else ""
    jpeg = " (JPEG)" if first.data.endswith("jpeg") else ""
    trials = "1 trial" if scale.trials == 1 else f"{scale.trials} trials, bars: one deviation"
    return f"\n{first.data}{jpeg}, {first.network}, {first.epochs} epochs{examples}, {trials}"


def _samples(run: Told) -> NDArray[np.float64]:
    return np.array([point["samples"] for point in run["points"]], dtype=np.float64)


def _epochs(run: Told) -> NDArray[np.float64]:
    """Where each measurement stands, in epochs."""
    last = run["points"][-1]
    return _samples(run) * last["epoch"] / last["samples"]


COLOURS = dict(zip(ALGORITHMS, ("black", "C0", "C2", "C1", "C3", "grey"), strict=True))


def _line(axes: Axes, x: NDArray[np.float64], trials: list[Any], label: str, **look: Any) -> None:
    """Draw the mean over trials with a band of one standard deviation; a label names the colour."""
    values = np.array(trials, dtype=np.float64)  # a missing value becomes nan
    mean, spread = values.mean(axis=0), values.std(axis=0)
    colour = COLOURS.get(label.split()[0])
    drawn = axes.plot(x, mean, label=label, linewidth=1, color=colour, **look)
    if len(values) > 1:
        axes.fill_between(x, mean - spread, mean + spread, alpha=0.2, color=drawn[0].get_color())


def _curves(axes: Axes, told: ToldOf, quantity: str, label: str) -> None:
    for algorithm, runs in told.items():
        values = [[point[quantity] for point in run["points"]] for run in runs]
        _line(axes, _epochs(runs[0]), values, algorithm)
    axes.set(xlabel="epoch", ylabel=label, yscale="log")


def _angles(axes: Axes, told: ToldOf, layer: int) -> None:
    for algorithm, runs in told.items():
        if algorithm == "bp":  # 0 degrees
            continue
        trials = [smooth(run["series"].get(f"angle{layer}", [])) for run in runs]
        if trials[0]:
            epochs = runs[0]["points"][-1]["epoch"]
            x = (np.arange(len(trials[0])) + 1) * epochs / len(trials[0])
            _line(axes, x, trials, algorithm)
    axes.axhline(90, color="grey", linestyle=":")
    axes.set(xlabel="epoch", ylabel=f"angle to BP, layer {layer} (degrees)")


def _picture(rows: int, columns: int, title: str) -> tuple[Picture, NDArray[Any]]:
    picture = Picture(figsize=(5 * columns, 3.4 * rows), layout="constrained")
    picture.suptitle(title, fontsize=10)
    return picture, np.atleast_2d(picture.subplots(rows, columns, squeeze=False))


def _two_by_two(told: ToldOf, title: str) -> Picture:
    """Figures 2 and 3: training and test curve, angles of both hidden layers."""
    picture, axes = _picture(2, 2, title)
    quantity = (
        "loss" if next(iter(told.values()))[0]["points"][0]["test_error"] is None else "error"
    )
    unit = "MSE loss" if quantity == "loss" else "error (%)"
    _curves(axes[0, 0], told, f"train_{quantity}", f"A  train {unit}")
    _curves(axes[0, 1], told, f"test_{quantity}", f"B  test {unit}")
    _angles(axes[1, 0], told, 1)
    _angles(axes[1, 1], told, 2)
    axes[0, 0].legend(loc="upper right")
    axes[1, 0].legend(loc="lower left")
    return picture


def _error_and_angle(told: ToldOf, title: str) -> Picture:
    """Figures S1 and S2: train and test error, angle of the hidden layer."""
    picture, axes = _picture(1, 2, title)
    for algorithm, runs in told.items():
        for part, dash in (("train", "--"), ("test", "-")):
            values = [[point[f"{part}_error"] for point in run["points"]] for run in runs]
            _line(axes[0, 0], _epochs(runs[0]), values, f"{algorithm} {part}", linestyle=dash)
    axes[0, 0].set(xlabel="epoch", ylabel="A  error (%)")
    _angles(axes[0, 1], told, 1)
    axes[0, 0].legend(loc="upper right")
    axes[0, 1].legend(loc="lower left")
    return picture


def _angles_alone(told: ToldOf, title: str) -> Picture:
    """Figure S3: angle of the convolutional layer, and of the fully-connected one beside it."""
    picture, axes = _picture(1, 2, title)
    for column in (0, 1):
        _angles(axes[0, column], told, column + 1)
    axes[0, 0].legend(loc="lower left")
    return picture


def _densities(run: Told) -> NDArray[np.float64]:
    """(epochs, BINS) probability densities over [-1, 1]."""
    counts = np.array(run["series"]["activations1"], dtype=np.float64)
    return counts / counts.sum(axis=1, keepdims=True) * BINS / 2


def _distributions(told: ToldOf, title: str) -> Picture:
    """Figures S4 and S5: errors, and the distribution of hidden activations over training."""
    picture, axes = _picture(len(told), 2, title)
    for row, (algorithm, runs) in enumerate(told.items()):
        for part in ("train", "test"):
            values = [[point[f"{part}_error"] for point in run["points"]] for run in runs]
            _line(axes[row, 0], _epochs(runs[0]), values, part)
        axes[row, 0].set(xlabel="epoch", ylabel=f"{algorithm}: error (%)")
        axes[row, 0].legend(loc="upper right")
        density = np.mean([_densities(run) for run in runs], axis=0)
        shown = axes[row, 1].imshow(
            density.T, origin="lower", aspect="auto", extent=(0.5, len(density) + 0.5, -1, 1),
            vmin=0, vmax=min(4.0, density.max()),
        )  # fmt: skip
        axes[row, 1].set(xlabel="epoch (its first 100 batches)", ylabel="hidden activation")
        picture.colorbar(shown, ax=axes[row, 1], label="density")
    return picture


def _final_distribution(told: ToldOf, title: str) -> Picture:
    """Figure S6: the distribution of hidden activations at the end of training."""
    picture, axes = _picture(1, 1, title)
    centres = (np.arange(BINS) + 0.5) * 2 / BINS - 1
    for algorithm, runs in told.items():
        _line(axes[0, 0], centres, [_densities(run)[-1] for run in runs], algorithm)
    axes[0, 0].set(xlabel="hidden activation", ylabel="density", yscale="log")
    axes[0, 0].legend(loc="upper center")
    return picture


_ALL_OF_SECTION_2 = ("shallow", "bp", "fa", "dfa", "sdfa")
_SMALL = {"epochs": 3, "examples": 20000}
_OF_ACTIVATIONS = Figure(
    title="Figure S4: hidden activations over training",
    data="mnist",
    network="fc1-1000",
    algorithms=("bp", "dfa", "drtp"),
    rates=(1.5e-4, 1.5e-4, 1.5e-4),
    reduced=Scale(1, choices=_SMALL),
    paper=Scale(10),
    draw=_distributions,
    activations=True,
)
_OF_ACTIVATIONS_IN_COLOUR = replace(
    _OF_ACTIVATIONS,
    title="Figure S5: hidden activations over training",
    data="cifar10",
    rates=(5e-6, 5e-6, 5e-5),
)

FIGURES = {
    "2": Figure(
        title="Figure 2: regression",
        data="regression",
        network=None,
        algorithms=_ALL_OF_SECTION_2,
        rates=(),
        reduced=Scale(3, 100, choices={"epochs": 60}),
        paper=Scale(10, 20, 1000),
        draw=_two_by_two,
    ),
    "3": Figure(
        title="Figure 3: synthetic classification",
        data="synthetic",
        network=None,
        algorithms=_ALL_OF_SECTION_2,
        rates=(),
        reduced=Scale(1, 50, choices={"epochs": 15}),
        paper=Scale(10, 50, 2500),
        draw=_two_by_two,
    ),
    "s1": Figure(
        title="Figure S1: sDFA and DRTP",
        data="mnist",
        network="fc1-1000",
        algorithms=("sdfa", "drtp"),
        rates=(1.5e-4, 1.5e-4),
        reduced=Scale(1, 5, choices=_SMALL),
        paper=Scale(10),
        draw=_error_and_angle,
        signal="dy",
    ),
    "s2": Figure(
        title="Figure S2: sDFA and DRTP",
        data="cifar10",
        network="fc1-1000",
        algorithms=("sdfa", "drtp"),
        rates=(5e-5, 5e-5),
        reduced=Scale(1, 5, choices={"epochs": 3, "examples": 10000}),
        paper=Scale(10),
        draw=_error_and_angle,
        signal="dy",
    ),
    "s3": Figure(
        title="Figure S3: trained kernels",
        data="mnist",
        network="conv-trained",
        algorithms=("fa", "dfa", "drtp"),
        rates=(),
        reduced=Scale(1, choices={"epochs": 1, "examples": 6000}),
        paper=Scale(10),
        draw=_angles_alone,
        signal="dy",
    ),
    "s4": _OF_ACTIVATIONS,
    "s5": _OF_ACTIVATIONS_IN_COLOUR,
    "s6a": replace(
        _OF_ACTIVATIONS,
        title="Figure S6A: hidden activations at the end of training",
        draw=_final_distribution,
    ),
    "s6b": replace(
        _OF_ACTIVATIONS_IN_COLOUR,
        title="Figure S6B: hidden activations at the end of training",
        draw=_final_distribution,
    ),
}

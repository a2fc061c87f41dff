"""Pictures: a comparison over samples, number formats before and after, angles over samples."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from model.arith import Codes
from model.contract.artifact import writing
from model.contract.config import ChipConfig
from model.float_chip.chip import ALGORITHMS
from model.network import ChipModel, Images
from model.state import fresh
from model.study.adapt import Adaptation
from model.study.angle import MEASURES, RULES, VARIANTS, Alignment
from model.study.compare import Comparison
from model.study.experiment import FLOAT
from model.study.profile import Profile, profiles


def write_picture(found: Comparison, title: str, path: Path) -> None:
    """Draw a comparison as PNG. Raises `Refusal` where the path cannot be written."""
    picture = Figure(figsize=(12, 9), layout="constrained")
    picture.suptitle(title)
    grid = picture.add_gridspec(2, 2, height_ratios=(1.2, 1))
    _curves(found, picture.add_subplot(grid[0, :]))
    _profiles(found.before, "before", picture.add_subplot(grid[1, 0]))
    _profiles(found.after, "after", picture.add_subplot(grid[1, 1]))
    with writing(path) as file:
        picture.savefig(file, format="png", dpi=100)


def write_ranges(
    config: ChipConfig, images: Images, labels: Codes, epochs: int, path: Path
) -> None:
    """Draw every tensor of a chip against its range, before and after learning some samples.

    Raises `Refusal` where the path cannot be written.
    """
    chip = ChipModel(config, epochs=epochs).fit(images, labels)
    picture = Figure(figsize=(12, 5), layout="constrained")
    picture.suptitle(f"{config.name}: what each format holds, and what is in it")
    before, after = picture.subplots(1, 2)
    _profiles(profiles(config, fresh(config, 0), images, labels), "before", before)
    _profiles(profiles(config, chip.state_, images, labels), "after", after)
    with writing(path) as file:
        picture.savefig(file, format="png", dpi=100)


def write_angles(found: Alignment, title: str, path: Path) -> None:
    """Draw angles over training as PNG: a row a rule, a column a measure and hidden layer.

    Raises `Refusal` where the path cannot be written.
    """
    columns = [
        (measure, layer) for measure in MEASURES for layer in range(len(found.config.hidden))
    ]
    picture = Figure(figsize=(4 * len(columns), 9), layout="constrained")
    picture.suptitle(title)
    rows = picture.subplots(len(RULES), len(columns), sharex=True, sharey=True, squeeze=False)
    for rule, row in zip(RULES, rows, strict=True):
        for (measure, layer), axes in zip(columns, row, strict=True):
            _angles(found, rule, measure, layer, axes)
            where = f", hidden layer {layer + 1}" if len(found.config.hidden) > 1 else ""
            axes.set_title(f"{rule}: {measure}{where}", fontsize="small")
        row[0].set_ylabel("degrees to BP")
    for axes in rows[-1]:
        axes.set_xlabel("samples learned")
    rows[0][0].legend(fontsize="x-small", title="integer; float dashed", title_fontsize="x-small")
    with writing(path) as file:
        picture.savefig(file, format="png", dpi=100)


def write_adaptation(found: Adaptation, title: str, path: Path) -> None:
    """Draw accuracy over the stream as PNG, a colour a learner; what it forgets is dashed.

    Raises `Refusal` where the path cannot be written.
    """
    picture = Figure(figsize=(8, 5), layout="constrained")
    axes = picture.subplots()
    for number, course in enumerate(found.courses):
        for accuracies, style in ((course.changed, "-"), (course.old, "--")):
            label = course.learner if style == "-" else None
            percent = 100 * np.array(accuracies)
            axes.plot(found.looks, percent, style, color=f"C{number}", marker=".", label=label)
    axes.set_xscale("symlog", linthresh=50)
    axes.set(title=title, xlabel="samples of the stream", ylabel="accuracy (%)", ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.legend(title="learning; old task dashed", fontsize="small")
    with writing(path) as file:
        picture.savefig(file, format="png", dpi=100)


def _angles(found: Alignment, rule: str, measure: str, layer: int, axes: Axes) -> None:
    """The four variants of a rule, the mean of all seeds; 90 degrees as a line."""
    axes.axhline(90, color="black", lw=0.8)
    integers = [variant for variant in VARIANTS if variant.rule == rule and not variant.real]
    for number, variant in enumerate(integers):
        for kind, style in ((variant, "-"), (replace(variant, real=True), "--")):
            line = np.array(found.mean(kind, measure, layer), dtype=np.float64)  # None: nan
            gate, b = "gate" if kind.gated else "no gate", "sparse" if kind.sparse else "dense"
            label = None if kind.real else f"{gate}, {b} B"
            axes.plot(found.looks, line, style, color=f"C{number}", label=label, lw=1.2)
    axes.set(xscale="log", ylim=(30, 100))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.grid(alpha=0.3)


def _curves(found: Comparison, axes: Axes) -> None:
    """Mean test error over samples learned, one standard deviation shaded: one colour a rule."""
    for number, algorithm in enumerate(ALGORITHMS):
        for name, style in ((algorithm, "-"), (FLOAT + algorithm, "--")):
            if name not in found.curves:
                continue
            errors = 100 * (1 - np.array(found.curves[name]))
            mean, deviation = errors.mean(axis=0), errors.std(axis=0)
            colour = f"C{number}"
            label = f"{name}  {100 - mean[-1]:.2f} %"
            axes.plot(found.looks, mean, style, color=colour, label=label)
            axes.fill_between(
                found.looks, mean - deviation, mean + deviation, color=colour, alpha=0.15, lw=0
            )
    axes.set(xscale="log", yscale="log", xlabel="samples learned", ylabel="test error (%)")
    axes.set_title(f"Accuracy over samples, mean of {len(found.seeds)} seeds; float dashed")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter("{x:g}" if axis is axes.yaxis else "")
    axes.grid(which="both", alpha=0.3)
    axes.legend(ncols=2, fontsize="small", title="final accuracy")


def _profiles(profiles: list[Profile], when: str, axes: Axes) -> None:
    """One line a tensor: how many bits its magnitudes take, and how many its format has."""
    shares = np.zeros((len(profiles), max(len(profile.shares) for profile in profiles)))
    for row, profile in enumerate(profiles):
        shares[row, : len(profile.shares)] = profile.shares
        bits = profile.format.high.bit_length()
        axes.plot([bits + 0.5] * 2, [row - 0.5, row + 0.5], color="black", lw=2)
        if profile.saturated and profile.format.high > 1:
            text = f"{profile.saturated:.1%} at its ends"
            axes.text(bits + 0.8, row, text, color="red", va="center", fontsize="x-small")
    shown = np.ma.masked_equal(shares, 0)
    axes.imshow(shown, aspect="auto", cmap="Blues", vmin=0, vmax=0.5, interpolation="nearest")
    axes.set_yticks(range(len(profiles)), [profile.tensor for profile in profiles])
    axes.set_xlabel("bits of magnitude (0: zero); black: what the format holds")
    axes.set_title(f"Number formats {when} training")

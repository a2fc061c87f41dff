"""Charts as SVG that takes the page's colours: matplotlib's, text as text, black as the ink."""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

WIDTH, HEIGHT = 6.4, 3.4  #: inches of a chart
Draw = Callable[[Axes], None]

_STYLE: Any = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.framealpha": 0.0,
}


def svg(draw: Draw, name: str, height: float = HEIGHT, width: float = WIDTH) -> str:
    """What `draw` puts on axes, as an SVG element for a page; the same call, the same bytes.

    `name` keeps the ids of one page's charts apart. A gid "title:TEXT" of an artist becomes what is
    shown when a pointer rests on it.
    """
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(width, height), layout="constrained")
        draw(figure.add_subplot())
        written = io.StringIO()
        figure.savefig(written, format="svg", metadata={"Date": None, "Creator": None})
    text = written.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', _opening(name), text, count=1)
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="title:([^"]*)">', r"<g><title>\1</title>", text)
    text = re.sub(r' id="(?!m|p|h|C)[^"]*"', "", text)
    return text.replace("#000000", "currentColor").replace("fill: #ffffff", "fill: none")


def _opening(name: str) -> str:
    return rf'<svg class="chart" role="img" aria-label="{name}" viewBox="\1">'


def lines(series: Mapping[str, tuple[Sequence[float], Sequence[float]]], x: str, y: str) -> Draw:
    """Curves by name, each its xs and ys; x on a logarithm where it spans three decades."""

    def draw(axes: Axes) -> None:
        for number, (name, (xs, ys)) in enumerate(series.items()):
            axes.plot(xs, ys, color=f"C{number % 10}", label=name, marker=".")
        every = np.concatenate([np.asarray(xs, float) for xs, _ in series.values()])
        if every.min() > 0 and every.max() / every.min() > 100:
            axes.set_xscale("log")
        axes.set(xlabel=x, ylabel=y)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="x-small", ncols=2)

    return draw


def stacked(parts: Mapping[str, Sequence[float]], labels: Sequence[str], x: str) -> Draw:
    """Horizontal bars, one a label, stacked by part."""

    def draw(axes: Axes) -> None:
        left = np.zeros(len(labels))
        for number, (name, values) in enumerate(parts.items()):
            axes.barh(labels, values, left=left, color=f"C{number % 10}", label=name)
            left += np.asarray(values, float)
        axes.invert_yaxis()
        axes.set_xlabel(x)
        axes.legend(fontsize="x-small")

    return draw


def confusion(counts: NDArray[np.int64]) -> Draw:
    """The matrix as shares of each label, mistakes as numbers."""

    def draw(axes: Axes) -> None:
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        if len(counts) <= 20:
            for label, row in enumerate(counts):
                for found, count in enumerate(row):
                    if count and found != label:
                        axes.text(found, label, str(count), ha="center", va="center", fontsize=7)
            axes.set_xticks(range(len(counts)))
            axes.set_yticks(range(len(counts)))
        axes.set(xlabel="class", ylabel="label")

    return draw


def formats(profiles: Sequence[dict[str, Any]]) -> Draw:
    """One row a tensor: how many bits its magnitudes take; a bar where its format ends."""

    def draw(axes: Axes) -> None:
        shares = np.zeros((len(profiles), max(len(p["shares"]) for p in profiles)))
        for row, profile in enumerate(profiles):
            shares[row, : len(profile["shares"])] = profile["shares"]
            end = profile["magnitude_bits"] + 0.5
            axes.plot([end, end], [row - 0.5, row + 0.5], color="black", lw=2)
            if profile["saturated"] and profile["magnitude_bits"] > 1:
                told = f"{profile['saturated']:.1%}"
                axes.text(end + 0.2, row, told, color="C3", va="center", fontsize=7)
        axes.imshow(shares, aspect="auto", cmap="Blues", vmin=0, vmax=0.5, interpolation="nearest")
        axes.set_yticks(range(len(profiles)), [p["tensor"] for p in profiles], fontsize=8)
        axes.set_xlabel("bits of magnitude; bar: end of the format; red: share at its ends")

    return draw


def points(rows: Sequence[dict[str, Any]], x: str, y: str, name: str) -> Draw:
    """One point a row, that tells its name where a pointer rests on it."""

    def draw(axes: Axes) -> None:
        for number, row in enumerate(rows):
            told = f"title:{row[name]}: {row[x]:.4g}, {row[y]:.4g}"
            axes.plot(row[x], row[y], "o", color=f"C{number % 10}", ms=8, gid=told)
            axes.annotate(
                row[name], (row[x], row[y]), fontsize=7, xytext=(4, 4), textcoords="offset points"
            )
        axes.set(xlabel=x.replace("_", " "), ylabel=y.replace("_", " "))
        axes.grid(alpha=0.3)

    return draw


def planes(maps: NDArray[np.int64]) -> Draw:
    """Maps (n, H, W) beside each other on one scale of two signs."""

    def draw(axes: Axes) -> None:
        count, height, width = maps.shape
        columns = min(count, 16)
        rows = -(-count // columns)
        sheet = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
        for number, plane in enumerate(maps):
            y, x = divmod(number, columns)
            y, x = y * (height + 1), x * (width + 1)
            sheet[y : y + height, x : x + width] = plane
        most = max(float(np.abs(maps).max()), 1.0)
        axes.imshow(sheet, cmap="RdBu", vmin=-most, vmax=most, interpolation="nearest")
        axes.axis("off")

    return draw

"""A trained chip as a picture and a table: kernels, weights, and how codes fill their formats."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, FigureBase
from numpy.typing import NDArray
from rich.table import Table

from model.arith import Codes
from model.contract.artifact import writing
from model.contract.config import ChipConfig
from model.contract.storage import banks, host_banks
from model.state import State

NEURONS = 40  #: of a layer, that are drawn


def table(config: ChipConfig, state: State) -> Table:
    """One row a host bank: its shape, format, bits, and the span and spread of its codes."""
    shown = Table(title=f"{config.name}, configuration {config.sha256[:8]}")
    columns = ("bank", "shape", "code", "kB", "least", "most", "sd", "zero", "ends")
    for name in columns:
        shown.add_column(
            name, justify="left" if name == "bank" else "right", no_wrap=name == "bank"
        )
    for bank in host_banks(config):
        codes, code = state.banks[bank.name], bank.code
        ends = (codes == code.high) | (codes == code.low)
        shown.add_row(
            bank.name,
            " x ".join(map(str, codes.shape)),
            f"{'s' if code.signed else 'u'}{code.bits}",
            f"{bank.bits / 8000:.2f}",
            str(codes.min()),
            str(codes.max()),
            f"{codes.std():.1f}",
            f"{np.mean(codes == 0):.1%}",
            f"{np.mean(ends):.1%}",
        )
    total = sum(bank.bits for bank in banks(config)) / 8000
    shown.caption = f"{total:.1f} kB of memory in all, working storage included"
    return shown


def write(config: ChipConfig, state: State, path: Path) -> None:
    """Draw kernels, the weights of the first neurons, and histograms, as PNG.

    Raises `Refusal` where the path cannot be written.
    """
    layers = config.layer_shapes
    picture = Figure(figsize=(12, 3.2 * (len(config.conv) + 2)), layout="constrained")
    picture.suptitle(f"{config.name}, configuration {config.sha256[:8]}")
    rows = np.atleast_1d(np.array(picture.subfigures(len(config.conv) + 2, 1)))
    for figure, shape in zip(rows, config.conv_shapes, strict=False):
        planes = state.banks[f"{shape.name}.kernels"].transpose(0, 2, 3, 1)
        _draw_planes(figure, planes, f"kernels of {shape.name}")
    _draw_planes(rows[-2], _fields(config, state), f"weights into neurons of {layers[0].name}")
    for axes, layer in zip(np.atleast_1d(rows[-1].subplots(1, len(layers))), layers, strict=True):
        _histogram(axes, state.weights[layer.name], layer.name, layer.weight.high)
    with writing(path) as file:
        picture.savefig(file, format="png", dpi=100)


def _fields(config: ChipConfig, state: State) -> Codes:
    """Weights of the first layer's neurons as maps (n, H, W, 1), kernels summed."""
    weights = state.weights[config.layer_shapes[0].name][:, :NEURONS]
    if config.conv:
        last = config.conv_shapes[-1]
        size = (last.out_height, last.out_width, last.kernels)
    else:
        size = (config.height, config.width, config.channels)
    return weights.T.reshape(-1, *size).sum(axis=-1, keepdims=True)


def _draw_planes(figure: FigureBase, planes: NDArray[np.int64], title: str) -> None:
    """Maps (n, H, W, C) beside each other; three channels as colours, else their sum."""
    shown = planes[:NEURONS]
    columns = min(len(shown), 20)
    grid = np.atleast_1d(figure.subplots(-(-len(shown) // columns), columns)).reshape(-1)
    figure.suptitle(title)
    most = max(int(np.abs(shown).max()), 1)
    for axes in grid:
        axes.axis("off")
    for axes, plane in zip(grid, shown, strict=False):
        if plane.shape[-1] == 3:
            axes.imshow(0.5 + plane / (2 * most), interpolation="nearest")
        else:
            summed = plane.sum(axis=-1)
            axes.imshow(summed, cmap="RdBu", vmin=-most, vmax=most, interpolation="nearest")


def _histogram(axes: Axes, codes: Codes, name: str, high: int) -> None:
    axes.hist(codes.reshape(-1), bins=2 * high + 1, range=(-high - 0.5, high + 0.5), log=True)
    axes.set(title=f"{name}: codes of its weights", xlabel="code", ylabel="weights")

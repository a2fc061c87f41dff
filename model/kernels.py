"""Fixed convolution kernels: a Gabor/DoG bank, seeded random ones, or a user's file."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.arith import Codes
from model.contract.choices import Conv
from model.contract.refusal import Refusal
from model.contract.shapes import ConvShape
from model.data.arrays import read_array

#: A ternary tap is not zero where the kernel exceeds this share of its greatest magnitude.
TERNARY_SHARE = 0.33


def kernels(stage: Conv, shape: ConvShape, rng: np.random.Generator) -> Codes:
    """The (K, C, R, R) codes of a stage's kernels.

    Raises `Refusal` where a kernel file is missing, or holds other than integer codes of the
    stage's shape and format.
    """
    if stage.bank in ("gabor", "gabor-opponent"):
        planes = _gabor_bank(stage.kernels, stage.size)
        bank = np.repeat(planes[:, None], shape.channels, axis=1)
        if stage.bank == "gabor-opponent":
            # Darker against brighter: what their difference would give, event by event.
            bank[:, ::2] *= -1
    elif stage.bank == "random":
        bank = rng.uniform(-1, 1, (stage.kernels, shape.channels, stage.size, stage.size))
        bank -= bank.mean(axis=(1, 2, 3), keepdims=True)
    else:
        return _from_file(stage, shape)
    return _quantised(bank, shape)


def _quantised(bank: NDArray[np.float64], shape: ConvShape) -> Codes:
    peak = np.abs(bank).max(axis=(1, 2, 3), keepdims=True)
    share = bank / np.where(peak > 0, peak, 1)
    if shape.kernel.high == 1:
        return (np.sign(share) * (np.abs(share) > TERNARY_SHARE)).astype(np.int64)
    return np.rint(share * shape.kernel.high).astype(np.int64)


def _gabor_bank(count: int, size: int) -> NDArray[np.float64]:
    """Odd Gabor filters in steps of 45 degrees and a DoG of either sign, all of zero mean.

    Every tenth pair of kernels starts the bank anew, a third finer each time. Source of the
    filters: J. Daugman (1985) for the Gabor, D. Marr and E. Hildreth (1980) for the DoG.
    """
    planes = []
    for number in range(count):
        finer = 0.75 ** (number // 10)
        slot = number % 10
        if slot < 8:
            plane = _odd_gabor(size, slot * np.pi / 4, finer)
        else:
            plane = _dog(size, finer) * (1 if slot == 8 else -1)
        planes.append(plane - plane.mean())
    return np.array(planes)


def _grid(size: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    axis = np.arange(size) - (size - 1) / 2
    y, x = np.meshgrid(axis, axis, indexing="ij")
    return y, x


def _odd_gabor(size: int, angle: float, finer: float) -> NDArray[np.float64]:
    y, x = _grid(size)
    scale = finer * size / 5
    across = (x * np.cos(angle) + y * np.sin(angle)) / scale
    along = (-x * np.sin(angle) + y * np.cos(angle)) / scale
    envelope = np.exp(-(across**2) / (2 * 1.2**2) - along**2 / (2 * 1.5**2))
    return envelope * np.sin(2 * np.pi * across / 5)


def _dog(size: int, finer: float) -> NDArray[np.float64]:
    y, x = _grid(size)
    scale = finer * size / 5
    square = (x**2 + y**2) / scale**2

    def gauss(sigma: float) -> NDArray[np.float64]:
        return np.exp(-square / (2 * sigma**2)) / sigma**2

    return gauss(0.9) - gauss(1.8)


def _from_file(stage: Conv, shape: ConvShape) -> Codes:
    path = Path(stage.bank)
    expected = (stage.kernels, shape.channels, stage.size, stage.size)
    bank = read_array(path, "save it again with numpy.save")
    if bank.shape != expected:
        raise Refusal(f"kernels in {path} must have the shape {expected}, not {bank.shape}")
    if not np.issubdtype(bank.dtype, np.integer):
        raise Refusal(f"kernels in {path} must be integer codes, not {bank.dtype}")
    if bank.min() < shape.kernel.low or bank.max() > shape.kernel.high:
        raise Refusal(
            f"kernels in {path} must lie in {shape.kernel.low}..{shape.kernel.high}, "
            f"not {bank.min()}..{bank.max()}"
        )
    return bank.astype(np.int64)

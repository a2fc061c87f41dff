"""A first chip for a user's own data: its sizes from the images, its first guesses from a sample.

What the guesses leave open, `model.study.calibrate` finds.
"""

from dataclasses import replace

from model.contract.choices import Conv, Hidden, Learning, Readout
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.data import Dataset
from model.study.calibrate import ranges

CELLS = 6  #: pooling cells a side that a map is best left with
KERNELS = 10  #: of one Gabor bank
SIZES = (5, 3)


def drafted(data: Dataset, name: str) -> ChipConfig:
    """A chip of one convolution and one hidden layer whose sizes fit the data.

    Raises `Refusal` where the images are larger than a chip takes, or have more classes.
    """
    height, width, channels = data.x_train.shape[1:]
    conv = fitting_conv(height, width, channels)
    config = ChipConfig(
        name=name,
        height=height,
        width=width,
        channels=channels,
        conv=(conv,) if conv else (),
        hidden=(Hidden(neurons=128, shift=3, rate_shift=6, threshold=1 << 10),),
        readout=Readout(classes=data.classes, shift=10, rate_shift=13),
        learning=Learning(density=max(1, round(0.4 * data.classes))),
    )
    return replace(ranges(config, data.x_train).apply(config), name=name)


def fitting_conv(height: int, width: int, channels: int) -> Conv | None:
    """The convolution whose cells divide the map and leave it nearest to `CELLS` a side.

    Small kernels where the map is small; nothing where none divides it.
    """
    best: tuple[tuple[float, int, int], Conv] | None = None
    for size in SIZES:
        if size == 5 and min(height, width) < 14:
            continue
        for padding in range(size // 2 + 1):
            sides = [length + 2 * padding - size + 1 for length in (height, width)]
            for pool in range(1, 17):
                if min(sides) < pool or any(side % pool for side in sides):
                    continue
                cells = [side // pool for side in sides]
                worth = (sum(abs(count - CELLS) for count in cells), SIZES.index(size), padding)
                bank = "gabor" if channels == 1 else "random"
                stage = Conv(KERNELS, size, padding=padding, pool=pool, bank=bank)
                if best is None or worth < best[0]:
                    best = worth, stage
    return best[1] if best else None


def chip_name(source: str) -> str:
    """A chip's name from that of its data: its letters and digits, dashes between."""
    stem = source.replace("\\", "/").rsplit("/", 1)[-1].split(".")[0]
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in stem).split()
    name = "-".join(words).lower()
    if not name:
        raise Refusal(f"no chip can be named after {source!r}; give --name")
    return name if name[0].isalpha() else f"chip-{name}"

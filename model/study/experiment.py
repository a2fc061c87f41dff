"""One training of one chip from one seed, in integers or in real numbers, and what it reaches."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from model.arith import Codes
from model.contract.choices import RULES
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.data import Dataset
from model.data.split import stratified_split
from model.fast.engine import FastChip, Features
from model.float_chip.chip import ALGORITHMS, CHIP, REAL, FloatChip, Items, Kept, start, under
from model.network import Images, checked_images, checked_labels, drawn, plan

FLOAT = "float-"
"""What the names of trainings in real numbers begin with."""

NAMES = (*(rule for rule in RULES if rule != "none"), *(FLOAT + name for name in ALGORITHMS))
"""All ways to train: by the chip's rules in integers, and in real numbers."""


@dataclass(frozen=True)
class Samples:
    """Images and labels that a chip takes: to learn from, and to be tested on."""

    x_train: Images
    y_train: Codes
    x_test: Images
    y_test: Codes


def limited(data: Dataset, limit: int | None) -> Dataset:
    """The data set with all its training samples, or only `limit` of them drawn at random.

    Raises `Refusal` where there are not so many.
    """
    kept = drawn(len(data.x_train), limit, seed=0)
    return replace(data, x_train=data.x_train[kept], y_train=data.y_train[kept])


def held_back(
    labels: Codes, taken: Codes, fraction: float | None, seed: int
) -> tuple[Codes, Codes]:
    """Of some samples, those to train on, and the share of every class to validate on.

    Parameters: `labels` of all samples; `taken`, numbers of those meant; no `fraction`: none is
    held back. Raises `Refusal` as `stratified_split` does.
    """
    if fraction is None:
        return taken, taken[:0]
    train, held = stratified_split(labels[taken], fraction, seed, "validation")
    return taken[train], taken[held]


def samples_for(config: ChipConfig, data: Dataset) -> Samples:
    """The data set for a chip. Raises `Refusal` where images or labels are not the chip's."""
    x_train, x_test = (checked_images(config, x) for x in (data.x_train, data.x_test))
    return Samples(
        x_train,
        checked_labels(config, data.y_train, len(x_train)),
        x_test,
        checked_labels(config, data.y_test, len(x_test)),
    )


@dataclass(frozen=True)
class Experiment:
    """A training: `algorithm` is one of `ALGORITHMS`; `kept` is None for the chip in integers."""

    config: ChipConfig
    algorithm: str
    epochs: int
    seed: int
    kept: Kept | None = None

    def chip(self) -> FastChip | FloatChip:
        """A fresh chip. Raises `Refusal` for an unknown algorithm."""
        config, state = start(self.config, self.algorithm, self.seed)
        if self.kept is None:
            return FastChip(config, state)
        return FloatChip(config, state, self.kept, back_propagates=self.algorithm == "bp")

    @property
    def front(self) -> tuple[object, ...]:
        """What the features depend on: experiments of the same front can share them."""
        config, kept = self.config, self.kept or CHIP
        drawn = any(stage.bank == "random" for stage in config.conv)
        return (
            *(config.conv, config.pixel_bits, self.kept is None, kept.pixels, kept.features),
            self.seed if drawn else None,
        )

    def run(self, samples: Samples) -> float:
        """Test accuracy after training."""
        chip = self.chip()
        features = chip.features(samples.x_train), chip.features(samples.x_test)
        return self.curve(*features, samples.y_train, samples.y_test)[-1]

    def curve(
        self,
        train: Features | Items,
        test: Features | Items,
        y_train: Codes,
        y_test: Codes,
        looks: Sequence[int] = (),
    ) -> list[float]:
        """Test accuracy after so many samples learned as `looks` says, and at the end."""
        chip: Any = self.chip()  # either kind, with features of its own kind
        if self.algorithm == "bp":
            chip.calibrate(train)
        order, rates = plan(chip.config, len(y_train), self.epochs, self.seed)
        nothing = np.zeros(len(y_test), np.int64)
        found, learned = [], 0
        for look in [*(look for look in looks if look < len(order)), len(order)]:
            part = order[learned:look]
            chip.run_features(train[part], y_train[part], rates[learned:look], True)
            classes, _ = chip.run_features(test, y_test, nothing, False)
            found.append(float(np.mean(classes == y_test)))
            learned = look
        return found


def named(config: ChipConfig, name: str, epochs: int, seed: int) -> Experiment:
    """The experiment of that name, one of `NAMES`, on the chip with the algorithm's own settings.

    Raises `Refusal` for any other name.
    """
    if name not in NAMES:
        raise Refusal(f"there is no algorithm {name!r}; there are {', '.join(NAMES)}")
    kept = REAL if name.startswith(FLOAT) else None
    algorithm = name.removeprefix(FLOAT)
    return Experiment(under(config, algorithm), algorithm, epochs, seed, kept)

"""What a chip meets in a run: samples in order, the first ones to learn, the rest to classify."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from model.arith import Codes, Words
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.data import Dataset
from model.network import checked_images, checked_labels, drawn, plan
from model.sensor.image import sample_words


@dataclass(frozen=True)
class Samples:
    """Images, labels and rate steps, in order; the first `train` are learned.

    `at` is the number of the first in the whole run that they are a part of.
    """

    images: np.ndarray
    labels: Codes
    rates: Codes
    train: int
    data: str
    seed: int
    at: int = 0

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def learns(self) -> np.ndarray:
        """Which are learned."""
        return np.arange(len(self)) < self.train

    def part(self, part: slice) -> "Samples":
        """Some of them, one after the other."""
        start, stop, _ = part.indices(len(self))
        return dataclasses.replace(
            self,
            images=self.images[part],
            labels=self.labels[part],
            rates=self.rates[part],
            train=min(max(self.train - start, 0), stop - start),
            at=self.at + start,
        )

    def parts(self, size: int) -> Iterator["Samples"]:
        """All of them, `size` at a time; no part holds samples to learn and samples to classify."""
        start = 0
        while start < len(self):
            stop = min(start + size, self.train if start < self.train else len(self))
            yield self.part(slice(start, stop))
            start = stop

    def words(self, config: ChipConfig) -> Words:
        """Their input words, end to end."""
        fields = zip(self.images, self.labels, self.learns, self.rates, strict=True)
        return np.concatenate(
            [
                sample_words(config, image, int(label), bool(learn), int(rate))
                for image, label, learn, rate in fields
            ]
        )


def samples(
    config: ChipConfig, data: Dataset, train: int, test: int, seed: int, epochs: int = 1
) -> Samples:
    """Training samples as `model train --limit TRAIN` meets them, then the first test samples.

    Raises `Refusal` where there are fewer, or they do not fit the chip.
    """
    if not 1 <= test <= len(data.y_test):
        raise Refusal(
            f"of {len(data.y_test)} test samples 1 to {len(data.y_test)} can be taken, not {test}"
        )
    kept = drawn(len(data.y_train), train, seed)
    order, rates = plan(config, train, epochs, seed)
    learned = kept[order]
    images = np.concatenate([data.x_train[learned], data.x_test[:test]])
    labels = np.concatenate([data.y_train[learned], data.y_test[:test]])
    return Samples(
        checked_images(config, images),
        checked_labels(config, labels, len(images)),
        np.append(rates, np.zeros(test, dtype=np.int64)),
        len(order),
        data.name,
        seed,
    )

"""The fast engine: whole data sets through compiled loops, equal to the plain engine bit for bit.

It takes images instead of event words. Each pixel is one event, so no sum saturates and the order
of events matters only to learning layers that events reach directly.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model import conv as plain
from model.arith import Codes
from model.chip import no_counts
from model.contract.choices import Coding, Conv, Pooling, Rule
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.shapes import ConvShape
from model.fast import conv, counts, layers, packing, trace
from model.fast.conv import Maps, Taps
from model.sensor.image import pixel_codes, windows_apart
from model.state import State
from model.trace import Trace

#: Bytes of the largest map of the samples that go through the stages together: they stay cached.
MAP_BYTES = 1 << 19


@dataclass(frozen=True)
class Features:
    """What reaches the first layer, computed once: the items of n samples, and what they cost.

    Items of sample s are `places` and `codes` from ``starts[s]``, ``lengths[s]`` of them. Index
    it like an array to choose and order samples: ``features[order]`` copies no items.
    """

    places: NDArray[np.int32]
    codes: NDArray[np.uint8]
    starts: Codes  #: (n,)
    lengths: Codes  #: (n,)
    events: Codes  #: (n,)
    tallies: Codes  #: (n, convolution stages, len(conv.TALLIES))

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, samples: slice | NDArray[np.integer] | NDArray[np.bool_]) -> "Features":
        chosen = (
            np.ascontiguousarray(part[samples])
            for part in (self.starts, self.lengths, self.events, self.tallies)
        )
        return Features(self.places, self.codes, *chosen)


class FastChip:
    """A chip in operation: takes images, changes its state as it learns.

    `counts` has the form of `PlainChip.counts`. Twin: `model.chip.PlainChip`.
    """

    def __init__(self, config: ChipConfig, state: State, trace: Trace | None = None) -> None:
        self.config = config
        self.state = state
        self.trace = trace
        self.counts = no_counts(config)

    def run(
        self, images: Maps, labels: ArrayLike, rates: ArrayLike, learn: bool | ArrayLike
    ) -> tuple[Codes, Codes]:
        """Samples from their images to their classes (n,) and scores (n, classes).

        Parameters: `images` (n, H, W, C) of 8-bit pixels; `labels` and `rates` (the step of the
        rate schedule) one a sample; `learn` one for all or one a sample.
        Raises `Refusal` where shapes do not fit, or a sample to learn has a label or a rate step
        that the chip does not know.
        """
        _check_images(self.config, images)
        labels, rates, learn = self._marks(len(images), labels, rates, learn)

        taps = self._taps()

        def features() -> Iterator[Features]:
            for part in self._parts(len(images)):
                maps, tallies = self._convolve(images[part], taps)
                if self.trace is not None:
                    trace.note_maps(self.config, self.trace, maps)
                yield self._items(maps, tallies)

        return self._take(features(), labels, rates, learn)

    def features(self, images: Maps) -> Features:
        """The fixed stages alone; `run_features` takes the result as often as you like."""
        _check_images(self.config, images)
        taps = self._taps()
        slices = self._parts(len(images))
        parts = [self._items(*self._convolve(images[part], taps)) for part in slices]
        lengths = np.concatenate([part.lengths for part in parts])
        return Features(
            np.concatenate([part.places for part in parts]),
            np.concatenate([part.codes for part in parts]),
            np.cumsum(lengths) - lengths,
            lengths,
            np.concatenate([part.events for part in parts]),
            np.concatenate([part.tallies for part in parts]),
        )

    def run_features(
        self, features: Features, labels: ArrayLike, rates: ArrayLike, learn: bool | ArrayLike
    ) -> tuple[Codes, Codes]:
        """`run` without the fixed stages, which are counted all the same.

        Raises `ValueError` on a chip that keeps a trace: features lack its first boundaries.
        """
        if self.trace is not None:
            raise ValueError("a trace needs the images: use run")
        labels, rates, learn = self._marks(len(features), labels, rates, learn)
        return self._take(iter([features]), labels, rates, learn)

    def _marks(
        self, count: int, labels: ArrayLike, rates: ArrayLike, learn: bool | ArrayLike
    ) -> tuple[Codes, Codes, NDArray[np.bool_]]:
        """Labels, rates and learn flags as arrays, one a sample, checked."""
        config = self.config
        asked = np.array(learn, dtype=np.bool_)
        if asked.shape not in ((), (count,)):
            raise Refusal(
                f"learn must be one flag for all samples or ({count},), one a sample, "
                f"not {asked.shape}"
            )
        asked = np.full(count, False) | (asked & (config.learning.rule is not Rule.NONE))
        marks = []
        for name, marked, limit in (
            ("labels", labels, config.readout.classes),
            ("rates", rates, config.rate_steps),
        ):
            codes = np.array(marked, dtype=np.int64)
            if codes.shape != (count,):
                raise Refusal(f"{name} must be ({count},), one a sample, not {codes.shape}")
            unknown = np.flatnonzero(asked & ((codes < 0) | (codes >= limit)))
            if len(unknown):
                raise Refusal(
                    f"{name} of samples to learn must be 0 to {limit - 1} on {config.name}, but "
                    f"sample {unknown[0]} has {codes[unknown[0]]}"
                )
            marks.append(codes)
        return marks[0], marks[1], asked

    def _parts(self, count: int) -> Iterator[slice]:
        """Slices of samples that go through the stages together; one, empty, of no samples."""
        config = self.config
        sizes = [config.windows * config.height * config.width * config.channels]
        sizes += [config.windows * shape.features for shape in config.conv_shapes]
        step = max(1, MAP_BYTES // max(sizes))
        if self.trace is not None:
            step = min(step, trace.samples_at_once(config))
        for start in range(0, max(count, 1), step):
            yield slice(start, start + step)

    def _taps(self) -> list[Taps]:
        """The kernels of every convolution stage as the compiled loops want them."""
        return [
            conv.taps(stage, shape, self.state.banks[f"{shape.name}.kernels"])
            for stage, shape in zip(self.config.conv, self.config.conv_shapes, strict=True)
        ]

    def _convolve(self, images: Maps, taps: list[Taps]) -> tuple[list[Maps], Codes]:
        """Pixel codes and the features of every convolution stage, and what they cost."""
        config = self.config
        maps = [np.ascontiguousarray(windows_apart(config, pixel_codes(config, images)))]
        windows = len(maps[0])
        tallies = np.zeros((len(config.conv), windows, len(conv.TALLIES)), np.int64)
        for number, (stage, shape) in enumerate(zip(config.conv, config.conv_shapes, strict=True)):
            counted = number == 0 and config.coding is Coding.COUNT
            features = np.empty(
                (windows, shape.out_height, shape.out_width, shape.kernels), np.uint8
            )
            maps.append(features)
            if shape.potential.bits > conv.POTENTIAL_BITS:
                kernels = self.state.banks[f"{shape.name}.kernels"]
                _one_by_one(stage, shape, kernels, maps[-2], counted, features, tallies[number])
                continue
            conv.convolve(
                maps[-2],
                taps[number],
                stage.size,
                stage.padding,
                stage.pool,
                stage.inhibition or 0,
                stage.pooling is Pooling.AVERAGE,
                stage.shift,
                shape.feature.high,
                counted,
                features,
                tallies[number],
            )
        for features, shape, tally in zip(maps[1:], config.conv_shapes, tallies, strict=True):
            conv.note_waits(features, shape.lanes, len(shape.cell), shape.sums_first, tally)
        together = (len(config.conv), len(images), config.windows, len(conv.TALLIES))
        return maps, tallies.reshape(together).sum(axis=2).swapaxes(0, 1)

    def _items(self, maps: list[Maps], tallies: Codes) -> Features:
        """Items of the last maps: features in order of place, but events in order of time."""
        last = maps[-1].reshape(len(tallies), self.config.windows * math.prod(maps[-1].shape[1:]))
        places, codes, lengths = conv.listed(last, in_time=not self.config.conv)
        events = tallies[:, 0, 0] if self.config.conv else lengths
        return Features(places, codes, np.cumsum(lengths) - lengths, lengths, events, tallies)

    def _take(
        self, parts: Iterator[Features], labels: Codes, rates: Codes, learn: NDArray[np.bool_]
    ) -> tuple[Codes, Codes]:
        """Features, part by part, through all layers. Whatever stops it, the state is whole."""
        config = self.config
        rules, sizes = packing.rules(config), packing.layers(config)
        memory = packing.memory(config, self.state)
        classes = np.empty(len(labels), np.int64)
        scores = np.empty((len(labels), config.readout.classes), np.int64)
        done = 0
        try:
            for features in parts:
                part = slice(done, done + len(features))
                samples = layers.Samples(
                    *(features.places, features.codes, features.starts, features.lengths),
                    *(labels[part], rates[part], learn[part]),
                )
                records = trace.records(config, memory, len(features), self.trace is not None)
                layers.run(rules, sizes, memory, samples, records, classes[part], scores[part])
                done = part.stop
                counts.count_front(config, self.counts, features.events, features.tallies)
                if self.trace is not None:
                    marks = classes[part], scores[part], learn[part]
                    trace.note_layers(config, self.trace, records, *marks)
        finally:
            packing.write_back(config, memory, self.state)
            counts.count_layers(config, self.counts, memory.tallies, done)
        return classes, scores


def _one_by_one(
    stage: Conv,
    shape: ConvShape,
    kernels: Codes,
    maps: Maps,
    counts: bool,
    features: Maps,
    tallies: Codes,
) -> None:
    """The plain engine's convolution, where potentials have more bits than the loops sum."""
    for image, into, tally in zip(maps, features, tallies, strict=True):
        counted: Counter[str] = Counter()
        events = plain.feature_events(image.astype(np.int64))
        if counts:
            events = np.repeat(events, events[:, 3], axis=0)
            events[:, 3] = 1
        into[:] = plain.convolve(stage, shape, kernels, events, counted)
        counted["positions"] = counted["macs"] // shape.kernels
        tally[:] = [counted[name] for name in conv.TALLIES]


def _check_images(config: ChipConfig, images: Maps) -> None:
    expected = (config.height, config.width, config.windows * config.channels)
    if images.dtype != np.uint8 or images.shape[1:] != expected:
        raise Refusal(
            f"{config.name} takes images of shape {expected} and type uint8, not "
            f"{images.shape[1:]} and {images.dtype}"
        )

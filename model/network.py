"""The whole network behind the interface that scikit-learn users know: fit, predict, score."""

import hashlib
import json
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.arith import Codes
from model.chip import Counts, PlainChip, no_counts
from model.contract.artifact import writing
from model.contract.choices import Coding
from model.contract.config import ChipConfig
from model.contract.counters import Kind, counters
from model.contract.reading import from_dict
from model.contract.refusal import Refusal, reason, shown
from model.contract.stop import Stopped, stops_wait
from model.data.arrays import read_arrays
from model.data.memory import check_fits
from model.fast.engine import FastChip, Features
from model.sensor.image import sample_words
from model.state import State, fresh

Images = NDArray[np.uint8]
Progress = Callable[[int, int], None]
"""Told now and then how many samples are learned, and how many will be."""

Chip = FastChip | PlainChip

ENGINES = ("fast", "plain")
PLAN_BYTES = 40  #: of each sample that is planned, while it is planned
CHUNK_SAMPLES = 256  #: between two looks at the clock
CHECKPOINT_SECONDS = 10.0
ITEM_BYTES = 5  #: of an item in `Features`
FEATURE_BYTES = 1 << 30  #: most that is kept from one epoch to the next


def plan(config: ChipConfig, samples: int, epochs: int, seed: int) -> tuple[Codes, Codes]:
    """Which sample the chip meets when, and at which rate step.

    Every epoch is a permutation of all samples, drawn from the seed. The n-th of all T samples met
    is learned at ``schedule[floor(len(schedule) * n / T)]``: the schedule runs in equal parts over
    the whole of training, not over each epoch.

    Returns: order (T,) numbers of samples; rates (T,) rate steps; T = samples * epochs.
    """
    check_fits(
        PLAN_BYTES * samples * epochs, f"a training of {samples:,} samples x {shown(epochs)} epochs"
    )
    rng = np.random.default_rng([seed, zlib.crc32(b"order")])
    order = np.concatenate([rng.permutation(samples) for _ in range(epochs)])
    schedule = np.array(config.learning.schedule, dtype=np.int64)
    return order, schedule[len(schedule) * np.arange(len(order)) // len(order)]


def drawn(count: int, limit: int | None, seed: int) -> NDArray[np.int64]:
    """Numbers of the samples to train on: all, or `limit` drawn from the seed, in their order."""
    if limit is None:
        return np.arange(count)
    if not 1 <= limit <= count:
        raise Refusal(f"of {count} training samples 1 to {count} can be taken, not {shown(limit)}")
    rng = np.random.default_rng([seed, zlib.crc32(b"limit")])
    return np.sort(rng.permutation(count)[:limit])


def totals(config: ChipConfig, counts: Counts) -> dict[str, int]:
    """Counts of an engine by dotted name, in the order of the register map.

    Counters of kind `STALL` are left out: only hardware knows them.
    """
    return {
        counter.name: counts[counter.stage][counter.event]
        for counter in counters(config)
        if counter.kind is not Kind.STALL
    }


def checked_images(config: ChipConfig, x: ArrayLike) -> Images:
    """Images as (N, H, W, C) uint8. Raises `Refusal` where they are not that, or not the chip's."""
    images = np.asarray(x)
    if images.dtype != np.uint8:
        raise Refusal(f"images must be uint8 levels 0..255, not {images.dtype}; convert them first")
    size = (config.height, config.width, config.windows * config.channels)
    if config.coding is Coding.COUNT and images.ndim == 4 and images.shape[3] > size[2]:
        images = images[..., : size[2]]  # of a recording's windows, the first ones
    grey = images.ndim == 3 and size[2] == 1
    if images.shape[1:] != (size[:2] if grey else size):
        forms = f"(N, {', '.join(map(str, size))})"
        if size[2] == 1:
            forms = f"(N, {size[0]}, {size[1]}) or {forms}"
        raise Refusal(f"images must be {forms} for the chip {config.name}, not {images.shape}")
    if not len(images):
        raise Refusal("there are no images; give one or more")
    return images.reshape(len(images), *size)


def checked_labels(config: ChipConfig, y: ArrayLike, count: int) -> Codes:
    """Labels as (N,) int64. Raises `Refusal` where they are not that, or no classes of the chip."""
    labels = np.asarray(y)
    if labels.dtype.kind not in "iu":
        raise Refusal(f"labels must be integers, not {labels.dtype}; number the classes")
    if labels.shape != (count,):
        raise Refusal(f"labels must be ({count},), one an image, not {labels.shape}")
    outside = labels[(labels < 0) | (labels >= config.readout.classes)]
    if len(outside):
        raise Refusal(
            f"labels must be 0..{config.readout.classes - 1} for the chip {config.name}, "
            f"not {outside[0]}"
        )
    return labels.astype(np.int64)


PARAMETERS = ("config", "epochs", "seed", "engine")


class ChipModel:
    """A chip that learns from arrays; scikit-learn's searches and cross-validation take it.

    Parameters: `config`; `epochs`, passes over the training samples; `seed` of the kernels, the
    first weights, B, the LFSRs and the order of samples; `engine`, "fast" or "plain": the same
    results, bit for bit.

    Learned: `state_` (`model.state.State`); `weights_`, (I, J) codes by layer; `counters_`, what
    the chip did in training, by dotted name; `samples_`, how many samples it has learned.

    Images are (N, H, W) or (N, H, W, C) uint8, labels (N,) integers. Raises `Refusal` where a
    choice or an array does not fit the chip.
    """

    state_: State
    counters_: dict[str, int]
    samples_: int

    def __init__(
        self, config: ChipConfig, *, epochs: int = 5, seed: int = 0, engine: str = "fast"
    ) -> None:
        if epochs < 1:
            raise Refusal(f"epochs must be at least 1, not {epochs}")
        if not 0 <= seed < 1 << 32:
            raise Refusal(f"seed must be 0 to {(1 << 32) - 1}, not {seed}")
        if engine not in ENGINES:
            raise Refusal(f"engine must be one of {', '.join(ENGINES)}, not {engine!r}")
        self.config = config
        self.epochs = epochs
        self.seed = seed
        self.engine = engine

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The parameters, as scikit-learn's `clone` and searches ask for them; none is nested."""
        return {name: getattr(self, name) for name in PARAMETERS}

    def set_params(self, **changes: Any) -> Self:
        """Change parameters, all or none. Raises `Refusal` for another name or an unfit value."""
        for name in changes:
            if name not in PARAMETERS:
                raise Refusal(f"there is no parameter {name!r}; choose {', '.join(PARAMETERS)}")
        self.__dict__.update(type(self)(**self.get_params() | changes).__dict__)
        return self

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn wants to know: a classifier, of images rather than of rows."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=True),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(two_d_array=False, three_d_array=True),
        )

    @property
    def weights_(self) -> dict[str, Codes]:
        """Learned weights by layer, (I, J) codes; the readout's last row is its bias."""
        return self._learned().weights

    def fit(
        self,
        x: ArrayLike,
        y: ArrayLike,
        *,
        checkpoint: Path | str | None = None,
        resume: bool = False,
        progress: Progress | None = None,
        each_epoch: Callable[[], None] | None = None,
    ) -> Self:
        """Learn from a fresh state on, one sample after another, as the chip does.

        With `checkpoint`, that path is written every few seconds and at the end, as by `save`;
        with `resume` too, training goes on from what lies there, if anything does, and ends as if
        it had never stopped. `each_epoch` is called when all samples are learned once more. Raises
        `Refusal` where the checkpoint is of another training, and `Stopped` at Ctrl-C, once what
        was learned is written.
        """
        images = checked_images(self.config, x)
        labels = checked_labels(self.config, y, len(images))
        order, rates = plan(self.config, len(images), self.epochs, self.seed)
        self._start(_sha256(images, labels), len(order))
        if checkpoint is not None and resume and Path(checkpoint).exists():
            self._take_over(Path(checkpoint))
        if progress is not None:
            progress(self.samples_, len(order))
        chip = _chip(self.engine, self.config, self.state_)
        samples = _prepared(chip, images)
        before, saved_at = self.counters_, time.monotonic()
        with stops_wait() as is_stopped:
            while self.samples_ < len(order):
                epoch_end = (self.samples_ // len(images) + 1) * len(images)
                last = len(order) if each_epoch is None else epoch_end
                part = slice(self.samples_, min(self.samples_ + CHUNK_SAMPLES, last))
                chosen = order[part]
                _run(chip, samples[chosen], labels[chosen], rates[part], True)
                self.samples_ = part.stop
                if progress is not None:
                    progress(self.samples_, len(order))
                finished, stopped = self.samples_ == len(order), is_stopped()
                if finished or stopped or time.monotonic() - saved_at > CHECKPOINT_SECONDS:
                    now = totals(self.config, chip.counts)
                    self.counters_ = {name: before[name] + now[name] for name in now}
                    if checkpoint is not None:
                        self.save(checkpoint)
                    saved_at = time.monotonic()
                if stopped:
                    raise Stopped(self._kept(checkpoint))
                if each_epoch is not None and self.samples_ == epoch_end:
                    each_epoch()
        return self

    def scores(self, x: ArrayLike) -> Codes:
        """Scores (N, classes) of the images, codes 0..255 that stand for score / 255."""
        return self._classify(x)[1]

    def predict(self, x: ArrayLike) -> Codes:
        """Classes (N,) of the images. The chip does not learn from them."""
        return self._classify(x)[0]

    def score(self, x: ArrayLike, y: ArrayLike) -> float:
        """Share of the images whose class is their label."""
        classes = self.predict(x)
        return float(np.mean(classes == checked_labels(self.config, y, len(classes))))

    def save(self, path: Path | str) -> None:
        """Write the learned state as .npz, whole or not at all; the same state, the same bytes."""
        state = self._learned()
        about = {
            "config": self.config.to_dict(),
            "epochs": self.epochs,
            "seed": self.seed,
            "data_sha256": self._data_sha256,
            "samples": self.samples_,
            "samples_planned": self._samples_planned,
            "counters": self.counters_,
        }
        arrays = {"about": np.array(json.dumps(about)), **state.to_arrays()}
        with writing(path) as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)

    @classmethod
    def load(cls, path: Path | str, config: ChipConfig | None = None) -> Self:
        """Read what `save` wrote after a whole training.

        Raises `Refusal` where the file is missing, damaged, of an unfinished training, or of
        another chip than `config`.
        """
        model = cls._read(Path(path))
        if config is not None and model.config != config:
            raise Refusal(
                f"{path} holds a model of the chip {model.config.name} "
                f"({model.config.sha256[:8]}), not of {config.name} ({config.sha256[:8]}); "
                f"give the configuration that it was trained with"
            )
        if model.samples_ < model._samples_planned:
            raise Refusal(
                f"{path} holds an unfinished training, {model.samples_} of "
                f"{model._samples_planned} samples; finish it with --resume"
            )
        return model

    @classmethod
    def _read(cls, path: Path) -> Self:
        arrays = read_arrays(path, "train the model again")
        try:
            about = json.loads(str(arrays["about"]))
            config = from_dict(about["config"])
            counts = {name: about["counters"][name] for name in _zeros(config)}
            numbers = [about[name] for name in ("epochs", "seed", "samples", "samples_planned")]
            if any(
                type(number) is not int or number < 0 for number in [*numbers, *counts.values()]
            ):
                raise ValueError("its counts are no numbers")
            model = cls(config, epochs=about["epochs"], seed=about["seed"])
            model.state_ = State.from_arrays(config, arrays)
            model.counters_ = counts
            model.samples_, model._samples_planned = about["samples"], about["samples_planned"]
            model._data_sha256 = str(about["data_sha256"])
        except KeyError as error:
            lacks = f"it lacks {error.args[0]}"
            raise Refusal(f"{path} is no saved model, or damaged: {lacks}") from error
        except Exception as error:  # damage can lie anywhere
            raise Refusal(f"{path} is no saved model, or damaged: {reason(error)}") from error
        return model

    def _kept(self, checkpoint: Path | str | None) -> str:
        """What is kept of a training that the user stops."""
        learned = f"{self.samples_:,} of {self._samples_planned:,} samples were learned"
        if checkpoint is None:
            return f"{learned}, and nothing is kept"
        return f"{learned} and are kept in {checkpoint}, resume goes on from there"

    def _start(self, data_sha256: str, samples_planned: int) -> None:
        self._data_sha256 = data_sha256
        self._samples_planned = samples_planned
        self.state_ = fresh(self.config, self.seed)
        self.counters_ = _zeros(self.config)
        self.samples_ = 0

    def _take_over(self, path: Path) -> None:
        """Go on from a checkpoint."""
        other = self._read(path)
        for what, mine, found in (
            ("chip", self.config, other.config),
            ("number of epochs", self.epochs, other.epochs),
            ("seed", self.seed, other.seed),
            ("training data", self._data_sha256, other._data_sha256),
            ("number of samples", self._samples_planned, other._samples_planned),
            ("bank of kernels", _kernels(self.state_), _kernels(other.state_)),
        ):
            if mine != found:
                raise Refusal(
                    f"{path} cannot be resumed: its {what} differs; "
                    f"choose another path, or start anew without resuming"
                )
        self.state_ = other.state_
        self.counters_ = other.counters_
        self.samples_ = other.samples_

    def _learned(self) -> State:
        if not hasattr(self, "state_"):
            raise Refusal("this model has learned nothing yet; call fit or load first")
        return self.state_

    def _classify(self, x: ArrayLike) -> tuple[Codes, Codes]:
        images = checked_images(self.config, x)
        nothing = np.zeros(len(images), dtype=np.int64)
        chip = _chip(self.engine, self.config, self._learned())
        return _run(chip, images, nothing, nothing, False)


def _chip(engine: str, config: ChipConfig, state: State) -> Chip:
    return FastChip(config, state) if engine == "fast" else PlainChip(config, state)


def _prepared(chip: Chip, images: Images) -> Images | Features:
    """What training reads again every epoch: where memory allows, features instead of images."""
    most = len(images) * chip.config.layer_shapes[0].inputs * ITEM_BYTES
    if isinstance(chip, FastChip) and most <= FEATURE_BYTES:
        return chip.features(images)
    return images


def _run(
    chip: Chip, samples: Images | Features, labels: Codes, rates: Codes, learn: bool
) -> tuple[Codes, Codes]:
    """Samples through either engine: their classes (N,) and scores (N, classes)."""
    if isinstance(samples, Features):
        assert isinstance(chip, FastChip)
        return chip.run_features(samples, labels, rates, learn)
    if isinstance(chip, FastChip):
        return chip.run(samples, labels, rates, learn)
    return chip.run(
        sample_words(chip.config, image, int(label), learn, int(rate))
        for image, label, rate in zip(samples, labels, rates, strict=True)
    )


def _kernels(state: State) -> list[bytes]:
    """The fixed kernels: a file that is named as before may hold others."""
    return [bank.tobytes() for name, bank in state.banks.items() if name.endswith(".kernels")]


def _zeros(config: ChipConfig) -> dict[str, int]:
    return totals(config, no_counts(config))


def _sha256(images: Images, labels: Codes) -> str:
    digest = hashlib.sha256(np.ascontiguousarray(images).data)
    digest.update(labels.astype("<i8").data)
    return digest.hexdigest()

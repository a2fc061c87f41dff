"""Training: epochs of shuffled batches, measured, checkpointed and resumed bit for bit."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from array_api_compat import array_namespace
from numpy.typing import NDArray

from model.contract.refusal import Refusal
from model.data import Dataset
from model.paper.algorithm import PROJECTING, Signals, gradients, signals
from model.paper.backend import Array
from model.paper.layer import Activity, Dense
from model.paper.network import Network
from model.paper.optimiser import Optimiser, optimiser
from model.paper.run import Point, Run
from model.paper.settings import Settings, plan
from model.paper.stream import Purpose, stream
from model.paper.task import Task, load, of_images

MEASURED_TOGETHER = 1000  # examples of one forward pass when losses are measured
FEATURES_KEPT = 4 << 30  # bytes of features that are kept instead of being found in every epoch


@dataclass
class Step:
    """What a watcher sees of one update, after the signals and before the weights change.

    `epoch`, `batch` and `number` count from 1: the epoch, the batch in it, the update in the run.
    """

    run: Run
    epoch: int
    batch: int
    number: int
    activities: list[Activity]
    target: Array
    signals: Signals


Watcher = Callable[[Step], None]
Order = Callable[[int], NDArray[np.integer]]
Progress = Callable[[int, int, Run], None]


def train(
    network: str,
    algorithm: str,
    data: str | Task | Dataset,
    *,
    data_dir: Path | None = None,
    prepared: Network | None = None,
    order: Order | None = None,
    **choices: Any,
) -> Run:
    """Train a network on a data set with the paper's settings, `choices` applied; return its run.

    `choices` are fields of `Settings`; `data` is a name, a data set, or a `Task` of the caller's
    own arrays; `prepared` and `order` are explained at `fit`. Raises `Refusal` for anything that
    does not exist or does not fit.
    """
    if isinstance(data, Dataset):
        data = of_images(data)
    task = load(data, data_dir) if isinstance(data, str) else data
    settings = plan(task.name, network, algorithm, **choices)
    return fit(settings, task, prepared=prepared, order=order)


def fit(
    settings: Settings,
    task: Task,
    *,
    prepared: Network | None = None,
    order: Order | None = None,
    monitor: int = 0,
    measure_train: bool = True,
    watchers: Sequence[Watcher] = (),
    checkpoint: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Run:
    """Train as `settings` say and return the run.

    `prepared`: a network whose weights, kernels or feedback matrices the caller has set;
    `order(epoch)`: the training examples of an epoch (numbers from 1), in order, instead of a
    random permutation; `monitor`: measure every so many samples instead of every epoch;
    `measure_train`: measure on the training set too; `watchers` see every update;
    `checkpoint`: a file written after every epoch, from which `resume` goes on as if the run had
    never been stopped, given the same `prepared` and `order` again, or further if `epochs` has
    grown; `progress(done, total, run)` is called after every update, counted in steps.

    Layers below the first that learns are run once, not in every epoch, where no dropout, flip or
    watcher wants them.

    Raises `Refusal` where settings and task do not fit, a checkpoint cannot be used, or the
    training diverges.
    """
    training = _Training(settings, task, prepared, order, monitor, measure_train, bool(watchers))
    if resume and checkpoint and checkpoint.exists():
        training.resume(checkpoint)
    run = training.run
    done = max((point.epoch for point in run.points), default=0)
    for epoch in range(done + 1, settings.epochs + 1):
        if _has_stopped(run):
            break
        began, before = time.perf_counter(), run.seconds
        for step in training.steps(epoch):
            for watch in watchers:
                watch(step)
            training.learn(step)
            run.seconds = before + time.perf_counter() - began
            if progress:
                progress(step.number, training.steps_an_epoch * settings.epochs, run)
        run.seconds = before + time.perf_counter() - began
        if checkpoint:
            run.save(checkpoint, training.optimiser.state())
    return run


class _Training:
    """Everything that lives as long as one call of `fit`."""

    def __init__(
        self,
        settings: Settings,
        task: Task,
        prepared: Network | None,
        order: Order | None,
        monitor: int,
        measure_train: bool,
        watched: bool,
    ):
        self.settings, self.task, self.monitor = settings, task, monitor
        used = settings.examples or len(task.x_train)
        if used > len(task.x_train):
            raise Refusal(
                f"{task.name} has {len(task.x_train)} training examples, not {used}; "
                f"ask for fewer examples"
            )
        kept = used - settings.held_out
        if kept < 1:
            raise Refusal(
                f"{settings.held_out} of {used} training examples are held out, which leaves none; "
                f"hold out fewer"
            )
        if settings.flip and len(task.shape) != 3:
            raise Refusal(f"{task.name} holds vectors, which cannot be flipped; leave flip out")
        if not task.classifies and settings.algorithm == "drtp":
            raise Refusal(
                f"drtp needs class labels, but {task.name} is a regression; "
                f"choose another algorithm"
            )
        network = prepared or Network(settings, task.shape, task.outputs)
        put = network.backend.put
        self.x, self.target = put(task.x_train[:kept]), put(task.target_train[:kept])
        self.sets = {"test": (put(task.x_test), put(task.target_test))}
        if measure_train:
            self.sets["train"] = (self.x, self.target)
        if settings.held_out:
            held = slice(kept, used)
            self.sets["held"] = (put(task.x_train[held]), put(task.target_train[held]))
        self.order = order or self._shuffled
        self.steps_an_epoch = -(-kept // settings.batch)
        self.run = Run(settings, network)
        self.optimiser: Optimiser = optimiser(
            settings.optimiser, network.parameters(), settings.rate, network.backend
        )
        self.learner = network
        if not watched and self._fixed_layers_repeat():
            self._keep_features()

    def _fixed_layers_repeat(self) -> bool:
        """Whether layers below the first that learns give every example the same in each epoch."""
        network, settings = self.run.network, self.settings
        if not network.lowest_trained or settings.dropout or settings.flip:
            return False
        examples = len(self.task.x_train) + len(self.task.x_test)
        values = examples * math.prod(network.layers[network.lowest_trained - 1].out_shape)
        return values * np.dtype(settings.dtype).itemsize <= FEATURES_KEPT

    def _keep_features(self) -> None:
        """Let the learning layers meet features, found once, in place of examples."""
        network = self.run.network
        self.learner = network.learning_part()
        shown, self.x = self.x, network.features(self.x, MEASURED_TOGETHER)
        for name, (x, target) in self.sets.items():
            found = self.x if x is shown else network.features(x, MEASURED_TOGETHER)
            self.sets[name] = found, target

    def _shuffled(self, epoch: int) -> NDArray[np.integer]:
        return stream(self.settings.seed, Purpose.ORDER, epoch).permutation(len(self.x))

    def steps(self, epoch: int) -> Iterator[Step]:
        """Yield each update of an epoch, and measure between them and at its end."""
        settings, network = self.settings, self.learner
        order = np.asarray(self.order(epoch))
        if not len(order) or not 0 <= order.min() <= order.max() < len(self.x):
            raise Refusal(
                f"the order of epoch {epoch} must name training examples 0..{len(self.x) - 1}; "
                f"mend it"
            )
        dropping = stream(settings.seed, Purpose.DROPOUT, epoch)
        flipping = stream(settings.seed, Purpose.FLIP, epoch)
        for start in range(0, len(order), settings.batch):
            chosen = network.backend.put_index(order[start : start + settings.batch])
            x, target = self.x[chosen, ...], self.target[chosen, ...]
            if settings.flip:
                x = self._flipped(x, flipping)
            activities = network.forward(x, self._masks(len(chosen), dropping))
            batch = start // settings.batch + 1
            number = (epoch - 1) * self.steps_an_epoch + batch
            given = signals(settings.algorithm, network, activities, target)
            yield Step(self.run, epoch, batch, number, activities, target, given)
            seen = (epoch - 1) * len(order) + min(start + settings.batch, len(order))
            ends = start + settings.batch >= len(order)
            before = seen - len(chosen)
            if ends or (self.monitor and seen // self.monitor > before // self.monitor):
                self.run.points.append(self._measure(epoch, seen, ends))

    def resume(self, checkpoint: Path) -> None:
        """Go on from a checkpoint. Raises `Refusal` as `Run.resume` does."""
        memory = self.run.resume(checkpoint)
        try:
            self.optimiser.restore(memory)
        except (KeyError, ValueError, TypeError) as error:
            raise Refusal(
                f"{checkpoint} lacks the optimiser's memory, or holds another's; remove it or name "
                f"another"
            ) from error

    def learn(self, step: Step) -> None:
        """Change the weights by one update."""
        summed = self.settings.summed and self.settings.algorithm in PROJECTING
        given = gradients(self.learner, step.activities, step.signals, summed)
        self.optimiser.step(given)

    def _flipped(self, x: Array, rng: np.random.Generator) -> Array:
        xp = array_namespace(x)
        mirrored = self.run.network.backend.put_index(rng.random((len(x), 1, 1, 1)) < 0.5)
        return xp.where(mirrored, xp.flip(x, axis=2), x)

    def _masks(self, count: int, rng: np.random.Generator) -> list[Array] | None:
        """Draw masks for the inputs of fully-connected layers: 0, or 1 / (1 - p)."""
        drop, network = self.settings.dropout, self.learner
        if not drop:
            return None
        masks: list[Array] = []
        for layer in network.layers:
            if isinstance(layer, Dense):
                kept = rng.random((count, layer.weight_shape[1]), dtype=np.float32) >= drop
                masks.append(network.backend.put(kept / np.float32(1 - drop)))
            else:
                masks.append(None)
        return masks

    def _measure(self, epoch: int, samples: int, ends_epoch: bool) -> Point:
        measured = {
            name: measure(self.learner, x, target, self.task.classifies)
            for name, (x, target) in self.sets.items()
        }
        test_loss, test_error = measured["test"]
        train_loss, train_error = measured.get("train", (None, None))
        _, held_error = measured.get("held", (None, None))
        return Point(
            epoch, samples, ends_epoch, test_loss, test_error, train_loss, train_error, held_error
        )


def measure(
    network: Network, x: Array, target: Array, classifies: bool = True
) -> tuple[float, float | None]:
    """Return the mean loss, and the error in % where the task classifies."""
    xp = array_namespace(x)
    loss, wrong = 0.0, 0
    for start in range(0, len(x), MEASURED_TOGETHER):
        part = slice(start, start + MEASURED_TOGETHER)
        y = network.predict(x[part])
        loss += float(xp.sum(network.loss.of(y, target[part])))
        if classifies:
            missed = xp.argmax(y, axis=1) != xp.argmax(target[part], axis=1)
            wrong += int(xp.count_nonzero(missed))
    if not np.isfinite(loss):
        raise Refusal("the training diverged, its loss is no number; choose a smaller rate")
    return loss / len(x), 100 * wrong / len(x) if classifies else None


def _has_stopped(run: Run) -> bool:
    """Whether early stopping ends the run: no lower held-out error for `patience` epochs."""
    held = [point.held_error for point in run.points if point.ends_epoch]
    patience = run.settings.patience
    if not patience or len(held) <= patience:
        return False
    errors = np.array(held, dtype=np.float64)
    return len(errors) - 1 - int(errors.argmin()) >= patience

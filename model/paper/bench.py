"""How fast the float reference trains, beside the same training written for torch.

The torch twin is what a torch user would write for FC1-500 (the authors' program is of that form):
a `Sequential`, `binary_cross_entropy`, `Adam`, batches from a shuffling `DataLoader`. For a fair
figure run both on one core: set OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1.

CONV (random) is measured with Adam compiled into one pass over memory and with the same Adam
through the array library, its features found once and left out: 6.3 million weights, whose three
products of matrices neither can hurry.
"""

import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from model.contract.refusal import Refusal
from model.paper.algorithm import gradients, signals
from model.paper.network import Network
from model.paper.optimiser import Adam
from model.paper.settings import plan
from model.paper.task import Task, load
from model.paper.training import fit

HIDDEN, BATCH, RATE = 500, 60, 1.5e-4
UPDATES = 40  # of CONV, timed in turns


@dataclass(frozen=True)
class Speed:
    """Seconds of processor time for one epoch of training; `ratio` is torch's over ours.

    `conv_s`, `conv_plain_s`: an epoch of updates of CONV (random) by DRTP with Adam in one pass,
    and through the array library; `conv_ratio` is the latter over the former.
    """

    samples: int
    ours_s: float
    torch_s: float | None
    conv_s: float
    conv_plain_s: float

    @property
    def ratio(self) -> float | None:
        """How many times faster than torch; None where torch is not installed."""
        return None if self.torch_s is None else self.torch_s / self.ours_s

    @property
    def conv_ratio(self) -> float:
        """How many times faster an epoch of CONV became by Adam in one pass."""
        return self.conv_plain_s / self.conv_s

    def told(self) -> dict[str, Any]:
        """Return the measurement for JSON."""
        return {**asdict(self), "ratio": self.ratio, "conv_ratio": self.conv_ratio}


def bench(task: Task | None = None, epochs: int = 2) -> Speed:
    """Measure the mean processor time of an epoch on MNIST, FC1-500 by BP and CONV by DRTP.

    Measuring is left out.

    Raises `Refusal` where the data cannot be had.
    """
    if epochs < 1:
        raise Refusal(f"epochs must be at least 1, not {epochs}")
    task = task or load("mnist")
    ours = _ours(task, epochs)
    torch_s = _torch(task, epochs) if find_spec("torch") else None
    conv_s, conv_plain_s = _conv(task)
    return Speed(len(task.x_train), ours, torch_s, conv_s, conv_plain_s)


def _ours(task: Task, epochs: int) -> float:
    few = Task(
        task.name, task.x_train, task.target_train, task.x_test[:1], task.target_test[:1],
        task.classifies,
    )  # fmt: skip
    settings = plan("mnist", f"fc{HIDDEN}", "bp", epochs=epochs, batch=BATCH, rate=RATE)
    began = time.process_time()
    fit(settings, few, measure_train=False)
    return (time.process_time() - began) / epochs


def _conv(task: Task) -> tuple[float, float]:
    """Time updates of CONV with both Adams in turns, so that neighbours slow both alike."""
    settings = plan("mnist", "conv-random", "drtp", batch=BATCH)
    whole = Network(settings, task.shape, task.outputs)
    learner = whole.learning_part()
    x = whole.features(task.x_train[:BATCH], BATCH)
    target = task.target_train[:BATCH]
    adams = [
        Adam(learner.parameters(), settings.rate, whole.backend, compiled)
        for compiled in (True, False)
    ]
    seconds = [0.0, 0.0]
    for update in range(UPDATES + 1):
        for which, adam in enumerate(adams):
            began = time.process_time()
            activities = learner.forward(x)
            adam.step(gradients(learner, activities, signals("drtp", learner, activities, target)))
            if update:  # the first compiles
                seconds[which] += time.process_time() - began
    an_epoch = len(task.x_train) / BATCH / UPDATES
    return seconds[0] * an_epoch, seconds[1] * an_epoch


def _torch(task: Task, epochs: int) -> float:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    inputs = task.x_train.reshape(len(task.x_train), -1)
    net = torch.nn.Sequential(
        torch.nn.Linear(inputs.shape[1], HIDDEN),
        torch.nn.Tanh(),
        torch.nn.Linear(HIDDEN, task.outputs),
        torch.nn.Sigmoid(),
    )
    adam = torch.optim.Adam(net.parameters(), lr=RATE)
    examples = TensorDataset(torch.tensor(inputs), torch.tensor(task.target_train))
    began = time.process_time()
    for _ in range(epochs):
        for x, target in DataLoader(examples, batch_size=BATCH, shuffle=True):
            adam.zero_grad()
            torch.nn.functional.binary_cross_entropy(net(x), target).backward()
            adam.step()
    return (time.process_time() - began) / epochs

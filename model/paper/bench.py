"""How fast the float reference trains, beside the same training written for torch.

The torch twin is what a torch user would write for FC1-500 (the authors' program is of that form):
a `Sequential`, `binary_cross_entropy`, `Adam`, batches from a shuffling `DataLoader`. For a fair
figure run both on one core: set OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1.
"""

import time
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from model.contract.refusal import Refusal
from model.paper.settings import plan
from model.paper.task import Task, load
from model.paper.training import fit

HIDDEN, BATCH, RATE = 500, 60, 1.5e-4


@dataclass(frozen=True)
class Speed:
    """Seconds of processor time for one epoch of training; `ratio` is torch's over ours."""

    samples: int
    ours_s: float
    torch_s: float | None

    @property
    def ratio(self) -> float | None:
        """How many times faster than torch; None where torch is not installed."""
        return None if self.torch_s is None else self.torch_s / self.ours_s

    def told(self) -> dict[str, Any]:
        """Return the measurement for JSON."""
        return {**asdict(self), "ratio": self.ratio}


def bench(task: Task | None = None, epochs: int = 2) -> Speed:
    """Measure the mean processor time of an epoch, FC1-500 by BP on MNIST, measuring left out.

    Raises `Refusal` where the data cannot be had.
    """
    if epochs < 1:
        raise Refusal(f"epochs must be at least 1, not {epochs}")
    task = task or load("mnist")
    ours = _ours(task, epochs)
    torch_s = _torch(task, epochs) if find_spec("torch") else None
    return Speed(len(task.x_train), ours, torch_s)


def _ours(task: Task, epochs: int) -> float:
    few = Task(
        task.name, task.x_train, task.target_train, task.x_test[:1], task.target_test[:1],
        task.classifies,
    )  # fmt: skip
    settings = plan("mnist", f"fc{HIDDEN}", "bp", epochs=epochs, batch=BATCH, rate=RATE)
    began = time.process_time()
    fit(settings, few, measure_train=False)
    return (time.process_time() - began) / epochs


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

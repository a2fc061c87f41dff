"""Settings: everything that decides the numbers of a run, the paper's choices as defaults."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from model.contract.refusal import Refusal, guess
from model.paper.activation import hidden_activation
from model.paper.backend import Backend
from model.paper.loss import loss_and_output
from model.paper.optimiser import OPTIMISERS
from model.paper.topology import family, parse

ALGORITHMS = ("bp", "fa", "dfa", "sdfa", "drtp", "shallow")
INITS = ("he", "fan-in")

RATES = {
    ("mnist", "fc1"): (1.5e-4, 5e-4, 1.5e-4, 5e-4, 1.5e-4, 1.5e-2),
    ("mnist", "fc2"): (5e-4, 1.5e-4, 5e-4, 5e-4, 1.5e-4, 5e-3),
    ("mnist", "conv-random"): (5e-5, 1.5e-4, 5e-5, 5e-4, 5e-4, 5e-3),
    ("mnist", "conv-trained"): (5e-4, 5e-5, 5e-5, 1.5e-4, 1.5e-4, None),
    ("cifar10", "fc1"): (1.5e-5, 1.5e-5, 1.5e-5, 5e-5, 1.5e-4, 1.5e-4),
    ("cifar10", "fc2"): (5e-6, 5e-6, 5e-6, 5e-5, 5e-5, 5e-4),
    ("cifar10", "conv-random"): (5e-6, 5e-6, 5e-6, 1.5e-4, 1.5e-4, 1.5e-3),
    ("cifar10", "conv-trained"): (1.5e-4, 5e-6, 5e-6, 1.5e-5, 5e-5, None),
}
"""The paper's Table 3, a row in the order of ALGORITHMS."""

ONE_RATE = {
    "regression": 5e-4,  # the paper, section 4
    "synthetic": 5e-4,  # the paper, section 4
    "digits": 1.5e-3,  # not the paper's: so few updates an epoch need longer steps
}
"""Data sets with one learning rate for every network and algorithm."""

LIKE = {
    "mnist": "mnist",
    "fashion-mnist": "mnist",
    "cifar10": "cifar10",
    "cifar10-jpeg": "cifar10",
}
"""Which column of Table 3 a data set borrows; only mnist and cifar10 are the paper's own."""

SYNTHETIC = {
    "regression": {"network": "fc2-100", "output": "tanh", "loss": "mse"},
    "synthetic": {"network": "fc2-500", "output": "sigmoid", "loss": "bce"},
}
NETWORK = {"digits": "fc1-500", "mnist": "fc1-500", "fashion-mnist": "fc1-500"}
"""Networks where none is named: the paper's smallest."""

OF_DATA = {
    "mnist": {"epochs": 100, "batch": 60},
    "cifar10": {"epochs": 200, "batch": 100},
    "synthetic": {"epochs": 500, "batch": 50},
    "digits": {"epochs": 20, "batch": 10},
}
"""Epochs and examples an update: the paper's, section 4, and for the small digits our own."""


@dataclass(frozen=True)
class Settings:
    """One run.

    `data`, `network`, `algorithm`: names; `epochs`; `batch`: examples an update; `rate`: learning
    rate; `activation` of hidden layers, `output` activation, `loss`, `optimiser`: names; `init`:
    "he" or "fan-in" (see `network.draw_weights`); `zero`: fully-connected weights start at 0;
    `summed`: projections of DFA, sDFA and DRTP are summed over a batch, not averaged, as the
    authors' program does it (Adam hides the difference);
    `dropout`: probability at the inputs of fully-connected layers; `flip`: mirror each training
    image at random; `examples`: how many training examples to use, 0 for all; `held_out`: how many
    of these, taken from the end, to keep for early stopping; `patience`: epochs without a lower
    held-out error until the run stops, 0 for never; `seed`; `backend` and `dtype`: what computes.

    The paper stops early on CIFAR-10 but names no rule, so early stopping has to be asked for.
    """

    data: str
    network: str
    algorithm: str
    epochs: int
    batch: int
    rate: float
    activation: str = "tanh"
    output: str = "sigmoid"
    loss: str = "bce"
    optimiser: str = "adam"
    init: str = "he"
    zero: bool = False
    summed: bool = False
    dropout: float = 0.0
    flip: bool = False
    examples: int = 0
    held_out: int = 0
    patience: int = 0
    seed: int = 0
    backend: str = "numpy"
    dtype: str = "float32"

    def __post_init__(self) -> None:
        check_algorithm(self.algorithm)
        parse(self.network)
        hidden_activation(self.activation)
        loss_and_output(self.loss, self.output)
        Backend.of(self.backend, self.dtype)
        if self.optimiser not in OPTIMISERS:
            raise Refusal(
                f"there is no optimiser {self.optimiser!r}; choose one of {', '.join(OPTIMISERS)}"
            )
        if self.init not in INITS:
            raise Refusal(f"there is no init {self.init!r}; choose one of {', '.join(INITS)}")
        for name in ("epochs", "batch"):
            if getattr(self, name) < 1:
                raise Refusal(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("examples", "held_out", "patience", "seed"):
            if getattr(self, name) < 0:
                raise Refusal(f"{name} must not be negative, but is {getattr(self, name)}")
        if not self.rate > 0:
            raise Refusal(f"rate must be above 0, not {self.rate}")
        if not 0 <= self.dropout < 1:
            raise Refusal(f"dropout must be at least 0 and below 1, not {self.dropout}")
        if bool(self.patience) != bool(self.held_out):
            raise Refusal(
                "early stopping needs both patience (epochs) and held_out (examples to judge by); "
                "give both or neither"
            )
        if self.algorithm == "shallow" and family(self.network) == "conv-trained":
            raise Refusal(
                f"shallow learning trains no kernels, but {self.network!r} asks for trained ones; "
                f"choose conv-random or randconv layers"
            )

    @property
    def hash(self) -> str:
        """Twelve hexadecimal digits that tell one configuration from another.

        Taken over what differs from the defaults, so a later setting leaves old hashes as they are.
        """
        defaults = {field.name: field.default for field in fields(self)}
        chosen = {name: value for name, value in asdict(self).items() if value != defaults[name]}
        text = json.dumps(chosen, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def plan(
    data: str, network: str | None = None, algorithm: str = "drtp", **choices: Any
) -> Settings:
    """Return the paper's settings for a data set, a network and an algorithm, `choices` applied.

    Raises `Refusal` for an unknown choice, a value out of range, and where the paper names no
    learning rate for the combination and none is given.
    """
    unknown = sorted(set(choices) - {field.name for field in fields(Settings)})
    if unknown:
        raise Refusal(f"there is no setting {unknown[0]!r}; choose among {_setting_names()}")
    filled: dict[str, Any] = {}
    if data in SYNTHETIC:
        own = dict(SYNTHETIC[data])
        network = network or own.pop("network")
        own.pop("network", None)
        # The paper, section 4: zero-initialized for feedback-alignment-based algorithms.
        filled = {**OF_DATA["synthetic"], **own, "zero": algorithm not in ("bp", "shallow")}
    else:
        filled = dict(OF_DATA[data if data in OF_DATA else LIKE.get(data, "mnist")])
    if network is None and data in NETWORK:
        network = NETWORK[data]
    if network is None:
        raise Refusal(f"data {data!r} has no network of its own; name one, such as fc1-500")
    check_algorithm(algorithm)
    filled.update(choices)
    if filled.get("rate") is None:
        filled["rate"] = published_rate(data, network, algorithm)
    return Settings(data=data, network=network, algorithm=algorithm, **filled)


def published_rate(data: str, network: str, algorithm: str) -> float:
    """Return the learning rate of a combination; raises `Refusal` where none is known."""
    if data in ONE_RATE:
        return ONE_RATE[data]
    row = RATES.get((LIKE.get(data, ""), family(network)))
    rate = row[ALGORITHMS.index(algorithm)] if row else None
    if rate is None:
        raise Refusal(
            f"the paper names no learning rate for {algorithm} on data {data!r} with network "
            f"{network!r}; give a rate"
        )
    return rate


def check_algorithm(algorithm: str) -> None:
    """Raise `Refusal` unless the algorithm is one of the six."""
    if algorithm not in ALGORITHMS:
        raise Refusal(
            f"there is no algorithm {algorithm!r}; choose one of {', '.join(ALGORITHMS)}"
            f"{guess(algorithm, ALGORITHMS)}"
        )


def _setting_names() -> str:
    return ", ".join(field.name for field in fields(Settings))

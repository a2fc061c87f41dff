"""The paper's lemma and theorem, checked on the very network that is trained.

A network of linear hidden layers and a sigmoid or softmax output, all weights 0, is trained by DRTP
and plain gradient descent on a single example, biases left out. At every step t > 0, with
b_k = B_k^T y* (the paper, section 2.3 and supplementary note 1):

    lemma     y_k = -s_yk b_k,  W_1 = -s_W1 b_1 x^T,  W_k = s_Wk b_k b_{k-1}^T,
              W_K = -s_WK b_{K-1}^T,  with s_yk, s_Wk >= 0
    theorem   (W_K ... W_{k+1})^+ e = -s_k b_k  with s_k > 0
    angle     between BP's and DRTP's modulatory signals below 90 degrees

The paper has theorem and angle for every t > 0. But a layer moves only once the layer below it has
put out something, so the k-th weights are still 0 before step t = k: all coefficients are positive,
and the theorem says anything, from step t = K on. Until then the factors s_k are 0 here.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from model.contract.refusal import Refusal
from model.paper.algorithm import gradients, signals
from model.paper.network import Network
from model.paper.settings import Settings
from model.paper.task import one_hot
from model.paper.watcher import angles

Vector = NDArray[np.float64]

RANK_ONE = 1e-6  # singular values below this share of the largest are rounding errors


@dataclass(frozen=True)
class Evidence:
    """What one step shows.

    `smallest`: the least of all s_yk and s_Wk; `factors`: s_k of each hidden layer; `residual`: the
    largest relative distance of any of the lemma's and theorem's two sides; `angle`: the widest
    angle of a hidden layer in degrees, None before step K, where BP's signals are
    0, and once the output has saturated, where the error is 0.
    """

    step: int
    smallest: float
    factors: tuple[float, ...]
    residual: float
    angle: float | None


def check(
    hidden: tuple[int, ...] = (20, 15, 10),
    inputs: int = 30,
    outputs: int = 10,
    loss: str = "bce",
    rate: float = 0.01,
    steps: int = 30,
    seed: int = 0,
) -> list[Evidence]:
    """Train a linear network by DRTP on one example and return the evidence of steps 1..`steps`.

    Raises `Refusal` where a size is below 1 or the loss has no output of its own.
    """
    if min(*hidden, inputs, outputs, steps) < 1:
        raise Refusal("layers, inputs, outputs and steps must be at least 1; give larger ones")
    if loss not in ("bce", "ce"):
        raise Refusal(f"the theorem is about the losses bce and ce, not {loss!r}; choose one")
    settings = Settings(
        data="one example",
        network="-".join(f"fc{units}" for units in hidden),
        algorithm="drtp",
        epochs=steps,
        batch=1,
        rate=rate,
        activation="linear",
        output="sigmoid" if loss == "bce" else "softmax",
        loss=loss,
        optimiser="sgd",
        zero=True,
        seed=seed,
        dtype="float64",
    )
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((1, inputs))
    target = one_hot(rng.integers(outputs, size=1), outputs).astype(np.float64)
    network = Network(settings, (inputs,), outputs)
    evidence = []
    for step in range(1, steps + 1):
        _update_weights(network, x, target, rate)
        evidence.append(_evidence(step, network, x, target))
    return evidence


def _update_weights(network: Network, x: Vector, target: Vector, rate: float) -> None:
    """One DRTP update of the weights; the biases, left out of the theorem, stay 0."""
    activities = network.forward(x)
    found = gradients(network, activities, signals("drtp", network, activities, target))
    for layer, gradient in zip(network.layers, found[::2], strict=True):
        layer.weights -= rate * gradient


def _evidence(step: int, network: Network, x: Vector, target: Vector) -> Evidence:
    activities = network.forward(x)
    error = (target - activities[-1].y)[0]
    b = [target[0] @ matrix for matrix in network.feedback[:-1]]
    weights = [layer.weights for layer in network.layers]
    fits = [_factor(activities[k].y[0], -vector) for k, vector in enumerate(b)]
    fits.append(_factor(weights[0], -np.outer(b[0], x[0])))
    fits += [_factor(weights[k], np.outer(b[k], b[k - 1])) for k in range(1, len(b))]
    readout = -weights[-1] @ b[-1] / (b[-1] @ b[-1])
    rest = _distance(weights[-1], -np.outer(readout, b[-1]))
    factors = []
    for k, vector in enumerate(b):
        product = np.linalg.multi_dot([*weights[:k:-1], np.eye(len(vector))])
        fit = _factor(np.linalg.pinv(product, rcond=RANK_ONE) @ error, -vector)
        factors.append(fit[0])
        rest = max(rest, fit[1])
    told = signals("bp", network, activities, target)
    sent = signals("drtp", network, activities, target)
    seen = [
        float(angle)
        for one, other in zip(told.dz[:-1], sent.dz[:-1], strict=True)
        for angle in angles(one, other)
    ]
    return Evidence(
        step,
        min(fit[0] for fit in fits),
        tuple(factors),
        max(rest, *(fit[1] for fit in fits)),
        max(seen, default=None),
    )


def _factor(found: Vector, direction: Vector) -> tuple[float, float]:
    """Return s with found = s * direction, and how far that is from true, relative to found."""
    s = float(np.vdot(direction, found) / np.vdot(direction, direction))
    return s, _distance(found, s * direction)


def _distance(found: Vector, expected: Vector) -> float:
    size = float(np.linalg.norm(found))
    return float(np.linalg.norm(found - expected)) / size if size else 0.0

"""The signals of all algorithms against a direct transcription of the paper's equations."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.paper.algorithm import gradients, signals
from model.paper.network import Network
from model.paper.settings import ALGORITHMS, plan
from model.paper.task import one_hot

Vector = NDArray[np.float64]

EXAMPLES, CLASSES, INPUTS = 5, 4, 7


def random_case(
    algorithm: str, network: str, shape: tuple[int, ...], seed: int
) -> tuple[Network, Vector, Vector]:
    chosen = plan("mnist", network, algorithm, rate=0.1, dtype="float64", seed=seed)
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((EXAMPLES, *shape))
    target = one_hot(rng.integers(CLASSES, size=EXAMPLES), CLASSES).astype(np.float64)
    return Network(chosen, shape, CLASSES), x, target


def transcribed(
    algorithm: str, network: Network, x: Vector, target: Vector
) -> tuple[list[Any], list[Any], list[Any]]:
    """Figure 1, one example as a column at a time: dy_k, dz_k, and the updates of weights."""
    w = [layer.weights for layer in network.layers]
    b = [layer.bias for layer in network.layers]
    feedback = network.feedback
    last = len(w) - 1
    y = [x]
    for k in range(last):
        y.append(np.tanh(w[k] @ y[k] + b[k]))
    y.append(1 / (1 + np.exp(-(w[last] @ y[last] + b[last]))))
    e = target - y[-1]
    dz: list[Any] = [None] * (last + 1)
    dy: list[Any] = [None] * (last + 1)
    dz[last] = -e / len(e)
    for k in range(last - 1, -1, -1):
        if algorithm == "bp":
            dy[k] = w[k + 1].T @ dz[k + 1]
        elif algorithm == "fa":
            dy[k] = feedback[k + 1].T @ dz[k + 1]
        elif algorithm == "dfa":
            dy[k] = feedback[k].T @ -e
        elif algorithm == "sdfa":
            dy[k] = feedback[k].T @ np.where(e > 0, -1.0, 1.0)
        elif algorithm == "drtp":
            dy[k] = feedback[k].T @ target
        if algorithm != "shallow":
            dz[k] = dy[k] * (1 - y[k + 1] ** 2)
    return dy, dz, [None if d is None else np.outer(d, y[k]) for k, d in enumerate(dz)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("network", ["fc6", "fc6-fc5", "fc6-fc5-fc4"])
def test_signals_and_updates_are_the_papers_equations(algorithm: str, network: str) -> None:
    for seed in range(3):
        built, x, target = random_case(algorithm, network, (INPUTS,), seed)
        activities = built.forward(x)
        given = signals(algorithm, built, activities, target)
        updates = []
        for n in range(EXAMPLES):
            dy, dz, update = transcribed(algorithm, built, x[n], target[n])
            updates.append([u for u in update if u is not None])
            for k in range(len(dz)):
                for ours, theirs in ((given.dy[k], dy[k]), (given.dz[k], dz[k])):
                    assert (ours is None) == (theirs is None)
                    if ours is not None:
                        np.testing.assert_allclose(ours[n], theirs, rtol=1e-12, atol=1e-15)
        found = gradients(built, activities, given)[::2]
        assert len(found) == len(updates[0])
        for k, gradient in enumerate(found):
            mean = np.mean([update[k] for update in updates], axis=0)
            np.testing.assert_allclose(gradient, mean, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("algorithm", ["dfa", "sdfa", "drtp"])
def test_direct_signals_reach_a_convolution_before_its_pool(algorithm: str) -> None:
    built, x, target = random_case(algorithm, "conv3k3-fc5", (6, 6, 1), 0)
    activities = built.forward(x)
    given = signals(algorithm, built, activities, target)
    y = activities[-1].y
    modulator = {"dfa": y - target, "sdfa": np.sign(y - target), "drtp": target}[algorithm]
    assert given.dy[0].shape == (EXAMPLES, 4, 4, 3)
    for n in range(EXAMPLES):
        dy = sum(modulator[n, c] * built.feedback[0][c] for c in range(CLASSES))
        np.testing.assert_allclose(given.dy[0][n], dy, rtol=1e-12)
        np.testing.assert_allclose(given.dz[0][n], dy * (1 - activities[0].y[n] ** 2), rtol=1e-12)


def test_fa_with_the_forward_weights_in_place_of_its_matrices_is_bp() -> None:
    built, x, target = random_case("fa", "conv3k3s1p1-conv2k2-fc5", (8, 8, 2), 0)
    built.feedback = [layer.weights for layer in built.layers]
    activities = built.forward(x)
    fa = gradients(built, activities, signals("fa", built, activities, target))
    bp = gradients(built, activities, signals("bp", built, activities, target))
    for one, other in zip(fa, bp, strict=True):
        np.testing.assert_array_equal(one, other)


def test_feedback_matrices_are_he_uniform_and_of_the_shape_that_each_algorithm_needs() -> None:
    fa, _, _ = random_case("fa", "fc600-fc500", (INPUTS,), 0)
    assert [None if m is None else m.shape for m in fa.feedback] == [None, (500, 600), (4, 500)]
    assert 0.099 < np.abs(fa.feedback[1]).max() <= np.sqrt(6 / 600)
    drtp, _, _ = random_case("drtp", "fc600-fc500", (INPUTS,), 0)
    assert [None if m is None else m.shape for m in drtp.feedback] == [(4, 600), (4, 500), None]
    assert 0.109 < np.abs(drtp.feedback[1]).max() <= np.sqrt(6 / 500)
    assert random_case("bp", "fc6", (INPUTS,), 0)[0].feedback == [None, None]


def test_first_weights_follow_the_chosen_rule() -> None:
    for init, bound, biased in (("he", np.sqrt(6 / 400), False), ("fan-in", 1 / 20, True)):
        chosen = plan("mnist", "fc300", "bp", init=init)
        first = Network(chosen, (400,), CLASSES).layers[0]
        assert 0.99 * bound < np.abs(first.weights).max() <= bound
        assert bool(np.abs(first.bias).max() > 0) == biased
    zeroed = Network(plan("mnist", "fc300", "fa", zero=True), (400,), CLASSES)
    assert not any(layer.weights.any() for layer in zeroed.layers)

"""BP's gradients against central finite differences, in float64."""

import math

import numpy as np
import pytest

from model.paper.algorithm import gradients, signals
from model.paper.network import Network
from model.paper.settings import Settings
from model.paper.task import one_hot

EXAMPLES, CLASSES, NUDGE = 4, 3, 1e-6
VECTOR, IMAGE = (6,), (7, 6, 2)

NETWORKS = {
    "fc5": VECTOR,
    "fc5-fc4": VECTOR,
    "conv3k3s1p1-fc4": IMAGE,
    "conv3k3": IMAGE,
    "conv3k2s1p1-conv2k2s1p1-fc4": IMAGE,
    "conv2k3s2p2-fc4": IMAGE,
    "randconv3k3-fc5-fc4": IMAGE,
}
LOSSES = [
    ("bce", "sigmoid"),
    ("ce", "softmax"),
    ("mse", "tanh"),
    ("mse", "sigmoid"),
    ("mse", "relu"),
    ("mse", "linear"),
]


def settings(
    network: str, activation: str = "tanh", loss: str = "bce", output: str = "sigmoid"
) -> Settings:
    return Settings(
        data="random",
        network=network,
        algorithm="bp",
        epochs=1,
        batch=EXAMPLES,
        rate=0.1,
        activation=activation,
        loss=loss,
        output=output,
        init="fan-in",
        dtype="float64",
    )


def assert_gradients_are_slopes(chosen: Settings, masked: bool = False) -> None:
    shape = NETWORKS[chosen.network]
    rng = np.random.default_rng(3)
    x = rng.standard_normal((EXAMPLES, *shape))
    target = one_hot(rng.integers(CLASSES, size=EXAMPLES), CLASSES).astype(np.float64)
    if chosen.loss == "mse":
        target = rng.uniform(-0.8, 0.8, (EXAMPLES, CLASSES))
    network = Network(chosen, shape, CLASSES)
    masks = [
        2.0 * rng.integers(0, 2, (EXAMPLES, math.prod(layer.weight_shape[1:])))
        for layer in network.layers
    ]

    def loss() -> float:
        y = network.forward(x, masks if masked else None)[-1].y
        return float(np.mean(network.loss.of(y, target)))

    activities = network.forward(x, masks if masked else None)
    found = gradients(network, activities, signals("bp", network, activities, target))
    parameters = network.parameters()
    assert [gradient.shape for gradient in found] == [array.shape for array in parameters]
    for parameter, gradient in zip(parameters, found, strict=True):
        slopes = np.empty_like(gradient)
        for index in np.ndindex(*parameter.shape):
            kept = parameter[index]
            parameter[index] = kept + NUDGE
            above = loss()
            parameter[index] = kept - NUDGE
            below = loss()
            parameter[index] = kept
            slopes[index] = (above - below) / (2 * NUDGE)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("network", NETWORKS)
def test_bp_gradients_are_the_slopes_of_the_loss_in_every_layer(network: str) -> None:
    assert_gradients_are_slopes(settings(network))


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu", "linear"])
def test_bp_gradients_are_the_slopes_of_the_loss_for_every_activation(activation: str) -> None:
    assert_gradients_are_slopes(settings("fc5-fc4", activation))
    assert_gradients_are_slopes(settings("conv3k3s1p1-fc4", activation))


@pytest.mark.parametrize(("loss", "output"), LOSSES)
def test_bp_gradients_are_the_slopes_of_every_loss(loss: str, output: str) -> None:
    assert_gradients_are_slopes(settings("fc5-fc4", loss=loss, output=output))


def test_bp_gradients_pass_through_the_masks_of_dropout() -> None:
    assert_gradients_are_slopes(settings("fc5-fc4"), masked=True)


def test_a_fixed_kernel_has_no_gradient() -> None:
    network = Network(settings("randconv3k3-fc5-fc4"), IMAGE, CLASSES)
    assert network.parameters()[0].shape == (5, 2 * 2 * 3)

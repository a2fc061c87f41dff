"""Activation functions y = f(z), with f'(z) told from y alone."""

from collections.abc import Callable
from dataclasses import dataclass

from array_api_compat import array_namespace

from model.contract.refusal import Refusal
from model.paper.backend import Array


@dataclass(frozen=True)
class Activation:
    """An elementwise function: `of(z)` gives y, `slope(y)` gives f'(z), both of z's shape."""

    name: str
    of: Callable[[Array], Array]
    slope: Callable[[Array], Array]


def tanh(z: Array) -> Array:
    """Return the hyperbolic tangent."""
    return array_namespace(z).tanh(z)


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + exp(-z)) without overflow at either end."""
    xp = array_namespace(z)
    small = xp.exp(-xp.abs(z))
    return xp.where(z >= 0, 1.0 / (1.0 + small), small / (1.0 + small))


def relu(z: Array) -> Array:
    """Return z where it is positive, else 0."""
    return array_namespace(z).clip(z, min=0.0)


def softmax(z: Array) -> Array:
    """Return exp(z) / sum exp(z) over the last axis, (N, C) -> (N, C)."""
    xp = array_namespace(z)
    grown = xp.exp(z - xp.max(z, axis=-1, keepdims=True))
    return grown / xp.sum(grown, axis=-1, keepdims=True)


def _relu_slope(y: Array) -> Array:
    return array_namespace(y).astype(y > 0, y.dtype)


def _softmax_slope(y: Array) -> Array:
    raise TypeError("softmax acts on a whole row: only its loss knows the derivative")


ACTIVATIONS = {
    "tanh": Activation("tanh", tanh, lambda y: 1.0 - y * y),
    "sigmoid": Activation("sigmoid", sigmoid, lambda y: y * (1.0 - y)),
    "relu": Activation("relu", relu, _relu_slope),
    "linear": Activation("linear", lambda z: z, lambda y: array_namespace(y).ones_like(y)),
    "softmax": Activation("softmax", softmax, _softmax_slope),
}
HIDDEN = ("tanh", "sigmoid", "relu", "linear")


def hidden_activation(name: str) -> Activation:
    """Return the activation of hidden layers called `name`; raises `Refusal` if there is none."""
    if name not in HIDDEN:
        raise Refusal(f"there is no hidden activation {name!r}; choose one of {', '.join(HIDDEN)}")
    return ACTIVATIONS[name]

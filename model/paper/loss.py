"""Losses J(y_K, y*) and their gradient at the pre-activations of the output layer.

Source: the paper, section 2.3 (BCE and CCE, both with the factor 1/C) and section 4 (MSE). All are
means over the C outputs; the gradient of a batch is the mean over its examples.
"""

from collections.abc import Callable
from dataclasses import dataclass

from array_api_compat import array_namespace

from model.contract.refusal import Refusal
from model.paper.activation import ACTIVATIONS, Activation
from model.paper.backend import Array

LOG_FLOOR = -100.0  # the logarithm of a saturated output, as torch's BCE has it


@dataclass(frozen=True)
class Loss:
    """A loss: `of(y, target)` is J of each example, (N, C), (N, C) -> (N,)."""

    name: str
    of: Callable[[Array, Array], Array]
    outputs: tuple[str, ...]

    def signal(self, y: Array, target: Array, output: Activation) -> Array:
        """Return dJ/dz_K of each example, (N, C).

        Sigmoid under BCE and softmax under CCE both give -e/C with e = y* - y_K
        (the paper, supplementary note 1); MSE gives 2 (y_K - y*) f'(z_K) / C.
        """
        outputs = y.shape[-1]
        if self.name == "mse":
            return (2.0 / outputs) * (y - target) * output.slope(y)
        return (y - target) / outputs


def _log(y: Array) -> Array:
    xp = array_namespace(y)
    positive = y > 0
    return xp.where(positive, xp.clip(xp.log(xp.where(positive, y, 1.0)), min=LOG_FLOOR), LOG_FLOOR)


def _mean(per_output: Array) -> Array:
    return array_namespace(per_output).mean(per_output, axis=-1)


def _binary_cross_entropy(y: Array, target: Array) -> Array:
    return _mean(-(target * _log(y) + (1.0 - target) * _log(1.0 - y)))


def _cross_entropy(y: Array, target: Array) -> Array:
    return _mean(-(target * _log(y)))


def _squared_error(y: Array, target: Array) -> Array:
    return _mean((y - target) ** 2)


LOSSES = {
    "bce": Loss("bce", _binary_cross_entropy, ("sigmoid",)),
    "ce": Loss("ce", _cross_entropy, ("softmax",)),
    "mse": Loss("mse", _squared_error, ("tanh", "sigmoid", "relu", "linear")),
}


def loss_and_output(loss: str, output: str) -> tuple[Loss, Activation]:
    """Return a loss with an output activation; raises `Refusal` where they do not fit."""
    if loss not in LOSSES:
        raise Refusal(f"there is no loss {loss!r}; choose one of {', '.join(LOSSES)}")
    allowed = LOSSES[loss].outputs
    if output not in allowed:
        raise Refusal(
            f"loss {loss!r} does not go with output {output!r}; choose {' or '.join(allowed)}"
        )
    return LOSSES[loss], ACTIVATIONS[output]

"""A network: layers in order, their first weights, and the fixed random feedback matrices."""

import math
from copy import copy

import numpy as np
from array_api_compat import array_namespace

from model.contract.refusal import Refusal
from model.paper.activation import hidden_activation
from model.paper.backend import Array, Backend, fetch
from model.paper.layer import Activity, Conv, Dense, Layer
from model.paper.loss import loss_and_output
from model.paper.settings import Settings
from model.paper.stream import Purpose, stream
from model.paper.topology import FullyConnected, parse


class Network:
    """The layers of one run, with the feedback matrices its algorithm needs.

    `feedback[k]` of layer k is, for FA, a matrix of the shape of `layers[k].weights`, used in
    their place on the way back; for DFA, sDFA and DRTP, (C, *y_shape) from the C outputs to the
    layer's activations; None where the algorithm asks for none.
    """

    def __init__(self, settings: Settings, shape: tuple[int, ...], outputs: int):
        """Build layers for examples of `shape` and draw all random numbers from the seed."""
        self.backend = Backend.of(settings.backend, settings.dtype)
        self.loss, output = loss_and_output(settings.loss, settings.output)
        hidden = hidden_activation(settings.activation)
        self.layers: list[Layer] = []
        inputs = shape
        for part in parse(settings.network, shape[-1] if len(shape) == 3 else 1):
            if isinstance(part, FullyConnected):
                layer: Layer = Dense(math.prod(inputs), part.units, hidden)
            else:
                layer = Conv(inputs, part, hidden)
            self.layers.append(layer)
            inputs = layer.out_shape
        self.layers.append(Dense(math.prod(inputs), outputs, output))
        if settings.algorithm == "shallow":
            for layer in self.layers[:-1]:
                layer.trained = False
        self._draw_weights(settings)
        self.feedback: list[Array] = [
            None if matrix is None else self.backend.put(matrix)
            for matrix in draw_feedback(settings, self.layers)
        ]

    def _draw_weights(self, settings: Settings) -> None:
        for number, layer in enumerate(self.layers):
            rng = stream(settings.seed, Purpose.WEIGHTS, number)
            weights, bias = draw_weights(rng, layer, settings.init)
            if settings.zero and isinstance(layer, Dense):
                weights = np.zeros_like(weights)
            layer.weights, layer.bias = self.backend.put(weights), self.backend.put(bias)

    @property
    def lowest_trained(self) -> int:
        """Index of the first layer that learns: no signal is needed below it."""
        return next(k for k, layer in enumerate(self.layers) if layer.trained)

    def learning_part(self) -> "Network":
        """Return the layers from the first that learns on; every array is this network's own."""
        part = copy(self)
        part.layers = self.layers[self.lowest_trained :]
        part.feedback = self.feedback[self.lowest_trained :]
        return part

    def features(self, x: Array, together: int) -> Array:
        """Return what `learning_part` gets of examples x, found `together` at a time.

        (N, ...) -> (N, *out_shape) of the last layer that never learns; there has to be one.
        """
        fixed = self.layers[: self.lowest_trained]
        shape = (len(x), *fixed[-1].out_shape)
        found = array_namespace(x).empty(shape, dtype=x.dtype, device=x.device)
        for start in range(0, len(x), together):
            part = x[start : start + together]
            for layer in fixed:
                part = layer.forward(part, None).out
            found[start : start + together] = part
        return found

    def forward(self, x: Array, masks: list[Array] | None = None) -> list[Activity]:
        """Run a batch through all layers; `masks` are the dropout masks of training."""
        activities = []
        for number, layer in enumerate(self.layers):
            activities.append(layer.forward(x, masks[number] if masks else None))
            x = activities[-1].out
        return activities

    def predict(self, x: Array) -> Array:
        """Return the outputs y_K of a batch, (N, C)."""
        return self.forward(x)[-1].y

    def parameters(self) -> list[Array]:
        """Return the arrays that learning changes, weights and bias of each trained layer."""
        return [
            array for layer in self.layers if layer.trained for array in (layer.weights, layer.bias)
        ]

    def state(self) -> dict[str, np.ndarray]:
        """Copy every weight and bias to the host, by name: W1, b1, W2, ... as in the paper."""
        named = {}
        for number, layer in enumerate(self.layers, 1):
            named[f"W{number}"], named[f"b{number}"] = fetch(layer.weights), fetch(layer.bias)
        return named

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Set weights and biases from `state()`; raises `Refusal` where a shape differs."""
        for number, layer in enumerate(self.layers, 1):
            for name, array in ((f"W{number}", layer.weights), (f"b{number}", layer.bias)):
                if name not in state or state[name].shape != tuple(array.shape):
                    raise Refusal(
                        f"the stored network has no {name} of shape {tuple(array.shape)}; "
                        f"give the state of a network of the same topology"
                    )
                array[...] = self.backend.put(state[name])


def draw_weights(
    rng: np.random.Generator, layer: Layer, init: str
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a layer's first weights and bias.

    `he`: weights U(+-sqrt(6 / fan_in)) (He et al. 2015, uniform, as the paper says), bias 0;
    `fan-in`: both U(+-1 / sqrt(fan_in)), which is what torch does unless told otherwise and
    therefore what the authors' program did.
    """
    fan_in = math.prod(layer.weight_shape[1:])
    units = layer.weight_shape[0]
    if init == "he":
        return _uniform(rng, layer.weight_shape, math.sqrt(6 / fan_in)), np.zeros(units)
    bound = 1 / math.sqrt(fan_in)
    return _uniform(rng, layer.weight_shape, bound), _uniform(rng, (units,), bound)


def draw_feedback(settings: Settings, layers: list[Layer]) -> list[np.ndarray | None]:
    """Draw the fixed random matrices B_k, He-uniform U(+-sqrt(6 / fan)).

    `fan` is the fan-in of the weights that an FA matrix replaces; a matrix from the outputs to a
    layer has `fan` = the number of that layer's activations, as in the authors' program.
    """
    drawn: list[np.ndarray | None] = []
    for number, layer in enumerate(layers):
        rng = stream(settings.seed, Purpose.FEEDBACK, number)
        shape: tuple[int, ...] | None = None
        if settings.algorithm == "fa" and number > 0:
            shape = layer.weight_shape
        elif settings.algorithm in ("dfa", "sdfa", "drtp") and number < len(layers) - 1:
            shape = (layers[-1].weight_shape[0], *layer.y_shape) if layer.trained else None
        drawn.append(
            None if shape is None else _uniform(rng, shape, math.sqrt(6 / math.prod(shape[1:])))
        )
    return drawn


def _uniform(rng: np.random.Generator, shape: tuple[int, ...], bound: float) -> np.ndarray:
    return rng.uniform(-bound, bound, shape)

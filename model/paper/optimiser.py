"""Optimisers: how a gradient changes the parameters, in place."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from model.contract.refusal import Refusal
from model.jit import compiled
from model.paper.backend import Array, Backend, fetch

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8  # Kingma and Ba 2015, the defaults

MOMENTUM = 0.9  # of the authors' program

OPTIMISERS = ("adam", "sgd", "nag")


class Optimiser(Protocol):
    """What training asks of an optimiser."""

    def step(self, gradients: list[Array]) -> None:
        """Change the parameters by one update."""

    def state(self) -> dict[str, np.ndarray]:
        """Copy what the optimiser remembers to the host."""

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `state()`."""


class Sgd:
    """Plain gradient descent, W <- W - eta g."""

    def __init__(self, parameters: list[Array], rate: float):
        self.parameters, self.rate = parameters, rate

    def step(self, gradients: list[Array]) -> None:
        """Change the parameters by one update."""
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter -= self.rate * gradient

    def state(self) -> dict[str, np.ndarray]:
        """Nothing is remembered."""
        return {}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Nothing is remembered."""


class Nag:
    """Gradient descent with Nesterov's momentum, as Sutskever et al. (2013) write it for a step.

    v <- mu v + g;  W <- W - eta (g + mu v).
    """

    def __init__(self, parameters: list[Array], rate: float, backend: Backend):
        self.parameters, self.rate, self.backend = parameters, rate, backend
        self.v = [backend.zeros(parameter.shape) for parameter in parameters]

    def step(self, gradients: list[Array]) -> None:
        """Change the parameters by one update."""
        for parameter, gradient, v in zip(self.parameters, gradients, self.v, strict=True):
            v *= MOMENTUM
            v += gradient
            parameter -= self.rate * (gradient + MOMENTUM * v)

    def state(self) -> dict[str, np.ndarray]:
        """Copy the momenta to the host."""
        return {f"nag_v{number}": fetch(v) for number, v in enumerate(self.v)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `state()`."""
        for number, v in enumerate(self.v):
            v[...] = self.backend.put(state[f"nag_v{number}"])


class Adam:
    """Adam of Kingma and Ba (2015), algorithm 1, with its default parameters.

    m <- b1 m + (1-b1) g;  v <- b2 v + (1-b2) g^2;
    W <- W - eta (m / (1-b1^t)) / (sqrt(v / (1-b2^t)) + eps).

    `compiled`, the default where numpy computes: `fused`, one pass without temporaries. Otherwise
    the same operations in the same order through the array library, block by block, so that the
    moments of a block are still in the cache when they are used. Both give the same bits.
    """

    def __init__(
        self, parameters: list[Array], rate: float, backend: Backend, compiled: bool | None = None
    ):
        self.xp, self.rate, self.block = backend.xp, rate, backend.block
        on_numpy = backend.name == "numpy"
        self._update = self._fused if (on_numpy if compiled is None else compiled) else self._plain
        self.flat = [self._flat(parameter) for parameter in parameters]
        self.m = [backend.zeros(flat.shape) for flat in self.flat]
        self.v = [backend.zeros(flat.shape) for flat in self.flat]
        self.steps = 0
        self.backend = backend

    def step(self, gradients: list[Array]) -> None:
        """Change the parameters by one update."""
        self.steps += 1
        scale = 1 / (1 - BETA2**self.steps) ** 0.5
        rate = self.rate / (1 - BETA1**self.steps)
        for parameter, gradient, m, v in zip(self.flat, gradients, self.m, self.v, strict=True):
            self._update(parameter, self._flat(gradient), m, v, rate, scale)

    def _fused(
        self, parameter: Array, gradient: Array, m: Array, v: Array, rate: float, scale: float
    ) -> None:
        constants = (BETA1, 1 - BETA1, BETA2, 1 - BETA2, EPSILON, rate, scale)
        fused(parameter, gradient, m, v, np.array(constants, parameter.dtype))

    def _plain(
        self, parameter: Array, gradient: Array, m: Array, v: Array, rate: float, scale: float
    ) -> None:
        size = parameter.shape[0]
        for start in range(0, size, self.block or size):
            part = slice(start, start + (self.block or size))
            self._plain_block(parameter[part], gradient[part], m[part], v[part], rate, scale)

    def _plain_block(
        self, parameter: Array, gradient: Array, m: Array, v: Array, rate: float, scale: float
    ) -> None:
        m *= BETA1
        m += (1 - BETA1) * gradient
        square = gradient * gradient
        square *= 1 - BETA2
        v *= BETA2
        v += square
        change = self.xp.sqrt(v)
        change *= scale
        change += EPSILON
        change = m / change
        change *= rate
        parameter -= change

    def _flat(self, array: Array) -> Array:
        return self.xp.reshape(array, (-1,), copy=False)

    def state(self) -> dict[str, np.ndarray]:
        """Copy both moments and the step count to the host."""
        named = {"adam_steps": np.array(self.steps)}
        for number, (m, v) in enumerate(zip(self.m, self.v, strict=True)):
            named[f"adam_m{number}"], named[f"adam_v{number}"] = fetch(m), fetch(v)
        return named

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from `state()`."""
        self.steps = int(state["adam_steps"])
        for number, (m, v) in enumerate(zip(self.m, self.v, strict=True)):
            m[...] = self.backend.put(state[f"adam_m{number}"])
            v[...] = self.backend.put(state[f"adam_v{number}"])


@compiled(error_model="numpy")
def fused(
    parameter: NDArray[np.floating],
    gradient: NDArray[np.floating],
    m: NDArray[np.floating],
    v: NDArray[np.floating],
    constants: NDArray[np.floating],
) -> None:
    """Take Adam's step in one pass over memory; all arrays (n,) and of one type.

    `constants`: b1, 1 - b1, b2, 1 - b2, eps, eta / (1-b1^t), 1 / sqrt(1-b2^t).
    """
    b1, rest1, b2, rest2, epsilon, rate, scale = constants
    for i in range(parameter.size):
        slope = gradient[i]
        first = m[i] * b1 + rest1 * slope
        second = v[i] * b2 + slope * slope * rest2
        m[i] = first
        v[i] = second
        parameter[i] -= first / (np.sqrt(second) * scale + epsilon) * rate


def optimiser(name: str, parameters: list[Array], rate: float, backend: Backend) -> Optimiser:
    """Return the optimiser called `name`; raises `Refusal` if there is none."""
    if name not in OPTIMISERS:
        raise Refusal(f"there is no optimiser {name!r}; choose one of {', '.join(OPTIMISERS)}")
    if name == "sgd":
        return Sgd(parameters, rate)
    return (Adam if name == "adam" else Nag)(parameters, rate, backend)

"""Layers: an affine map with its activation, and what each leaves behind for learning.

A batch stands in rows, so the paper's z_k = W_k y_{k-1} + b_k reads z = y W^T + b. A dropout mask
acts on the inputs of a fully-connected layer. A convolution's signals, delta y and delta z, belong
to its activations before the max-pool.
"""

from dataclasses import dataclass
from typing import Protocol

from array_api_compat import array_namespace

from model.contract.refusal import Refusal
from model.paper.activation import Activation
from model.paper.backend import Array
from model.paper.topology import Convolution


@dataclass
class Activity:
    """What one layer did with one batch of N examples.

    `taken`: (N, I) inputs after dropout, or (N*H*W, R*S*C) image patches, as the weights met them;
    `mask`: (N, I) dropout mask or None; `y`: (N, J) or (N, H, W, K) activations; `out`: y, or the
    max-pooled (N, H//2, W//2, K), as the next layer gets it; `got`: the shape of the layer's input.
    """

    taken: Array
    mask: Array | None
    y: Array
    out: Array
    got: tuple[int, ...]


class Layer(Protocol):
    """What networks and algorithms ask of a layer; shapes are without the batch axis.

    `weights` is (J, I), or (K, R, S, C) for a convolution; `bias` is (J,) or (K,); `y_shape` is of
    the activations before any pooling, `out_shape` of what the next layer gets.
    """

    weights: Array
    bias: Array
    activation: Activation
    trained: bool
    weight_shape: tuple[int, ...]
    y_shape: tuple[int, ...]
    out_shape: tuple[int, ...]

    def forward(self, y: Array, mask: Array | None) -> Activity:
        """Compute z = W y + b, f(z) and the pooling of a batch."""

    def gradient(self, activity: Activity, dz: Array) -> tuple[Array, Array]:
        """Return dz y^T and dz summed over the batch, of the shapes of weights and bias."""

    def back(self, activity: Activity, dz: Array, weights: Array) -> Array:
        """Return weights^T dz at the layer's input, of the input's shape."""

    def unpool(self, activity: Activity, d_out: Array) -> Array:
        """Carry a gradient at `out` back to `y`."""


class Dense:
    """A fully-connected layer of `units` neurons on `fan_in` inputs."""

    def __init__(self, fan_in: int, units: int, activation: Activation):
        self.weight_shape: tuple[int, ...] = (units, fan_in)
        self.y_shape: tuple[int, ...] = (units,)
        self.out_shape: tuple[int, ...] = (units,)
        self.activation = activation
        self.trained = True
        self.weights: Array = None
        self.bias: Array = None

    def forward(self, y: Array, mask: Array | None) -> Activity:
        """(N, ...) -> activations (N, J); the input is flattened, then multiplied by the mask."""
        got = y.shape
        taken = array_namespace(y).reshape(y, (got[0], -1))
        if mask is not None:
            taken = taken * mask
        z = taken @ self.weights.T
        z += self.bias
        activations = self.activation.of(z)
        return Activity(taken, mask, activations, activations, got)

    def gradient(self, activity: Activity, dz: Array) -> tuple[Array, Array]:
        """(N, J) -> (J, I) and (J,)."""
        return dz.T @ activity.taken, array_namespace(dz).sum(dz, axis=0)

    def back(self, activity: Activity, dz: Array, weights: Array) -> Array:
        """(N, J) -> the input's shape, through the dropout mask."""
        d_taken = dz @ weights
        if activity.mask is not None:
            d_taken *= activity.mask
        return array_namespace(dz).reshape(d_taken, activity.got)

    def unpool(self, activity: Activity, d_out: Array) -> Array:
        """Return `d_out`: nothing was pooled."""
        return d_out


class Conv:
    """A convolution of (H, W, C) images with square kernels, then a 2x2 max-pool of stride 2."""

    def __init__(self, shape: tuple[int, ...], part: Convolution, activation: Activation):
        """Raises `Refusal` where the input is no image or smaller than kernel and pool need."""
        if len(shape) != 3:
            raise Refusal(
                f"a convolution needs images, but each example has the shape {shape}; "
                f"choose a fully-connected network"
            )
        height, width, channels = shape
        self.stride, self.padding, self.size = part.stride, part.padding, part.size
        high = (height + 2 * part.padding - part.size) // part.stride + 1
        wide = (width + 2 * part.padding - part.size) // part.stride + 1
        if min(high, wide) < 2:
            raise Refusal(
                f"a {part.size}x{part.size} kernel with a 2x2 max-pool does not fit "
                f"{height}x{width} inputs; choose smaller kernels or fewer convolutions"
            )
        self.weight_shape: tuple[int, ...] = (part.kernels, part.size, part.size, channels)
        self.y_shape: tuple[int, ...] = (high, wide, part.kernels)
        self.out_shape: tuple[int, ...] = (high // 2, wide // 2, part.kernels)
        self.activation = activation
        self.trained = part.trained
        self.weights: Array = None
        self.bias: Array = None

    def forward(self, y: Array, mask: Array | None) -> Activity:
        """(N, H, W, C) -> activations (N, H', W', K), pooled to (N, H'//2, W'//2, K)."""
        xp = array_namespace(y)
        patches = self._patches(y)
        z = patches @ xp.reshape(self.weights, (self.weight_shape[0], -1)).T
        z += self.bias
        activations = xp.reshape(self.activation.of(z), (y.shape[0], *self.y_shape))
        return Activity(patches, None, activations, _max_pool(activations), y.shape)

    def gradient(self, activity: Activity, dz: Array) -> tuple[Array, Array]:
        """(N, H', W', K) -> (K, R, S, C) and (K,)."""
        xp = array_namespace(dz)
        rows = xp.reshape(dz, (-1, self.weight_shape[0]))
        return xp.reshape(rows.T @ activity.taken, self.weight_shape), xp.sum(rows, axis=0)

    def back(self, activity: Activity, dz: Array, weights: Array) -> Array:
        """(N, H', W', K) -> (N, H, W, C): each patch's gradient is added where the patch was."""
        xp = array_namespace(dz)
        kernels = self.weight_shape[0]
        rows = xp.reshape(dz, (-1, kernels)) @ xp.reshape(weights, (kernels, -1))
        count, height, width, channels = activity.got
        high, wide, _ = self.y_shape
        patches = xp.reshape(rows, (count, high, wide, self.size, self.size, channels))
        pad = self.padding
        padded = xp.zeros(
            (count, height + 2 * pad, width + 2 * pad, channels), dtype=dz.dtype, device=dz.device
        )
        for row in range(self.size):
            for column in range(self.size):
                padded[self._window(row, column)] += patches[:, :, :, row, column, :]
        return padded[:, pad : pad + height, pad : pad + width, :]

    def unpool(self, activity: Activity, d_out: Array) -> Array:
        """Send each pooled gradient to the first of its window's largest activations."""
        xp = array_namespace(d_out)
        d_y = xp.zeros_like(activity.y)
        free = xp.ones_like(activity.out, dtype=xp.bool)
        for window in _quarters(activity.out):
            won = free & (activity.y[window] == activity.out)
            d_y[window] = xp.where(won, d_out, 0.0)
            free = free & ~won
        return d_y

    def _patches(self, images: Array) -> Array:
        """(N, H, W, C) -> (N*H'*W', R*S*C)."""
        xp = array_namespace(images)
        count, height, width, channels = images.shape
        pad = self.padding
        padded = images
        if pad:
            padded = xp.zeros(
                (count, height + 2 * pad, width + 2 * pad, channels),
                dtype=images.dtype,
                device=images.device,
            )
            padded[:, pad : pad + height, pad : pad + width, :] = images
        high, wide, _ = self.y_shape
        patches = xp.empty(
            (count, high, wide, self.size, self.size, channels),
            dtype=images.dtype,
            device=images.device,
        )
        for row in range(self.size):
            for column in range(self.size):
                patches[:, :, :, row, column, :] = padded[self._window(row, column)]
        return xp.reshape(patches, (count * high * wide, -1))

    def _window(self, row: int, column: int) -> tuple[slice, ...]:
        """Where the kernel tap (row, column) meets the padded image, for every output position."""
        high, wide, _ = self.y_shape
        return (
            slice(None),
            slice(row, row + self.stride * (high - 1) + 1, self.stride),
            slice(column, column + self.stride * (wide - 1) + 1, self.stride),
            slice(None),
        )


def _quarters(pooled: Array) -> list[tuple[slice, ...]]:
    """The four members of every 2x2 window, as slices of the map that was pooled."""
    _, high, wide, _ = pooled.shape
    everything = slice(None)
    return [
        (everything, slice(row, 2 * high, 2), slice(column, 2 * wide, 2), everything)
        for row in (0, 1)
        for column in (0, 1)
    ]


def _max_pool(y: Array) -> Array:
    """(N, H, W, K) -> (N, H//2, W//2, K); an odd last row or column is left out."""
    xp = array_namespace(y)
    _, height, width, _ = y.shape
    kept = y[:, : height // 2 * 2, : width // 2 * 2, :]
    by_rows = xp.maximum(kept[:, 0::2, :, :], kept[:, 1::2, :, :])
    return xp.maximum(by_rows[:, :, 0::2, :], by_rows[:, :, 1::2, :])

"""The six training algorithms: how the hidden layers are told what to change.

All six update every layer by W_k <- W_k - eta dz_k y_{k-1}^T with dz_k = dy_k . f'(z_k), and the
output layer by the gradient of the loss. They differ in dy_k, the estimated gradient of the loss at
the outputs of hidden layer k (the paper, Figure 1), written here for one example as a column:

    bp       dy_k = W_{k+1}^T dz_{k+1}                  Rumelhart et al. 1986
    fa       dy_k = B_{k+1}^T dz_{k+1}                  Lillicrap et al. 2016
    dfa      dy_k = B_k^T (y_K - y*)                    Nokland 2016
    sdfa     dy_k = B_k^T sign(y_K - y*)                the paper, section 2.1
    drtp     dy_k = B_k^T y*                            the paper, section 2.3 and the lemma
    shallow  hidden layers are frozen

The error enters DFA and sDFA as y_K - y* so that all six walk downhill; with B drawn from a
symmetric distribution the sign of DRTP's projection is a matter of convention, and the lemma's is
taken (Algorithm 1 prints the other one). Only bp and fa carry the 1/C of the loss.
"""

from dataclasses import dataclass

from array_api_compat import array_namespace

from model.paper.backend import Array
from model.paper.layer import Activity
from model.paper.network import Network
from model.paper.settings import check_algorithm

PROJECTING = ("dfa", "sdfa", "drtp")
"""Algorithms that project something onto every hidden layer."""


@dataclass
class Signals:
    """Signals of one batch, a list entry a layer; None where a layer needs none.

    `dy[k]` and `dz[k]` are (N, *y_shape): estimated loss gradients and modulatory signals of
    each example's own loss; the last entry of `dz` is the loss gradient at z_K.
    """

    dy: list[Array]
    dz: list[Array]


def signals(algorithm: str, network: Network, activities: list[Activity], target: Array) -> Signals:
    """Return the signals that `algorithm` sends to each layer for a batch with targets (N, C)."""
    output = network.layers[-1].activation
    y = activities[-1].y
    last = network.loss.signal(y, target, output)
    if algorithm == "bp":
        return _sent_back(network, [layer.weights for layer in network.layers], activities, last)
    if algorithm == "fa":
        return _sent_back(network, network.feedback, activities, last)
    if algorithm == "dfa":
        return _projected(network, activities, y - target, last)
    if algorithm == "sdfa":
        return _projected(network, activities, array_namespace(y).sign(y - target), last)
    if algorithm == "drtp":
        return _projected(network, activities, target, last)
    check_algorithm(algorithm)
    hidden: list[Array] = [None] * (len(activities) - 1)
    return Signals([*hidden, None], [*hidden, last])


def gradients(
    network: Network, activities: list[Activity], given: Signals, summed: bool = False
) -> list[Array]:
    """Return the batch mean of dz_k y_{k-1}^T and dz_k, in the order of `network.parameters()`.

    `summed`: of hidden layers the sum over the batch instead.
    """
    found: list[Array] = []
    last = network.layers[-1]
    for layer, activity, dz in zip(network.layers, activities, given.dz, strict=True):
        if layer.trained and dz is not None:
            share = 1 if summed and layer is not last else activity.got[0]
            found.extend(layer.gradient(activity, dz / share))
    return found


def _sent_back(
    network: Network, matrices: list[Array], activities: list[Activity], last: Array
) -> Signals:
    """BP's chain from the output down to the lowest layer that learns, through any matrices."""
    dy: list[Array] = [None] * len(activities)
    dz: list[Array] = [None] * len(activities)
    dz[-1] = last
    for k in range(len(activities) - 2, network.lowest_trained - 1, -1):
        d_out = network.layers[k + 1].back(activities[k + 1], dz[k + 1], matrices[k + 1])
        dy[k] = network.layers[k].unpool(activities[k], d_out)
        dz[k] = dy[k] * network.layers[k].activation.slope(activities[k].y)
    return Signals(dy, dz)


def _projected(
    network: Network, activities: list[Activity], modulator: Array, last: Array
) -> Signals:
    """A direct random projection of the (N, C) modulator onto every hidden layer that learns."""
    xp = array_namespace(modulator)
    dy: list[Array] = [None] * len(activities)
    dz: list[Array] = [None] * len(activities)
    dz[-1] = last
    for k, activity in enumerate(activities[:-1]):
        if network.layers[k].trained:
            flat = modulator @ xp.reshape(network.feedback[k], (modulator.shape[1], -1))
            dy[k] = xp.reshape(flat, activity.y.shape)
            dz[k] = dy[k] * network.layers[k].activation.slope(activity.y)
    return Signals(dy, dz)

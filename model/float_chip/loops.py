"""Compiled loops of the float chip: convolution, forward pass and learning, sample after sample.

All numbers are float64 in units of the chip's codes, which are exact below 2**53: with every
approximation kept, the loops compute the integers of the chip. Compiled functions call only
functions of their own file, because numba's cache looks no further.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.jit import compiled

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Maps = NDArray[np.float32]

#: How a layer's modulation comes about.
LABEL, ERROR, CHAIN = range(3)
#: How numbers become codes.
REAL, NEAREST, STOCHASTIC = range(3)


class Rules(NamedTuple):
    """Numbers that all layers share."""

    source: int  #: LABEL: B selected by the label; ERROR: B times the error; CHAIN: the chain rule
    error_scaled: bool
    error_step: float  #: of a modulation scaled by the error
    error_threshold: float  #: from which an error counts as its sign; 0: errors are real
    scaled_high: float  #: where a scaled modulation saturates
    one_sided: bool
    bias: float
    activation_codes: bool  #: activations and scores are codes
    scaled_rounding: int  #: of a scaled modulation
    weight_rounding: int
    weight_high: float
    shared_lfsr: bool
    taps: int


class Layers(NamedTuple):
    """Numbers of each layer, the readout last: arrays (layers,)."""

    weights_at: Numbers
    inputs: Numbers
    neurons: Numbers
    step: Floats  #: of activation or score per unit of pre-activation
    high: Floats  #: where an activation saturates
    sign: NDArray[np.bool_]  #: the activation is a sign
    threshold: Floats
    rate: Floats  #: learning rate at step 0 of the schedule
    learns: NDArray[np.bool_]


class Memory(NamedTuple):
    """What layers keep from sample to sample; P neurons in the widest layer."""

    weights: Floats  #: one (inputs, neurons) block a layer, end to end
    projections: Floats  #: (layers, labels, P)
    masks: Numbers  #: (layers, P)
    lfsrs: Numbers  #: (layers,)
    random: NDArray[np.uint64]  #: (1,) state of the numbers that are drawn one a weight


class Samples(NamedTuple):
    """Samples to take: the items of the first layer, and what the mark says."""

    places: NDArray[np.int32]  #: (items,)
    values: NDArray[np.float32]  #: (items,)
    starts: Numbers  #: (n,) first item
    lengths: Numbers  #: (n,) number of items
    labels: Numbers  #: (n,)
    rates: Numbers  #: (n,)
    learn: NDArray[np.bool_]  #: (n,)


@compiled()
def convolve(
    maps: Maps,
    taps: Maps,
    padding: int,
    pool: int,
    inhibition: float,
    average: bool,
    step: float,
    top: float,
    features: Maps,
) -> None:
    """Samples through a convolution stage, from (n, H, W, C) `maps` to (n, H', W', K) `features`.

    Parameters: `taps` (C, R, R, K); `inhibition`, what each kernel loses of the rectified sum of
    its place; `step`, feature per unit of pooled potential; `top`, where features saturate after
    the bits below one are dropped, of what is lost too, or 0 for features that stay real.
    """
    size, kernels = taps.shape[1], taps.shape[3]
    height, width = features.shape[1] * pool, features.shape[2] * pool
    potentials = np.empty((height, width, kernels), np.float32)
    for sample in range(len(maps)):
        potentials[:] = 0
        for y in range(maps.shape[1]):
            for x in range(maps.shape[2]):
                for channel in range(maps.shape[3]):
                    value = maps[sample, y, x, channel]
                    if value == 0:
                        continue
                    for row in range(max(0, y + padding - size + 1), min(height, y + padding + 1)):
                        first = max(0, x + padding - size + 1)
                        for column in range(first, min(width, x + padding + 1)):
                            tap = taps[channel, y + padding - row, x + padding - column]
                            for kernel in range(kernels):
                                potentials[row, column, kernel] += value * tap[kernel]
        features[sample] = 0
        for y in range(height):
            for x in range(width):
                cell = features[sample, y // pool, x // pool]
                lost = _lost(potentials[y, x], inhibition, top > 0)
                for kernel in range(kernels):
                    potential = potentials[y, x, kernel] - lost
                    if average:
                        cell[kernel] += max(potential, np.float32(0))
                    else:
                        cell[kernel] = max(potential, cell[kernel])
        for cell in features[sample].reshape(-1, kernels):
            for kernel in range(kernels):
                feature = cell[kernel] * np.float32(step)
                cell[kernel] = min(np.floor(feature), top) if top else feature


@compiled()
def _lost(potentials: Maps, inhibition: float, whole: bool) -> np.float32:
    """What each kernel of a place loses to all of them."""
    total = np.float32(0)
    if inhibition:
        for potential in potentials:
            total += max(potential, np.float32(0))
    lost = total * np.float32(inhibition)
    return np.float32(np.floor(lost)) if whole else lost


@compiled()
def run(
    rules: Rules,
    layers: Layers,
    memory: Memory,
    samples: Samples,
    classes: Numbers,
    scores: Floats,
) -> None:
    """Samples through all layers, one after another, learning where asked.

    Parameters: `classes` (n,) and `scores` (n, labels), written.
    """
    count = len(layers.neurons)
    last = count - 1
    widest = memory.masks.shape[1]
    sums = np.zeros((count, widest))
    modulation = np.zeros((count, widest))
    most = max(layers.inputs)
    index = np.zeros((count, most + 1), np.int64)
    value = np.zeros((count, most + 1))
    items = np.zeros(count, np.int64)
    labels = layers.neurons[last]
    for sample in range(len(samples.labels)):
        items[0] = samples.lengths[sample]
        for item in range(items[0]):
            index[0, item] = samples.places[samples.starts[sample] + item]
            value[0, item] = samples.values[samples.starts[sample] + item]
        for n in range(count):
            _forward(layers, memory.weights, n, index[n], value[n], items[n], sums[n])
            if n < last:
                bias = rules.bias if n + 1 == last else 0.0
                items[n + 1] = _activate(
                    rules, layers, n, bias, sums[n], index[n + 1], value[n + 1]
                )
        classes[sample] = _read_out(rules, layers.step[last], sums[last, :labels], scores[sample])
        if not samples.learn[sample]:
            continue
        label = samples.labels[sample]
        for other in range(labels):
            modulation[last, other] = (255.0 if other == label else 0.0) - scores[sample, other]
        for n in range(last - 1, -1, -1):
            if layers.learns[n]:
                _modulate(rules, layers, memory, n, label, modulation)
                _gate(rules, layers.threshold[n], sums[n, : layers.neurons[n]], modulation[n])
        for n in range(count):
            if layers.learns[n]:
                rate = layers.rate[n] * 0.5 ** samples.rates[sample]
                _update(rules, layers, memory, n, index[n, : items[n]], value[n], modulation, rate)


@compiled()
def _forward(
    layers: Layers,
    weights: Floats,
    n: int,
    index: Numbers,
    value: Floats,
    items: int,
    sums: Floats,
) -> None:
    neurons = layers.neurons[n]
    sums[:] = 0
    for item in range(items):
        at = layers.weights_at[n] + index[item] * neurons
        row = weights[at : at + neurons]
        for neuron in range(neurons):
            sums[neuron] += value[item] * row[neuron]


@compiled()
def _activate(
    rules: Rules,
    layers: Layers,
    n: int,
    bias: float,
    sums: Floats,
    index: Numbers,
    value: Floats,
) -> int:
    """Number of items sent on: activations that are not zero, then the bias unless it is."""
    at = 0
    for neuron in range(layers.neurons[n]):
        if rules.activation_codes and layers.sign[n]:
            activation = 1.0 if sums[neuron] >= 0 else -1.0
        else:
            activation = sums[neuron] * layers.step[n]
            if rules.activation_codes:
                activation = np.floor(activation)
            activation = min(max(activation, -layers.high[n]), layers.high[n])
        index[at] = neuron
        value[at] = activation
        at += activation != 0
    index[at] = layers.neurons[n]
    value[at] = bias
    return at + (bias != 0)


@compiled()
def _read_out(rules: Rules, step: float, sums: Floats, scores: Floats) -> int:
    """The class: the first of the greatest sums; writes the scores."""
    best = 0
    for neuron in range(len(sums)):
        score = sums[neuron] * step
        if rules.activation_codes:
            score = np.floor(score)
        scores[neuron] = min(max(score + 128, 0.0), 255.0)
        if sums[neuron] > sums[best]:
            best = neuron
    return best


@compiled()
def _modulate(
    rules: Rules, layers: Layers, memory: Memory, n: int, label: int, modulation: Floats
) -> None:
    """Write the modulations of hidden layer `n`; those of the layers behind it are known."""
    neurons, labels = layers.neurons[n], layers.neurons[-1]
    if rules.source == CHAIN:
        # dE/dz_k = f'(z_k) W_(k+1)^T dE/dz_(k+1); the gate, which follows, is the rest of f'.
        above = layers.neurons[n + 1]
        for neuron in range(neurons):
            at = layers.weights_at[n + 1] + neuron * above
            total = 0.0
            for other in range(above):
                total += modulation[n + 1, other] * memory.weights[at + other]
            modulation[n, neuron] = total * layers.step[n]
    elif rules.source == LABEL:
        for neuron in range(neurons):
            modulation[n, neuron] = memory.projections[n, label, neuron]
        if rules.error_scaled:
            scale = modulation[-1, label] * rules.error_step
            for neuron in range(neurons):
                scaled = modulation[n, neuron] * scale
                if rules.scaled_rounding != REAL:
                    part = _fraction(
                        rules, rules.scaled_rounding, memory, n, neuron, rules.error_step
                    )
                    scaled = np.floor(scaled + part)
                    scaled = min(max(scaled, -rules.scaled_high), rules.scaled_high)
                modulation[n, neuron] = scaled
            memory.lfsrs[n] = _stepped(memory.lfsrs[n], rules.taps)
    else:
        modulation[n, :neurons] = 0
        for other in range(labels):
            error = modulation[-1, other]
            if rules.error_threshold:
                error = np.sign(error) if abs(error) >= rules.error_threshold else 0.0
            else:
                error *= rules.error_step
            for neuron in range(neurons):
                modulation[n, neuron] += error * memory.projections[n, other, neuron]


@compiled()
def _gate(rules: Rules, threshold: float, sums: Floats, modulation: Floats) -> None:
    for neuron in range(len(sums)):
        above = sums[neuron] >= threshold
        below = sums[neuron] <= -threshold
        if rules.one_sided:
            above = above and modulation[neuron] > 0
            below = below and modulation[neuron] < 0
        if above or below:
            modulation[neuron] = 0


@compiled()
def _update(
    rules: Rules,
    layers: Layers,
    memory: Memory,
    n: int,
    index: Numbers,
    value: Floats,
    modulation: Floats,
    rate: float,
) -> None:
    neurons, high, rounding = layers.neurons[n], rules.weight_high, rules.weight_rounding
    active = np.flatnonzero(modulation[n, :neurons])
    if len(active) == 0:
        return
    for item in range(len(index)):
        at = layers.weights_at[n] + index[item] * neurons
        row = memory.weights[at : at + neurons]
        scaled = value[item] * rate
        if rounding != REAL:
            for moved in active:
                part = _fraction(rules, rounding, memory, n, moved, rate)
                raised = row[moved] + np.floor(scaled * modulation[n, moved] + part)
                row[moved] = min(max(raised, -high), high)
            memory.lfsrs[n] = _stepped(memory.lfsrs[n], rules.taps)
        elif 4 * len(active) < neurons:
            for moved in active:
                row[moved] += scaled * modulation[n, moved]
        else:
            for neuron in range(neurons):
                row[neuron] += scaled * modulation[n, neuron]


@compiled()
def _fraction(
    rules: Rules, rounding: int, memory: Memory, n: int, neuron: int | np.integer, unit: float
) -> float:
    """What is added before the bits below one are dropped: a half, or a random number below one.

    `unit`, a power of two, is the resolution of the LFSR's numbers. Numbers of their own: G.
    Marsaglia, "Xorshift RNGs" (2003).
    """
    if rounding == NEAREST:
        return 0.5
    if rules.shared_lfsr:
        return ((memory.lfsrs[n] ^ memory.masks[n, neuron]) & (np.int64(1 / unit) - 1)) * unit
    state = memory.random[0]
    state ^= state << np.uint64(13)
    state ^= state >> np.uint64(7)
    state ^= state << np.uint64(17)
    memory.random[0] = state
    return (state >> np.uint64(11)) * 2.0**-53


@compiled()
def _stepped(state: int, taps: int) -> int:
    return state >> 1 ^ (taps if state & 1 else 0)

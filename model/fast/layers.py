"""Compiled loops of the fast engine's layers: forward pass and learning, sample after sample.

One function serves all chips: sizes, shifts and rules are numbers that it is given. Compiled
functions call only functions of their own file, because numba's cache looks no further. Those that
are inlined are so because the whole then compiles faster.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from model.jit import compiled

#: Neurons are worked on this many at a time; a layer is filled up with idle ones. A loop of this
#: constant length is what the compiler turns into vector instructions.
BLOCK = 32

_U = np.uint64  # unsigned indices spare the test for negative ones
_BLOCK, _OCTET = _U(BLOCK), _U(8)

Codes = NDArray[np.signedinteger]
Numbers = NDArray[np.int64]

#: Numbers of one layer: its neurons are filled up to `pitch`, a multiple of `BLOCK`; `sign` and
#: `learns` are flags; `high` is where a hard tanh saturates.
LAYER = np.dtype(
    [
        (name, np.int64)
        for name in (
            *("weights_at", "inputs", "pitch", "neurons", "groups", "lanes"),
            *("shift", "rate_shift", "threshold", "sign", "high", "learns"),
        )
    ]
)

#: What is counted of a layer, in this order.
TALLIES = (
    "items",
    "saturations",
    "modulated",
    "learn_items",
    "learn_reads",
    "learn_writes",
    "updates",
    "weight_saturations",
    "learned_samples",
    "active_samples",
)
_ITEMS, _SATURATIONS, _MODULATED, _LEARN_ITEMS, _LEARN_READS, _LEARN_WRITES = range(6)
_UPDATES, _WEIGHT_SATURATIONS, _LEARNED_SAMPLES, _ACTIVE_SAMPLES = range(6, 10)


class Rules(NamedTuple):
    """Numbers that all layers share."""

    classes: int
    projects_label: bool  #: drtp
    error_scaled: bool
    error_shift: int
    error_threshold: int
    modulation_high: int
    one_sided: bool
    bias_code: int
    weight_high: int
    taps: int


class Memory(NamedTuple):
    """What layers keep from sample to sample; P is the greatest pitch.

    Weights are int8 or int16. Masks are of the type of the sums, which also holds the product of
    an update and its random number.
    """

    weights: Codes  #: one (inputs, pitch) block a layer, end to end
    masks: Codes  #: (layers, P) of the random source
    groups: Numbers  #: (layers, P): the group of lanes of a neuron
    projections: Codes  #: (layers, labels, P): B, or its transpose for sdfa and dfa
    lfsrs: Numbers  #: (layers,)
    tallies: Numbers  #: (layers, len(TALLIES))


class Samples(NamedTuple):
    """Samples to take: the items of the first layer, and what the mark says."""

    places: NDArray[np.int32]  #: (items,)
    codes: NDArray[np.uint8]  #: (items,)
    starts: Numbers  #: (n,) first item
    lengths: Numbers  #: (n,) number of items
    labels: Numbers  #: (n,)
    rates: Numbers  #: (n,)
    learn: NDArray[np.bool_]  #: (n,)


class Records(NamedTuple):
    """What a trace needs beyond the results; all arrays are empty where `kept` is not set."""

    kept: bool
    sums: Codes  #: (n, layers, P)
    activations: Numbers  #: (n, layers, P + 1), the bias behind the last neuron
    modulations: Codes  #: (n, layers, P)
    words: Numbers  #: (words, 3 + lanes): layer, sample, address, codes
    written: Numbers  #: (1,) number of words


@compiled()
def run(
    rules: Rules,
    layers: np.ndarray,
    memory: Memory,
    samples: Samples,
    records: Records,
    classes: Numbers,
    scores: Numbers,
) -> None:
    """Samples through all layers, one after another, learning where asked.

    Parameters: `layers`, one of `LAYER` each, the readout last; `classes` (n,) and `scores`
    (n, classes), written.
    """
    count = len(layers)
    last = count - 1
    weights, masks, lfsrs, tallies = memory.weights, memory.masks, memory.lfsrs, memory.tallies
    sums = np.zeros(masks.shape, masks.dtype)
    modulation = np.zeros(masks.shape, masks.dtype)
    # The items that each layer takes in.
    widest = words = 0
    for layer in layers:
        widest = max(widest, layer.inputs)
        words = max(words, layer.inputs * layer.groups)
    index = np.zeros((count, widest + 1), np.int64)
    value = np.zeros((count, widest + 1), np.int16)
    items = np.zeros(count, np.int64)
    error = np.zeros(rules.classes, np.int64)
    active = np.zeros(masks.shape[1] + 1, np.uint64)
    addresses = np.empty(words + 1, np.int64)
    for sample in range(len(samples.labels)):
        items[0] = samples.lengths[sample]
        for item in range(items[0]):
            index[0, item] = samples.places[samples.starts[sample] + item]
            value[0, item] = samples.codes[samples.starts[sample] + item]
        for n in range(count):
            layer, tally = layers[n], tallies[n]
            _forward(layer, weights, index[n], value[n], items[n], sums[n])
            tally[_ITEMS] += items[n]
            if n == last:
                classes[sample] = _read_out(layer, sums[n], scores[sample], tally)
            else:
                bias_code = rules.bias_code if n + 1 == last else 0
                items[n + 1] = _activate(
                    layer, bias_code, sums[n], index[n + 1], value[n + 1], tally
                )
        if records.kept:
            for n in range(count):
                _copy(sums[n], records.sums[sample, n])
            for n in range(last):
                for item in range(items[n + 1]):
                    records.activations[sample, n, index[n + 1, item]] = value[n + 1, item]
        if not samples.learn[sample]:
            continue
        label = samples.labels[sample]
        for other in range(rules.classes):
            error[other] = (255 if other == label else 0) - scores[sample, other]
        for n in range(count):
            layer = layers[n]
            if not layer.learns:
                continue
            if n == last:
                for other in range(rules.classes):
                    modulation[n, other] = error[other]
            else:
                lfsrs[n] = _modulate(
                    layer,
                    rules,
                    sums[n],
                    masks[n],
                    memory.projections[n],
                    lfsrs[n],
                    label,
                    error,
                    modulation[n],
                )
            written = _update(
                layer,
                rules,
                weights,
                index[n, : items[n]],
                value[n],
                modulation[n],
                masks[n],
                memory.groups[n],
                layer.rate_shift + samples.rates[sample],
                lfsrs[n : n + 1],
                active,
                addresses,
                tallies[n],
            )
            if records.kept:
                _copy(modulation[n], records.modulations[sample, n])
                _record_words(layer, n, sample, weights, addresses[:written], records)


@compiled()
def _forward(
    layer: np.record, weights: Codes, index: Numbers, value: Codes, items: int, sums: Codes
) -> None:
    """Sums of the items' weights, four items at a time: sums are read and written less often."""
    at, pitch = _U(layer.weights_at), _U(layer.pitch)
    for neuron in range(pitch):
        sums[neuron] = 0
    whole = items // 4 * 4
    for item in range(0, whole, 4):
        first, second = at + _U(index[item]) * pitch, at + _U(index[item + 1]) * pitch
        third, fourth = at + _U(index[item + 2]) * pitch, at + _U(index[item + 3]) * pitch
        one, two, three, four = value[item], value[item + 1], value[item + 2], value[item + 3]
        for block in range(_U(0), pitch, _BLOCK):
            for neuron in range(block, block + _BLOCK):
                sums[neuron] += (
                    one * weights[first + neuron]
                    + two * weights[second + neuron]
                    + three * weights[third + neuron]
                    + four * weights[fourth + neuron]
                )
    for item in range(whole, items):
        row = at + _U(index[item]) * pitch
        for neuron in range(pitch):
            sums[neuron] += value[item] * weights[row + neuron]


@compiled(inline="always")
def _activate(
    layer: np.record,
    bias_code: int,
    sums: Codes,
    index: Numbers,
    value: Codes,
    tally: Numbers,
) -> int:
    """Number of items sent on: activations that are not zero, then the bias unless it is."""
    at = 0
    saturations = 0
    for neuron in range(layer.neurons):
        if layer.sign:
            code = 1 if sums[neuron] >= 0 else -1
        else:
            code = np.int64(sums[neuron]) >> layer.shift
            saturations += abs(code) > layer.high
            code = min(max(code, -layer.high), layer.high)
        index[at] = neuron
        value[at] = code
        at += code != 0
    tally[_SATURATIONS] += saturations
    index[at] = layer.neurons
    value[at] = bias_code
    return at + (bias_code != 0)


@compiled(inline="always")
def _read_out(layer: np.record, sums: Codes, scores: Numbers, tally: Numbers) -> int:
    """The class: the first of the greatest sums; writes the scores."""
    best = 0
    for neuron in range(layer.neurons):
        score = (np.int64(sums[neuron]) >> layer.shift) + 128
        scores[neuron] = min(max(score, 0), 255)
        tally[_SATURATIONS] += scores[neuron] != score
        if sums[neuron] > sums[best]:
            best = neuron
    return best


@compiled()
def _modulate(
    layer: np.record,
    rules: Rules,
    sums: Codes,
    masks: Codes,
    projection: Codes,
    state: int,
    label: int,
    error: Numbers,
    modulation: Codes,
) -> int:
    """`model.hidden.modulate`: writes the modulations, returns the LFSR's state."""
    if rules.projects_label:
        scale = error[label] if rules.error_scaled else 1
        shift = rules.error_shift if rules.error_scaled else 0
        low = (1 << shift) - 1
        high = rules.modulation_high
        for neuron in range(layer.neurons):
            random = (state ^ masks[neuron]) & low
            scaled = (projection[label, neuron] * scale + random) >> shift
            modulation[neuron] = min(max(scaled, -high), high)
        if rules.error_scaled:
            state = _stepped(state, rules.taps)
    else:
        for neuron in range(layer.neurons):
            modulation[neuron] = 0
        for other in range(rules.classes):
            if abs(error[other]) >= rules.error_threshold:
                sign = 1 if error[other] > 0 else -1
                for neuron in range(layer.neurons):
                    modulation[neuron] += sign * projection[other, neuron]
    for neuron in range(layer.neurons):
        above = sums[neuron] >= layer.threshold
        below = sums[neuron] <= -layer.threshold
        if rules.one_sided:
            above = above and modulation[neuron] > 0
            below = below and modulation[neuron] < 0
        if above or below:
            modulation[neuron] = 0
    return state


@compiled(inline="always")
def _stepped(state: int, taps: int) -> int:
    return state >> 1 ^ (taps if state & 1 else 0)


@compiled(inline="always")
def _update(
    layer: np.record,
    rules: Rules,
    weights: Codes,
    index: Numbers,
    value: Codes,
    modulation: Codes,
    masks: Codes,
    groups: Numbers,
    shift: int,
    lfsr: Numbers,
    active: NDArray[np.uint64],
    addresses: Numbers,
    tally: Numbers,
) -> int:
    """`model.learn.update` of one sample: number of words written; writes their addresses."""
    count = 0
    active_groups = 0
    latest = -1
    for neuron in range(layer.neurons):
        modulated = modulation[neuron] != 0
        active[count] = neuron
        count += modulated
        active_groups += modulated & (groups[neuron] != latest)
        latest = groups[neuron] if modulated else latest
    tally[_LEARNED_SAMPLES] += 1
    if count == 0:
        return 0
    # One neuron by one is faster than all in blocks where few are active.
    if count * 4 < layer.pitch:
        written = _update_few(
            layer,
            rules,
            weights,
            index,
            value,
            modulation,
            masks,
            groups,
            shift,
            lfsr,
            active[:count],
            addresses,
            tally,
        )
    else:
        written = _update_many(
            layer,
            rules,
            weights,
            index,
            value,
            modulation,
            masks,
            groups,
            shift,
            lfsr,
            addresses,
            tally,
        )
    tally[_ACTIVE_SAMPLES] += 1
    tally[_MODULATED] += count
    tally[_LEARN_ITEMS] += len(index)
    tally[_LEARN_READS] += len(index) * active_groups
    tally[_LEARN_WRITES] += written
    return written


@compiled(inline="always")
def _update_few(
    layer: np.record,
    rules: Rules,
    weights: Codes,
    index: Numbers,
    value: Codes,
    modulation: Codes,
    masks: Codes,
    groups: Numbers,
    shift: int,
    lfsr: Numbers,
    active: NDArray[np.uint64],
    addresses: Numbers,
    tally: Numbers,
) -> int:
    low = (1 << shift) - 1
    high = rules.weight_high
    state = lfsr[0]
    updates = saturations = written = 0
    for item in range(len(index)):
        row = _U(layer.weights_at + index[item] * layer.pitch)
        base = index[item] * layer.groups
        latest = -1
        for neuron in active:
            random = (state ^ masks[neuron]) & low
            weight = np.int64(weights[row + neuron])
            raised = weight + ((value[item] * modulation[neuron] + random) >> shift)
            kept = min(max(raised, -high), high)
            weights[row + neuron] = kept
            changed = kept != weight
            updates += changed
            saturations += kept != raised
            group = groups[neuron]
            addresses[written] = base + group
            written += changed & (group != latest)
            latest = group if changed else latest
        state = _stepped(state, rules.taps)
    lfsr[0] = state
    tally[_UPDATES] += updates
    tally[_WEIGHT_SATURATIONS] += saturations
    return written


@compiled()
def _update_many(
    layer: np.record,
    rules: Rules,
    weights: Codes,
    index: Numbers,
    value: Codes,
    modulation: Codes,
    masks: Codes,
    groups: Numbers,
    shift: int,
    lfsr: Numbers,
    addresses: Numbers,
    tally: Numbers,
) -> int:
    exact = masks.dtype.type  # cuts numba's 64-bit results back: narrow types go many at a time
    pitch = _U(layer.pitch)
    low = (1 << shift) - 1
    high = exact(rules.weight_high)
    places = exact(shift & (8 * masks.itemsize - 1))  # shift, and known to be less than the width
    cut_masks = np.empty(layer.pitch, masks.dtype)
    for neuron in range(pitch):
        cut_masks[neuron] = masks[neuron] & low
    changed = np.zeros(layer.pitch, np.uint8)
    octets = changed.view(np.uint64)
    state = lfsr[0]
    written = 0
    for item in range(len(index)):
        row = _U(layer.weights_at) + _U(index[item]) * pitch
        code = exact(value[item])
        random = exact(state & low)
        updates = saturations = 0
        for block in range(_U(0), pitch, _BLOCK):
            block_updates = block_saturations = exact(0)
            for neuron in range(block, block + _BLOCK):
                weight = weights[row + neuron]
                product = exact(code * modulation[neuron])
                change = exact(exact(product + exact(random ^ cut_masks[neuron])) >> places)
                raised = exact(weight + change)
                kept = min(max(raised, -high), high)
                weights[row + neuron] = kept
                changed[neuron] = kept != weight
                block_updates += exact(kept != weight)
                block_saturations += exact(kept != raised)
            updates += int(block_updates)
            saturations += int(block_saturations)
        tally[_UPDATES] += updates
        tally[_WEIGHT_SATURATIONS] += saturations
        if updates:
            base = index[item] * layer.groups
            written = _words_changed(changed, octets, groups, base, addresses, written)
        state = _stepped(state, rules.taps)
    lfsr[0] = state
    return written


@compiled(inline="always")
def _words_changed(
    changed: NDArray[np.uint8],
    octets: NDArray[np.uint64],
    groups: Numbers,
    base: int,
    addresses: Numbers,
    written: int,
) -> int:
    """Append the addresses of one item's changed words: number of addresses then."""
    latest = -1
    for octet in range(len(octets)):
        first = octet * 8
        whole = groups[first] == groups[first + 7]  # eight neurons of one word at a time
        for neuron in range(first, first + 1 if whole else first + 8):
            moved = octets[octet] != 0 if whole else changed[neuron] != 0
            group = groups[neuron]
            addresses[written] = base + group
            written += moved & (group != latest)
            latest = group if moved else latest
    return written


@compiled(inline="always")
def _copy(codes: Codes, to: Codes) -> None:
    """Element by element: numba's own copy compiles for seconds, error texts included."""
    for place in range(len(codes)):
        to[place] = codes[place]


@compiled(inline="always")
def _record_words(
    layer: np.record, number: int, sample: int, weights: Codes, addresses: Numbers, records: Records
) -> None:
    """Note the words at these addresses. No later item of the sample has changed them."""
    for address in addresses:
        word = records.words[records.written[0]]
        word[0], word[1], word[2] = number, sample, address
        row = layer.weights_at + address // layer.groups * layer.pitch
        for lane in range(layer.lanes):
            neuron = address % layer.groups * layer.lanes + lane
            word[3 + lane] = weights[row + neuron] if neuron < layer.neurons else 0
        records.written[0] += 1

"""Records of every boundary from what the fast engine computes: rows of a trace."""

import numpy as np
from numpy.typing import NDArray

from model.arith import Codes
from model.contract.choices import Coding
from model.contract.config import ChipConfig
from model.contract.result import LEARNED_AT
from model.contract.shapes import LayerShape
from model.fast import conv
from model.fast.conv import Maps
from model.fast.layers import Memory, Records
from model.trace import Trace

#: Weight words that one call of the compiled loops may note, unless one sample needs more.
WORDS = 1 << 17


def samples_at_once(config: ChipConfig) -> int:
    """Samples whose updates are noted in one call, at least one."""
    return max(1, WORDS // _words_a_sample(config))


def _words_a_sample(config: ChipConfig) -> int:
    """Most weight words that a sample can write."""
    return 1 + sum(shape.inputs * shape.groups for shape in config.layer_shapes if shape.learns)


def records(config: ChipConfig, memory: Memory, samples: int, kept: bool) -> Records:
    """Room for what a trace needs of so many samples; none where no trace is kept."""
    rows = samples if kept else 0
    layers, pitch = memory.masks.shape
    lanes = max(shape.lanes for shape in config.layer_shapes)
    return Records(
        kept,
        np.zeros((rows, layers, pitch), memory.masks.dtype),
        np.zeros((rows, layers, pitch + 1), np.int64),
        np.zeros((rows, layers, pitch), memory.masks.dtype),
        np.empty((rows * _words_a_sample(config), 3 + lanes), np.int64),
        np.zeros(1, np.int64),
    )


def note_maps(config: ChipConfig, trace: Trace, maps: list[Maps]) -> None:
    """Note the events and the features of every convolution stage."""
    samples = len(maps[0]) // config.windows
    places, codes, lengths = conv.listed(maps[0], in_time=True)
    if config.coding is Coding.COUNT:
        places, codes, lengths = _one_by_one(places, codes, lengths)
    y, rest = np.divmod(places, config.width * config.channels)
    x, channel = np.divmod(rest, config.channels)
    lengths = lengths.reshape(samples, config.windows).sum(axis=1)
    trace.extend("encode.events", np.stack([x, y, channel, codes], axis=1), lengths)
    for shape, features in zip(config.conv_shapes, maps[1:], strict=True):
        together = features.reshape(samples, config.windows * shape.features)
        places, codes, lengths = conv.listed(together, in_time=False)
        trace.extend(f"{shape.name}.features", np.stack([places, codes], axis=1), lengths)


def _one_by_one(
    places: NDArray[np.int32], codes: NDArray[np.uint8], lengths: Codes
) -> tuple[NDArray[np.int32], NDArray[np.uint8], Codes]:
    """Counts as events of one: all pixels' first ones, then their second ones, and so on."""
    window = np.repeat(np.arange(len(lengths)), lengths)
    again = np.concatenate([np.arange(code) for code in codes]) if len(codes) else codes
    window, places = np.repeat(window, codes), np.repeat(places, codes)
    order = np.lexsort((places, again, window))
    return (
        places[order],
        np.ones(len(places), np.uint8),
        np.bincount(window, minlength=len(lengths)),
    )


def note_layers(
    config: ChipConfig,
    trace: Trace,
    records: Records,
    classes: Codes,
    scores: Codes,
    learn: NDArray[np.bool_],
) -> None:
    """Note all boundaries of the layers for the samples of `records`."""
    samples = len(classes)
    for number, shape in enumerate(config.layer_shapes):
        neurons = np.tile(np.arange(shape.outputs), samples)
        sums = records.sums[:, number, : shape.outputs].reshape(-1)
        every = np.full(samples, shape.outputs)
        trace.extend(f"{shape.name}.sums", np.stack([neurons, sums], axis=1), every)
        if number < len(config.hidden):
            sent = records.activations[:, number, : shape.outputs + 1]
            sample, neuron = np.nonzero(sent)
            rows = np.stack([neuron, sent[sample, neuron]], axis=1)
            trace.extend(f"{shape.name}.activations", rows, np.count_nonzero(sent, axis=1))
        else:
            trace.extend("readout.scores", scores.reshape(-1, 1), every)
            verdicts = classes | learn.astype(np.int64) << LEARNED_AT
            trace.extend("readout.verdict", verdicts[:, None], np.ones(samples, np.int64))
        if shape.learns:
            _note_learning(trace, records, number, shape, learn)


def _note_learning(
    trace: Trace, records: Records, number: int, shape: LayerShape, learn: NDArray[np.bool_]
) -> None:
    modulations = records.modulations[learn, number, : shape.outputs]
    trace.extend(f"{shape.name}.modulation", modulations.reshape(-1, 1), learn * shape.outputs)
    words = records.words[: records.written[0]]
    mine = words[words[:, 0] == number]
    rows, samples = mine[:, 2 : 3 + shape.lanes], mine[:, 1]
    trace.extend(f"{shape.name}.updates", rows, np.bincount(samples, minlength=len(learn)))

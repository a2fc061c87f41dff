"""A chip's numbers and memory in the form that the compiled layers work on, and back."""

import numpy as np

from model.contract import noise
from model.contract.choices import Activation, Gate, Rule
from model.contract.config import ChipConfig
from model.contract.shapes import LayerShape
from model.fast.layers import BLOCK, LAYER, TALLIES, Memory, Rules
from model.lfsr import neuron_masks
from model.state import State


def rules(config: ChipConfig) -> Rules:
    """Numbers that all layers share."""
    learning = config.learning
    return Rules(
        classes=config.readout.classes,
        projects_label=learning.rule is Rule.DRTP,
        error_scaled=learning.error_scaled,
        error_shift=learning.error_shift,
        error_threshold=config.error_threshold,
        modulation_high=config.modulation.high,
        one_sided=learning.gate is Gate.ONE_SIDED,
        bias_code=config.bias_code,
        weight_high=config.weight.high,
        taps=noise.TAPS[learning.lfsr_bits],
    )


def layers(config: ChipConfig) -> np.ndarray:
    """Numbers of each layer, the readout last: an array of `LAYER`."""
    found = np.zeros(len(config.layer_shapes), LAYER)
    at = 0
    for number, shape in enumerate(config.layer_shapes):
        layer = found[number]
        layer["weights_at"] = at
        layer["inputs"] = shape.inputs
        layer["pitch"] = _pitch(shape)
        layer["neurons"] = shape.outputs
        layer["groups"] = shape.groups
        layer["lanes"] = shape.lanes
        layer["rate_shift"] = shape.rate_shift
        layer["learns"] = shape.learns
        if number < len(config.hidden):
            layer["shift"] = config.hidden[number].shift
            layer["threshold"] = config.hidden[number].threshold
            layer["sign"] = config.hidden[number].activation is Activation.SIGN
            layer["high"] = config.activation(number).high
        else:
            layer["shift"] = config.readout.shift
        at += shape.inputs * _pitch(shape)
    return found


def memory(config: ChipConfig, state: State) -> Memory:
    """Weights, projections and LFSRs of a state, in the narrowest types that are exact."""
    shapes = config.layer_shapes
    weight, exact = (np.int8, np.int32) if _narrow(config) else (np.int16, np.int64)
    pitch = max(map(_pitch, shapes))
    masks = np.zeros((len(shapes), pitch), exact)
    groups = np.zeros((len(shapes), pitch), np.int64)
    projections = np.zeros((len(shapes), config.readout.classes, pitch), exact)
    weights = []
    for number, shape in enumerate(shapes):
        padded = np.zeros((shape.inputs, _pitch(shape)), weight)
        padded[:, : shape.outputs] = state.banks[f"{shape.name}.weights"]
        weights.append(padded.reshape(-1))
        masks[number, : shape.outputs] = neuron_masks(shape.outputs, config.learning.lfsr_bits)
        groups[number] = np.arange(pitch) // shape.lanes
        projection = state.banks.get(f"{shape.name}.modulation")
        if projection is not None:
            by_label = projection if config.learning.rule is Rule.DRTP else projection.T
            projections[number, :, : shape.outputs] = by_label
    lfsrs = np.array([state.lfsrs.get(shape.name, 0) for shape in shapes], np.int64)
    tallies = np.zeros((len(shapes), len(TALLIES)), np.int64)
    return Memory(np.concatenate(weights), masks, groups, projections, lfsrs, tallies)


def write_back(config: ChipConfig, worked: Memory, state: State) -> None:
    """Put what learning changed back into the state's own arrays."""
    at = 0
    for number, shape in enumerate(config.layer_shapes):
        size = shape.inputs * _pitch(shape)
        padded = worked.weights[at : at + size].reshape(shape.inputs, -1)
        at += size
        if shape.learns:
            state.banks[f"{shape.name}.weights"][:] = padded[:, : shape.outputs]
            state.lfsrs[shape.name] = int(worked.lfsrs[number])


def _pitch(shape: LayerShape) -> int:
    return -(-shape.outputs // BLOCK) * BLOCK


def _narrow(config: ChipConfig) -> bool:
    """Whether 8 bits hold every weight, and 32 every sum and the sum of an update's rounding."""
    greatest = max(shape.rate_shift for shape in config.layer_shapes) + config.rate_steps - 1
    sums = max(shape.sum.bits for shape in config.layer_shapes)
    return config.weight.bits <= 8 and sums <= 32 and greatest <= 30

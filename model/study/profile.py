"""Number-format profiles: how the codes of every tensor lie in the range that their format has."""

from dataclasses import dataclass

import numpy as np

from model.arith import Codes
from model.contract.config import ChipConfig
from model.contract.formats import Format
from model.contract.stages import boundaries
from model.fast.engine import FastChip
from model.network import Images
from model.state import State
from model.trace import Trace


@dataclass(frozen=True)
class Profile:
    """Of one tensor: its format, the share of codes by size, and of those at an end of the range.

    `shares[n]` is the share of codes whose magnitude has n bits, zero having none. `saturated` is
    that of codes at the ends of the range, where narrowing puts what does not fit; zero is no end.
    """

    tensor: str
    format: Format
    shares: list[float]
    saturated: float


def profiles(config: ChipConfig, state: State, images: Images, labels: Codes) -> list[Profile]:
    """Profile of every tensor of a chip in this state, as it learns from some samples.

    Weights are those of the state; the rest is what crosses the boundaries. The state stays as it
    is. Raises `Refusal` where images or labels are not the chip's.
    """
    trace = Trace.of(config)
    chip = FastChip(config, state.copy(), trace)
    chip.run(images, labels, np.zeros(len(images), np.int64), True)
    found = [
        _profile(f"{shape.name}.weights", shape.weight, state.weights[shape.name].reshape(-1), 0)
        for shape in config.layer_shapes
    ]
    for boundary in boundaries(config):
        if boundary.record in ("updates", "verdict"):
            continue
        record, code = trace.records[boundary.name], boundary.fields[-1].code
        if boundary.record == "events":
            code = config.pixel
        zeros = _places(config, boundary.stage, boundary.record) * len(images) - len(record.rows)
        found.append(_profile(boundary.name, code, record.rows[:, -1], zeros))
    return found


def _places(config: ChipConfig, stage: str, record: str) -> int:
    """Codes a sample at a boundary, those included that stay away because they are zero."""
    if record == "events":
        return config.height * config.width * config.channels
    if record == "features":
        return next(shape.features for shape in config.conv_shapes if shape.name == stage)
    names = [shape.name for shape in config.layer_shapes]
    number = names.index(stage)
    if record == "activations":
        return config.layer_shapes[number + 1].inputs
    return config.layer_shapes[number].outputs


def _profile(tensor: str, code: Format, codes: Codes, zeros: int) -> Profile:
    # The exponent that frexp tells of an integer is its bit length.
    lengths = np.frexp(np.abs(codes).astype(np.float64))[1]
    counts = np.bincount(lengths, minlength=code.bits + 1).astype(np.float64)
    counts[0] += zeros
    ends = np.count_nonzero(codes == code.high)
    if code.signed:
        ends += np.count_nonzero(codes == code.low)
    total = counts.sum()
    return Profile(tensor, code, (counts / total).tolist(), float(ends / total))

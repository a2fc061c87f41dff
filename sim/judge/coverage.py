"""What a verification met: the cases that a chip tells apart, and how often each came.

Nothing is asked of the simulation: all of it stands in what monitors and counters show anyway. A
case that never came is a hole; several runs together are one table.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from rich.table import Table

from model.arith import Codes
from model.contract.choices import Gate, Rule
from model.contract.config import ChipConfig
from model.contract.counters import counters
from model.contract.refusal import Refusal
from model.contract.shapes import LayerShape
from model.contract.stages import Boundary, Field, boundaries
from model.trace import Trace
from sim.judge.samples import Samples

Met = dict[str, int]
"""How often each case came, by what it is called."""

STALLS = ("without stalls", "with stalls")
#: Fields whose codes saturate; a feature's lowest is not sent.
SATURATING = {"value": ("features", "activations"), "score": ("scores",)} | {
    "modulation": ("modulation",),
    "weight": ("updates",),
}


def met(config: ChipConfig, samples: Samples, trace: Trace) -> Met:
    """The cases of some samples that crossed, by what monitors showed of them."""
    found: Met = {}
    for boundary in boundaries(config):
        rows = trace.records[boundary.name].rows
        column = 0
        for field in boundary.fields:
            codes = rows[:, column : column + field.lanes]
            column += field.lanes
            for case, code in _ends(config, boundary, field):
                found[f"{boundary.name} {case}"] = int(np.count_nonzero(codes == code))
    verdicts = trace.records["readout.verdict"].rows[:, 0] & 0xFF
    found |= _each("class", verdicts, config.readout.classes)
    if config.learning.rule is not Rule.NONE:
        learned = samples.learns
        found |= _each("learned label", samples.labels[learned], config.readout.classes)
        found |= _each("rate step", samples.rates[learned], config.rate_steps)
        found |= _gates(config, samples, trace)
    return found


def moved(config: ChipConfig, counted: Mapping[str, int], stalls: float) -> Met:
    """The cases of a whole run: each counter, back-pressure, the rule."""
    names = [counter.name for counter in counters(config)] if config.counters else []
    found = {f"{name} counts": counted.get(name, 0) for name in names}
    found |= {case: int(bool(stalls) == number) for number, case in enumerate(STALLS)}
    return found | {f"rule {config.rule_name}": 1}


def _ends(config: ChipConfig, boundary: Boundary, field: Field) -> Iterator[tuple[str, int]]:
    """The first and the last of an index, the ends where a code saturates."""
    size = _size(config, boundary, field)
    if size is not None:
        yield f"{field.name} first", 0
        yield f"{field.name} last", size - 1
    elif boundary.record in SATURATING.get(field.name, ()):
        if boundary.record != "features":
            yield f"{field.name} lowest", field.code.low
        yield f"{field.name} highest", field.code.high


def _size(config: ChipConfig, boundary: Boundary, field: Field) -> int | None:
    """How many values an index has; None for what is none."""
    if boundary.stage == "encode":
        sizes = {"x": config.width, "y": config.height, "channel": config.channels}
        return sizes.get(field.name)
    for shape in config.conv_shapes:
        if boundary.stage == shape.name:
            return config.windows * shape.features if field.name == "index" else None
    place = [layer.name for layer in config.layer_shapes].index(boundary.stage)
    layer = config.layer_shapes[place]
    if field.name == "index":
        return config.layer_shapes[place + 1].inputs
    return {"neuron": layer.outputs, "address": layer.inputs * layer.groups}.get(field.name)


def _each(name: str, codes: Codes, count: int) -> Met:
    """How often each of so many numbers came."""
    times = np.bincount(codes[(codes >= 0) & (codes < count)], minlength=count)
    return {f"{name} {code}": int(number) for code, number in enumerate(times)}


def _gates(config: ChipConfig, samples: Samples, trace: Trace) -> Met:
    """At thresholds and beside them, of learned samples: the gates' and the errors'."""
    found: Met = {}
    for shape, layer in zip(config.layer_shapes, config.hidden, strict=False):
        if shape.learns:
            sums = _learned(trace, f"{shape.name}.sums", 1, samples, shape)
            modulation = _learned(trace, f"{shape.name}.modulation", 0, samples, shape)
            if sums is not None and modulation is not None:
                found |= _gate(config, shape.name, layer.threshold, sums, modulation)
    scores = _learned(trace, "readout.scores", 0, samples, config.layer_shapes[-1])
    if scores is not None and config.learning.rule in (Rule.SDFA, Rule.DFA):
        classes = np.arange(config.readout.classes)
        targets = np.where(samples.labels[samples.learns][:, None] == classes, 255, 0)
        found |= _beside("readout error", np.abs(targets - scores), config.error_threshold)
    return found


def _learned(
    trace: Trace, name: str, column: int, samples: Samples, shape: LayerShape
) -> Codes | None:
    """One column of a boundary, (learned samples, neurons); None where rows are missing."""
    record = trace.records[name]
    of_all = name.endswith((".sums", ".scores"))
    count = len(samples) if of_all else int(samples.learns.sum())
    if len(record.rows) != count * shape.outputs:
        return None
    codes = record.rows[:, column].reshape(count, shape.outputs)
    return codes[samples.learns] if of_all else codes


def _gate(config: ChipConfig, layer: str, threshold: int, sums: Codes, modulation: Codes) -> Met:
    """The states of a layer's gates."""
    above, below, sent = sums >= threshold, sums <= -threshold, modulation != 0
    cases = {"open": sent, "above": above, "below": below}
    if config.learning.gate is Gate.ONE_SIDED:
        cases |= {"above, let through": above & sent, "below, let through": below & sent}
    found = {f"{layer} gate {case}": int(np.count_nonzero(hit)) for case, hit in cases.items()}
    found |= _beside(f"{layer} sum", sums, threshold)
    return found | _beside(f"{layer} sum", sums, -threshold)


def _beside(name: str, codes: Codes, threshold: int) -> Met:
    """How often codes lay at a threshold, and next to it on either side."""
    near = (threshold - 1, threshold, threshold + 1)
    return {f"{name} at {code}": int(np.count_nonzero(codes == code)) for code in near}


# -- tables --------------------------------------------------------------------------------------


def holes(found: Mapping[str, int]) -> list[str]:
    """The cases that never came."""
    return [case for case, times in found.items() if not times]


def sentence(found: Mapping[str, int]) -> str:
    """How many cases came, and which did not."""
    missing = holes(found)
    line = f"met: {len(found) - len(missing)} of {len(found)} cases"
    return f"{line}; not met: {', '.join(missing)}" if missing else line


def merged(files: Sequence[Path]) -> dict[str, Met]:
    """What several runs of `verify --json` met together, by the chip's name.

    Raises `Refusal` where a file is none of them.
    """
    found: dict[str, Counter[str]] = {}
    for path in files:
        try:
            told = json.loads(path.read_text())
            chip, cases = str(told["preset"]), {str(k): int(n) for k, n in told["met"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refusal(
                f"{path} is not what `verify --json` writes ({error}); verify again"
            ) from error
        found.setdefault(chip, Counter()).update(cases)
    return {chip: dict(cases) for chip, cases in found.items()}


def table(chip: str, found: Mapping[str, int]) -> Table:
    """Every case of a chip and how often it came, holes first."""
    shown = Table("case", "times", title=chip)
    for case, times in sorted(found.items(), key=lambda item: item[1] > 0):
        shown.add_row(case, f"{times:,}" if times else "[red]never")
    return shown

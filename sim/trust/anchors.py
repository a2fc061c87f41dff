"""What the model makes of an anchor's given numbers, by the anchor's kind.

Each function takes `given` of a case in `golden/anchors/` and returns what the model computes for
it, under the names that `expected` uses.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from model import arith, conv, encode, hidden, learn, readout
from model.chip import PlainChip
from model.contract import noise
from model.contract.config import ChipConfig
from model.contract.counters import of_stage
from model.contract.formats import Format
from model.contract.presets import preset
from model.contract.reading import from_dict
from model.lfsr import Lfsr, neuron_masks
from model.network import totals
from model.sensor.image import sample_words
from model.state import State
from model.trace import Trace

Case = dict[str, Any]


def number(text: str) -> int:
    """The number that "0x..." stands for."""
    return int(text, 16)


def _numbers(texts: list[str]) -> list[int]:
    return [number(text) for text in texts]


def _range(given: Case) -> arith.Codes:
    return np.arange(given["first"], given["last"] + 1)


def _saturate(given: Case) -> Case:
    to = Format(given["bits"], signed=given["signed"], symmetric=given["symmetric"])
    codes = _range(given)
    return {"codes": arith.saturate(codes, to), "clipped": arith.clipped(codes, to)}


def _shift_floor(given: Case) -> Case:
    return {"codes": arith.shift_floor(_range(given), given["shift"])}


def _shift_stochastic(given: Case) -> Case:
    return {"codes": arith.shift_stochastic(_range(given), given["shift"], given["random"])}


def _lfsr(given: Case) -> Case:
    """The states that follow the first; `within` so many steps, after how many it comes back."""
    source = Lfsr(given["bits"], number(given["state"]))
    states = []
    for _ in range(max(given["steps"], given.get("within", 0))):
        source.step()
        states.append(source.state)
    first = number(given["state"])
    period = states.index(first) + 1 if first in states else None
    return {"states": states[: given["steps"]], "period": period}


def _masks(given: Case) -> Case:
    masks = neuron_masks(given["neurons"], given["bits"])
    return {"masks": masks, "basis": noise.mask_basis(given["bits"])}


def _chip(**choices: Any) -> ChipConfig:
    """A chip of one pixel and one neuron, save for what is chosen."""
    least: Case = {
        "name": "anchor",
        "height": 1,
        "width": 1,
        "hidden": [{"neurons": 1, "shift": 0, "rate_shift": 1, "threshold": 1}],
        "readout": {"classes": 10, "shift": 0, "rate_shift": 1},
    }
    return from_dict(least | choices)


def _of_stage(chip: ChipConfig, stage: str, counts: Counter[str]) -> dict[str, int]:
    """All counters of a stage, those that did not move too."""
    return {counter.event: counts[counter.event] for counter in of_stage(chip, stage)}


def _encode(given: Case) -> Case:
    image = np.array(given["image"], dtype=np.uint8)
    height, width, channels = image.shape
    chip = _chip(height=height, width=width, channels=channels, pixel_bits=given["pixel_bits"])
    mark = given["label"], given["learn"], given["rate"]
    return {"words": sample_words(chip, image, *mark)}


def _guard(given: Case) -> Case:
    convs = [{"kernels": 1, "size": 1}] if given.get("convolution", True) else []
    chip = _chip(height=2, width=3, pixel_bits=4, conv=convs)
    admitted = encode.admit(chip, _numbers(given["words"]))
    return {
        "events": admitted.events,
        "dropped": admitted.dropped,
        "learn": admitted.mark.learn,
        "refused": admitted.refused,
        "faulty": admitted.faulty,
    }


def _convolve(given: Case) -> Case:
    chip = from_dict(given["chip"])
    counts: Counter[str] = Counter()
    inputs = chip.conv[0], chip.conv_shapes[0], np.array(given["kernels"]), given["events"]
    features = conv.convolve(*inputs, counts)
    return {
        "potentials": conv.accumulate(*inputs, Counter()),
        "features": features,
        "counts": _of_stage(chip, "conv1", counts),
    }


def _activate(given: Case) -> Case:
    layer = {"shift": given["shift"], "activation": given["activation"]}
    chip = _chip(hidden=[{"neurons": 1, "rate_shift": 1, "threshold": 1} | layer])
    counts: Counter[str] = Counter()
    sums = np.array(given["sums"])
    activations = hidden.activate(chip.hidden[0], chip.activation(0), sums, counts)
    return {
        "activations": activations,
        "items": hidden.items(activations, chip.bias_code),
        "saturations": counts["activation_saturations"],
    }


def _modulate(given: Case) -> Case:
    choices = ("gate", "error_shift", "error_threshold")
    chip = _chip(
        hidden=[{"neurons": 1, "shift": 0, "rate_shift": 1, "threshold": given["threshold"]}],
        learning={name: given[name] for name in choices if name in given},
    ).with_rule(given["rule"])
    arrays = (np.array(given[name]) for name in ("projection", "error", "sums", "random"))
    projection, error, sums, random = arrays
    modulation = hidden.modulate(
        chip, chip.hidden[0], projection, given["label"], error, sums, random
    )
    return {"modulation": modulation}


def _score(given: Case) -> Case:
    chip = _chip(readout={"classes": 10, "shift": given["shift"], "rate_shift": 1})
    counts: Counter[str] = Counter()
    scores = readout.score(chip.readout, np.array(given["sums"]), counts)
    return {"scores": scores, "saturations": counts["score_saturations"]}


def _readout(given: Case) -> Case:
    scores = _score(given)["scores"]
    error = readout.error(scores, given["label"])
    return {"scores": scores, "class": readout.classify(np.array(given["sums"])), "error": error}


def _update(given: Case) -> Case:
    weights, modulation = np.array(given["weights"]), np.array(given["modulation"])
    inputs, neurons = weights.shape
    chip = _chip(
        width=inputs,
        lanes=given["lanes"],
        # The layer is as wide as its lanes ask; neurons beyond the given ones stand still.
        hidden=[
            {
                "neurons": -(-neurons // given["lanes"]) * given["lanes"],
                "shift": 0,
                "rate_shift": given["rate_shift"],
                "threshold": 1,
            }
        ],
    )
    shape = chip.layer_shapes[0]
    wide = np.zeros((inputs, shape.outputs), dtype=np.int64)
    wide[:, :neurons] = weights
    pushed = np.zeros(shape.outputs, dtype=np.int64)
    pushed[:neurons] = modulation
    counts: Counter[str] = Counter()
    source = Lfsr(16, number(given["state"]))
    masks = neuron_masks(shape.outputs, 16)
    items = np.array(given["items"])
    writes = learn.update(shape, wide, items, pushed, given["rate"], source, masks, counts)
    return {
        "writes": [[address, *word] for address, word in writes],
        "weights": wide[:, :neurons],
        "state": source.state,
        "counts": _of_stage(chip, "hidden1", counts),
    }


def _sample(given: Case) -> Case:
    chip = from_dict(given["chip"])
    state = State(
        {name: np.array(bank) for name, bank in given["banks"].items()},
        {name: number(start) for name, start in given["lfsrs"].items()},
    )
    plain = PlainChip(chip, state, Trace.of(chip))
    plain.take(_numbers(given["words"]))
    assert plain.trace is not None
    return {
        "records": {name: record[0] for name, record in plain.trace.records.items()},
        "banks": state.banks,
        "lfsrs": state.lfsrs,
        "counters": totals(chip, plain.counts),
    }


def _topology(given: Case) -> Case:
    chip = preset(given["preset"])
    layers = [[shape.inputs, shape.outputs] for shape in chip.layer_shapes]
    return {
        "features": [shape.features for shape in chip.conv_shapes],
        "layers": layers,
        "weights": sum(inputs * outputs for inputs, outputs in layers),
    }


KINDS: dict[str, Callable[[Case], Case]] = {
    "saturate": _saturate,
    "shift_floor": _shift_floor,
    "shift_stochastic": _shift_stochastic,
    "lfsr": _lfsr,
    "masks": _masks,
    "encode": _encode,
    "guard": _guard,
    "convolve": _convolve,
    "activate": _activate,
    "modulate": _modulate,
    "score": _score,
    "readout": _readout,
    "update": _update,
    "sample": _sample,
    "topology": _topology,
}

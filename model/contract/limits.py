"""What a chip may be: the range of every choice, and which choices fit together.

Mistakes are sentences, and all of a kind are told at once: ranges first, as what follows from the
choices has no meaning beyond them, then shapes, then what depends on shapes.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from model.contract import noise, verilog_words
from model.contract.choices import Coding, Rule
from model.contract.fields import FIELDS
from model.contract.refusal import shown

if TYPE_CHECKING:
    from model.contract.config import ChipConfig

MOST_CODES = 1 << 26
"""Of all banks of a chip, and of a map before pooling: half a gigabyte in the model."""

SIZES = ("height", "width", "channels", "pixel_bits", "windows", "weight_bits", "lanes")
OTHERS_BOUND = ("conv.padding", "hidden.spread", "learning.density")
"""Fields whose upper end other choices set."""


def mistakes(config: "ChipConfig") -> list[str]:
    """What is wrong with a chip, in sentences; nothing where it can be."""
    for check in (_ranges, _stages, _sizes, _learning):
        found = list(check(config))
        if found:
            return found
    return []


def out_of_range(place: str, field: str, value: int) -> Iterator[str]:
    """The sentence about an integer beyond the range of its field ("conv.size"), or none."""
    explained = FIELDS[field]
    if explained.low is not None and explained.high is not None and field not in OTHERS_BOUND:
        yield from _outside(place, value, explained.low, explained.high)


def _outside(place: str, value: int, low: int, high: int) -> Iterator[str]:
    if not low <= value <= high:
        yield f"{place} must be {low} to {high}, not {shown(value)}"


def _parts(config: "ChipConfig") -> Iterator[tuple[str, str, Any]]:
    """Name, kind and choices of every part of a chip."""
    for number, stage in enumerate(config.conv, 1):
        yield f"conv{number}", "conv", stage
    for number, layer in enumerate(config.hidden, 1):
        yield f"hidden{number}", "hidden", layer
    yield "readout", "readout", config.readout
    yield "learning", "learning", config.learning


def _ranges(config: "ChipConfig") -> Iterator[str]:
    module = config.name.replace("-", "_")
    if not (module.isidentifier() and module.isascii()):
        yield f"name must be letters, digits and dashes, not {shown(config.name)}"
    elif module in verilog_words.WORDS:
        yield f"name must be no word of Verilog, not {shown(config.name)}: it names the module"
    for name in SIZES:
        yield from out_of_range(name, name, getattr(config, name))
    if not 1 <= len(config.hidden) <= 2:
        yield f"hidden must be one or two layers, not {len(config.hidden)}"
    if len(config.conv) > 2:
        yield f"conv must be at most two stages, not {len(config.conv)}"
    for part, kind, choices in _parts(config):
        for name, value in vars(choices).items():
            if type(value) is int:
                yield from out_of_range(f"{part}.{name}", f"{kind}.{name}", value)
    yield from steps_out_of_range(config.learning.schedule)


def steps_out_of_range(schedule: tuple[int, ...]) -> Iterator[str]:
    """The sentence about the first step of a schedule that is beyond its range, or none."""
    for step in schedule:
        for sentence in out_of_range("learning.schedule's steps", "learning.schedule", step):
            yield sentence
            return


def _stages(config: "ChipConfig") -> Iterator[str]:
    if config.coding is Coding.COUNT and not config.conv:
        yield "coding count belongs to chips with a convolution: it is potentials that count"
    if config.windows > 1 and len(config.conv) != 1:
        yield f"windows must be 1 unless there is one convolution, not {config.windows}"
    for number, stage in enumerate(config.conv):
        where, shape = f"conv{number + 1}", config.conv_shapes[number]
        yield from _outside(f"{where}.padding", stage.padding, 0, stage.size - 1)
        if min(shape.map_height, shape.map_width) < 1:
            yield f"{where}.size {stage.size} does not fit its {shape.height} x {shape.width} input"
            return
        if shape.map_height % stage.pool or shape.map_width % stage.pool:
            yield (
                f"{where}.pool must divide its {shape.map_height} x {shape.map_width} map, "
                f"not {stage.pool}"
            )
            return
    for number, layer in enumerate(config.hidden):
        where, lanes = f"hidden{number + 1}", config.layer_shapes[number].lanes
        yield from _outside(f"{where}.spread", layer.spread, 0, config.weight.high)
        if layer.neurons % lanes:
            yield f"{where}.neurons must be a multiple of lanes ({lanes}), not {layer.neurons}"


def _sizes(config: "ChipConfig") -> Iterator[str]:
    codes = 0
    for stage, shape in zip(config.conv, config.conv_shapes, strict=True):
        codes += stage.kernels * shape.channels * stage.size**2
        potentials = shape.map_height * shape.map_width * shape.kernels
        if potentials > MOST_CODES:
            yield (
                f"{shape.name} would hold {potentials:,} potentials, more than {MOST_CODES:,}; "
                f"take fewer kernels or a smaller input"
            )
    for layer in config.layer_shapes:
        codes += layer.inputs * layer.outputs
    if codes > MOST_CODES:
        yield (
            f"the banks would hold {codes:,} codes, more than {MOST_CODES:,}; take fewer neurons, "
            f"fewer kernels or wider pooling"
        )


def _learning(config: "ChipConfig") -> Iterator[str]:
    learning = config.learning
    yield from _outside("learning.density", learning.density, 1, config.readout.classes)
    if learning.error_scaled and learning.rule is not Rule.DRTP:
        yield "learning.error_scaled belongs to the rule drtp alone"
    if learning.lfsr_bits not in noise.TAPS:
        widths = ", ".join(map(str, noise.TAPS))
        yield f"learning.lfsr_bits must be one of {widths}, not {learning.lfsr_bits}"
        return
    if not learning.schedule:
        yield "learning.schedule must name at least one step"
        return
    for shape in config.layer_shapes:
        greatest = shape.rate_shift + config.rate_steps - 1
        if shape.learns and greatest > learning.lfsr_bits:
            yield (
                f"{shape.name}.rate_shift reaches {greatest} with the schedule, more than the "
                f"{learning.lfsr_bits} bits of the LFSR: rounding would be biased"
            )

"""The chip's configuration: choose -> derive -> check.

Choices are fields; everything else is a property; each cross-constraint refuses at construction,
in one sentence.
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from model.contract import event, noise
from model.contract.choices import (
    RULES,
    SETTINGS,
    Activation,
    Conv,
    Hidden,
    Learning,
    Pooling,
    Readout,
    Rule,
    Settings,
)
from model.contract.formats import Format, signed_format
from model.contract.refusal import Refusal
from model.contract.shapes import ERROR, SCALED_MODULATION, TERNARY, ConvShape, LayerShape


@dataclass(frozen=True)
class ChipConfig:
    """All choices of a chip. Raises `Refusal` in one sentence where they do not fit together."""

    name: str
    height: int
    width: int
    hidden: tuple[Hidden, ...]
    readout: Readout
    channels: int = 1
    pixel_bits: int = 8
    conv: tuple[Conv, ...] = ()
    learning: Learning = field(default_factory=Learning)
    weight_bits: int = 8
    lanes: int = 16
    counters: bool = True  #: False leaves the counter bank out of the hardware
    #: by rule: what it chooses for itself where the chip learns by it; no part of what the chip is
    rules: dict[str, Settings] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        _check_ranges(self)
        _check_stages(self)
        _check_learning(self)

    # -- derived: formats ---------------------------------------------------------------------

    @property
    def pixel(self) -> Format:
        """Format of a pixel's code."""
        return Format(self.pixel_bits)

    @property
    def time_top(self) -> int:
        """Time at which nothing fires any more: that of a pixel of zero."""
        return self.pixel.high

    @property
    def event_limit(self) -> int | None:
        """Most events a sample where they go straight to a hidden layer, whose queue they fill."""
        return None if self.conv else self.height * self.width * self.channels

    @property
    def weight(self) -> Format:
        """Format of every learned weight."""
        return Format(self.weight_bits, signed=True, symmetric=True)

    def activation(self, layer: int) -> Format:
        """Format of the activations of hidden layer `layer` (from 0)."""
        if self.hidden[layer].activation is Activation.SIGN:
            return TERNARY
        return Format(8, signed=True, symmetric=True)

    @property
    def bias_code(self) -> int:
        """Code of the constant input that the readout's bias row multiplies."""
        return self.activation(-1).high

    @property
    def modulation(self) -> Format:
        """Format of the hidden layers' modulation under the rule."""
        if self.learning.rule is Rule.DRTP:
            return SCALED_MODULATION if self.learning.error_scaled else TERNARY
        if self.learning.rule in (Rule.SDFA, Rule.DFA):
            return Format(self.readout.classes.bit_length() + 1, signed=True, symmetric=True)
        return TERNARY

    @property
    def needs_error(self) -> bool:
        """Whether hidden layers wait for the readout's error before they learn."""
        rule = self.learning.rule
        scaled = rule is Rule.DRTP and self.learning.error_scaled
        return scaled or rule in (Rule.SDFA, Rule.DFA)

    @property
    def error_threshold(self) -> int:
        """Magnitude from which an error counts in the sdfa and dfa rules: sdfa takes any."""
        return 1 if self.learning.rule is Rule.SDFA else self.learning.error_threshold

    @property
    def hidden_learns(self) -> bool:
        """Whether hidden layers learn."""
        return self.learning.rule in (Rule.DRTP, Rule.SDFA, Rule.DFA)

    @property
    def rate_steps(self) -> int:
        """Number of rate steps the hardware knows: 0 up to the schedule's greatest."""
        return max(self.learning.schedule) + 1

    # -- derived: shapes ----------------------------------------------------------------------

    @cached_property
    def conv_shapes(self) -> tuple[ConvShape, ...]:
        """One shape a convolution stage, in order."""
        shapes: list[ConvShape] = []
        channels, height, width, value = self.channels, self.height, self.width, self.pixel
        for stage in self.conv:
            map_height = height + 2 * stage.padding - stage.size + 1
            map_width = width + 2 * stage.padding - stage.size + 1
            lanes = min(self.lanes, stage.kernels)
            kernel = Format(stage.kernel_bits, signed=True, symmetric=True)
            potential = signed_format(channels * stage.size**2 * value.high * kernel.high)
            cell = stage.pool**2 if stage.pooling is Pooling.AVERAGE else 1
            shape = ConvShape(
                name=f"conv{len(shapes) + 1}",
                channels=channels,
                kernels=stage.kernels,
                height=height,
                width=width,
                map_height=map_height,
                map_width=map_width,
                out_height=map_height // stage.pool,
                out_width=map_width // stage.pool,
                lanes=lanes,
                groups=-(-stage.kernels // lanes),
                value=value,
                kernel=kernel,
                potential=potential,
                total=Format((stage.kernels * potential.high).bit_length()),
                pooled=Format((cell * potential.high).bit_length()),
                feature=Format(stage.feature_bits),
            )
            shapes.append(shape)
            channels, height, width = stage.kernels, shape.out_height, shape.out_width
            value = shape.feature
        return tuple(shapes)

    @cached_property
    def layer_shapes(self) -> tuple[LayerShape, ...]:
        """One shape a fully-connected layer: the hidden layers in order, then the readout."""
        shapes: list[LayerShape] = []
        if self.conv:
            inputs, value = self.conv_shapes[-1].features, self.conv_shapes[-1].feature
        else:
            inputs, value = self.height * self.width * self.channels, self.pixel
        sizes = [layer.neurons for layer in self.hidden] + [self.readout.classes]
        rates = [layer.rate_shift for layer in self.hidden] + [self.readout.rate_shift]
        for number, (outputs, rate_shift) in enumerate(zip(sizes, rates, strict=True)):
            last = number == len(self.hidden)
            lanes = min(self.lanes, outputs)
            rows = inputs + last
            shapes.append(
                LayerShape(
                    name="readout" if last else f"hidden{number + 1}",
                    inputs=rows,
                    outputs=outputs,
                    lanes=lanes,
                    groups=-(-outputs // lanes),
                    value=value,
                    weight=self.weight,
                    sum=signed_format(rows * max(value.high, -value.low) * self.weight.high),
                    modulation=ERROR if last else self.modulation,
                    learns=self.learning.rule is not Rule.NONE and (last or self.hidden_learns),
                    saturating=number == 0 and not self.conv,
                    rate_shift=rate_shift,
                )
            )
            if not last:
                inputs, value = outputs, self.activation(number)
        return tuple(shapes)

    # -- identity -----------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """The choices as plain values, in the form of a TOML file."""
        return json.loads(json.dumps(dataclasses.asdict(self, dict_factory=_choices_made)))

    @property
    def sha256(self) -> str:
        """Hash of all choices: equal exactly where two chips are."""
        made = {name: value for name, value in self.to_dict().items() if name != "rules"}
        return hashlib.sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()

    # -- rules --------------------------------------------------------------------------------

    @property
    def rule_name(self) -> str:
        """The chip's rule, one of `RULES`."""
        return self.learning.rule + ("-scaled" if self.learning.error_scaled else "")

    @property
    def settings(self) -> Settings:
        """What the chip's own rule has chosen, in the form of `rules`."""
        parts: dict[str, Any] = {f"hidden{n}": layer for n, layer in enumerate(self.hidden, 1)}
        parts |= {"readout": self.readout, "learning": self.learning}
        return {
            part: {name: getattr(choices, name) for name in SETTINGS[part.rstrip("12")]}
            for part, choices in parts.items()
        }

    def has_settings(self, rule: str) -> bool:
        """Whether the rule would learn with choices of its own, or has nothing to choose."""
        return rule in ("none", self.rule_name, *self.rules)

    def with_rule(self, rule: str) -> "ChipConfig":
        """The same chip under another rule, with the rule's own settings where `rules` has them.

        The way back is open: the settings of the rule before are noted in `rules`. Raises `Refusal`
        where there is no such rule, or it has settings that do not fit the chip.
        """
        if rule not in RULES:
            raise Refusal(f"there is no rule {rule!r}; there are {', '.join(RULES)}")
        if rule == self.rule_name:
            return self
        mine = self.settings
        rules = {name: _completed(mine, settings) for name, settings in self.rules.items()}
        if self.rule_name != "none":
            rules[self.rule_name] = mine
        chosen = rules.get(rule, mine)
        scaled = rule == "drtp-scaled"
        named: dict[str, Any] = {
            "rule": Rule("drtp" if scaled else rule),
            "error_scaled": scaled,
        }
        return dataclasses.replace(
            self,
            hidden=tuple(
                dataclasses.replace(layer, **chosen[f"hidden{n}"])
                for n, layer in enumerate(self.hidden, 1)
            ),
            readout=dataclasses.replace(self.readout, **chosen["readout"]),
            learning=dataclasses.replace(self.learning, **chosen["learning"], **named),
            rules=rules,
        )


def _choices_made(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Those of a table's fields that are not left open: TOML has no word for none."""
    return {name: value for name, value in fields if value is not None and value != {}}


def _completed(settings: Settings, chosen: Settings) -> Settings:
    """All settings: those chosen, and the others for what is left open."""
    return {part: fields | chosen.get(part, {}) for part, fields in settings.items()}


# -- checking -----------------------------------------------------------------------------------


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise Refusal(f"{name} must be {low} to {high}, not {value}")


def _check_ranges(config: ChipConfig) -> None:
    if not config.name.replace("-", "_").isidentifier():
        raise Refusal(f"name must be letters, digits and dashes, not {config.name!r}")
    _within("height", config.height, 1, 1 << event.Y_BITS)
    _within("width", config.width, 1, 1 << event.X_BITS)
    _within("channels", config.channels, 1, 1 << event.CHANNEL_BITS)
    _within("pixel_bits", config.pixel_bits, 1, event.TIME_BITS)
    _within("weight_bits", config.weight_bits, 2, 16)
    _within("lanes", config.lanes, 1, 32)
    _within("readout.classes", config.readout.classes, 2, 1 << event.LABEL_BITS)
    _within("readout.shift", config.readout.shift, 0, 24)
    if not 1 <= len(config.hidden) <= 2:
        raise Refusal(f"hidden must be one or two layers, not {len(config.hidden)}")
    if len(config.conv) > 2:
        raise Refusal(f"conv must be at most two stages, not {len(config.conv)}")


def _check_stages(config: ChipConfig) -> None:
    for number, stage in enumerate(config.conv):
        where = f"conv{number + 1}"
        _within(f"{where}.kernels", stage.kernels, 1, 1024)
        _within(f"{where}.size", stage.size, 1, 15)
        _within(f"{where}.padding", stage.padding, 0, stage.size - 1)
        _within(f"{where}.pool", stage.pool, 1, 16)
        _within(f"{where}.shift", stage.shift, 0, 24)
        _within(f"{where}.kernel_bits", stage.kernel_bits, 2, 8)
        _within(f"{where}.feature_bits", stage.feature_bits, 1, 8)
        if stage.inhibition is not None:
            _within(f"{where}.inhibition", stage.inhibition, 1, 24)
        shape = config.conv_shapes[number]
        if min(shape.map_height, shape.map_width) < 1:
            raise Refusal(
                f"{where}.size {stage.size} does not fit its {shape.height} x {shape.width} input"
            )
        if shape.map_height % stage.pool or shape.map_width % stage.pool:
            raise Refusal(
                f"{where}.pool must divide its {shape.map_height} x {shape.map_width} map, "
                f"not {stage.pool}"
            )
    for number, layer in enumerate(config.hidden):
        where = f"hidden{number + 1}"
        _within(f"{where}.neurons", layer.neurons, 1, 1 << len(noise.MASK_BASIS))
        _within(f"{where}.shift", layer.shift, 0, 24)
        _within(f"{where}.spread", layer.spread, 0, config.weight.high)
        _within(f"{where}.threshold", layer.threshold, 1, 1 << 24)
        lanes = config.layer_shapes[number].lanes
        if layer.neurons % lanes:
            raise Refusal(
                f"{where}.neurons must be a multiple of lanes ({lanes}), not {layer.neurons}"
            )


def _check_learning(config: ChipConfig) -> None:
    learning, classes = config.learning, config.readout.classes
    _within("learning.density", learning.density, 1, classes)
    _within("learning.error_shift", learning.error_shift, 0, 8)
    _within("learning.error_threshold", learning.error_threshold, 1, ERROR.high)
    if learning.error_scaled and learning.rule is not Rule.DRTP:
        raise Refusal("learning.error_scaled belongs to the rule drtp alone")
    if learning.lfsr_bits not in noise.TAPS:
        widths = ", ".join(map(str, noise.TAPS))
        raise Refusal(f"learning.lfsr_bits must be one of {widths}, not {learning.lfsr_bits}")
    if not learning.schedule:
        raise Refusal("learning.schedule must name at least one step")
    for step in learning.schedule:
        _within("learning.schedule's steps", step, 0, (1 << event.RATE_BITS) - 1)
    for shape in config.layer_shapes:
        greatest = shape.rate_shift + config.rate_steps - 1
        _within(f"{shape.name}.rate_shift", shape.rate_shift, 1, 24)
        if shape.learns and greatest > learning.lfsr_bits:
            raise Refusal(
                f"{shape.name}.rate_shift reaches {greatest} with the schedule, more than the "
                f"{learning.lfsr_bits} bits of the LFSR: rounding would be biased"
            )

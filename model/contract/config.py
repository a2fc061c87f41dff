"""The chip's configuration: choose -> derive -> check.

Choices are fields; everything else is a property; what does not fit together is refused at
construction, all of it at once (`model.contract.limits`).
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from model.contract import event
from model.contract.choices import (
    BANKS,
    RULES,
    SETTINGS,
    Activation,
    Coding,
    Conv,
    Hidden,
    Learning,
    Pooling,
    Readout,
    Rule,
    Settings,
)
from model.contract.formats import Format, signed_format
from model.contract.limits import mistakes
from model.contract.refusal import Refusal, check_none, guess
from model.contract.shapes import ERROR, SCALED_MODULATION, TERNARY, ConvShape, LayerShape, steps


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
    coding: Coding = Coding.FIRST_SPIKE
    windows: int = 1  #: of a sample, each with potentials of its own and its own features
    conv: tuple[Conv, ...] = ()
    learning: Learning = field(default_factory=Learning)
    weight_bits: int = 8
    lanes: int = 16  #: of every stage that does not choose its own; results do not depend on it
    counters: bool = True  #: False leaves the counter bank out of the hardware
    #: by rule: what it chooses for itself where the chip learns by it; no part of what the chip is
    rules: dict[str, Settings] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        check_none(mistakes(self), f"the chip {self.name}")

    # -- derived: formats ---------------------------------------------------------------------

    @property
    def pixel(self) -> Format:
        """Format of a pixel's code."""
        return Format(self.pixel_bits)

    @property
    def event_value(self) -> Format:
        """Format of what an event is worth."""
        return self.pixel if self.coding is Coding.FIRST_SPIKE else Format(1)

    @property
    def time_top(self) -> int:
        """Time at which nothing fires any more: that of a pixel of zero; none for counted ones."""
        return self.pixel.high if self.coding is Coding.FIRST_SPIKE else 1 << event.TIME_BITS

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
        channels, height, width = self.channels, self.height, self.width
        value, most = self.event_value, self.pixel.high  # of one event; of all events of a pixel
        for stage in self.conv:
            map_height = height + 2 * stage.padding - stage.size + 1
            map_width = width + 2 * stage.padding - stage.size + 1
            lanes = min(stage.lanes or self.lanes, stage.kernels)
            pitch = map_width + (stage.size - map_width) % stage.places
            kernel = Format(stage.kernel_bits, signed=True, symmetric=True)
            potential = signed_format(channels * stage.size**2 * most * kernel.high)
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
                places=stage.places,
                pitch=pitch,
                window=steps(stage.size, pitch, stage.places),
                cell=steps(stage.pool, pitch, stage.places),
                value=value,
                kernel=kernel,
                potential=potential,
                total=Format((stage.kernels * potential.high).bit_length()),
                pooled=Format((cell * potential.high).bit_length()),
                feature=Format(stage.feature_bits),
                inhibits=stage.inhibition is not None,
            )
            shapes.append(shape)
            channels, height, width = stage.kernels, shape.out_height, shape.out_width
            value, most = shape.feature, shape.feature.high
        return tuple(shapes)

    @property
    def features(self) -> int:
        """Features of a sample, zero or not: those of all windows of the last convolution."""
        return self.windows * self.conv_shapes[-1].features

    @cached_property
    def layer_shapes(self) -> tuple[LayerShape, ...]:
        """One shape a fully-connected layer: the hidden layers in order, then the readout."""
        shapes: list[LayerShape] = []
        if self.conv:
            inputs, value = self.features, self.conv_shapes[-1].feature
        else:
            inputs, value = self.height * self.width * self.channels, self.pixel
        sizes = [layer.neurons for layer in self.hidden] + [self.readout.classes]
        chosen = [*(layer.lanes for layer in self.hidden), self.readout.lanes]
        rates = [layer.rate_shift for layer in self.hidden] + [self.readout.rate_shift]
        for number, (outputs, rate_shift) in enumerate(zip(sizes, rates, strict=True)):
            last = number == len(self.hidden)
            lanes = min(chosen[number] or self.lanes, outputs)
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
        """Hash of all choices: equal exactly where two chips are.

        A kernel file counts by its content, wherever it lies. Raises `Refusal` where it is missing.
        """
        made = {name: value for name, value in self.to_dict().items() if name != "rules"}
        for stage in made["conv"]:
            if stage["bank"] not in BANKS:
                stage["bank"] = _content(Path(stage["bank"]))
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
            raise Refusal(
                f"there is no rule {rule!r}; there are {', '.join(RULES)}{guess(rule, RULES)}"
            )
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


def _content(path: Path) -> str:
    """The sum of a kernel file's bytes."""
    try:
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    except OSError as error:
        raise Refusal(f"cannot read kernels from {path}: {error.strerror}") from error


def _choices_made(fields: list[tuple[str, Any]]) -> dict[str, Any]:
    """Those of a table's fields that are not left open: TOML has no word for none."""
    return {name: value for name, value in fields if value is not None and value != {}}


def _completed(settings: Settings, chosen: Settings) -> Settings:
    """All settings: those chosen, and the others for what is left open."""
    return {part: fields | chosen.get(part, {}) for part, fields in settings.items()}

"""Every counter of the chip: name, phase, unit, and the exact event that it counts.

Counters of kind `ACTIVITY` and `WORK` do not depend on when data arrives or on back-pressure: the
model's equal the hardware's exactly. Counters of kind `STALL` count cycles lost to a neighbour;
only hardware knows them.
"""

from dataclasses import dataclass
from enum import StrEnum

from model.contract.config import ChipConfig
from model.contract.shapes import ConvShape, LayerShape

COUNTER_BITS = 48


class Kind(StrEnum):
    """What a counter's value depends on."""

    ACTIVITY = "activity"
    WORK = "work"
    STALL = "stall"


class Phase(StrEnum):
    """What the chip does when the counter moves."""

    FORWARD = "forward"
    LEARN = "learn"


@dataclass(frozen=True)
class Counter:
    """One counter: `most` is the greatest step that it takes in one cycle."""

    stage: str
    event: str
    unit: str
    meaning: str
    phase: Phase = Phase.FORWARD
    kind: Kind = Kind.ACTIVITY
    most: int = 1

    @property
    def name(self) -> str:
        """Dotted name, "stage.event"."""
        return f"{self.stage}.{self.event}"


def counters(config: ChipConfig) -> tuple[Counter, ...]:
    """All counters of a chip, in the order of the register map."""
    found = list(_encode())
    for number, shape in enumerate(config.conv_shapes):
        found += _conv(shape, number == 0)
    for layer in config.layer_shapes:
        found += _layer(layer)
        if layer.learns:
            found += _learn(layer)
    found.append(
        Counter("chip", "cycles", "cycles", "clock cycles since the last clear", kind=Kind.STALL)
    )
    return tuple(found)


def of_stage(config: ChipConfig, stage: str) -> tuple[Counter, ...]:
    """The counters of one stage."""
    return tuple(counter for counter in counters(config) if counter.stage == stage)


def _encode() -> list[Counter]:
    stage = "encode"
    return [
        Counter(stage, "events", "events", "well-formed events taken in"),
        Counter(stage, "dropped_events", "events", "malformed events dropped"),
        Counter(stage, "samples", "samples", "marks taken in, but abort marks"),
        Counter(
            stage, "refused_marks", "samples", "marks to learn with a label or rate step unknown"
        ),
    ]


def _conv(shape: ConvShape, fed_by_events: bool) -> list[Counter]:
    stage, places = shape.name, shape.places
    found = [
        Counter(stage, "events", "events", "events convolved"),
        Counter(
            stage,
            "words",
            "words",
            "potential words read, added to and written, each with a tap of all its kernels",
            most=places,
        ),
        Counter(
            stage,
            "macs",
            "operations",
            "kernel taps multiplied and added",
            most=places * shape.lanes,
        ),
        Counter(stage, "pool_words", "words", "potential words pooled and cleared", most=places),
        Counter(stage, "features", "features", "non-zero features sent on"),
        Counter(stage, "feature_saturations", "features", "features clipped by their format"),
        Counter(stage, "forward_cycles", "cycles", "cycles at work, not held up", kind=Kind.WORK),
        Counter(
            stage, "stall_cycles", "cycles", "cycles held up by the next stage", kind=Kind.STALL
        ),
    ]
    if fed_by_events:
        saturations = Counter(
            stage,
            "potential_saturations",
            "potentials",
            "potentials clipped because events repeat a pixel",
            most=places * shape.lanes,
        )
        found.insert(3, saturations)
    return found


def _layer(layer: LayerShape) -> list[Counter]:
    stage, lanes = layer.name, layer.lanes
    readout = stage == "readout"
    found = [
        Counter(stage, "items", "items", "non-zero inputs taken in, a bias among them"),
        Counter(
            stage,
            "words",
            "words",
            "weight words read forward; as many words of sums read and written",
        ),
        Counter(stage, "macs", "operations", "weights multiplied and added", most=lanes),
        Counter(stage, "sums", "sums", "pre-activations read out and cleared"),
        Counter(
            stage,
            "score_saturations" if readout else "activation_saturations",
            "neurons",
            "outputs clipped by the activation function",
        ),
        Counter(
            stage,
            "forward_cycles",
            "cycles",
            "cycles at work on the forward pass, not held up",
            kind=Kind.WORK,
        ),
        Counter(
            stage, "stall_cycles", "cycles", "cycles held up by the next stage", kind=Kind.STALL
        ),
    ]
    if not readout:
        found.insert(
            4, Counter(stage, "activations", "activations", "items sent on, bias included")
        )
    if layer.saturating:
        found.insert(
            3,
            Counter(
                stage,
                "sum_saturations",
                "sums",
                "sums clipped because events repeat a pixel",
                most=lanes,
            ),
        )
    return found


def _learn(layer: LayerShape) -> list[Counter]:
    stage, lanes, learn = layer.name, layer.lanes, Phase.LEARN

    def counter(event: str, unit: str, meaning: str, most: int = 1) -> Counter:
        kind = Kind.WORK if event.endswith("cycles") else Kind.ACTIVITY
        return Counter(stage, event, unit, meaning, learn, kind, most)

    return [
        counter("modulated", "neurons", "neurons whose modulation is not zero"),
        counter("learn_items", "items", "items replayed; as many steps of the LFSR"),
        counter("learn_reads", "words", "weight words read to be updated"),
        counter("learn_writes", "words", "weight words written because a code changed"),
        counter("updates", "weights", "weights whose code changed", lanes),
        counter("weight_saturations", "weights", "updates clipped by the weight's format", lanes),
        counter("learn_cycles", "cycles", "cycles at work on learning"),
    ]

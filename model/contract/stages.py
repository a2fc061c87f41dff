"""The ordered stages of a chip and the record that each leaves at its boundary.

A record is what crosses a boundary for one sample: rows of integers, one column a field. The
hardware shows each boundary on a monitor port: bit 0 says that a beat crosses in this cycle,
bit 1 that the sample ends (such a beat carries no row), the fields follow from bit 2 upwards.
`first_difference` of two traces walks these stages in this order.
"""

from dataclasses import dataclass

from model.contract.config import ChipConfig
from model.contract.event import TIME_BITS
from model.contract.formats import Format
from model.contract.result import VERDICT_BITS
from model.contract.shapes import SCORE, LayerShape
from model.contract.storage import index_bits

MONITOR = "monitor_"  #: what the names of monitor ports begin with
HEAD_BITS = 2  #: the monitor's valid and end bits


@dataclass(frozen=True)
class Field:
    """One column of a record. `lanes` above 1: that many codes, one column each."""

    name: str
    code: Format
    lanes: int = 1


@dataclass(frozen=True)
class Boundary:
    """A stage's boundary: the record that crosses there, and the fields of a row."""

    stage: str
    record: str
    fields: tuple[Field, ...]

    @property
    def name(self) -> str:
        """Dotted name: "hidden1.sums"."""
        return f"{self.stage}.{self.record}"

    @property
    def port(self) -> str:
        """Name of the hardware's monitor port."""
        return f"{MONITOR}{self.stage}_{self.record}"

    @property
    def columns(self) -> tuple[str, ...]:
        """One name a column of the record."""
        return tuple(
            f"{field.name}{lane}" if field.lanes > 1 else field.name
            for field in self.fields
            for lane in range(field.lanes)
        )

    @property
    def port_bits(self) -> int:
        """Width of the monitor port."""
        return HEAD_BITS + sum(field.code.bits * field.lanes for field in self.fields)


def index_format(size: int) -> Format:
    """Unsigned format of an index below `size`."""
    return Format(index_bits(size))


def stage_names(config: ChipConfig) -> tuple[str, ...]:
    """Names of the stages, in the order of the data."""
    convs = (shape.name for shape in config.conv_shapes)
    return ("encode", *convs, *(shape.name for shape in config.layer_shapes))


def boundaries(config: ChipConfig) -> tuple[Boundary, ...]:
    """All boundaries of a chip, in the order in which a sample crosses them."""
    found = [
        Boundary(
            "encode",
            "events",
            (
                Field("x", index_format(config.width)),
                Field("y", index_format(config.height)),
                Field("channel", index_format(config.channels)),
                Field("value", Format(TIME_BITS)),
            ),
        )
    ]
    for conv in config.conv_shapes:
        # Windows go with a single convolution: others have one.
        size = config.windows * conv.features
        fields = (Field("index", index_format(size)), Field("value", conv.feature))
        found.append(Boundary(conv.name, "features", fields))
    for layer in config.layer_shapes:
        found.extend(_layer_boundaries(config, layer))
    return tuple(found)


def boundary(config: ChipConfig, name: str) -> Boundary:
    """The boundary of that name."""
    return next(boundary for boundary in boundaries(config) if boundary.name == name)


def _layer_boundaries(config: ChipConfig, layer: LayerShape) -> list[Boundary]:
    neuron = Field("neuron", index_format(layer.outputs))
    found = [Boundary(layer.name, "sums", (neuron, Field("sum", layer.sum)))]
    if layer.name == "readout":
        found.append(Boundary(layer.name, "scores", (Field("score", SCORE),)))
        found.append(Boundary(layer.name, "verdict", (Field("verdict", Format(VERDICT_BITS)),)))
    else:
        following = config.layer_shapes[config.layer_shapes.index(layer) + 1]
        item = (Field("index", index_format(following.inputs)), Field("value", following.value))
        found.append(Boundary(layer.name, "activations", item))
    if layer.learns:
        modulation = (Field("modulation", layer.modulation),)
        word = (
            Field("address", index_format(layer.inputs * layer.groups)),
            Field("weight", layer.weight, layer.lanes),
        )
        found.append(Boundary(layer.name, "modulation", modulation))
        found.append(Boundary(layer.name, "updates", word))
    return found

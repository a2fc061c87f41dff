"""A trained chip as C: `model.h` with its numbers, beside the `chip.c` that classifies by them."""

from collections.abc import Iterator
from pathlib import Path

from model.arith import Codes
from model.contract.choices import Activation, Coding, Pooling
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.state import State

SOURCES = ("chip.c", "chip.h")
COLUMNS = 20  #: codes a line


def files(config: ChipConfig, state: State) -> dict[str, str]:
    """File name -> text: compile `chip.c` with any C99 compiler, call `chip_classify`."""
    if config.coding is Coding.COUNT or config.windows > 1:
        raise Refusal(f"{config.name} takes recordings, which the C program does not read yet")
    found = {name: Path(__file__).with_name(name).read_text() for name in SOURCES}
    return {**found, "model.h": "\n".join(_model(config, state)) + "\n"}


def _model(config: ChipConfig, state: State) -> Iterator[str]:
    codes = [config.height * config.width * config.channels]
    codes += [shape.features for shape in config.conv_shapes]
    codes += [shape.outputs for shape in config.layer_shapes]
    yield f"/* {config.name}, configuration {config.sha256[:16]}, weights {_sum(state)}. */"
    for name, value in {
        "PIXELS": codes[0],
        "PIXEL_BITS": config.pixel_bits,
        "CLASSES": config.readout.classes,
        "CONVS": len(config.conv),
        "LAYERS": len(config.layer_shapes),
        "BIAS": config.bias_code,
        "MOST_CODES": max(codes),
        "MOST_OUTPUTS": max(shape.outputs for shape in config.layer_shapes),
        "MOST_KERNELS": max((stage.kernels for stage in config.conv), default=1),
    }.items():
        yield f"#define CHIP_{name} {value}"
    for shape in config.conv_shapes:
        kernels = state.banks[f"{shape.name}.kernels"]
        yield from _array("int8_t", f"{shape.name}_kernels", kernels)
    for layer in config.layer_shapes:
        yield from _array("int16_t", f"{layer.name}_weights", state.weights[layer.name])
    if config.conv:
        yield "static const chip_conv chip_convs[] = {"
        yield from (f"    {{{row}}}," for row in _convs(config))
        yield "};"
    yield "static const chip_layer chip_layers[] = {"
    yield from (f"    {{{row}}}," for row in _layers(config))
    yield "};"


def _convs(config: ChipConfig) -> Iterator[str]:
    for stage, shape in zip(config.conv, config.conv_shapes, strict=True):
        numbers = (
            *(shape.channels, shape.height, shape.width, shape.kernels, stage.size),
            *(stage.padding, stage.pool, int(stage.pooling is Pooling.AVERAGE)),
            -1 if stage.inhibition is None else stage.inhibition,
            *(stage.shift, shape.feature.high),
        )
        yield ", ".join(map(str, numbers)) + f", {shape.name}_kernels"


def _layers(config: ChipConfig) -> Iterator[str]:
    for layer, shape in zip(config.hidden, config.layer_shapes[:-1], strict=True):
        sign = int(layer.activation is Activation.SIGN)
        yield f"{shape.inputs}, {shape.outputs}, {layer.shift}, {sign}, {shape.name}_weights"
    last = config.layer_shapes[-1]
    yield f"{last.inputs - 1}, {last.outputs}, {config.readout.shift}, 0, {last.name}_weights"


def _array(kind: str, name: str, codes: Codes) -> Iterator[str]:
    flat = codes.reshape(-1).tolist()
    yield f"static const {kind} {name}[{len(flat)}] = {{"
    for start in range(0, len(flat), COLUMNS):
        yield "    " + ", ".join(map(str, flat[start : start + COLUMNS])) + ","
    yield "};"


def _sum(state: State) -> str:
    return state.weights_sha256[:16]

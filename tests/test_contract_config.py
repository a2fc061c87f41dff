"""Configurations: what fits is built, what does not is refused in one sentence."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model.contract.choices import Activation, Conv, Gate, Hidden, Learning, Pooling, Readout, Rule
from model.contract.config import ChipConfig
from model.contract.formats import Format
from model.contract.presets import PRESETS, preset
from model.contract.reading import from_dict, from_toml
from model.contract.refusal import Refusal


def chip(**choices: Any) -> ChipConfig:
    """A small chip, with some choices changed."""
    return dataclasses.replace(preset("tiny"), **choices)


def conv(**choices: Any) -> ChipConfig:
    """The small chip with choices of its convolution changed."""
    return chip(conv=(dataclasses.replace(preset("tiny").conv[0], **choices),))


def hidden(**choices: Any) -> ChipConfig:
    """The small chip with choices of its hidden layer changed."""
    return chip(hidden=(dataclasses.replace(preset("tiny").hidden[0], **choices),))


def readout(**choices: Any) -> ChipConfig:
    """The small chip with choices of its readout changed."""
    return chip(readout=dataclasses.replace(preset("tiny").readout, **choices))


def learning(**choices: Any) -> ChipConfig:
    """The small chip with choices of its learning changed."""
    return chip(learning=dataclasses.replace(preset("tiny").learning, **choices))


LAYER = preset("tiny").hidden[0]

REFUSED: list[tuple[Callable[..., ChipConfig], dict[str, Any], str]] = [
    (chip, {"name": "a b"}, "name must be letters, digits and dashes, not 'a b'"),
    (chip, {"name": ""}, "name must be letters, digits and dashes, not ''"),
    (chip, {"name": "wire"}, "name must be no word of Verilog, not 'wire': it names the module"),
    (chip, {"height": 0}, "height must be 1 to 1024, not 0"),
    (chip, {"width": 1025}, "width must be 1 to 1024, not 1025"),
    (chip, {"channels": 9}, "channels must be 1 to 8, not 9"),
    (chip, {"pixel_bits": 9}, "pixel_bits must be 1 to 8, not 9"),
    (chip, {"weight_bits": 1}, "weight_bits must be 2 to 16, not 1"),
    (chip, {"lanes": 33}, "lanes must be 1 to 32, not 33"),
    (chip, {"hidden": ()}, "hidden must be one or two layers, not 0"),
    (chip, {"hidden": (LAYER,) * 3}, "hidden must be one or two layers, not 3"),
    (chip, {"conv": (Conv(4, 1),) * 3}, "conv must be at most two stages, not 3"),
    (chip, {"height": 2}, "conv1.size 3 does not fit its 2 x 8 input"),
    (
        chip,
        {"conv": (Conv(4, 3, pool=3), Conv(4, 3))},
        "conv2.size 3 does not fit its 2 x 2 input",
    ),
    (conv, {"kernels": 0}, "conv1.kernels must be 1 to 1024, not 0"),
    (conv, {"size": 16}, "conv1.size must be 1 to 15, not 16"),
    (conv, {"padding": 3}, "conv1.padding must be 0 to 2, not 3"),
    (conv, {"pool": 17}, "conv1.pool must be 1 to 16, not 17"),
    (conv, {"pool": 4}, "conv1.pool must divide its 6 x 6 map, not 4"),
    (conv, {"shift": 25}, "conv1.shift must be 0 to 24, not 25"),
    (conv, {"kernel_bits": 1}, "conv1.kernel_bits must be 2 to 8, not 1"),
    (conv, {"feature_bits": 9}, "conv1.feature_bits must be 1 to 8, not 9"),
    (conv, {"inhibition": 0}, "conv1.inhibition must be 1 to 24, not 0"),
    (hidden, {"neurons": 4097}, "hidden1.neurons must be 1 to 4096, not 4097"),
    (hidden, {"neurons": 10}, "hidden1.neurons must be a multiple of lanes (4), not 10"),
    (hidden, {"shift": -1}, "hidden1.shift must be 0 to 24, not -1"),
    (hidden, {"spread": 128}, "hidden1.spread must be 0 to 127, not 128"),
    (hidden, {"threshold": 0}, "hidden1.threshold must be 1 to 16777216, not 0"),
    (hidden, {"rate_shift": 0}, "hidden1.rate_shift must be 1 to 24, not 0"),
    (
        hidden,
        {"rate_shift": 14},
        "hidden1.rate_shift reaches 17 with the schedule, more than the 16 bits of the LFSR: "
        "rounding would be biased",
    ),
    (readout, {"classes": 1}, "readout.classes must be 2 to 256, not 1"),
    (readout, {"shift": 25}, "readout.shift must be 0 to 24, not 25"),
    (readout, {"rate_shift": 25}, "readout.rate_shift must be 1 to 24, not 25"),
    (learning, {"density": 11}, "learning.density must be 1 to 10, not 11"),
    (learning, {"error_shift": 9}, "learning.error_shift must be 0 to 8, not 9"),
    (learning, {"error_threshold": 0}, "learning.error_threshold must be 1 to 255, not 0"),
    (
        learning,
        {"error_scaled": True, "rule": Rule.DFA},
        "learning.error_scaled belongs to the rule drtp alone",
    ),
    (learning, {"lfsr_bits": 17}, "learning.lfsr_bits must be one of 16, 24, 32, not 17"),
    (learning, {"schedule": ()}, "learning.schedule must name at least one step"),
    (learning, {"schedule": (8,)}, "learning.schedule's steps must be 0 to 7, not 8"),
]


@pytest.mark.parametrize(("build", "choices", "message"), REFUSED)
def test_what_does_not_fit_is_refused(
    build: Callable[..., ChipConfig], choices: dict[str, Any], message: str
) -> None:
    with pytest.raises(Refusal) as refusal:
        build(**choices)
    assert str(refusal.value) == message


def test_a_shift_past_the_lfsr_is_no_matter_where_nothing_learns() -> None:
    config = preset("tiny").with_rule("none")
    layers = (dataclasses.replace(config.hidden[0], rate_shift=20),)
    assert not any(
        shape.learns for shape in dataclasses.replace(config, hidden=layers).layer_shapes
    )


# -- plain values -------------------------------------------------------------------------------

TABLE = preset("tiny").to_dict()

MISREAD: list[tuple[dict[str, Any], str]] = [
    (
        TABLE | {"hight": 3},
        "the configuration has no field 'hight'; it has name, height, width, "
        "hidden, readout, channels, pixel_bits, coding, windows, conv, learning, weight_bits, "
        "lanes, counters, rules; did you mean 'height'?",
    ),
    (
        {"name": "a"},
        "the configuration has 4 mistakes:"
        "\n  - the configuration lacks the field 'height'"
        "\n  - the configuration lacks the field 'width'"
        "\n  - the configuration lacks the field 'hidden'"
        "\n  - the configuration lacks the field 'readout'",
    ),
    (
        TABLE | {"height": 0, "lanes": 64, "learning": {"rule": "drpt", "density": 1.5}},
        "the configuration has 4 mistakes:"
        "\n  - height must be 1 to 1024, not 0"
        "\n  - learning.rule must be one of none, shallow, drtp, sdfa, dfa, not 'drpt'; "
        "did you mean 'drtp'?"
        "\n  - learning.density must be int, not 1.5"
        "\n  - lanes must be 1 to 32, not 64",
    ),
    (TABLE | {"height": 10**4400}, "height must be 1 to 1024, not an integer of 14,617 bits"),
    (
        TABLE | {"learning": {"rule": ["drtp"]}},
        "learning.rule must be one of none, shallow, drtp, sdfa, dfa, not ['drtp']",
    ),
    (TABLE | {"height": "8"}, "height must be int, not '8'"),
    (TABLE | {"height": True}, "height must be int, not True"),
    (TABLE | {"counters": 1}, "counters must be bool, not 1"),
    (TABLE | {"name": 3}, "name must be str, not 3"),
    (TABLE | {"conv": {}}, "conv must be a list of tables, not {}"),
    (TABLE | {"conv": [3]}, "conv1 must be a table of fields, not 3"),
    (
        TABLE | {"hidden": [{"neurons": 8, "shift": 3, "threshold": 9}]},
        "hidden1 lacks the field 'rate_shift'",
    ),
    (TABLE | {"readout": 3}, "readout must be a table of fields, not 3"),
    (
        TABLE | {"readout": {"classes": 10, "shift": 1.0, "rate_shift": 3}},
        "readout.shift must be int, not 1.0",
    ),
    (
        TABLE | {"learning": {"rule": "hebb"}},
        "learning.rule must be one of none, shallow, drtp, sdfa, dfa, not 'hebb'",
    ),
    (
        TABLE | {"learning": {"gate": 1}},
        "learning.gate must be one of box, one_sided, not 1",
    ),
    (
        TABLE | {"learning": {"schedule": 1}},
        "learning.schedule must be a list of integers, not 1",
    ),
    (
        TABLE | {"learning": {"schedule": [0, 0.5]}},
        "learning.schedule must be a list of integers, not [0, 0.5]",
    ),
    (
        TABLE | {"conv": [{"kernels": 6, "size": 3, "pooling": "sum"}]},
        "conv1.pooling must be one of average, max, not 'sum'",
    ),
    (
        TABLE | {"conv": [{"kernels": 6, "size": 3, "inhibition": "2"}]},
        "conv1.inhibition must be int, not '2'",
    ),
]


@pytest.mark.parametrize(("data", "message"), MISREAD)
def test_values_of_another_form_are_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        from_dict(data)
    assert str(refusal.value) == message


@pytest.mark.parametrize("name", PRESETS)
def test_plain_values_make_the_same_chip(name: str) -> None:
    config = preset(name)
    assert from_dict(config.to_dict()) == config
    assert from_dict(config.to_dict()).sha256 == config.sha256


def test_a_choice_left_open_leaves_the_hash_as_it_was_before_there_was_one() -> None:
    config = preset("tiny")
    assert "inhibition" not in config.to_dict()["conv"][0]
    inhibited = from_dict(TABLE | {"conv": [{"kernels": 6, "size": 3, "inhibition": 2}]})
    assert inhibited.conv[0].inhibition == 2
    assert from_dict(inhibited.to_dict()) == inhibited


OWN = """
name = "mine"
height = 12
width = 12
channels = 2
lanes = 8
counters = false

[[conv]]
kernels = 8
size = 3
pool = 5
pooling = "max"

[[hidden]]
neurons = 16
shift = 3
rate_shift = 6
threshold = 512
activation = "sign"

[readout]
classes = 3
shift = 2
rate_shift = 7

[learning]
rule = "dfa"
gate = "box"
density = 3
schedule = [0, 2]
lfsr_bits = 24
"""


def test_a_toml_file_has_the_names_of_the_fields(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(OWN)
    assert from_toml(tmp_path / "mine.toml") == ChipConfig(
        name="mine",
        height=12,
        width=12,
        channels=2,
        lanes=8,
        counters=False,
        conv=(Conv(kernels=8, size=3, pool=5, pooling=Pooling.MAX),),
        hidden=(Hidden(16, 3, 6, 512, activation=Activation.SIGN),),
        readout=Readout(3, 2, 7),
        learning=Learning(rule=Rule.DFA, gate=Gate.BOX, density=3, schedule=(0, 2), lfsr_bits=24),
    )


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        from_toml(tmp_path / "none.toml")
    path = tmp_path / "none.toml"
    assert str(refusal.value) == (
        f"cannot read configuration {path}: No such file or directory; check the path"
    )


@pytest.mark.parametrize("content", [b"name = ", b"\xff\xfe", b"[[conv]\n"])
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(Refusal) as refusal:
        from_toml(path)
    assert str(refusal.value).startswith(f"configuration {path} is not TOML: ")
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"a = " + b"[" * 15000, "nests too deep; write its tables flat"),
        (b"a = " + b"[" * 100_000, "holds 100,004 bytes, more than 32,768; give a shorter one"),
        (b"height = " + b"9" * 5000, "is not TOML: Exceeds the limit (4300 digits)"),
        (b"height = 0x" + b"f" * 5000, "mistakes:"),
    ],
)
def test_a_toml_file_beyond_all_measure_is_refused(
    tmp_path: Path, content: bytes, fault: str
) -> None:
    path = tmp_path / "deep.toml"
    path.write_bytes(content)
    with pytest.raises(Refusal) as refusal:
        from_toml(path)
    assert str(refusal.value).startswith(f"configuration {path} ")
    assert fault in str(refusal.value)
    assert max(map(len, str(refusal.value).splitlines())) < 400


def test_mistakes_of_shape_are_told_together() -> None:
    with pytest.raises(Refusal) as refusal:
        chip(conv=(Conv(kernels=0, size=0), Conv(kernels=0, size=3)), lanes=0)
    assert str(refusal.value).startswith("the chip tiny has 4 mistakes:")


@pytest.mark.parametrize(
    ("choices", "fault"),
    [
        (
            {"conv": (), "height": 1024, "width": 1024, "channels": 8},
            "the banks would hold 134,217,898 codes, more than 67,108,864; ",
        ),
        (
            {"conv": (Conv(kernels=1024, size=1, pool=16),), "height": 512, "width": 512},
            "conv1 would hold 268,435,456 potentials, more than 67,108,864; ",
        ),
    ],
)
def test_a_chip_larger_than_memory_is_refused(choices: dict[str, Any], fault: str) -> None:
    with pytest.raises(Refusal, match=fault):
        chip(**choices)


# -- identity -----------------------------------------------------------------------------------


def test_the_hash_tells_chips_apart() -> None:
    chips = [preset(name) for name in PRESETS]
    chips += [conv(bank="random"), hidden(spread=9), readout(shift=7), learning(lfsr_bits=24)]
    chips += [chip(counters=False), chip(lanes=8)]
    assert len({config.sha256 for config in chips}) == len(chips)


def test_a_kernel_file_counts_by_its_content_alone(tmp_path: Path) -> None:
    for name, content in (("a.npy", b"one"), ("b.npy", b"one"), ("c.npy", b"two")):
        (tmp_path / name).write_bytes(content)
    a, b, c = (conv(bank=str(tmp_path / f"{name}.npy")).sha256 for name in "abc")
    assert a == b
    assert a != c
    config = conv(bank=str(tmp_path / "none.npy"))
    with pytest.raises(Refusal, match=r"cannot read kernels from .*none\.npy: No such file"):
        _ = config.sha256


# -- what is derived ----------------------------------------------------------------------------


def test_shapes_of_the_processor_at_full_size() -> None:
    config = preset("spoon")
    (stage,) = config.conv_shapes
    assert (stage.map_height, stage.map_width) == (24, 24)
    assert (stage.out_height, stage.out_width, stage.features) == (6, 6, 360)
    assert (stage.places, stage.pitch, len(stage.window), len(stage.cell)) == (2, 25, 13, 8)
    assert stage.potential == Format(21, signed=True)  # 25 * 255 * 127 = 809,625
    first, last = config.layer_shapes
    assert (first.inputs, first.outputs, first.lanes, first.groups) == (360, 128, 16, 8)
    assert first.sum == Format(25, signed=True)  # 360 * 255 * 127 = 11,658,600
    assert (last.inputs, last.outputs, last.lanes, last.groups) == (129, 10, 2, 5)
    assert last.modulation == Format(9, signed=True, symmetric=True)


def test_shapes_follow_through_two_convolutions_and_two_hidden_layers() -> None:
    config = preset("conv-cifar")
    first, second = config.conv_shapes
    assert (first.channels, first.kernels, first.out_height, first.features) == (3, 64, 16, 16384)
    assert (second.channels, second.kernels, second.out_height) == (64, 256, 8)
    assert second.value == first.feature
    assert [shape.inputs for shape in config.layer_shapes] == [16384, 1000, 1001]
    assert [shape.saturating for shape in config.layer_shapes] == [False, False, False]
    assert config.event_limit is None


def test_a_chip_without_convolution_guards_its_first_layer() -> None:
    config = preset("fc2-500")
    assert config.event_limit == 784
    assert [shape.saturating for shape in config.layer_shapes] == [True, False, False]


@pytest.mark.parametrize("name", PRESETS)
def test_every_sum_fits_its_format(name: str) -> None:
    config = preset(name)
    for stage, made in zip(config.conv, config.conv_shapes, strict=True):
        taps = made.channels * stage.size**2
        assert taps * made.value.high * made.kernel.high <= made.potential.high
    for shape in config.layer_shapes:
        assert shape.inputs * shape.value.high * shape.weight.high <= shape.sum.high


def test_a_modulation_fits_its_format_under_every_rule() -> None:
    config = preset("tiny")
    assert config.with_rule("drtp").modulation.span == range(-1, 2)
    assert config.with_rule("drtp-scaled").modulation.span == range(-15, 16)
    assert config.with_rule("dfa").modulation.high >= config.readout.classes
    assert config.with_rule("sdfa").modulation.high >= config.readout.classes


def test_a_rule_says_what_it_needs() -> None:
    learns = {
        rule: [shape.learns for shape in preset("tiny", rule).layer_shapes]
        for rule in ("none", "shallow", "drtp", "sdfa", "dfa")
    }
    assert learns["none"] == [False, False]
    assert learns["shallow"] == [False, True]
    assert learns["drtp"] == learns["sdfa"] == learns["dfa"] == [True, True]
    waits = [rule for rule in (*learns, "drtp-scaled") if preset("tiny", rule).needs_error]
    assert waits == ["sdfa", "dfa", "drtp-scaled"]


def test_sdfa_takes_every_error_and_dfa_only_loud_ones() -> None:
    config = learning(error_threshold=48)
    assert config.with_rule("sdfa").error_threshold == 1
    assert config.with_rule("dfa").error_threshold == 48

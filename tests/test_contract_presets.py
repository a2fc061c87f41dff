"""Presets: they are built, under every rule, and a command's options choose among them."""

from pathlib import Path

import pytest

from model.contract.choices import RULES, Activation, Gate
from model.contract.config import ChipConfig
from model.contract.draft import toml
from model.contract.presets import PRESETS, chosen, preset
from model.contract.reading import from_dict, from_toml
from model.contract.refusal import Refusal


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("rule", [None, *RULES])
def test_every_preset_is_built_under_every_rule(name: str, rule: str | None) -> None:
    config = preset(name, rule)
    assert config.name == name
    assert config.rule_name == (rule or "drtp")


def test_sizes_are_those_of_the_issue_and_the_paper() -> None:
    def sizes(name: str) -> tuple[int, ...]:
        config = preset(name)
        return (config.layer_shapes[0].inputs, *(shape.outputs for shape in config.layer_shapes))

    assert sizes("spoon") == sizes("spoon-lite") == sizes("spoon-canonical") == (360, 128, 10)
    assert sizes("fc1-500") == (784, 500, 10)
    assert sizes("fc1-1000") == (784, 1000, 10)
    assert sizes("fc2-500") == (784, 500, 500, 10)
    assert sizes("fc2-1000") == (784, 1000, 1000, 10)
    assert sizes("conv-mnist") == (14 * 14 * 32, 1000, 10)
    assert sizes("conv-cifar") == (8 * 8 * 256, 1000, 1000, 10)


def test_the_light_chip_multiplies_in_its_hidden_layer_alone() -> None:
    """Its kernels, hidden activations and the bias are +1, 0 or -1; its features are bytes."""
    config = preset("spoon-lite")
    assert config.conv_shapes[0].kernel.span == range(-1, 2)
    assert config.hidden[0].activation is Activation.SIGN
    assert config.layer_shapes[-1].value.span == range(-1, 2)
    assert config.bias_code == 1
    assert config.layer_shapes[0].value.bits == 8


def test_canonical_drtp_has_a_dense_projection_and_a_box_gate() -> None:
    learning = preset("spoon-canonical").learning
    assert (learning.gate, learning.density, learning.error_scaled) == (Gate.BOX, 10, False)


SET = [(name, rule) for name in PRESETS for rule in preset(name).rules]


@pytest.mark.parametrize(("name", "rule"), SET)
def test_settings_change_how_a_chip_learns_and_nothing_else(name: str, rule: str) -> None:
    base, config = preset(name), preset(name, rule)
    for part, fields in base.rules[rule].items():
        assert config.settings[part] == base.settings[part] | fields
    assert config.settings != base.settings
    assert config.conv == base.conv
    assert [shape.outputs for shape in config.layer_shapes] == [
        shape.outputs for shape in base.layer_shapes
    ]


@pytest.mark.parametrize(("name", "rule"), SET)
def test_the_way_back_from_a_rule_is_open(name: str, rule: str) -> None:
    base = preset(name)
    other = base.with_rule(rule)
    for way in (other.with_rule("drtp"), other.with_rule("none").with_rule("drtp")):
        assert way == base
        assert way.sha256 == base.sha256
    assert base.with_rule("none").with_rule(rule) == other
    for between in base.rules:
        assert base.with_rule(between).with_rule(rule) == other


def test_a_rule_without_settings_leaves_the_choices_alone() -> None:
    base = preset("fc1-500")
    assert base.with_rule("dfa").settings == base.settings
    assert preset("spoon", "drtp") == preset("spoon")
    assert not base.has_settings("dfa")
    assert base.has_settings("drtp") and base.has_settings("none")
    assert preset("spoon").has_settings("dfa")


def test_a_command_tells_of_a_rule_without_settings(capsys: pytest.CaptureFixture[str]) -> None:
    chosen("fc1-500", None, "dfa")
    assert capsys.readouterr().err == (
        "note: the chip fc1-500 has no settings for dfa, so it takes those of drtp; "
        "give each its own in [rules.dfa] and the like\n"
    )
    for rule in (None, "none", "drtp"):
        chosen("fc1-500", None, rule)
    chosen("spoon", None, "dfa")
    assert capsys.readouterr().err == ""


def refused(name: str | None, file: Path | None, rule: str | None) -> str:
    """Why a choice is refused."""
    with pytest.raises(Refusal) as refusal:
        chosen(name, file, rule)
    return str(refusal.value)


def test_unknown_names_are_refused() -> None:
    presets, rules = ", ".join(PRESETS), ", ".join(RULES)
    assert refused("spork", None, None) == (
        f"there is no preset 'spork'; there are {presets}; did you mean 'spoon'?"
    )
    assert refused("spoon", None, "hebb") == f"there is no rule 'hebb'; there are {rules}"


def test_two_chips_at_once_are_refused() -> None:
    message = "--preset and --config both name a chip; give one of them"
    assert refused("spoon", Path("mine.toml"), None) == message


OWN = """
name = "mine"
height = 4
width = 4
lanes = 4
hidden = [{neurons = 4, shift = 3, rate_shift = 6, threshold = 512}]
readout = {classes = 10, shift = 6, rate_shift = 9}
"""


def test_a_command_chooses_by_name_or_by_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN)

    def names(config: ChipConfig) -> tuple[str, str]:
        return config.name, config.rule_name

    assert names(chosen(None, None, None)) == ("digits", "drtp")
    assert names(chosen("spoon", None, "dfa")) == ("spoon", "dfa")
    assert names(chosen(None, path, None)) == ("mine", "drtp")
    assert names(chosen(None, path, "drtp-scaled")) == ("mine", "drtp-scaled")
    assert refused(None, path, "hebb").startswith("there is no rule 'hebb'")


RULES_OF_ITS_OWN = """
[rules.dfa]
hidden1.shift = 5
hidden1.threshold = 4096
readout.rate_shift = 8
learning.gate = "box"
learning.schedule = [0, 2]
"""


def test_a_rule_of_a_users_own_chip_keeps_its_settings(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN + RULES_OF_ITS_OWN)
    base, dfa = chosen(None, path, None), chosen(None, path, "dfa")
    assert (dfa.hidden[0].shift, dfa.hidden[0].threshold) == (5, 4096)
    assert (dfa.hidden[0].rate_shift, dfa.readout.shift) == (6, 6)
    assert (dfa.readout.rate_shift, dfa.learning.gate) == (8, Gate.BOX)
    assert dfa.learning.schedule == (0, 2)
    assert dfa.with_rule("drtp") == base
    # The same chip, whichever rules it has settings for.
    path.write_text(OWN)
    assert chosen(None, path, None).sha256 == base.sha256
    assert from_dict(base.to_dict()).rules == base.rules
    path.write_text(toml(base))
    assert from_toml(path).with_rule("dfa") == dfa
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[rules.hebb]", "rules has no rule 'hebb' with settings; it has shallow, drtp, "),
        ("rules = 1", "rules must be a table of fields, not 1"),
        ("[rules.dfa]\nhidden2.shift = 1", "rules.dfa has no part 'hidden2'; it has hidden1, "),
        ("[rules.dfa]\nhidden1.neurons = 8", "rules.dfa.hidden1 cannot set 'neurons'; it can "),
        ("[rules.dfa]\nhidden1.shift = true", "rules.dfa.hidden1.shift must be int, not True"),
        ("[rules.dfa]\nhidden1 = 3", "rules.dfa.hidden1 must be a table of fields, not 3"),
        (
            "[rules.dfa]\nhidden1.shift = 25",
            "rules.dfa.hidden1.shift must be 0 to 24, not 25",
        ),
        (
            "[rules.dfa]\nlearning.gate = 'open'",
            "rules.dfa.learning.gate must be one of box, one_sided, not 'open'",
        ),
    ],
)
def test_settings_that_no_chip_can_have_are_refused(
    text: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f"{text}\n{OWN}" if text.startswith("rules =") else f"{OWN}{text}\n")
    assert refused(None, path, None).startswith(message)

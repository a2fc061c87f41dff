"""Presets: they are built, under every rule, and a command's options choose among them."""

from pathlib import Path

import pytest

from model.contract.choices import Activation, Gate
from model.contract.config import ChipConfig
from model.contract.presets import PRESETS, RECIPES, RULES, chosen, preset, rule_name
from model.contract.refusal import Refusal


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("rule", [None, *RULES])
def test_every_preset_is_built_under_every_rule(name: str, rule: str | None) -> None:
    config = preset(name, rule)
    assert config.name == name
    assert rule_name(config) == (rule or "drtp")


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


@pytest.mark.parametrize(("name", "rule"), RECIPES)
def test_a_recipe_changes_how_a_chip_learns_and_nothing_else(name: str, rule: str) -> None:
    plain, recipe = preset(name).with_rule(rule), preset(name, rule)
    assert recipe != plain
    assert recipe.conv == plain.conv
    assert [shape.outputs for shape in recipe.layer_shapes] == [
        shape.outputs for shape in plain.layer_shapes
    ]
    assert (recipe.learning.gate, recipe.learning.density) == (Gate.BOX, 10)


def test_a_rule_without_a_recipe_leaves_the_choices_alone() -> None:
    assert preset("fc1-500", "dfa") == preset("fc1-500").with_rule("dfa")
    assert preset("spoon", "drtp") == preset("spoon")


def refused(name: str | None, file: Path | None, rule: str | None) -> str:
    """Why a choice is refused."""
    with pytest.raises(Refusal) as refusal:
        chosen(name, file, rule)
    return str(refusal.value)


def test_unknown_names_are_refused() -> None:
    presets, rules = ", ".join(PRESETS), ", ".join(RULES)
    assert refused("spork", None, None) == f"there is no preset 'spork'; there are {presets}"
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
        return config.name, rule_name(config)

    assert names(chosen(None, None, None)) == ("digits", "drtp")
    assert names(chosen("spoon", None, "dfa")) == ("spoon", "dfa")
    assert names(chosen(None, path, None)) == ("mine", "drtp")
    assert names(chosen(None, path, "drtp-scaled")) == ("mine", "drtp-scaled")
    assert refused(None, path, "hebb").startswith("there is no rule 'hebb'")

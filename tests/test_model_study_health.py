"""Health: shares by hand, and advice where a chip cannot learn, each from a chip that is so ill."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.data import load
from model.network import ChipModel
from model.study.health import Health, equal_samples, health

TINY = preset("tiny")
DIGITS = load("digits")
X, Y = DIGITS.x_train[:200], DIGITS.y_train[:200]


def trained(config: ChipConfig) -> Health:
    chip = ChipModel(config, epochs=1).fit(X, Y)
    return health(config, chip.state_, chip.counters_, X, Y)


def with_conv(**choices: Any) -> ChipConfig:
    return replace(TINY, conv=(replace(TINY.conv[0], **choices),))


def with_hidden(**choices: Any) -> ChipConfig:
    return replace(TINY, hidden=(replace(TINY.hidden[0], **choices),))


@pytest.mark.parametrize("name", ["tiny", "digits"])
def test_a_preset_is_well(name: str) -> None:
    found = trained(preset(name))
    assert found.advice == []
    assert list(found.shares) == [
        *("conv1 features not zero", "of them saturated", "hidden1 activations saturated"),
        *("hidden1 weights at the rim", "readout weights at the rim"),
    ]
    assert 0.3 < found.shares["conv1 features not zero"] < 0.9


@pytest.mark.parametrize(
    ("config", "advice"),
    [
        (with_conv(shift=24), "conv1 never has a feature, so the chip cannot learn"),
        (with_conv(shift=0), "of conv1's features are cut at their top: raise conv1.shift"),
        (with_hidden(shift=24, spread=0), "of hidden1's activations pass 1: lower hidden1"),
        (with_hidden(threshold=1, spread=10), None),
        (
            replace(TINY, readout=replace(TINY.readout, rate_shift=1)),
            "of readout's weights stand at an end of their format: raise readout.rate_shift",
        ),
    ],
)
def test_what_ails_a_chip_is_told(config: ChipConfig, advice: str | None) -> None:
    found = trained(config)
    if advice is None:
        assert not any("activations" in line for line in found.advice)
    else:
        assert any(advice in line for line in found.advice), found.advice


def test_a_layer_that_never_learned_is_told() -> None:
    chip = ChipModel(TINY, epochs=1).fit(X, Y)
    counters = chip.counters_ | {"hidden1.updates": 0, "readout.updates": 0}
    advice = health(TINY, chip.state_, counters, X, Y).advice
    assert advice == [
        "hidden1 never changed a weight: lower hidden1.rate_shift, or raise hidden1.threshold",
        "readout never changed a weight: lower readout.rate_shift",
    ]


def test_a_chip_that_does_not_learn_is_not_blamed() -> None:
    assert list(trained(TINY.with_rule("none")).shares)[-1] == "hidden1 activations saturated"


def test_equal_images_are_counted() -> None:
    images = np.arange(4 * 4, dtype=np.uint8).reshape(4, 2, 2, 1)
    other = images.copy()
    other[1] += 1
    assert equal_samples(images, other) == 3
    assert equal_samples(images, np.concatenate([other, other])) == 6
    assert equal_samples(images, other[1:2]) == 0

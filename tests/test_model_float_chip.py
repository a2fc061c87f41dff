"""The chip in real numbers: with all kept the chip itself, with nothing gradient descent."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.contract.choices import Activation, Conv, Gate, Hidden, Learning, Pooling, Readout
from model.contract.config import ChipConfig
from model.contract.formats import Rounding
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.data import load
from model.fast.engine import FastChip
from model.float_chip.chip import ALGORITHMS, CHIP, REAL, FloatChip, Kept, start
from model.network import plan
from model.paper.algorithm import signals
from model.paper.network import Network
from model.paper.settings import plan as settings

DIGITS = load("digits")
X, Y = DIGITS.x_train[:80], DIGITS.y_train[:80]
TINY = preset("tiny")

RIVALS = replace(TINY, conv=(replace(TINY.conv[0], inhibition=2, shift=4),))
SMALL = (
    TINY,
    RIVALS,
    preset("digits"),
    replace(TINY, learning=Learning(gate=Gate.BOX, lfsr_bits=24), pixel_bits=2),
    replace(TINY, hidden=(Hidden(16, 3, 6, 1 << 9, activation=Activation.SIGN),), weight_bits=5),
    replace(TINY, conv=(), hidden=(Hidden(16, 4, 7, 1 << 9), Hidden(32, 3, 9, 1 << 9))),
    replace(
        TINY,
        conv=(
            Conv(5, 3, padding=1, pool=2, pooling=Pooling.MAX, shift=4, bank="random"),
            Conv(4, 3, padding=1, pool=2, shift=9, bank="random", kernel_bits=2),
        ),
    ),
)


def learned(chip: Any) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Classes and scores of a chip of either kind that learns two epochs."""
    order, rates = plan(chip.config, len(X), 2, seed=5)
    classes, scores = chip.run_features(chip.features(X)[order], Y[order], rates, True)
    return classes, scores


@pytest.mark.parametrize("config", SMALL)
@pytest.mark.parametrize("rule", ALGORITHMS[1:])
def test_with_everything_kept_it_is_the_chip(config: ChipConfig, rule: str) -> None:
    chip, state = start(config, rule, seed=3)
    integer, real = FastChip(chip, state.copy()), FloatChip(chip, state.copy(), CHIP)
    for expected, got in zip(learned(integer), learned(real), strict=True):
        np.testing.assert_array_equal(got, expected)
    for name, weights in real.weights.items():
        np.testing.assert_array_equal(weights, integer.state.weights[name])
    np.testing.assert_array_equal(real.weights["hidden1"] % 1, 0)


def differs(config: ChipConfig, kept: Kept) -> bool:
    """Whether a chip learns other weights than one that keeps everything."""
    chip, state = start(config, "drtp-scaled", seed=3)
    chips = FloatChip(chip, state, CHIP), FloatChip(chip, state, kept)
    for other in chips:
        learned(other)
    return any((chips[0].weights[name] != w).any() for name, w in chips[1].weights.items())


@pytest.mark.parametrize(
    "kept",
    [
        Kept(pixels=False),
        Kept(features=False),
        Kept(activations=False),
        Kept(errors=False),
        Kept(weights=False),
        Kept(rounding=Rounding.NEAREST),
        Kept(shared_lfsr=False),
    ],
)
def test_every_approximation_matters(kept: Kept) -> None:
    assert differs(replace(TINY, pixel_bits=2), kept)
    assert not differs(TINY, CHIP)


def test_real_features_are_those_of_the_chip_before_they_are_cut() -> None:
    for config in SMALL:
        chip, state = start(config, "drtp", seed=3)
        if len(config.conv) != 1:
            continue
        inputs = config.layer_shapes[0].inputs
        codes = FloatChip(chip, state, CHIP).features(X).dense(inputs)
        real = FloatChip(chip, state, replace(CHIP, features=False)).features(X).dense(inputs)
        top = config.conv_shapes[0].feature.high
        if config is RIVALS:  # what a kernel loses is whole in the chip: less by a part of one
            assert (real <= codes + 1)[codes < top].all()
            assert (real > codes - 4 * 0.5**4)[codes < top].all()
        else:
            np.testing.assert_array_equal(np.minimum(np.floor(real), top), codes)
        assert (real != codes).any()


@pytest.mark.parametrize("config", [TINY, RIVALS])
def test_cut_pixels_without_cut_features_and_the_reverse_are_the_whole_cut(
    config: ChipConfig,
) -> None:
    chip, state = start(config, "drtp", seed=3)
    fine = X // 16 * 16  # pixels that 4 bits hold
    for kept in (replace(CHIP, pixels=False), CHIP):
        found = FloatChip(chip, state, kept).features(fine)
        np.testing.assert_array_equal(
            found.dense(54), FloatChip(chip, state, CHIP).features(X).dense(54)
        )


LINEAR = ChipConfig(
    name="linear",
    height=3,
    width=3,
    hidden=(Hidden(8, 8, 12, 1 << 24), Hidden(4, 6, 11, 1 << 24)),
    readout=Readout(classes=4, shift=6, rate_shift=10),
    learning=Learning(density=4),
    lanes=4,
)


@pytest.mark.parametrize("algorithm", ["bp", "dfa", "drtp"])
def test_where_no_neuron_saturates_it_learns_what_the_reference_says(algorithm: str) -> None:
    rng = np.random.default_rng(1)
    image, label = rng.integers(0, 256, (1, 3, 3, 1)).astype(np.uint8), 2
    config, state = start(LINEAR, algorithm, seed=4)
    state.banks["readout.weights"] = rng.integers(-10, 11, (5, 4))
    chip = FloatChip(config, state, REAL, back_propagates=algorithm == "bp")
    before = {name: weights.copy() for name, weights in chip.weights.items()}

    steps = [2.0**-8, 2.0**-6, 2.0**-6]
    chosen = settings(
        "mnist", "fc8-fc4", algorithm, activation="linear", output="linear", loss="mse",
        dtype="float64", rate=1.0,
    )  # fmt: skip
    network = Network(chosen, (9,), 4)
    for layer, step, weights in zip(network.layers, steps, before.values(), strict=True):
        layer.weights = weights[: layer.weights.shape[1]].T * step
        layer.bias = np.zeros(len(layer.weights))
    network.layers[-1].bias = 127 * before["readout"][-1] * steps[-1]
    if algorithm != "bp":
        for k, name in enumerate(("hidden1", "hidden2")):
            bank = state.banks[f"{name}.modulation"]
            # The sign of DRTP's B is a convention, and here it is the other one.
            network.feedback[k] = -bank if algorithm == "drtp" else bank.T
    activities = network.forward(image.reshape(1, 9).astype(np.float64))
    one_hot = np.eye(4)[[label]]
    # The chip's score is 128 more than the reference's output; drtp projects the bare label.
    told = one_hot if algorithm == "drtp" else 255 * one_hot - 128
    given = signals(algorithm, network, activities, told)

    chip.run_features(chip.features(image), [label], [0], True)
    inputs = [image.reshape(9), activities[0].y[0], np.append(activities[1].y[0], 127)]
    scale = {
        "bp": [-2 * step / steps[-1] for step in steps],
        "dfa": [-1 / 255, -1 / 255, -2.0],
        "drtp": [-1.0, -1.0],
    }[algorithm]
    for k, factor in enumerate(scale):
        name = list(before)[k]
        rate = 0.5 ** config.layer_shapes[k].rate_shift
        expected = rate * factor * np.outer(inputs[k], given.dz[k][0])
        np.testing.assert_allclose(chip.weights[name] - before[name], expected, atol=1e-9)
        assert np.abs(expected).max() > 1e-3


def test_calibrated_neurons_keep_a_derivative() -> None:
    config, state = start(preset("digits"), "bp", seed=0)
    chip = FloatChip(config, state, REAL, back_propagates=True)
    features = chip.features(X)
    chip.calibrate(features)
    sums = features.dense(config.layer_shapes[0].inputs) @ chip.weights["hidden1"]
    threshold = chip._layers.threshold[0]
    assert threshold == pytest.approx(2 * np.sqrt((sums**2).mean()))
    assert chip._layers.step[0] * threshold == pytest.approx(127)
    assert np.mean(np.abs(sums) < threshold) > 0.9


def test_an_unknown_algorithm_is_refused() -> None:
    with pytest.raises(Refusal) as refusal:
        start(TINY, "adam", seed=0)
    assert str(refusal.value) == (
        "there is no algorithm 'adam'; there are bp, shallow, drtp, drtp-scaled, sdfa, dfa"
    )


def test_back_propagation_has_no_integer_weights() -> None:
    config, state = start(TINY, "bp", seed=0)
    with pytest.raises(ValueError, match="its weights are real"):
        FloatChip(config, state, CHIP, back_propagates=True)

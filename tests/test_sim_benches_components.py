"""Benches of the chip's components, each under both simulators, with vectors from the model."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.arith import Words
from model.contract.choices import Activation, Conv, Gate, Hidden, Learning, Pooling, Readout
from model.contract.config import ChipConfig
from model.state import fresh
from rtl import conv, encode, hidden, queue, readout, synapses
from rtl.beat import item_beat
from sim import tools
from sim.benches import bench, vectors
from sim.benches.vectors import (
    Run,
    extreme,
    malformed_samples,
    random_samples,
    repeated_samples,
    run_model,
)

SIMULATORS = pytest.mark.parametrize("simulator", tools.DRIVEN)

# Small, so that a case takes few cycles: 15 inputs, three groups of four neurons, ten classes.
LAYER = ChipConfig(
    name="layer",
    height=3,
    width=5,
    lanes=4,
    hidden=(Hidden(neurons=12, shift=5, rate_shift=7, threshold=1 << 11),),
    readout=Readout(classes=10, shift=6, rate_shift=10),
)
# What that has not: sign activation, box gate, dense B, a wide LFSR, one group, no event limit.
OTHER = ChipConfig(
    name="other",
    height=4,
    width=4,
    pixel_bits=4,
    lanes=16,
    weight_bits=5,
    conv=(Conv(kernels=3, size=3, pool=2, shift=2, feature_bits=4),),
    hidden=(
        Hidden(6, shift=0, rate_shift=3, threshold=40, activation=Activation.SIGN),
        Hidden(5, shift=1, rate_shift=2, threshold=9),
    ),
    readout=Readout(classes=3, shift=0, rate_shift=8),
    learning=Learning(gate=Gate.BOX, density=3, lfsr_bits=24, schedule=(0, 2), error_shift=5),
)
# Two stages: padding and average, then ternary kernels, several channels and maximum.
CONVS = ChipConfig(
    name="convs",
    height=5,
    width=7,
    channels=2,
    pixel_bits=6,
    lanes=4,
    conv=(
        Conv(kernels=6, size=4, padding=1, pool=2, shift=7, bank="random"),
        Conv(kernels=4, size=2, padding=1, pooling=Pooling.MAX, shift=3, kernel_bits=2),
    ),
    hidden=(Hidden(4, shift=3, rate_shift=4, threshold=100),),
    readout=Readout(classes=2, shift=3, rate_shift=6),
    learning=Learning(density=2),
)


def runs(config: ChipConfig) -> dict[str, Run]:
    """A run on random samples, and one with every weight at an end of its format and all lit."""
    state = fresh(config, 0)
    for layer in config.layer_shapes:
        size = (layer.inputs, layer.outputs)
        span = layer.weight.high // 4
        state.banks[f"{layer.name}.weights"] = np.random.default_rng(1).integers(-span, span, size)
    random = run_model(config, state, random_samples(config, 6, seed=2))
    lit = random_samples(config, 4, seed=3, density=1.0)
    return {"random": random, "corners": run_model(config, extreme(config, state), lit)}


def check(
    simulator: str,
    component: Any,
    name: str,
    cases: dict[str, bench.Case],
    folder: Path,
) -> None:
    """Run the bench of a component; every case is replayed under every pair of pauses."""
    plain = {case: dataclasses.asdict(value) for case, value in cases.items()}
    results = bench.run(simulator, component, name, f"sim.benches.{name}", plain, folder)
    assert len(results.tests) == len(cases) * len(bench.CROSSED[1])


# encode


def full(config: ChipConfig) -> list[Words]:
    """A sample of twice as many events as the chip has pixels."""
    return repeated_samples(config, 2 * config.height * config.width)


@SIMULATORS
@pytest.mark.parametrize("config", [LAYER, CONVS], ids=lambda config: config.name)
def test_the_guard_admits_what_the_model_admits(
    config: ChipConfig, simulator: str, tmp_path: Path
) -> None:
    component = encode.Encode(config)
    state = fresh(config, 0)
    images = run_model(config, state, random_samples(config, 4, seed=5))
    bad = run_model(config, state, malformed_samples(config, 12, seed=4) + full(config))
    assert bad.total("encode")["dropped_events"]
    assert bad.total("encode")["refused_marks"]
    cases = {
        "images": vectors.encode(component, images),
        "malformed": vectors.encode(component, bad),
    }
    check(simulator, component, "encode", cases, tmp_path)


# conv


@SIMULATORS
@pytest.mark.parametrize("number", [0, 1])
def test_a_convolution_gives_the_features_of_the_model(
    number: int, simulator: str, tmp_path: Path
) -> None:
    component = conv.Conv(CONVS, number)
    state = fresh(CONVS, 0)
    random = run_model(CONVS, state, random_samples(CONVS, 4, seed=6, density=0.3))
    state.banks["conv1.kernels"][:] = np.where(np.arange(6)[:, None, None, None] % 2, -127, 127)
    state.banks["conv2.kernels"][:] = 1
    corners = run_model(CONVS, state, repeated_samples(CONVS, 60) * 2)
    if number == 0:
        assert corners.total("conv1")["potential_saturations"]
    assert corners.total(f"conv{number + 1}")["feature_saturations"]
    runs = {"random": random, "corners": corners}
    cases = {name: vectors.conv(component, run, number) for name, run in runs.items()}
    check(simulator, component, "conv", cases, tmp_path)


# Layers


def check_layer(
    simulator: str,
    component: Any,
    name: str,
    config: ChipConfig,
    cut: Callable[[Any, Run], bench.Case],
    folder: Path,
) -> dict[str, Run]:
    """Run a layer's bench on random samples and on corners; gives the runs of the model."""
    made = runs(config)
    check(simulator, component, name, {n: cut(component, run) for n, run in made.items()}, folder)
    return made


@SIMULATORS
@pytest.mark.parametrize("config", [LAYER, OTHER], ids=lambda config: config.name)
def test_weights_add_up_and_learn_as_in_the_model(
    config: ChipConfig, simulator: str, tmp_path: Path
) -> None:
    component = synapses.Synapses(config, config.layer_shapes[0])
    made = check_layer(
        simulator,
        component,
        "synapses",
        config,
        lambda component, run: vectors.synapses(component, run, 0),
        tmp_path,
    )
    assert all(run.total("hidden1")["learn_writes"] for run in made.values())
    assert made["corners"].total("hidden1")["weight_saturations"]


@SIMULATORS
def test_weights_that_do_not_learn_take_the_cycles_of_the_formula(
    simulator: str, tmp_path: Path
) -> None:
    config = OTHER.with_rule("none")
    check_layer(
        simulator,
        synapses.Synapses(config, config.layer_shapes[2]),
        "synapses",
        config,
        lambda component, run: vectors.synapses(component, run, 2),
        tmp_path,
    )


@SIMULATORS
@pytest.mark.parametrize(
    ("config", "rule", "number"),
    [(LAYER, "drtp", 0), (LAYER, "drtp-scaled", 0), (OTHER, "drtp", 0), (OTHER, "dfa", 1)],
    ids=lambda value: value.name if isinstance(value, ChipConfig) else str(value),
)
def test_a_hidden_layer_activates_and_learns_as_in_the_model(
    config: ChipConfig, rule: str, number: int, simulator: str, tmp_path: Path
) -> None:
    config = config.with_rule(rule)
    made = check_layer(
        simulator,
        hidden.Hidden(config, number),
        "hidden",
        config,
        lambda component, run: vectors.hidden(component, run, number),
        tmp_path,
    )
    assert made["random"].total(f"hidden{number + 1}")["updates"]


@SIMULATORS
@pytest.mark.parametrize(
    ("config", "rule"),
    [(LAYER, "drtp"), (OTHER, "dfa")],
    ids=lambda value: value.name if isinstance(value, ChipConfig) else str(value),
)
def test_the_readout_scores_and_learns_as_in_the_model(
    config: ChipConfig, rule: str, simulator: str, tmp_path: Path
) -> None:
    config = config.with_rule(rule)
    made = check_layer(
        simulator, readout.Readout(config), "readout", config, vectors.readout, tmp_path
    )
    assert made["corners"].total("readout")["score_saturations"]


# queue


@SIMULATORS
def test_the_queue_replays_samples_until_they_are_committed(simulator: str, tmp_path: Path) -> None:
    beat = item_beat(LAYER, 7, LAYER.pixel)
    component = queue.ReplayQueue(beat, 8)
    results = bench.run(simulator, component, "queue", "sim.benches.queue", {}, tmp_path)
    assert len(results.tests) == len(bench.CROSSED[1])

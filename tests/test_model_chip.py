"""The plain engine against a second, naive implementation written from the formulas alone.

The naive chip below shares no operator with the model: plain Python integers and loops, direct
correlation instead of events, no numpy. It is given the same first state and must end in the same.
"""

import dataclasses
from collections import Counter
from typing import Any
from unittest.mock import ANY

import numpy as np
import pytest

from model.chip import PlainChip
from model.contract.choices import RULES, Activation, Conv, Gate, Hidden, Pooling, Readout
from model.contract.config import ChipConfig
from model.contract.event import ABORT_AT
from model.contract.presets import preset
from model.sensor.image import sample_words
from model.state import State, fresh
from model.trace import Trace

TAPS = {16: 0xB400, 24: 0xE10000}
PI = "243F6A8885A308D313198A2E03707344A4093822299F31D0082EFA98EC4E6C89452821E638D01377"


class NaiveChip:
    """One sample after another, one multiplication after another."""

    def __init__(self, config: ChipConfig, state: State) -> None:
        self.config = config
        self.banks = {name: bank.tolist() for name, bank in state.banks.items()}
        self.lfsrs = dict(state.lfsrs)
        self.counts: Counter[str] = Counter()

    def take(self, image: np.ndarray, label: int, learn: bool, rate: int) -> list[int]:
        """One (H, W, C) image of 8-bit pixels; returns its scores."""
        config = self.config
        unit = 2 ** (8 - config.pixel_bits)
        maps: list[Any] = [[[int(p) // unit for p in at] for at in row] for row in image]
        for number, stage in enumerate(config.conv):
            maps = self._conv(stage, config.conv_shapes[number], f"conv{number + 1}", maps)
        inputs = [value for row in maps for at in row for value in at]
        layers: list[tuple[str, list[int], list[int]]] = []
        for number, layer in enumerate(config.hidden):
            name = f"hidden{number + 1}"
            sums = self._sums(name, inputs)
            layers.append((name, inputs, sums))
            if layer.activation is Activation.SIGN:
                inputs = [1 if z >= 0 else -1 for z in sums]
            else:
                inputs = [max(-127, min(127, z // 2**layer.shift)) for z in sums]
        one = 1 if config.hidden[-1].activation is Activation.SIGN else 127
        inputs = [*inputs, one]
        sums = self._sums("readout", inputs)
        scores = [max(0, min(255, z // 2**config.readout.shift + 128)) for z in sums]
        if learn and config.learning.rule != "none":
            error = [255 * (c == label) - score for c, score in enumerate(scores)]
            for number, (name, before, z) in enumerate(layers):
                if config.learning.rule != "shallow":
                    told = self._modulation(number, name, label, error, z)
                    self._update(name, before, told, config.hidden[number].rate_shift + rate)
            self._update("readout", inputs, error, config.readout.rate_shift + rate)
        return scores

    def _conv(self, stage: Conv, shape: Any, name: str, image: list[Any]) -> list[Any]:
        kernels, pad = self.banks[f"{name}.kernels"], stage.padding
        height, width = len(image), len(image[0])

        def potential(y: int, x: int, k: int) -> int:
            total = 0
            for r in range(stage.size):
                for s in range(stage.size):
                    if 0 <= y + r - pad < height and 0 <= x + s - pad < width:
                        for c, value in enumerate(image[y + r - pad][x + s - pad]):
                            total += value * kernels[k][c][r][s]
            return total

        top = 2**stage.feature_bits - 1
        features: list[list[list[int]]] = []
        for y in range(0, height + 2 * pad - stage.size + 1, stage.pool):
            features.append([])
            for x in range(0, width + 2 * pad - stage.size + 1, stage.pool):
                at = []
                for k in range(stage.kernels):
                    cell = []
                    for dy in range(stage.pool):
                        for dx in range(stage.pool):
                            whole = [
                                max(0, potential(y + dy, x + dx, n)) for n in range(stage.kernels)
                            ]
                            lost = sum(whole) // 2**stage.inhibition if stage.inhibition else 0
                            cell.append(max(0, whole[k] - lost))
                    pooled = max(cell) if stage.pooling is Pooling.MAX else sum(cell)
                    at.append(min(top, pooled // 2**stage.shift))
                features[-1].append(at)
        return features

    def _sums(self, name: str, inputs: list[int]) -> list[int]:
        weights = self.banks[f"{name}.weights"]
        return [
            sum(value * row[j] for value, row in zip(inputs, weights, strict=True))
            for j in range(len(weights[0]))
        ]

    def _modulation(
        self, number: int, name: str, label: int, error: list[int], z: list[int]
    ) -> list[int]:
        learning, threshold = self.config.learning, self.config.hidden[number].threshold
        b = self.banks[f"{name}.modulation"]
        told = []
        for j, sum_ in enumerate(z):
            if learning.rule == "drtp":
                d = b[label][j]
                if learning.error_scaled:
                    random = self._random(name, j) % 2**learning.error_shift
                    d = (d * error[label] + random) // 2**learning.error_shift
                    d = max(-15, min(15, d))
            else:
                least = 1 if learning.rule == "sdfa" else learning.error_threshold
                signs = [(e >= least) - (e <= -least) for e in error]
                d = sum(b_jc * sign for b_jc, sign in zip(b[j], signs, strict=True))
            driven = sum_ if learning.gate is Gate.ONE_SIDED and d > 0 else -sum_
            stop = driven >= threshold
            if learning.gate is Gate.BOX:
                stop = abs(sum_) >= threshold
            told.append(0 if stop or d == 0 else d)
        if learning.error_scaled:
            self._step(name)
        return told

    def _update(self, name: str, inputs: list[int], told: list[int], shift: int) -> None:
        weights, top = self.banks[f"{name}.weights"], 2 ** (self.config.weight_bits - 1) - 1
        self.counts[f"{name}.modulated"] += sum(d != 0 for d in told)
        if not any(told):
            return
        items = [item for item in zip(inputs, weights, strict=True) if item[0] != 0]
        if name == "hidden1" and not self.config.conv:
            items.sort(key=lambda item: -item[0])  # events: the brightest pixel comes first
        for value, row in items:
            self.counts[f"{name}.learn_items"] += 1
            for j, d in enumerate(told):
                if d == 0:
                    continue
                change = (value * d + self._random(name, j) % 2**shift) // 2**shift
                after = max(-top, min(top, row[j] + change))
                self.counts[f"{name}.updates"] += after != row[j]
                self.counts[f"{name}.weight_saturations"] += after != row[j] + change
                row[j] = after
            self._step(name)

    def _random(self, name: str, j: int) -> int:
        bits, mask = self.config.learning.lfsr_bits, 0
        for bit in range(10):
            if j >> bit & 1:
                mask ^= int(PI[8 * bit : 8 * bit + 8], 16) % 2**bits
        return self.lfsrs[name] ^ mask

    def _step(self, name: str) -> None:
        state = self.lfsrs[name]
        self.lfsrs[name] = state // 2 ^ (TAPS[self.config.learning.lfsr_bits] * (state % 2))


def rule_of(config: ChipConfig, rule: str, **learning: Any) -> ChipConfig:
    """The chip under a rule, some choices of its learning changed."""
    config = config.with_rule(rule)
    return dataclasses.replace(config, learning=dataclasses.replace(config.learning, **learning))


SMALL = ChipConfig(
    name="little",
    height=6,
    width=5,
    conv=(Conv(kernels=3, size=3, padding=1, shift=4, bank="random"),),
    hidden=(Hidden(neurons=4, shift=3, rate_shift=4, threshold=200, spread=20),),
    readout=Readout(classes=3, shift=5, rate_shift=7),
    learning=dataclasses.replace(preset("tiny").learning, density=2),
    lanes=2,
)
DEEP = ChipConfig(
    name="deep",
    height=7,
    width=5,
    channels=2,
    pixel_bits=3,
    conv=(
        Conv(4, size=2, pool=2, pooling=Pooling.MAX, shift=3, inhibition=2, bank="random"),
        Conv(kernels=3, size=2, shift=7, feature_bits=4, kernel_bits=2),
    ),
    hidden=(
        Hidden(neurons=6, shift=1, rate_shift=3, threshold=40, spread=30),
        Hidden(neurons=4, shift=0, rate_shift=2, threshold=90, activation=Activation.SIGN),
    ),
    readout=Readout(classes=4, shift=0, rate_shift=2),
    learning=dataclasses.replace(preset("tiny").learning, density=3, lfsr_bits=24),
    weight_bits=6,
    lanes=2,
)
FLAT = dataclasses.replace(SMALL, name="flat", conv=(), hidden=SMALL.hidden * 2)

CASES = [(chip, rule, gate) for chip in (SMALL, DEEP, FLAT) for rule in RULES for gate in Gate]


@pytest.mark.parametrize(
    ("chip", "rule", "gate"), CASES, ids=lambda case: getattr(case, "name", case)
)
def test_learning_equals_the_naive_chip(chip: ChipConfig, rule: str, gate: Gate) -> None:
    config = rule_of(chip, rule, gate=gate)
    rng = np.random.default_rng(7)
    state = fresh(config, 1)
    naive, plain = NaiveChip(config, state), PlainChip(config, state)
    size = (config.height, config.width, config.channels)
    for number in range(12):
        image = rng.integers(0, 256, size, dtype=np.uint8)
        image[rng.random(size) < 0.4] = 0
        label, learn = int(rng.integers(config.readout.classes)), number % 4 != 3
        rate = int(rng.integers(config.rate_steps))
        expected = naive.take(image, label, learn, rate)
        result = plain.take(sample_words(config, image, label, learn, rate))
        assert result is not None
        scores, verdict = result
        assert scores.tolist() == expected
        assert verdict.learned == (learn and rule != "none")
    assert {name: bank.tolist() for name, bank in state.banks.items()} == naive.banks
    assert state.lfsrs == naive.lfsrs
    for name, count in naive.counts.items():
        stage, event = name.split(".")
        assert plain.counts[stage][event] == count, name


@pytest.mark.parametrize("chip", [SMALL, DEEP, FLAT], ids=lambda chip: chip.name)
@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "none"])
def test_the_cases_do_learn(chip: ChipConfig, rule: str) -> None:
    """The comparison above would hold for a chip that never changes too; these chips change."""
    config = rule_of(chip, rule)
    rng = np.random.default_rng(7)
    state = fresh(config, 1)
    first, plain = state.copy(), PlainChip(config, state)
    for label in range(config.readout.classes):
        image = rng.integers(0, 256, (config.height, config.width, config.channels), dtype=np.uint8)
        plain.take(sample_words(config, image, label, True))
    for shape in config.layer_shapes:
        name = f"{shape.name}.weights"
        changed = (state.banks[name] != first.banks[name]).any()
        assert changed == shape.learns


# -- worked by hand -----------------------------------------------------------------------------


def one_neuron(rule: str = "drtp", **learning: Any) -> tuple[PlainChip, State]:
    """A chip of two pixels, one hidden neuron, two classes, all numbers chosen by hand.

    W1 = [10, -20], readout W2 = [[3, -4], [5, 6]] (the last row is the bias), B = [[+1], [-1]].
    """
    config = ChipConfig(
        name="hand",
        height=1,
        width=2,
        hidden=(Hidden(neurons=1, shift=4, rate_shift=4, threshold=1000),),
        readout=Readout(classes=2, shift=2, rate_shift=8),
        learning=dataclasses.replace(preset("tiny").learning, density=2, **learning),
        lanes=2,
    ).with_rule(rule)
    state = fresh(config, 0)
    state.banks["hidden1.weights"][:] = [[10], [-20]]
    state.banks["readout.weights"][:] = [[3, -4], [5, 6]]
    if "hidden1.modulation" in state.banks:
        bank = state.banks["hidden1.modulation"]
        bank[:] = np.array([[1], [-1]]).reshape(bank.shape)
    state.lfsrs.update({name: 1 for name in state.lfsrs})
    return PlainChip(config, state, Trace.of(config)), state


def hand_words(plain: PlainChip, label: int, learn: bool) -> Any:
    """The sample [100, 30]."""
    image = np.array([[[100], [30]]], dtype=np.uint8)
    return sample_words(plain.config, image, label, learn)


def test_a_forward_pass_worked_by_hand() -> None:
    """z = 100*10 - 30*20 = 400; y = 400 >> 4 = 25; sums 25*3 + 127*5 = 710, -100 + 762 = 662;
    scores 710 >> 2 = 177 + 128 = 305 -> 255, 662 >> 2 = 165 + 128 = 293 -> 255; class 0."""
    plain, _ = one_neuron()
    result = plain.take(hand_words(plain, 1, False))
    assert result is not None
    scores, verdict = result
    assert plain.trace is not None
    assert plain.trace.records["hidden1.sums"][0].tolist() == [[0, 400]]
    assert plain.trace.records["hidden1.activations"][0].tolist() == [[0, 25], [1, 127]]
    assert plain.trace.records["readout.sums"][0].tolist() == [[0, 710], [1, 662]]
    assert scores.tolist() == [255, 255]
    assert verdict == (0, False, False)


@pytest.mark.parametrize("way", ["aborted", "frozen"])
def test_an_aborted_sample_and_a_frozen_chip_leave_the_state(way: str) -> None:
    plain, state = one_neuron()
    before, words = state.copy(), hand_words(plain, 1, True)
    if way == "aborted":
        words[-1] |= 1 << ABORT_AT
    plain.freeze = way == "frozen"
    assert plain.take(words) == (None if way == "aborted" else ANY)
    assert plain.trace is not None
    assert plain.trace.samples == 1
    assert len(plain.trace.records["readout.scores"][0]) == (0 if way == "aborted" else 2)
    assert len(plain.trace.records["readout.verdict"][0]) == (0 if way == "aborted" else 1)
    assert plain.counts["encode"]["samples"] == (way == "frozen")
    assert state.lfsrs == before.lfsrs
    for name, bank in state.banks.items():
        assert bank.tolist() == before.banks[name].tolist()
    plain.freeze = False
    assert plain.take(hand_words(plain, 1, True)) is not None
    assert state.banks["hidden1.weights"].tolist() == [[3], [-22]]


def test_a_learning_step_worked_by_hand() -> None:
    """Label 1: error [-255, 0]. The LFSR goes 0x0001, 0xB400, 0x5A00.

    Hidden, d = -1, brightest pixel first: (-100 + 1) >> 4 = -7, then (-30 + 0) >> 4 = -2, since
    0xB400 ends in zeros. W1 = [3, -22].
    Readout, class 0 alone: neuron: (25 * -255 + 1) >> 8 = -6374 >> 8 = -25, bias:
    (127 * -255 + 0) >> 8 = -32385 >> 8 = -127: 5 - 127 = -122. W2 = [[-22, -4], [-122, 6]].
    """
    plain, state = one_neuron()
    plain.take(hand_words(plain, 1, True))
    assert state.banks["hidden1.weights"].tolist() == [[3], [-22]]
    assert state.banks["readout.weights"].tolist() == [[-22, -4], [-122, 6]]
    assert state.lfsrs == {"hidden1": 0x5A00, "readout": 0x5A00}
    assert plain.counts["hidden1"]["updates"] == 2
    assert plain.counts["readout"]["updates"] == 2
    assert plain.counts["readout"]["learn_writes"] == 2


def test_a_closed_gate_leaves_the_layer_and_its_lfsr_alone() -> None:
    """Label 0 drives the neuron up; from z = 400 on the threshold of 400 says it is there."""
    plain, state = one_neuron()
    layers = (dataclasses.replace(plain.config.hidden[0], threshold=400),)
    config = dataclasses.replace(plain.config, hidden=layers)
    PlainChip(config, state).take(hand_words(plain, 0, True))
    assert state.banks["hidden1.weights"].tolist() == [[10], [-20]]
    assert state.lfsrs["hidden1"] == 1


def test_a_one_sided_gate_lets_a_saturated_neuron_come_back() -> None:
    """Label 1 drives it down: the one-sided gate is open at z = 400, the box gate is not."""
    for gate, weights in ((Gate.ONE_SIDED, [[3], [-22]]), (Gate.BOX, [[10], [-20]])):
        plain, state = one_neuron(gate=gate)
        layers = (dataclasses.replace(plain.config.hidden[0], threshold=400),)
        config = dataclasses.replace(plain.config, hidden=layers)
        PlainChip(config, state).take(hand_words(plain, 1, True))
        assert state.banks["hidden1.weights"].tolist() == weights


def test_a_scaled_modulation_worked_by_hand() -> None:
    """Label 1, its own error 255 - 255 = 0: (-1 * 0 + 1) >> 6 = 0, nothing to learn; the LFSR
    still steps once for the modulation."""
    plain, state = one_neuron("drtp-scaled")
    plain.take(hand_words(plain, 1, True))
    assert state.banks["hidden1.weights"].tolist() == [[10], [-20]]
    assert state.lfsrs["hidden1"] == 0xB400


def test_a_projected_error_worked_by_hand() -> None:
    """Error [-255, 0], B = [1, -1]: d = -1, as the drtp case with label 1."""
    plain, state = one_neuron("dfa")
    plain.take(hand_words(plain, 1, True))
    assert state.banks["hidden1.weights"].tolist() == [[3], [-22]]


def test_an_empty_image_learns_the_bias_alone() -> None:
    """Sums [635, 762] -> scores [255, 255]; label 0: error [0, -255]; bias of class 1 goes
    (127 * -255 + (1 ^ mask(1))) >> 8 with mask(1) = 0x6A88, low byte 0x89: -32248 >> 8 = -126."""
    plain, state = one_neuron()
    dark = np.zeros((1, 2, 1), dtype=np.uint8)
    plain.take(sample_words(plain.config, dark, 0, True))
    assert state.banks["hidden1.weights"].tolist() == [[10], [-20]]
    assert state.banks["readout.weights"].tolist() == [[3, -4], [5, 6 - 126]]

"""The fast engine equals the plain engine in everything, on any chip."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from model.chip import PlainChip
from model.contract.choices import (
    BANKS,
    Activation,
    Coding,
    Conv,
    Gate,
    Hidden,
    Learning,
    Pooling,
    Readout,
    Rule,
)
from model.contract.config import ChipConfig
from model.contract.noise import TAPS
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.fast import conv, engine
from model.fast import trace as fast_trace
from model.fast.engine import FastChip
from model.sensor.image import sample_words
from model.state import State, fresh
from model.trace import Trace, first_difference


@dataclasses.dataclass
class Case:
    """A chip, what it remembers, and samples to take."""

    config: ChipConfig
    state: State
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    rates: NDArray[np.int64]
    learn: NDArray[np.bool_]

    @property
    def marks(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        return self.labels, self.rates, self.learn


def case_of(config: ChipConfig, samples: int, seed: int = 0, wild: bool = False) -> Case:
    """A case with sparse random images; `wild` draws all weights from their whole format."""
    rng = np.random.default_rng(seed)
    state = fresh(config, seed)
    if wild:
        for weights in state.weights.values():
            weights[:] = rng.integers(config.weight.low, config.weight.high + 1, weights.shape)
    shape = (samples, config.height, config.width, config.windows * config.channels)
    images = rng.integers(0, 256, shape) * (rng.random(shape) < rng.random((samples, 1, 1, 1)))
    return Case(
        config,
        state,
        images.astype(np.uint8),
        rng.integers(0, config.readout.classes, samples),
        rng.integers(0, config.rate_steps, samples),
        rng.random(samples) < 0.8,
    )


def assert_same_state(left: State, right: State) -> None:
    assert left.lfsrs == right.lfsrs
    assert left.banks.keys() == right.banks.keys()
    for name, bank in left.banks.items():
        np.testing.assert_array_equal(bank, right.banks[name], err_msg=name)


def assert_engines_agree(case: Case) -> None:
    """Classes, scores, state, counters and traces are equal, with cached features too."""
    config = case.config
    plain = PlainChip(config, case.state.copy(), Trace.of(config))
    fast = FastChip(config, case.state.copy(), Trace.of(config))
    cached = FastChip(config, case.state.copy())
    wanted = plain.run(
        sample_words(config, image, int(label), bool(learn), int(rate))
        for image, label, rate, learn in zip(case.images, *case.marks, strict=True)
    )
    results = {
        fast: fast.run(case.images, *case.marks),
        cached: cached.run_features(cached.features(case.images), *case.marks),
    }
    assert plain.trace is not None
    assert fast.trace is not None
    assert first_difference(plain.trace, fast.trace) is None
    for chip, (classes, scores) in results.items():
        np.testing.assert_array_equal(classes, wanted[0])
        np.testing.assert_array_equal(scores, wanted[1])
        assert chip.counts == plain.counts
        assert_same_state(plain.state, chip.state)


@st.composite
def convs(draw: st.DrawFn, height: int, width: int) -> tuple[Conv, int, int]:
    """A convolution stage that fits its input, and the size of its output."""
    size = draw(st.integers(1, min(4, height, width)))
    padding = draw(st.integers(0, size - 1))
    map_height, map_width = (side + 2 * padding - size + 1 for side in (height, width))
    pools = [pool for pool in range(1, 5) if map_height % pool == map_width % pool == 0]
    stage = Conv(
        kernels=draw(st.integers(1, 9)),
        size=size,
        padding=padding,
        pool=draw(st.sampled_from(pools)),
        pooling=draw(st.sampled_from(Pooling)),
        shift=draw(st.integers(0, 10)),
        kernel_bits=draw(st.integers(2, 8)),
        feature_bits=draw(st.integers(1, 8)),
        inhibition=draw(st.none() | st.integers(1, 6)),
        bank=draw(st.sampled_from(BANKS)),
    )
    return stage, map_height // stage.pool, map_width // stage.pool


@st.composite
def configs(draw: st.DrawFn) -> ChipConfig:
    """Any chip, small enough for the plain engine."""
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    stages, rows, columns = [], height, width
    for _ in range(draw(st.integers(0, 2))):
        stage, rows, columns = draw(convs(rows, columns))
        stages.append(stage)
    lfsr_bits = draw(st.sampled_from(sorted(TAPS)))
    schedule = draw(st.lists(st.integers(0, 7), min_size=1, max_size=3))
    rate_shifts = st.integers(1, min(24, lfsr_bits - max(schedule)))
    weight_bits = draw(st.sampled_from([2, 4, 8, 8, 8, 16]))
    lanes = draw(st.integers(1, 32))
    classes = draw(st.integers(2, 12))
    rule = draw(st.sampled_from(Rule))
    hidden = st.builds(
        Hidden,
        neurons=st.integers(1, max(1, 90 // lanes)).map(lambda groups: groups * lanes),
        shift=st.integers(0, 12),
        rate_shift=rate_shifts,
        threshold=st.integers(1, 14).map(lambda bits: 1 << bits),
        activation=st.sampled_from(Activation),
        spread=st.just(1),
    )
    coding = draw(st.sampled_from(Coding)) if stages else Coding.FIRST_SPIKE
    return ChipConfig(
        name="drawn",
        coding=coding,
        windows=draw(st.integers(1, 3)) if len(stages) == 1 else 1,
        height=height,
        width=width,
        channels=draw(st.integers(1, 3)),
        pixel_bits=draw(st.integers(1, 3 if coding is Coding.COUNT else 8)),
        conv=tuple(stages),
        hidden=tuple(draw(st.lists(hidden, min_size=1, max_size=2))),
        readout=Readout(classes, draw(st.integers(0, 14)), draw(rate_shifts)),
        learning=Learning(
            rule=rule,
            gate=draw(st.sampled_from(Gate)),
            density=draw(st.integers(1, classes)),
            error_scaled=rule is Rule.DRTP and draw(st.booleans()),
            error_shift=draw(st.integers(0, 8)),
            # A score of 128, that of no sum, makes errors of 127 and -128.
            error_threshold=draw(st.sampled_from([1, 48, 127, 128, 255])),
            schedule=tuple(schedule),
            lfsr_bits=lfsr_bits,
        ),
        weight_bits=weight_bits,
        lanes=lanes,
    )


# -- equality -----------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=300)
@given(configs(), st.integers(0, 5), st.integers(0, 1 << 30), st.booleans())
def test_both_engines_agree_on_any_chip(
    config: ChipConfig, samples: int, seed: int, wild: bool
) -> None:
    assert_engines_agree(case_of(config, samples, seed, wild))


@pytest.mark.parametrize("name", ["digits", "spoon", "spoon-lite", "fc2-500", "conv-mnist"])
def test_both_engines_agree_on_presets(name: str) -> None:
    assert_engines_agree(case_of(preset(name), samples=2))


def bright(config: ChipConfig, state: State) -> Case:
    """One sample whose sums all reach their bounds: full pixels, kernels and weights."""
    for name, bank in state.banks.items():
        kernels = name.endswith("kernels")
        bank[:] = config.conv_shapes[0].kernel.high if kernels else config.weight.high
    image = np.full((1, config.height, config.width, config.channels), 255, np.uint8)
    return Case(config, state, image, np.zeros(1, int), np.zeros(1, int), np.zeros(1, bool))


@pytest.mark.parametrize(
    ("side", "channels", "pool", "kernel_bits", "bits"),
    [(15, 1, 1, 2, 16), (16, 1, 2, 8, 25), (30, 8, 16, 8, 34)],
)
@pytest.mark.parametrize("inhibition", [None, 2])
def test_both_engines_agree_on_the_greatest_potentials(
    side: int, channels: int, pool: int, kernel_bits: int, bits: int, inhibition: int | None
) -> None:
    shift = min(24, bits - 8)
    stage = Conv(
        2, 15, pool=pool, shift=shift, kernel_bits=kernel_bits, inhibition=inhibition, bank="random"
    )
    config = dataclasses.replace(
        preset("tiny"), height=side, width=side, channels=channels, pixel_bits=8, conv=(stage,)
    )
    assert config.conv_shapes[0].pooled.bits == bits
    assert_engines_agree(bright(config, fresh(config, seed=0)))


def test_both_engines_agree_on_potentials_of_more_than_32_bits() -> None:
    """Of a second stage of 15 x 15 taps on 300 channels: the loops leave it to the plain engine."""
    first = Conv(300, 1, padding=0, bank="random")
    second = Conv(2, 15, shift=24, inhibition=3, bank="random")
    config = dataclasses.replace(
        preset("tiny"), height=15, width=15, pixel_bits=8, conv=(first, second)
    )
    assert config.conv_shapes[1].potential.bits > conv.POTENTIAL_BITS
    assert_engines_agree(bright(config, fresh(config, seed=0)))


@pytest.mark.parametrize("pooling", Pooling)
@pytest.mark.parametrize("inhibition", [None, 1])
def test_equal_and_opposite_kernels_are_summed_once(
    pooling: Pooling, inhibition: int | None
) -> None:
    stage = Conv(6, 3, pool=2, pooling=pooling, inhibition=inhibition, bank="random")
    config = dataclasses.replace(preset("tiny"), conv=(stage,))
    state = fresh(config, seed=0)
    kernels = state.banks["conv1.kernels"]
    kernels[2], kernels[3], kernels[5] = kernels[0], -kernels[1], -kernels[0]
    taps = conv.taps(stage, config.conv_shapes[0], kernels)
    assert taps.source.tolist() == [0, 1, 0, 1, 2, 0]
    assert taps.sign.tolist() == [1, 1, 1, -1, 1, -1]
    case = case_of(config, samples=6)
    assert_engines_agree(dataclasses.replace(case, state=state))


def test_both_engines_agree_on_sums_of_more_than_32_bits() -> None:
    hidden = Hidden(neurons=1, shift=24, rate_shift=6, threshold=1)
    config = ChipConfig("wide", 258, 258, (hidden,), Readout(10, 8, 11), lanes=1)
    assert config.layer_shapes[0].sum.bits == 33
    assert_engines_agree(bright(config, fresh(config, seed=0)))


def test_both_engines_agree_where_rounding_takes_31_bits() -> None:
    tiny = preset("tiny")
    hidden = dataclasses.replace(tiny.hidden[0], neurons=64, rate_shift=24, threshold=1 << 24)
    learning = Learning(density=10, schedule=(0, 7), lfsr_bits=32)
    config = dataclasses.replace(tiny, hidden=(hidden,), learning=learning)
    case = case_of(config, samples=6)
    case.rates[:], case.learn[:] = 7, True
    # The first number of neuron 0 is the greatest, and its modulation raises it further.
    case.state.lfsrs["hidden1"] = (1 << 32) - 1
    case.state.banks["hidden1.modulation"][:, 0] = 1
    assert_engines_agree(case)


# -- parts --------------------------------------------------------------------------------------


@pytest.fixture
def case() -> Case:
    return case_of(preset("tiny"), samples=23)


def in_one(case: Case) -> FastChip:
    chip = FastChip(case.config, case.state.copy(), Trace.of(case.config))
    chip.run(case.images, *case.marks)
    return chip


def assert_same_chip(left: FastChip, right: FastChip) -> None:
    assert left.counts == right.counts
    assert_same_state(left.state, right.state)
    assert left.trace is not None
    assert right.trace is not None
    assert first_difference(left.trace, right.trace) is None


def test_runs_follow_on_each_other(case: Case) -> None:
    chip = FastChip(case.config, case.state.copy(), Trace.of(case.config))
    for part in (slice(0, 1), slice(1, 1), slice(1, 15), slice(15, 23)):
        chip.run(case.images[part], *(mark[part] for mark in case.marks))
    assert_same_chip(chip, in_one(case))


@pytest.mark.parametrize(("name", "value"), [("MAP_BYTES", 1000), ("WORDS", 1000)])
def test_nothing_depends_on_how_samples_are_parted(
    case: Case, monkeypatch: pytest.MonkeyPatch, name: str, value: int
) -> None:
    whole = in_one(case)
    monkeypatch.setattr(engine if name == "MAP_BYTES" else fast_trace, name, value)
    assert_same_chip(in_one(case), whole)


def test_a_stopped_run_leaves_what_was_done(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MAP_BYTES", 10 * 64)
    stopped = FastChip(case.config, case.state.copy(), Trace.of(case.config))
    convolve = stopped._convolve
    parts = 0

    def stop_at_the_third(images: NDArray[np.uint8], taps: Any) -> Any:
        nonlocal parts
        parts += 1
        if parts == 3:
            raise KeyboardInterrupt
        return convolve(images, taps)

    monkeypatch.setattr(stopped, "_convolve", stop_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        stopped.run(case.images, *case.marks)
    done = FastChip(case.config, case.state.copy(), Trace.of(case.config))
    done.run(case.images[:20], *(mark[:20] for mark in case.marks))
    assert_same_chip(stopped, done)


def test_features_serve_many_epochs_in_any_order(case: Case) -> None:
    cached = FastChip(case.config, case.state.copy())
    images = FastChip(case.config, case.state.copy())
    features = cached.features(case.images)
    assert len(features) == 23
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(23)[: 20 - seed]
        marks = [mark[order] for mark in case.marks]
        wanted = images.run(case.images[order], *marks)
        for left, right in zip(cached.run_features(features[order], *marks), wanted, strict=True):
            np.testing.assert_array_equal(left, right)
    assert cached.counts == images.counts
    assert_same_state(cached.state, images.state)


def test_features_are_chosen_like_rows_of_an_array(case: Case) -> None:
    chip = FastChip(case.config, case.state.copy())
    features = chip.features(case.images)
    for chosen in (slice(3, 17, 2), np.arange(23) % 3 == 0):
        fresh_chip, again = (FastChip(case.config, case.state.copy()) for _ in range(2))
        marks = [mark[chosen] for mark in case.marks]
        fresh_chip.run(case.images[chosen], *marks)
        again.run_features(features[chosen], *marks)
        assert again.counts == fresh_chip.counts
        assert_same_state(again.state, fresh_chip.state)


def test_the_state_is_changed_in_place(case: Case) -> None:
    chip = FastChip(case.config, case.state)
    banks = dict(case.state.banks)
    before = case.state.copy()
    chip.run(case.images, *case.marks)
    assert all(case.state.banks[name] is bank for name, bank in banks.items())
    assert (banks["hidden1.weights"] != before.banks["hidden1.weights"]).any()
    assert (banks["conv1.kernels"] == before.banks["conv1.kernels"]).all()


def test_one_flag_serves_all_samples(case: Case) -> None:
    one, each = (FastChip(case.config, case.state.copy()) for _ in range(2))
    one.run(case.images, case.labels, case.rates, True)
    each.run(case.images, case.labels, case.rates, np.ones(23, bool))
    assert one.counts == each.counts
    assert_same_state(one.state, each.state)


def test_nothing_is_learned_unasked(case: Case) -> None:
    chip = FastChip(case.config, case.state.copy())
    chip.run(case.images, case.labels, case.rates, False)
    assert_same_state(chip.state, case.state)
    assert chip.counts["hidden1"]["learn_cycles"] == 0


def test_images_may_lie_anyhow_in_memory(case: Case) -> None:
    plain, odd = (FastChip(case.config, case.state.copy()) for _ in range(2))
    plain.run(case.images, *case.marks)
    odd.run(np.asfortranarray(case.images), *case.marks)
    assert plain.counts == odd.counts
    assert_same_state(plain.state, odd.state)


# -- refusals -----------------------------------------------------------------------------------


def refusal(case: Case, **changes: Any) -> str:
    case = dataclasses.replace(case, **changes)
    chip = FastChip(case.config, case.state)
    with pytest.raises(Refusal) as caught:
        chip.run(case.images, *case.marks)
    return str(caught.value)


def test_images_of_another_shape_or_type_are_refused(case: Case) -> None:
    wanted = "tiny takes images of shape (8, 8, 1) and type uint8"
    assert refusal(case, images=case.images[:, :, :7]) == f"{wanted}, not (8, 7, 1) and uint8"
    assert refusal(case, images=case.images + 0.0) == f"{wanted}, not (8, 8, 1) and float64"
    assert refusal(case, images=case.images[0]) == f"{wanted}, not (8, 1) and uint8"


def test_marks_must_be_one_a_sample(case: Case) -> None:
    assert refusal(case, labels=case.labels[1:]) == "labels must be (23,), one a sample, not (22,)"
    assert refusal(case, rates=np.array(0)) == "rates must be (23,), one a sample, not ()"
    wanted = "learn must be one flag for all samples or (23,), one a sample, not (2,)"
    assert refusal(case, learn=case.learn[:2]) == wanted


@pytest.mark.parametrize("label", [-1, 10])
def test_an_unknown_label_is_refused_where_it_is_learned(case: Case, label: int) -> None:
    case.labels[5], case.learn[5] = label, True
    assert refusal(case) == (
        f"labels of samples to learn must be 0 to 9 on tiny, but sample 5 has {label}"
    )
    case.learn[5] = False
    FastChip(case.config, case.state).run(case.images, *case.marks)


def test_an_unknown_rate_step_is_refused_where_it_is_learned(case: Case) -> None:
    case.rates[7], case.learn[7] = 4, True
    assert refusal(case) == "rates of samples to learn must be 0 to 3 on tiny, but sample 7 has 4"


def test_features_are_no_base_for_a_trace(case: Case) -> None:
    chip = FastChip(case.config, case.state, Trace.of(case.config))
    with pytest.raises(ValueError, match=r"^a trace needs the images: use run$"):
        chip.run_features(chip.features(case.images), *case.marks)

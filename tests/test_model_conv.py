"""Convolution by events against direct correlation, pooling against its definition."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.contract.choices import Conv, Hidden, Pooling, Readout
from model.contract.config import ChipConfig
from model.contract.timing import conv_cycles, pool_waits
from model.conv import accumulate, convolve, feature_events, feature_items, pool, window
from model.encode import admit
from model.sensor.image import sample_words


def chip(stage: Conv, height: int, width: int, channels: int = 1) -> ChipConfig:
    """A chip of one convolution."""
    return ChipConfig(
        name="one",
        height=height,
        width=width,
        channels=channels,
        conv=(stage,),
        hidden=(Hidden(neurons=4, shift=3, rate_shift=6, threshold=512),),
        readout=Readout(classes=10, shift=8, rate_shift=11),
        lanes=4,
    )


def correlation(image: np.ndarray, kernels: np.ndarray, padding: int) -> np.ndarray:
    """Direct correlation of an (H, W, C) image with (K, C, R, R) kernels: every window, summed."""
    padded = np.pad(image.astype(np.int64), ((padding,) * 2, (padding,) * 2, (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernels.shape[2:], axis=(0, 1))
    return np.einsum("yxcrs,kcrs->yxk", windows, kernels)


@st.composite
def cases(draw: st.DrawFn) -> tuple[ChipConfig, np.ndarray, np.ndarray]:
    """A chip, an image for it, kernels for it."""
    size = draw(st.integers(1, 4))
    padding = draw(st.integers(0, size - 1))
    height, width = (draw(st.integers(size, 7)) for _ in range(2))
    channels, kernels = draw(st.integers(1, 3)), draw(st.integers(1, 6))
    config = chip(Conv(kernels, size, padding), height, width, channels)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    image = rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
    image[rng.random(image.shape) < 0.5] = 0
    return config, image, rng.integers(-127, 128, (kernels, channels, size, size))


@given(cases())
def test_events_add_up_to_the_correlation(case: tuple[ChipConfig, np.ndarray, np.ndarray]) -> None:
    config, image, kernels = case
    events = admit(config, sample_words(config, image, 0, False)).events
    counts: Counter[str] = Counter()
    potentials = accumulate(config.conv[0], config.conv_shapes[0], kernels, events, counts)
    assert (potentials == correlation(image, kernels, config.conv[0].padding)).all()
    assert counts["events"] == np.count_nonzero(image)
    assert counts["potential_saturations"] == 0


@given(cases())
def test_the_order_of_events_does_not_matter(
    case: tuple[ChipConfig, np.ndarray, np.ndarray],
) -> None:
    config, image, kernels = case
    events = admit(config, sample_words(config, image, 0, False)).events
    stage, shape = config.conv[0], config.conv_shapes[0]
    forward = accumulate(stage, shape, kernels, events, Counter())
    assert (accumulate(stage, shape, kernels, events[::-1], Counter()) == forward).all()


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_a_window_is_where_a_kernel_covers_the_pixel(padding: int) -> None:
    stage, size = Conv(kernels=1, size=3, padding=padding), 5 + 2 * padding - 2
    for at in range(5):
        covering = [y for y in range(size) if 0 <= at + padding - y < 3]
        assert list(range(*window(at, stage, size))) == covering


def test_work_is_counted_by_positions_and_groups() -> None:
    """Six kernels on four lanes are two groups; the corner pixel is seen by one window of 2 x 2,
    the middle one by four."""
    config = chip(Conv(kernels=6, size=2), 3, 3)
    events = np.array([[0, 0, 0, 9], [1, 1, 0, 9]])
    counts: Counter[str] = Counter()
    kernels = np.ones((6, 1, 2, 2), dtype=np.int64)
    accumulate(config.conv[0], config.conv_shapes[0], kernels, events, counts)
    assert (counts["words"], counts["macs"]) == ((1 + 4) * 2, (1 + 4) * 6)


def test_a_pixel_repeated_too_often_saturates_and_is_counted() -> None:
    """One tap of 127, value 255: 32,385 an event; the potential has 16 bits, 32,767 at most."""
    config = chip(Conv(kernels=1, size=1), 1, 2)
    shape = config.conv_shapes[0]
    assert shape.potential.high == 32767
    counts: Counter[str] = Counter()
    events = np.array([[0, 0, 0, 255]] * 3)
    kernels = np.full((1, 1, 1, 1), 127)
    potentials = accumulate(config.conv[0], shape, kernels, events, counts)
    assert potentials[0, :, 0].tolist() == [32767, 0]
    assert counts["potential_saturations"] == 2


POTENTIALS = np.array([[[-5], [7]], [[9], [4]]])


@pytest.mark.parametrize(
    ("pooling", "shift", "feature"),
    [
        (Pooling.AVERAGE, 0, 20),  # 0 + 7 + 9 + 4: rectified before it is pooled
        (Pooling.AVERAGE, 2, 5),
        (Pooling.AVERAGE, 5, 0),
        (Pooling.MAX, 0, 9),
        (Pooling.MAX, 1, 4),
    ],
)
def test_a_cell_pooled_by_hand(pooling: Pooling, shift: int, feature: int) -> None:
    stage = Conv(kernels=1, size=1, pool=2, pooling=pooling, shift=shift)
    config = chip(stage, 2, 2)
    counts: Counter[str] = Counter()
    assert pool(stage, config.conv_shapes[0], POTENTIALS, counts).tolist() == [[[feature]]]
    assert (counts["pool_words"], counts["features"]) == (4, int(feature > 0))


@pytest.mark.parametrize(
    ("potentials", "inhibition", "left"),
    [
        ([20, 10, -15], 2, [13, 3, 0]),  # 30 >> 2 = 7; what is below zero takes nothing away
        ([0, 3, 18], 2, [0, 0, 13]),  # 21 >> 2 = 5
        ([-1, -2, -3], 1, [0, 0, 0]),
        ([10, 10], 1, [0, 0]),  # each equals what it loses
        ([7], 1, [4]),  # a kernel alone loses to itself
        ([9, 8], 24, [9, 8]),
        ([20, 10, -15], None, [20, 10, 0]),
    ],
)
def test_kernels_of_a_place_inhibit_each_other(
    potentials: list[int], inhibition: int | None, left: list[int]
) -> None:
    stage = Conv(kernels=len(potentials), size=1, inhibition=inhibition)
    config = chip(stage, 1, 1)
    found = pool(stage, config.conv_shapes[0], np.array([[potentials]]), Counter())
    assert found.tolist() == [[left]]


def test_inhibition_comes_before_pooling() -> None:
    """Places 20 10 and 0 8: lost 15 and 4, left 5 0 and 0 4. Pooled first, 20 and 18 of 38 >> 1
    would leave 1 and 0."""
    stage = Conv(kernels=2, size=1, pool=2, inhibition=1)
    potentials = np.array([[[20, 10], [0, 8]], [[0, 0], [0, 0]]])
    found = pool(stage, chip(stage, 2, 2).conv_shapes[0], potentials, Counter())
    assert found.tolist() == [[[5, 4]]]


def test_the_total_of_a_place_holds_all_kernels_at_their_greatest() -> None:
    shape = chip(Conv(kernels=5, size=3, inhibition=2), 3, 3).conv_shapes[0]
    assert 5 * shape.potential.high <= shape.total.high < 10 * shape.potential.high


def test_a_feature_saturates_and_is_counted() -> None:
    stage = Conv(kernels=1, size=1, pool=2, feature_bits=4)
    counts: Counter[str] = Counter()
    features = pool(stage, chip(stage, 2, 2).conv_shapes[0], POTENTIALS, counts)
    assert features.tolist() == [[[15]]]
    assert counts["feature_saturations"] == 1


def test_a_stage_counts_its_cycles_by_the_formula() -> None:
    stage = Conv(kernels=6, size=3, pool=2)
    config = chip(stage, 8, 8)
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 1), dtype=np.uint8)
    events = admit(config, sample_words(config, image, 0, False)).events
    counts: Counter[str] = Counter({"forward_cycles": 5})
    kernels = np.random.default_rng(1).integers(-127, 128, (6, 1, 3, 3))
    shape = config.conv_shapes[0]
    features = convolve(stage, shape, kernels, events, counts)
    parts = [group for cell in features.reshape(-1, 6) for group in (cell[:4], cell[4:])]
    sent = [int(np.count_nonzero(part)) for part in parts]
    work = conv_cycles(shape, counts["events"], pool_waits(shape, sent))
    assert counts["forward_cycles"] == 5 + work


def test_features_travel_on_as_events_and_as_items() -> None:
    """Two by two positions of three kernels; only what is not zero travels."""
    features = np.zeros((2, 2, 3), dtype=np.int64)
    features[0, 1, 2], features[1, 0, 0] = 7, 9
    assert feature_events(features).tolist() == [[1, 0, 2, 7], [0, 1, 0, 9]]
    assert feature_items(features).tolist() == [[5, 7], [6, 9]]

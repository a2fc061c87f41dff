"""What the analyses note: angles, their smoothing, distributions of activations."""

import numpy as np
import pytest

from model.paper import fit
from model.paper.settings import plan
from model.paper.task import Task, load
from model.paper.watcher import BINS, Activations, Angles, angles, smooth


@pytest.fixture(scope="module")
def digits() -> Task:
    return load("digits")


def test_an_angle_is_between_the_signals_of_one_example() -> None:
    one = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 0.0], [2.0, 0.0]])
    other = np.array([[0.0, 3.0], [-2.0, 0.0], [1.0, 0.0], [1.0, 0.0], [5.0, 0.0]])
    np.testing.assert_allclose(angles(one, other), [90, 180, 45, 0], atol=1e-6)
    images = one.reshape(5, 1, 2, 1)
    np.testing.assert_allclose(angles(images, -images), [180, 180, 180, 180], atol=1e-5)


def test_smoothing_is_a_moving_average_with_momentum() -> None:
    assert smooth([]) == []
    assert smooth([None, 10.0, 20.0, None, 30.0], momentum=0.5) == [None, 10.0, 15.0, 15.0, 22.5]
    assert smooth([100.0, 0.0])[1] == pytest.approx(95)


def test_bp_has_no_angle_to_itself_and_the_others_come_within_90_degrees(digits: Task) -> None:
    for algorithm in ("bp", "fa", "dfa", "sdfa", "drtp"):
        run = fit(
            plan("digits", "fc2-60", algorithm, epochs=6), digits, watchers=(Angles(every=9),)
        )
        for layer in ("angle1", "angle2"):
            noted = run.series[layer]
            assert len(noted) == 6 * 135 // 9
            if algorithm == "bp":
                assert max(noted) < 0.1
            else:
                assert 1 < np.mean(noted[-20:]) < 90


def test_angles_are_of_the_signal_asked_for_and_none_where_a_layer_is_fixed(digits: Task) -> None:
    runs = [
        fit(
            plan("digits", "randconv4k3-fc30", "dfa", epochs=1),
            digits,
            watchers=(Angles(every=27, of=of),),
        )
        for of in ("dz", "dy")
    ]
    assert runs[0].series.keys() == runs[1].series.keys() == {"angle2"}
    assert runs[0].series["angle2"] != runs[1].series["angle2"]


def test_a_network_of_zeros_has_no_angle_at_its_first_update(digits: Task) -> None:
    chosen = plan("digits", "fc2-20", "fa", epochs=1, zero=True)
    run = fit(chosen, digits, watchers=(Angles(),))
    assert run.series["angle1"][0] is None
    assert run.series["angle1"][-1] is not None


def test_activations_are_counted_over_the_first_hundred_batches(digits: Task) -> None:
    run = fit(plan("digits", "fc20-fc7", "drtp", epochs=2), digits, watchers=(Activations(),))
    for layer, units in (("activations1", 20), ("activations2", 7)):
        counts = np.array(run.series[layer])
        assert counts.shape == (2, BINS)
        assert counts.sum(axis=1).tolist() == [100 * 10 * units] * 2
    ends = np.array(run.series["activations1"])[:, [0, -1]].sum(axis=1)
    assert ends[1] > ends[0]

"""Training: measured, deterministic, resumed bit for bit, and refused where it makes no sense."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.contract.refusal import Refusal
from model.data import load as load_images
from model.paper import fit, train
from model.paper.backend import Backend
from model.paper.layer import Conv, Dense
from model.paper.network import Network
from model.paper.optimiser import OPTIMISERS, Adam, Nag
from model.paper.run import Run
from model.paper.settings import ALGORITHMS, Settings, plan
from model.paper.task import Task, cosines, load, one_hot
from model.paper.training import Step
from model.paper.watcher import Activations, Angles

CLASSES = 3


@pytest.fixture(scope="module")
def blobs() -> Task:
    """Three classes of 6x6 images, each about a random image of its own."""
    rng = np.random.default_rng(0)
    labels = rng.integers(CLASSES, size=150)
    centres = rng.standard_normal((CLASSES, 6, 6, 1))
    x = (centres[labels] + 0.5 * rng.standard_normal((150, 6, 6, 1))).astype(np.float32)
    target = one_hot(labels, CLASSES)
    return Task("blobs", x[:100], target[:100], x[100:], target[100:])


def settings(**choices: Any) -> Settings:
    filled = {"network": "fc8", "rate": 0.01, "epochs": 4, "batch": 15, **choices}
    return plan("blobs", **filled)


def same_runs(one: Run, other: Run) -> bool:
    ours, theirs = one.network.state(), other.network.state()
    return (
        one.points == other.points
        and one.series == other.series
        and all(np.array_equal(ours[name], theirs[name]) for name in ours)
    )


class Stopped(Exception):
    """The run is killed."""


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_every_algorithm_learns(blobs: Task, algorithm: str, optimiser: str) -> None:
    rate = {"adam": 0.01, "sgd": 0.5, "nag": 0.05}[optimiser]
    run = fit(settings(algorithm=algorithm, optimiser=optimiser, rate=rate, epochs=15), blobs)
    assert run.test_accuracy[-1] > 90
    assert run.points[-1].test_loss < run.points[0].test_loss


@pytest.mark.parametrize("algorithm", ["bp", "fa", "dfa", "sdfa", "drtp"])
def test_trained_kernels_learn_and_fixed_ones_stay(blobs: Task, algorithm: str) -> None:
    for network, moved in (("conv4k3s1p1-fc8", True), ("randconv4k3s1p1-fc8", False)):
        chosen = settings(network=network, algorithm=algorithm, epochs=2)
        before = Network(chosen, blobs.shape, CLASSES).state()
        after = fit(chosen, blobs).network.state()
        assert (not np.array_equal(before["W1"], after["W1"])) == moved
        assert not np.array_equal(before["W2"], after["W2"])


@pytest.mark.parametrize(
    ("network", "algorithm"),
    [("randconv4k3-fc8", "drtp"), ("randconv4k3-fc8", "bp"), ("fc8-fc8", "shallow")],
)
@pytest.mark.parametrize("measure_train", [True, False])
def test_layers_that_never_learn_are_run_once_and_nothing_else_changes(
    blobs: Task, network: str, algorithm: str, measure_train: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = settings(network=network, algorithm=algorithm)
    calls: list[tuple[tuple[int, ...], int]] = []
    first = Conv if network.startswith("randconv") else Dense
    forward = first.forward

    def counted(layer: Any, y: Any, mask: Any) -> Any:
        calls.append((layer.weight_shape, len(y)))
        return forward(layer, y, mask)

    every_epoch = fit(chosen, blobs, measure_train=measure_train, watchers=[lambda step: None])
    monkeypatch.setattr(first, "forward", counted)
    once = fit(chosen, blobs, measure_train=measure_train)
    lowest = once.network.layers[0].weight_shape
    seen = sum(count for shape, count in calls if shape == lowest)
    assert seen == len(blobs.x_train) + len(blobs.x_test)
    ours, theirs = once.network.state(), every_epoch.network.state()
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], atol=1e-5)
    assert [point.test_error for point in once.points] == [
        point.test_error for point in every_epoch.points
    ]
    monkeypatch.setattr("model.paper.training.FEATURES_KEPT", 0)
    calls.clear()
    fit(replace(chosen, epochs=2), blobs, measure_train=measure_train)
    seen = sum(count for shape, count in calls if shape == lowest)
    assert seen >= 2 * (len(blobs.x_train) + len(blobs.x_test))


def test_a_seed_gives_a_run_and_another_seed_another(blobs: Task) -> None:
    first, again, other = (fit(settings(seed=seed, dropout=0.2), blobs) for seed in (1, 1, 2))
    assert same_runs(first, again)
    assert not same_runs(first, other)


@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_killed_run_goes_on_bit_for_bit(blobs: Task, tmp_path: Path, optimiser: str) -> None:
    chosen = settings(
        network="conv3k3-fc8", algorithm="fa", dropout=0.2, flip=True, optimiser=optimiser
    )
    watchers = (Angles(every=2), Activations())
    whole = fit(chosen, blobs, watchers=watchers, monitor=45)

    def kill(done: int, total: int, run: Run) -> None:
        if done == 18:  # in the third of four epochs, seven updates each
            raise Stopped

    file = tmp_path / "run.npz"
    with pytest.raises(Stopped):
        fit(chosen, blobs, watchers=watchers, monitor=45, checkpoint=file, progress=kill)
    resumed = fit(chosen, blobs, watchers=watchers, monitor=45, checkpoint=file, resume=True)
    assert same_runs(whole, resumed)
    assert same_runs(whole, fit(chosen, blobs, checkpoint=file, resume=True))


def test_a_run_is_carried_on_where_more_epochs_are_asked_for(blobs: Task, tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    fit(settings(epochs=2), blobs, checkpoint=file)
    further = fit(settings(epochs=5), blobs, checkpoint=file, resume=True)
    assert same_runs(further, fit(settings(epochs=5), blobs))
    with pytest.raises(Refusal) as refused:
        fit(settings(epochs=3), blobs, checkpoint=file, resume=True)
    assert str(refused.value) == (
        f"{file} is 5 epochs on, but 3 are asked for; ask for more or name another checkpoint"
    )


def test_a_checkpoint_of_other_settings_or_none_is_refused(blobs: Task, tmp_path: Path) -> None:
    file = tmp_path / "run.npz"
    fit(settings(epochs=1), blobs, checkpoint=file)
    with pytest.raises(Refusal) as refused:
        fit(settings(epochs=1, dropout=0.1), blobs, checkpoint=file, resume=True)
    assert str(refused.value) == (
        f"{file} was made with dropout = 0.0, not 0.1; give the same settings or another checkpoint"
    )
    file.write_bytes(b"nonsense")
    with pytest.raises(Refusal) as refused:
        fit(settings(epochs=1), blobs, checkpoint=file, resume=True)
    assert str(refused.value) == f"{file} is truncated or no .npz file; remove it or name another"


@pytest.mark.parametrize(
    "damage",
    [
        {"points": []},
        {"points": [{"epoch": 1}]},
        {"points": [{"epoch": "1", "samples": 1, "ends_epoch": True, "test_loss": 1}]},
        {"points": [{"epoch": 0, "samples": 1, "ends_epoch": True, "test_loss": 1}]},
        {"points": 3},
        {"series": []},
        {"seconds": None},
        {"settings": 3},
    ],
)
def test_a_checkpoint_that_says_nonsense_is_refused(
    blobs: Task, tmp_path: Path, damage: dict[str, Any]
) -> None:
    file = tmp_path / "run.npz"
    fit(settings(epochs=1), blobs, checkpoint=file)
    with np.load(file) as stored:
        arrays = dict(stored)
    arrays["run"] = np.array(json.dumps(json.loads(str(arrays["run"])) | damage))
    np.savez(file, allow_pickle=False, **arrays)
    with pytest.raises(Refusal) as refused:
        fit(settings(epochs=1), blobs, checkpoint=file, resume=True)
    assert str(refused.value) == f"{file} is no checkpoint of a run; remove it or name another"


@pytest.mark.parametrize("without", ["adam_m0", "adam_steps", "W1"])
def test_a_checkpoint_without_a_part_is_refused(blobs: Task, tmp_path: Path, without: str) -> None:
    file = tmp_path / "run.npz"
    chosen = settings(epochs=1, optimiser="adam")
    fit(chosen, blobs, checkpoint=file)
    with np.load(file) as stored:
        arrays = {name: array for name, array in stored.items() if name != without}
    np.savez(file, allow_pickle=False, **arrays)
    with pytest.raises(Refusal):
        fit(chosen, blobs, checkpoint=file, resume=True)


def test_measurements_stand_at_the_samples_asked_for(blobs: Task) -> None:
    run = fit(settings(epochs=2, batch=10), blobs, monitor=30, measure_train=False)
    assert [point.samples for point in run.points] == [30, 60, 90, 100, 120, 150, 180, 200]
    assert [point.ends_epoch for point in run.points] == [False, False, False, True] * 2
    assert all(point.train_error is None for point in run.points)
    assert len(run.test_accuracy) == 2


def test_the_test_error_is_the_mean_of_the_last_ten_epochs(blobs: Task) -> None:
    run = fit(settings(epochs=12), blobs)
    errors = np.array([point.test_error for point in run.points], dtype=float)
    assert run.test_error == pytest.approx(errors[2:].mean())


def test_dropout_acts_on_the_inputs_of_fully_connected_layers_and_keeps_the_mean(
    blobs: Task,
) -> None:
    masks: list[Any] = []

    def watch(step: Step) -> None:
        masks.append([activity.mask for activity in step.activities])

    fit(settings(network="conv3k3-fc300", dropout=0.25, epochs=9), blobs, watchers=(watch,))
    assert all(mask[0] is None for mask in masks)
    for layer in (1, 2):
        values = np.concatenate([mask[layer].ravel() for mask in masks])
        assert set(np.unique(values)) == {np.float32(0), np.float32(1) / np.float32(0.75)}
        assert values.mean() == pytest.approx(1, abs=0.02)


def test_flip_mirrors_half_of_the_training_images(blobs: Task) -> None:
    seen: list[Any] = []

    def watch(step: Step) -> None:
        seen.append(step.activities[0].taken.reshape(-1, 6, 6))

    order = np.arange(100)
    chosen = settings(flip=True, epochs=3, batch=100)
    fit(chosen, blobs, watchers=(watch,), order=lambda epoch: order)
    plain = blobs.x_train[:, :, :, 0]
    mirrored = 0
    for images in seen:
        turned = np.array([not np.array_equal(a, b) for a, b in zip(images, plain, strict=True)])
        np.testing.assert_array_equal(images[turned], plain[turned][:, :, ::-1])
        mirrored += turned.sum()
    assert 120 < mirrored < 180


def test_order_and_a_prepared_network_are_the_callers_own(blobs: Task) -> None:
    chosen = settings(epochs=1, batch=1, optimiser="sgd")
    prepared = Network(chosen, blobs.shape, CLASSES)
    prepared.feedback[0][...] = 0
    kept = prepared.state()["W1"]
    asked = []

    def order(epoch: int) -> np.ndarray:
        asked.append(epoch)
        return np.array([5, 3])

    run = fit(chosen, blobs, prepared=prepared, order=order)
    assert asked == [1]
    assert run.points[-1].samples == 2
    np.testing.assert_array_equal(run.network.state()["W1"], kept)


@pytest.mark.parametrize("order", [[], [0, 100], [-1, 5]])
def test_an_order_of_examples_that_are_not_there_is_refused(blobs: Task, order: list[int]) -> None:
    with pytest.raises(Refusal) as refused:
        fit(settings(), blobs, order=lambda epoch: np.array(order, dtype=int))
    assert str(refused.value) == ("the order of epoch 1 must name training examples 0..99; mend it")


def test_early_stopping_ends_once_the_held_out_error_stays(blobs: Task) -> None:
    run = fit(settings(epochs=200, held_out=30, patience=3), blobs)
    held = [point.held_error for point in run.points]
    assert len(held) < 200
    assert len(held) - 1 - int(np.argmin(np.array(held, dtype=float))) == 3


def test_a_float_task_is_a_regression(tmp_path: Path) -> None:
    task = cosines(200, 50)
    run = fit(plan("regression", algorithm="dfa", epochs=3), task)
    assert run.points[-1].test_loss < run.points[0].test_loss
    with pytest.raises(Refusal) as refused:
        run.test_accuracy  # noqa: B018
    assert str(refused.value) == "regression is a regression and has no error rate; read losses"


def test_train_takes_names_data_sets_and_tasks() -> None:
    run = train("fc50", "drtp", "digits", epochs=10)
    assert run.test_accuracy[-1] > 85
    assert same_runs(run, train("fc50", "drtp", load_images("digits"), epochs=10))
    assert same_runs(run, train("fc50", "drtp", load("digits"), epochs=10))


REFUSED = [
    ({"examples": 200}, "blobs has 100 training examples, not 200; ask for fewer examples"),
    (
        {"held_out": 100, "patience": 1},
        "100 of 100 training examples are held out, which leaves none; hold out fewer",
    ),
    (
        {"network": "conv3k9"},
        "a 9x9 kernel with a 2x2 max-pool does not fit 6x6 inputs; "
        "choose smaller kernels or fewer convolutions",
    ),
]


@pytest.mark.parametrize(("choices", "sentence"), REFUSED)
def test_settings_that_do_not_fit_the_task_are_refused(
    blobs: Task, choices: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(Refusal) as refused:
        fit(settings(**choices), blobs)
    assert str(refused.value) == sentence


def test_vectors_are_neither_flipped_nor_convolved_and_a_regression_has_no_drtp() -> None:
    task = cosines(20, 5)
    for choices, sentence in (
        ({"flip": True}, "regression holds vectors, which cannot be flipped; leave flip out"),
        (
            {"network": "conv3k3"},
            "a convolution needs images, but each example has the shape (256,); "
            "choose a fully-connected network",
        ),
    ):
        with pytest.raises(Refusal) as refused:
            fit(plan("regression", algorithm="bp", **choices), task)
        assert str(refused.value) == sentence
    with pytest.raises(Refusal) as refused:
        fit(plan("regression", algorithm="drtp"), task)
    assert str(refused.value) == (
        "drtp needs class labels, but regression is a regression; choose another algorithm"
    )


def test_a_run_that_diverges_is_refused() -> None:
    task = cosines(50, 10)
    chosen = plan(
        "regression", "fc5", "bp", output="linear", optimiser="sgd", rate=1e6, epochs=9, batch=10,
        activation="linear",
    )  # fmt: skip
    with (
        np.errstate(all="ignore"),
        pytest.raises(Refusal, match=r"^the training diverged, its loss is no number; "),
    ):
        fit(chosen, task)


def test_targets_without_a_row_for_each_example_are_refused() -> None:
    x, target = np.zeros((3, 2), np.float32), np.zeros((2, 2), np.float32)
    with pytest.raises(Refusal) as refused:
        Task("mine", x, target, x, target)
    assert str(refused.value) == (
        "mine: 3 train examples with targets (2, 2); give a row of targets to each example"
    )


def test_backends_that_are_not_there_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Refusal) as refused:
        Backend.of("jax")
    assert str(refused.value) == (
        "there is no backend 'jax'; choose one of numpy, torch, torch:cuda, cupy"
    )
    with pytest.raises(Refusal) as refused:
        Backend.of("numpy", "float16")
    assert str(refused.value) == (
        "there is no float type 'float16'; choose one of float32, float64"
    )
    monkeypatch.setitem(__import__("sys").modules, "array_api_compat.cupy", None)
    with pytest.raises(Refusal) as refused:
        Backend.of("cupy")
    assert str(refused.value) == (
        "backend 'cupy' needs cupy, which is not installed; install it or use the backend 'numpy'"
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_adam_in_one_pass_is_adam_through_the_array_library_to_the_bit(dtype: str) -> None:
    rng, backend = np.random.default_rng(0), Backend.of("numpy", dtype)
    shapes = ((300, 150), (7,))  # more than a block, and less than a vector of the processor
    start = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    ours, theirs = ([array.copy() for array in start] for _ in range(2))
    adams = [Adam(ours, 0.003, backend), Adam(theirs, 0.003, backend, compiled=False)]
    for _ in range(20):
        sizes = 10.0 ** rng.integers(-8, 3)
        slopes = [(sizes * rng.standard_normal(shape)).astype(dtype) for shape in shapes]
        for adam in adams:
            adam.step(slopes)
    for before, one, other in zip(start, ours, theirs, strict=True):
        assert one.tobytes() == other.tobytes() != before.tobytes()
    for name, moment in adams[0].state().items():
        assert moment.tobytes() == adams[1].state()[name].tobytes()


def test_adam_takes_the_steps_of_its_paper() -> None:
    weight, m, v = np.array([0.5]), 0.0, 0.0
    adam = Adam([weight], 0.1, Backend.of("numpy", "float64"))
    wanted = 0.5
    for step, slope in enumerate((0.3, -2.0, 0.01), 1):
        adam.step([np.array([slope])])
        m, v = 0.9 * m + 0.1 * slope, 0.999 * v + 0.001 * slope**2
        wanted -= 0.1 * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)) ** 0.5 + 1e-8)
        assert weight[0] == pytest.approx(wanted, rel=1e-12)


def test_nag_looks_ahead_along_its_momentum() -> None:
    weight = np.array([0.5])
    nag = Nag([weight], 0.1, Backend.of("numpy", "float64"))
    nag.step([np.array([1.0])])  # v = 1
    assert weight[0] == pytest.approx(0.5 - 0.1 * (1 + 0.9))
    nag.step([np.array([-2.0])])  # v = -1.1
    assert weight[0] == pytest.approx(0.31 - 0.1 * (-2 - 0.99))


@pytest.mark.parametrize(("algorithm", "times"), [("dfa", 15), ("drtp", 15), ("bp", 1)])
def test_summed_projections_move_hidden_layers_by_the_batch(
    blobs: Task, algorithm: str, times: int
) -> None:
    moved = []
    for summed in (False, True):
        chosen = settings(
            algorithm=algorithm, optimiser="sgd", epochs=1, examples=15, summed=summed, rate=0.01
        )
        before = Network(chosen, blobs.shape, CLASSES).state()
        after = fit(chosen, blobs).network.state()
        moved.append({name: after[name] - before[name] for name in after})
    mean, total = moved
    np.testing.assert_allclose(total["W1"], times * mean["W1"], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(total["W2"], mean["W2"], rtol=1e-6)

"""The model behind fit, predict and score: what it learns, refuses, saves and resumes."""

import dataclasses
import hashlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score

from model import network
from model.chip import PlainChip
from model.contract.config import ChipConfig
from model.contract.counters import Kind, counters
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.data import load
from model.network import ChipModel, checked_images, plan
from model.sensor.image import sample_words
from model.state import fresh

TINY = preset("tiny")
DIGITS = load("digits")
X, Y = DIGITS.x_train[:60], DIGITS.y_train[:60]


def tiny(epochs: int = 1, seed: int = 3, config: ChipConfig = TINY) -> ChipModel:
    """A small chip that learns quickly."""
    return ChipModel(config, epochs=epochs, seed=seed, engine="plain")


@pytest.fixture(scope="module")
def learned() -> ChipModel:
    """One that has learned."""
    return tiny().fit(X, Y)


def same(left: ChipModel, right: ChipModel) -> bool:
    """Whether two models hold the same, bit for bit."""
    banks = all((left.state_.banks[k] == v).all() for k, v in right.state_.banks.items())
    lfsrs = left.state_.lfsrs == right.state_.lfsrs
    return banks and lfsrs and left.counters_ == right.counters_


class Stop(Exception):
    """Stops a training from within."""


# -- the plan -----------------------------------------------------------------------------------


def test_every_epoch_is_a_permutation_of_its_own() -> None:
    order, _ = plan(TINY, 50, 3, seed=1)
    epochs = order.reshape(3, 50)
    assert (np.sort(epochs, axis=1) == np.arange(50)).all()
    assert (epochs[0] != epochs[1]).any()
    assert (epochs[1] != epochs[2]).any()


def test_the_seed_alone_decides_the_order() -> None:
    assert (plan(TINY, 50, 3, seed=1)[0] == plan(TINY, 50, 3, seed=1)[0]).all()
    assert (plan(TINY, 50, 3, seed=1)[0] != plan(TINY, 50, 3, seed=2)[0]).any()
    assert (plan(TINY, 50, 3, seed=1)[0][:50] == plan(TINY, 50, 1, seed=1)[0]).all()


@pytest.mark.parametrize(("samples", "epochs"), [(50, 2), (7, 1), (3, 1), (1, 1), (13, 5)])
def test_the_schedule_runs_in_equal_parts_over_the_whole_of_training(
    samples: int, epochs: int
) -> None:
    order, rates = plan(TINY, samples, epochs, seed=0)
    total = samples * epochs
    assert len(order) == len(rates) == total
    assert rates.tolist() == [(0, 1, 1, 2, 3)[5 * n // total] for n in range(total)]


# -- learning -----------------------------------------------------------------------------------


def test_fit_is_the_plan_met_by_the_chip(learned: ChipModel) -> None:
    state = fresh(TINY, 3)
    chip = PlainChip(TINY, state)
    for n, rate in zip(*plan(TINY, 60, 1, 3), strict=True):
        chip.take(sample_words(TINY, X[n], int(Y[n]), True, int(rate)))
    assert state.weights_sha256 == learned.state_.weights_sha256
    assert state.lfsrs == learned.state_.lfsrs
    for name, count in learned.counters_.items():
        stage, event = name.split(".")
        assert chip.counts[stage][event] == count


@pytest.mark.parametrize("kept", [0, 1 << 30])
def test_the_fast_engine_learns_the_same(
    learned: ChipModel, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    """Whether or not features are kept from one epoch to the next."""
    monkeypatch.setattr(network, "FEATURE_BYTES", kept)
    fast = ChipModel(TINY, epochs=1, seed=3).fit(X, Y)
    assert same(fast, learned)
    assert (fast.scores(X) == learned.scores(X)).all()


def test_one_engine_goes_on_where_the_other_stopped(
    learned: ChipModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "CHUNK_SAMPLES", 25)
    monkeypatch.setattr(network, "CHECKPOINT_SECONDS", 0.0)

    def until(done: int, planned: int) -> None:
        if done >= 50:
            raise Stop

    with pytest.raises(Stop):
        tiny().fit(X, Y, checkpoint=tmp_path / "a.npz", progress=until)
    fast = ChipModel(TINY, epochs=1, seed=3)
    assert same(fast.fit(X, Y, checkpoint=tmp_path / "a.npz", resume=True), learned)


def test_counters_are_all_that_do_not_depend_on_back_pressure(learned: ChipModel) -> None:
    names = [counter.name for counter in counters(TINY) if counter.kind is not Kind.STALL]
    assert list(learned.counters_) == names
    assert learned.counters_["encode.samples"] == 60
    assert all(type(count) is int for count in learned.counters_.values())


def test_it_learns() -> None:
    model = ChipModel(TINY, epochs=2).fit(DIGITS.x_train, DIGITS.y_train)
    assert model.score(DIGITS.x_test, DIGITS.y_test) > 0.7


def test_classifying_changes_nothing(learned: ChipModel) -> None:
    before, counts = learned.state_.copy(), dict(learned.counters_)
    learned.predict(X)
    assert (learned.state_.banks["hidden1.weights"] == before.banks["hidden1.weights"]).all()
    assert learned.state_.lfsrs == before.lfsrs
    assert learned.counters_ == counts


def test_scores_classes_and_accuracy_agree(learned: ChipModel) -> None:
    scores, classes = learned.scores(X), learned.predict(X)
    assert scores.shape == (60, 10)
    assert 0 <= scores.min() <= scores.max() <= 255
    assert all(scores[n, c] == scores[n].max() for n, c in enumerate(classes))
    assert learned.score(X, Y) == np.mean(classes == Y)


def test_weights_are_those_of_the_state(learned: ChipModel) -> None:
    shapes = {name: codes.shape for name, codes in learned.weights_.items()}
    assert shapes == {"hidden1": (54, 16), "readout": (17, 10)}


def test_fit_starts_anew(learned: ChipModel) -> None:
    model = tiny().fit(X[:20], Y[:20])
    assert same(model.fit(X, Y), learned)


def test_one_channel_may_be_left_out(learned: ChipModel) -> None:
    assert X.shape == (60, 8, 8, 1)
    assert (learned.predict(X[..., 0]) == learned.predict(X)).all()


def test_a_chip_without_learning_hardware_stays_as_it_was() -> None:
    model = tiny(config=preset("tiny", "none")).fit(X[:5], Y[:5])
    assert (model.weights_["hidden1"] == fresh(TINY, 3).weights["hidden1"]).all()


def test_progress_starts_where_training_does_and_ends_with_it() -> None:
    told: list[tuple[int, int]] = []
    tiny(epochs=2).fit(X, Y, progress=lambda done, planned: told.append((done, planned)))
    assert told == [(0, 120), (120, 120)]


# -- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"seed": -1}, "seed must be 0 to 4294967295, not -1"),
        ({"seed": 1 << 32}, "seed must be 0 to 4294967295, not 4294967296"),
        ({"engine": "warp"}, "engine must be one of fast, plain, not 'warp'"),
    ],
)
def test_choices_out_of_range_are_refused(choices: dict[str, Any], message: str) -> None:
    with pytest.raises(Refusal) as refusal:
        ChipModel(TINY, **choices)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (X / 255, "images must be uint8 levels 0..255, not float64; convert them first"),
        (X.astype(int), "images must be uint8 levels 0..255, not int64; convert them first"),
        (
            X.reshape(60, 64),
            "images must be (N, 8, 8) or (N, 8, 8, 1) for the chip tiny, not (60, 64)",
        ),
        (
            X[:, :7],
            "images must be (N, 8, 8) or (N, 8, 8, 1) for the chip tiny, not (60, 7, 8, 1)",
        ),
        (X[0], "images must be (N, 8, 8) or (N, 8, 8, 1) for the chip tiny, not (8, 8, 1)"),
        (X[:0], "there are no images; give one or more"),
    ],
)
def test_other_images_are_refused(learned: ChipModel, x: NDArray[Any], message: str) -> None:
    for refused in (lambda: learned.predict(x), lambda: tiny().fit(x, Y)):
        with pytest.raises(Refusal) as refusal:
            refused()
        assert str(refusal.value) == message


def test_a_colour_chip_refuses_grey_images() -> None:
    with pytest.raises(Refusal) as refusal:
        checked_images(preset("conv-cifar"), np.zeros((2, 32, 32), np.uint8))
    message = "images must be (N, 32, 32, 3) for the chip conv-cifar, not (2, 32, 32)"
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (Y.astype(float), "labels must be integers, not float64; number the classes"),
        (Y > 3, "labels must be integers, not bool; number the classes"),
        (Y.astype(str), "labels must be integers, not <U21; number the classes"),
        (Y[:-1], "labels must be (60,), one an image, not (59,)"),
        (Y[:, None], "labels must be (60,), one an image, not (60, 1)"),
        (Y + 1, "labels must be 0..9 for the chip tiny, not 10"),
        (Y - 1, "labels must be 0..9 for the chip tiny, not -1"),
    ],
)
def test_other_labels_are_refused(learned: ChipModel, y: NDArray[Any], message: str) -> None:
    for refused in (lambda: learned.score(X, y), lambda: tiny().fit(X, y)):
        with pytest.raises(Refusal) as refusal:
            refused()
        assert str(refusal.value) == message


def test_what_has_not_learned_cannot_classify(tmp_path: Path) -> None:
    model = tiny()
    message = "this model has learned nothing yet; call fit or load first"
    for refused in (
        lambda: model.predict(X),
        lambda: model.weights_,
        lambda: model.save(tmp_path / "a.npz"),
    ):
        with pytest.raises(Refusal) as refusal:
            refused()
        assert str(refusal.value) == message
    assert not os.listdir(tmp_path)


# -- save and load ------------------------------------------------------------------------------


def test_a_saved_model_comes_back(learned: ChipModel, tmp_path: Path) -> None:
    learned.save(tmp_path / "a.npz")
    model = ChipModel.load(tmp_path / "a.npz", TINY)
    assert same(model, learned)
    assert (model.config, model.epochs, model.seed) == (TINY, 1, 3)
    assert (model.predict(X) == learned.predict(X)).all()


def test_the_same_state_gives_the_same_bytes(learned: ChipModel, tmp_path: Path) -> None:
    learned.save(tmp_path / "a.npz")
    ChipModel.load(tmp_path / "a.npz").save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_nothing_in_the_file_is_pickled(learned: ChipModel, tmp_path: Path) -> None:
    learned.save(tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert all(file[name].dtype.kind in "iU" for name in file.files)


def refused_file(path: Path) -> str:
    """Why a file is refused."""
    with pytest.raises(Refusal) as refusal:
        ChipModel.load(path)
    assert "\n" not in str(refusal.value)
    return str(refusal.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    assert refused_file(path) == f"cannot read {path}: No such file or directory; check the path"


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(learned: ChipModel, tmp_path: Path, share: float) -> None:
    path = tmp_path / "a.npz"
    learned.save(path)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert refused_file(path) == f"{path} is truncated or no .npz file; train the model again"


def test_a_file_with_any_byte_changed_never_loads_as_another_model(
    learned: ChipModel, tmp_path: Path
) -> None:
    """Where a change lies in bytes that say nothing, the model is the same; else it is refused."""
    path = tmp_path / "a.npz"
    learned.save(path)
    content = path.read_bytes()
    refused = 0
    for at in range(0, len(content), 23):
        path.write_bytes(content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :])
        try:
            assert same(ChipModel.load(path), learned)
        except Refusal:
            refused += 1
    assert refused > len(content) / 23 / 2


def test_arrays_of_something_else_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, x=X, y=Y)
    message = f"{path} is no saved model, or damaged: it lacks about"
    assert refused_file(path) == message


def changed(learned: ChipModel, path: Path, **about: Any) -> None:
    """Save a model with parts of what it says about itself changed; None leaves them out."""
    learned.save(path)
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    told = json.loads(str(arrays["about"])) | about
    arrays["about"] = np.array(json.dumps({k: v for k, v in told.items() if v is not None}))
    np.savez(path, allow_pickle=False, **arrays)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"epochs": None}, "it lacks epochs"),
        ({"seed": -1}, "its counts are no numbers"),
        ({"samples": 2.5}, "its counts are no numbers"),
        ({"seed": 1 << 32}, "seed must be 0 to 4294967295, not 4294967296"),
        ({"config": preset("tiny").to_dict() | {"height": 0}}, "height must be 1 to 1024, not 0"),
        (
            {"config": preset("digits").to_dict()},
            "conv1.kernels.bank must be (8, 1, 3, 3) integers, not (6, 1, 3, 3) int16",
        ),
        ({"counters": {}}, "it lacks encode.events"),
    ],
)
def test_a_file_that_contradicts_itself_is_refused(
    learned: ChipModel, tmp_path: Path, about: dict[str, Any], message: str
) -> None:
    path = tmp_path / "a.npz"
    changed(learned, path, **about)
    assert refused_file(path) == f"{path} is no saved model, or damaged: {message}"


def test_a_model_of_another_chip_is_refused(learned: ChipModel, tmp_path: Path) -> None:
    path, other = tmp_path / "a.npz", preset("digits")
    learned.save(path)
    with pytest.raises(Refusal) as refusal:
        ChipModel.load(path, other)
    assert str(refusal.value) == (
        f"{path} holds a model of the chip tiny ({TINY.sha256[:8]}), not of digits "
        f"({other.sha256[:8]}); give the configuration that it was trained with"
    )


def test_an_unfinished_training_is_no_model(learned: ChipModel, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    changed(learned, path, samples=20)
    message = f"{path} holds an unfinished training, 20 of 60 samples; finish it with --resume"
    assert refused_file(path) == message


# -- resuming -----------------------------------------------------------------------------------


def test_training_goes_on_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "CHUNK_SAMPLES", 7)
    monkeypatch.setattr(network, "CHECKPOINT_SECONDS", 0.0)
    whole, parts = tmp_path / "whole.npz", tmp_path / "parts.npz"
    model = tiny(epochs=2).fit(X, Y, checkpoint=whole)
    for stop in (30, 60, 61, 110):

        def until(done: int, planned: int, stop: int = stop) -> None:
            if done >= stop:
                raise Stop

        with pytest.raises(Stop):
            tiny(epochs=2).fit(X, Y, checkpoint=parts, resume=True, progress=until)
    resumed = tiny(epochs=2).fit(X, Y, checkpoint=parts, resume=True)
    assert same(resumed, model)
    assert parts.read_bytes() == whole.read_bytes()


def test_a_finished_training_has_nothing_to_go_on_with(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    model = tiny().fit(X, Y, checkpoint=path)
    content, told = path.read_bytes(), []
    again = tiny().fit(X, Y, checkpoint=path, resume=True, progress=lambda *at: told.append(at))
    assert same(again, model)
    assert told == [(60, 60)]
    assert path.read_bytes() == content


def test_resuming_from_nothing_starts(learned: ChipModel, tmp_path: Path) -> None:
    assert same(tiny().fit(X, Y, checkpoint=tmp_path / "a.npz", resume=True), learned)


def test_without_resuming_training_starts_anew(learned: ChipModel, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    changed(learned, path, samples=20)
    assert same(tiny().fit(X, Y, checkpoint=path), learned)


@pytest.mark.parametrize(
    ("other", "what"),
    [
        (lambda: (tiny(config=preset("tiny", "dfa")), X, Y), "chip"),
        (lambda: (tiny(epochs=2), X, Y), "number of epochs"),
        (lambda: (tiny(seed=4), X, Y), "seed"),
        (lambda: (tiny(), X[::-1], Y), "training data"),
        (lambda: (tiny(), X, Y[::-1]), "training data"),
    ],
)
def test_another_training_cannot_be_resumed(
    learned: ChipModel, tmp_path: Path, other: Any, what: str
) -> None:
    path = tmp_path / "a.npz"
    learned.save(path)
    content = path.read_bytes()
    model, x, y = other()
    with pytest.raises(Refusal) as refusal:
        model.fit(x, y, checkpoint=path, resume=True)
    assert str(refusal.value) == (
        f"{path} cannot be resumed: its {what} differs; choose another path, or start anew "
        f"without resuming"
    )
    assert path.read_bytes() == content


KILLED = """
import os, signal, sys
from model import network
from model.contract.presets import preset
from model.data import load

network.CHUNK_SAMPLES = 11
network.CHECKPOINT_SECONDS = 0.0
data = load("digits")

def progress(done, planned):
    if done >= 77:
        os.kill(os.getpid(), signal.SIGKILL)

network.ChipModel(preset("tiny"), epochs=2, seed=3, engine="plain").fit(
    data.x_train[:60], data.y_train[:60], checkpoint=sys.argv[1], progress=progress
)
"""


def test_training_survives_being_killed(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert zipfile.is_zipfile(path)
    resumed = tiny(epochs=2).fit(X, Y, checkpoint=path, resume=True)
    assert resumed.samples_ == 120
    assert same(resumed, tiny(epochs=2).fit(X, Y))


def test_the_hash_of_training_data_sees_images_and_labels() -> None:
    hashes = {
        network._sha256(X, Y),
        network._sha256(X[::-1], Y),
        network._sha256(X, Y[::-1]),
    }
    assert len(hashes) == 3
    expected = hashlib.sha256(X.tobytes() + Y.astype("<i8").tobytes()).hexdigest()
    assert network._sha256(X, Y) == expected


def test_other_kernels_under_the_same_name_are_refused(tmp_path: Path) -> None:
    """A file of kernels that changed between two runs: the second would mix both."""
    bank = tmp_path / "kernels.npy"
    (stage,) = TINY.conv
    config = dataclasses.replace(TINY, conv=(dataclasses.replace(stage, bank=str(bank)),))
    np.save(bank, fresh(TINY, 0).banks["conv1.kernels"])
    before = config.sha256
    tiny(config=config).fit(X, Y, checkpoint=tmp_path / "a.npz")
    np.save(bank, -fresh(TINY, 0).banks["conv1.kernels"])
    assert config.sha256 != before
    with pytest.raises(Refusal, match="cannot be resumed: its bank of kernels differs"):
        tiny(config=config).fit(X, Y, checkpoint=tmp_path / "a.npz", resume=True)


def test_a_training_longer_than_memory_is_refused() -> None:
    with pytest.raises(
        Refusal, match=r"a training of 60 samples x 10000000000 epochs takes 24,000,000,"
    ):
        tiny(epochs=10**10).fit(X, Y)


def test_a_clone_has_the_parameters_and_nothing_learned(learned: ChipModel) -> None:
    copy = clone(learned)
    assert copy.get_params() == learned.get_params()
    with pytest.raises(Refusal):
        copy.predict(X)


def test_cross_validation_trains_a_chip_a_fold() -> None:
    data = load("digits")
    x, y = data.x_train[:300], data.y_train[:300]
    folds = KFold(3)
    shares = cross_val_score(ChipModel(preset("digits"), epochs=1), x, y, cv=folds)
    for share, (train, test) in zip(shares, folds.split(x), strict=True):
        own = ChipModel(preset("digits"), epochs=1).fit(x[train], y[train])
        assert share == own.score(x[test], y[test])


def test_a_grid_search_finds_the_chip_and_the_epochs() -> None:
    data = load("digits")
    x, y = data.x_train[:300], data.y_train[:300]
    configs = [preset("digits"), preset("digits", "none")]
    search = GridSearchCV(
        ChipModel(configs[0]), {"config": configs, "epochs": [1, 3]}, cv=2, error_score="raise"
    )
    search.fit(x, y)
    assert search.best_params_ == {"config": configs[0], "epochs": 3}
    assert search.best_estimator_.samples_ == 900
    assert (search.predict(x) == search.best_estimator_.predict(x)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epoch": 2}, "there is no parameter 'epoch'; choose config, epochs, seed, engine"),
        ({"seed": 5, "epochs": 0}, "epochs must be at least 1, not 0"),
    ],
)
def test_refused_parameters_change_nothing(changes: dict[str, Any], message: str) -> None:
    model = tiny()
    before = model.get_params()
    with pytest.raises(Refusal) as refusal:
        model.set_params(**changes)
    assert str(refusal.value) == message
    assert model.get_params() == before

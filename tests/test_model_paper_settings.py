"""Settings and topologies: the paper's choices by default, and refusals."""

from typing import Any

import pytest

from model.contract.refusal import Refusal
from model.paper.settings import ALGORITHMS, INITS, plan, published_rate
from model.paper.topology import Convolution, FullyConnected, family, parse


def test_the_papers_settings_are_the_defaults() -> None:
    for algorithm in ALGORITHMS:
        mnist = plan("mnist", "fc1-500", algorithm)
        assert (mnist.epochs, mnist.batch, mnist.loss, mnist.output) == (100, 60, "bce", "sigmoid")
        assert (mnist.activation, mnist.optimiser, mnist.init) == ("tanh", "adam", "he")
        cifar = plan("cifar10", "fc2-1000", algorithm)
        assert (cifar.epochs, cifar.batch) == (200, 100)
    for data, output, loss in (("regression", "tanh", "mse"), ("synthetic", "sigmoid", "bce")):
        chosen = plan(data, algorithm="dfa")
        assert (chosen.epochs, chosen.batch, chosen.rate) == (500, 50, 5e-4)
        assert (chosen.output, chosen.loss, chosen.zero) == (output, loss, True)
        assert not plan(data, algorithm="bp").zero
        assert not plan(data, algorithm="shallow").zero


def test_rates_are_table_3() -> None:
    assert published_rate("mnist", "fc1-1000", "bp") == 1.5e-4
    assert published_rate("fashion-mnist", "fc1-500", "shallow") == 1.5e-2
    assert published_rate("mnist", "fc2-500", "dfa") == 5e-4
    assert published_rate("mnist", "conv-random", "sdfa") == 5e-4
    assert published_rate("mnist", "conv-trained", "fa") == 5e-5
    assert published_rate("cifar10", "fc1-500", "drtp") == 1.5e-4
    assert published_rate("cifar10-jpeg", "conv-trained", "bp") == 1.5e-4


def test_a_configuration_is_told_from_another_by_its_hash() -> None:
    one = plan("mnist", "fc1-500", "drtp")
    assert one.hash == plan("mnist", "fc1-500", "drtp").hash
    assert one.hash != plan("mnist", "fc1-500", "drtp", seed=1).hash
    assert len(one.hash) == 12


def test_names_and_strings_build_the_same_networks() -> None:
    assert parse("fc1-500") == parse("fc500") == (FullyConnected(500),)
    assert parse("fc2-1000") == (FullyConnected(1000), FullyConnected(1000))
    assert parse("conv-trained") == (Convolution(32, 5, 1, 2, True), FullyConnected(1000))
    assert parse("conv-random", colours=3) == (
        Convolution(64, 3, 1, 1, False),
        Convolution(256, 3, 1, 1, False),
        FullyConnected(1000),
        FullyConnected(1000),
    )
    assert parse("conv8k5")[0] == Convolution(8, 5, 1, 0, True)
    assert parse("randconv8k3s2p1-fc9")[0] == Convolution(8, 3, 2, 1, False)


def test_a_family_is_a_row_of_table_3() -> None:
    families = {
        "fc77": "fc1",
        "fc2-100": "fc2",
        "fc9-fc8-fc7": "fc2",
        "randconv4k3-fc9": "conv-random",
        "randconv4k3-conv4k3-fc9": "conv-trained",
    }
    assert {network: family(network) for network in families} == families


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"algorithm": "rtrl"},
        "there is no algorithm 'rtrl'; choose one of bp, fa, dfa, sdfa, drtp, shallow",
    ),
    ({"loss": "hinge"}, "there is no loss 'hinge'; choose one of bce, ce, mse"),
    (
        {"output": "tanh"},
        "loss 'bce' does not go with output 'tanh'; choose sigmoid",
    ),
    (
        {"activation": "softmax"},
        "there is no hidden activation 'softmax'; choose one of tanh, sigmoid, relu, linear",
    ),
    ({"optimiser": "lion"}, "there is no optimiser 'lion'; choose one of adam, sgd, nag"),
    ({"init": "zeros"}, f"there is no init 'zeros'; choose one of {', '.join(INITS)}"),
    ({"epochs": 0}, "epochs must be at least 1, not 0"),
    ({"batch": -1}, "batch must be at least 1, not -1"),
    ({"seed": -1}, "seed must not be negative, but is -1"),
    ({"rate": 0.0}, "rate must be above 0, not 0.0"),
    ({"dropout": 1.0}, "dropout must be at least 0 and below 1, not 1.0"),
    (
        {"patience": 3},
        "early stopping needs both patience (epochs) and held_out (examples to judge by); "
        "give both or neither",
    ),
    (
        {"network": "fc5-gru9"},
        "network 'fc5-gru9' has no layer 'gru9' to build; write fc1-N, fc2-N, conv-random, "
        "conv-trained, or layers such as fc500 and conv32k5s1p2",
    ),
    (
        {"network": "fc5-conv3k3"},
        "network 'fc5-conv3k3' has a convolution after a fully-connected layer; "
        "put the convolutions first",
    ),
    (
        {"network": "conv-trained", "algorithm": "shallow", "rate": 0.1},
        "shallow learning trains no kernels, but 'conv-trained' asks for trained ones; "
        "choose conv-random or randconv layers",
    ),
    (
        {"network": "conv-trained", "algorithm": "shallow"},
        "the paper names no learning rate for shallow on data 'mnist' with network "
        "'conv-trained'; give a rate",
    ),
    (
        {"data": "mine"},
        "the paper names no learning rate for drtp on data 'mine' with network 'fc1-500'; "
        "give a rate",
    ),
    (
        {"network": None, "data": "cifar10"},
        "data 'cifar10' has no network of its own; name one, such as fc1-500",
    ),
]


@pytest.mark.parametrize(("choices", "sentence"), REFUSED)
def test_what_cannot_be_is_refused(choices: dict[str, Any], sentence: str) -> None:
    filled = {"data": "mnist", "network": "fc1-500", **choices}
    with pytest.raises(Refusal) as refused:
        plan(**filled)
    assert str(refused.value) == sentence


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(Refusal, match=r"^there is no setting 'momentum'; choose among data, "):
        plan("mnist", "fc1-500", momentum=0.9)

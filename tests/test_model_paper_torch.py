"""The same code on torch, and against torch's own autograd."""

from typing import Any

import numpy as np
import pytest

from model.paper.algorithm import gradients, signals
from model.paper.network import Network
from model.paper.settings import ALGORITHMS, plan
from model.paper.task import Task, one_hot
from model.paper.training import fit

torch = pytest.importorskip("torch", reason="torch is not installed: no second opinion")

CLASSES = 4


def random_task(shape: tuple[int, ...], count: int = 40) -> Task:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2 * count, *shape)).astype(np.float32)
    target = one_hot(rng.integers(CLASSES, size=2 * count), CLASSES)
    return Task("random", x[:count], target[:count], x[count:], target[count:])


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("loss", ["bce", "ce", "mse"])
def test_bp_gradients_are_autograds(activation: str, loss: str) -> None:
    functional = torch.nn.functional
    output = {"bce": "sigmoid", "ce": "softmax", "mse": "tanh"}[loss]
    chosen = plan(
        "mnist", "conv3k3s2p1-fc5", "bp", activation=activation, loss=loss, output=output,
        dtype="float64", rate=0.1,
    )  # fmt: skip
    shape = (9, 8, 2)
    network = Network(chosen, shape, CLASSES)
    task = random_task(shape)
    x, target = task.x_train.astype(np.float64), task.target_train.astype(np.float64)
    activities = network.forward(x)
    found = gradients(network, activities, signals("bp", network, activities, target))

    parameters = [torch.tensor(array, requires_grad=True) for array in network.parameters()]
    kernels, shifts, w2, b2, w3, b3 = parameters
    f = getattr(torch, activation)
    images = torch.tensor(x).permute(0, 3, 1, 2)
    y = f(functional.conv2d(images, kernels.permute(0, 3, 1, 2), shifts, stride=2, padding=1))
    y = functional.max_pool2d(y, 2).permute(0, 2, 3, 1).flatten(1)
    z = functional.linear(f(functional.linear(y, w2, b2)), w3, b3)
    wanted = torch.tensor(target)
    if loss == "bce":
        value = functional.binary_cross_entropy(torch.sigmoid(z), wanted)
    elif loss == "ce":
        value = functional.cross_entropy(z, wanted) / CLASSES
    else:
        value = functional.mse_loss(torch.tanh(z), wanted)
    value.backward()
    assert float(np.mean(network.loss.of(activities[-1].y, target))) == pytest.approx(value.item())
    for ours, theirs in zip(found, parameters, strict=True):
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_fa_gradients_are_autograds_with_its_matrices_on_the_way_back() -> None:
    class Linear(torch.autograd.Function):  # type: ignore[name-defined]
        """x W^T + b forwards, through B instead of W backwards."""

        @staticmethod
        def forward(ctx: Any, x: Any, weights: Any, bias: Any, matrix: Any) -> Any:
            ctx.save_for_backward(x, matrix)
            return x @ weights.T + bias

        @staticmethod
        def backward(ctx: Any, slope: Any) -> Any:
            x, matrix = ctx.saved_tensors
            return slope @ matrix, slope.T @ x, slope.sum(0), None

    chosen = plan("mnist", "fc6-fc5", "fa", dtype="float64")
    task = random_task((7,))
    network = Network(chosen, task.shape, CLASSES)
    x, target = task.x_train.astype(np.float64), task.target_train.astype(np.float64)
    activities = network.forward(x)
    found = gradients(network, activities, signals("fa", network, activities, target))
    parameters = [torch.tensor(array, requires_grad=True) for array in network.parameters()]
    matrices = [
        torch.zeros(6, 7, dtype=torch.float64),
        *(torch.tensor(matrix) for matrix in network.feedback[1:]),
    ]
    y = torch.tensor(x)
    for k, f in enumerate((torch.tanh, torch.tanh, torch.sigmoid)):
        y = f(Linear.apply(y, *parameters[2 * k : 2 * k + 2], matrices[k]))
    torch.nn.functional.binary_cross_entropy(y, torch.tensor(target)).backward()
    for ours, theirs in zip(found, parameters, strict=True):
        np.testing.assert_allclose(ours, theirs.grad.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("optimiser", ["adam", "nag"])
def test_an_optimiser_takes_torchs_steps(optimiser: str) -> None:
    chosen = plan(
        "mnist", "fc5", "bp", dtype="float64", epochs=3, batch=10, rate=0.01, optimiser=optimiser
    )
    task = random_task((6,))
    network = Network(chosen, task.shape, CLASSES)
    parameters = [torch.tensor(array.copy(), requires_grad=True) for array in network.parameters()]
    w1, b1, w2, b2 = parameters
    theirs = {
        "adam": lambda: torch.optim.Adam(parameters, lr=0.01),
        "nag": lambda: torch.optim.SGD(parameters, lr=0.01, momentum=0.9, nesterov=True),
    }[optimiser]()
    order = np.arange(40)
    for _ in range(3):
        for start in range(0, 40, 10):
            batch = slice(start, start + 10)
            y = torch.tanh(torch.tensor(task.x_train[batch], dtype=torch.float64) @ w1.T + b1)
            y = torch.sigmoid(y @ w2.T + b2)
            wanted = torch.tensor(task.target_train[batch], dtype=torch.float64)
            theirs.zero_grad()
            torch.nn.functional.binary_cross_entropy(y, wanted).backward()
            theirs.step()
    fit(chosen, task, prepared=network, order=lambda epoch: order)
    for ours, others in zip(network.parameters(), parameters, strict=True):
        np.testing.assert_allclose(ours, others.detach().numpy(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_run_on_torch_is_the_run_on_numpy(algorithm: str) -> None:
    task = random_task((8, 8, 1))
    kernels = "randconv" if algorithm == "shallow" else "conv"
    runs = [
        fit(
            plan(
                "mnist", f"{kernels}3k3s1p1-fc6", algorithm, epochs=2, batch=15, rate=0.01,
                dropout=0.2, flip=True, dtype="float64", backend=backend,
            ),
            task,
        )
        for backend in ("numpy", "torch")
    ]  # fmt: skip
    ours, theirs = (run.network.state() for run in runs)
    for name in ours:
        np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-7, atol=1e-10)
    assert runs[0].test_accuracy == pytest.approx(runs[1].test_accuracy)

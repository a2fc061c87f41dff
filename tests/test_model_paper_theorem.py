"""The lemma and the theorem hold on the network that is trained."""

import pytest

from model.contract.refusal import Refusal
from model.paper.theorem import check


@pytest.mark.parametrize("loss", ["bce", "ce"])
@pytest.mark.parametrize("hidden", [(20,), (20, 15), (20, 15, 10), (12, 12, 12, 12)])
def test_lemma_and_theorem_hold_at_every_step(loss: str, hidden: tuple[int, ...]) -> None:
    for seed in range(3):
        evidence = check(hidden=hidden, loss=loss, seed=seed)
        layers = len(hidden) + 1
        assert all(seen.residual < 1e-9 for seen in evidence)
        assert all(seen.smallest >= 0 for seen in evidence)
        taught = [seen for seen in evidence if seen.angle is not None]
        assert evidence[layers - 1] in taught
        assert not any(seen in taught for seen in evidence[: layers - 1])
        for seen in taught:
            assert seen.smallest > 0
            assert min(seen.factors) > 0
            assert seen.angle is not None and seen.angle < 90


def test_sizes_and_losses_of_another_kind_are_refused() -> None:
    with pytest.raises(Refusal) as refused:
        check(loss="mse")
    assert str(refused.value) == (
        "the theorem is about the losses bce and ce, not 'mse'; choose one"
    )
    with pytest.raises(Refusal) as refused:
        check(hidden=(0,))
    assert str(refused.value) == (
        "layers, inputs, outputs and steps must be at least 1; give larger ones"
    )

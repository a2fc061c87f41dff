"""sim/trust/formal: the prover proves what holds, and nothing else."""

from types import ModuleType

import pytest
from amaranth.hdl import Module, Signal

from model.contract.refusal import Refusal
from sim.trust.formal.proof import Claim, Subject, asked, broken, prove
from sim.trust.formal.subjects import SUBJECTS
from sim.trust.formal.watch import Watch

pytestmark = pytest.mark.formal


def counting(limit: int) -> Watch:
    """A counter that steps when it is told to, and ends at five."""
    m = Module()
    count, step = Signal(4, name="count"), Signal(name="step")
    with m.If(step & (count != 5)):
        m.d.sync += count.eq(count + 1)
    w = Watch(m)
    w.inputs.append(step)
    w.claims["limit"] = count <= limit
    w.scenes |= {"five": count == 5, "six": count == 6}
    return w


def test_the_solver_tells_what_holds_from_what_does_not() -> None:
    questions = [
        "-tempinduct -maxsteps 3 -prove claim_limit 1",
        "-seq 8 -prove scene_five 0",
        "-seq 8 -prove scene_six 0",
    ]
    assert asked(counting(5), questions) == [True, False, True]
    assert asked(counting(4), questions[:1]) == [False]


def test_a_claim_that_only_held_so_far_is_not_proved() -> None:
    """Nine is never reached, but a count above five would count up to it: no step of induction."""
    watch = counting(5)
    watch.claims["limit"] = watch.inside("count") != 9
    questions = ["-tempinduct -maxsteps 3 -prove holds 1", "-seq 12 -prove holds 1"]
    assert asked(watch, questions) == [False, True]


@pytest.mark.parametrize("name", ["queue", "walk"])
def test_a_component_is_proved_and_its_twins_fail(name: str) -> None:
    (subject,) = (subject for subject in SUBJECTS if subject.name == name)
    proofs = prove(subject)
    assert [proof.says for proof in proofs] == [claim.says for claim in subject.claims.values()]
    assert {proof.verdict for proof in proofs} == {"proved"}


def test_a_twin_that_changes_nothing_is_told() -> None:
    """So is a scene that never comes."""
    (walk,) = (subject for subject in SUBJECTS if subject.name == "walk")

    def watch(rtl: ModuleType) -> Watch:
        w = walk.watch(rtl)
        w.scenes["beyond"] = w.inside("at_2") == 3
        return w

    same = {name: Claim("", "at.eq(at + 1)", "at.eq(1 + at)") for name in walk.claims}
    found = prove(Subject("walk", walk.module, watch, same, walk.depth))
    assert [(p.proved, p.missing, p.twin_fails) for p in found] == [(True, ["beyond"], False)] * 3
    assert not any(proof.good for proof in found)


def test_a_twin_needs_its_line() -> None:
    with pytest.raises(Refusal, match="has not once `no such line`"):
        broken("rtl.walk", Claim("", "no such line", ""))

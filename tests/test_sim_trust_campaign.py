"""sim/trust/batch.py and campaign.py: many mutants in a chip, each seen by checks with names."""

import os
from functools import partial

import pytest

from model.contract.refusal import Refusal
from sim.trust import campaign, sabotage
from sim.trust.batch import INTACT, Mutant, chosen, draw, merged
from sim.trust.campaign import Fate, _alone, differing, figures, look, table


@pytest.mark.slow
def test_mutants_are_drawn_by_seed_over_modules_and_bus() -> None:
    one, again = draw(sabotage.emission(), 60, 1), draw(sabotage.emission(), 60, 1)
    assert one == again
    assert [mutant.number for mutant in one] == list(range(1, 61))
    assert len({mutant.command for mutant in one}) == 60
    rooms = {mutant.module.split(".")[1] for mutant in one if "." in mutant.module}
    assert {"registers", "counters"} < rooms and len(rooms) > 4


@pytest.mark.slow
def test_a_batch_holds_the_intact_chip_and_mutants_that_checks_see() -> None:
    mutants = draw(sabotage.emission(), 40, 3)
    batch, run = merged(sabotage.emission(), mutants), sabotage.expected()
    intact = look(batch, run, INTACT)
    assert differing(run, intact, intact) == ()
    assert look(batch, run, INTACT).answers == intact.answers
    fates = [
        Fate(mutant, _alone(partial(campaign.sighted, batch, run, intact, mutant.number)))
        for mutant in mutants[:20]
    ]
    killed = [fate for fate in fates if fate.seen_by]
    assert len(killed) > 8
    assert {name for fate in killed for name in fate.seen_by} & set(run.trace.records)
    assert figures(fates, 3)["killed"] == len(killed)
    assert table(fates).row_count == len({fate.mutant.module for fate in fates})


def test_what_never_ends_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "CPU_SECONDS", 1)

    def forever() -> tuple[str, ...]:
        while True:
            pass

    assert _alone(forever) == ("never ends",)
    assert _alone(lambda: ("answers",)) == ("answers",)


def test_a_mutant_is_chosen_for_the_benches_that_are_opened_within() -> None:
    with chosen(7):
        assert os.environ["DRTP_MUTANT"] == "7"
    assert "DRTP_MUTANT" not in os.environ


def test_a_chip_that_fails_unchanged_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "draw", lambda *_: [Mutant(1, "top", "", "inv", "")])
    monkeypatch.setattr(campaign, "merged", lambda emission, _: emission)
    monkeypatch.setattr(campaign, "look", lambda *_: None)
    monkeypatch.setattr(campaign, "differing", lambda *_: ("answers",))
    with pytest.raises(Refusal, match=r"does not pass \(answers\)"):
        next(campaign.campaign(1, 0))

"""sim/trust/soak.py: random chips on every rung; a planted fault is found, made small and kept."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from joblib import parallel_config

from model.contract.choices import Rule
from model.contract.reading import from_dict
from model.contract.refusal import Refusal
from model.fast.engine import FastChip
from sim.trust import soak as soaking
from sim.trust.soak import Case, drawn, keep, read, run, shrunk, soak


def legal(choices: dict[str, Any]) -> bool:
    try:
        from_dict(choices)
    except Refusal:
        return False
    return True


def test_a_seed_is_a_case_and_cases_are_diverse() -> None:
    cases = [drawn(seed) for seed in range(400)]
    assert drawn(7) == cases[7]
    chips = [case.choices for case in cases]
    share = sum(map(legal, chips)) / len(chips)
    assert 0.7 < share < 1
    assert {chip["learning"]["rule"] for chip in chips} == set(map(str, Rule))
    assert {len(chip["conv"]) for chip in chips} == {0, 1, 2}
    assert {len(chip["hidden"]) for chip in chips} == {1, 2}
    assert {1, 32} <= {chip["lanes"] for chip in chips}
    assert {case.simulator for case in cases} == set(soaking.SIMULATORS)
    assert any("inhibition" in stage for chip in chips for stage in chip["conv"])


def small(seed: int, simulator: str = "cxxrtl") -> Case:
    """A drawn case on a chip that is soon built."""
    learning = {"rule": "drtp", "lfsr_bits": 16, "schedule": [0, 1], "density": 2}
    choices = {
        **{"name": "soak", "height": 3, "width": 4, "lanes": 1, "counters": False},
        "hidden": [{"neurons": 4, "shift": 2, "rate_shift": 4, "threshold": 64, "spread": 1}],
        "readout": {"classes": 3, "shift": 4, "rate_shift": 6},
        "learning": learning,
    }
    return Case(seed, choices, simulator, 0.3, 4)


@pytest.mark.sim
def test_a_legal_chip_is_equal_on_all_rungs() -> None:
    outcome = run(small(3))
    assert (outcome.verdict, outcome.told) == ("equal", "")
    assert outcome.values > 100


def test_an_illegal_chip_is_refused_in_a_sentence() -> None:
    case = small(3)
    outcome = run(dataclasses.replace(case, choices={**case.choices, "lanes": 99}))
    assert outcome.verdict == "refused"
    assert outcome.told == "lanes must be 1 to 32, not 99"


def test_a_fault_is_found_made_small_and_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fast engine forgets its last update: no hardware runs, since it is compared first."""
    right = FastChip.run

    def wrong(self: FastChip, *given: Any, **more: Any) -> Any:
        found = right(self, *given, **more)
        self.state.banks["hidden1.weights"][0, 0] ^= 1
        return found

    monkeypatch.setattr(FastChip, "run", wrong)
    case = small(5)
    outcome = run(case)
    assert outcome.verdict == "different"
    assert outcome.told.startswith("the fast engine:")
    smaller = shrunk(case)
    assert smaller.samples < case.samples
    assert smaller.choices["height"] <= case.choices["height"]
    path = keep(smaller, outcome, tmp_path)
    assert read(path) == smaller
    assert run(read(path)).failed


def test_a_crash_is_told_with_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*given: Any, **more: Any) -> None:
        raise ZeroDivisionError("somewhere")

    monkeypatch.setattr(FastChip, "run", crash)
    outcome = run(small(5))
    assert outcome.verdict == "broken"
    assert "ZeroDivisionError: somewhere" in outcome.told


def test_many_cases_are_counted_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soaking, "run", lambda case: soaking.Outcome(
        case.seed, "equal", "", case.choices, case.simulator, 10
    ))  # fmt: skip
    with parallel_config(n_jobs=1):
        found = soak(1000, 1.0, 12)
    assert found.figures()["outcomes"] == {"equal": 12}
    assert found.values == 120
    assert sum(found.rules.values()) == 12


@pytest.mark.parametrize("text", ["", "{", "[]", '{"seed": 1}', "[" * 100_000])
def test_a_file_that_holds_no_case_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "case.json"
    path.write_text(text)
    with pytest.raises(Refusal, match="holds no case"):
        read(path)

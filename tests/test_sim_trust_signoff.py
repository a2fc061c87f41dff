"""sim/trust/signoff.py: a claim stands on checks that ran; a gone test or check turns it red."""

import json
from pathlib import Path

import pytest

from model.contract.refusal import Refusal
from sim.trust.signoff import PLAN, State, is_green, signed, told, uncarried, write

PLAN_TEXT = """
[[claim]]
text = "It adds"
where = "README"
command = "make add"
tests = ["test_sums::test_it_adds"]

[[claim]]
text = "It was long"
where = "DESIGN 1"
records = [{ file = "results/long.json", says = { mismatches = 0, "run.seed" = 3 } }]
"""
REPORT = """<testsuites><testsuite>
<testcase classname="tests.test_sums" name="test_it_adds[1]" time="0.5" />
<testcase classname="tests.test_sums" name="test_it_adds[2]" time="0.25">{ended}</testcase>
</testsuite></testsuites>"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A project of one test, one record, one plan and one report."""
    for folder in ("tests", "results", "build"):
        (tmp_path / folder).mkdir()
    (tmp_path / "plan.toml").write_text(PLAN_TEXT)
    (tmp_path / "tests" / "test_sums.py").write_text("def test_it_adds():\n    assert 1\n")
    (tmp_path / "results" / "long.json").write_text('{"mismatches": 0, "run": {"seed": 3}}')
    (tmp_path / "build" / "test.xml").write_text(REPORT.format(ended=""))
    return tmp_path


def states(house: Path) -> list[State]:
    return [claim.state for claim in signed(house / "plan.toml", root=house)]


def test_what_passed_and_what_was_recorded_is_green(house: Path) -> None:
    claims = signed(house / "plan.toml", root=house)
    assert [claim.state for claim in claims] == [State.PASSED, State.RECORDED]
    assert (claims[0].checks[0].cases, claims[0].checks[0].seconds) == (2, 0.75)
    assert is_green(claims)


@pytest.mark.parametrize(
    ("ended", "state"),
    [("<failure/>", State.FAILED), ("<error/>", State.FAILED), ("<skipped/>", State.PASSED)],
)
def test_one_failed_case_fails_the_claim(house: Path, ended: str, state: State) -> None:
    (house / "build" / "test.xml").write_text(REPORT.format(ended=ended))
    assert states(house)[0] is state


def test_a_deleted_test_turns_its_claim_red(house: Path) -> None:
    path = house / "tests" / "test_sums.py"
    path.write_text(path.read_text().replace("test_it_adds", "test_something_else"))
    claims = signed(house / "plan.toml", root=house)
    # The names of a file are kept for a process: a new one sees the change.
    moved = house / "tests" / "test_moved.py"
    path.rename(moved)
    assert states(house)[0] is State.MISSING
    assert not is_green(signed(house / "plan.toml", root=house))
    assert claims[0].checks[0].name == "test_sums::test_it_adds"


def test_a_claim_without_a_check_is_red(house: Path) -> None:
    (house / "plan.toml").write_text('[[claim]]\ntext = "Trust me"\nwhere = "README"\n')
    assert states(house) == [State.MISSING]


def test_what_did_not_run_says_so_and_is_not_red(house: Path) -> None:
    (house / "build" / "test.xml").unlink()
    claims = signed(house / "plan.toml", root=house)
    assert claims[0].state is State.NOT_RUN
    assert is_green(claims)


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ('{"mismatches": 1, "run": {"seed": 3}}', State.FAILED),
        ('{"mismatches": 0}', State.FAILED),
        ("{", State.MISSING),
    ],
)
def test_a_record_must_say_what_is_claimed(house: Path, text: str, state: State) -> None:
    (house / "results" / "long.json").write_text(text)
    assert states(house)[1] is state


def test_a_damaged_report_or_plan_is_refused(house: Path) -> None:
    (house / "build" / "test.xml").write_text("<testsuites>")
    with pytest.raises(Refusal, match="no JUnit report"):
        states(house)
    (house / "build" / "test.xml").unlink()
    (house / "plan.toml").write_text('[[claim]]\ntext = "x"\nwhere = "y"\nsure = true\n')
    with pytest.raises(Refusal, match="no field sure"):
        states(house)


def test_the_page_and_its_twin_tell_every_claim(house: Path) -> None:
    claims = signed(house / "plan.toml", root=house)
    write(claims, house / "signoff.html")
    page = (house / "signoff.html").read_text()
    assert "Sign-off: green" in page
    assert all(claim.text in page for claim in claims)
    twin = json.loads((house / "signoff.json").read_text())
    assert twin["claims"] == json.loads(json.dumps(told(claims)["claims"]))


def test_a_row_of_figures_needs_a_claim(house: Path) -> None:
    claims = signed(house / "plan.toml", root=house)
    rows = "| sum | 3 | `make add` |\n| product | 4 | `make multiply` |\n| plain | text | none |"
    rows += "\n| `rtl/` | hardware | `rtl/chip.py` |"
    assert uncarried(claims, rows) == ["| product | 4 | `make multiply` |"]


def test_every_claim_of_the_plan_has_checks_that_are_there() -> None:
    claims = signed(PLAN)
    assert len(claims) >= 30
    assert [claim.text for claim in claims if claim.state is State.MISSING] == []
    assert {claim.where.split()[0].strip(",") for claim in claims} >= {"README", "DESIGN"}


def test_a_record_of_a_target_that_did_not_run_says_so(house: Path) -> None:
    plan = (house / "plan.toml").read_text()
    (house / "plan.toml").write_text(plan.replace("results/long.json", "build/long.json"))
    assert signed(house / "plan.toml", root=house)[1].state is State.NOT_RUN

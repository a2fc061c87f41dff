"""golden/: the model equals every anchor and frozen run; any damage is found."""

import json
import math
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from model.contract import noise
from model.contract.refusal import Refusal
from model.trace import Trace
from sim.__main__ import app
from sim.trust import golden

FILES = sorted(
    path.relative_to(golden.GOLDEN).as_posix()
    for path in golden.GOLDEN.rglob("*")
    if path.is_file()
)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the golden data."""
    return shutil.copytree(golden.GOLDEN, tmp_path / "golden")


def anchor(name: str) -> dict[str, Any]:
    return json.loads((golden.GOLDEN / "anchors" / f"{name}.json").read_text())


def edit(path: Path, before: str, after: str) -> None:
    """Change a file of text in one place."""
    text = path.read_text()
    assert text.count(before) == 1
    path.write_text(text.replace(before, after))


def failed(folder: Path) -> dict[str, str]:
    """The comparisons that fail, and why."""
    return {found.name: found.trouble for found in golden.compare(folder) if found.trouble}


def test_the_model_equals_all_golden_data() -> None:
    comparisons = golden.compare()
    assert [found for found in comparisons if found.trouble] == []
    assert all(found.values for found in comparisons)
    assert golden.summary(comparisons).splitlines()[-1] == (
        f"0 of {len(comparisons)} comparisons failed "
        f"({sum(found.values for found in comparisons)} values)"
    )


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_bit_in_any_file_is_found(
    copied: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "FROZEN", ())
    data = bytearray((copied / name).read_bytes())
    place = len(data) * 2 // 3
    data[place] ^= 1
    (copied / name).write_bytes(bytes(data))
    assert "manifest" in failed(copied)


def test_a_changed_bit_is_found_even_where_its_sum_is_noted(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "FROZEN", (("tiny", "drtp"), ("tiny", "none")))
    edit(copied / "anchors" / "readout.json", '"error": [0, -255, 0]', '"error": [0, -254, 0]')
    trace = Trace.load(copied / "frozen" / "tiny-drtp.trace.npz")
    trace.records["hidden1.sums"].rows[17, 1] ^= 1
    trace.save(copied / "frozen" / "tiny-drtp.trace.npz")
    state = copied / "frozen" / "tiny-none.state.npz"
    arrays = dict(np.load(state))
    arrays["readout.items.counter"] = arrays["readout.items.counter"] + 1
    np.savez_compressed(state, **arrays)
    golden.note_sums(copied)
    assert failed(copied) == {
        "anchors/readout": "case 0, error[1]: expected -254, got -255",
        "frozen/tiny-drtp": "hidden1.sums, sample 1, step 1, sum: expected -1557, got -1558",
        "frozen/tiny-none": "readout.items.counter differs",
    }


def test_a_file_too_many_or_too_few_is_found(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(golden, "FROZEN", ())
    (copied / "anchors" / "extra.txt").write_text("")
    assert failed(copied) == {"manifest": "anchors/extra.txt is not in MANIFEST.json"}
    (copied / "anchors" / "extra.txt").unlink()
    (copied / "anchors" / "readout.json").unlink()
    assert failed(copied) == {"manifest": "anchors/readout.json is missing"}


def test_an_anchor_that_expects_nothing_fails(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "FROZEN", ())
    (copied / "anchors" / "readout.json").write_text('{"kind": "readout", "cases": []}')
    (copied / "anchors" / "update.json").write_text('{"kind": "other", "cases": [{"given": {}}]}')
    troubles = failed(copied)
    assert troubles["anchors/readout"] == "expects nothing"
    assert troubles["anchors/update"] == "cannot be compared: KeyError: 'other'"


def test_no_anchors_at_all_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        golden.compare(tmp_path)
    assert str(refusal.value) == (
        f"there are no anchors in {tmp_path / 'anchors'}; restore them from git"
    )


def test_every_anchor_names_its_source_and_shows_its_working() -> None:
    for path in (golden.GOLDEN / "anchors").glob("*.json"):
        held = anchor(path.stem)
        assert held["title"]
        assert held["source"]
        assert held["working"]
    assert all(figure["source"] for figure in anchor("published")["figures"])


def test_golden_data_holds_no_code_and_no_pickles() -> None:
    assert {Path(name).suffix for name in FILES} == {".json", ".md", ".npz", ".toml"}
    for path in golden.GOLDEN.rglob("*.npz"):
        golden._arrays(path)  # refuses pickles


def test_the_tables_are_those_of_exact_fractions() -> None:
    for case in anchor("shift_floor")["cases"]:
        given = case["given"]
        codes = range(given["first"], given["last"] + 1)
        exact = [math.floor(Fraction(code, 2 ** given["shift"])) for code in codes]
        assert case["expected"]["codes"] == exact
    for case in anchor("hard_sigmoid")["cases"]:
        given = case["given"]
        exact = [math.floor(Fraction(total, 2 ** given["shift"])) + 128 for total in given["sums"]]
        assert case["expected"]["scores"] == [min(max(score, 0), 255) for score in exact]
        assert case["expected"]["saturations"] == sum(not 0 <= score <= 255 for score in exact)
    for case in anchor("saturation")["cases"]:
        given = case["given"]
        half = 2 ** (given["bits"] - given["signed"])
        low = -half + given["symmetric"] if given["signed"] else 0
        codes = range(given["first"], given["last"] + 1)
        exact = [min(max(code, low), half - 1) for code in codes]
        assert case["expected"]["codes"] == exact
        assert case["expected"]["clipped"] == sum(map(int.__ne__, exact, codes))


def test_stochastic_rounding_has_no_bias_in_the_table() -> None:
    totals: dict[int, np.ndarray] = {}
    for case in anchor("shift_stochastic")["cases"]:
        given, codes = case["given"], np.array(case["expected"]["codes"])
        totals[given["shift"]] = totals.get(given["shift"], 0) + codes
    for total in totals.values():
        assert total.tolist() == list(range(-40, 41))


def test_the_masks_are_the_digits_of_pi() -> None:
    bits = 32 * len(noise.MASK_BASIS)
    unit = 1 << (bits + 32)

    def arctan_of_inverse(x: int) -> int:
        total = term = unit // x
        for odd in range(3, bits + 40, 2):
            term //= -x * x
            total += term // odd
        return total

    # J. Machin, 1706: pi / 4 = 4 arctan(1/5) - arctan(1/239).
    pi = 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))
    digits = (pi - 3 * unit) >> 32
    words = [digits >> (bits - 32 * (place + 1)) & 0xFFFFFFFF for place in range(bits // 32)]
    assert tuple(words) == noise.MASK_BASIS


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=tester", "-c", "user.email=tester@example.com"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_rewriting_is_refused_on_a_dirty_tree_and_changes_nothing(copied: Path) -> None:
    git(copied, "init")
    git(copied, "add", ".")
    git(copied, "commit", "-m", "all")
    (copied / "README.md").write_text("other")
    before = golden._sums_of(copied)
    with pytest.raises(Refusal) as refusal:
        golden.rewrite(copied)
    assert str(refusal.value) == (
        "golden data is rewritten on a clean tree only, and git finds 1 changed files; "
        "commit or put away your changes first"
    )
    assert golden._sums_of(copied) == before


def test_rewriting_on_a_clean_tree_notes_new_sums_and_ends_where_it_began(copied: Path) -> None:
    (copied / "anchors" / "note.md").write_text("another file")
    git(copied, "init")
    git(copied, "add", ".")
    git(copied, "commit", "-m", "all")
    assert "manifest" in failed(copied)
    golden.rewrite(copied)
    assert failed(copied) == {}


def test_rewriting_outside_of_git_is_refused(copied: Path) -> None:
    with pytest.raises(Refusal, match=r"^cannot ask git whether .* is clean: "):
        golden.rewrite(copied)


def test_the_command_tells_what_was_compared_and_fails_where_something_differs(
    copied: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(golden, "FROZEN", ())
    monkeypatch.setattr(golden.compare, "__defaults__", (copied,))
    assert "anchors/update: 37 values equal" in CliRunner().invoke(app, ["golden"]).stdout
    edit(copied / "anchors" / "update.json", '"learn_cycles": 10', '"learn_cycles": 9')
    result = CliRunner().invoke(app, ["golden"])
    assert result.exit_code == 1
    assert "learn_cycles: expected 9, got 10" in result.stdout
    assert "2 of " in result.stdout.splitlines()[-1]

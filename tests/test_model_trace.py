"""Traces: records, saving and loading, damage, and where two of them differ."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.contract.stages import boundaries
from model.trace import Difference, Trace, first_difference, mismatches

COLUMNS = {"a.sums": ("neuron", "sum"), "b.scores": ("score",)}

# Two samples at either boundary: rows of the first, rows of the second.
SUMS = [[[0, 5], [1, -6]], [[0, 7], [1, 8], [2, 9]]]
SCORES = [[[10]], [[20], [30]]]


def trace_of(sums: list[list[list[int]]], scores: list[list[list[int]]]) -> Trace:
    trace = Trace(COLUMNS)
    for rows in sums:
        trace.add("a.sums", rows)
    for rows in scores:
        trace.add("b.scores", rows)
    return trace


@pytest.fixture
def trace() -> Trace:
    return trace_of(SUMS, SCORES)


# -- records ------------------------------------------------------------------------------------


def test_a_chip_has_a_record_for_every_boundary() -> None:
    config = preset("tiny")
    trace = Trace.of(config)
    assert trace.columns == {at.name: at.columns for at in boundaries(config)}
    assert trace.samples == trace.values() == 0


def test_records_give_back_what_was_added(trace: Trace) -> None:
    assert [rows.tolist() for rows in trace.records["a.sums"]] == SUMS
    assert trace.records["a.sums"][1].tolist() == SUMS[1]
    assert trace.records["b.scores"].rows.tolist() == [[10], [20], [30]]
    assert trace.records["b.scores"].lengths.tolist() == [1, 2]
    assert trace.records["b.scores"].starts.tolist() == [0, 1]
    assert trace.samples == 2
    assert trace.values() == 13


def test_samples_counts_whole_samples_only(trace: Trace) -> None:
    trace.add("a.sums", [[0, 1]])
    assert trace.samples == 2


def test_extending_is_adding_many_at_once(trace: Trace) -> None:
    other = Trace(COLUMNS)
    other.extend("a.sums", np.array([row for rows in SUMS for row in rows], np.int32), [2, 3])
    other.extend("b.scores", np.array([[10], [20], [30]], np.uint8), np.array([1, 2], np.int16))
    assert first_difference(trace, other) is None
    assert other.records["a.sums"].rows.dtype == np.int64


def test_a_sample_may_have_no_rows() -> None:
    trace = trace_of([[], [[0, 1]], []], [[], [], []])
    assert [rows.shape for rows in trace.records["a.sums"]] == [(0, 2), (1, 2), (0, 2)]
    assert trace.samples == 3


@pytest.mark.parametrize(
    ("rows", "lengths", "message"),
    [
        ([[1, 2, 3]], [1], r"rows must be \(n, 2\), not \(1, 3\)"),
        ([1, 2], [1], r"rows must be \(n, 2\), not \(2,\)"),
        ([[1, 2]], [2], r"lengths must be \(samples,\) and add up to 1 rows"),
        ([[1, 2]], [2, -1], r"lengths must be \(samples,\) and add up to 1 rows"),
        ([[1, 2]], 1, r"lengths must be \(samples,\) and add up to 1 rows"),
        ([[1.0, 2.0]], [1], "rows and lengths must be integers"),
        ([[1, 2]], [1.0], "rows and lengths must be integers"),
    ],
)
def test_rows_that_do_not_fit_are_errors(rows: object, lengths: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        Trace(COLUMNS).extend("a.sums", rows, lengths)  # type: ignore[arg-type]


# -- files --------------------------------------------------------------------------------------


def test_a_saved_trace_loads_equal(trace: Trace, tmp_path: Path) -> None:
    trace.save(tmp_path / "trace.npz")
    loaded = Trace.load(tmp_path / "trace.npz")
    assert loaded.columns == trace.columns
    assert first_difference(trace, loaded) is None
    assert mismatches(trace, loaded) == 0


def test_an_empty_trace_loads_equal(tmp_path: Path) -> None:
    Trace(COLUMNS).save(tmp_path / "trace.npz")
    assert first_difference(Trace(COLUMNS), Trace.load(tmp_path / "trace.npz")) is None


def refusal(path: Path) -> str:
    with pytest.raises(Refusal) as caught:
        Trace.load(path)
    return str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.npz"
    assert refusal(path) == f"cannot read {path}: No such file or directory; check the path"


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.npz"
    path.touch()
    assert refusal(path) == (f"{path} is truncated or no .npz file; write it anew with Trace.save")


def test_a_truncated_file_is_refused_wherever_it_ends(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "trace.npz"
    trace.save(path)
    whole = path.read_bytes()
    for length in range(1, len(whole), 37):
        path.write_bytes(whole[:length])
        assert refusal(path) == (
            f"{path} is truncated or no .npz file; write it anew with Trace.save"
        )


def test_a_changed_byte_never_changes_a_code(trace: Trace, tmp_path: Path) -> None:
    path = tmp_path / "trace.npz"
    trace.save(path)
    whole = bytearray(path.read_bytes())
    places = range(0, len(whole), 5)
    refused = 0
    for at in places:
        damaged = whole.copy()
        damaged[at] ^= 0x55
        path.write_bytes(damaged)
        try:
            difference = first_difference(trace, Trace.load(path))
        except Refusal:
            refused += 1
        else:
            # Dates and attributes say nothing; a shortened directory hides whole boundaries.
            assert difference is None or difference.index == "columns"
    assert refused > len(places) / 2


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.npz"
    path.write_text("a trace\n")
    assert refusal(path) == (f"{path} is truncated or no .npz file; write it anew with Trace.save")


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.npz"
    objects: dict[str, Any] = {"a:rows": np.array([None])}
    np.savez(path, **objects)
    assert refusal(path) == (
        f"{path} cannot be read as .npz of plain arrays (its elements are object, neither numbers "
        f"nor text); write it anew with Trace.save"
    )


def test_a_single_array_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.npy"
    np.save(path, np.zeros((2, 2)))
    assert refusal(path) == f"{path} is truncated or no .npz file; write it anew with Trace.save"


@pytest.mark.parametrize("without", ["a.sums:rows", "a.sums:lengths", "a.sums:columns"])
def test_a_missing_member_is_refused(trace: Trace, tmp_path: Path, without: str) -> None:
    whole, path = tmp_path / "whole.npz", tmp_path / "trace.npz"
    trace.save(whole)
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            if name != f"{without}.npy":
                target.writestr(name, source.read(name))
    assert refusal(path) == f"{path} is no trace: write it anew with Trace.save"


def test_an_archive_of_other_arrays_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trace.npz"
    np.savez(path, images=np.zeros(3))
    assert refusal(path) == f"{path} is no trace: write it anew with Trace.save"


@pytest.mark.parametrize(
    ("rows", "lengths", "reason"),
    [
        (np.zeros((3, 1), int), [2], "lengths must be (samples,) and add up to 3 rows"),
        (np.zeros((3, 2), int), [3], "rows must be (n, 1), not (3, 2)"),
        (np.zeros((3, 1)), [3], "rows and lengths must be integers"),
    ],
)
def test_a_trace_at_odds_with_itself_is_refused(
    tmp_path: Path, rows: np.ndarray, lengths: list[int], reason: str
) -> None:
    path = tmp_path / "trace.npz"
    arrays: dict[str, Any] = {"a:rows": rows, "a:lengths": lengths, "a:columns": ["score"]}
    np.savez(path, **arrays)
    remedy = "write it anew with Trace.save"
    assert refusal(path) == f"{path} is no whole trace: a: {reason}; {remedy}"


# -- differences --------------------------------------------------------------------------------


def changed(sums: list[list[list[int]]], scores: list[list[list[int]]]) -> tuple[object, int]:
    expected, got = trace_of(SUMS, SCORES), trace_of(sums, scores)
    return first_difference(expected, got), mismatches(expected, got)


def test_equal_traces_do_not_differ() -> None:
    assert changed(SUMS, SCORES) == (None, 0)


def test_a_code_that_differs_is_located() -> None:
    sums = [SUMS[0], [[0, 7], [1, -8], [2, 9]]]
    assert changed(sums, SCORES) == (Difference("a.sums", 1, 1, "sum", 8, -8), 1)


def test_the_earliest_sample_wins_over_the_earliest_stage() -> None:
    sums = [SUMS[0], [[0, 7], [1, 8], [2, 0]]]
    scores = [[[11]], SCORES[1]]
    assert changed(sums, scores) == (Difference("b.scores", 0, 0, "score", 10, 11), 2)


def test_in_one_sample_the_earliest_stage_wins() -> None:
    sums = [SUMS[0], [[0, 7], [1, 8], [3, 0]]]
    scores = [SCORES[0], [[0], [0]]]
    assert changed(sums, scores) == (Difference("a.sums", 1, 2, "neuron", 2, 3), 4)


def test_a_missing_row_is_located() -> None:
    sums = [[[0, 5]], SUMS[1]]
    assert changed(sums, SCORES) == (Difference("a.sums", 0, 1, "rows", 2, 1), 2)


def test_a_surplus_row_is_located() -> None:
    scores = [SCORES[0], [[20], [30], [40]]]
    assert changed(SUMS, scores) == (Difference("b.scores", 1, 2, "rows", 2, 3), 1)


def test_a_row_in_another_sample_is_no_difference_of_codes_alone() -> None:
    scores = [[[10], [20]], [[30]]]
    assert changed(SUMS, scores) == (Difference("b.scores", 0, 1, "rows", 1, 2), 3)


def test_a_code_before_a_missing_row_is_told_first() -> None:
    sums = [[[1, 5]], SUMS[1]]
    assert changed(sums, SCORES) == (Difference("a.sums", 0, 0, "neuron", 0, 1), 3)


def test_missing_samples_are_located() -> None:
    assert changed(SUMS[:1], SCORES) == (Difference("a.sums", 1, 0, "samples", 2, 1), 6)


def test_surplus_samples_are_located() -> None:
    scores = [*SCORES, []]
    assert changed(SUMS, scores) == (Difference("b.scores", 2, 0, "samples", 2, 3), 0)


def test_an_absent_boundary_is_located(trace: Trace) -> None:
    other = Trace({"a.sums": COLUMNS["a.sums"]})
    other.extend("a.sums", trace.records["a.sums"].rows, [2, 3])
    found = Difference("b.scores", 0, 0, "columns", "score", "absent")
    assert first_difference(trace, other) == found
    assert first_difference(other, trace) == Difference(
        "b.scores", 0, 0, "columns", "absent", "score"
    )
    assert mismatches(trace, other) == mismatches(other, trace) == 3


def test_other_columns_are_located(trace: Trace) -> None:
    other = Trace({**COLUMNS, "a.sums": ("neuron", "sum", "carry")})
    other.extend("a.sums", np.zeros((5, 3), np.int64), [2, 3])
    other.extend("b.scores", trace.records["b.scores"].rows, [1, 2])
    found = Difference("a.sums", 0, 0, "columns", "neuron, sum", "neuron, sum, carry")
    assert first_difference(trace, other) == found
    assert mismatches(trace, other) == 15


def test_a_difference_reads_as_one_line() -> None:
    found = Difference("hidden1.updates", 12, 3, "weight7", -4, 5)
    assert str(found) == "hidden1.updates, sample 12, step 3, weight7: expected -4, got 5"


Samples = list[list[list[int]]]
codes = st.integers(0, 1)
samples = st.lists(st.lists(st.lists(codes, min_size=2, max_size=2), max_size=3), max_size=4)


def searched(expected: Samples, got: Samples) -> Difference | None:
    """`first_difference` of one boundary, one code after another."""
    for sample in range(max(len(expected), len(got))):
        if sample >= min(len(expected), len(got)):
            return Difference("a", sample, 0, "samples", len(expected), len(got))
        wanted, found = expected[sample], got[sample]
        for step in range(min(len(wanted), len(found))):
            for column in range(2):
                pair = wanted[step][column], found[step][column]
                if pair[0] != pair[1]:
                    return Difference("a", sample, step, "xy"[column], *pair)
        if len(wanted) != len(found):
            step = min(len(wanted), len(found))
            return Difference("a", sample, step, "rows", len(wanted), len(found))
    return None


def counted(expected: Samples, got: Samples) -> int:
    """`mismatches` of one boundary, one code after another."""
    total = 0
    for sample in range(max(len(expected), len(got))):
        wanted, found = (side[sample] if sample < len(side) else [] for side in (expected, got))
        for step in range(max(len(wanted), len(found))):
            if step < min(len(wanted), len(found)):
                total += sum(a != b for a, b in zip(wanted[step], found[step], strict=True))
            else:
                total += 2
    return total


@given(samples, samples)
def test_comparison_is_that_of_code_after_code(expected: Samples, got: Samples) -> None:
    traces = []
    for side in (expected, got):
        trace = Trace({"a": ("x", "y")})
        for rows in side:
            trace.add("a", rows)
        traces.append(trace)
    assert first_difference(*traces) == searched(expected, got)
    assert mismatches(*traces) == counted(expected, got)

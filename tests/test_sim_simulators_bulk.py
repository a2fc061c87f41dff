"""sim/simulators/bulk.py: whole chips, compiled, show what the plain engine computes."""

import dataclasses
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.arith import Words
from model.chip import PlainChip
from model.contract.config import ChipConfig
from model.contract.counters import Kind, counters
from model.contract.event import ABORT_AT, Event, Mark, pack_event, pack_mark
from model.contract.presets import PRESETS, preset
from model.contract.refusal import Refusal
from model.contract.result import pack_verdict
from model.contract.stages import boundaries
from model.data import load
from model.network import totals
from model.sensor.image import sample_words
from model.state import State, fresh
from model.trace import Trace, first_difference
from rtl.emit import Emission, emit, emit_processes
from sim import tools
from sim.simulators import bulk
from sim.simulators.bulk import BulkChip
from sim.simulators.compiled import Log
from sim.simulators.observed import Observed

COMPILED = pytest.mark.parametrize("simulator", tools.COMPILED)
CONFIG = preset("tiny")
SAMPLES, TRAIN = 40, 30


@cache
def emission() -> Emission:
    return emit(CONFIG)


@cache
def stimulus() -> tuple[Words, ...]:
    """Real digits, some with malformed events, a mark that is refused, or one that aborts."""
    data = load("digits")
    found = []
    for number in range(SAMPLES):
        image = data.x_train[number].reshape(8, 8, 1)
        learn, rate = number < TRAIN, number % CONFIG.rate_steps
        words = sample_words(CONFIG, image, int(data.y_train[number]), learn, rate)
        if number % 8 == 3:
            outside, late = Event(x=9, y=0, channel=0, time=1), Event(x=0, y=0, channel=0, time=0)
            strays = [pack_event(outside), pack_event(late)]
            words = np.insert(words, len(words) // 2, np.array(strays, np.uint32))
        if number % 8 == 7:
            words[-1] = pack_mark(Mark(label=13, learn=True))
        if number % 8 == 5:
            words[-1] |= 1 << ABORT_AT
        found.append(words)
    return tuple(found)


class Expected(NamedTuple):
    trace: Trace
    results: list[list[int]]
    state: State
    counters: dict[str, int]


@cache
def expected() -> Expected:
    """What the plain engine does with the stimulus."""
    trace = Trace.of(CONFIG)
    chip = PlainChip(CONFIG, fresh(CONFIG, 0), trace)
    taken = [result for words in stimulus() if (result := chip.take(words)) is not None]
    assert len(taken) == SAMPLES - SAMPLES // 8
    results = [[*scores.tolist(), pack_verdict(verdict)] for scores, verdict in taken]
    return Expected(trace, results, chip.state, totals(CONFIG, chip.counts))


def observed(simulator: str, stalls: float = 0.0, logging: bool = True) -> Observed:
    """The same on the Verilog."""
    with BulkChip(emission(), simulator, stalls=stalls, logging=logging) as chip:
        chip.load(fresh(CONFIG, 0))
        return chip.observe(np.concatenate(stimulus()), TRAIN, seed=5)


def assert_equal_states(wanted: State, found: State) -> None:
    assert wanted.lfsrs == found.lfsrs
    assert wanted.banks.keys() == found.banks.keys()
    for name, bank in wanted.banks.items():
        np.testing.assert_array_equal(bank, found.banks[name], err_msg=name)


def activity(config: ChipConfig, found: dict[str, int]) -> dict[str, int]:
    """Counters that do not depend on back-pressure."""
    stalls = {c.name for c in counters(config) if c.kind is Kind.STALL}
    return {name: value for name, value in found.items() if name not in stalls}


@COMPILED
@pytest.mark.parametrize("stalls", [0.0, 0.4])
def test_a_chip_shows_what_the_plain_engine_computes(simulator: str, stalls: float) -> None:
    wanted, found = expected(), observed(simulator, stalls)
    assert first_difference(wanted.trace, found.trace) is None
    assert found.trace.samples == SAMPLES
    assert [words.tolist() for words in found.results] == wanted.results
    assert_equal_states(wanted.state, found.state)
    assert activity(CONFIG, found.counters) == wanted.counters
    assert wanted.counters["encode.dropped_events"] > 0 < wanted.counters["encode.refused_marks"]
    assert found.counters["chip.cycles"] > found.cycles_train + found.cycles_test
    assert min(found.cycles_train / TRAIN, found.cycles_test / (SAMPLES - TRAIN)) > 100


def test_both_simulators_count_the_same_cycles_and_stalls() -> None:
    runs = [observed(simulator, stalls=0.5) for simulator in tools.COMPILED]
    first, second = ((run.cycles_train, run.cycles_test, run.counters) for run in runs)
    assert first == second


def test_a_state_comes_back_as_it_was_written() -> None:
    written = fresh(CONFIG, 3)
    for name, bank in written.banks.items():
        written.banks[name] = bank[::-1].copy()
    with BulkChip(emission(), "cxxrtl") as chip:
        chip.load(written)
        assert_equal_states(written, chip.state())


def test_a_run_in_pieces_is_the_run_in_one() -> None:
    whole = observed("cxxrtl")
    with BulkChip(emission(), "cxxrtl") as chip:
        chip.load(fresh(CONFIG, 0))
        first = chip.observe(np.concatenate(stimulus()[:17]), 17)
        second = chip.observe(np.concatenate(stimulus()[17:]), TRAIN - 17)
    for name in whole.trace.records:
        records = [run.trace.records[name] for run in (first, second)]
        np.testing.assert_array_equal(
            whole.trace.records[name].rows, np.concatenate([record.rows for record in records])
        )
    assert_equal_states(whole.state, second.state)
    for name, total in activity(CONFIG, whole.counters).items():
        assert first.counters[name] + second.counters[name] == total, name


@COMPILED
def test_without_logging_everything_else_is_the_same(simulator: str) -> None:
    found, full = observed(simulator, 0.3, logging=False), observed(simulator, 0.3)
    assert found.trace.values() == 0
    assert [words.tolist() for words in found.results] == expected().results
    assert_equal_states(full.state, found.state)
    assert found.counters == full.counters
    assert found.cycles_train == full.cycles_train


def test_observe_runs_from_the_state_it_is_given() -> None:
    words = np.concatenate(stimulus())
    found = bulk.observe(CONFIG, words, TRAIN, fresh(CONFIG, 0), 0.4, 5, "cxxrtl", False)
    assert first_difference(expected().trace, found.trace) is None
    assert found.cycles_train == observed("cxxrtl", 0.4).cycles_train


def test_patience_outlasts_the_longest_sample() -> None:
    found = observed("cxxrtl")
    longest = max(found.cycles_train, found.cycles_test) / SAMPLES
    assert bulk.patience(CONFIG, 0.0) > 5 * longest
    fixed = 1_000  # whatever the chip
    assert bulk.patience(CONFIG, 0.9) - fixed > 9 * (bulk.patience(CONFIG, 0.0) - fixed)


def test_verilog_of_another_chip_is_refused() -> None:
    other = dataclasses.replace(CONFIG, learning=dataclasses.replace(CONFIG.learning, density=5))
    with pytest.raises(Refusal) as refusal:
        BulkChip(dataclasses.replace(emission(), config=other), "cxxrtl")
    assert str(refusal.value) == (
        f"the chip says it is {CONFIG.sha256[:8]}, tiny with rule drtp, which is not tiny "
        f"({other.sha256[:8]}); choose its own configuration"
    )


@given(name=st.sampled_from(sorted(PRESETS)), data=st.data())
def test_rows_are_decoded_field_by_field(name: str, data: st.DataObject) -> None:
    boundary = data.draw(st.sampled_from(boundaries(preset(name))), label="boundary")
    codes = [
        data.draw(st.sampled_from(field.code.span), label=f"{field.name}{lane}")
        for field in boundary.fields
        for lane in range(field.lanes)
    ]
    widths = [field.code.bits for field in boundary.fields for _ in range(field.lanes)]
    word, at = 1, 2
    for code, width in zip(codes, widths, strict=True):
        word, at = word | (code & (1 << width) - 1) << at, at + width
    assert at == boundary.port_bits
    count = -(-at // 32)
    raw = np.array([[word >> 32 * n & 0xFFFFFFFF for n in range(count)]], dtype=np.uint32)
    assert bulk.decode(boundary, Log(raw, np.array([1]))).tolist() == [codes]


@pytest.mark.parametrize(
    "name", ["tiny", *(pytest.param(n, marks=pytest.mark.slow) for n in ("digits", "spoon-lite"))]
)
def test_kept_processes_are_the_emitted_chip(name: str) -> None:
    """Results, monitors, state, counters and cycles, to the last, of noise learned with pauses."""
    config = preset(name)
    rng = np.random.default_rng(0)
    shape = (config.height, config.width, config.channels)
    images = rng.integers(0, 256, (12, *shape), dtype=np.uint8) & np.uint8(0xF0)
    words = np.concatenate(
        [sample_words(config, image, n % 10, n < 8, 0) for n, image in enumerate(images)]
    )
    seen = []
    for made in (emit, emit_processes):
        with BulkChip(made(config), "verilator", stalls=0.2) as chip:
            chip.load(fresh(config, 0))
            seen.append(chip.observe(words, 8, seed=3))
    emitted, kept = seen
    assert emit(config).verilog != emit_processes(config).verilog
    assert emitted.trace.values() > 0
    assert first_difference(emitted.trace, kept.trace) is None
    assert [r.tolist() for r in emitted.results] == [r.tolist() for r in kept.results]
    assert_equal_states(emitted.state, kept.state)
    assert emitted.counters == kept.counters
    cycles = [(one.cycles_train, one.cycles_test) for one in seen]
    assert cycles[0] == cycles[1]

"""sim/judge/verify.py: equal sides pass, one wrong bit is found, a killed run resumes."""

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from model.arith import Words
from model.contract.counters import Kind, counters
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.contract.storage import host_banks
from model.data import load
from model.network import ChipModel, drawn
from model.trace import Difference
from rtl.emit import emit
from sim import tools
from sim.__main__ import app
from sim.judge import verify as verifications
from sim.judge.verify import Run, Samples, Verification, samples, verify
from sim.simulators.bulk import BulkChip
from sim.simulators.observed import Observed

CONFIG = preset("tiny")
TRAIN, TEST, SEED = 60, 25, 1
KEYS = [
    *("preset", "config_sha256", "rule", "simulator", "simulator_version", "data", "seed"),
    *("train_samples", "test_samples", "compared_values", "mismatches", "first_mismatch"),
    *("counters_equal", "weights_sha256", "accuracy", "cycles", "cycles_per_train_sample"),
    *("cycles_per_test_sample", "cycles_per_second", "seconds", "stalls", "counters"),
]


def given(train: int = TRAIN, test: int = TEST, epochs: int = 1) -> Samples:
    return samples(CONFIG, load("digits", seed=SEED), train, test, SEED, epochs)


def learned() -> ChipModel:
    """The model as `python -m model train --limit` trains it."""
    data = load("digits", seed=SEED)
    kept = drawn(len(data.y_train), TRAIN, SEED)
    model = ChipModel(CONFIG, epochs=1, seed=SEED)
    return model.fit(data.x_train[kept], data.y_train[kept])


@pytest.mark.parametrize("stalls", [0.0, 0.3])
@pytest.mark.parametrize("simulator", tools.COMPILED)
def test_model_and_verilog_agree(simulator: str, stalls: float) -> None:
    _, figures = verify(CONFIG, given(), Run(simulator, stalls))
    model, data = learned(), load("digits", seed=SEED)
    accuracy = model.score(data.x_test[:TEST], data.y_test[:TEST])
    assert list(figures) == KEYS
    assert (figures["mismatches"], figures["first_mismatch"]) == (0, None)
    assert figures["counters_equal"] is True
    assert figures["weights_sha256"] == dict.fromkeys(("model", "rtl"), model.state_.weights_sha256)
    assert figures["accuracy"] == {"model": accuracy, "rtl": accuracy}
    assert figures["cycles"] == round(
        TRAIN * figures["cycles_per_train_sample"] + TEST * figures["cycles_per_test_sample"]
    )
    assert verifications.sentence(figures) == f"[0/{figures['compared_values']:,}] mismatches"


def test_everything_is_compared() -> None:
    """All records and results of all samples, every bank, LFSR and counter that can be."""
    verification, figures = verify(CONFIG, given(), Run("verilator"))
    with BulkChip(verification.emission, "verilator") as chip:
        chip.load(Verification(CONFIG, given(), Run("verilator")).model)
        seen = chip.observe(given().words(CONFIG, slice(0, TRAIN + TEST)), TRAIN)
    state = sum(bank.size for bank in seen.state.banks.values()) + len(seen.state.lfsrs)
    counted = sum(counter.kind is not Kind.STALL for counter in counters(CONFIG))
    results = (TRAIN + TEST) * (CONFIG.readout.classes + 1)
    assert figures["compared_values"] == seen.trace.values() + results + state + counted


def test_chunks_change_nothing_but_cycles(monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = verify(CONFIG, given(), Run("verilator"))
    monkeypatch.setattr(verifications, "CHUNK_SAMPLES", 7)
    done: list[int] = []
    _, figures = verify(CONFIG, given(), Run("verilator"), lambda tally: done.append(tally.done))
    assert done == [*range(7, 60, 7), 60, 67, 74, 81, 85]
    for key in ("compared_values", "mismatches", "weights_sha256", "accuracy", "counters_equal"):
        assert figures[key] == whole[key], key
    for counter in counters(CONFIG):
        if counter.kind is not Kind.STALL:
            assert figures["counters"][counter.name] == whole["counters"][counter.name]


# Faults


def test_a_wrong_bit_in_the_verilog_is_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = emit(CONFIG)
    write = "words[write_address] <= write_data;"
    assert right.verilog.count(write) == 1
    bank = next(bank for bank in host_banks(CONFIG) if bank.name == "hidden1.weights")
    row, group = 9, 1  # its first lane is neuron 4
    place = f"DEPTH == {bank.words} && write_address == {row * 4 + group}"
    verilog = right.verilog.replace(write, write.replace(";", f" ^ ({place});"))
    wrong = dataclasses.replace(right, verilog=verilog)
    monkeypatch.setattr(verifications, "emit", lambda config: wrong)
    verification, figures = verify(CONFIG, given(), Run("verilator"))
    first = verification.tally.first
    assert first is not None
    assert (first.stage, first.step, first.index) == ("hidden1.sums", 4, "sum")
    assert figures["mismatches"] > 0
    assert figures["first_mismatch"] == vars(first)
    assert verifications.sentence(figures).endswith(f"first: {first}")


Corrupt = Callable[[Observed], Observed]


def _record(seen: Observed) -> Observed:
    seen.trace.records["hidden1.updates"][4][2, 3] ^= 1
    return seen


def _result(seen: Observed) -> Observed:
    seen.results[4] = seen.results[4] ^ np.array([0] * 10 + [1 << 8], np.uint32)
    return seen


def _missing(seen: Observed) -> Observed:
    return dataclasses.replace(seen, results=[words[1:] for words in seen.results])


def _weight(seen: Observed) -> Observed:
    seen.state.banks["hidden1.weights"][7, 2] ^= 1
    return seen


def _lfsr(seen: Observed) -> Observed:
    seen.state.lfsrs["readout"] ^= 1
    return seen


def _counter(seen: Observed) -> Observed:
    seen.counters["conv1.macs"] += 1
    return seen


@pytest.mark.parametrize(
    ("corrupt", "stage", "sample", "step", "index"),
    [
        (_record, "hidden1.updates", 24, 2, "weight2"),
        (_result, "results", 24, 10, "word"),
        (_weight, "hidden1.weights", 44, 0, "(7, 2)"),
        (_lfsr, "readout", 44, 0, "lfsr"),
        (_counter, "conv1.macs", 44, 0, "counter"),
    ],
)
def test_one_wrong_bit_is_one_mismatch_in_its_place(
    corrupt: Corrupt,
    stage: str,
    sample: int,
    step: int,
    index: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of 40 samples to learn and 5 to classify, in chunks of 20, a record or result of the second
    chunk is corrupted, or what is read at the end."""
    observe = BulkChip.observe
    at = 20 if sample < 40 else 40

    def corrupted(chip: BulkChip, words: Words, train: int, seed: int = 0) -> Observed:
        seen = observe(chip, words, train, seed)
        return corrupt(seen) if seed == SEED + at else seen

    monkeypatch.setattr(verifications, "CHUNK_SAMPLES", 20)
    monkeypatch.setattr(BulkChip, "observe", corrupted)
    verification, figures = verify(CONFIG, given(40, 5), Run("verilator"))
    first = verification.tally.first
    assert isinstance(first, Difference)
    assert figures["mismatches"] == 1
    assert (first.stage, first.sample, first.step, first.index) == (stage, sample, step, index)
    assert verification.tally.done == at + (20 if at == 20 else 5)
    assert figures["counters_equal"] is (stage != "conv1.macs")
    hashes = figures["weights_sha256"]
    assert (hashes["model"] == hashes["rtl"]) is (stage != "hidden1.weights")


def test_results_cut_short_are_mismatches(monkeypatch: pytest.MonkeyPatch) -> None:
    observe = BulkChip.observe
    monkeypatch.setattr(BulkChip, "observe", lambda *given: _missing(observe(*given)))
    verification, _ = verify(CONFIG, given(), Run("verilator"))
    first = verification.tally.first
    assert first is not None
    assert (first.stage, first.sample, first.index) == ("results", 0, "word")


# Checkpoints

KILLED = """
import os, signal, sys
from pathlib import Path
from sim.judge import verify
from sim.simulators.bulk import BulkChip
from model.contract.presets import preset
from model.data import load

verify.CHUNK_SAMPLES, verify.CHECKPOINT_CHUNKS = 10, 2

def watch(tally):
    if tally.done == 50:
        os.kill(os.getpid(), signal.SIGKILL)

config = preset("tiny")
given = verify.samples(config, load("digits", seed=1), 60, 25, 1)
verify.verify(config, given, verify.Run("verilator", 0.2, checkpoint=Path(sys.argv[1])), watch)
"""


def test_a_killed_run_resumes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verifications, "CHUNK_SAMPLES", 10)
    monkeypatch.setattr(verifications, "CHECKPOINT_CHUNKS", 2)
    whole, wanted = verify(CONFIG, given(), Run("verilator", 0.2))
    path = tmp_path / "run.npz"
    root = Path(verifications.__file__).parents[2]
    killed = subprocess.run([sys.executable, "-c", KILLED, path], cwd=root, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    done: list[int] = []
    resumed, found = verify(
        CONFIG,
        given(),
        Run("verilator", 0.2, checkpoint=path, resume=True),
        lambda tally: done.append(tally.done),
    )
    assert done[0] == 50
    for key in KEYS:
        if key not in ("cycles_per_second", "seconds"):
            assert found[key] == wanted[key], key
    assert resumed.hardware.lfsrs == whole.hardware.lfsrs
    for name, bank in whole.hardware.banks.items():
        np.testing.assert_array_equal(bank, resumed.hardware.banks[name])


def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of a whole run."""
    monkeypatch.setattr(verifications, "CHUNK_SAMPLES", 30)
    monkeypatch.setattr(verifications, "CHECKPOINT_CHUNKS", 1)
    path = tmp_path / "run.npz"
    verify(CONFIG, given(), Run("verilator", checkpoint=path))
    return path


def test_a_checkpoint_of_another_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint(tmp_path, monkeypatch)
    for other, run in (
        (given(TRAIN, TEST + 1), Run("verilator", checkpoint=path, resume=True)),
        (given(), Run("verilator", 0.1, checkpoint=path, resume=True)),
        (given(), Run("cxxrtl", checkpoint=path, resume=True)),
    ):
        with pytest.raises(Refusal) as refusal:
            verify(CONFIG, other, run)
        assert str(refusal.value) == (
            f"{path} is a checkpoint of another run; name another, or remove it"
        )


def test_a_damaged_checkpoint_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = checkpoint(tmp_path, monkeypatch)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(Refusal, match=r"run.npz is no whole checkpoint: .*; remove it"):
        verify(CONFIG, given(), Run("verilator", checkpoint=path, resume=True))


def test_resuming_needs_a_checkpoint() -> None:
    with pytest.raises(Refusal) as refusal:
        verify(CONFIG, given(), Run("verilator", resume=True))
    assert str(refusal.value) == (
        "--resume goes on from what --checkpoint names; give --checkpoint"
    )


# What cannot be run


def test_an_unknown_simulator_is_refused() -> None:
    with pytest.raises(Refusal) as refusal:
        verify(CONFIG, given(), Run("modelsim"))
    assert str(refusal.value) == "the simulator must be verilator, cxxrtl or icarus, not 'modelsim'"


@pytest.mark.parametrize("test", [0, 5000])
def test_more_or_fewer_test_samples_than_there_are_is_refused(test: int) -> None:
    with pytest.raises(Refusal) as refusal:
        given(TRAIN, test)
    assert str(refusal.value) == f"of 451 test samples 1 to 451 can be taken, not {test}"


# The command


def command(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, dict[str, Any]]:
    """`python -m sim verify` in a folder: its exit code, what it prints, and its figures."""
    monkeypatch.chdir(folder)
    chosen = ["--preset", "tiny", "--train", str(TRAIN), "--test", str(TEST), "--seed", str(SEED)]
    done = CliRunner().invoke(app, ["verify", *chosen, "--json", "figures.json"])
    return done.exit_code, done.stdout, json.loads((folder / "figures.json").read_text())


def test_the_command_prints_its_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, printed, figures = command(tmp_path, monkeypatch)
    assert code == 0
    assert printed.splitlines()[-1] == f"[0/{figures['compared_values']:,}] mismatches"
    assert list(figures) == KEYS
    assert not (tmp_path / "mismatches.json").exists()


def test_the_command_fails_where_something_differs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    observe = BulkChip.observe
    monkeypatch.setattr(BulkChip, "observe", lambda *given: _result(observe(*given)))
    code, printed, figures = command(tmp_path, monkeypatch)
    assert code == 1
    verdict = printed.splitlines()[-1]
    assert verdict.startswith(f"[1/{figures['compared_values']:,}] mismatches; first: results, ")
    found = json.loads((tmp_path / "mismatches.json").read_text())
    assert found["first_mismatch"] == figures["first_mismatch"]
    assert found["mismatches"] == 1

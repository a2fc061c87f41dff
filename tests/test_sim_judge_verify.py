"""sim/judge/verify.py: equal sides pass, one wrong bit is found, a killed run resumes."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from distributed import LocalCluster
from typer.testing import CliRunner

from model.arith import Words
from model.cache import build_folder
from model.contract.choices import Coding, Conv
from model.contract.counters import Kind, counters
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.contract.storage import host_banks
from model.data import load
from model.network import ChipModel, drawn
from model.state import State
from model.trace import Difference
from rtl.emit import emit
from sim import tools
from sim.__main__ import app
from sim.judge import crew
from sim.judge import segment as segments
from sim.judge import verify as verifications
from sim.judge.samples import Samples, samples
from sim.judge.segment import Finished, Segment, Tally
from sim.judge.verify import Run, Verification, verify
from sim.simulators.bulk import BulkChip
from sim.simulators.host import HostChip
from sim.simulators.observed import Passed

CONFIG = preset("tiny")
TRAIN, TEST, SEED = 60, 25, 1
KEYS = [
    *("preset", "config_sha256", "rule", "simulator", "simulator_version", "data", "seed"),
    *(
        "train_samples",
        "test_samples",
        "samples_compared",
        "compared_values",
        "mismatches",
        "first_mismatch",
    ),
    *("counters_equal", "weights_sha256", "accuracy", "cycles", "cycles_per_train_sample"),
    *("cycles_per_test_sample", "cycles_per_second", "seconds", "stalls", "proof", "counters"),
    "met",
]


def given(train: int = TRAIN, test: int = TEST, epochs: int = 1) -> Samples:
    return samples(CONFIG, load("digits", seed=SEED), train, test, SEED, epochs)


def learned() -> ChipModel:
    """The model as `python -m model train --limit` trains it."""
    data = load("digits", seed=SEED)
    kept = drawn(len(data.y_train), TRAIN, SEED)
    model = ChipModel(CONFIG, epochs=1, seed=SEED)
    return model.fit(data.x_train[kept], data.y_train[kept])


@pytest.mark.parametrize("simulator", tools.COMPILED)
def test_counted_events_in_windows_agree(
    simulator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three saccades of emulated digits, darker against brighter, through two places a cycle."""
    monkeypatch.setenv("DRTP_BUILD_DIR", os.environ.get("DRTP_BUILD_DIR", str(build_folder())))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    stage = Conv(4, 5, pool=5, shift=3, inhibition=2, bank="gabor-opponent", places=2)
    config = dataclasses.replace(
        *(CONFIG,),
        **{"name": "saccades", "height": 14, "width": 14, "channels": 2, "windows": 3},
        **{"coding": Coding.COUNT, "pixel_bits": 4, "conv": (stage,)},
    )
    taken = samples(config, load("digits-emulated"), 30, 10, SEED)
    _, figures = verify(config, taken, Run(simulator, 0.3))
    assert figures["mismatches"] == 0
    assert figures["counters_equal"]
    assert figures["counters"]["conv1.features"] > 40 * 20
    assert figures["counters"]["encode.dropped_events"] == 0


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
    """All records and results of all samples; every bank, LFSR and counter, after each segment."""
    verification, figures = verify(CONFIG, given(), Run("verilator"))
    with BulkChip(verification.emission, "verilator") as chip:
        chip.load(Verification(CONFIG, given(), Run("verilator")).model)
        seen = chip.observe(given().words(CONFIG), TRAIN)
    held = sum(bank.size for bank in seen.state.banks.values()) + len(seen.state.lfsrs)
    counted = sum(counter.kind is not Kind.STALL for counter in counters(CONFIG))
    results = (TRAIN + TEST) * (CONFIG.readout.classes + 1)
    assert figures["compared_values"] == seen.trace.values() + results + 2 * (held + counted)


def test_chunks_change_nothing_but_cycles(monkeypatch: pytest.MonkeyPatch) -> None:
    _, whole = verify(CONFIG, given(), Run("verilator"))
    monkeypatch.setattr(segments, "CHUNK_SAMPLES", 7)
    done: list[int] = []
    _, figures = verify(CONFIG, given(), Run("verilator"), lambda tally: done.append(tally.done))
    assert sorted(set(done)) == [0, *range(7, 60, 7), 60, 67, 74, 81, 85]
    for key in ("mismatches", "weights_sha256", "accuracy", "counters_equal"):
        assert figures[key] == whole[key], key
    for counter in counters(CONFIG):
        if counter.kind is not Kind.STALL:
            assert figures["counters"][counter.name] == whole["counters"][counter.name]


# Faults


def test_a_wrong_bit_in_the_verilog_is_placed(monkeypatch: pytest.MonkeyPatch) -> None:
    right = emit(CONFIG)
    write = "words[address] <= write_data;"
    assert right.verilog.count(write) == 1
    bank = next(bank for bank in host_banks(CONFIG) if bank.name == "hidden1.weights")
    row, group = 9, 1  # its first lane is neuron 4
    place = f"DEPTH == {bank.words} && address == {row * 4 + group}"
    verilog = right.verilog.replace(write, write.replace(";", f" ^ ({place});"))
    wrong = dataclasses.replace(right, verilog=verilog)
    monkeypatch.setattr(verifications, "emit", lambda config: wrong)
    verification, figures = verify(CONFIG, given(), Run("verilator", emitted=True))
    first = verification.tally.first
    assert first is not None
    assert (first.stage, first.step, first.index) == ("hidden1.sums", 4, "sum")
    assert figures["mismatches"] > 0
    assert figures["first_mismatch"] == vars(first)
    assert verifications.sentence(figures).endswith(f"first: {first}")


Corrupt = Callable[[Passed], Passed]


def _record(seen: Passed) -> Passed:
    seen.trace.records["hidden1.updates"][4][2, 3] ^= 1
    return seen


def _result(seen: Passed) -> Passed:
    seen.results[4] = seen.results[4] ^ np.array([0] * 10 + [1 << 8], np.uint32)
    return seen


def _missing(seen: Passed) -> Passed:
    return dataclasses.replace(seen, results=[words[1:] for words in seen.results])


def _weight(chip: BulkChip) -> State:
    state = HostChip.state(chip)
    state.banks["hidden1.weights"][7, 2] ^= 1
    return state


def _lfsr(chip: BulkChip) -> State:
    state = HostChip.state(chip)
    state.lfsrs["readout"] ^= 1
    return state


def _counters(chip: BulkChip) -> dict[str, int]:
    """One more each time they are read: twice a segment."""
    counts = HostChip.counters(chip)
    reads = chip.__dict__["reads"] = chip.__dict__.get("reads", 0) + 1
    return counts | {"conv1.macs": counts["conv1.macs"] + (reads == 4)}


def of_forty(monkeypatch: pytest.MonkeyPatch) -> tuple[Verification, dict[str, Any]]:
    """40 samples to learn and 5 to classify, in chunks and segments of 20."""
    monkeypatch.setattr(segments, "CHUNK_SAMPLES", 20)
    return verify(CONFIG, given(40, 5), Run("verilator"))


@pytest.mark.parametrize(
    ("corrupt", "stage", "step", "index"),
    [(_record, "hidden1.updates", 2, "weight2"), (_result, "results", 10, "word")],
)
def test_one_wrong_bit_is_one_mismatch_in_its_place(
    corrupt: Corrupt, stage: str, step: int, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record or a result of the second chunk is corrupted."""
    run = BulkChip.run

    def corrupted(chip: BulkChip, words: Words, train: int, seed: int = 0) -> Passed:
        seen = run(chip, words, train, seed)
        return corrupt(seen) if seed == SEED + 20 else seen

    monkeypatch.setattr(BulkChip, "run", corrupted)
    verification, figures = of_forty(monkeypatch)
    first = verification.tally.first
    assert isinstance(first, Difference)
    assert figures["mismatches"] == 1
    assert (first.stage, first.sample, first.step, first.index) == (stage, 24, step, index)
    assert verification.tally.done == 40
    assert figures["counters_equal"] is True


@pytest.mark.parametrize(
    ("method", "corrupt", "stage", "index", "sample"),
    [
        ("state", _weight, "hidden1.weights", "(7, 2)", 19),
        ("state", _lfsr, "readout", "lfsr", 19),
        ("counters", _counters, "conv1.macs", "counter", 39),
    ],
)
def test_what_a_chip_holds_is_compared_at_every_seam(
    method: str,
    corrupt: Callable[[BulkChip], Any],
    stage: str,
    index: str,
    sample: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(BulkChip, method, corrupt)
    verification, figures = of_forty(monkeypatch)
    assert str(verification.tally.first).startswith(f"{stage}, sample {sample}, step 0, {index}: ")
    assert figures["mismatches"] == 1
    assert figures["counters_equal"] is (stage != "conv1.macs")
    hashes = figures["weights_sha256"]
    assert (hashes["model"] == hashes["rtl"]) is (stage != "hidden1.weights")


def test_results_cut_short_are_mismatches(monkeypatch: pytest.MonkeyPatch) -> None:
    run = BulkChip.run
    monkeypatch.setattr(BulkChip, "run", lambda *given: _missing(run(*given)))
    verification, _ = verify(CONFIG, given(), Run("verilator"))
    first = verification.tally.first
    assert first is not None
    assert (first.stage, first.sample, first.index) == ("results", 0, "word")


# Segments side by side


def long_run() -> Samples:
    return samples(CONFIG, load("digits", seed=SEED), 1100, 400, SEED)


@pytest.fixture
def cut_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short runs, too, are cut into segments."""
    monkeypatch.setattr(verifications, "UNBROKEN_SAMPLES", 0)


@cache
def unbroken(stalls: float) -> dict[str, Any]:
    return verify(CONFIG, long_run(), Run("verilator", stalls))[1]


SAME = [key for key in KEYS if key not in ("cycles_per_second", "seconds", "proof")]


@pytest.mark.parametrize("stalls", [0.0, 0.3])
def test_segments_add_up_to_the_unbroken_run(stalls: float, cut_short: None) -> None:
    """Everything, with the cycles and the counters of stalls."""
    _, figures = verify(CONFIG, long_run(), Run("verilator", stalls, jobs=2))
    assert unbroken(stalls)["proof"]["unbroken"]
    assert unbroken(stalls)["proof"]["seams"] == []
    assert figures["proof"]["seams"] == [500, 1000, 1100]
    assert not figures["proof"]["unbroken"]
    for key in SAME:
        assert figures[key] == unbroken(stalls)[key], key
    said = verifications.proof(figures)
    assert said.startswith("proved by induction over 3 seams: 1,500 samples; each segment began ")
    assert "seams before samples 500, 1,000, 1,100; workers " in said


def lying(seams: list[Segment]) -> list[Segment]:
    """The same with one weight altered in the state at the second seam."""
    state = seams[1].after.copy()
    state.banks["readout.weights"][3, 4] ^= 1
    seams[1] = dataclasses.replace(seams[1], after=state)
    seams[2] = dataclasses.replace(seams[2], before=state)
    return seams


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_seam_that_lies_is_caught(
    jobs: int, cut_short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_ahead = segments.run_ahead
    monkeypatch.setattr(verifications, "run_ahead", lambda *given: lying(list(run_ahead(*given))))
    _, figures = verify(CONFIG, long_run(), Run("verilator", jobs=jobs))
    place = figures["first_mismatch"]
    assert (place["stage"], place["sample"], place["index"]) == ("readout.weights", 999, "(3, 4)")
    assert verifications.proof(figures).startswith("not proved: ")


def workers_of_this_process() -> list[int]:
    """Process numbers of the workers that this process has started."""
    own = str(os.getpid())
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            if parent == own and b"popen_loky" in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
    return found


def test_a_worker_that_is_killed_changes_nothing(cut_short: None) -> None:
    killed: list[int] = []

    def kill(tally: Tally) -> None:
        if tally.done and not killed:
            killed.extend(workers_of_this_process())
            os.kill(killed[0], signal.SIGKILL)

    _, figures = verify(CONFIG, long_run(), Run("verilator", jobs=2), kill)
    assert killed
    for key in SAME:
        assert figures[key] == unbroken(0.0)[key], key


def test_workers_that_keep_dying_are_given_up(
    cut_short: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Dying:
        def close(self) -> None: ...

        def __iter__(self) -> Iterator[Finished]:
            raise BrokenProcessPool

    monkeypatch.setattr(crew, "_once", lambda *_: Dying())
    with pytest.raises(Refusal, match=r"^workers died 3 times with no segment finished in between"):
        verify(CONFIG, long_run(), Run("verilator", jobs=2))


@pytest.mark.slow
def test_two_workers_of_a_cluster_prove_the_same_and_one_may_vanish() -> None:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        killed: list[int] = []

        def kill(tally: Tally) -> None:
            if tally.done and not killed:
                killed.append(next(iter(cluster.workers.values())).pid)
                os.kill(killed[0], signal.SIGKILL)

        _, figures = verify(CONFIG, long_run(), Run("verilator", scheduler=address), kill)
    for key in SAME:
        assert figures[key] == unbroken(0.0)[key], key


@pytest.mark.parametrize(
    ("run", "said"),
    [
        (Run("verilator", jobs=0), "there must be one job or more, not 0"),
        (
            Run("verilator", scheduler="tcp://127.0.0.1:1"),
            "no Dask scheduler answers at tcp://127.0.0.1:1 ([Errno 111] Connection refused); "
            "start one with `dask scheduler`",
        ),
    ],
)
def test_no_workers_are_refused(run: Run, said: str) -> None:
    with pytest.raises(Refusal) as refusal:
        verify(CONFIG, given(), run)
    assert str(refusal.value) == said


# Checkpoints

KILLED = """
import os, signal, sys
from pathlib import Path
from sim.judge import segment
from sim.judge.samples import samples
from sim.judge.verify import Run, verify
from model.contract.presets import preset
from model.data import load

segment.CHUNK_SAMPLES = 10

def watch(tally):
    if tally.done == 50:
        os.kill(os.getpid(), signal.SIGKILL)

config = preset("tiny")
given = samples(config, load("digits", seed=1), 60, 25, 1)
verify(config, given, Run("verilator", 0.2, checkpoint=Path(sys.argv[1])), watch)
"""


def test_a_killed_run_resumes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "CHUNK_SAMPLES", 10)
    whole, wanted = verify(CONFIG, given(), Run("verilator", 0.2))
    path = tmp_path / "run.json"
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
    assert done[0] == 40
    for key in SAME:
        assert found[key] == wanted[key], key
    assert found["proof"]["samples_from_checkpoint"] == 40
    said = "proved: one run, taken up again of 85 samples, 40 of them as a checkpoint tells"
    assert verifications.proof(found) == said
    assert resumed.hardware.lfsrs == whole.hardware.lfsrs
    for name, bank in whole.hardware.banks.items():
        np.testing.assert_array_equal(bank, resumed.hardware.banks[name])


def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint of a whole run."""
    monkeypatch.setattr(segments, "CHUNK_SAMPLES", 30)
    path = tmp_path / "run.json"
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


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-100],
        lambda text: "[" * 100_000,
        lambda text: "7",
        lambda text: text.replace('"done": 30', '"done": "30"', 1),
        lambda text: text.replace('"worker"', '"wrecker"', 1),
        lambda text: text.replace('"cycles_train": ', '"cycles_train": -', 1),
        lambda text: text.encode("utf-16").decode("latin1"),
    ],
)
def test_a_damaged_checkpoint_is_refused(
    damage: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint(tmp_path, monkeypatch)
    path.write_text(damage(path.read_text()))
    with pytest.raises(Refusal, match=r"(?s)run.json is no whole checkpoint: .*; remove it"):
        verify(CONFIG, given(), Run("verilator", checkpoint=path, resume=True))


def _boast(row: dict[str, Any]) -> None:
    row["compared"] += 1_000_000_000_000


def _better(row: dict[str, Any]) -> None:
    row["right_rtl"] += 1


def _elsewhere(row: dict[str, Any]) -> None:
    row["at"] += 1


def _busier(row: dict[str, Any]) -> None:
    row["counters_rtl"]["conv1.macs"] += 1


@pytest.mark.parametrize("forge", [_boast, _better, _elsewhere, _busier])
def test_a_forged_checkpoint_is_refused(
    forge: Callable[[dict[str, Any]], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = checkpoint(tmp_path, monkeypatch)
    told = json.loads(path.read_text())
    forge(told["segments"][1])
    path.write_text(json.dumps(told))
    with pytest.raises(Refusal, match=r"run.json tells of samples from 3[01] on what the model "):
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
    told = "the simulator must be one of verilator, cxxrtl, icarus, not 'modelsim'"
    assert str(refusal.value) == told


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
    run = BulkChip.run
    monkeypatch.setattr(BulkChip, "run", lambda *given: _result(run(*given)))
    code, printed, figures = command(tmp_path, monkeypatch)
    assert code == 1
    verdict = printed.splitlines()[-1]
    assert verdict.startswith(f"[1/{figures['compared_values']:,}] mismatches; first: results, ")
    found = json.loads((tmp_path / "mismatches.json").read_text())
    assert found["first_mismatch"] == figures["first_mismatch"]
    assert found["mismatches"] == 1

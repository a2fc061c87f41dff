"""The ladder's judge: the same samples through the model and through the Verilog, all compared.

Model and hardware train on the same samples in the same order, then classify held-out ones. What
crosses every boundary, the output words, the banks, the LFSRs and all counters that do not depend
on back-pressure must be equal. One chip goes through the whole run, or several through segments of
it side by side (`sim.judge.segment`).
"""

import hashlib
import json
import os
import time
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.contract.artifact import write_json
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal, guess
from model.contract.stop import Stopped
from model.progress import remembering
from model.state import fresh
from model.trace import Difference
from rtl.emit import Emission, emit, emit_processes
from sim.judge import checkpoint, coverage
from sim.judge.crew import side_by_side
from sim.judge.samples import Samples
from sim.judge.segment import (
    CHUNK_SAMPLES,
    Expected,
    Finished,
    Runner,
    Segment,
    Tally,
    Watch,
    Way,
    run_ahead,
    version,
)
from sim.simulators import cosim
from sim.simulators.bulk import prepare
from sim.tools import SIMULATORS

#: Runs of so few samples are not cut: workers start in the time that they take.
UNBROKEN_SAMPLES = 4 * CHUNK_SAMPLES

#: What makes two runs the same, and what must then be equal however they were cut.
GIVEN = ("config_sha256", "simulator", "data", "seed", "train_samples", "test_samples", "stalls")
ENDED = ("mismatches", "weights_sha256", "accuracy", "cycles", "counters", "met")

Finishing = Generator[Finished, None, None]


@dataclass(frozen=True)
class Run:
    """How the Verilog is run: by `jobs` workers, or those of a Dask `scheduler`."""

    simulator: str
    stalls: float = 0.0
    waves: bool = False
    cocotb: bool = False
    checkpoint: Path | None = None
    resume: bool = False
    brief: bool = False  #: built sooner, slower to run: for much logic and few samples
    jobs: int = 1
    scheduler: str | None = None
    emitted: bool = False  #: the very text of `rtl emit`, not the one that simulators run faster

    @property
    def by_cocotb(self) -> bool:
        """Whether a cocotb bench drives the chip: not all can be compiled into this process."""
        return self.cocotb or SIMULATORS[self.simulator].compiled is None

    @property
    def way(self) -> Way:
        """How each segment is run."""
        return Way(self.simulator, self.stalls, self.waves, self.brief)


class Verification:
    """One comparison of the model with the Verilog.

    `model` and `hardware` are the states of both sides after `go`; `tally` what was found.
    """

    def __init__(
        self, config: ChipConfig, given: Samples, run: Run, emission: Emission | None = None
    ) -> None:
        if run.simulator not in SIMULATORS:
            raise Refusal(
                f"the simulator must be one of {', '.join(SIMULATORS)}, not {run.simulator!r}"
                f"{guess(run.simulator, SIMULATORS)}"
            )
        if run.jobs < 1:
            raise Refusal(f"there must be one job or more, not {run.jobs}")
        if run.resume and run.checkpoint is None:
            raise Refusal("--resume goes on from what --checkpoint names; give --checkpoint")
        self.config = config
        self.given = given
        self.run = run
        emitted = run.by_cocotb or run.waves or run.emitted
        with remembering(f"writing the Verilog of {config.name}"):
            self.emission = emission or (emit if emitted else emit_processes)(config)
        self.tally = Tally()
        self.model = self.hardware = fresh(config, given.seed)
        self._finished: list[Finished] = []
        self._resumed = 0  #: samples that a checkpoint tells of

    @property
    def unbroken(self) -> bool:
        """Whether one chip goes through the whole run without a seam."""
        few = len(self.given) <= UNBROKEN_SAMPLES or self.run.jobs == 1
        return self.run.by_cocotb or self.run.waves or (few and self.run.scheduler is None)

    def go(self, watch: Watch | None = None) -> None:
        """Run and compare to the end, or until the first difference is known."""
        if self.run.by_cocotb:
            self._go_by_cocotb()
            if watch:
                watch(self.tally)
            return
        segments = list(run_ahead(self.config, self.given, self.model))
        left = self._resume({segment.samples.at: segment for segment in segments})
        prepare(self.emission, self.run.simulator, waves=self.run.waves, brief=self.run.brief)
        if watch:
            watch(self.tally)
        try:
            with closing(self._finish(left, watch)) as finishing:
                for finished in finishing:
                    self._take(finished)
                    if watch:
                        watch(self.tally)
                    del left[finished.at]
                    first = self.tally.first
                    if first and not any(at < first.sample for at in left):
                        break
        except KeyboardInterrupt:
            raise Stopped(self._kept()) from None
        last = max(self._finished, key=lambda one: one.at)
        self.model, self.hardware = last.model, last.hardware

    def _finish(self, left: dict[int, Segment], watch: Watch | None) -> Finishing:
        """Go through the segments that are left."""
        run, segments = self.run, list(left.values())
        if not self.unbroken:
            yield from side_by_side(self.emission, run.way, segments, run.jobs, run.scheduler)
            return
        runner = Runner(self.emission, run.way, self.given.seed)

        def chunk(tally: Tally) -> None:
            if watch:
                sofar = Tally()
                sofar.add(self.tally)
                sofar.add(tally)
                watch(sofar)

        try:
            for segment in segments:
                yield runner.go(segment, chunk)
        finally:
            runner.close()

    def _take(self, finished: Finished) -> None:
        """Note a segment, and keep it."""
        self._finished.append(finished)
        self.tally.add(finished.tally)
        if self.run.checkpoint and finished.tally.equal:
            equal = [one for one in self._finished if one.tally.equal]
            checkpoint.write(self.run.checkpoint, self._identity(), equal)

    def _go_by_cocotb(self) -> None:
        """One run of the bench, everything compared at its end."""
        config, given, run = self.config, self.given, self.run
        self.model, start = self.model.copy(), self.model
        way = f"{config.name} in {run.simulator} by cocotb, a sample"
        with remembering(way, times=len(given)):
            seen = cosim.observe(
                config, given.words(config), given.train, start, run.stalls, given.seed,
                run.simulator, run.waves,
            )  # fmt: skip
        self.hardware = seen.state
        self.tally.take(config, given, Expected.of(config, self.model, given), seen)
        self.tally.states(self.model, seen.state, len(given) - 1)
        self.tally.counters_rtl = seen.counters
        expected = self.tally.counters_model if config.counters else {}
        self.tally.counters(expected, seen.counters, len(given) - 1)

    # -- checkpoints ----------------------------------------------------------------------------

    def _identity(self) -> str:
        """Hash of all that decides how the run ends."""
        given, run = self.given, self.run
        digest = hashlib.sha256(self.emission.verilog.encode())
        for array in (given.images, given.labels, given.rates):
            digest.update(np.ascontiguousarray(array).data)
        about = (self.config.sha256, given.train, given.seed, run.simulator, run.stalls)
        digest.update(repr((*about, version(run.simulator))).encode())
        return digest.hexdigest()

    def _resume(self, segments: dict[int, Segment]) -> dict[int, Segment]:
        """Take over what is finished; gives what is left."""
        if self.run.resume and self.run.checkpoint:
            self._finished = checkpoint.read(
                self.run.checkpoint, self._identity(), self.config, segments
            )
        for finished in self._finished:
            self.tally.add(finished.tally)
            del segments[finished.at]
        self._resumed = self.tally.done
        return segments

    def _kept(self) -> str:
        """What is kept of a run that the user stops."""
        done, path = f"{self.tally.done:,} of {len(self.given):,} samples", self.run.checkpoint
        kept = f"are kept in {path}; --resume goes on" if path else "are lost; name a --checkpoint"
        return f"{done} {kept}"

    # -- report ---------------------------------------------------------------------------------

    @property
    def counters_equal(self) -> bool:
        """Whether all counters that do not depend on back-pressure are equal."""
        model, rtl = self.tally.counters_model, self.tally.counters_rtl
        return not self.config.counters or all(rtl[name] == model[name] for name in model)

    def proof(self) -> dict[str, Any]:
        """How the run was proved: in one piece or by seams, by whom, with what."""
        return {
            "unbroken": self.unbroken and not self._resumed,
            "seams": [] if self.unbroken else sorted(one.at for one in self._finished if one.at),
            "samples_from_checkpoint": self._resumed,
            "workers": sorted({one.worker for one in self._finished}),
            "versions": sorted({one.version for one in self._finished}),
            "cycles_seams": self.tally.cycles_seams,
        }

    def figures(self, seconds: float) -> dict[str, Any]:
        """All that was measured, for JSON."""
        tally, given, config = self.tally, self.given, self.config
        cycles = tally.cycles_train + tally.cycles_test
        tested = max(1, tally.done - given.train)
        trained = max(1, min(tally.done, given.train))
        return {
            "preset": config.name,
            "config_sha256": config.sha256,
            "rule": config.rule_name,
            "simulator": self.run.simulator,
            "simulator_version": version(self.run.simulator),
            "data": given.data,
            "seed": given.seed,
            "train_samples": given.train,
            "test_samples": len(given) - given.train,
            "samples_compared": tally.done,
            "compared_values": tally.compared,
            "mismatches": tally.mismatches,
            "first_mismatch": None if tally.first is None else vars(tally.first),
            "counters_equal": self.counters_equal,
            "weights_sha256": {
                "model": self.model.weights_sha256,
                "rtl": self.hardware.weights_sha256,
            },
            "accuracy": {"model": tally.right_model / tested, "rtl": tally.right_rtl / tested},
            "cycles": cycles,
            "cycles_per_train_sample": tally.cycles_train / trained,
            "cycles_per_test_sample": tally.cycles_test / tested,
            "cycles_per_second": cycles / tally.seconds if tally.seconds else None,
            "seconds": seconds,
            "stalls": self.run.stalls,
            "proof": self.proof(),
            "counters": tally.counters_rtl,
            "met": tally.met | coverage.moved(config, tally.counters_rtl, self.run.stalls),
        }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def verify(
    config: ChipConfig, given: Samples, run: Run, watch: Watch | None = None
) -> tuple[Verification, dict[str, Any]]:
    """Compare model and Verilog on samples; the verification and its figures."""
    began = time.perf_counter()
    verification = Verification(config, given, run)
    verification.go(watch)
    return verification, verification.figures(time.perf_counter() - began)


def sentence(figures: dict[str, Any]) -> str:
    """The verdict in one line."""
    line = f"[{figures['mismatches']}/{figures['compared_values']:,}] mismatches"
    first = figures["first_mismatch"]
    return f"{line}; first: {Difference(**first)}" if first else line


def summary(figures: dict[str, Any]) -> str:
    """Proof, cases met, accuracy, hashes and speed in five lines."""
    accuracy, hashes = figures["accuracy"], figures["weights_sha256"]
    return "\n".join(
        [
            proof(figures),
            coverage.sentence(figures["met"]),
            f"accuracy: model {accuracy['model']:.2%}, Verilog {accuracy['rtl']:.2%}",
            f"weights: model {hashes['model'][:16]}, Verilog {hashes['rtl'][:16]}",
            f"cycles: {figures['cycles']:,}; {figures['cycles_per_train_sample']:,.1f} a learned "
            f"sample, {figures['cycles_per_test_sample']:,.1f} a classified one; "
            f"{figures['cycles_per_second']:,.0f} a second; {figures['seconds']:.1f} s in all",
        ]
    )


def proof(figures: dict[str, Any]) -> str:
    """What was proved, in words, or what was tried."""
    told, done = figures["proof"], figures["samples_compared"]
    if figures["mismatches"]:
        return f"not proved: {done:,} samples were compared"
    taken = told["samples_from_checkpoint"]
    before = f", {taken:,} of them as a checkpoint tells" if taken else ""
    if not told["seams"]:
        way = "one unbroken run" if told["unbroken"] else "one run, taken up again"
        return f"proved: {way} of {done:,} samples{before}"
    seams = ", ".join(f"{at:,}" for at in told["seams"])
    return (
        f"proved by induction over {len(told['seams'])} seams: {done:,} samples{before}; each "
        "segment began in Verilog with the model's state at its first seam and ended with that at "
        f"its last (seams before samples {seams}; workers {', '.join(told['workers'])}; "
        f"{figures['simulator']} {', '.join(told['versions'])}; {told['cycles_seams']:,} cycles "
        "more for reading and writing state)"
    )


def unlike(figures: dict[str, Any], path: Path) -> list[str]:
    """What a run ended with that another one, of which `verify --json` wrote `path`, did not.

    Raises `Refusal` where the other run was of something else.
    """
    try:
        other = json.loads(path.read_text())
        same = all(other[name] == figures[name] for name in GIVEN)
        differing = [name for name in ENDED if other[name] != figures[name]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Refusal(
            f"{path} is not what `verify --json` writes ({error}); verify again"
        ) from error
    if not same:
        raise Refusal(f"{path} is of another run: {', '.join(GIVEN)} must be the same")
    return differing


def write_mismatches(figures: dict[str, Any], path: Path) -> None:
    """Write what differed; only called where something did."""
    kept = {key: figures[key] for key in figures if key not in ("counters", "met")}
    write_json(path, kept)

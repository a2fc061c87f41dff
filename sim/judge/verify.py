"""The ladder's judge: the same samples through the model and through the Verilog, all compared.

Model and hardware train on the same samples in the same order, then classify held-out ones. What
crosses every boundary, the output words, the banks, the LFSRs and all counters that do not depend
on back-pressure must be equal.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from model.arith import Codes, Words
from model.contract import result
from model.contract.artifact import write_json, writing
from model.contract.config import ChipConfig
from model.contract.counters import Kind, counters
from model.contract.refusal import Refusal
from model.data import Dataset
from model.fast.engine import FastChip
from model.network import checked_images, checked_labels, drawn, plan, totals
from model.sensor.image import sample_words
from model.state import State, fresh
from model.trace import Difference, Trace, first_difference, mismatches
from rtl.emit import emit
from sim import tools
from sim.simulators import cosim
from sim.simulators.bulk import BulkChip
from sim.simulators.observed import Observed

CHUNK_SAMPLES = 500  #: compared at a time: bounds memory
CHECKPOINT_CHUNKS = 10  #: chunks between two checkpoints


@dataclass(frozen=True)
class Samples:
    """What the chip meets, in order: images, labels, rate steps; the first `train` are learned."""

    images: np.ndarray
    labels: Codes
    rates: Codes
    train: int
    data: str
    seed: int

    def __len__(self) -> int:
        return len(self.labels)

    def words(self, config: ChipConfig, part: slice) -> Words:
        """Input words of some samples, end to end."""
        numbers = range(*part.indices(len(self)))
        return np.concatenate(
            [
                sample_words(
                    config,
                    self.images[n],
                    int(self.labels[n]),
                    n < self.train,
                    int(self.rates[n]),
                )
                for n in numbers
            ]
        )


def samples(
    config: ChipConfig, data: Dataset, train: int, test: int, seed: int, epochs: int = 1
) -> Samples:
    """Training samples as `model train --limit TRAIN` meets them, then the first test samples.

    Raises `Refusal` where there are fewer, or they do not fit the chip.
    """
    if not 1 <= test <= len(data.y_test):
        raise Refusal(
            f"of {len(data.y_test)} test samples 1 to {len(data.y_test)} can be taken, not {test}"
        )
    kept = drawn(len(data.y_train), train, seed)
    order, rates = plan(config, train, epochs, seed)
    learned = kept[order]
    images = np.concatenate([data.x_train[learned], data.x_test[:test]])
    labels = np.concatenate([data.y_train[learned], data.y_test[:test]])
    return Samples(
        checked_images(config, images),
        checked_labels(config, labels, len(images)),
        np.append(rates, np.zeros(test, dtype=np.int64)),
        len(order),
        data.name,
        seed,
    )


@dataclass
class Tally:
    """What was compared so far, and what differed."""

    done: int = 0  #: samples
    compared: int = 0
    mismatches: int = 0
    first: Difference | None = None
    right_model: int = 0  #: test samples classified rightly
    right_rtl: int = 0
    cycles_train: int = 0
    cycles_test: int = 0
    seconds: float = 0.0
    counters_model: dict[str, int] = field(default_factory=dict)
    counters_rtl: dict[str, int] = field(default_factory=dict)

    def note(self, difference: Difference | None, differing: int) -> None:
        """Add to the mismatches; the first difference stays."""
        self.mismatches += differing
        if self.first is None and difference is not None:
            self.first = difference


Watch = Callable[[Tally], None]


@dataclass(frozen=True)
class Run:
    """How the Verilog is run."""

    simulator: str
    stalls: float = 0.0
    waves: bool = False
    cocotb: bool = False
    checkpoint: Path | None = None
    resume: bool = False
    brief: bool = False  #: built sooner, slower to run: for much logic and few samples

    @property
    def by_cocotb(self) -> bool:
        """Whether a cocotb bench drives the chip; Icarus cannot be compiled into this process."""
        return self.cocotb or self.simulator == "icarus"


class Verification:
    """One comparison of the model with the Verilog.

    `model` and `hardware` are the states of both sides after `go`; `tally` what was found.
    """

    def __init__(self, config: ChipConfig, given: Samples, run: Run) -> None:
        if run.simulator not in ("verilator", "cxxrtl", "icarus"):
            raise Refusal(
                f"the simulator must be verilator, cxxrtl or icarus, not {run.simulator!r}"
            )
        self.config = config
        self.given = given
        self.run = run
        self.emission = emit(config)
        self.tally = Tally()
        self.model = fresh(config, given.seed)
        self.hardware = self.model.copy()

    def go(self, watch: Watch | None = None) -> None:
        """Run and compare to the end, or to the end of the first chunk that differs."""
        if self.run.resume:
            self._take_over()
        for number, (part, seen) in enumerate(self._observations()):
            self._compare(part, seen)
            if watch:
                watch(self.tally)
            if self.tally.mismatches:
                break
            if self.run.checkpoint and number % CHECKPOINT_CHUNKS == CHECKPOINT_CHUNKS - 1:
                self._keep(self.run.checkpoint)
        self._compare_states()
        self._compare_counters()

    # -- the two sides --------------------------------------------------------------------------

    def _parts(self, size: int) -> Iterator[slice]:
        """Chunks of samples from where the tally stands; none holds training and test samples."""
        train, end = self.given.train, len(self.given)
        at = self.tally.done
        while at < end:
            stop = min(at + size, train if at < train else end)
            yield slice(at, stop)
            at = stop

    def _observations(self) -> Iterator[tuple[slice, Observed]]:
        config, given, run = self.config, self.given, self.run
        if run.by_cocotb:
            whole = slice(0, len(given))
            yield whole, cosim.observe(
                config, given.words(config, whole), given.train, self.hardware, run.stalls,
                given.seed, run.simulator, run.waves,
            )  # fmt: skip
            return
        with BulkChip(
            self.emission,
            run.simulator,
            stalls=run.stalls,
            seed=given.seed,
            waves=run.waves,
            brief=run.brief,
        ) as chip:
            chip.load(self.hardware)
            for part in self._parts(CHUNK_SAMPLES):
                count = part.stop - part.start
                train = count if part.start < given.train else 0
                words = given.words(config, part)
                yield part, chip.observe(words, train, given.seed + part.start)

    def _compare(self, part: slice, seen: Observed) -> None:
        config, given, tally = self.config, self.given, self.tally
        expected = Trace.of(config)
        chip = FastChip(config, self.model, expected)
        learn = np.arange(part.start, part.stop) < given.train
        classes, scores = chip.run(given.images[part], given.labels[part], given.rates[part], learn)
        self.hardware = seen.state
        tally.compared += expected.values() + scores.size + classes.size
        difference = first_difference(expected, seen.trace)
        tally.note(_at(difference, part.start), mismatches(expected, seen.trace))
        self._compare_results(part, classes, scores, learn & config_learns(config), seen.results)
        tested = np.arange(part.start, part.stop) >= given.train
        found = np.array([words[-1] & 0xFF if len(words) else -1 for words in seen.results])
        if len(found) == len(classes):
            tally.right_rtl += int(np.sum((found == given.labels[part]) & tested))
        tally.right_model += int(np.sum((classes == given.labels[part]) & tested))
        tally.cycles_train += seen.cycles_train
        tally.cycles_test += seen.cycles_test
        tally.seconds += seen.seconds
        _add(tally.counters_model, totals(config, chip.counts))
        _add(tally.counters_rtl, seen.counters)
        tally.done = part.stop

    def _compare_results(
        self, part: slice, classes: Codes, scores: Codes, learned: np.ndarray, got: list[Words]
    ) -> None:
        """Output words on the chip's pins against the model's scores and classes."""
        for number, words in enumerate(_output_words(classes, scores, learned)):
            found = got[number] if number < len(got) else np.empty(0, np.uint32)
            if np.array_equal(words, found):
                continue
            common = min(len(words), len(found))
            unequal = np.flatnonzero(words[:common] != found[:common])
            step = int(unequal[0]) if len(unequal) else common
            wanted = int(words[step]) if step < len(words) else "no word"
            seen = int(found[step]) if step < len(found) else "no word"
            place = Difference("results", part.start + number, step, "word", wanted, seen)
            self.tally.note(place, len(unequal) + abs(len(words) - len(found)))
        self.tally.mismatches += max(0, len(got) - len(classes))

    def _compare_states(self) -> None:
        for name, wanted in self.model.banks.items():
            found = self.hardware.banks[name]
            self.tally.compared += wanted.size
            unequal = np.argwhere(wanted != found)
            if len(unequal):
                where = tuple(map(int, unequal[0]))
                place = Difference(
                    name, self.tally.done - 1, 0, str(where), int(wanted[where]), int(found[where])
                )
                self.tally.note(place, len(unequal))
        for layer, wanted_state in self.model.lfsrs.items():
            self.tally.compared += 1
            found_state = self.hardware.lfsrs[layer]
            if wanted_state != found_state:
                place = Difference(layer, self.tally.done - 1, 0, "lfsr", wanted_state, found_state)
                self.tally.note(place, 1)

    def _compare_counters(self) -> None:
        for name, wanted, found in self._counter_pairs():
            self.tally.compared += 1
            if wanted != found:
                place = Difference(name, self.tally.done - 1, 0, "counter", wanted, found)
                self.tally.note(place, 1)

    def _counter_pairs(self) -> Iterator[tuple[str, int, int]]:
        """Counters that do not depend on back-pressure: name, the model's, the hardware's."""
        if not self.config.counters:
            return
        for counter in counters(self.config):
            if counter.kind is not Kind.STALL:
                name = counter.name
                yield name, self.tally.counters_model[name], self.tally.counters_rtl[name]

    @property
    def counters_equal(self) -> bool:
        """Whether all counters that do not depend on back-pressure are equal."""
        return all(wanted == found for _, wanted, found in self._counter_pairs())

    # -- checkpoints ----------------------------------------------------------------------------

    def _identity(self) -> str:
        """Hash of all that decides how the run ends."""
        given, run = self.given, self.run
        digest = hashlib.sha256(self.emission.verilog.encode())
        for array in (given.images, given.labels, given.rates):
            digest.update(np.ascontiguousarray(array).data)
        about = (self.config.sha256, given.train, given.seed, run.simulator, run.stalls)
        digest.update(repr((*about, _version(run.simulator))).encode())
        return digest.hexdigest()

    def _keep(self, path: Path) -> None:
        """Write a checkpoint: both sides are equal here, so one state stands for both."""
        tally = self.tally
        numbers = {
            name: getattr(tally, name)
            for name in (
                "done", "compared", "right_model", "right_rtl", "cycles_train", "cycles_test",
                "seconds",
            )
        }  # fmt: skip
        names = list(tally.counters_rtl)
        arrays: dict[str, Any] = {
            "identity": self._identity(),
            **{f"tally:{name}": value for name, value in numbers.items()},
            "counters": names,
            "counters_rtl": [tally.counters_rtl[name] for name in names],
            "counters_model": [tally.counters_model.get(name, 0) for name in names],
            **{f"state:{name}": part for name, part in self.model.to_arrays().items()},
        }
        with writing(path) as file:
            np.savez(file, **arrays)

    def _take_over(self) -> None:
        path = self.run.checkpoint
        if path is None:
            raise Refusal("--resume goes on from what --checkpoint names; give --checkpoint")
        if not path.exists():
            return
        try:
            with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
                kept = {name: file[name] for name in file.files}
            identity = str(kept["identity"])
        except Exception as error:  # zipfile and zlib raise classes of their own
            raise Refusal(f"{path} is no whole checkpoint: {error}; remove it") from error
        if identity != self._identity():
            raise Refusal(f"{path} is a checkpoint of another run; name another, or remove it")
        prefix = "state:"
        arrays = {n.removeprefix(prefix): a for n, a in kept.items() if n.startswith(prefix)}
        self.model = State.from_arrays(self.config, arrays)
        self.hardware = self.model.copy()
        for name, value in kept.items():
            if name.startswith("tally:"):
                setattr(self.tally, name.removeprefix("tally:"), value.item())
        names = [str(name) for name in kept["counters"]]
        self.tally.counters_rtl = dict(zip(names, map(int, kept["counters_rtl"]), strict=True))
        known = set(totals(self.config, FastChip(self.config, self.model).counts))
        pairs = zip(names, map(int, kept["counters_model"]), strict=True)
        self.tally.counters_model = {name: value for name, value in pairs if name in known}

    # -- report ---------------------------------------------------------------------------------

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
            "simulator_version": _version(self.run.simulator),
            "data": given.data,
            "seed": given.seed,
            "train_samples": given.train,
            "test_samples": len(given) - given.train,
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
            "counters": tally.counters_rtl,
        }


def config_learns(config: ChipConfig) -> bool:
    """Whether any layer of the chip learns."""
    return any(layer.learns for layer in config.layer_shapes)


def _version(simulator: str) -> str:
    """Version of the simulator; CXXRTL is part of Yosys."""
    return tools.require("yosys" if simulator == "cxxrtl" else simulator).version


def _at(difference: Difference | None, offset: int) -> Difference | None:
    """The difference with its sample counted from the start of the run."""
    if difference is None:
        return None
    return Difference(**{**vars(difference), "sample": difference.sample + offset})


def _add(total: dict[str, int], more: dict[str, int]) -> None:
    for name, value in more.items():
        total[name] = total.get(name, 0) + value


def _output_words(classes: Codes, scores: Codes, learned: np.ndarray) -> Iterator[Words]:
    """The words that the chip owes for each sample: a score a class, then the verdict."""
    for label, row, learns in zip(classes, scores, learned, strict=True):
        verdict = result.pack_verdict(result.Verdict(int(label), bool(learns), False))
        yield np.append(row, verdict).astype(np.uint32)


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
    """Speed, accuracy and hashes in three lines."""
    accuracy, hashes = figures["accuracy"], figures["weights_sha256"]
    return "\n".join(
        [
            f"accuracy: model {accuracy['model']:.2%}, Verilog {accuracy['rtl']:.2%}",
            f"weights: model {hashes['model'][:16]}, Verilog {hashes['rtl'][:16]}",
            f"cycles: {figures['cycles']:,}; {figures['cycles_per_train_sample']:,.1f} a learned "
            f"sample, {figures['cycles_per_test_sample']:,.1f} a classified one; "
            f"{figures['cycles_per_second']:,.0f} a second; {figures['seconds']:.1f} s in all",
        ]
    )


def write_mismatches(figures: dict[str, Any], path: Path) -> None:
    """Write what differed; only called where something did."""
    write_json(path, {key: figures[key] for key in figures if key != "counters"})

"""Soak: random chips, random data, random stalls; every rung of the ladder must say the same.

A case is a seed. From it are drawn a chip's choices, legal or not; samples of random images, some
with malformed, repeated or misplaced events and marks that are refused; a simulator and its stalls.
An illegal chip must be refused in one sentence. A legal one runs in the plain engine, in the fast
engine and in its Verilog, and all that can be seen of the three must be equal. The Verilog starts
with random contents (`sim.trust.reset`) and is cut at its work and reset before it counts.

A case that fails is made smaller while it fails, and kept as a file that `--replay` takes.
"""

import dataclasses
import json
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Parallel, delayed

from model.arith import Words
from model.contract.choices import Activation, Conv, Gate, Hidden, Learning, Pooling, Readout, Rule
from model.contract.config import ChipConfig
from model.contract.event import Event, Mark, pack_event, pack_mark
from model.contract.noise import TAPS
from model.contract.reading import from_dict
from model.contract.refusal import Refusal
from model.contract.timing import sample_cycles
from model.fast.engine import FastChip
from model.network import totals
from model.sensor.image import sample_words
from model.state import State, fresh
from model.trace import Trace
from rtl.emit import emit
from sim.judge.difference import Comparison
from sim.simulators import cosim, plain
from sim.simulators.bulk import BulkChip
from sim.simulators.observed import Observed
from sim.trust.reset import at_random

SIMULATORS = ("verilator", "cxxrtl", "icarus")
SHARES = (0.55, 0.4, 0.05)  #: of the cases that run in each; Icarus is slow
SAMPLES = 8
ICARUS_SAMPLES = 3
ICARUS_WORK = 20_000  #: products a sample above which a case does not go to Icarus
SHRINKS = 30  #: smaller cases that are tried at most

Choices = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """Of one case: what became of it (equal, refused, different, broken), and what was seen."""

    seed: int
    verdict: str
    told: str  #: the refusal, the first difference, or the traceback
    choices: Choices
    simulator: str
    values: int = 0  #: compared

    @property
    def failed(self) -> bool:
        """Whether something is wrong with the kit."""
        return self.verdict in ("different", "broken")


@dataclass(frozen=True)
class Case:
    """What a seed stands for; a smaller case is one with other choices or fewer samples."""

    seed: int
    choices: Choices
    simulator: str
    stalls: float
    samples: int


# Drawing


def drawn(seed: int) -> Case:
    """The case of a seed."""
    rng = np.random.default_rng([seed, 0x50A4])
    choices = _chip(rng)
    simulator = str(rng.choice(SIMULATORS, p=SHARES))
    stalls = float(rng.choice((0.0, 0.1, 0.3, 0.6, 0.8)))
    return Case(seed, choices, simulator, stalls, SAMPLES)


def _chip(rng: np.random.Generator) -> Choices:
    """Choices of a chip: mostly legal, at both ends of their ranges more often than between."""
    classes = _size(rng, 2, 20)
    rule = str(rng.choice([*Rule]))
    lanes = _size(rng, 1, 32)
    neurons = [_neurons(rng, lanes) for _ in range(rng.integers(1, 3))]
    schedule = rng.integers(0, 4, rng.integers(1, 4)).tolist()
    height, width = _size(rng, 1, 12), _size(rng, 1, 12)
    return {
        "name": "soak",
        "height": height,
        "width": width,
        "channels": _size(rng, 1, 4),
        "pixel_bits": _size(rng, 1, 8),
        "weight_bits": _size(rng, 2, 12),
        "lanes": lanes,
        "counters": bool(rng.random() < 0.8),
        "conv": list(_convs(rng, height, width)),
        "hidden": [_hidden(rng, count) for count in neurons],
        "readout": _fields(
            Readout, classes=classes, shift=_size(rng, 0, 12), rate_shift=_size(rng, 1, 13)
        ),
        "learning": _fields(
            Learning,
            rule=rule,
            gate=str(rng.choice([*Gate])),
            density=int(rng.integers(1, classes + 1)),
            error_scaled=bool(rule == Rule.DRTP and rng.random() < 0.4),
            error_shift=_size(rng, 0, 8),
            error_threshold=_size(rng, 1, 255),
            schedule=schedule,
            lfsr_bits=int(rng.choice([*TAPS])),
        ),
    }


def _convs(rng: np.random.Generator, height: int, width: int) -> Iterator[Choices]:
    """Up to two convolutions, most of which fit the map."""
    for _ in range(rng.integers(0, 3)):
        size = int(rng.choice([n for n in (1, 2, 3, 3, 5) if n <= max(1, min(height, width))]))
        padding = int(rng.integers(0, size))
        height, width = (length + 2 * padding - size + 1 for length in (height, width))
        pools = [n for n in range(1, 5) if height % n == 0 and width % n == 0]
        pool = int(rng.choice(pools)) if pools and rng.random() < 0.95 else 2
        height, width = height // pool, width // pool
        yield _conv(rng, size, padding, pool)


def _conv(rng: np.random.Generator, size: int, padding: int, pool: int) -> Choices:
    return _fields(
        Conv,
        kernels=_size(rng, 1, 12),
        places=int(rng.choice((1, 1, 2, 3, 5))),
        lanes=None if rng.random() < 0.6 else _size(rng, 1, 12),
        size=size,
        padding=padding,
        pool=pool,
        pooling=str(rng.choice([*Pooling])),
        inhibition=None if rng.random() < 0.5 else _size(rng, 1, 5),
        shift=_size(rng, 0, 12),
        kernel_bits=_size(rng, 2, 8),
        feature_bits=_size(rng, 1, 8),
        bank=str(rng.choice(("gabor", "random"))),
    )


def _hidden(rng: np.random.Generator, neurons: int) -> Choices:
    return _fields(
        Hidden,
        neurons=neurons,
        shift=_size(rng, 0, 10),
        rate_shift=_size(rng, 1, 12),
        threshold=1 << int(rng.integers(0, 15)),
        activation=str(rng.choice([*Activation])),
        spread=int(rng.choice((0, 1, 1))),
    )


def _fields(kind: type, **values: Any) -> Choices:
    """The values of fields; what is None is left out, as in a TOML file."""
    known = {entry.name for entry in dataclasses.fields(kind)}
    if unknown := values.keys() - known:
        raise AssertionError(f"{kind.__name__} has no field {unknown}")
    return {name: value for name, value in values.items() if value is not None}


def _size(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number, one in four at either end."""
    if rng.random() < 0.25:
        return int(rng.choice((low, high)))
    return int(rng.integers(low, high + 1))


def _neurons(rng: np.random.Generator, lanes: int) -> int:
    """Mostly a multiple of the lanes, as a chip wants it."""
    wanted = _size(rng, 1, 48)
    if rng.random() < 0.95 and wanted > lanes:
        return wanted // lanes * lanes
    return wanted


def _images(config: ChipConfig, rng: np.random.Generator, count: int) -> np.ndarray:
    """Images of all densities, levels at both ends more often than between."""
    size = (count, config.height, config.width, config.channels)
    levels = rng.choice((0, 1, 254, 255, 128), size)
    levels = np.where(rng.random(size) < 0.7, rng.integers(0, 256, size), levels)
    return (levels * (rng.random(size) < rng.random((count, 1, 1, 1)))).astype(np.uint8)


def _spoiled(config: ChipConfig, words: Words, rng: np.random.Generator) -> Words:
    """A sample with events that are malformed, repeated or late, or a mark that is refused."""
    events, mark = words[:-1], words[-1:]
    strays = [
        pack_event(
            Event(
                x=int(rng.integers(0, config.width + 2)),
                y=int(rng.integers(0, config.height + 2)),
                channel=int(rng.integers(0, min(8, config.channels + 1))),
                time=int(rng.integers(0, config.time_top + 2)) & 0xFF,
            )
        )
        for _ in range(rng.integers(0, 6))
    ]
    again = rng.choice(events, min(len(events), 3)) if len(events) else events
    places = np.sort(rng.integers(0, len(events) + 1, len(strays) + len(again)))
    mixed = np.insert(events, places, np.array([*strays, *again], np.uint32))
    if rng.random() < 0.3:
        label = config.readout.classes + int(rng.integers(0, 3))
        mark = np.array([pack_mark(Mark(label & 0xFF, True))], np.uint32)
    return np.concatenate([mixed, mark]).astype(np.uint32)


# Running


def run(case: Case) -> Outcome:
    """The case on all rungs."""
    about = (case.choices, case.simulator)
    try:
        config = from_dict(case.choices)
    except Refusal as refusal:
        told = str(refusal)
        verdict = "refused" if told and "\n" not in told.strip() else "broken"
        return Outcome(case.seed, verdict, told, *about)
    except Exception:
        return Outcome(case.seed, "broken", traceback.format_exc(), *about)
    try:
        difference, values = _compared(config, case)
    except Exception:
        return Outcome(case.seed, "broken", traceback.format_exc(), *about)
    verdict = "different" if difference else "equal"
    return Outcome(case.seed, verdict, difference or "", *about, values)


def _compared(config: ChipConfig, case: Case) -> tuple[str | None, int]:
    """What differs, and how many values were compared."""
    rng = np.random.default_rng([case.seed, 0xDA7A])
    simulator = case.simulator
    if simulator == "icarus" and _work(config) > ICARUS_WORK:
        simulator = "verilator"
    count = min(case.samples, ICARUS_SAMPLES) if simulator == "icarus" else case.samples
    state = _state(config, rng)
    images = _images(config, rng, count)
    labels = rng.integers(0, config.readout.classes, count)
    rates = rng.integers(0, config.rate_steps, count)
    learn = np.arange(count) < rng.integers(0, count + 1)
    clean = [
        sample_words(config, *sample)
        for sample in zip(images, labels.tolist(), learn.tolist(), rates.tolist(), strict=True)
    ]
    model = plain.observe(config, state, clean)
    told = _against_fast(config, state, model, (images, labels, rates, learn))
    if told:
        return told, model.trace.values()
    words = [_spoiled(config, w, rng) if rng.random() < 0.3 else w for w in clean]
    wanted = plain.observe(config, state, words)
    found = _hardware(config, state, words, int(learn.sum()), case, simulator)
    values = model.trace.values() + 2 * wanted.trace.values()
    return _difference(wanted, found, simulator), values


def _work(config: ChipConfig) -> int:
    """Products of a sample at most."""
    window = [s.size**2 * c.kernels for s, c in zip(config.conv, config.conv_shapes, strict=True)]
    inputs = config.height * config.width * config.channels
    return inputs * max([1, *window]) + sum(s.inputs * s.outputs for s in config.layer_shapes)


def _state(config: ChipConfig, rng: np.random.Generator) -> State:
    """A fresh state, or one with weights all over their format."""
    state = fresh(config, int(rng.integers(0, 1000)))
    if rng.random() < 0.5:
        high = config.weight.high
        for name, codes in state.weights.items():
            state.banks[f"{name}.weights"] = rng.integers(-high, high + 1, codes.shape)
    return state


def _against_fast(
    config: ChipConfig, state: State, wanted: Observed, samples: tuple[Any, ...]
) -> str | None:
    trace = Trace.of(config)
    chip = FastChip(config, state.copy(), trace)
    images, *marks = samples
    if config.learning.rule is Rule.NONE:
        marks[2] = False
    chip.run(images, *marks)
    counts = totals(config, chip.counts)
    found = Observed(trace, wanted.results, 0, 0, 0.0, chip.state, counts)
    return _difference(wanted, found, "the fast engine")


def _hardware(
    config: ChipConfig,
    state: State,
    samples: list[Words],
    train: int,
    case: Case,
    simulator: str,
) -> Observed:
    words = np.concatenate(samples)
    if simulator == "icarus":
        return cosim.observe(
            config, words, train, state, case.stalls, case.seed % (1 << 31), simulator, False
        )
    emission = emit(config)
    if simulator == "verilator":  # CXXRTL draws no numbers
        emission = dataclasses.replace(emission, verilog=at_random(emission.verilog))
    with BulkChip(emission, simulator, stalls=case.stalls, seed=case.seed, brief=True) as chip:
        chip.cut(words, case.seed % sample_cycles(config), case.seed)
        chip.load(state)
        return chip.observe(words, train, case.seed)


def _difference(wanted: Observed, found: Observed, rung: str) -> str | None:
    """The first thing that differs between the plain engine and another rung, in words."""
    seen = Comparison()
    seen.observed(wanted, found)
    return f"{rung}: {seen.first}" if seen.first else None


# Shrinking


def shrunk(case: Case, progress: Callable[[int], None] = lambda tried: None) -> Case:
    """A smaller case that still fails: greedily, each step keeps what fails."""
    tried = 0
    improved = True
    while improved and tried < SHRINKS:
        improved = False
        for smaller in _smaller(case):
            tried += 1
            progress(tried)
            if run(smaller).failed:
                case, improved = smaller, True
                break
            if tried >= SHRINKS:
                break
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """Cases with one thing less."""
    choices = case.choices
    if case.samples > 1:
        yield dataclasses.replace(case, samples=case.samples // 2)
    if case.stalls:
        yield dataclasses.replace(case, stalls=0.0)
    for name in ("conv", "hidden"):
        if choices.get(name):
            yield dataclasses.replace(case, choices={**choices, name: choices[name][:-1]})
    for name in ("height", "width", "channels", "pixel_bits", "weight_bits", "lanes"):
        low = 2 if name == "weight_bits" else 1
        if choices.get(name, low) > low:
            yield dataclasses.replace(case, choices={**choices, name: max(low, choices[name] // 2)})


# Soaking


@dataclass(frozen=True)
class Soak:
    """What came of many cases."""

    outcomes: Counter[str]
    simulators: Counter[str]
    rules: Counter[str]
    values: int
    failures: list[Outcome]
    first_seed: int
    seconds: float

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "first_seed": self.first_seed,
            "cases": self.outcomes.total(),
            "outcomes": dict(self.outcomes),
            "simulators": dict(self.simulators),
            "rules": dict(self.rules),
            "compared_values": self.values,
            "seconds": round(self.seconds, 1),
            "failures": [dataclasses.asdict(outcome) for outcome in self.failures],
        }


def soak(
    first_seed: int,
    minutes: float,
    most: int | None = None,
    progress: Callable[[Outcome], None] = lambda outcome: None,
) -> Soak:
    """Cases from `first_seed` upwards, until the minutes are over or `most` ran.

    They run side by side as joblib is told.
    """
    began = time.monotonic()
    deadline = began + 60 * minutes

    def seeds() -> Iterator[int]:
        seed = first_seed
        while time.monotonic() < deadline and (most is None or seed < first_seed + most):
            yield seed
            seed += 1

    outcomes, simulators, rules = Counter[str](), Counter[str](), Counter[str]()
    values, failures = 0, []
    pool = Parallel(return_as="generator_unordered", pre_dispatch="n_jobs", batch_size=1)
    for outcome in pool(delayed(run_seed)(seed) for seed in seeds()):
        outcomes[outcome.verdict] += 1
        if outcome.verdict == "equal":
            simulators[outcome.simulator] += 1
            rules[outcome.choices["learning"]["rule"]] += 1
        values += outcome.values
        if outcome.failed:
            failures.append(outcome)
        progress(outcome)
    seconds = time.monotonic() - began
    return Soak(outcomes, simulators, rules, values, failures, first_seed, seconds)


def run_seed(seed: int) -> Outcome:
    """The case of a seed on all rungs."""
    return run(drawn(seed))


def keep(case: Case, outcome: Outcome, folder: Path) -> Path:
    """The file of a case, for `--replay`."""
    from model.contract.artifact import write_json

    path = folder / f"{case.seed}.json"
    write_json(path, {**dataclasses.asdict(case), "told": outcome.told})
    return path


def read(path: Path) -> Case:
    """A case that was kept. Raises `Refusal` where the file holds none."""
    try:
        found = json.loads(path.read_text())
        return Case(**{entry.name: found[entry.name] for entry in dataclasses.fields(Case)})
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise Refusal(f"{path} holds no case of a soak: {error}") from error

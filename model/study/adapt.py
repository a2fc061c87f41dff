"""Adaptation: a trained chip meets a changed world, with and without learning on.

Every learner starts from the same trained state (`dfa` from one that dfa has trained) and meets the
same labelled stream once, sample after sample. Between samples it is tested on the changed test
images, and on those as they were: what it forgets.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from rich.table import Table

from model.arith import Codes
from model.contract.choices import Rule
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.registers import learning_layers
from model.fast.engine import FastChip, Features
from model.network import ChipModel, Images, Progress
from model.state import State, bank_shapes, fresh
from model.study.experiment import Samples
from model.study.scenario import Scenario
from model.trace import Trace

LEARNERS = ("off", "readout", "drtp", "dfa")
"""What learns from the stream: nothing, the last layer, all layers by one rule or another."""

LOOKS = (0, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000)
"""Labelled samples after which accuracy is taken, and at the end."""

LIMITS = (
    "Labels of its own help a chip that is mostly right (from about 85 % on, in our trials); one "
    "that is not learns its errors, whatever the margin: compare with learning off."
)

BLOCK = 50  #: samples that a chip labels itself before it learns from them


@dataclass(frozen=True)
class Course:
    """How one learner fared: accuracies after each of the looks.

    `met` is the share of the stream that it classified rightly before it learned each sample. Where
    it labelled the stream itself, `used` is the share that it learned, `right` that of them which
    it labelled rightly.
    """

    learner: str
    changed: list[float]
    old: list[float]
    met: float
    used: float | None = None
    right: float | None = None


@dataclass(frozen=True)
class Adaptation:
    """All courses, and what they have in common."""

    config: ChipConfig
    scenario: Scenario
    seed: int
    looks: list[int]
    courses: list[Course]

    def figures(self) -> dict[str, Any]:
        """All of it, for JSON."""
        return {
            "preset": self.config.name,
            "config_sha256": self.config.sha256,
            "scenario": vars(self.scenario),
            "seed": self.seed,
            "looks": self.looks,
            "courses": [vars(course) for course in self.courses],
        }


@dataclass(frozen=True)
class World:
    """The stream and both tests, as images and as features; these are the same for all learners."""

    images: Images
    stream: Features
    labels: Codes
    old: Features
    old_images: Images
    old_labels: Codes
    changed_images: Images  #: of the test, before they are changed
    changed_labels: Codes


@dataclass(frozen=True)
class Start:
    """A learner before the stream: a chip of which its layers learn on, and what it knows."""

    learner: str
    config: ChipConfig
    state: State

    def chip(self) -> FastChip:
        """The chip, whose learning leaves the start as it is."""
        return FastChip(self.config, self.state.copy())


@dataclass(frozen=True)
class Meeting:
    """Trained chips and the world that they are going to meet, in which every look is taken."""

    scenario: Scenario
    world: World
    looks: list[int]
    starts: list[Start]
    rate: int  #: step of the rate schedule
    margin: int | None  #: with which a chip labels the stream itself; None: labels are given

    def changed(self, look: int) -> Images:
        """The test images as they are after so many samples of the stream."""
        share = 1.0 if self.scenario.still else look / self.looks[-1]
        return self.scenario.changed(self.world.changed_images, share)

    def lessons(self, chip: FastChip, first: int, last: int) -> Iterator["Lesson"]:
        """What a chip is to learn from a part of the stream, as far as it has come before each."""
        if self.margin is None:
            part = slice(first, last)
            yield Lesson(part, self.world.labels[part], np.ones(last - first, bool))
            return
        for start in range(first, last, BLOCK):
            part = slice(start, min(start + BLOCK, last))
            labels, margins = _decided(chip, self.world.images[part])
            yield Lesson(part, labels, margins >= self.margin)


@dataclass(frozen=True)
class Lesson:
    """A part of the stream, the labels that it is given, and which samples are learned."""

    part: slice
    labels: Codes
    taken: np.ndarray


def adapt(
    config: ChipConfig,
    samples: Samples,
    scenario: Scenario,
    *,
    epochs: int = 3,
    stream: int = 10000,
    rate: int = 0,
    seed: int = 0,
    margin: int | None = None,
    progress: Progress | None = None,
) -> Adaptation:
    """Train a chip, change its world, and let every learner meet the stream.

    Parameters as those of `meeting`, which raises what this one does.
    """
    met = meeting(
        config, samples, scenario, epochs=epochs, stream=stream, rate=rate, seed=seed, margin=margin
    )
    courses = []
    for start in met.starts:
        courses.append(_course(met, start))
        if progress is not None:
            progress(len(courses), len(met.starts))
    return Adaptation(config, scenario, seed, met.looks, courses)


def meeting(
    config: ChipConfig,
    samples: Samples,
    scenario: Scenario,
    *,
    epochs: int,
    stream: int,
    rate: int,
    seed: int,
    margin: int | None,
) -> Meeting:
    """Train a chip, and change its world.

    Parameters: `epochs` of the training before, on all training samples but the `stream` last of a
    drawn order (at most half of them); `rate`, the step of the rate schedule in the stream;
    `margin`: the chip labels the stream itself, and learns what its best sum wins by that much.
    Raises `Refusal` where a rate step is unknown to the chip, or the scenario does not fit.
    """
    if not 0 <= rate < config.rate_steps:
        raise Refusal(f"rate steps of {config.name} are 0 to {config.rate_steps - 1}, not {rate}")
    if epochs < 1 or stream < 1:
        raise Refusal("a chip trains at least one epoch, and its stream has at least one sample")
    order = np.random.default_rng([seed, 0xADA]).permutation(len(samples.y_train))
    stream = min(stream, len(order) // 2)
    before, then = order[:-stream], order[-stream:]
    then = then[scenario.order(samples.y_train[then])]
    before = before[scenario.known(samples.y_train[before])]
    if not len(before) or not scenario.asked(samples.y_test).any():
        raise Refusal(f"the scenario {scenario.kind} leaves these data nothing to train or test on")
    base = replace(samples, x_train=samples.x_train[before], y_train=samples.y_train[before])
    states = {
        rule: _trained(
            config.with_rule(rule), base, 0 if scenario.starts_untrained else epochs, seed
        )
        for rule in ("drtp", "dfa")
    }
    world = _world(config.with_rule("drtp"), states["drtp"], samples, then, scenario)
    looks = [look for look in LOOKS if look < stream] + [stream]
    starts = []
    for learner in LEARNERS:
        rule = "dfa" if learner == "dfa" else "drtp"
        held = _under(config.with_rule(rule), learner)
        starts.append(Start(learner, held, _kept(held, states[rule])))
    return Meeting(scenario, world, looks, starts, rate, margin)


def _trained(config: ChipConfig, samples: Samples, epochs: int, seed: int) -> State:
    if epochs == 0:
        return fresh(config, seed)
    model = ChipModel(config, epochs=epochs, seed=seed)
    return model.fit(samples.x_train, samples.y_train).state_


def _under(config: ChipConfig, learner: str) -> ChipConfig:
    """The trained chip, of which only the learner's layers learn on: all other settings stay."""
    rule = {"off": Rule.NONE, "readout": Rule.SHALLOW}.get(learner, config.learning.rule)
    return replace(config, learning=replace(config.learning, rule=rule))


def _kept(config: ChipConfig, state: State) -> State:
    """What a chip that learns less keeps of a state: its own banks and random sources."""
    layers = learning_layers(config)
    return State(
        {name: state.banks[name].copy() for name in bank_shapes(config)},
        {name: state.lfsrs[name] for name in layers},
    )


def _world(
    config: ChipConfig, state: State, samples: Samples, then: Codes, scenario: Scenario
) -> World:
    front = FastChip(config, state)
    images = scenario.streamed(samples.x_train[then])
    old, asked = scenario.first(samples.y_test), scenario.asked(samples.y_test)
    return World(
        images,
        front.features(images),
        samples.y_train[then],
        front.features(samples.x_test[old]),
        samples.x_test[old],
        samples.y_test[old],
        samples.x_test[asked],
        samples.y_test[asked],
    )


def _course(met: Meeting, start: Start) -> Course:
    world, chip = met.world, start.chip()
    changed: list[float] = []
    old: list[float] = []
    hits = used = right = learned = 0
    test = chip.features(met.changed(0))
    for look in met.looks:
        for lesson in met.lessons(chip, learned, look):
            rates = np.full(len(lesson.labels), met.rate)
            seen = world.stream[lesson.part]
            classes, _ = chip.run_features(seen, lesson.labels, rates, lesson.taken)
            hit = classes == world.labels[lesson.part]
            hits += int(np.count_nonzero(hit))
            used += int(np.count_nonzero(lesson.taken))
            right += int(np.count_nonzero(hit & lesson.taken))
        learned = look
        if not met.scenario.still:
            test = chip.features(met.changed(look))
        changed.append(_accuracy(chip, test, world.changed_labels))
        old.append(_accuracy(chip, world.old, world.old_labels))
    own = met.margin is not None and start.learner != "off"
    return Course(
        start.learner,
        changed,
        old,
        hits / met.looks[-1],
        used / met.looks[-1] if own else None,
        right / max(used, 1) if own else None,
    )


def _decided(chip: FastChip, images: Images) -> tuple[Codes, Codes]:
    """What a chip takes samples for, and by how much the best sum of each wins."""
    trace = Trace.of(chip.config)
    seen = FastChip(chip.config, chip.state, trace)
    nothing = np.zeros(len(images), np.int64)
    classes, _ = seen.run(images, nothing, nothing, False)
    sums = trace.records["readout.sums"].rows[:, 1].reshape(len(classes), -1)
    best = np.sort(sums, axis=1)
    return classes, best[:, -1] - best[:, -2]


def _accuracy(chip: FastChip, features: Features, labels: Codes) -> float:
    classes, _ = chip.run_features(features, labels, np.zeros(len(labels), np.int64), False)
    return float(np.mean(classes == labels))


def table(found: Adaptation) -> Table:
    """One row a learner: percent of the changed test after so many samples, and of the old one."""
    title = f"{found.scenario.kind}: changed test (%) after so many samples of the stream"
    shown = Table("learning", *map(str, found.looks), "old before", "old after", title=title)
    own = any(course.used is not None for course in found.courses)
    if own:
        shown.add_column("used, right")
    for course in found.courses:
        cells = [f"{100 * share:.1f}" for share in (*course.changed, course.old[0], course.old[-1])]
        if own and course.used is not None and course.right is not None:
            cells.append(f"{course.used:.0%}, {course.right:.1%}")
        shown.add_row(course.learner, *cells)
    return shown

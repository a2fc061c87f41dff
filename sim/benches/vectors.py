"""Cases of single components, cut out of runs of the model.

The model runs a whole chip on some samples; what crossed a component's boundaries becomes the
component's case. Layouts of beats are asked of the component, whose ports they are.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.arith import Codes, Words
from model.banks import to_chunks, to_words
from model.chip import PlainChip
from model.contract.config import ChipConfig
from model.contract.counters import Kind, of_stage
from model.contract.event import ABORT_AT, Event, Mark, pack_event, pack_mark
from model.contract.result import Verdict, pack_score, pack_verdict
from model.contract.result import unpack as unpack_result
from model.contract.shapes import LayerShape
from model.contract.stages import HEAD_BITS, boundaries
from model.contract.storage import host_banks
from model.contract.timing import forward_cycles
from model.encode import admit
from model.sensor.image import sample_words
from model.state import State
from model.trace import Trace
from sim.benches.bench import Bits, Case


@dataclass
class Run:
    """A run of the model: what it was given, what it did, what it held before and after."""

    config: ChipConfig
    samples: Sequence[Words]
    marks: list[dict[str, int]]  #: fields of each sample's mark inside the chip
    trace: Trace
    counts: list[dict[str, Counter[str]]]  #: of each sample, by stage
    before: State
    after: State

    def total(self, stage: str) -> dict[str, int]:
        """A stage's counts of all samples; stalls are not the model's to count."""
        return {
            counter.event: sum(counts[stage][counter.event] for counts in self.counts)
            for counter in of_stage(self.config, stage)
            if counter.kind is not Kind.STALL
        }

    def rows(self, boundary: str) -> list[Codes]:
        """What crossed a boundary, sample by sample."""
        return list(self.trace.records[boundary])


def run_model(config: ChipConfig, state: State, samples: Sequence[Words]) -> Run:
    """Run the plain engine on some samples, from a copy of a state."""
    run = Run(config, samples, [], Trace.of(config), [], state.copy(), state.copy())
    for words in samples:
        admitted = admit(config, words)
        run.marks.append(_mark(config, admitted.mark, admitted.faulty))
        chip = PlainChip(config, run.after, run.trace)
        chip.take(words)
        run.counts.append(chip.counts)
    return run


def random_samples(
    config: ChipConfig, count: int, seed: int, density: float = 0.5, brightest: int = 255
) -> list[Words]:
    """Samples of random pixels, a share of them not zero; two of three are to be learned.

    The fourth of every six is aborted.
    """
    rng = np.random.default_rng(seed)
    size = (config.height, config.width, config.channels)
    samples = []
    for place in range(count):
        image = np.where(rng.random(size) < density, rng.integers(1, brightest + 1, size), 0)
        label, rate = int(rng.integers(config.readout.classes)), place % config.rate_steps
        words = sample_words(config, image.astype(np.uint8), label, place % 3 != 2, rate)
        words[-1] |= (place % 6 == 3) << ABORT_AT
        samples.append(words)
    return samples


def malformed_samples(config: ChipConfig, count: int, seed: int) -> list[Words]:
    """Events in and around the chip's input, at times in and out of order; any label, any rate."""
    rng = np.random.default_rng(seed)
    size = (config.width, config.height, config.channels)
    samples = []
    for _ in range(count):
        times = rng.integers(0, config.time_top + 3, rng.integers(12))
        if rng.random() < 0.5:
            times.sort()
        words = []
        for time in times:
            x, y, channel = map(int, rng.integers(0, np.add(size, 2)))
            words.append(pack_event(Event(x, y, channel, int(time))))
        label, rate = int(rng.integers(config.readout.classes + 4)), int(rng.integers(8))
        learn, abort = bool(rng.integers(2)), not rng.integers(4)
        words.append(pack_mark(Mark(label, learn, rate, abort)))
        samples.append(np.array(words, dtype=np.uint32))
    return samples


def repeated_samples(config: ChipConfig, events: int) -> list[Words]:
    """One sample in which a pixel in the middle fires again and again, as bright as can be."""
    middle = Event(config.width // 2, config.height // 2, 0, 0)
    words = [pack_event(middle)] * events + [pack_mark(Mark(0, False))]
    return [np.array(words, dtype=np.uint32)]


def extreme(config: ChipConfig, state: State, share: float = 1.0) -> State:
    """The same state, that share of its kernels and weights at the ends of their formats.

    The first two neurons' weights all lie at one end, so that their sums do.
    """
    rng = np.random.default_rng(0)
    found = state.copy()
    for bank in host_banks(config):
        codes = found.banks[bank.name]
        if not bank.name.endswith("modulation"):
            ends = rng.choice([bank.code.low, bank.code.high], codes.shape)
            codes[:] = np.where(rng.random(codes.shape) < share, ends, codes)
        if bank.name.endswith("weights"):
            codes[:, 0], codes[:, 1] = bank.code.high, bank.code.low
    return found


def _mark(config: ChipConfig, mark: Mark, faulty: bool) -> dict[str, int]:
    fields = mark._asdict() | {"faulty": faulty}
    if config.windows == 1:  # such a chip has no wire for it
        del fields["window"]
    return fields


# Bits


def bits(layout: Any, fields: dict[str, Any]) -> Bits:
    """Some fields of an Amaranth layout as bits; the fields left out do not matter."""
    value = mask = 0
    for name, code in fields.items():
        place = layout[name]
        if isinstance(code, dict):
            inner, cares = bits(place.shape, code)
        else:
            cares = (1 << place.width) - 1
            inner = int(code) & cares
        value |= inner << place.offset
        mask |= cares << place.offset
    return value, mask


def payload(port: Any) -> Any:
    """The layout of a stream port's payload."""
    return port.payload.shape()


def _items(port: Any, samples: list[list[dict[str, int]]], run: Run) -> list[Bits]:
    """The beats of samples on a stream of items: their items, then their marks."""
    layout = payload(port)
    beats = []
    for items, mark in zip(samples, run.marks, strict=True):
        beats += [bits(layout, {"end": 0, "body": {"item": item}}) for item in items]
        beats.append(bits(layout, {"end": 1, "body": {"mark": mark}}))
    return beats


def _values(beats: list[Bits]) -> list[int]:
    return [value for value, _ in beats]


def monitors(run: Run, *names: str) -> dict[str, list[Bits]]:
    """Beats of boundaries on a component's monitor ports."""
    found = {}
    for boundary in boundaries(run.config):
        if boundary.name not in names:
            continue
        beats: list[Bits] = []
        for rows in run.rows(boundary.name):
            widths = [f.code.bits for f in boundary.fields for _ in range(f.lanes)]
            for row in rows:
                value, place = 1, HEAD_BITS
                for code, width in zip(row, widths, strict=True):
                    value |= (int(code) & ((1 << width) - 1)) << place
                    place += width
                beats.append((value, (1 << place) - 1))
            beats.append((0b11, 0b11))
        found[f"monitor_{boundary.record}"] = beats
    return found


def counters(config: ChipConfig, stage: str) -> list[tuple[str, int]]:
    """Names and widths of the fields of a stage's `count`."""
    return [(counter.event, counter.most.bit_length()) for counter in of_stage(config, stage)]


def words(config: ChipConfig, state: State, name: str) -> list[int]:
    """A host bank's memory words."""
    bank = {bank.name: bank for bank in host_banks(config)}[name]
    chunks = to_chunks(bank, to_words(bank, state.banks[name]))
    return [sum(int(part) << 32 * place for place, part in enumerate(word)) for word in chunks]


# Components


def encode(component: Any, run: Run) -> Case:
    """The guard: words in, events out; a word a cycle."""
    config = run.config
    samples = [
        [
            {"x": x, "y": y, "channel": c, "value": v}
            | {"index": (y * config.width + x) * config.channels + c}
            for x, y, c, v in events
        ]
        for events in run.rows("encode.events")
    ]
    totals = run.total("encode")
    return Case(
        inputs={"words": [int(word) for sample in run.samples for word in sample]},
        outputs={"events": _items(component.events, samples, run)},
        monitors=monitors(run, "encode.events"),
        counters=counters(config, "encode"),
        counts=totals,
        pulses={"dropped": totals["dropped_events"], "refused": totals["refused_marks"]},
        pins={"drop": 0, "freeze": 0},
        cycles={"events": [len(sample) for sample in run.samples[1:]]},
    )


def _map_items(rows: Codes, height: int, width: int, channels: int) -> list[dict[str, int]]:
    """Items of a map from rows of flat index and value."""
    y, x, channel = np.unravel_index(rows[:, 0], (height, width, channels))
    names = ("x", "y", "channel", "index", "value")
    columns = np.stack([x, y, channel, rows[:, 0], rows[:, 1]], axis=1)
    return [dict(zip(names, map(int, row), strict=True)) for row in columns]


def conv(component: Any, run: Run, number: int) -> Case:
    """A convolution stage: events in, features out, in the cycles of its formula."""
    shape = run.config.conv_shapes[number]
    name = shape.name
    size = (shape.height, shape.width, shape.channels)
    if number == 0:
        events = [_map_items(_indexed(rows, size), *size) for rows in run.rows("encode.events")]
    else:
        events = [
            _map_items(rows, *size)
            for rows in run.rows(f"{run.config.conv_shapes[number - 1].name}.features")
        ]
    out = (shape.out_height, shape.out_width, shape.kernels)
    features = [_map_items(rows, *out) for rows in run.rows(f"{name}.features")]
    return Case(
        inputs={"events": _values(_items(component.events, events, run))},
        outputs={"features": _items(component.features, features, run)},
        monitors=monitors(run, f"{name}.features"),
        banks={"kernels": words(run.config, run.before, f"{name}.kernels")},
        banks_after={"kernels": words(run.config, run.before, f"{name}.kernels")},
        counters=counters(run.config, name),
        counts=run.total(name),
        cycles={"features": [counts[name]["forward_cycles"] for counts in run.counts[1:]]},
    )


def _indexed(events: Codes, size: tuple[int, int, int]) -> Codes:
    """Events as rows of flat index and value."""
    flat = np.ravel_multi_index((events[:, 1], events[:, 0], events[:, 2]), size)
    return np.stack([flat, events[:, 3]], axis=1)


def _layer_items(component: Any, run: Run, number: int) -> list[int]:
    """Payloads of a layer's `items`."""
    config = run.config
    if number > 0:
        rows = run.rows(f"{config.layer_shapes[number - 1].name}.activations")
    elif config.conv:
        rows = run.rows(f"{config.conv_shapes[-1].name}.features")
    else:
        size = (config.height, config.width, config.channels)
        rows = [_indexed(events, size) for events in run.rows("encode.events")]
    samples = [[{"index": int(i), "value": int(v)} for i, v in sample] for sample in rows]
    return _values(_items(component.items, samples, run))


def _held(run: Run, shape: LayerShape) -> dict[str, Any]:
    """Banks and seeds of a layer before and after."""
    name = f"{shape.name}.weights"
    held: dict[str, Any] = {
        "banks": {"weights": words(run.config, run.before, name)},
        "banks_after": {"weights": words(run.config, run.after, name)},
    }
    if shape.learns:
        held["seeds"] = {"seed": run.before.lfsrs[shape.name]}
        held["seeds_after"] = {"seed": run.after.lfsrs[shape.name]}
    return held


def synapses(component: Any, run: Run, number: int) -> Case:
    """A layer's weights: items in, sums out; modulation in, updates.

    Modulation comes as it does in the chip: neuron by neuron behind the sums in every second
    sample, all at once behind the mark in the others.
    """
    shape = run.config.layer_shapes[number]
    layout = payload(component.sums)
    sums: list[Bits] = []
    modulation: list[list[int]] = []
    silent = [np.empty((0, 1), np.int64)] * len(run.samples)
    learned = run.rows(f"{shape.name}.modulation") if shape.learns else silent
    samples = zip(run.rows(f"{shape.name}.sums"), learned, run.marks, strict=True)
    for place, (rows, codes, mark) in enumerate(samples):
        for neuron, total in rows:
            sums.append(bits(layout, {"end": 0, "neuron": neuron, "sum": total, "mark": mark}))
        sums.append(bits(layout, {"end": 1, "mark": mark}))
        beats = [bits(payload(component.modulation), {"code": code})[0] for (code,) in codes]
        one_by_one = place % 2 == 0 and len(beats)
        modulation += [[beat] for beat in beats] if one_by_one else [[] for _ in rows]
        modulation.append([] if one_by_one else beats)
    of_neurons = ("activations", "activation_saturations", "score_saturations")
    counts = {
        event: 0 if event in of_neurons else total for event, total in run.total(shape.name).items()
    }
    records = ("sums", "modulation", "updates") if shape.learns else ("sums",)
    case = Case(
        inputs={"items": _layer_items(component, run, number)},
        outputs={"sums": sums},
        monitors=monitors(run, *(f"{shape.name}.{record}" for record in records)),
        counters=counters(run.config, shape.name),
        counts=counts,
        **_held(run, shape),
    )
    if shape.learns:
        case.answers = {"modulation": ("sums", modulation)}
        case.pins = {"step": 0}
    else:
        items = [counts[shape.name]["items"] for counts in run.counts[1:]]
        case.cycles = {"sums": [forward_cycles(shape, count) for count in items]}
    return case


def hidden(component: Any, run: Run, number: int) -> Case:
    """A hidden layer: items in, activations out; it learns by B, or by errors that come back."""
    shape = run.config.layer_shapes[number]
    samples = [
        [{"index": int(i), "value": int(v)} for i, v in rows]
        for rows in run.rows(f"{shape.name}.activations")
    ]
    records = ("sums", "activations", "modulation", "updates")
    case = Case(
        inputs={"items": _layer_items(component, run, number)},
        outputs={"activations": _items(component.activations, samples, run)},
        monitors=monitors(run, *(f"{shape.name}.{record}" for record in records)),
        counters=counters(run.config, shape.name),
        counts=run.total(shape.name),
        **_held(run, shape),
    )
    if shape.learns:
        projection = words(run.config, run.before, f"{shape.name}.modulation")
        case.banks["projection"] = case.banks_after["projection"] = projection
    if shape.learns and run.config.needs_error:
        layout = payload(component.errors)
        errors: list[list[int]] = []
        for items, rows in zip(samples, run.rows("readout.modulation"), strict=True):
            errors += [[] for _ in items]
            errors.append([bits(layout, {"code": code})[0] for (code,) in rows])
        case.answers = {"errors": ("activations", errors)}
    return case


def readout(component: Any, run: Run) -> Case:
    """The readout: items in, words of results out, errors where hidden layers need them."""
    config = run.config
    number = len(config.hidden)
    results: list[Bits] = []
    for scores, verdicts in zip(
        run.rows("readout.scores"), run.rows("readout.verdict"), strict=True
    ):
        results += [(pack_score(int(score)), 0xFFFFFFFF) for (score,) in scores]
        for (verdict,) in verdicts:
            said = unpack_result(int(verdict) | 1 << 31)
            assert isinstance(said, Verdict)
            results.append((pack_verdict(said), 0xFFFFFFFF))
    shape = config.layer_shapes[number]
    records = ("sums", "scores", "verdict", "modulation", "updates")
    case = Case(
        inputs={"items": _layer_items(component, run, number)},
        outputs={"results": results},
        monitors=monitors(run, *(f"readout.{record}" for record in records)),
        counters=counters(config, "readout"),
        counts=run.total("readout"),
        **_held(run, shape),
    )
    if shape.learns and config.needs_error:
        layout = payload(component.errors)
        rows = np.concatenate(run.rows("readout.modulation"))
        case.outputs["errors"] = [bits(layout, {"code": code}) for (code,) in rows]
    return case

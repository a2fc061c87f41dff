"""The sections of a report, each from the figures of one kind of command."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from model.contract.config import ChipConfig
from model.contract.formats import Format
from model.contract.storage import banks
from model.state import State, fresh
from model.study.explore import COSTS
from sim.report import charts
from sim.report.evidence import Evidence, Trained

NEURONS = 32  #: of the first layer, whose weights are drawn


@dataclass(frozen=True)
class Stage:
    """A stage of a chip, drawn as a box."""

    name: str
    size: str
    facts: tuple[str, ...]


@dataclass(frozen=True)
class Chart:
    """A chart with what it shows."""

    title: str
    svg: str


@dataclass(frozen=True)
class Section:
    """A part of the page: rows of a table (header first), charts, stages of a chip."""

    title: str
    source: str  #: the file that its figures come from
    text: str = ""
    rows: list[list[str]] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)


def sections(evidence: list[Evidence], models: list[Trained]) -> list[Section]:
    """All sections, in the order of a chip's way: drawn, trained, proved, priced, placed."""
    writers = {
        "calibrate": _calibrated,
        "explore": _explored,
        "train": _trained,
        "test": _tested,
        "compare": _compared,
        "verify": _verified,
        "classify": _classified,
        "power": _powered,
        "cost": _costs,
        "fpga": _placed,
    }
    found = [section for trained in models for section in _chip(trained)]
    for kind, write in writers.items():
        found += [write(item) for item in evidence if item.kind == kind]
    return found


def _chip(trained: Trained) -> Iterator[Section]:
    config, state = trained.model.config, trained.model.state_
    memory = sum(bank.bits for bank in banks(config)) / 8000
    weights = sum(b.bits for b in banks(config) if b.kind == "weights") / 8000
    yield Section(
        f"The chip {config.name}",
        trained.path,
        f"{memory:.1f} kB of memory, {weights:.1f} kB of it weights; rule "
        f"{config.learning.rule}; configuration {config.sha256[:16]}",
        stages=list(_stages(config)),
    )
    before = fresh(config, trained.model.seed)
    drawn = [
        Chart(
            f"{shape.name}: {shape.kernels} kernels",
            charts.svg(
                charts.planes(state.banks[f"{shape.name}.kernels"].sum(axis=1)[:NEURONS]),
                f"kernels of {shape.name}",
                height=1.6,
            ),
        )
        for shape in config.conv_shapes
    ]
    for when, held in (("before", before), ("after", state)):
        title = f"weights into the first neurons {when} training"
        sheet = charts.svg(charts.planes(_fields(config, held)), title, height=2.2)
        drawn.append(Chart(title, sheet))
    yield Section("Kernels and weights", trained.path, charts=drawn)


def _stages(config: ChipConfig) -> Iterator[Stage]:
    size = f"{config.height} x {config.width} x {config.channels}"
    yield Stage("events", size, (f"{config.pixel.bits}-bit values",))
    for stage, shape in zip(config.conv, config.conv_shapes, strict=True):
        facts = [f"{stage.kernels} kernels {stage.size} x {stage.size}, {stage.bank}"]
        if stage.inhibition is not None:
            facts.append(f"lateral inhibition, shift {stage.inhibition}")
        facts.append(f"{stage.pooling} of {stage.pool} x {stage.pool}, shift {stage.shift}")
        out = f"{shape.out_height} x {shape.out_width} x {shape.kernels}"
        yield Stage(shape.name, out, tuple([*facts, _memory(config, shape.name)]))
    for layer in config.layer_shapes:
        facts = [f"{layer.inputs} inputs, {_format(layer.weight)} weights"]
        facts.append(f"sums {_format(layer.sum)}" + ("; learns" if layer.learns else ""))
        yield Stage(layer.name, str(layer.outputs), (*facts, _memory(config, layer.name)))


def _memory(config: ChipConfig, stage: str) -> str:
    bits = sum(bank.bits for bank in banks(config) if bank.stage == stage)
    return f"{bits / 8000:.2f} kB"


def _format(code: Format) -> str:
    return f"{'s' if code.signed else 'u'}{code.bits}"


def _fields(config: ChipConfig, state: State) -> np.ndarray:
    """Weights of the first layer's neurons as maps (n, H, W), kernels or channels summed."""
    weights = state.weights[config.layer_shapes[0].name][:, :NEURONS]
    size = (config.height, config.width, config.channels)
    if config.conv:
        last = config.conv_shapes[-1]
        size = (last.out_height, last.out_width, last.kernels)
    return weights.T.reshape(-1, *size).sum(axis=-1)


def _table(figures: dict[str, Any], names: dict[str, str]) -> list[list[str]]:
    """Two columns: what a figure is, and the figure; those that are not there are left out."""
    rows = [["figure", "value"]]
    for name, told in names.items():
        if figures.get(name) is not None:
            rows.append([told, _said(figures[name])])
    return rows


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def _calibrated(item: Evidence) -> Section:
    trials = item.figures["trials"]
    best = np.maximum.accumulate([100 * trial["accuracy"] for trial in trials])
    numbers = list(range(1, len(trials) + 1))
    tried = charts.lines(
        {
            "each training": (numbers, [100 * trial["accuracy"] for trial in trials]),
            "best so far": (numbers, best.tolist()),
        },
        "training",
        "validation accuracy (%)",
    )
    return Section(
        "Calibration",
        item.path,
        f"{item.figures['validation_accuracy']:.2%} of "
        f"{item.figures['validation_samples']:,} validation samples, of which it was chosen",
        charts=[Chart("what was tried", charts.svg(tried, f"tried {item.sha256[:8]}"))],
    )


def _explored(item: Evidence) -> Section:
    points = item.figures["points"]
    sizes = ("rule", "weight_bits", "kernels", "neurons")
    rows = [[*(name.replace("_", " ") for name in (*sizes, "accuracy", *COSTS)), "at the front of"]]
    for point in points:
        figures = [_said(point[name]) for name in (*sizes, "accuracy", *COSTS)]
        rows.append([*figures, ", ".join(point["front"]).replace("_", " ")])
    named = [
        {
            **{name: point[name] for name in COSTS},
            "name": f"{point['rule']}, {point['weight_bits']} bits, {point['kernels']} kernels, "
            f"{point['neurons']} neurons",
            "percent": 100 * point["accuracy"],
        }
        for point in points
    ]
    drawn = [
        Chart(
            f"accuracy against {label}",
            charts.svg(
                charts.points(named, cost, "percent", "name"), f"{cost} {item.sha256[:8]}", 4.2
            ),
        )
        for cost, label in COSTS.items()
    ]
    told = f"each calibrated briefly on {item.figures['samples']:,} samples; validation accuracy"
    return Section(f"Sizes weighed on {item.figures['data']}", item.path, told, rows, drawn)


def _trained(item: Evidence) -> Section:
    figures = item.figures
    names = {
        "preset": "chip",
        "rule": "rule",
        "data": "data",
        "seed": "seed",
        "epochs": "epochs",
        "train_samples": "training samples",
        "validation_samples": "validation samples",
        "test_samples": "test samples",
        "equal_samples": "test images that are training images, too",
        "images_per_second": "images a second",
        "weights_sha256": "weights, SHA-256",
    }
    drawn = []
    curve = figures.get("validation_accuracy")
    if curve:
        shown = charts.lines(
            {"validation": (list(range(1, len(curve) + 1)), [100 * a for a in curve])},
            "epoch",
            "accuracy (%)",
        )
        drawn.append(
            Chart("validation accuracy by epoch", charts.svg(shown, f"epochs {item.sha256[:8]}"))
        )
    if "confusion" in figures:
        drawn.append(_confusion(item))
    well = figures.get("health", {})
    return Section(
        f"Training: {figures['test_accuracy']:.2%} on {figures['data']}",
        item.path,
        "; ".join(well.get("advice", [])),
        _table(figures, names)
        + [[name, f"{share:.1%}"] for name, share in well.get("shares", {}).items()],
        drawn,
    )


def _confusion(item: Evidence) -> Chart:
    counts = np.array(item.figures["confusion"], np.int64)
    drawn = charts.svg(charts.confusion(counts), f"confusion {item.sha256[:8]}", 4.2)
    return Chart("for what each label is taken (mistakes as numbers)", drawn)


def _tested(item: Evidence) -> Section:
    figures = item.figures
    return Section(
        f"Test: {figures['test_accuracy']:.2%} of {figures['test_samples']:,} samples",
        item.path,
        charts=[_confusion(item)],
    )


def _compared(item: Evidence) -> Section:
    figures = item.figures
    curves = {
        name: (figures["looks"], [100 * (1 - np.mean(point)) for point in zip(*runs, strict=True)])
        for name, runs in figures["test_accuracy"].items()
    }
    drawn = [
        Chart(
            f"test error over samples learned, mean of {len(figures['seeds'])} seeds",
            charts.svg(
                charts.lines(curves, "samples learned", "test error (%)"),
                f"curves {item.sha256[:8]}",
                4.2,
            ),
        )
    ]
    for when, profiles in figures["profiles"].items():
        shown = [_profile(profile) for profile in profiles]
        title = f"number formats {when} training"
        drawn.append(Chart(title, charts.svg(charts.formats(shown), f"{title} {item.sha256[:8]}")))
    return Section(
        f"Rules side by side, {figures['preset']} on {figures['data']}", item.path, charts=drawn
    )


def _profile(profile: dict[str, Any]) -> dict[str, Any]:
    return {
        "tensor": profile["tensor"],
        "shares": profile["shares"],
        "saturated": profile["saturated"],
        "magnitude_bits": len(profile["shares"]) - 1,
    }


def _verified(item: Evidence) -> Section:
    figures = item.figures
    verdict = "equal" if not figures["mismatches"] else "DIFFERENT"
    names = {
        "simulator": "simulator",
        "simulator_version": "version",
        "train_samples": "samples learned",
        "test_samples": "samples classified",
        "stalls": "chance of a stall on either side",
        "compared_values": "values compared",
        "mismatches": "of them different",
        "first_mismatch": "the first",
        "counters_equal": "counters equal",
        "cycles": "cycles",
        "cycles_per_test_sample": "cycles a classification",
        "cycles_per_train_sample": "cycles a learned sample",
        "config_sha256": "configuration, SHA-256",
    }
    rows = _table(figures, names)
    for side, sha256 in figures["weights_sha256"].items():
        rows.append([f"weights of the {side}, SHA-256", sha256])
    counters = figures.get("counters", {})
    stalls = {name: count for name, count in counters.items() if name.endswith("stall_cycles")}
    drawn = []
    work = {name: count for name, count in counters.items() if name.endswith("forward_cycles")}
    if work:
        stages = [name.split(".")[0] for name in work]
        parts = {"forward": list(work.values())}
        parts["learning"] = [counters.get(f"{stage}.learn_cycles", 0) for stage in stages]
        parts["stalled"] = [stalls.get(f"{stage}.stall_cycles", 0) for stage in stages]
        bars = charts.stacked(parts, stages, "cycles")
        drawn.append(Chart("where cycles go", charts.svg(bars, f"cycles {item.sha256[:8]}")))
    return Section(
        f"Model and Verilog are {verdict}: [{figures['mismatches']:,}/"
        f"{figures['compared_values']:,}] mismatches",
        item.path,
        figures.get("proved", ""),
        rows,
        drawn,
    )


def _classified(item: Evidence) -> Section:
    figures = item.figures
    names = {
        "simulator": "simulator",
        "simulator_version": "version",
        "rule": "rule",
        "test_samples": "samples classified",
        "compared_values": "values compared",
        "mismatches": "of them different",
        "first_mismatch": "the first",
        "cycles_per_test_sample": "cycles a classification",
        "weights_sha256": "weights, SHA-256",
    }
    return Section(
        f"Classifies after reset, unwritten: {figures['accuracy']['rtl']:.2%} of "
        f"{figures['test_samples']:,} samples",
        item.path,
        "The memories of the Verilog hold the model from the start.",
        _table(figures, names),
    )


def _powered(item: Evidence) -> Section:
    figures = item.figures
    rows = [["table", "classified (nJ)", "learned (nJ)", "over the chip without learning"]]
    drawn = []
    for table, found in figures["tables"].items():
        learned = found.get("learned_sample")
        rows.append(
            [
                table,
                f"{found['classification']['total_pj'] / 1e3:,.2f}",
                f"{learned['total_pj'] / 1e3:,.2f}" if learned else "",
                f"{learned['overhead']:+.1%}" if learned else "",
            ]
        )
        drawn.append(_energies(item, table, learned or found["classification"]))
    return Section("Energy proxy of a sample", item.path, figures["scope"], rows, drawn)


def _energies(item: Evidence, table: str, found: dict[str, Any]) -> Chart:
    """Energy by stage and phase, stacked by part."""
    energies = found["by_stage_phase_part_pj"]
    places = sorted({name.rpartition(".")[0] for name in energies})
    parts = sorted({name.rpartition(".")[2] for name in energies})
    stack = {p: [energies.get(f"{place}.{p}", 0) / 1e3 for place in places] for p in parts}
    bars = charts.stacked(stack, places, "nJ a sample")
    return Chart(f"by stage, table {table}", charts.svg(bars, f"{table} {item.sha256[:8]}"))


def _costs(item: Evidence) -> Section:
    rows = [["chip", "rule", "accuracy", "cells", "flip-flops", "mm2 at 28 nm", "nJ a sample"]]
    shown: list[dict[str, Any]] = []
    for row in item.figures["rows"]:
        priced = row["horowitz"]
        energy = priced.get("learned_sample_nj") or priced["classification_nj"]
        rows.append(
            [
                row["preset"],
                row["rule"],
                f"{row['accuracy']:.2%}",
                f"{row['cells']:,}",
                f"{row['flip_flops']:,}",
                f"{row['area_um2'] / 1e6:.4f}",
                f"{energy:.1f}",
            ]
        )
        shown.append(
            {
                "name": f"{row['preset']} {row['rule']}",
                "energy_nj": energy,
                "accuracy_percent": 100 * row["accuracy"],
            }
        )
    drawn = charts.points(shown, "energy_nj", "accuracy_percent", "name")
    chart = Chart("accuracy against energy of a sample", charts.svg(drawn, "pareto", 4.2))
    return Section(
        "What each rule costs", item.path, "; ".join(item.figures["sources"]), rows, [chart]
    )


def _placed(item: Evidence) -> Section:
    figures = item.figures
    rows = [["resource", "used", "there"]]
    for name, used in figures["used"].items():
        rows.append([name, f"{used:,}", f"{figures['available'].get(name, 0):,}"])
    board = figures.get("board", "board")
    title = f"Placed and routed on {board}: {figures['fmax_mhz']:.1f} MHz"
    return Section(title, item.path, f"runs at {figures['clock_mhz']:g} MHz", rows)

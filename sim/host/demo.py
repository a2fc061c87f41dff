"""The host demo: a chip learns through its line, byte by byte, and the model beside it.

The line is simulated (`sim.host.line`) or a board's (`sim.host.serial`).

Both get the same samples in the same order from the same fresh state, so they must end with the
same weights: those of `python -m model train` with the same arguments.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
from rich.table import Table

from model.arith import Codes, Words
from model.contract.config import ChipConfig
from model.contract.result import unpack
from model.data import Dataset
from model.network import ChipModel, drawn, plan
from model.sensor.image import sample_words
from model.state import fresh
from sim.host.remote import Link, RemoteChip, Transport

CHUNK_SAMPLES = 32  #: between two looks at the bar

Progress = Callable[[int], None]
"""Told how many samples went through the chip."""


class Wire(Transport, Protocol):
    """A line that counts: bytes, and clock cycles where they are known."""

    bytes_sent: int
    bytes_received: int

    @property
    def cycles(self) -> int | None:
        """Clock cycles of the chip so far."""


def demonstrate(
    config: ChipConfig,
    data: Dataset,
    wire: Wire,
    *,
    limit: int | None,
    epochs: int,
    seed: int,
    line: str,
    progress: Progress = lambda done: None,
) -> dict[str, Any]:
    """Train and test model and chip; `equal` tells whether weights and classes are the same.

    Raises `Refusal` where an argument or the data do not fit the chip, a tool is missing, or the
    chip does not answer as it must.
    """
    model = ChipModel(config, epochs=epochs, seed=seed)
    kept = drawn(len(data.x_train), limit, seed)
    images, labels = data.x_train[kept], data.y_train[kept]
    model.fit(images, labels)
    order, rates = plan(config, len(kept), epochs, seed)

    chip = RemoteChip(config, Link(wire))
    started = time.monotonic()
    chip.load(fresh(config, seed))
    if config.counters:
        chip.clear()
    learning = (
        sample_words(config, images[number], int(labels[number]), True, int(rate))
        for number, rate in zip(order, rates, strict=True)
    )
    _run(chip, learning, progress)
    learned = chip.state()
    counted = chip.counters()
    testing = (sample_words(config, image, 0, False, 0) for image in data.x_test)
    classes = _run(chip, testing, lambda done: progress(len(order) + done))
    seconds = time.monotonic() - started

    hashes = {"model": model.state_.weights_sha256, "chip": learned.weights_sha256}
    predicted = model.predict(data.x_test)
    different = [name for name, count in model.counters_.items() if counted.get(name) != count]
    return {
        "preset": config.name,
        "config_sha256": config.sha256,
        "rule": config.rule_name,
        "line": line,
        "seed": seed,
        "epochs": epochs,
        "train_samples": len(kept),
        "test_samples": len(data.x_test),
        "bytes_sent": wire.bytes_sent,
        "bytes_received": wire.bytes_received,
        "cycles": wire.cycles,
        "seconds": round(seconds, 2),
        "test_accuracy": float(np.mean(classes == data.y_test)),
        "weights_sha256": hashes,
        "classes_differ": int(np.count_nonzero(classes != predicted)),
        "counters_differ": different if config.counters else None,
        "equal": hashes["model"] == hashes["chip"]
        and not (config.counters and different)
        and bool((classes == predicted).all()),
    }


def planned(data: Dataset, limit: int | None, epochs: int) -> int:
    """Samples that go through the chip, learned or not."""
    return (limit or len(data.x_train)) * epochs + len(data.x_test)


def _run(chip: RemoteChip, samples: Iterator[Words], progress: Progress) -> Codes:
    """Classes of samples, given in chunks."""
    found: list[int] = []
    chunk: list[Words] = []

    def flush() -> None:
        verdicts = chip.run(np.concatenate(chunk))[:, -1]
        found.extend(unpack(int(word)).label for word in verdicts)  # type: ignore[union-attr]
        chunk.clear()
        progress(len(found))

    for words in samples:
        chunk.append(words)
        if len(chunk) == CHUNK_SAMPLES:
            flush()
    if chunk:
        flush()
    return np.array(found)


def table(figures: dict[str, Any]) -> Table:
    """What the demo shows."""
    shown = Table(show_header=False)
    shown.add_row("chip", f"{figures['preset']}, rule {figures['rule']}, behind {figures['line']}")
    shown.add_row("learned", f"{figures['epochs']} epochs of {figures['train_samples']:,} samples")
    shown.add_row(
        "bytes", f"{figures['bytes_sent']:,} sent, {figures['bytes_received']:,} received"
    )
    cycles = figures["cycles"]
    counted = f"{cycles:,} cycles in " if cycles is not None else ""
    shown.add_row("time", f"{counted}{figures['seconds']:.1f} s")
    accuracy = f"{figures['test_accuracy']:.2%} of {figures['test_samples']:,} test samples"
    shown.add_row("accuracy", f"{accuracy}; {figures['classes_differ']} classified otherwise")
    if figures["counters_differ"] is not None:
        shown.add_row("counters", ", ".join(figures["counters_differ"]) or "equal")
    return shown


def sentence(figures: dict[str, Any]) -> str:
    """Both hashes, and what they say."""
    hashes = figures["weights_sha256"]
    told = "equal" if figures["equal"] else "MODEL AND CHIP DIFFER"
    return f"weights, model  {hashes['model']}\nweights, chip   {hashes['chip']}\n{told}"

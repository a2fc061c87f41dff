"""The main job: a chip trained on real data, in the model and in its Verilog, proved equal."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from model.contract.config import ChipConfig
from model.data import Dataset, load
from model.network import drawn
from model.study.compare import float_accuracy
from rtl.emit import emit
from sim.judge.progress import watching
from sim.judge.samples import samples
from sim.judge.verify import Run, verify
from sim.simulators.compiled import BUILD

#: Samples that Icarus runs in about half a minute; compiled simulators take all there are.
ICARUS_TRAIN, ICARUS_TEST = 24, 12
MOST_TRAIN, MOST_TEST = 2000, 1000


@dataclass(frozen=True)
class Job:
    """What was trained, and all that was measured."""

    config: ChipConfig
    verilog: Path
    waves: Path | None
    float_accuracy: float
    figures: dict[str, Any]

    @property
    def equal(self) -> bool:
        """Whether model and Verilog agree in everything."""
        return self.figures["mismatches"] == 0

    def told(self) -> dict[str, Any]:
        """All figures, for JSON."""
        return {**self.figures, "float_accuracy": self.float_accuracy}


def run(config: ChipConfig, data: str, simulator: str, seed: int, waves: bool, out: Path) -> Job:
    """Emit the Verilog, train and test it and the model on the same samples, compare all.

    The float accuracy is that of the same chip in float arithmetic, on the same samples.
    """
    loaded = load(data, seed=seed)
    emission = emit(config)
    emission.write(out)
    train, test = _sizes(loaded, simulator)
    given = samples(config, loaded, train, test, seed)
    with watching(f"{config.name} learns {data} in {simulator}", len(given)) as watch:
        _, figures = verify(config, given, Run(simulator, waves=waves), watch)
    accuracy = float_accuracy(config, _cut(loaded, train, test, seed), 1, seed)
    vcd = BUILD / "waves" / f"{config.name}-{simulator}.vcd" if waves else None
    return Job(config, out / f"{emission.top}.v", vcd, accuracy, figures)


def _sizes(data: Dataset, simulator: str) -> tuple[int, int]:
    if simulator == "icarus":
        return ICARUS_TRAIN, ICARUS_TEST
    return min(len(data.y_train), MOST_TRAIN), min(len(data.y_test), MOST_TEST)


def _cut(data: Dataset, train: int, test: int, seed: int) -> Dataset:
    """The samples that `sim.judge.verify.samples` takes."""
    kept = drawn(len(data.y_train), train, seed)
    return dataclasses.replace(
        data,
        x_train=data.x_train[kept],
        y_train=data.y_train[kept],
        x_test=data.x_test[:test],
        y_test=data.y_test[:test],
    )


def table(job: Job) -> Table:
    """The table that ends the job."""
    figures = job.figures
    accuracy, hashes = figures["accuracy"], figures["weights_sha256"]
    shown = Table(title=f"{figures['preset']} on {figures['data']}", show_header=False)
    rows = (
        (
            "trained on, then tested on",
            f"{figures['train_samples']:,}, {figures['test_samples']:,}",
        ),
        ("accuracy, float twin", f"{job.float_accuracy:.2%}"),
        ("accuracy, integer model", f"{accuracy['model']:.2%}"),
        ("accuracy, Verilog", f"{accuracy['rtl']:.2%} ({_simulator(figures)})"),
        ("mismatches", f"{figures['mismatches']} of {figures['compared_values']:,} values"),
        ("counters equal", "yes" if figures["counters_equal"] else "NO"),
        ("weights, model", hashes["model"][:16]),
        ("weights, Verilog", hashes["rtl"][:16]),
        ("cycles a learned sample", f"{figures['cycles_per_train_sample']:,.1f}"),
        ("cycles a classified sample", f"{figures['cycles_per_test_sample']:,.1f}"),
        ("cycles a second", f"{figures['cycles_per_second']:,.0f}"),
        ("time", f"{figures['seconds']:.1f} s"),
        ("Verilog", str(job.verilog)),
    )
    for row in rows:
        shown.add_row(*row)
    if job.waves:
        shown.add_row("waves", str(job.waves))
    return shown


def _simulator(figures: dict[str, Any]) -> str:
    return f"{figures['simulator']} {figures['simulator_version']}"

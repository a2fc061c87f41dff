"""A run: what training measured, and how it is kept on disk."""

import json
import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.contract.artifact import writing
from model.contract.refusal import Refusal, shown
from model.data.arrays import read_arrays
from model.paper.network import Network
from model.paper.settings import Settings

LAST_EPOCHS = 10  # the paper averages the test error over the last ten epochs


@dataclass
class Point:
    """One measurement: losses J (means over examples and outputs), errors in %.

    Errors are None in a regression; training figures are None where they were not asked for,
    `held_error` where nothing was held out. `ends_epoch` tells a measurement after a whole epoch.
    """

    epoch: int
    samples: int
    ends_epoch: bool
    test_loss: float
    test_error: float | None
    train_loss: float | None = None
    train_error: float | None = None
    held_error: float | None = None


@dataclass
class Run:
    """Settings, network, what was measured, what the watchers noted, and the seconds it took."""

    settings: Settings
    network: Network
    points: list[Point] = field(default_factory=list)
    series: dict[str, list[Any]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def test_accuracy(self) -> NDArray[np.float64]:
        """Test accuracy after each epoch, in %; raises `Refusal` for a regression."""
        return 100 - self._errors()

    @property
    def test_error(self) -> float:
        """Test error in %, averaged over the last ten epochs (fewer where the run had fewer)."""
        return float(self._errors()[-LAST_EPOCHS:].mean())

    def _errors(self) -> NDArray[np.float64]:
        errors = [point.test_error for point in self.points if point.ends_epoch]
        if None in errors:
            raise Refusal(
                f"{self.settings.data} is a regression and has no error rate; read losses"
            )
        return np.array(errors, dtype=np.float64)

    def write_json(self, path: Path) -> None:
        """Write settings, provenance, points and series as JSON."""
        text = json.dumps(
            {
                "settings": asdict(self.settings),
                **provenance(self.settings),
                "seconds": self.seconds,
                "points": [asdict(point) for point in self.points],
                "series": self.series,
            }
        )
        with writing(path) as file:
            file.write(text.encode() + b"\n")

    def save(self, path: Path, memory: dict[str, NDArray[Any]]) -> None:
        """Write a checkpoint: the run, its network and the optimiser's memory, as .npz."""
        told = json.dumps(
            {
                "settings": asdict(self.settings),
                "points": [asdict(point) for point in self.points],
                "series": self.series,
                "seconds": self.seconds,
            }
        )
        with writing(path) as file:
            arrays: dict[str, Any] = {**self.network.state(), **memory}
            np.savez(file, run=np.array(told), **arrays)

    def resume(self, path: Path) -> dict[str, NDArray[Any]]:
        """Take over a checkpoint of the same settings and return the optimiser's memory.

        The epochs may have grown. Raises `Refusal` where it cannot be read, was made with other
        settings, or is further on than the epochs asked for.
        """
        arrays = read_arrays(path, "remove it or name another")
        try:
            told = json.loads(str(arrays.pop("run")))
            points, series, seconds = _measured(told)
            settings = dict(told["settings"])
        except Exception as error:  # damage can lie anywhere
            raise Refusal(f"{path} is no checkpoint of a run; remove it or name another") from error
        for name, value in asdict(self.settings).items():
            if name != "epochs" and settings.get(name) != value:
                raise Refusal(
                    f"{path} was made with {name} = {shown(settings.get(name))}, not {value!r}; "
                    f"give the same settings or another checkpoint"
                )
        if points[-1].epoch > self.settings.epochs:
            raise Refusal(
                f"{path} is {points[-1].epoch} epochs on, but {self.settings.epochs} are "
                f"asked for; ask for more or name another checkpoint"
            )
        self.points, self.series, self.seconds = points, series, seconds
        self.network.restore(arrays)
        return arrays


def _measured(told: Any) -> tuple[list[Point], dict[str, list[Any]], float]:
    """The points, series and seconds of a checkpoint; ValueError where they cannot be those."""
    points = [Point(**point) for point in told["points"]]
    for point in points:
        for name, value in asdict(point).items():
            counted = name in ("epoch", "samples")
            if not (value is None or isinstance(value, int if counted else (int, float))):
                raise ValueError(f"{name} is no number")
    series = {str(name): list(values) for name, values in told["series"].items()}
    if not points or min(point.epoch for point in points) < 1:
        raise ValueError("nothing was measured")
    return points, series, float(told["seconds"])


def provenance(settings: Settings) -> dict[str, str]:
    """Return what a number depends on beside its settings: their hash and the versions at work."""
    library = settings.backend.partition(":")[0]
    return {
        "config": settings.hash,
        "python": platform.python_version(),
        "library": f"{library} {version(library)}",
    }

"""Scenarios: how the world of a trained chip changes, and the labelled stream that it meets."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from model.arith import Codes
from model.contract.refusal import Refusal
from model.network import Images


@dataclass(frozen=True)
class Scenario:
    """One change. Of the choices behind `kind`, each kind reads its own."""

    kind: str
    degrees: float = (
        45.0  #: rotate: by how much, counter-clockwise; drift: at the end of the stream
    )
    rows: tuple[int, int] = (9, 19)  #: dead-rows: the first that is dead, and the first after them
    divisor: int = 4  #: contrast: of all levels
    classes: tuple[int, ...] = (8, 9)  #: new-classes: those never met before the stream
    task_classes: int = (
        2  #: split: classes a task; tasks come one after another, nothing before them
    )

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise Refusal(f"there is no scenario {self.kind!r}; there are {', '.join(KINDS)}")
        if self.divisor < 1 or self.task_classes < 1:
            raise Refusal("a scenario's divisor and task_classes must be at least 1")

    def changed(self, images: Images, share: float = 1.0) -> Images:
        """The images (n, H, W, C) as the chip meets them after that share of the stream."""
        return KINDS[self.kind](self, images, np.full(len(images), share))

    def streamed(self, images: Images) -> Images:
        """The images of the stream, each as it is at its place in it."""
        return KINDS[self.kind](self, images, np.arange(1, len(images) + 1) / len(images))

    @property
    def starts_untrained(self) -> bool:
        """Whether nothing is learned before the stream."""
        return self.kind == "split"

    @property
    def still(self) -> bool:
        """Whether the change is the same all along the stream."""
        return self.kind != "drift"

    def known(self, labels: Codes) -> np.ndarray:
        """Of which samples the chip may learn before the stream."""
        return ~np.isin(labels, self.classes) if self.kind == "new-classes" else labels >= 0

    def first(self, labels: Codes) -> np.ndarray:
        """Which samples belong to what was learned first: the old task."""
        return labels < self.task_classes if self.kind == "split" else self.known(labels)

    def asked(self, labels: Codes) -> np.ndarray:
        """Which changed samples tell how well the chip has adapted."""
        return np.isin(labels, self.classes) if self.kind == "new-classes" else labels >= 0

    def order(self, labels: Codes) -> Codes:
        """The order of the stream: as drawn, or task by task."""
        if self.kind != "split":
            return np.arange(len(labels))
        return np.argsort(labels // self.task_classes, kind="stable")


def _same(scenario: Scenario, images: Images, shares: np.ndarray) -> Images:
    return images


def _rotated(images: Images, degrees: np.ndarray) -> Images:
    """Each image turned by its angle around its middle, in straight lines between pixels."""
    turned = np.empty_like(images)
    for image, angle, to in zip(images, degrees, turned, strict=True):
        for channel in range(images.shape[3]):
            plane = Image.fromarray(np.ascontiguousarray(image[:, :, channel]))
            to[:, :, channel] = plane.rotate(float(angle), Image.Resampling.BILINEAR)
    return turned


def _rotate(scenario: Scenario, images: Images, shares: np.ndarray) -> Images:
    return _rotated(images, np.full(len(images), scenario.degrees))


def _drift(scenario: Scenario, images: Images, shares: np.ndarray) -> Images:
    return _rotated(images, scenario.degrees * shares)


def _invert(scenario: Scenario, images: Images, shares: np.ndarray) -> Images:
    return 255 - images


def _dead_rows(scenario: Scenario, images: Images, shares: np.ndarray) -> Images:
    first, after = scenario.rows
    if not 0 <= first < after <= images.shape[1]:
        raise Refusal(f"rows {first} to {after} are no rows of an image of {images.shape[1]}")
    dead = images.copy()
    dead[:, first:after] = 0
    return dead


def _contrast(scenario: Scenario, images: Images, shares: np.ndarray) -> Images:
    return images // np.uint8(min(scenario.divisor, 255))


KINDS: dict[str, Callable[[Scenario, Images, np.ndarray], Images]] = {
    "rotate": _rotate,
    "invert": _invert,
    "dead-rows": _dead_rows,
    "contrast": _contrast,
    "new-classes": _same,
    "drift": _drift,
    "split": _same,
}
"""What becomes of the images, by kind; in the last argument the share of the stream gone by."""


def read_scenario(named: str) -> Scenario:
    """The scenario of that name, or from a TOML file with the fields of `Scenario`.

    Raises `Refusal` where there is neither, or a field is unknown or of another type.
    """
    if named in KINDS:
        return Scenario(named)
    path = Path(named)
    if path.suffix != ".toml":
        raise Refusal(
            f"there is no scenario {named!r}; there are {', '.join(KINDS)}, or a .toml file"
        )
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise Refusal(f"cannot read scenario {path}: {error.strerror}; check the path") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"scenario {path} is not TOML: {error}") from error
    if "kind" not in table:
        raise Refusal(f"scenario {path} lacks kind; name one of {', '.join(KINDS)}")
    return Scenario(**{name: _value(path, name, value) for name, value in table.items()})


def _value(path: Path, name: str, value: Any) -> Any:
    """A field's value, checked against the type of its default."""
    known = {entry.name: entry.default for entry in fields(Scenario)}
    if name not in known:
        raise Refusal(f"scenario {path} has no field {name!r}; it has {', '.join(known)}")
    if isinstance(known[name], tuple):
        whole = isinstance(value, list) and all(type(number) is int for number in value)
        if not whole or (name == "rows" and len(value) != 2):
            raise Refusal(f"scenario {path}: {name} must be a list of integers, not {value!r}")
        return tuple(value)
    kinds = {float: (float, int), int: (int,)}.get(type(known[name]), (str,))
    if type(value) not in kinds:
        raise Refusal(f"scenario {path}: {name} must be {kinds[-1].__name__}, not {value!r}")
    return value

"""Recordings of event cameras: one, or a set of them as counts of events."""

import io
import tempfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from model.contract.refusal import Refusal
from model.data.memory import check_fits, most_bytes
from model.data.places import read
from model.sensor.decoder import EVENT, decode

BIN_MEMORY = 16
"""Bytes that decoding takes for each byte of a .bin file."""

EVENT_BYTES = 5
OVERFLOW_Y = 240
OVERFLOW_US = 2**13

BY_FAERY = (".dat", ".es", ".raw")
"""Of recordings that a library reads which is no part of the kit."""

SUFFIXES = (".bin", ".aedat4", ".npz", *BY_FAERY)
"""Of recordings in a set."""

MOST_SIDE = 1024
"""Of a map of counts: what an event word can name."""


@dataclass(frozen=True)
class View:
    """How recordings are looked at.

    In this order: coordinates are divided by `scale`; events of a pixel that come within
    `refractory_us` of the one before are left out; where `merged`, polarity is forgotten; events
    are counted in `windows` of `window_us` each from the first event on, what is later in the last.
    `size` is the height and width of the map, cut from the middle of what was recorded, or the
    least that holds all events.
    """

    window_us: int = 105_000
    windows: int = 3
    size: tuple[int, int] | None = None
    scale: int = 1
    refractory_us: int = 0
    merged: bool = False

    def __post_init__(self) -> None:
        bounds = {"window_us": 1, "windows": 1, "scale": 1, "refractory_us": 0}
        for name, least in bounds.items():
            if getattr(self, name) < least:
                raise Refusal(f"{name} must be at least {least}, not {getattr(self, name)}")

    def prepared(self, events: NDArray[Any]) -> NDArray[Any]:
        """The events as they are counted, of time 0 at the first."""
        events = events.copy()
        events["t"] -= events["t"].min()
        events["x"] //= self.scale
        events["y"] //= self.scale
        if self.merged:
            events["p"] = 0
        return events[_apart(events, self.refractory_us)] if self.refractory_us else events


def _apart(events: NDArray[Any], least_us: int) -> NDArray[np.bool_]:
    """Which events come at least so long after the last one kept of their pixel."""
    last: dict[tuple[int, int], int] = {}
    kept = np.zeros(len(events), bool)
    for number, (x, y, t, _) in enumerate(events.tolist()):
        if t - last.get((x, y), t - least_us) >= least_us:
            last[x, y] = t
            kept[number] = True
    return kept


def count_recordings(
    name: str, order: Sequence[PurePosixPath], files: Mapping[PurePosixPath, bytes], view: View
) -> NDArray[np.uint8]:
    """Counts (N, H, W, windows * channels) of the recordings of a set, in this order.

    Raises `Refusal` at the first that cannot be read, or where the map would be too large.
    """
    console = Console(stderr=True)
    hidden = not console.is_terminal
    recordings = []
    for path in track(order, f"reading {name}", console=console, disable=hidden):
        recordings.append(view.prepared(decode_recording(files[path], f"{name}: {path}")))
    sides = [max(int(events[field].max()) for events in recordings) + 1 for field in "yx"]
    height, width = view.size or sides
    if max(height, width) > MOST_SIDE:
        raise Refusal(f"{name} is {width} x {height} pixels, more than {MOST_SIDE}; cut it")
    channels = 1 if view.merged else 2
    shape = (len(recordings), height, width, view.windows, channels)
    check_fits(8 * int(np.prod(shape[1:])) + int(np.prod(shape)), name)
    counts = np.zeros(shape, np.uint8)
    top, left = ((have - want) // 2 for have, want in zip(sides, (height, width), strict=True))
    for found, events in zip(counts, recordings, strict=True):
        y, x = events["y"].astype(np.int64) - top, events["x"].astype(np.int64) - left
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        window = np.minimum(events["t"] // view.window_us, view.windows - 1)
        many = np.zeros(shape[1:], np.int64)
        at = (y[inside], x[inside], window[inside], events["p"][inside])
        np.add.at(many, at, 1)
        found[:] = np.minimum(many, 255)
    return counts.reshape(len(recordings), height, width, -1)


def decode_recording(content: bytes, source: str) -> NDArray[Any]:
    """Events of a recording from its content; `source` names it, and by its ending the format.

    Raises `Refusal`, with the place in the file where there is one, as `read_recording` does.
    """
    if source.endswith(".bin"):
        events = _decode_bin(content, source)
    elif source.endswith(".npz"):
        events = _decode_npz(content, source)
    else:
        with tempfile.NamedTemporaryFile(suffix=PurePosixPath(source).suffix) as file:
            file.write(content)
            file.flush()
            events = _read_decoded(Path(file.name), source)
    if len(events) == 0:
        raise Refusal(f"{source} holds no events; give another recording")
    return events


def read_recording(path: Path) -> NDArray[Any]:
    """Read a recording: .bin as N-MNIST and N-Caltech101 are published, .aedat4, or .npz.

    Where faery is installed, .dat and .raw (Prophesee) and .es (Event Stream), too; it reads a file
    that was cut off as far as it goes. An .npz holds arrays x, y, t (microseconds) and p (0 or 1),
    or one structured array of these fields, of whatever name.

    Returns
    -------
    (N,) array of `EVENT`, in the order of the file. Times are the sensor's own, so the first is
    seldom 0 (an .aedat4 file counts from 1970).

    Raises
    ------
    Refusal
        Where the file is missing, of another kind, damaged, or without events.
    """
    if path.suffix not in SUFFIXES:
        raise Refusal(f"{path} is no recording this kit reads; give a {', '.join(SUFFIXES)} file")
    if not path.is_file():
        raise Refusal(f"{path} is no file; check the path")
    if path.suffix in (".bin", ".npz"):
        return decode_recording(read(path), str(path))
    events = _read_decoded(path, str(path))
    if len(events) == 0:
        raise Refusal(f"{path} holds no events; give another recording")
    return events


def _decode_bin(content: bytes, source: str) -> NDArray[Any]:
    """Decode events of 40 bits: x, y, then one polarity bit and 23 bits of microseconds.

    A row of 240 is no event: it tells that the sensor's clock ran over, and adds 2**13
    microseconds to all that follows.

    Source: G. Orchard et al., Converting Static Image Datasets to Spiking Neuromorphic Datasets
    Using Saccades, Frontiers in Neuroscience, 2015.
    """
    if len(content) % EVENT_BYTES:
        raise Refusal(
            f"{source} holds {len(content)} bytes, no multiple of {EVENT_BYTES}; it is truncated "
            f"or no 40-bit recording, get it again"
        )
    check_fits(BIN_MEMORY * len(content), source)
    rows = np.frombuffer(content, np.uint8).reshape(-1, EVENT_BYTES).astype(np.int64)
    overflow = rows[:, 1] == OVERFLOW_Y
    events: NDArray[Any] = np.empty(len(rows), EVENT)
    events["x"], events["y"], events["p"] = rows[:, 0], rows[:, 1], rows[:, 2] >> 7
    events["t"] = (rows[:, 2] & 0x7F) << 16 | rows[:, 3] << 8 | rows[:, 4]
    events["t"] += OVERFLOW_US * np.cumsum(overflow)
    return events[~overflow]


def _decode_npz(content: bytes, source: str) -> NDArray[Any]:
    """Arrays x, y, t, p, or one structured array of these fields."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            check_fits(4 * sum(part.file_size for part in packed.infolist()), source)
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise Refusal(f"{source} is no .npz of plain arrays, or damaged; save it again") from error
    if len(arrays) == 1:
        (only,) = arrays.values()
        arrays = {name: only[name] for name in only.dtype.names or ()}
    if not set("xytp") <= arrays.keys():
        raise Refusal(f"{source} lacks one of the arrays x, y, t, p; save all four")
    parts = [arrays[name] for name in "xytp"]
    if any(part.ndim != 1 or part.dtype.kind not in "iub" for part in parts):
        raise Refusal(f"{source}: x, y, t and p must be (N,) integers; convert them first")
    if len({len(part) for part in parts}) > 1:
        raise Refusal(f"{source}: x, y, t and p are not of one length; save it again")
    for name, low, high in (("x", 0, 2**16 - 1), ("y", 0, 2**16 - 1), ("p", 0, 1)):
        wrong = np.flatnonzero((arrays[name] < low) | (arrays[name] > high))
        if len(wrong):
            bad = arrays[name][wrong[0]]
            raise Refusal(f"{source}: {name} of event {wrong[0]} is {bad}, not {low} to {high}")
    events = np.empty(len(parts[0]), EVENT)
    for name, part in zip("xytp", parts, strict=True):
        events[name] = part
    return events


def _read_decoded(path: Path, source: str) -> NDArray[Any]:
    """Have the events of a file decoded by a library; frames and other streams are left alone."""
    if path.suffix in BY_FAERY and find_spec("faery") is None:
        raise Refusal(f"{source} is read by faery; install it: pip install drtp-kit[recordings]")
    check_fits(path.stat().st_size, source)
    events = decode(path, most_bytes())
    if events is None:
        kind = "AEDAT 4" if path.suffix == ".aedat4" else path.suffix
        raise Refusal(f"{source} is truncated or no {kind} file; get it again")
    return events

"""Recordings of event sensors."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.contract.refusal import Refusal
from model.data.memory import check_fits, most_bytes
from model.data.places import read
from model.sensor.aedat4 import EVENT, decode

BIN_MEMORY = 16
"""Bytes that decoding takes for each byte of a .bin file."""

EVENT_BYTES = 5
OVERFLOW_Y = 240
OVERFLOW_US = 2**13


def read_recording(path: Path) -> NDArray[Any]:
    """Read a recording: .bin as N-MNIST and N-Caltech101 are published, or .aedat4.

    Returns
    -------
    (N,) array of `EVENT`, in the order of the file. Times are the sensor's own, so the first is
    seldom 0 (an .aedat4 file counts from 1970).

    Raises
    ------
    Refusal
        Where the file is missing, of another kind, damaged, or without events.
    """
    readers = {".bin": _read_bin, ".aedat4": _read_aedat4}
    if path.suffix not in readers:
        raise Refusal(f"{path} is no recording this kit reads; give a .bin or .aedat4 file")
    if not path.is_file():
        raise Refusal(f"{path} is no file; check the path")
    events = readers[path.suffix](path)
    if len(events) == 0:
        raise Refusal(f"{path} holds no events; give another recording")
    return events


def _read_bin(path: Path) -> NDArray[Any]:
    """Decode events of 40 bits: x, y, then one polarity bit and 23 bits of microseconds.

    A row of 240 is no event: it tells that the sensor's clock ran over, and adds 2**13
    microseconds to all that follows.

    Source: G. Orchard et al., Converting Static Image Datasets to Spiking Neuromorphic Datasets
    Using Saccades, Frontiers in Neuroscience, 2015.
    """
    content = read(path)
    if len(content) % EVENT_BYTES:
        raise Refusal(
            f"{path} holds {len(content)} bytes, no multiple of {EVENT_BYTES}; it is truncated or "
            f"no 40-bit recording, get it again"
        )
    check_fits(BIN_MEMORY * len(content), path)
    rows = np.frombuffer(content, np.uint8).reshape(-1, EVENT_BYTES).astype(np.int64)
    overflow = rows[:, 1] == OVERFLOW_Y
    events: NDArray[Any] = np.empty(len(rows), EVENT)
    events["x"], events["y"], events["p"] = rows[:, 0], rows[:, 1], rows[:, 2] >> 7
    events["t"] = (rows[:, 2] & 0x7F) << 16 | rows[:, 3] << 8 | rows[:, 4]
    events["t"] += OVERFLOW_US * np.cumsum(overflow)
    return events[~overflow]


def _read_aedat4(path: Path) -> NDArray[Any]:
    """Decode the event packets of an AEDAT 4 file; frames and other streams are left alone."""
    check_fits(path.stat().st_size, path)
    events = decode(path, most_bytes())
    if events is None:
        raise Refusal(f"{path} is truncated or no AEDAT 4 file; get it again")
    return events

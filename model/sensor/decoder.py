"""Recordings that compiled libraries decode, in a process of their own.

AEDAT 4 is decoded by aedat; .dat and .raw (Prophesee) and .es (Event Stream) by faery, where it is
installed. A decoder can end its whole process at a damaged file, and takes as much memory as the
file claims. Here both end as a refusal.
"""

import resource
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

EVENT = np.dtype([("x", np.uint16), ("y", np.uint16), ("t", np.int64), ("p", np.uint8)])
"""A sensor's event: column, row, time in microseconds, polarity (1 brighter, 0 darker)."""

SECONDS, SECONDS_A_MEGABYTE = 20, 2


def decode(path: Path, most: int) -> NDArray[Any] | None:
    """Events (N,) of all event packets in a file, or None where its decoder cannot read it.

    The process takes at most `most` bytes of memory, and a time that grows with the file.
    """
    seconds = SECONDS + int(SECONDS_A_MEGABYTE * path.stat().st_size / 1e6)
    # The file is run by its path, apart from the package: that would take a second to import.
    command = [sys.executable, "-I", __file__, str(path.resolve()), str(most), str(seconds)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    if done.returncode or len(done.stdout) % EVENT.itemsize:
        return None
    return np.frombuffer(done.stdout, EVENT).copy()


def _write_events(path: str, most: str, seconds: str) -> None:
    """In that process: write all events of a file to standard output, as they lie in memory."""
    resource.setrlimit(resource.RLIMIT_AS, (int(most), int(most)))
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for recorded in _of_aedat4(path) if path.endswith(".aedat4") else _of_faery(path):
        events = np.empty(len(recorded), EVENT)
        for field, name in (("x", "x"), ("y", "y"), ("t", "t"), ("p", "on")):
            events[field] = recorded[name]
        sys.stdout.buffer.write(events.tobytes())


def _of_aedat4(path: str) -> Iterator[Any]:
    import aedat

    return (packet["events"] for packet in aedat.Decoder(path) if "events" in packet)


def _of_faery(path: str) -> Iterator[Any]:
    return iter(import_module("faery").events_stream_from_file(path))


if __name__ == "__main__":
    _write_events(*sys.argv[1:])

"""AEDAT 4 recordings, decoded in a process of its own.

The decoder is a compiled library that ends its whole process at some damaged files, and takes as
much memory as a file claims. Here both end as a refusal.
"""

import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

EVENT = np.dtype([("x", np.uint16), ("y", np.uint16), ("t", np.int64), ("p", np.uint8)])
"""A sensor's event: column, row, time in microseconds, polarity (1 brighter, 0 darker)."""

SECONDS, SECONDS_A_MEGABYTE = 20, 2


def decode(path: Path, most: int) -> NDArray[Any] | None:
    """Events (N,) of all event packets in a file, or None where it is damaged.

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
    import aedat

    for packet in aedat.Decoder(path):
        if "events" in packet:
            recorded = packet["events"]
            events = np.empty(len(recorded), EVENT)
            for field, name in (("x", "x"), ("y", "y"), ("t", "t"), ("p", "on")):
                events[field] = recorded[name]
            sys.stdout.buffer.write(events.tobytes())


if __name__ == "__main__":
    _write_events(*sys.argv[1:])

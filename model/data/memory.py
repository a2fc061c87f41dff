"""Memory: how much may be read into it at once. Whoever reads looks here first."""

import os
import resource
from functools import cache
from pathlib import Path

from model.contract.refusal import Refusal

CONTAINER = Path("/sys/fs/cgroup/memory.max")


@cache
def most_bytes() -> int:
    """Half of what the machine, its container, or a limit of this process allows."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    process, _ = resource.getrlimit(resource.RLIMIT_AS)
    if process != resource.RLIM_INFINITY:
        limits.append(process)
    if CONTAINER.is_file() and (text := CONTAINER.read_text().strip()).isdecimal():
        limits.append(int(text))
    return min(limits) // 2


def check_fits(size: int, source: object, most: int | None = None) -> None:
    """Refuse what would take more than `most` bytes (half of the memory where None)."""
    most = most_bytes() if most is None else most
    if size > most:
        raise Refusal(
            f"{source} takes {size:,} bytes of memory, more than the {most:,} there are for it; "
            f"give less"
        )

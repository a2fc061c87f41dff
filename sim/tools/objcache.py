"""A compiler cache for the runtime of Verilator, which each bench would compile anew.

Runs as `python objcache.py CACHE COMPILER ARGUMENT...` in front of the compiler, with the source
last, as Verilator's makefiles do with $(OBJCACHE). Only sources of the runtime are cached, for they
do not depend on the design. Standard library only, started in isolation: it runs once an object.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path


def key(command: list[str], source: Path) -> str:
    """Name of an object: what it is compiled from, by what, and how."""
    compiler = Path(shutil.which(command[0]) or command[0])
    stamps = [(path, path.stat().st_mtime_ns, path.stat().st_size) for path in (compiler, source)]
    return hashlib.sha256(repr((command, stamps)).encode()).hexdigest()


def main(cache: Path, command: list[str]) -> int:
    """Compile, or take the object from the cache; gives the exit code of the compiler."""
    source = Path(command[-1])
    if not {"-c", "-o"} <= set(command) or not source.name.startswith("verilated"):
        return subprocess.call(command)
    target = Path(command[command.index("-o") + 1])
    cached = cache / f"{key(command, source)}.o"
    if not cached.exists():
        code = subprocess.call(command)
        if code:
            return code
        cache.mkdir(parents=True, exist_ok=True)
        growing = cache / f"{cached.name}.{os.getpid()}"
        shutil.copyfile(target, growing)
        growing.replace(cached)
    shutil.copyfile(cached, target)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))

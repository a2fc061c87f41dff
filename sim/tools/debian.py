"""Debian packages without root: downloaded by apt, unpacked into the virtual environment."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from model.contract.artifact import write_text
from model.contract.refusal import Refusal
from sim import tools
from sim.tools.tool import in_venv

# Icarus asks for its own folder where it does not lie in /usr.
_WRAPPER = """#!/bin/sh
here=$(dirname "$(dirname "$(readlink -f "$0")")")
libraries=$(dirname "$here"/usr/lib/*/ivl)
export LD_LIBRARY_PATH="$libraries${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}"
exec "$here/usr/bin/{program}" -{flag}"$libraries/ivl" "$@"
"""


PACKAGES = {
    "icarus": ("iverilog", "libreadline8"),
    "libpython": (f"libpython3.{sys.version_info.minor}",),
    "opensta": ("opensta", "libtcl8.6", "libreadline8"),
}


def get(name: str) -> tools.Tool:
    """See to it that a tool is there and fit: the system's, or Debian's unpacked.

    Raises `Refusal` where the tool has no package or the package cannot be had.
    """
    if name not in PACKAGES:
        raise Refusal(f"{name!r} has no package; get one of {', '.join(PACKAGES)}")
    if tools.examine(name).tool is None:
        package = PACKAGES[name][0]
        try:
            unpack(PACKAGES[name], in_venv(package))
        except Refusal as refusal:
            raise Refusal(
                f"{name} cannot be got without root: {refusal}; run `apt-get install {package}` "
                "as root, or install it by other means"
            ) from None
        if name == "icarus":
            _wrap_icarus(in_venv(package))
        tools.examine.cache_clear()
    return tools.require(name)


def _wrap_icarus(folder: Path) -> None:
    """Programs that run the unpacked Icarus, wherever its folder is moved to."""
    for program, flag in (("iverilog", "B"), ("vvp", "M")):
        wrapper = folder / "bin" / program
        write_text(wrapper, _WRAPPER.format(program=program, flag=flag))
        wrapper.chmod(0o755)


def unpack(packages: Sequence[str], folder: Path) -> None:
    """Unpack Debian packages into a folder, all of them or none.

    Apt's own lists are used; where they are missing or stale, lists are fetched into a temporary
    folder. Raises `Refusal` where apt is not there or a package cannot be had.
    """
    if not (shutil.which("apt-get") and shutil.which("dpkg-deb")):
        raise Refusal("apt-get or dpkg-deb is not there")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        temporary = Path(name)
        _download(packages, temporary)
        for package in temporary.glob("*.deb"):
            _run(["dpkg-deb", "-x", str(package), "tree"], temporary)
        shutil.rmtree(folder, ignore_errors=True)
        (temporary / "tree").rename(folder)


def _download(packages: Sequence[str], folder: Path) -> None:
    """Download packages into a folder."""
    try:
        _run(["apt-get", "download", *packages], folder)
    except Refusal:
        private = [f"-oDir::State={folder}/state", f"-oDir::Cache={folder}/cache"]
        private += ["-oDir::State::status=/var/lib/dpkg/status", "-oAPT::Sandbox::User=root"]
        for needed in ("state/lists/partial", "cache/archives/partial"):
            (folder / needed).mkdir(parents=True)
        _run(["apt-get", *private, "update"], folder)
        _run(["apt-get", *private, "download", *packages], folder)


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        trouble = (done.stderr.strip() or "it says nothing").splitlines()[-1]
        raise Refusal(f"{command[0]} {command[-1]} failed ({trouble})")

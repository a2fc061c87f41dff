"""The user's cache folder: data sets that were downloaded, programs that were built."""

import os
from pathlib import Path

from platformdirs import user_cache_path

BUILD_DIR = "DRTP_BUILD_DIR"
"""Variable that names another folder for what is built; `--build-dir` sets it."""


def cache_folder() -> Path:
    """The kit's folder among the user's caches (under Linux in $XDG_CACHE_HOME or ~/.cache)."""
    return user_cache_path("drtp-kit", appauthor=False)


def build_folder() -> Path:
    """Folder of what is compiled, routed or recorded, and may be deleted at any time."""
    chosen = os.environ.get(BUILD_DIR)
    return Path(chosen).resolve() if chosen else cache_folder() / "build"

"""The places where files of a named set are looked for."""

import os
import stat
from pathlib import Path

from model.cache import cache_folder
from model.contract.refusal import Refusal
from model.data.memory import check_fits


def find(name: str, files: tuple[str, ...], data_dir: Path | None, remedy: str) -> Path:
    """Return the first of `files` (or folders) of the set `name` in the places, in this order.

    `data_dir`, $DRTP_DATA_DIR, `./data`, the user's cache folder, where `get` puts downloads; in
    each first the folder of the set's name, then the place itself.

    Raises `Refusal` with every place named where there is none, or where `data_dir` or
    $DRTP_DATA_DIR is no folder.
    """
    places = [*_chosen(data_dir), Path.cwd() / "data", downloads()]
    for place in places:
        for folder in (place / name, place):
            for file in files:
                if (folder / file).exists():
                    return folder / file
    raise Refusal(
        f"{name}: {' or '.join(files)} is in none of {', '.join(map(str, places))}; {remedy}, or "
        f"name its folder with --data-dir or DRTP_DATA_DIR"
    )


def downloads() -> Path:
    """Folder of downloaded sets: one for all projects of a user."""
    return cache_folder() / "data"


def _chosen(data_dir: Path | None) -> list[Path]:
    chosen = {"data directory": data_dir, "DRTP_DATA_DIR": os.environ.get("DRTP_DATA_DIR")}
    for what, place in chosen.items():
        if place and not Path(place).is_dir():
            raise Refusal(f"{what} {place} is no folder; make it or give another")
    return [Path(place) for place in chosen.values() if place]


def read(path: Path) -> bytes:
    """Return the content of a file.

    Raises `Refusal` where it cannot be read, is no regular file, or is larger than the memory.
    """
    try:
        status = path.stat()  # before it is opened: a pipe would wait for its writer
        if not stat.S_ISREG(status.st_mode):
            raise Refusal(f"{path} is no regular file; copy its content into one")
        check_fits(status.st_size, path)
        return path.read_bytes()
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror}; check the path") from error

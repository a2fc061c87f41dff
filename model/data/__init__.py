"""Data sets and event recordings as numpy arrays: checked, and never substituted.

from model.data import load
data = load("digits")                # the embedded default, needs no file
data = load("mnist", data_dir=...)   # a user's own download, sums checked
data = load("mine.npz")              # a user's own arrays
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from model.contract.refusal import Refusal, guess
from model.data.archive import is_archive
from model.data.cifar import load_cifar10
from model.data.dataset import Dataset
from model.data.digits import load_digits
from model.data.download import get
from model.data.idx import load_idx
from model.data.images import load_cifar10_jpeg, load_folder, load_nmnist
from model.data.npz import load_npz
from model.data.recordings import View, read_recording
from model.sensor.decoder import EVENT

__all__ = ["EVENT", "NAMES", "Dataset", "View", "get", "load", "load_folder", "read_recording"]

WITH_TEST: dict[str, Callable[[Path | None], Dataset]] = {
    "mnist": partial(load_idx, "mnist"),
    "fashion-mnist": partial(load_idx, "fashion-mnist"),
    "cifar10": load_cifar10,
    "cifar10-jpeg": load_cifar10_jpeg,
    "nmnist": load_nmnist,
}
"""The sets that bring their own test samples, each with its loader."""

EMULATED = {
    "nmnist-emulated": "mnist",
    "fashion-mnist-emulated": "fashion-mnist",
    "cifar10-emulated": "cifar10",
    "cifar10-jpeg-emulated": "cifar10-jpeg",
    "digits-emulated": "digits",
}
"""Sets of emulated recordings, and of whose images."""

NAMES = ("digits", *WITH_TEST, *EMULATED)


def load(
    name_or_path: str,
    *,
    data_dir: Path | None = None,
    test_fraction: float | None = None,
    seed: int = 0,
) -> Dataset:
    """Load a named set, or a user's own by its path.

    Parameters
    ----------
    name_or_path
        One of `NAMES` (the emulated ones are counts of events: `model.data.emulated`); or a .npz
        file; or a folder or tar file of images or of recordings in class folders, or a .csv
        that names them (`model.data.listed`). A name wins over a path of the same spelling:
        write `./mnist` for the path.
    data_dir
        Where to look first for the files of a named set (then $DRTP_DATA_DIR, `./data`, the
        user's cache folder). `digits` and paths have no use for it.
    test_fraction
        Share of the samples held out for the test, where the set brings no test samples of its own
        (a quarter where None).
    seed
        Of that split; the same seed gives the same split.

    Raises
    ------
    Refusal
        For anything missing, damaged, of a wrong sum, shape, type or label.
    """
    if name_or_path in EMULATED:
        from model.data.emulated import emulated  # compiles loops, which takes a second

        pictures = load(
            EMULATED[name_or_path], data_dir=data_dir, test_fraction=test_fraction, seed=seed
        )
        return emulated(pictures, name_or_path)
    if name_or_path in WITH_TEST:
        if test_fraction is not None:
            raise Refusal(
                f"{name_or_path} brings its own test samples; leave the test fraction out"
            )
        return WITH_TEST[name_or_path](data_dir)
    if name_or_path == "digits":
        return load_digits(test_fraction, seed)
    path = Path(name_or_path)
    if not path.exists():
        raise Refusal(
            f"{name_or_path} is neither a data set ({', '.join(NAMES)}) nor a file or folder; "
            f"give one of these names or the path of your own data{guess(name_or_path, NAMES)}"
        )
    if not path.is_dir() and not path.is_file():
        raise Refusal(f"{path} is no regular file; copy its content into one")
    if path.is_dir() or path.suffix in (".zip", ".csv") or is_archive(path):
        return load_folder(path, test_fraction, seed)
    if path.suffix == ".npz":
        return load_npz(path, test_fraction, seed)
    raise Refusal(
        f"{path} is no data set this kit reads; give a .npz file with x and y, a folder or tar "
        f"file of images in class folders, or a .csv that names them"
    )

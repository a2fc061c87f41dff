"""The download: published files of the named sets, fetched once and checked."""

from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from model.contract.refusal import Refusal
from model.data.places import downloads

FILES = {
    "mnist": {
        "train-images-idx3-ubyte.gz": "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "md5:d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "md5:9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "md5:ec29112dd5afa0611ce80d1b7f02629c",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "md5:25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "md5:bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "md5:bb300cfdad3c16e7a12a480ee83cd310",
    },
    "cifar10": {"cifar-10-python.tar.gz": "md5:c58f30108f718f92721af3b95e74349a"},
    "nmnist": {
        "Train.zip": "md5:20959b8e626244a1b502305a9e6e2031",
        "Test.zip": "md5:69ca8762b2fe404d9b9bad1103e97832",
    },
}
"""Files of each set with the sums their publishers give."""

URLS = {
    # The first publisher's server turns programs away; this mirror is the one torchvision uses.
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist",
    "fashion-mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "cifar10": "https://www.cs.toronto.edu/~kriz",
    "nmnist": "https://data.mendeley.com/public-files/datasets/468j46mzdv/files",
}

PATHS = {
    "Train.zip": "39c25547-014b-4137-a934-9d29fa53c7a0/file_downloaded",
    "Test.zip": "05a4d654-7e03-4c15-bdfa-9bb2bcbea494/file_downloaded",
}
"""What the publisher calls a file, where that is another name; mirrors use the file's own."""

TIMEOUT_S = 30
"""Longest silence of a server before the download is given up."""

CHUNK_BYTES = 2**16

MOST_BYTES = 1 << 31
"""Longer than any of these files: what goes on beyond it is none of them."""


def get(name: str, directory: Path | None = None, base_url: str | None = None) -> list[Path]:
    """Download the files of a set, except those that are there with the right sum already.

    Each file appears under its name only when it is whole and its sum is right; a broken download
    leaves nothing behind, and files finished before it are kept. Progress goes to standard error.

    Parameters
    ----------
    name
        One of `FILES`.
    directory
        Where to put the folder of the set; the user's cache folder where None, so `load` finds it.
    base_url
        Another mirror: where the files lie, without the last slash.

    Returns
    -------
    The paths of the files.

    Raises
    ------
    Refusal
        For another name, a server that does not deliver, a wrong sum, or a folder that cannot be
        written.
    """
    if name == "digits":
        raise Refusal("digits comes with scikit-learn; there is nothing to download")
    if name not in FILES:
        raise Refusal(f"{name} cannot be downloaded; choose one of {', '.join(FILES)}")
    folder = (directory or downloads()) / name
    paths = {} if base_url else PATHS
    url = base_url or URLS[name]
    return [
        _fetch(f"{url}/{paths.get(file, file)}", folder / file, sum_)
        for file, sum_ in FILES[name].items()
    ]


def _fetch(url: str, path: Path, expected: str) -> Path:
    try:
        _retrieve(url, path, expected)
    except OSError as error:  # of the disk, or of the connection
        response = getattr(error, "response", None)
        reason = type(error).__name__ if response is None else f"status {response.status_code}"
        raise Refusal(
            f"{url} could not be brought to {path} ({reason}); check connection and folder, or "
            f"name another mirror"
        ) from error
    except ValueError as error:
        raise Refusal(
            f"{url} delivers something other than the published file, whose sum is {expected}; "
            f"nothing was kept, name another mirror"
        ) from error
    finally:
        with suppress(OSError):  # goes only where nothing is in it
            path.parent.rmdir()
    return path


def _retrieve(url: str, path: Path, expected: str) -> None:
    import pooch  # brings an http client, which loading has no use for

    with _Bar(path.name) as bar, ExitStack() as at_end:

        def close_at_end(response: Any, **_: object) -> None:
            at_end.callback(response.close)  # pooch leaves it open where a download fails

        hooks = {"response": close_at_end}
        downloader = pooch.HTTPDownloader(bar, CHUNK_BYTES, timeout=TIMEOUT_S, hooks=hooks)
        pooch.retrieve(url, expected, path.name, path.parent, downloader=downloader)
    if path.stat().st_mode & 0o077 == 0:
        path.chmod(0o644)  # pooch makes it readable to its owner alone


class _Bar:
    """What pooch asks of a progress bar, drawn on standard error where that is a terminal."""

    total: int | None = None
    came = 0

    def __init__(self, name: str) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._progress.add_task(name, total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def update(self, size: int) -> None:
        """Count bytes that came; pooch sets `total` before the first. ValueError: too many came."""
        self.came += size
        if max(self.came, self.total or 0) > MOST_BYTES:
            raise ValueError("this is longer than any published file")
        self._progress.update(self._task, total=self.total, advance=size)

    def reset(self) -> None:
        """Count from 0 again: pooch counts whole chunks, and corrects itself at the end."""
        self._progress.reset(self._task)

    def close(self) -> None:
        """Leave the closing to the `with` block, which closes after a failure too."""

"""IDX files: MNIST and Fashion-MNIST as published, packed with gzip or not."""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.contract.refusal import Refusal
from model.data.archive import unpack
from model.data.dataset import Dataset
from model.data.places import find
from model.data.sums import check_sum

SUMS = {
    "mnist": {
        "train-images-idx3-ubyte": (
            "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte": (
            "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte": (
            "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte": (
            "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte": (
            "sha256:c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
        ),
        "train-labels-idx1-ubyte": (
            "sha256:bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
        ),
        "t10k-images-idx3-ubyte": (
            "sha256:5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
        ),
        "t10k-labels-idx1-ubyte": (
            "sha256:0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
        ),
    },
}
"""Sums of the unpacked files. Taken with `zcat FILE.gz | sha256sum` from packed files whose own
md5 sums are the published ones (`model.data.download`); a test takes them again."""

UBYTE = 8
"""Type byte of the only element type these sets use."""

MOST_BYTES = 1 << 26
"""Larger than any of these files unpacked."""

MOST_AXES = 4


def load_idx(name: str, data_dir: Path | None) -> Dataset:
    """Load `mnist` or `fashion-mnist`: 60,000 + 10,000 images of 28x28, 10 classes.

    Each of the four files may lie in any of the places (`model.data.places`).

    Raises `Refusal` where a file is missing, damaged, or not the published one.

    Source: Y. LeCun, C. Cortes and C. J. C. Burges, The MNIST Database, 1998; H. Xiao, K. Rasul
    and R. Vollgraf, Fashion-MNIST, 2017.
    """
    remedy = f"get them with `python -m model data get {name}`"
    arrays: list[NDArray[np.uint8]] = []
    for file, expected in SUMS[name].items():
        path = find(name, (file, f"{file}.gz"), data_dir, remedy)
        content = unpack(path, MOST_BYTES)
        arrays.append(read_idx(content, path))
        check_sum(content, expected, path)
    x_train, y_train, x_test, y_test = arrays
    return Dataset(
        name, x_train, y_train.astype(np.int64), x_test, y_test.astype(np.int64), classes=10
    )


def read_idx(content: bytes, source: object) -> NDArray[np.uint8]:
    """Decode an IDX file of unsigned bytes.

    Two zero bytes, the type byte, the number of axes; each axis's length as 32 bits, big end
    first; then the elements, last axis fastest (Y. LeCun's description of the format).

    Raises `Refusal` for another format or element type, or a length other than the header's.
    """
    if len(content) < 4 or content[:2] != b"\0\0":
        raise Refusal(f"{source} is no IDX file; download it again")
    if content[2] != UBYTE:
        raise Refusal(
            f"{source} holds IDX elements of type {content[2]}, not unsigned bytes ({UBYTE}); "
            f"convert it"
        )
    if not 1 <= content[3] <= MOST_AXES:
        raise Refusal(
            f"{source} has {content[3]} axes where images have three and labels one; "
            f"download it again"
        )
    start = 4 + 4 * content[3]
    lengths = [int.from_bytes(content[at : at + 4], "big") for at in range(4, start, 4)]
    size = start + math.prod(lengths)
    if len(content) != size:
        raise Refusal(
            f"{source} holds {len(content)} bytes where its IDX header promises {size}; "
            f"download it again"
        )
    elements = np.frombuffer(content, np.uint8, offset=start)
    try:
        return elements.reshape(lengths).copy()
    except ValueError as error:  # one axis of zero, and others longer than numpy takes
        raise Refusal(f"{source} has axes of {lengths} elements; download it again") from error

"""Arrays on disk, .npz and .npy: their headers are looked at before any memory is taken."""

import io
import math
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.contract.refusal import Refusal, reason
from model.data.memory import check_fits
from model.data.places import read

HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
KINDS = "biufU"  #: of dtypes: numbers and text, nothing that runs or nests


def read_arrays(path: Path, remedy: str) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz file by name.

    Raises `Refusal` where the file is missing, damaged, takes more memory than can be had, or holds
    other things than arrays of numbers and text; it ends with the `remedy`.
    """
    content = read(path)
    if not zipfile.is_zipfile(io.BytesIO(content)):
        raise Refusal(f"{path} is truncated or no .npz file; {remedy}")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            check_fits(sum(member.file_size for member in members), path)
            return {_name(member): _array(archive.read(member)) for member in members}
    except Refusal:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise many classes
        raise Refusal(
            f"{path} cannot be read as .npz of plain arrays ({reason(error)}); {remedy}"
        ) from error


def read_array(path: Path, remedy: str) -> NDArray[Any]:
    """The array of an .npy file. Raises `Refusal` as `read_arrays`."""
    content = read(path)
    try:
        return _array(content)
    except Exception as error:  # numpy evaluates the header, which can raise anything
        raise Refusal(
            f"{path} is no .npy file of a plain array, or damaged ({reason(error)}); {remedy}"
        ) from error


def _name(member: zipfile.ZipInfo) -> str:
    if not member.filename.endswith(".npy"):
        raise ValueError(f"{member.filename!r} is no array")
    return member.filename.removesuffix(".npy")


def _array(content: bytes) -> NDArray[Any]:
    """Decode the .npy format, whose header must promise just the bytes that follow it."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"version {version} of the format is unknown")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote
        shape, fortran, dtype = HEADERS[version](file)
    if dtype.kind not in KINDS:
        raise ValueError(f"its elements are {dtype}, neither numbers nor text")
    start, size = file.tell(), math.prod(shape) * dtype.itemsize
    if size != len(content) - start:
        raise ValueError(f"{len(content) - start} bytes follow where the header promises {size}")
    flat = np.frombuffer(content, dtype, offset=start) if size else np.empty(0, dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy()

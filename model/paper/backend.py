"""The array library that computes: numpy, or torch or cupy by name, all through the array API."""

import importlib
from dataclasses import dataclass
from typing import Any, TypeAlias

import array_api_compat
import numpy as np

from model.contract.refusal import Refusal

Array: TypeAlias = Any  # an array of the chosen library; the array API has no common base class

NAMES = ("numpy", "torch", "torch:cuda", "cupy")
DTYPES = ("float32", "float64")
CACHE_ELEMENTS = 1 << 15  # float32 elements of one block that stay in a core's second-level cache


@dataclass(frozen=True)
class Backend:
    """An array library with its device and the float type of every parameter and activation."""

    name: str
    dtype: str
    xp: Any
    device: Any

    @classmethod
    def of(cls, name: str, dtype: str = "float32") -> "Backend":
        """Return the backend called `name`; raises `Refusal` where it cannot work here."""
        if name not in NAMES:
            raise Refusal(f"there is no backend {name!r}; choose one of {', '.join(NAMES)}")
        if dtype not in DTYPES:
            raise Refusal(f"there is no float type {dtype!r}; choose one of {', '.join(DTYPES)}")
        library, _, place = name.partition(":")
        try:
            xp = importlib.import_module(f"array_api_compat.{library}")
        except ImportError as error:
            raise Refusal(
                f"backend {name!r} needs {library}, which is not installed; "
                f"install it or use the backend 'numpy'"
            ) from error
        if library == "torch":
            if place and not xp.cuda.is_available():
                raise Refusal(f"backend {name!r} finds no CUDA device here; use 'torch' or 'numpy'")
            return cls(name, dtype, xp, xp.device(place or "cpu"))
        return cls(name, dtype, xp, "cpu" if library == "numpy" else xp.cuda.Device())

    @property
    def block(self) -> int | None:
        """Elements to update at a time: what the cache holds on a processor, all on a GPU."""
        return CACHE_ELEMENTS if self.name in ("numpy", "torch") else None

    def put(self, host: np.ndarray) -> Array:
        """Copy a host array to the device as this backend's float type."""
        return self.xp.asarray(
            np.ascontiguousarray(host, self.dtype), device=self.device, copy=True
        )

    def put_index(self, host: np.ndarray) -> Array:
        """Copy whole numbers or truths to the device, their type kept."""
        return self.xp.asarray(host, device=self.device, copy=True)

    def zeros(self, shape: tuple[int, ...]) -> Array:
        """Return zeros of this backend's float type."""
        return self.xp.zeros(shape, dtype=getattr(self.xp, self.dtype), device=self.device)


def fetch(array: Array) -> np.ndarray:
    """Copy an array of any backend to the host as numpy."""
    return np.array(np.from_dlpack(array_api_compat.to_device(array, "cpu")))

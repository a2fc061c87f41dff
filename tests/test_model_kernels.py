"""Kernels: zero mean, in range, ternary where asked for, or exactly the user's file."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from model.contract.config import ChipConfig
from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.kernels import kernels


def made(config: ChipConfig, seed: int = 0) -> np.ndarray:
    """The kernels of the chip's first stage."""
    return kernels(config.conv[0], config.conv_shapes[0], np.random.default_rng(seed))


def spoon(**conv: object) -> ChipConfig:
    """The chip at full size, some choices of its convolution changed."""
    config = preset("spoon")
    return dataclasses.replace(config, conv=(dataclasses.replace(config.conv[0], **conv),))  # type: ignore[arg-type]


@pytest.mark.parametrize("bank", ["gabor", "random"])
@pytest.mark.parametrize("bits", [3, 5, 8])
def test_kernels_use_their_whole_range_and_have_zero_mean(bank: str, bits: int) -> None:
    """Rounding moves each tap by half a code at most, so their sum by half the taps at most."""
    codes = made(spoon(bank=bank, kernel_bits=bits))
    assert codes.shape == (10, 1, 5, 5)
    assert (np.abs(codes).max(axis=(1, 2, 3)) == 2 ** (bits - 1) - 1).all()
    assert (np.abs(codes.sum(axis=(1, 2, 3))) <= 25 / 2).all()


@pytest.mark.parametrize("bank", ["gabor", "random"])
def test_two_bits_make_kernels_ternary(bank: str) -> None:
    codes = made(spoon(bank=bank, kernel_bits=2))
    assert set(np.unique(codes)) == {-1, 0, 1}


def test_ternary_gabors_are_balanced() -> None:
    codes = made(spoon(kernel_bits=2))
    assert (codes[:8].sum(axis=(1, 2, 3)) == 0).all()


def test_gabors_are_odd_and_opposite_angles_opposite_signs() -> None:
    codes = made(spoon())[:8, 0]
    assert (codes == -codes[:, ::-1, ::-1]).all()
    assert (codes[4:] == -codes[:4]).all()


def test_differences_of_gaussians_are_round_and_opposite() -> None:
    on, off = made(spoon())[8:, 0]
    assert (on == -off).all()
    assert (on == on.T).all()
    assert (on == on[::-1]).all()
    assert on[2, 2] == 127


@pytest.mark.parametrize(("count", "size"), [(8, 3), (10, 5), (32, 5), (20, 7)])
def test_no_two_kernels_of_the_bank_are_equal(count: int, size: int) -> None:
    codes = made(spoon(kernels=count, size=size, padding=size - 1, pool=1))
    assert len(np.unique(codes, axis=0)) == count


def test_the_bank_needs_no_seed_and_random_kernels_need_one() -> None:
    assert (made(spoon(), seed=1) == made(spoon(), seed=2)).all()
    random = spoon(bank="random")
    assert (made(random, seed=1) == made(random, seed=1)).all()
    assert (made(random, seed=1) != made(random, seed=2)).any()


def test_colour_channels_share_the_bank() -> None:
    config = dataclasses.replace(spoon(), channels=3)
    codes = made(config)
    assert codes.shape == (10, 3, 5, 5)
    assert (codes == codes[:, :1]).all()


def test_a_file_gives_exactly_its_codes(tmp_path: Path) -> None:
    codes = np.random.default_rng(0).integers(-127, 128, (10, 1, 5, 5), dtype=np.int8)
    np.save(tmp_path / "mine.npy", codes)
    assert (made(spoon(bank=str(tmp_path / "mine.npy"))) == codes).all()


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((10, 5, 5), int), "must have the shape (10, 1, 5, 5), not (10, 5, 5)"),
        (np.zeros((10, 1, 5, 5)), "must be integer codes, not float64"),
        (np.full((10, 1, 5, 5), 128), "must lie in -127..127, not 128..128"),
        (np.full((10, 1, 5, 5), -128), "must lie in -127..127, not -128..-128"),
    ],
)
def test_a_file_of_other_codes_is_refused(tmp_path: Path, codes: np.ndarray, message: str) -> None:
    path = tmp_path / "mine.npy"
    np.save(path, codes)
    with pytest.raises(Refusal) as refusal:
        made(spoon(bank=str(path)))
    assert str(refusal.value) == f"kernels in {path} {message}"


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.npy"
    with pytest.raises(Refusal) as refusal:
        made(spoon(bank=str(path)))
    assert str(refusal.value) == f"cannot read {path}: No such file or directory; check the path"


@pytest.mark.parametrize("keep", [0, 5, 100, 1000])
def test_a_truncated_file_is_refused(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "mine.npy"
    np.save(path, np.zeros((10, 1, 5, 5), int))
    path.write_bytes(path.read_bytes()[:keep])
    check_no_kernels(path)


def test_an_archive_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", a=np.zeros(3))
    check_no_kernels(tmp_path / "mine.npz")


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "mine.npy", np.array([{"a": 1}]), allow_pickle=True)
    check_no_kernels(tmp_path / "mine.npy")


def check_no_kernels(path: Path) -> None:
    """The file is refused in one sentence; what is wrong inside it, numpy says."""
    with pytest.raises(Refusal) as refusal:
        made(spoon(bank=str(path)))
    assert str(refusal.value).startswith(f"{path} is no .npy file of a plain array, or damaged (")
    assert "\n" not in str(refusal.value)

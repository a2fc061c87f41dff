"""Where files of named sets are looked for."""

from pathlib import Path

import pytest

from model.contract.refusal import Refusal
from model.data import load, places


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory and a cache of its own, so that no real data set is found."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("DRTP_DATA_DIR", raising=False)
    return tmp_path


def put(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def find(data_dir: Path | None = None) -> Path:
    return places.find("set", ("file", "file.gz"), data_dir, "get it")


def test_places_come_in_order(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "environment").mkdir()
    monkeypatch.setenv("DRTP_DATA_DIR", str(root / "environment"))
    for place in ("cache/drtp-kit/data", "here/data", "environment", "argument"):
        for name in ("file.gz", "file", "set/file.gz", "set/file"):
            path = put(root / place / name)
            assert find(root / "argument" if place == "argument" else None) == path


def test_downloads_are_found_from_anywhere(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(places.downloads() / "set" / "file")
    monkeypatch.chdir(put(root / "elsewhere" / "file").parent)
    assert find() == path


def test_missing_file_is_refused_with_every_place(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRTP_DATA_DIR", str(root))
    with pytest.raises(Refusal) as refusal:
        load("mnist", data_dir=root)
    assert str(refusal.value) == (
        f"mnist: train-images-idx3-ubyte or train-images-idx3-ubyte.gz is in none of {root}, "
        f"{root}, {root}/here/data, {root}/cache/drtp-kit/data; get them with "
        f"`python -m model data get mnist`, or name its folder with --data-dir or DRTP_DATA_DIR"
    )


def test_data_directory_must_be_there(root: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        find(root / "nowhere")
    assert str(refusal.value) == (
        f"data directory {root}/nowhere is no folder; make it or give another"
    )


def test_directory_of_the_environment_must_be_there(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DRTP_DATA_DIR", "/nowhere")
    with pytest.raises(Refusal) as refusal:
        find()
    assert str(refusal.value) == "DRTP_DATA_DIR /nowhere is no folder; make it or give another"


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        places.read(tmp_path)
    assert str(refusal.value) == f"{tmp_path} is no regular file; copy its content into one"

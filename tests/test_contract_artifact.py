"""Artefacts are written whole or not at all."""

import json
import os
import resource
from pathlib import Path

import pytest

from model.contract.artifact import write_json, write_text, writing
from model.contract.refusal import Refusal


def test_a_file_appears_whole_under_its_name(tmp_path: Path) -> None:
    path = tmp_path / "new" / "deep" / "text"
    write_text(path, "drei Äpfel\n")
    assert path.read_text(encoding="utf-8") == "drei Äpfel\n"
    assert os.listdir(path.parent) == ["text"]


def test_json_ends_with_a_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, 2]})
    text = (tmp_path / "a.json").read_text()
    assert json.loads(text) == {"b": [1, 2]}
    assert text.endswith("}\n")


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "text"
    write_text(path, "old")
    with pytest.raises(TypeError), writing(path) as file:
        file.writelines([b"half of the ", None])  # type: ignore[list-item]
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["text"]


def test_a_file_has_the_rights_that_the_user_asks_for(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "text", "")
    finally:
        os.umask(before)
    assert (tmp_path / "text").stat().st_mode & 0o777 == 0o640


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    path = tmp_path / "file" / "text"
    with pytest.raises(Refusal) as refusal:
        write_text(path, "new")
    assert str(refusal.value) == f"cannot write {path}: File exists; choose another path"


def test_a_special_file_is_refused_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/null")):
        with pytest.raises(Refusal, match=f"cannot write {path}: it is no regular file"):
            write_text(path, "new")
        assert not path.is_file()
    assert os.listdir(tmp_path) == ["pipe"]


def test_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="it is a folder; name a file"):
        write_text(tmp_path, "new")


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "text")
    write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "text").read_text() == "new"


def test_a_full_disk_is_one_sentence_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "text"
    write_text(path, "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # answers as a full disk does
    try:
        with pytest.raises(Refusal) as refusal:
            write_text(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(refusal.value) == (
        f"cannot write {path}: File too large; nothing there was changed, make room or choose "
        f"another path"
    )
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["text"]

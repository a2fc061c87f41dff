"""model/data/listed.py: a table's files are a set like class folders; a bad row is named."""

from pathlib import Path

import numpy as np
import pytest

from model.contract.refusal import Refusal
from model.data import load

REAL = Path(__file__).parent / "data" / "nmnist"
NAMES = ("00002_label0.bin", "sample_nmnist_label4.bin")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with two real recordings, each twice."""
    (tmp_path / "rec").mkdir()
    for number, name in enumerate(NAMES * 2):
        (tmp_path / "rec" / f"{number}.bin").write_bytes((REAL / name).read_bytes())
    return tmp_path


def test_a_table_names_recordings_their_classes_and_parts(place: Path) -> None:
    """The same as in folders, whatever other columns there are."""
    table = place / "mine.csv"
    rows = ("train,rec/0.bin,zero,x", "train,rec/1.bin,four,y", "test,rec/2.bin,zero,z")
    table.write_text("part,file,class,note\n" + "\n".join((*rows, "test,rec/3.bin,four,")) + "\n")
    data = load(str(table))
    for part in ("train", "test"):
        for number, label in ((0, "zero"), (1, "four")):
            folder = place / "folders" / part / label
            folder.mkdir(parents=True)
            (folder / "a.bin").write_bytes((REAL / NAMES[number]).read_bytes())
    assert load(str(place / "folders")).sha256 == data.sha256
    assert data.x_train.shape == (2, 34, 34, 6)
    assert (data.classes, data.y_train.tolist()) == (2, [0, 1])  # four before zero
    assert int(data.x_train[0].sum()) == 4325


def test_without_parts_a_share_of_each_class_is_held_out(place: Path) -> None:
    table = place / "mine.csv"
    table.write_text("file,class\n" + "".join(f"rec/{n}.bin,{'ab'[n % 2]}\n" for n in range(4)))
    data = load(str(table), test_fraction=0.5)
    assert sorted(data.y_train.tolist()) == sorted(data.y_test.tolist()) == [0, 1]
    assert np.array_equal(np.sort(data.x_train.sum(axis=(1, 2, 3))), [4325, 5028])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("file,label\nrec/0.bin,a\n", "has no column class; begin it with file,class"),
        ("", "has no column file"),
        ("file,class\n", "names no files"),
        ("file,class\nrec/0.bin,a\nrec/9.bin,b\n", "line 3: there is no file rec/9.bin beside"),
        ("file,class\nrec/0.bin,\n", "line 2 lacks a file or a class"),
        ("file,class\nrec/0.bin\n", "line 2 lacks a file or a class"),
        ("file,class\nrec/0.bin,a/b\n", "line 2 lacks a file or a class of one word"),
        ("file,class,part\nrec/0.bin,a,dev\n", "line 2: part is 'dev', not train or test"),
        ('file,class\n"rec/0.bin,a\n', "after line 1: unexpected end of data; mend the row"),
        ("file,class\n\xe9\xff\n", "is no text, at byte 11; save it as UTF-8"),
    ],
)
def test_a_bad_row_is_named(text: str, said: str, place: Path) -> None:
    table = place / "mine.csv"
    table.write_bytes(text.encode("latin-1"))
    with pytest.raises(Refusal, match=said):
        load(str(table))


def test_a_damaged_recording_of_a_table_is_named(place: Path) -> None:
    (place / "rec" / "1.bin").write_bytes(b"abc")
    table = place / "mine.csv"
    table.write_text("file,class\nrec/0.bin,a\nrec/1.bin,b\nrec/2.bin,a\nrec/3.bin,b\n")
    with pytest.raises(Refusal, match=r"b/00000001-1.bin holds 3 bytes, no multiple of 5"):
        load(str(table))

"""Recordings of event sensors: real ones, made ones, damaged ones."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.contract.refusal import Refusal
from model.data import EVENT, View, load, load_folder, read_recording
from sim.trust.aedat4 import recording

REAL = Path(__file__).parent / "data" / "nmnist"

Published = Callable[[str], Path]


def message(path: Path) -> str:
    with pytest.raises(Refusal) as refusal:
        read_recording(path)
    return str(refusal.value)


@pytest.mark.parametrize(
    ("file", "count", "width", "height"),
    [
        ("nmnist/00002_label0.bin", 5028, 34, 34),
        ("nmnist/sample_nmnist_label4.bin", 4325, 34, 34),
    ],
)
def test_real_recordings_of_three_saccades(
    file: str, count: int, width: int, height: int, excerpts: Path
) -> None:
    check_saccades(excerpts / file, count, width, height)


@pytest.mark.data
def test_real_recording_of_an_umbrella(published: Published) -> None:
    check_saccades(published("events/ncaltech101_umbrella.bin"), 58862, 107, 173)


def check_saccades(path: Path, count: int, width: int, height: int) -> None:
    events = read_recording(path)
    assert events.dtype == EVENT
    assert events.shape == (count,)
    assert events["x"].max() == width - 1
    assert events["y"].max() == height - 1
    assert (np.diff(events["t"]) >= 0).all()
    assert 300_000 < events["t"][-1] < 320_000  # three saccades of about 100 ms
    assert np.unique(events["p"]).tolist() == [0, 1]


def test_recorded_digit_lies_where_the_image_it_was_made_from_is_bright(excerpts: Path) -> None:
    """Column and row are not swapped: image 1 of MNIST's training samples was recorded."""
    events = read_recording(excerpts / "nmnist" / "00002_label0.bin")
    image = load("mnist").x_train[1, :, :, 0].astype(float)
    counts = np.zeros((34, 34))
    np.add.at(counts, (events["y"], events["x"]), 1)
    upright = np.corrcoef(counts[3:31, 3:31].ravel(), image.ravel())[0, 1]
    swapped = np.corrcoef(counts.T[3:31, 3:31].ravel(), image.ravel())[0, 1]
    assert upright > swapped
    assert upright > 0.3


def test_fields_of_an_event(tmp_path: Path) -> None:
    path = tmp_path / "made.bin"
    path.write_bytes(bytes([3, 7, 0x80, 0, 5]) + bytes([33, 0, 0x7F, 0xFF, 0xFE]))
    assert read_recording(path).tolist() == [(3, 7, 5, 1), (33, 0, 2**23 - 2, 0)]


def test_row_240_adds_to_the_time_of_all_that_follow(tmp_path: Path) -> None:
    path = tmp_path / "made.bin"
    marker, event = bytes([0, 240, 0, 0, 0]), bytes([1, 2, 0, 0, 9])
    path.write_bytes(event + marker + event + marker + marker + event)
    assert read_recording(path)["t"].tolist() == [9, 9 + 2**13, 9 + 3 * 2**13]


def test_aedat4_recording(excerpts: Path) -> None:
    check_aedat4(excerpts / "events" / "cut.aedat4", 1862)


@pytest.mark.data
def test_whole_aedat4_recording(published: Published) -> None:
    check_aedat4(published("events/sample.aedat4"), 111954)


def check_aedat4(path: Path, count: int) -> None:
    events = read_recording(path)
    assert events.dtype == EVENT
    assert events.shape == (count,)
    assert events["x"].max() < 320
    assert events["y"].max() < 240
    assert (np.diff(events["t"]) >= 0).all()
    assert np.unique(events["p"]).tolist() == [0, 1]


def test_truncated_bin_is_refused(excerpts: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.bin"
    path.write_bytes((excerpts / "nmnist" / "00002_label0.bin").read_bytes()[:-1])
    assert message(path) == (
        f"{path} holds 25139 bytes, no multiple of 5; it is truncated or no 40-bit recording, get "
        f"it again"
    )


@pytest.mark.parametrize("content", [b"", bytes([0, 240, 0, 0, 0])])
def test_recording_without_events_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "empty.bin"
    path.write_bytes(content)
    assert message(path) == f"{path} holds no events; give another recording"


def test_damaged_aedat4_is_refused(excerpts: Path, tmp_path: Path) -> None:
    path = tmp_path / "cut.aedat4"
    for content in (
        (excerpts / "events" / "cut.aedat4").read_bytes()[:15_000],
        (excerpts / "nmnist" / "00002_label0.bin").read_bytes(),
    ):
        path.write_bytes(content)
        assert message(path) == f"{path} is truncated or no AEDAT 4 file; get it again"


def test_aedat4_made_by_hand(tmp_path: Path) -> None:
    path = tmp_path / "made.aedat4"
    path.write_bytes(recording([(1, 2, 1000, 1), (33, 0, 1002, 0)]))
    assert read_recording(path).tolist() == [(1, 2, 1000, 1), (33, 0, 1002, 0)]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (b"/node></node></node>", b"/n\xc4de"),  # kills the decoder's process
        (b"EVTS\x06", b"EVTS\xff\xff"),  # a panic, which is no Exception
    ],
)
def test_aedat4_that_its_decoder_does_not_survive_is_refused(
    tmp_path: Path, at: bytes, value: bytes
) -> None:
    content = bytearray(recording([(1, 2, 1000, 1)]))
    place = content.index(at)
    content[place : place + len(value)] = value
    path = tmp_path / "bad.aedat4"
    path.write_bytes(content)
    assert message(path) == f"{path} is truncated or no AEDAT 4 file; get it again"


@pytest.mark.parametrize("suffix", [".dat", ".es"])  # nothing tells what a .raw file is
def test_a_recording_of_another_kind_asks_for_faery_or_is_read_by_it(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"mine{suffix}"
    path.write_bytes(b"no recording at all")
    if find_spec("faery") is None:
        said = f"{path} is read by faery; install it: pip install drtp-kit[recordings]"
    else:
        said = f"{path} is truncated or no {suffix} file; get it again"
    assert message(path) == said


def test_faery_reads_what_it_wrote(tmp_path: Path) -> None:
    faery = pytest.importorskip("faery")
    events = np.zeros(300, faery.EVENTS_DTYPE)
    events["t"], events["x"], events["y"] = np.arange(300) * 37, np.arange(300) % 34, 7
    events["on"] = np.arange(300) % 3 == 0
    for suffix in (".dat", ".es", ".raw"):
        path = tmp_path / f"mine{suffix}"
        faery.events_stream_from_array(events=events, dimensions=(34, 34)).to_file(path)
        found = read_recording(path)
        for ours, its in (("x", "x"), ("y", "y"), ("t", "t"), ("p", "on")):
            assert (found[ours] == events[its]).all()


def test_missing_recording_is_refused(tmp_path: Path) -> None:
    assert message(tmp_path / "none.bin") == f"{tmp_path}/none.bin is no file; check the path"


def test_recording_of_another_kind_is_refused(tmp_path: Path) -> None:
    assert message(tmp_path / "film.mp4") == (
        f"{tmp_path}/film.mp4 is no recording this kit reads; give a .bin, .aedat4, .npz, .dat, "
        ".es, .raw file"
    )


# -- sets of recordings -------------------------------------------------------------------------


def made(*rows: tuple[int, int, int, int]) -> bytes:
    """A .bin of events (x, y, t, p)."""
    return b"".join(bytes([x, y, p << 7 | t >> 16, t >> 8 & 255, t & 255]) for x, y, t, p in rows)


def lay_out(folder: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_a_set_laid_out_as_nmnist_is(tmp_path: Path) -> None:
    zero, four = ((REAL / f).read_bytes() for f in ("00002_label0.bin", "sample_nmnist_label4.bin"))
    files = {"N/Train/0/00002.bin": zero, "N/Train/4/1.bin": four, "N/Test/4/2.bin": four}
    data = load(str(lay_out(tmp_path, files)))
    assert data.classes == 2
    assert data.y_train.tolist() == [0, 1]
    assert data.x_train.shape == (2, 34, 34, 6)
    assert data.x_train.sum(axis=(1, 2, 3)).tolist() == [5028, 4325]
    events = read_recording(REAL / "00002_label0.bin")
    first = events[events["t"] - events["t"][0] < 105_000]
    counts = np.zeros((34, 34, 2), int)
    np.add.at(counts, (first["y"], first["x"], first["p"]), 1)
    np.testing.assert_array_equal(data.x_train[0, :, :, :2], counts)


def test_a_view_scales_filters_merges_cuts_and_splits(tmp_path: Path) -> None:
    rows = [(4, 4, 1000, 1), (5, 5, 1400, 0), (5, 4, 2000, 1), (0, 0, 2500, 1), (8, 8, 9000, 0)]
    files = {f"{label}/{n}.bin": made(*rows) for label in "ab" for n in "01"}
    view = View(window_us=1000, windows=2, size=(3, 3), scale=2, refractory_us=500, merged=True)
    data = load_folder(lay_out(tmp_path, files), None, 0, view)
    # Recorded are 5 x 5 pixels of two by two; the middle 3 x 3 are kept; (5, 5) comes too soon.
    wanted = np.zeros((3, 3, 2), int)
    wanted[1, 1] = 1, 1
    assert data.x_train[0].tolist() == wanted.tolist()


@pytest.mark.parametrize("structured", [False, True])
def test_npz_recordings(tmp_path: Path, structured: bool) -> None:
    path = tmp_path / "one.npz"
    fields = {"x": [3, 4], "y": [5, 6], "t": [10, 12], "p": [1, 0]}
    if structured:
        rows = np.array(list(zip(*fields.values(), strict=True)), np.dtype("i4,i4,i8,i1"))
        rows.dtype.names = tuple("xytp")
        np.savez(path, events=rows)
    else:
        np.savez(path, **fields)  # type: ignore[arg-type]
    assert read_recording(path).tolist() == [(3, 5, 10, 1), (4, 6, 12, 0)]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"x": [1], "y": [1], "t": [1]}, "lacks one of the arrays x, y, t, p; save all four"),
        ({"x": [1.0], "y": [1], "t": [1], "p": [1]}, ": x, y, t and p must be (N,) integers; "),
        ({"x": [1], "y": [1], "t": [1, 2], "p": [1]}, ": x, y, t and p are not of one length; "),
        ({"x": [1, 1], "y": [1, -1], "t": [1, 2], "p": [1, 1]}, ": y of event 1 is -1, not 0 to "),
        ({"x": [1], "y": [1], "t": [1], "p": [2]}, ": p of event 0 is 2, not 0 to 1"),
    ],
)
def test_other_npz_are_refused(tmp_path: Path, fields: dict[str, Any], said: str) -> None:
    np.savez(tmp_path / "bad.npz", **fields)
    assert said in message(tmp_path / "bad.npz")


def test_a_bad_recording_of_a_set_is_named(tmp_path: Path) -> None:
    files = {f"{label}/{n}.bin": made((1, 1, 0, 1)) for label in "ab" for n in "01"}
    files["b/1.bin"] += b"x"
    with pytest.raises(Refusal, match=r"b/1.bin holds 6 bytes, no multiple of 5"):
        load(str(lay_out(tmp_path, files)))


def test_a_view_out_of_range_is_refused() -> None:
    with pytest.raises(Refusal, match="scale must be at least 1, not 0"):
        View(scale=0)

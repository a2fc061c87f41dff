"""Every reader of files that a user can hand in, each with valid files to damage."""

import bz2
import csv
import gzip
import io
import json
import lzma
import pickle
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import fields, replace
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from model.contract.draft import toml
from model.contract.presets import preset
from model.contract.reading import from_toml
from model.data import load, read_recording
from model.data.archive import unpack
from model.data.cifar import read_batch
from model.data.idx import MOST_BYTES, read_idx
from model.kernels import kernels
from model.network import ChipModel
from model.paper.report import report
from model.paper.settings import Settings, plan
from model.paper.study import COLUMNS
from model.paper.task import Task, one_hot
from model.paper.training import fit
from model.state import bank_shapes, fresh
from model.study.sweep import read_sweep
from model.trace import Trace
from sim.judge import checkpoint
from sim.judge.samples import Samples
from sim.judge.segment import Expected, Finished, Segment, foretold
from sim.trust.aedat4 import recording
from sim.trust.fuzz import Reader
from sim.trust.mutation import in_gzip, in_npz, in_tar, of_bytes, of_text

TINY = preset("tiny")
CLASSES = 10


@cache
def readers() -> tuple[Reader, ...]:
    """All of them."""
    return (
        Reader("configuration", ".toml", _tomls(), (of_text, of_text, of_bytes), _read_chip),
        Reader("sweep", ".toml", (_SWEEP,), (of_text, of_text, of_bytes), read_sweep),
        Reader("data .npz", ".npz", _sets(), (in_npz, in_npz, of_bytes), _load),
        Reader("kernels .npy", ".npy", _banks(), (of_bytes,), _read_kernels),
        Reader("idx", "", _idx(), (of_bytes,), _read_idx),
        Reader("idx .gz", ".gz", tuple(map(gzip.compress, _idx())), _PACKED, _read_idx),
        Reader("tar", ".tar", (_tar(),), (of_bytes, in_tar(of_bytes)), _load),
        Reader("tar, packed", ".tgz", _packed_tars(), (of_bytes,), _load),
        Reader("pictures", ".tar", _picture_tars(), (in_tar(of_bytes),), _load),
        Reader("cifar batch", "", (_batch(),), (of_bytes,), _read_batch),
        Reader("recording .bin", ".bin", (bytes(range(250)),), (of_bytes,), read_recording),
        Reader(
            "recording .aedat4",
            ".aedat4",
            _aedat4(),
            (of_bytes, of_text),
            read_recording,
            weight=4,  # each takes a process of its own
        ),
        Reader("model", ".npz", _models(), (in_npz, in_npz, of_bytes), _read_model),
        Reader("paper checkpoint", ".npz", (_checkpoint(),), (in_npz, in_npz, of_bytes), _resume),
        Reader(
            "verification", ".json", (_verified(),), (of_text, of_text, of_bytes), _read_verified
        ),
        Reader("trace", ".npz", (_trace(),), (in_npz, in_npz, of_bytes), Trace.load),
        Reader("report", ".csv", (_table(),), (of_text, of_text, of_bytes), _report, "table1-fc1"),
    )


_PACKED = (of_bytes, in_gzip(of_bytes))

_SWEEP = b"""preset = "tiny"
data = "digits"
epochs = 1
limit = 60
algorithms = ["drtp", "float-bp"]
seeds = [0, 3]

[grid]
weight_bits = [6, 8]
hidden1.neurons = [16]
learning.schedule = [[0], [0, 1]]
"""


def _written(write: Callable[[Path], object]) -> bytes:
    """What is written under a path that it is given."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file.npz"
        write(path)
        return path.read_bytes()


def _tomls() -> tuple[bytes, ...]:
    return tuple(
        toml(preset(name), name).encode() for name in ("tiny", "spoon", "fc2-500", "conv-cifar")
    )


def _images(count: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, 8, 8), np.uint8)


def _labels(count: int = 20) -> np.ndarray:
    return np.arange(count) % CLASSES


def _sets() -> tuple[bytes, ...]:
    own, buffer = io.BytesIO(), io.BytesIO()
    x, y = _images(), _labels()
    np.savez(own, x=x, y=y)
    np.savez_compressed(buffer, x=x, y=y, x_test=x, y_test=y, classes=CLASSES)
    return own.getvalue(), buffer.getvalue()


def _banks() -> tuple[bytes, ...]:
    found = []
    for kind in (np.int8, np.int64):
        buffer = io.BytesIO()
        np.save(buffer, fresh(TINY, 0).banks["conv1.kernels"].astype(kind))
        found.append(buffer.getvalue())
    return tuple(found)


def _idx() -> tuple[bytes, ...]:
    head = b"\0\0\x08"
    lengths = b"".join(n.to_bytes(4, "big") for n in (20, 8, 8))
    return (
        head + b"\x03" + lengths + _images().tobytes(),
        head + b"\x01" + lengths[:4] + bytes(_labels().astype(np.uint8)),
    )


def _picture(format_: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_images(1)[0]).save(buffer, format_)
    return buffer.getvalue()


def _tar(format_: str = "PNG") -> bytes:
    buffer, content = io.BytesIO(), _picture(format_)
    with tarfile.open(fileobj=buffer, mode="w") as file:
        for name in ("cat/1", "cat/2", "dog/1", "dog/2"):
            member = tarfile.TarInfo(f"{name}.img")
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _packed_tars() -> tuple[bytes, ...]:
    return tuple(pack(_tar()) for pack in (gzip.compress, bz2.compress, lzma.compress))


def _picture_tars() -> tuple[bytes, ...]:
    return tuple(_tar(format_) for format_ in ("PNG", "JPEG", "BMP", "PPM", "TIFF", "WEBP"))


def _batch() -> bytes:
    data = np.zeros((3, 3072), np.uint8)
    content = pickle.dumps({b"data": data, b"labels": [0, 1, 2]}, protocol=3)
    return content.replace(b"numpy._core", b"numpy.core")  # as published


def _aedat4() -> tuple[bytes, ...]:
    return (recording([(x, x, 1000 + x, x % 2) for x in range(30)]),)


def _learned() -> ChipModel:
    return ChipModel(TINY, epochs=1, engine="plain").fit(_images(), _labels())


def _models() -> tuple[bytes, ...]:
    return (_written(_learned().save),)


def _trace() -> bytes:
    trace = Trace({"conv1.features": ("at", "code"), "hidden1.activations": ("code",)})
    for name, columns in trace.columns.items():
        trace.extend(name, np.arange(12).reshape(-1, len(columns)), [12 // len(columns)])
    return _written(trace.save)


@cache
def _segment() -> Segment:
    """The whole run of a verification, in one segment."""
    images, labels = _images()[..., None], _labels()
    given = Samples(images, labels, np.zeros(len(labels), np.int64), 15, "digits", 0)
    before = fresh(TINY, 0)
    after = before.copy()
    Expected.of(TINY, after, given)
    return Segment(given, before, after)


def _verified() -> bytes:
    segment = _segment()
    tally = foretold(TINY, segment)
    tally.counters_rtl, tally.right_rtl = tally.counters_model, tally.right_model
    finished = Finished(segment, tally, segment.after, segment.after, "here", "5.0")
    return _written(lambda path: checkpoint.write(path, "identity", [finished]))


def _task() -> Task:
    x, target = _images().reshape(20, 64).astype(np.float32), one_hot(_labels(), CLASSES)
    return Task("digits", x, target, x, target)


def _settings() -> Settings:
    return plan("digits", "fc4", "drtp", epochs=1)


def _checkpoint() -> bytes:
    def write(path: Path) -> None:
        fit(_settings(), _task(), checkpoint=path)

    return _written(write)


def _table() -> bytes:
    settings = [plan("mnist", "fc1-500", rule) for rule in ("drtp", "bp", "shallow")]
    text = io.StringIO()
    rows = csv.DictWriter(text, COLUMNS, restval="1.5", lineterminator="\n")
    rows.writeheader()
    for one in settings:
        rows.writerow(
            {field.name: getattr(one, field.name) for field in fields(one)} | {"epochs_run": 100}
        )
    return text.getvalue().encode()


# -- who reads them -----------------------------------------------------------------------------


def _read_chip(path: Path) -> None:
    chip = from_toml(path)
    bank_shapes(chip)
    json.dumps(chip.to_dict())
    chip.sha256  # noqa: B018 - reads kernel files


def _load(path: Path) -> None:
    load(str(path)).sha256  # noqa: B018 - reads all


def _read_kernels(path: Path) -> None:
    (stage,) = TINY.conv
    kernels(replace(stage, bank=str(path)), TINY.conv_shapes[0], np.random.default_rng(0))


def _read_idx(path: Path) -> None:
    read_idx(unpack(path, MOST_BYTES), path)


def _read_batch(path: Path) -> None:
    read_batch(path.read_bytes(), path)


def _read_model(path: Path) -> None:
    model = ChipModel.load(path)
    model.engine = "plain"
    if model.config == TINY:
        model.predict(_images(1))


def _read_verified(path: Path) -> None:
    checkpoint.read(path, "identity", TINY, {0: _segment()})


def _resume(path: Path) -> None:
    fit(_settings(), _task(), checkpoint=path, resume=True)


def _report(path: Path) -> None:
    report("table1-fc1", path.parent)

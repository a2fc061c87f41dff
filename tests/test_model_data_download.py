"""The download, against a server on this machine."""

import hashlib
import io
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from model.contract.refusal import Refusal
from model.data import download, get, load


class Mirror(BaseHTTPRequestHandler):
    """Serves what `contents` holds; a length in `promised` replaces the true one."""

    contents: dict[str, bytes]
    promised: dict[str, int]
    served: list[str]

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        self.served.append(self.path)
        if name not in self.contents:
            self.send_error(404)
            return
        self.send_response(200)
        length = self.promised.get(name, len(self.contents[name]))
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(self.contents[name])

    def log_message(self, format: str, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Mirror]]:
    """A mirror of four small files, whose sums stand in place of MNIST's."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    Mirror.contents = {name: name.encode() * 9999 for name in download.FILES["mnist"]}
    Mirror.promised, Mirror.served = {}, []
    for name, content in Mirror.contents.items():
        monkeypatch.setitem(
            download.FILES["mnist"], name, "md5:" + hashlib.md5(content).hexdigest()
        )
    with ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        thread = threading.Thread(
            target=server.serve_forever, args=(0.01,)
        )  # polls often, ends soon
        thread.start()
        monkeypatch.setitem(download.URLS, "mnist", f"http://127.0.0.1:{server.server_port}/mnist")
        yield Mirror
        server.shutdown()
        thread.join()


def refusal_of(directory: Path) -> str:
    with pytest.raises(Refusal) as refusal:
        get("mnist", directory)
    return str(refusal.value)


def everything_in(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.rglob("*"))


def test_every_set_has_a_mirror() -> None:
    assert download.URLS.keys() == download.FILES.keys()


def test_nmnist_comes_under_its_publishers_names(
    mirror: type[Mirror], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two zip files whose addresses tell nothing; they can be read then."""
    host = download.URLS["mnist"].removesuffix("/mnist")
    real = Path(__file__).parent / "data" / "nmnist" / "sample_nmnist_label4.bin"
    for part, labels in (("Train", "04"), ("Test", "4")):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as file:
            for label in labels:
                file.write(real, f"{part}/{label}/00001.bin")
        served = f"{part}-of-nmnist"
        mirror.contents[served] = packed.getvalue()
        monkeypatch.setitem(download.PATHS, f"{part}.zip", f"x/{served}")
        total = "md5:" + hashlib.md5(packed.getvalue()).hexdigest()
        monkeypatch.setitem(download.FILES["nmnist"], f"{part}.zip", total)
    monkeypatch.setitem(download.URLS, "nmnist", host)
    assert [path.name for path in get("nmnist", tmp_path)] == ["Train.zip", "Test.zip"]
    assert mirror.served == ["/x/Train-of-nmnist", "/x/Test-of-nmnist"]
    data = load("nmnist", data_dir=tmp_path)
    assert data.y_train.tolist() == [0, 1]
    assert data.x_test.shape == (1, 34, 34, 6)
    assert data.x_test.sum() == 4325
    (tmp_path / "nmnist" / "Test.zip").write_bytes(b"PK")
    with pytest.raises(Refusal, match="is truncated or corrupt"):
        load("nmnist", data_dir=tmp_path)


def test_files_come_whole_and_only_once(mirror: type[Mirror], tmp_path: Path) -> None:
    paths = get("mnist", tmp_path)
    assert paths == [tmp_path / "mnist" / name for name in mirror.contents]
    assert [path.read_bytes() for path in paths] == list(mirror.contents.values())
    assert everything_in(tmp_path / "mnist") == sorted(mirror.contents)
    assert get("mnist", tmp_path) == paths
    assert mirror.served == [f"/mnist/{name}" for name in mirror.contents]


def test_files_go_to_the_cache_folder_of_the_user(
    mirror: type[Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert get("mnist")[0].parent == tmp_path / "drtp-kit" / "data" / "mnist"


def test_another_mirror_may_be_named(mirror: type[Mirror], tmp_path: Path) -> None:
    get("mnist", tmp_path, download.URLS["mnist"] + "/copy")
    assert mirror.served == [f"/mnist/copy/{name}" for name in mirror.contents]


def test_file_of_a_wrong_sum_is_replaced(mirror: type[Mirror], tmp_path: Path) -> None:
    path = get("mnist", tmp_path)[2]
    path.write_bytes(b"other")
    get("mnist", tmp_path)
    assert path.read_bytes() == mirror.contents[path.name]


def test_wrong_sum_leaves_nothing_behind(mirror: type[Mirror], tmp_path: Path) -> None:
    name = "train-images-idx3-ubyte.gz"
    mirror.contents[name] = b"other"
    assert refusal_of(tmp_path) == (
        f"{download.URLS['mnist']}/{name} delivers something other than the published file, whose "
        f"sum is {download.FILES['mnist'][name]}; nothing was kept, name another mirror"
    )
    assert everything_in(tmp_path) == []


def test_broken_download_keeps_only_what_was_finished(mirror: type[Mirror], tmp_path: Path) -> None:
    name = "train-labels-idx1-ubyte.gz"
    mirror.promised[name] = len(mirror.contents[name]) + 1
    assert refusal_of(tmp_path) == (
        f"{download.URLS['mnist']}/{name} could not be brought to {tmp_path}/mnist/{name} "
        f"(ChunkedEncodingError); check connection and folder, or name another mirror"
    )
    assert everything_in(tmp_path / "mnist") == ["train-images-idx3-ubyte.gz"]


def test_interrupt_leaves_nothing_behind(
    mirror: type[Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(download._Bar, "update", interrupt)
    with pytest.raises(KeyboardInterrupt):
        get("mnist", tmp_path)
    assert everything_in(tmp_path) == []


def test_missing_file_on_the_mirror_is_refused(mirror: type[Mirror], tmp_path: Path) -> None:
    name = "train-images-idx3-ubyte.gz"
    del mirror.contents[name]
    assert refusal_of(tmp_path) == (
        f"{download.URLS['mnist']}/{name} could not be brought to {tmp_path}/mnist/{name} "
        f"(status 404); check connection and folder, or name another mirror"
    )
    assert everything_in(tmp_path) == []


def test_silent_server_is_refused(
    mirror: type[Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "train-images-idx3-ubyte.gz"
    monkeypatch.setitem(download.URLS, "mnist", "http://127.0.0.1:9")
    assert refusal_of(tmp_path) == (
        f"http://127.0.0.1:9/{name} could not be brought to {tmp_path}/mnist/{name} "
        f"(ConnectionError); check connection and folder, or name another mirror"
    )


def test_folder_that_cannot_be_made_is_refused(mirror: type[Mirror], tmp_path: Path) -> None:
    name = "train-images-idx3-ubyte.gz"
    (tmp_path / "mnist").write_text("a file")
    assert refusal_of(tmp_path) == (
        f"{download.URLS['mnist']}/{name} could not be brought to {tmp_path}/mnist/{name} "
        f"(NotADirectoryError); check connection and folder, or name another mirror"
    )


def test_sets_that_cannot_be_downloaded_are_refused() -> None:
    with pytest.raises(Refusal) as refusal:
        get("digits")
    assert str(refusal.value) == "digits comes with scikit-learn; there is nothing to download"
    with pytest.raises(Refusal) as refusal:
        get("cifar10-jpeg")
    assert str(refusal.value) == (
        "cifar10-jpeg cannot be downloaded; choose one of mnist, fashion-mnist, cifar10, nmnist"
    )


@pytest.mark.parametrize("promised", [None, 10**12])
def test_a_body_without_end_is_given_up(
    mirror: type[Mirror], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, promised: int | None
) -> None:
    name = next(iter(mirror.contents))
    monkeypatch.setattr(download, "MOST_BYTES", 100_000)
    mirror.contents[name] = bytes(10_000_000) if promised is None else bytes(70_000)
    if promised is not None:
        mirror.promised[name] = promised
    assert "delivers something other than the published file" in refusal_of(tmp_path)
    assert everything_in(tmp_path) == []

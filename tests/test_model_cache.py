"""model/cache.py: what was built is whole, whoever builds it at once; a closed folder is told."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from model.cache import content_of, is_whole, kept
from model.contract.refusal import Refusal


def test_two_that_build_at_once_both_get_a_whole_file(tmp_path: Path) -> None:
    both, target = threading.Barrier(2), tmp_path / "objects" / "chip.so"
    got: list[Path] = []

    def build(place: Path) -> Path:
        both.wait(10)  # neither finds the other's
        built = place / "built"
        built.write_bytes(threading.current_thread().name.encode() * 100_000)
        return built

    builders = [threading.Thread(target=lambda: got.append(kept(target, build))) for _ in "ab"]
    for builder in builders:
        builder.start()
    for builder in builders:
        builder.join()
    assert got == [target, target]
    assert is_whole(target)
    assert content_of(target) in [builder.name.encode() * 100_000 for builder in builders]
    assert [path.name for path in target.parent.iterdir()] == ["chip.so"]
    assert kept(target, lambda place: pytest.fail("it is there")) == target


@pytest.fixture
def ordinary_user(tmp_path: Path) -> Iterator[None]:
    """Whoever runs the tests, but not root, to whom no folder is closed; `tmp_path` is."""
    tmp_path.chmod(0o555)
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_that_is_read_only_is_told(tmp_path: Path, ordinary_user: None) -> None:
    with pytest.raises(Refusal) as refusal:
        kept(tmp_path / "objects" / "chip.so", lambda place: pytest.fail("nothing can be built"))
    assert str(refusal.value) == (
        f"cannot keep what was built in {tmp_path}/objects: Permission denied; name another folder "
        "with --build-dir or $DRTP_BUILD_DIR"
    )

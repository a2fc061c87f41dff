"""sim/silicon/program.py: the loader of a board is named, and run on its bitstream."""

import json
from pathlib import Path

import pytest

from model.contract.refusal import Refusal
from rtl.boards import BOARDS
from sim.silicon.program import REMEDIES, loading, program


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in which `sim fpga` made two boards."""
    for name, ending in (("icebreaker", "bin"), ("ulx3s", "bit")):
        (tmp_path / name).mkdir()
        board = BOARDS[name]
        about = {"nextpnr": board.nextpnr, "loader": board.loader}
        (tmp_path / name / f"{name}.board.json").write_text(json.dumps(about))
        (tmp_path / name / f"{name}.{ending}").write_bytes(b"bits")
    return tmp_path


def test_a_loader_gets_the_bitstream(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("iceprog", "openFPGALoader"):
        loader = tmp_path / name
        loader.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/told\ntest ! -e {tmp_path}/fail\n')
        loader.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    program("icebreaker", folder)
    program("ulx3s", folder)
    assert (tmp_path / "told").read_text().splitlines() == [
        f"{folder}/icebreaker/icebreaker.bin",
        f"--board ulx3s {folder}/ulx3s/ulx3s.bit",
    ]
    (tmp_path / "fail").touch()
    with pytest.raises(Refusal, match="failed"):
        program("ulx3s", folder)


def test_a_missing_loader_is_named_with_its_remedy(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(Refusal) as refusal:
        program("icebreaker", folder)
    assert str(refusal.value) == (
        "iceprog, which loads the icebreaker, is not installed; run `apt-get install "
        f"fpga-icestorm` as root, then `iceprog {folder}/icebreaker/icebreaker.bin`"
    )


def test_what_was_not_made_is_told(folder: Path) -> None:
    with pytest.raises(Refusal, match=r"no design of versa in .*; run `make fpga BOARD=versa`"):
        loading("versa", folder)
    (folder / "ulx3s" / "ulx3s.bit").unlink()
    with pytest.raises(Refusal, match=r"ulx3s\.bit was not made"):
        loading("ulx3s", folder)


def test_every_board_names_a_loader_and_whence_it_comes() -> None:
    assert {board.loader[0] for board in BOARDS.values()} == set(REMEDIES)

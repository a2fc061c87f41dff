"""sim/host/serial.py: the driver over a real serial device: a terminal with a chip behind it."""

import json
import os
import select
import threading
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.state import fresh
from sim.__main__ import app
from sim.host import line as lines
from sim.host.line import SimulatedLine, build
from sim.host.serial import SerialLine

CONFIG = preset("tiny")


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A serial device whose other end is the simulated chip's UART."""
    monkeypatch.setattr("sim.host.line.PATIENCE_CYCLES", 20_000)  # many samples of tiny
    build(CONFIG, "uart")  # nobody waits for it at the other end
    monkeypatch.setattr(lines, "PATIENCE_CYCLES", 5_000)  # then a look at the device again
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    over = threading.Event()

    def carry() -> None:
        with SimulatedLine(CONFIG) as wire:
            while not over.is_set():
                if select.select([ours], [], [], 0)[0]:
                    wire.send(os.read(ours, 4096))
                os.write(ours, wire.receive())

    thread = threading.Thread(target=carry)
    thread.start()
    yield os.ttyname(theirs)
    over.set()
    thread.join()
    os.close(ours)
    os.close(theirs)


def test_a_chip_learns_over_a_serial_port_as_the_model_does(
    port: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command for a board: it writes, trains, reads back and tests what is behind the port."""
    monkeypatch.setattr("sim.host.serial.PATIENCE_SECONDS", 20)
    told = tmp_path / "told.json"
    options = ["--preset", "tiny", "--limit", "6", "--epochs", "1", "--test-fraction", "0.02"]
    done = CliRunner().invoke(app, ["host", "--port", port, *options, "--json", str(told)])
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "equal"
    figures = json.loads(told.read_text())
    hashes = figures["weights_sha256"]
    assert hashes["chip"] == hashes["model"] != fresh(CONFIG, 0).weights_sha256
    assert figures["cycles"] is None
    assert min(figures["bytes_sent"], figures["bytes_received"]) > 1000


def test_a_port_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refusal, match="/dev/nothing cannot be opened"):
        SerialLine("/dev/nothing")


def test_a_port_that_is_lost_is_told() -> None:
    ours, theirs = os.openpty()
    line = SerialLine(os.ttyname(theirs))
    os.close(ours)
    os.close(theirs)
    with pytest.raises(Refusal, match="was lost"):
        line.receive()

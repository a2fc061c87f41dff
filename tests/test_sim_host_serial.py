"""sim/host/serial.py: the driver over a real serial device: a terminal with a chip behind it."""

import os
import select
import threading
import tty
from collections.abc import Iterator

import numpy as np
import pytest

from model.contract.presets import preset
from model.contract.refusal import Refusal
from model.data import load
from model.network import ChipModel, plan
from model.sensor.image import sample_words
from model.state import fresh
from sim.host.line import SimulatedLine
from sim.host.remote import Link, RemoteChip
from sim.host.serial import SerialLine

CONFIG = preset("tiny")
SAMPLES = 6


@pytest.fixture
def port() -> Iterator[str]:
    """A serial device whose other end is the simulated chip's UART."""
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    over = threading.Event()

    def carry() -> None:
        with SimulatedLine(CONFIG) as wire:
            while not over.is_set():
                if select.select([ours], [], [], 0.05)[0]:
                    wire.send(os.read(ours, 4096))
                    while answer := wire.receive():
                        os.write(ours, answer)

    thread = threading.Thread(target=carry)
    thread.start()
    yield os.ttyname(theirs)
    over.set()
    thread.join()
    os.close(ours)
    os.close(theirs)


@pytest.mark.sim
def test_a_chip_learns_over_a_serial_port_as_the_model_does(port: str) -> None:
    data = load("digits")
    images, labels = data.x_train[:SAMPLES], data.y_train[:SAMPLES]
    model = ChipModel(CONFIG, epochs=1).fit(images, labels)
    order, rates = plan(CONFIG, SAMPLES, 1, 0)
    with SerialLine(port, patience_seconds=10) as line:
        chip = RemoteChip(CONFIG, Link(line))
        chip.load(fresh(CONFIG, 0))
        for number, rate in zip(order.tolist(), rates.tolist(), strict=True):
            chip.run(sample_words(CONFIG, images[number], int(labels[number]), True, rate))
        assert chip.state().weights_sha256 == model.state_.weights_sha256
        assert not np.array_equal(model.weights_["readout"], fresh(CONFIG, 0).weights["readout"])
        assert min(line.bytes_sent, line.bytes_received) > 1000


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

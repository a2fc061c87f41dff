"""The camera's bus: real recordings at the camera's pace, drops counted, the handshake proved."""

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator

from model.contract.event import Event, Mark, pack_mark, unpack
from model.contract.presets import preset
from model.data import read_recording
from rtl.host.aer import HANDSHAKE_CYCLES, Aer

REAL = Path(__file__).parent / "data" / "nmnist"
CAMERA = dataclasses.replace(preset("tiny"), height=34, width=34, channels=2)
MARK = pack_mark(Mark(7, learn=True))


class Played:
    """What came of events that a camera sent: words, drops, and the cycles of each handshake."""

    def __init__(self) -> None:
        self.words: list[int] = []
        self.dropped = 0
        self.taken_at: list[int] = []


def play(
    aer: Aer,
    events: Iterable[tuple[int, int, int, int]],
    *,
    period: int = 1,
    hold: int = 0,
) -> Played:
    """Send events (x, y, cycle, brighter) not before their cycles, then a mark; collect all words.

    The sink takes a word every `period` cycles; the camera waits `hold` cycles before each step.
    """
    played = Played()
    simulator = Simulator(aer)
    simulator.add_clock(1e-6)
    done = False

    async def camera(ctx: Any) -> None:
        nonlocal done
        now = 0

        async def tick(cycles: int = 1) -> None:
            nonlocal now
            now += cycles
            await ctx.tick().repeat(cycles)

        for x, y, at, brighter in events:
            if at > now:
                await tick(at - now)
            ctx.set(aer.x, x)
            ctx.set(aer.y, y)
            ctx.set(aer.brighter, brighter)
            ctx.set(aer.request, 1)
            while not ctx.get(aer.acknowledge):
                await tick()
            played.taken_at.append(now)
            if hold:
                await tick(hold)
            ctx.set(aer.request, 0)
            # What stands on the wires after the handshake is no event any more.
            ctx.set(aer.x, 33)
            while ctx.get(aer.acknowledge):
                await tick()
            if hold:
                await tick(hold)
        ctx.set(aer.host.payload, MARK)
        ctx.set(aer.host.valid, 1)
        while not ctx.get(aer.host.ready):
            await tick()
        await tick()
        ctx.set(aer.host.valid, 0)
        done = True

    async def sink(ctx: Any) -> None:
        while not (done and played.words and played.words[-1] == MARK):
            ctx.set(aer.words.ready, 1)
            _, _, valid, word = await ctx.tick().sample(aer.words.valid, aer.words.payload)
            if valid:
                played.words.append(word)
            if period > 1:
                ctx.set(aer.words.ready, 0)
                await ctx.tick().repeat(period - 1)

    async def count(ctx: Any) -> None:
        async for _, _, dropped in ctx.tick().sample(aer.dropped):
            played.dropped += dropped

    simulator.add_testbench(camera)
    simulator.add_testbench(sink)
    simulator.add_testbench(count, background=True)
    simulator.run()
    return played


def recording(name: str, until_us: int) -> np.ndarray:
    events = read_recording(REAL / name)
    return events[events["t"] < until_us]


@pytest.mark.parametrize("name", ["00002_label0.bin", "sample_nmnist_label4.bin"])
def test_a_real_recording_at_the_cameras_pace_arrives_whole(name: str) -> None:
    """A clock of 1 MHz, a cycle a microsecond: the first saccade, every event as the reader has it.

    The chip takes a word every 26 cycles, as a convolution of 5 x 5 does.
    """
    events = recording(name, 105_000)
    rows = [(int(e["x"]), int(e["y"]), int(e["t"]), int(e["p"])) for e in events]
    played = play(Aer(CAMERA, tick=512, depth=32), rows, period=26)
    *words, mark = map(unpack, played.words)
    assert mark == Mark(7, learn=True)
    assert played.dropped == 0
    assert [word[:3] for word in words] == [(x, y, p) for x, y, _, p in rows]
    times = [word.time for word in words if isinstance(word, Event)]
    # Stamped when it is taken: a few cycles late, more behind others of the same microsecond.
    late = np.array(played.taken_at) - events["t"]
    assert late.min() > 0 and np.median(late) < 6
    assert times == [min((at - 1) // 512, 255) for at in played.taken_at]


def test_faster_events_than_the_chip_takes_are_dropped_and_counted() -> None:
    """200 events as fast as the handshake allows, a chip that takes 40 cycles for each."""
    sent = [(n % 34, n // 34, 0, n & 1) for n in range(200)]
    depth, period = 8, 40
    played = play(Aer(CAMERA, tick=64, depth=depth), sent, period=period)
    arrived = [tuple(unpack(word)[:3]) for word in played.words[:-1]]
    assert len(arrived) + played.dropped == 200
    cycles = played.taken_at[-1]
    stated = cycles / period + depth  # what the chip takes in that time, and the queue
    assert len(arrived) == pytest.approx(stated, abs=3)
    order = [(x, y, p) for x, y, _, p in sent]
    places = [order.index((x, y, p)) for x, y, p in arrived]
    assert places == sorted(set(places))  # none doubled, none out of order


def test_the_stated_rate_of_the_handshake() -> None:
    sent = [(1, 2, 0, 1)] * 50
    played = play(Aer(CAMERA, tick=64, depth=8), sent)
    assert np.unique(np.diff(played.taken_at)).tolist() == [HANDSHAKE_CYCLES]
    assert played.dropped == 0


def test_a_slow_camera_is_read_once_an_event() -> None:
    sent = [(n, 33 - n, 0, n & 1) for n in range(20)]
    played = play(Aer(CAMERA, tick=1000, depth=8), sent, hold=17)
    assert [unpack(word)[:3] for word in played.words[:-1]] == [(x, y, p) for x, y, _, p in sent]


def test_time_stops_at_its_last_step_and_restarts_at_the_hosts_word() -> None:
    aer = Aer(CAMERA, tick=4, depth=8)
    first = play(aer, [(0, 0, 0, 0), (0, 0, 2000, 0)])
    assert [unpack(word)[3] for word in first.words[:-1]] == [0, 255]


def test_one_channel_has_no_polarity() -> None:
    grey = dataclasses.replace(CAMERA, channels=1)
    played = play(Aer(grey, tick=64, depth=8), [(3, 4, 0, 1)])
    assert unpack(played.words[0]) == Event(3, 4, 0, 0)

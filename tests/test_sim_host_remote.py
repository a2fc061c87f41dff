"""sim/host/remote.py: requests within the window, and a sentence for all a line can do wrong."""

from collections import deque
from collections.abc import Callable

import numpy as np
import pytest

from model.contract import registers, transport
from model.contract.geometry import geometry
from model.contract.presets import preset
from model.contract.refusal import Refusal
from sim.host.remote import Link, RemoteChip, discover

CONFIG = preset("tiny")
CONSTANTS = {r.offset: r.value for r in registers.registers(CONFIG) if r.value is not None}


class Paper:
    """A transport whose far end obeys the protocol, on paper: registers, and words kept.

    `answer` makes the bytes that follow a request; with `lag` one comes at a time.
    """

    def __init__(self, held: dict[int, int] | None = None, lag: int = 0) -> None:
        self.held = held if held is not None else {}
        self.lag = lag
        self.waiting: deque[bytes] = deque()
        self.most_waiting = 0
        self.words: list[int] = []
        self.begun = b""
        self.extra = b""
        self.answer: Callable[[bytes], bytes] = self.obey

    def send(self, data: bytes) -> None:
        self.begun += data
        while self.begun:
            size = {1: 2, 2: 6, 3: 5}.get(self.begun[0] >> 4, 1)
            if len(self.begun) < size:
                break
            if self.begun[0]:
                self.waiting.append(self.begun[:size])
            self.begun = self.begun[size:]
        self.most_waiting = max(self.most_waiting, len(self.waiting))

    def receive(self) -> bytes:
        said, self.extra = self.extra, b""
        count = 1 if self.lag else len(self.waiting)
        for _ in range(min(count, len(self.waiting))):
            said += self.answer(self.waiting.popleft())
        return said

    def obey(self, request: bytes) -> bytes:
        kind, address = request[0] & 0xF0, (request[0] & 0xF) << 8 | request[1]
        if kind == transport.WORD:
            self.words.append(int.from_bytes(request[1:], "little"))
            return bytes((transport.WORD,))
        if address not in self.held:
            return bytes((kind | transport.REFUSED,))
        if kind == transport.WRITE:
            if address == registers.BANK:
                form = dict(enumerate(geometry(CONFIG).banks))[request[2]]
                self.held[registers.BANK_WORDS] = form.words
                self.held[registers.BANK_FORM] = registers.join(registers.BANK_FORM, vars(form))
            self.held[address] = int.from_bytes(request[2:], "little")
            return bytes((transport.WRITE,))
        return bytes((transport.READ,)) + self.held[address].to_bytes(4, "little")


def test_registers_are_read_and_written() -> None:
    paper = Paper({0: 7, 4: 0xFFFFFFFF})
    link = Link(paper)
    assert link.read([0, 4, 0]).tolist() == [7, 0xFFFFFFFF, 7]
    link.write([0, 4], [0, 0x80000000])
    assert paper.held == {0: 0, 4: 0x80000000}
    link.write(4, [1, 2, 3])
    assert link.read(4).tolist() == [3]


@pytest.mark.parametrize("lag", [0, 1])
def test_no_more_requests_wait_than_the_window_holds(lag: int) -> None:
    paper = Paper(lag=lag)
    words = np.arange(3 * transport.WINDOW + 5, dtype=np.uint32)
    Link(paper).feed(words)
    assert paper.words == words.tolist()
    assert paper.most_waiting == transport.WINDOW


def test_results_are_kept_though_they_come_amid_answers_in_pieces() -> None:
    paper = Paper({0: 7})
    link = Link(paper)
    first, second = (bytes((transport.RESULT,)) + word.to_bytes(4, "little") for word in (0, 9))
    paper.extra = bytes(3) + first[:3]
    paper.answer = lambda request: b""
    with pytest.raises(Refusal):  # the piece alone answers nothing
        link.read(0)
    paper.answer = paper.obey
    paper.extra = first[3:] + second + bytes(2)
    assert link.read(0).tolist() == [7]
    assert link.results == [0, 9]


def test_a_refused_register_is_named_and_the_link_goes_on() -> None:
    link = Link(Paper({0: 7}))
    with pytest.raises(Refusal, match=r"^the chip was to read register 0x01c and refused it$"):
        link.read([0, 0x1C, 0])
    with pytest.raises(Refusal, match=r"^the chip was to write register 0x020 and refused it$"):
        link.write([0, 0x20], [1, 2])
    assert link.read(0).tolist() == [1]


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (b"", "the chip does not answer; check the line, then reset the chip"),
        (b"\xf1", "the chip did not know a request; check the line, then start anew"),
        (b"\xf2", "the chip lost bytes; check the line, then start anew"),
        (b"\x77", "the chip sent the byte 77, which begins nothing"),
        (b"\x30", "the chip answered 30 to a read; start anew"),
    ],
)
def test_what_is_wrong_with_an_answer_is_told(said: bytes, sentence: str) -> None:
    paper = Paper({0: 7})
    link = Link(paper)
    paper.answer = lambda request: said
    with pytest.raises(Refusal, match=f"^{sentence}$"):
        link.read(0)


def test_a_wrong_answer_to_a_word_is_told() -> None:
    paper = Paper()
    link = Link(paper)
    paper.answer = lambda request: b"\x20"
    with pytest.raises(Refusal, match=r"^the chip answered 20 to an input word; start anew$"):
        link.feed(np.zeros(1, dtype=np.uint32))


def test_a_line_that_never_falls_silent_is_told() -> None:
    class Babble(Paper):
        def receive(self) -> bytes:
            return b"\x40"

    with pytest.raises(Refusal, match=r"^the chip sends without end; reset it$"):
        Link(Babble())


def test_what_came_before_the_start_is_dropped() -> None:
    paper = Paper({0: 7})
    paper.extra = b"\x40\x01\x02"
    assert Link(paper).read(0).tolist() == [7]


def paper(**changed: int) -> Paper:
    """What a chip of `CONFIG` at rest answers, some registers read otherwise."""
    rest = dict.fromkeys((registers.STATUS, registers.CONTROL, registers.BANK), 0)
    return Paper({**CONSTANTS, **rest} | {getattr(registers, n): v for n, v in changed.items()})


@pytest.mark.parametrize(
    ("sha256", "name"),
    [
        (preset("tiny").sha256, "tiny with rule drtp"),
        (preset("spoon", "dfa").sha256, "spoon with rule dfa"),
        ("0123456789", "no preset"),
    ],
)
def test_another_chip_is_refused_by_name(sha256: str, name: str) -> None:
    other = preset("digits")
    with pytest.raises(
        Refusal,
        match=f"^the chip says it is {sha256[:8]}, {name}, which is not digits "
        rf"\({other.sha256[:8]}\); choose its own configuration$",
    ):
        RemoteChip(other, Link(paper(CONFIG=int(sha256[:8], 16))))


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"ID": 7}, "what answers says it is 00000007, no chip of ours; check the line"),
        (
            {"VERSION": 0x20003},
            "the chip speaks map 3, words 2, this host map 2, words 2; "
            "take the host of its version",
        ),
        ({"PARTS": 0}, "the chip has other sizes than tiny; build it anew"),
        ({"INPUT": 0}, "the chip has other sizes than tiny; build it anew"),
    ],
)
def test_what_is_no_such_chip_is_refused(changed: dict[str, int], sentence: str) -> None:
    with pytest.raises(Refusal, match=f"^{sentence}$"):
        RemoteChip(CONFIG, Link(paper(**changed)))


def test_the_geometry_of_a_chip_is_discovered() -> None:
    assert discover(Link(paper())) == geometry(CONFIG)


def test_a_chip_that_gives_too_few_results_is_refused() -> None:
    chip = RemoteChip(CONFIG, Link(paper()))
    with pytest.raises(
        Refusal, match=r"^the chip gave 0 result words for 1 samples, not 11; start anew$"
    ):
        chip.run(np.array([1 << 31], dtype=np.uint32))

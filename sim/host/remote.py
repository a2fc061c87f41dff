"""A chip at the end of a line: the byte protocol, and the register map spoken through it.

The protocol is `model.contract.transport`, the map `model.contract.registers`. `Link` speaks the
first over anything that carries bytes; `RemoteChip` speaks the second over a `Link`. The simulated
chip is `sim.host.line.SimulatedLine`.
"""

import re
from collections import deque
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from model.arith import Codes, Words
from model.contract import registers, transport
from model.contract.config import ChipConfig
from model.contract.geometry import BankForm, Geometry, geometry
from model.contract.refusal import Refusal
from model.encode import verdicts
from sim.simulators.host import HostChip

Requests = NDArray[np.uint8]
"""Requests of one kind, a row of bytes each."""


SETTLING_RECEIPTS = 1000  #: receipts after which a line that never falls silent is given up
_SOMETHING = re.compile(rb"[^\x00]")


class Transport(Protocol):
    """What carries bytes to a chip and back.

    A serial port opened with a timeout does with `send = port.write` and `receive = lambda:
    port.read(port.in_waiting or 1)`. An SPI controller keeps what comes in while it sends, and
    sends idle bytes to receive: at least four after every byte that is not idle, so that no message
    is left in the middle.
    """

    def send(self, data: bytes) -> None:
        """Have the bytes sent to the chip, all of them."""

    def receive(self) -> bytes:
        """Bytes that came from the chip and were not given yet, idle ones among them or not.

        Waits for a byte that is not idle, and gives none if for long none came.
        """


class Link:
    """Requests and answers over a transport, as many on their way as the chip allows.

    `results` holds the result words that came, oldest first. Starts by bringing the chip to the
    beginning of a request. Raises `Refusal` where the line never falls silent, and every method
    where the chip answers with a fault, with anything unexpected, or not at all.
    """

    def __init__(self, line: Transport) -> None:
        self._line = line
        self._heard = b""
        self._answers: deque[tuple[int, int]] = deque()
        self.results: list[int] = []
        line.send(bytes(transport.RESYNC))
        for _ in range(SETTLING_RECEIPTS):
            if not line.receive():
                return
        raise Refusal("the chip sends without end; reset it")

    def read(self, addresses: ArrayLike) -> NDArray[np.uint32]:
        """Read registers (n,). Raises `Refusal` naming one that the chip refuses."""
        places = np.atleast_1d(np.asarray(addresses, dtype=np.int64))
        answers = self._ask(_heads(transport.READ, places))
        self._check_all_done("read", places, answers, transport.READ)
        return np.array([word for _, word in answers], dtype=np.uint32)

    def write(self, addresses: ArrayLike, values: ArrayLike) -> None:
        """Write each value (n,) to its register (n,) or to one for all.

        Raises `Refusal` naming the first register that the chip refuses; later ones were written.
        """
        words = np.atleast_1d(np.asarray(values, dtype=np.uint32))
        places = np.broadcast_to(np.asarray(addresses, dtype=np.int64), words.shape)
        answers = self._ask(np.hstack([_heads(transport.WRITE, places), _bytes(words)]))
        self._check_all_done("write", places, answers, transport.WRITE)

    def feed(self, words: Words) -> None:
        """Hand over input words (n,); returns when the chip has taken all."""
        heads = np.full((len(words), 1), transport.WORD, dtype=np.uint8)
        for first, _ in self._ask(np.hstack([heads, _bytes(np.asarray(words, dtype=np.uint32))])):
            if first != transport.WORD:
                raise Refusal(f"the chip answered {first:02x} to an input word; start anew")

    def _ask(self, requests: Requests) -> list[tuple[int, int]]:
        """Send requests; gives first byte and word of their answers."""
        sent = 0
        answers: list[tuple[int, int]] = []
        while len(answers) < len(requests):
            room = min(len(requests) - sent, transport.WINDOW - (sent - len(answers)))
            if room:
                self._line.send(requests[sent : sent + room].tobytes())
                sent += room
            self._listen(waiting=not room)
            while self._answers:
                answers.append(self._answers.popleft())
        return answers

    def _listen(self, waiting: bool) -> None:
        """Take apart what came."""
        came = self._line.receive()
        if waiting and not came:
            raise Refusal("the chip does not answer; check the line, then reset the chip")
        heard, at = self._heard + came, 0
        while found := _SOMETHING.search(heard, at):
            at = found.start()
            first = heard[at]
            size = transport.message_bytes(first)
            if not size:
                raise Refusal(f"the chip sent the byte {first:02x}, which begins nothing")
            if len(heard) < at + size:
                break
            word = int.from_bytes(heard[at + 1 : at + size], "little")
            at += size
            if first == transport.RESULT:
                self.results.append(word)
            elif first in (transport.UNKNOWN, transport.LOST):
                why = "did not know a request" if first == transport.UNKNOWN else "lost bytes"
                raise Refusal(f"the chip {why}; check the line, then start anew")
            else:
                self._answers.append((first, word))
        else:
            at = len(heard)
        self._heard = heard[at:]

    def _check_all_done(
        self, way: str, places: Codes, answers: list[tuple[int, int]], done: int
    ) -> None:
        for place, (first, _) in zip(places, answers, strict=True):
            if first == done | transport.REFUSED:
                raise Refusal(f"the chip was to {way} register 0x{place:03x} and refused it")
            if first != done:
                raise Refusal(f"the chip answered {first:02x} to a {way}; start anew")


def _heads(kind: int, places: Codes) -> Requests:
    return np.stack([kind | places >> 8, places & 0xFF], axis=1).astype(np.uint8)


def _bytes(words: NDArray[np.uint32]) -> Requests:
    octets = np.ascontiguousarray(words, dtype="<u4").view(np.uint8)
    return octets.reshape(-1, transport.WORD_BYTES)


def discover(link: Link) -> Geometry:
    """What the chip at rest at the end of a link says of its sizes and banks."""
    places = [registers.INPUT, registers.OUTPUT, registers.LIMIT, registers.PARTS]
    sizes: dict[str, int] = {}
    for place, word in zip(places, link.read(places), strict=True):
        sizes |= registers.split(place, int(word))
    banks = []
    for number in range(sizes.pop("banks")):
        link.write(registers.BANK, number)
        words, form = map(int, link.read([registers.BANK_WORDS, registers.BANK_FORM]))
        banks.append(BankForm(words, **registers.split(registers.BANK_FORM, form)))
    return Geometry(**sizes, banks=tuple(banks))


class RemoteChip(HostChip):
    """A chip at the end of a link: what `HostChip` does, and samples.

    A sample that a host before left open is dropped. Raises `Refusal` where the chip says that it
    is another than `config`.
    """

    def __init__(self, config: ChipConfig, link: Link) -> None:
        super().__init__(config, link.read, link.write)
        self._link = link
        self.drop()
        if discover(link) != geometry(config):
            raise Refusal(f"the chip has other sizes than {config.name}; build it anew")

    def run(self, words: Words) -> Words:
        """Hand over whole samples, wait for rest, and give their result words, a row a sample."""
        self._link.feed(words)
        self._rest()
        results, self._link.results = self._link.results, []
        samples = verdicts(words)
        expected = samples * (self.config.readout.classes + 1)
        if len(results) != expected:
            raise Refusal(
                f"the chip gave {len(results)} result words for {samples} samples, not "
                f"{expected}; start anew"
            )
        return np.array(results, dtype=np.uint32).reshape(samples, -1)

    def drop(self) -> None:
        """Take back the sample that is open, if any, and all results that nobody took."""
        self._link.write(registers.CONTROL, 1 << registers.CONTROL_DROP)
        self._rest()
        self._link.results.clear()

    def freeze(self, frozen: bool = True) -> None:
        """Keep the chip from learning, whatever marks ask; or let it again."""
        self._link.write(registers.FREEZE, int(frozen))

    def _rest(self) -> None:
        while self._link.read(registers.STATUS)[0] >> registers.STATUS_BUSY & 1:
            pass

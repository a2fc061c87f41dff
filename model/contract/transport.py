"""The byte protocol between a host and a chip on a board, over whatever carries bytes both ways.

The host sends requests, each answered once and in order; between answers the chip sends result
words as they come. A request or message starts with one byte that tells what follows; words go
lowest byte first. A register's address has 12 bits, `h` its upper four and `l` its lower eight.

| request | bytes | answer |
|---|---|---|
| idle | `00` | none |
| read a register | `1h l` | `10` and the word, or `1E` if the host bus refuses |
| write a register | `2h l` and the word | `20`, or `2E` if the host bus refuses |
| input word (event or mark) | `30` and the word | `30` once the chip has taken it |

| message of its own accord | bytes | meaning |
|---|---|---|
| idle | `00` | nothing: a line that must carry something, as SPI does, carries this |
| result word | `40` and the word | `model.contract.result` |
| fault | `F1` or `F2` | a request unknown; bytes or requests lost |

Back-pressure: a busy chip answers later. Up to `WINDOW` requests may wait for their answers; the
host sends no more before some are answered. Results are never held back by requests, so a host
that listens always gets on.

Faults: after an unknown request, after more requests than the window holds, and after a byte that
the line broke, the chip does what it took before, says fault, and ignores everything until it has
seen `RESYNC` idle bytes in a row. So many idle bytes also finish any request begun, and no two
whole requests hold so many zeros in a row: a host that does not know where the chip stands sends
them, and drops what comes until nothing comes any more. A sample that a host left open is then
taken back by CONTROL's `drop` (`model.contract.registers`).
"""

IDLE = 0x00
READ = 0x10
WRITE = 0x20
WORD = 0x30
RESULT = 0x40
UNKNOWN = 0xF1
LOST = 0xF2

REFUSED = 0x0E  #: set in the answer to a read or write that the host bus refuses

WORD_BYTES = 4
WINDOW = 256  #: requests without their answers
RESYNC = 6  #: idle bytes in a row after which the chip waits for the first byte of a request

UART_CYCLES = 4  #: least clock cycles of the chip a bit, for the middle of a bit must be found
SPI_CYCLES = 8  #: least clock cycles of the chip a bit, half of them either side of the rising edge


def read_request(address: int) -> bytes:
    """Ask for the register at a byte address below 4096."""
    return bytes((READ | address >> 8, address & 0xFF))


def write_request(address: int, value: int) -> bytes:
    """Write a 32-bit value to the register at a byte address below 4096."""
    return bytes((WRITE | address >> 8, address & 0xFF)) + value.to_bytes(WORD_BYTES, "little")


def word_request(word: int) -> bytes:
    """Hand the chip an input word."""
    return bytes((WORD,)) + word.to_bytes(WORD_BYTES, "little")


def message_bytes(first: int) -> int:
    """Bytes of the chip's message that starts with `first`; 0 if no message does."""
    if first in (READ, RESULT):
        return 1 + WORD_BYTES
    known = (IDLE, WRITE, WORD, READ | REFUSED, WRITE | REFUSED, UNKNOWN, LOST)
    return 1 if first in known else 0

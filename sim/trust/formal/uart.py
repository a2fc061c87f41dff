"""The asynchronous line against a sender and a listener that count its cycles themselves."""

from types import ModuleType

from amaranth.hdl import Array, Cat, Const, Mux, ResetSignal, Signal, Value

from sim.trust.formal.proof import Claim, Subject
from sim.trust.formal.watch import Watch

DIVISOR = 4  #: cycles a bit, the fewest that the contract allows
FRAME = 10 * DIVISOR
LATENCY = 3  #: from the line to what the receiver sees before and now
MIDDLE = 9 * DIVISOR + DIVISOR // 2 + LATENCY - 1  #: cycles from a frame's first to its stop bit's


def _bit(place: Value, byte: Value) -> Value:
    """The line's level in a cycle of a frame, counted from 1; high at rest."""
    levels = [Const(1, 1), *[Const(0, 1)] * DIVISOR]
    levels += [byte[number] for number in range(8) for _ in range(DIVISOR)]
    levels += [Const(1, 1)] * DIVISOR
    return Array(levels)[place]


def _counted() -> list[tuple[int, int]]:
    """What the receiver has left to look at, and to wait, by the cycle since it saw a frame."""
    left, wait, found = 10, DIVISOR // 2 - 1, []
    while left:
        found.append((left, wait))
        left, wait = (left, wait - 1) if wait else (left - 1, DIVISOR - 1)
    return found


def receives(rtl: ModuleType) -> Watch:
    """A sender begins frames when it likes, one after another if it likes."""
    uart = rtl.Uart(DIVISOR)
    w = Watch(uart)
    begins, sent = w.free(1, "begins"), w.free(8, "sent")
    place, byte = Signal(range(FRAME + 1)), Signal(8)
    rests = (place == 0) | (place == FRAME)
    with w.m.If(rests):
        w.m.d.sync += place.eq(begins)
        with w.m.If(begins):
            w.m.d.sync += byte.eq(sent)
    with w.m.Else():
        w.m.d.sync += place.eq(place + 1)
    # A reset leaves what the synchroniser holds, so it may tear a frame that is on its way.
    w.assumed += [uart.rx == _bit(place, byte), ~ResetSignal()]
    seen, heard = w.past(w.past(place)), w.past(w.past(byte))
    incoming = uart.bytes.incoming
    counted = _counted()
    last = len(counted) + 1  # where `seen` is in the cycle in which the stop bit is looked at
    w.claims |= {
        "byte": ~incoming.valid | (incoming.payload == heard),
        "each": incoming.valid == (seen == last),
        "broken": ~uart.bytes.broken,
    }
    w.scenes |= {"byte": incoming.valid & (incoming.payload == 0xA5)}
    left, wait, bits = w.inside("left", 0), w.inside("$signal", 1), w.inside("bits", 0)
    looks = Array([Const(0, 4), Const(0, 4), *(Const(n, 4) for n, _ in counted)])
    waits = Array([Const(0, 4), Const(0, 4), *(Const(n, 4) for _, n in counted)])
    runs = (seen >= 2) & (seen <= last)
    w.lemmas += [
        place <= FRAME,
        left == Mux(runs, looks[seen], 0),
        ~runs | (wait == waits[seen]),
        w.inside("$signal", 0) == _bit(seen, heard),
        w.inside("before") == _bit(w.past(seen), w.past(heard)),
        w.inside("stage0") == _bit(w.past(place), w.past(byte)),
        seen == w.past(w.past(place)),
    ]
    for number in range(8):
        # With n bits still to come, the stop bit among them, the lowest 9 - n of the byte are in.
        for come in range(1, 10):
            known = number - (come - 1)
            if known >= 0:
                w.lemmas.append((left != come) | ~runs | (bits[number] == heard[known]))
    return w


def rests(rtl: ModuleType) -> Watch:
    """Whatever was on the line, it has been high for some time."""
    uart = rtl.Uart(DIVISOR)
    w = Watch(uart)
    high = Signal(range(FRAME + LATENCY + 1))
    w.m.d.sync += high.eq(Mux(uart.rx, high + (high < FRAME + LATENCY), 0))
    left = w.inside("left", 0)
    w.claims["rest"] = (high < FRAME + LATENCY) | (left == 0)
    w.scenes["noise"] = (left == 10) & w.past(left == 0) & w.past(w.past(uart.rx))
    wait = w.inside("$signal", 1)
    ahead = (left - 1) * DIVISOR + wait
    w.lemmas += [
        (left <= 10) & (wait < DIVISOR),
        (high < LATENCY) | (left == 0) | (ahead + high < FRAME + LATENCY),
        (high < 1) | w.inside("stage0"),
        (high < 2) | w.inside("$signal", 0),
        (high < 3) | w.inside("before"),
    ]
    return w


def sends(rtl: ModuleType) -> Watch:
    """A listener counts a frame's cycles from where a byte is taken."""
    uart = rtl.Uart(DIVISOR)
    w = Watch(uart)
    source = uart.bytes.outgoing
    place, byte = Signal(range(FRAME + 1)), Signal(8)
    with w.m.If(source.valid & source.ready):
        w.m.d.sync += [place.eq(1), byte.eq(source.payload)]
    with w.m.Elif(place == FRAME):
        w.m.d.sync += place.eq(0)
    with w.m.Elif(place != 0):
        w.m.d.sync += place.eq(place + 1)
    w.claims |= {
        "frame": uart.tx == _bit(place, byte),
        "ready": source.ready == (place == 0),
    }
    w.scenes["byte"] = (place == FRAME) & (byte == 0x3C)
    left, wait, bits = w.inside("left", 1), w.inside("$signal", -1), w.inside("bits", 1)
    frame = Cat(Const(0, 1), byte, Const((1 << 11) - 1, 11))
    done = Array([Const(0, 4), *(Const(n // DIVISOR, 4) for n in range(FRAME))])[place]
    waits = Array([Const(0, 4), *(Const(DIVISOR - 1 - n % DIVISOR, 4) for n in range(FRAME))])
    w.lemmas += [
        place <= FRAME,
        left == Mux(place == 0, 0, 10 - done),
        (place == 0) | (wait == waits[place]),
        bits == Mux(place == 0, 0x3FF, (frame >> done)[:10]),
    ]
    return w


SUBJECTS = [
    Subject(
        "UART receiver",
        "rtl.host.uart",
        receives,
        {
            "byte": Claim(
                "a byte that comes is the one that was sent",
                "bits.eq(Cat(bits[1:], level))",
                "bits.eq(Cat(level, bits[:7]))",
            ),
            "each": Claim(
                "each frame gives one byte, in the middle of its stop bit, and nothing else does",
                "self._divisor // 2 - 1",
                "self._divisor // 2",
            ),
            "broken": Claim(
                "no whole frame is taken for a broken one",
                "self.bytes.broken.eq(~level)",
                "self.bytes.broken.eq(level)",
            ),
        },
        depth=FRAME + 6,
    ),
    Subject(
        "UART receiver after noise",
        "rtl.host.uart",
        rests,
        {
            "rest": Claim(
                f"whatever came, it rests once the line was high for a byte and {LATENCY} cycles",
                "wait.eq(self._divisor - 1), left.eq(left - 1)]",
                "wait.eq(self._divisor - 1), left.eq(left - (left != 1))]",
            )
        },
        depth=FRAME + 12,
    ),
    Subject(
        "UART sender",
        "rtl.host.uart",
        sends,
        {
            "frame": Claim(
                "the line shows start bit, eight bits, lowest first, and stop bit, each in full",
                "Cat(bits[1:], Const(1, 1))",
                "Cat(bits[1:], Const(0, 1))",
            ),
            "ready": Claim(
                "a byte is taken at rest, and rest follows the stop bit",
                "left.eq(10)",
                "left.eq(9)",
            ),
        },
        depth=FRAME + 4,
    ),
]

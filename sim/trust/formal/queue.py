"""The replay queue beside a list of what is written and not yet committed."""

from types import ModuleType

from amaranth.hdl import Array, Const, Mux, Signal
from amaranth.lib import data

from sim.trust.formal.proof import Claim, Subject
from sim.trust.formal.watch import Watch

DEPTH, BITS = 4, 2


def watch(rtl: ModuleType) -> Watch:
    """A queue of four; the list grows at its end and is freed from its beginning."""
    queue = rtl.ReplayQueue(data.StructLayout({"code": BITS}), DEPTH)
    w = Watch(queue)
    kept = [Signal(BITS, name=f"kept_{n}") for n in range(DEPTH)]
    count, place = Signal(range(DEPTH + 1)), Signal(range(DEPTH + 1))
    came = queue.input.valid & queue.input.ready
    left = queue.output.valid & queue.output.ready
    following = Mux(queue.rewind, 0, place + left)
    freed = Mux(queue.commit, following, 0)
    grown = [
        Mux(came & (count == n), queue.input.payload.code, code) for n, code in enumerate(kept)
    ]
    rest = Array([*grown, *[Const(0, BITS)] * DEPTH])
    w.m.d.sync += [code.eq(rest[freed + n]) for n, code in enumerate(kept)]
    w.m.d.sync += [count.eq(count + came - freed), place.eq(following - freed)]
    shows = w.past(following < count)

    w.claims |= {
        "order": ~queue.output.valid | (queue.output.payload.code == Array(kept)[place]),
        "shows": queue.output.valid == shows,
        "full": queue.input.ready == (count < DEPTH),
        "busy": queue.busy == (count != 0),
    }
    w.offers(queue.output, ~queue.rewind)
    w.scenes |= {
        "full": count == DEPTH,
        "replay": queue.rewind & (place == DEPTH - 1),
        "commit_in_part": queue.commit & (freed == 2) & (count == 4),
        "wrapped": queue.output.valid & (w.inside("head") == DEPTH + 1) & (place == 1),
    }
    written, head, base = (w.inside(name) for name in ("written", "head", "base"))
    w.lemmas += [
        (written - base)[:3] == count,
        (head - base)[:3] == place,
        (count <= DEPTH) & (place <= count) & (~shows | (place < count)),
        *(
            (count <= n)
            | (Array(w.cells.words[0])[(base + n)[:2]] == code)
            & Array(list(w.cells.known[0]))[(base + n)[:2]]
            for n, code in enumerate(kept)
        ),
    ]
    return w


SUBJECT = Subject(
    "queue",
    "rtl.queue",
    watch,
    {
        "order": Claim(
            "what shows is what was written, in order, from the last commit on after a rewind",
            "Mux(self.rewind, base, head + taken)",
            "Mux(self.rewind, base + 1, head + taken)",
        ),
        "shows": Claim(
            "something shows exactly when something was there a cycle before",
            "valid.eq(following != written)",
            "valid.eq(head != written)",
        ),
        "full": Claim(
            "it takes what comes exactly while fewer than its depth are not committed",
            "(written ^ base) != self.depth",
            "(written ^ base) != self.depth - 1",
        ),
        "busy": Claim(
            "it is busy exactly while something is not committed",
            "self.busy.eq(written != base)",
            "self.busy.eq(written != head)",
        ),
        "holds": Claim(
            "what shows stays until it is taken, or its reader goes back",
            "head + taken",
            "head + self.output.valid",
        ),
        "waits": Claim(
            "it shows whether or not its reader is ready",
            "self.output.valid.eq(valid)",
            "self.output.valid.eq(valid & self.output.ready)",
        ),
    },
)

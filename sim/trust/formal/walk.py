"""Nested counters beside one counter of all places."""

from types import ModuleType

from amaranth.hdl import Const, Mux, Signal

from sim.trust.formal.proof import Claim, Subject
from sim.trust.formal.watch import Watch

SIZES = (2, 1, 3)


def watch(rtl: ModuleType) -> Watch:
    """Loops of 2, 1 and 3 places; `flat` counts them as one."""
    walk = rtl.Walk(*SIZES)
    w = Watch(walk)
    count = 1
    for size in SIZES:
        count *= size
    flat = Signal(range(count))
    with w.m.If(walk.step):
        w.m.d.sync += flat.eq(Mux(flat == count - 1, 0, flat + 1))
    ats = [getattr(walk, f"at_{n}") for n in range(len(SIZES))]
    number, within, lasts = Const(0, 1), Const(1, 1), Const(1, 1)
    for n, (at, size) in enumerate(zip(ats, SIZES, strict=True)):
        number = number * size + at
        within = within & (at < size)
        lasts = lasts & (getattr(walk, f"last_{n}") == (at == size - 1))
    w.claims |= {
        "order": number == flat,
        "range": within,
        "last": lasts & (walk.last == (flat == count - 1)),
    }
    w.lemmas.append(flat < count)
    w.scenes |= {"end": walk.last & walk.step, "again": w.past(walk.last & walk.step) & (flat == 0)}
    return w


SUBJECT = Subject(
    "walk",
    "rtl.walk",
    watch,
    {
        "order": Claim(
            "its places, read as one number, count up and begin again: each is visited once",
            "outer.eq(carry & last)",
            "outer.eq(last)",
        ),
        "range": Claim(
            "every place lies within its loop",
            "with m.If(last):",
            "with m.If(self.last):",
        ),
        "last": Claim(
            "it tells the last place of each loop, and of all, there and nowhere else",
            "whole = whole & last",
            "whole = last",
        ),
    },
    depth=8,
)

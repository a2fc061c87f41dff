"""Streams between stages: what is offered stays until it is taken, and waits for no one's ready.

Of a guard and a pooling of a smaller `tiny`. That valid waits for no ready is a matter of wires:
within a cycle, none leads from ready to valid.
"""

from dataclasses import replace
from types import ModuleType

from amaranth.hdl import Value

from model.contract.presets import preset
from sim.trust.formal.proof import Claim, Subject
from sim.trust.formal.watch import Watch

SMALL = replace(preset("tiny"), name="little", height=6, width=6)


def encode(rtl: ModuleType) -> Watch:
    """The guard; an event that leaves lies in the picture."""
    w = Watch(rtl.Encode(SMALL))
    out = w.part.events
    w.claims["holds"] = w.kept(out.valid, out.ready, Value.cast(out.payload))
    w.scenes["waits"] = w.past(out.valid & ~out.ready)
    item = out.payload.body.item
    w.claims["legal"] = ~(out.valid & ~out.payload.end) | (
        (item.x < SMALL.width) & (item.y < SMALL.height) & (item.channel < SMALL.channels)
    )
    return w


def pool(rtl: ModuleType) -> Watch:
    """Words come only where the pool lets them, as its caller's walk does."""
    part = rtl.Pool(SMALL, 0)
    w = Watch(part)
    stalled = w.past(~part.advance)
    w.assumed += [
        ~stalled | (Value.cast(part.place) == w.past(Value.cast(part.place))),
        ~stalled | (part.mark_valid == w.past(part.mark_valid)),
        ~w.past(part.mark_valid & ~part.done) | (part.mark_valid & ~part.place.valid),
        ~w.past(part.mark_valid) | (Value.cast(part.mark) == w.past(Value.cast(part.mark))),
    ]
    w.offers(part.features)
    return w


HOLDS = "what is offered stays, and is the same, until it is taken"

SUBJECTS = [
    Subject(
        "pooling",
        "rtl.pool",
        pool,
        {
            "holds": Claim(
                HOLDS, "with m.Elif(sending & features.ready):", "with m.Elif(sending):"
            ),
            "waits": Claim(
                "it is offered whether or not anyone is ready",
                "features.valid.eq(sending),",
                "features.valid.eq(sending & features.ready),",
            ),
        },
    ),
    Subject(
        "guard",
        "rtl.encode",
        encode,
        {
            "holds": Claim(HOLDS, "free.eq(~out.valid | out.ready)", "free.eq(1)"),
            "legal": Claim(
                "an event that leaves lies in the picture",
                "(x < config.width)",
                "(x <= config.width)",
            ),
        },
    ),
]

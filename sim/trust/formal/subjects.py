"""Everything that is proved, by component."""

from sim.trust.formal import arith, bus, queue, streams, uart, walk
from sim.trust.formal.proof import Subject

SUBJECTS: tuple[Subject, ...] = (
    *arith.SUBJECTS,
    queue.SUBJECT,
    walk.SUBJECT,
    *streams.SUBJECTS,
    bus.SUBJECT,
    *uart.SUBJECTS,
)

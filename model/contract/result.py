"""The 32-bit output word: one score a class in order of class, then the verdict of the sample.

| bits  | score             | verdict                                         |
|-------|-------------------|-------------------------------------------------|
| 31    | 0                 | 1                                               |
| 30-10 | unused            | unused                                          |
| 9     | unused            | faulty: an event was dropped or the label refused |
| 8     | unused            | learned                                         |
| 7-0   | score             | class                                           |
"""

from typing import NamedTuple

SCORE_BITS = 8
VERDICT_BITS = 10  #: of a verdict's fields: class, learned, faulty
CLASS_BITS = 8
LEARNED_AT = 8
FAULTY_AT = 9
VERDICT_AT = 31


class Verdict(NamedTuple):
    """What the chip says of a sample."""

    label: int
    learned: bool
    faulty: bool


def pack_score(score: int) -> int:
    """The word of a score."""
    return score & 0xFF


def pack_verdict(verdict: Verdict) -> int:
    """The word of a verdict."""
    return (
        1 << VERDICT_AT
        | bool(verdict.faulty) << FAULTY_AT
        | bool(verdict.learned) << LEARNED_AT
        | verdict.label & 0xFF
    )


def unpack(word: int) -> int | Verdict:
    """The score or verdict that a word stands for."""
    if word >> VERDICT_AT & 1:
        return Verdict(word & 0xFF, bool(word >> LEARNED_AT & 1), bool(word >> FAULTY_AT & 1))
    return word & 0xFF

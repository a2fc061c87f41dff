"""Result words: every score and verdict comes back, and lies where the table says."""

import pytest

from model.contract.result import Verdict, pack_score, pack_verdict, unpack


@pytest.mark.parametrize(
    ("word", "meaning"),
    [
        (0x80000000, Verdict(0, False, False)),
        (0x80000009, Verdict(9, False, False)),
        (0x80000100, Verdict(0, True, False)),
        (0x80000200, Verdict(0, False, True)),
        (0x800003FF, Verdict(255, True, True)),
    ],
)
def test_fields_lie_where_the_table_says(word: int, meaning: Verdict) -> None:
    assert pack_verdict(meaning) == word
    assert unpack(word) == meaning


def test_every_verdict_comes_back() -> None:
    for label in range(256):
        for learned in (False, True):
            for faulty in (False, True):
                verdict = Verdict(label, learned, faulty)
                assert unpack(pack_verdict(verdict)) == verdict


def test_every_score_comes_back() -> None:
    assert [unpack(pack_score(score)) for score in range(256)] == list(range(256))

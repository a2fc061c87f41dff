"""Damaged files through every reader; and readers that do wrong, which the fuzzing must notice."""

import itertools
import os
import random
from pathlib import Path

import pytest

from model.contract.refusal import Refusal
from sim.trust import fuzz as fuzzing
from sim.trust.fuzz import ACCEPTED, FAULT, REFUSED, Reader, fuzz, run
from sim.trust.mutation import of_bytes, of_text
from sim.trust.readers import readers

INPUTS = 150


@pytest.mark.parametrize("reader", readers(), ids=lambda reader: reader.name)
def test_every_reader_accepts_its_own_files(reader: Reader) -> None:
    """Else damage would be refused for another reason."""
    for content in reader.seeds:
        assert run(reader, content) == (ACCEPTED, "")


def test_every_damaged_file_is_accepted_or_refused_in_a_sentence(tmp_path: Path) -> None:
    *_, tally = fuzz(readers(), 1, tmp_path, lambda tally: tally.inputs < INPUTS)
    assert tally.faults == []
    assert tally.inputs == INPUTS
    assert {*tally.accepted, *tally.refused} == {reader.name for reader in readers()}
    assert tally.refused.total() > INPUTS / 3
    assert os.listdir(tmp_path) == []


def test_damage_is_drawn_from_the_seed() -> None:
    for reader in readers():
        assert reader.damaged(3, 4) == reader.damaged(3, 4)
    assert len({readers()[0].damaged(0, number) for number in range(20)}) > 15
    for mutation, content in itertools.product((of_bytes, of_text), (b"", b"a", b"a = 1\n")):
        for number in range(200):
            assert isinstance(mutation(random.Random(number), content), bytes)


def raises(path: Path) -> None:
    raise KeyError("x")


def panics(path: Path) -> None:
    raise BaseException("a panic")


def dies(path: Path) -> None:
    os.abort()


def runs_on(path: Path) -> None:
    while True:
        pass


def swells(path: Path) -> None:
    bytearray(1 << 40)


def leaves_half(path: Path) -> None:
    path.with_name("half").touch()


def changes(path: Path) -> None:
    path.write_bytes(b"other")


def babbles(path: Path) -> None:
    raise Refusal("Traceback\nmore\nlines")


def says_nothing(path: Path) -> None:
    raise Refusal("")


@pytest.mark.parametrize(
    ("read", "what"),
    [
        (raises, "KeyError: 'x'"),
        (panics, "BaseException: a panic"),
        (dies, "its process was killed: SIGABRT"),
        (runs_on, "its process was killed: SIGKILL"),
        (swells, "MemoryError"),
        (leaves_half, "left something behind: half, input.txt"),
        (changes, "it changed its input"),
        (babbles, "its refusal is no sentence"),
        (says_nothing, "its refusal is no sentence"),
    ],
)
def test_what_a_reader_does_wrong_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, read: object, what: str
) -> None:
    monkeypatch.setattr(fuzzing, "CPU_SECONDS", 1)
    reader = Reader("wrong", ".txt", (b"text",), (of_bytes,), read)  # type: ignore[arg-type]
    *_, tally = fuzz((reader,), 0, tmp_path / "kept", lambda tally: tally.inputs < 1)
    (fault,) = tally.faults
    assert what in fault.what
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["wrong-0.txt"]
    assert tally.sentence() == "1 inputs, 0 refused in a sentence, 1 faults"


def test_a_refusal_and_a_list_of_mistakes_are_sentences() -> None:
    def refuses(path: Path) -> None:
        raise Refusal("it has 2 mistakes:\n  - one\n  - two")

    reader = Reader("right", "", (b"",), (of_bytes,), refuses)
    assert run(reader, b"") == (REFUSED, "it has 2 mistakes:")
    assert FAULT not in (ACCEPTED, REFUSED)

"""Refusals end a command as one line and an exit code."""

import pytest

from model.contract.refusal import Refusal, speaking_plainly


def test_a_refusal_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, speaking_plainly():
        raise Refusal("the moon is full; wait")
    assert end.value.code == 2
    assert capsys.readouterr().err == "error: the moon is full; wait\n"


def test_an_interrupt_is_one_line_and_exit_code_130(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end, speaking_plainly():
        raise KeyboardInterrupt
    assert end.value.code == 130
    assert capsys.readouterr().err == "stopped by the user; no file is half-written\n"


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(ZeroDivisionError), speaking_plainly():
        _ = 1 // 0


def test_nothing_is_said_where_nothing_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    with speaking_plainly():
        pass
    assert capsys.readouterr().err == ""

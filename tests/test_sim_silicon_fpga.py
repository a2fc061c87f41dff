"""sim/silicon/fpga.py: a board becomes a bitstream as recorded; what does not fit is named."""

import dataclasses
import json
from pathlib import Path

import pytest

from model.contract.refusal import Refusal
from sim.silicon import fpga
from sim.silicon.fpga import FAMILIES, Routed, check_fits, record, regressions, route, table


def routed(**figures: object) -> Routed:
    """A board that was never routed."""
    about = {
        "board": "icebreaker",
        "chip": "spoon-lite",
        "rule": "drtp",
        "lanes": 2,
        "config_sha256": "",
        "line": "SPI",
        "clock_mhz": 21.0,
        "fmax_mhz": 24.0,
        "slowest": {"from": "chip.conv1", "to": "chip.hidden1.synapses", "ns": 41.67},
        "used": {"logic cells": 1000, "SPRAM": 3},
        "available": {"logic cells": 5280, "SPRAM": 4},
        "tools": {},
        "seconds": 1.0,
        "bitstream": "build/fpga/icebreaker/icebreaker.bin",
        "bitstream_sha256": "",
    }
    return Routed(**about | figures)  # type: ignore[arg-type]


@pytest.mark.slow
def test_the_icebreaker_is_routed_as_recorded() -> None:
    found = route("icebreaker")
    found.check_timing()
    assert found.clock_mhz >= 20
    assert regressions(found) == []
    bitstream = Path(found.bitstream).read_bytes()
    assert bitstream.find(b"\x7e\xaa\x99\x7e") >= 0  # by which an iCE40 knows its configuration


def test_recorded_boards_meet_the_clocks_that_were_asked_for() -> None:
    kept = json.loads(fpga.FIGURES.read_text())
    for board, least in (("icebreaker", 20), ("versa", 50)):
        assert kept[board]["fmax_mhz"] >= kept[board]["clock_mhz"] >= least
        for name, used in kept[board]["used"].items():
            assert used <= kept[board]["available"][name]


def test_a_missed_clock_names_the_stages() -> None:
    with pytest.raises(Refusal) as refusal:
        routed(fmax_mhz=20.0).check_timing()
    assert str(refusal.value) == (
        "icebreaker misses its 21 MHz: 20 MHz, since chip.conv1 to chip.hidden1.synapses takes "
        "41.67 ns; choose fewer lanes or a slower clock"
    )


def test_a_design_that_does_not_fit_names_the_resource() -> None:
    log = "Info: \t  ICESTORM_LC:  6000/ 5280   113%\nInfo: \t ICESTORM_RAM:  28/  30  93%\n"
    with pytest.raises(Refusal) as refusal:
        check_fits("icebreaker", FAMILIES["nextpnr-ice40"], log)
    assert str(refusal.value) == (
        "icebreaker does not fit: 6000 of 5280 logic cells, 720 too many; choose a smaller chip"
    )
    check_fits("icebreaker", FAMILIES["nextpnr-ice40"], log.replace("6000", "5000"))


def test_what_is_worse_than_recorded_beyond_the_margins_is_told(tmp_path: Path) -> None:
    path = tmp_path / "boards.json"
    record(routed(), path)
    near = {"used": {"logic cells": 1050, "SPRAM": 3}, "fmax_mhz": 21.6}
    assert regressions(routed(**near), path) == []
    far = {"used": {"logic cells": 1051, "SPRAM": 4}, "fmax_mhz": 21.5}
    assert regressions(routed(**far), path) == [
        "1051 logic cells, more than 1.05 times the 1000 recorded",
        "4 SPRAM, more than 1.05 times the 3 recorded",
        "21.5 MHz, less than 0.9 times the 24 MHz recorded",
    ]


def test_a_board_of_which_nothing_is_recorded_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        regressions(routed(), tmp_path / "boards.json")
    assert str(refusal.value) == (
        "boards.json has no figures of icebreaker; record them with --record"
    )


def test_a_clock_that_nextpnr_did_not_time_is_refused() -> None:
    report = {"fmax": {"clk": {"constraint": 12.0, "achieved": 24.0}}}
    with pytest.raises(Refusal) as refusal:
        fpga._fmax("icebreaker", 21.0, report)
    assert (
        str(refusal.value) == "nextpnr timed icebreaker at [12.0] MHz, not at 21; correct its clock"
    )


def test_the_table_has_a_row_a_figure() -> None:
    found = routed()
    assert table(found).row_count == 6 + len(found.used)
    assert dataclasses.asdict(found)["used"] == found.used

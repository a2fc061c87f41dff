"""sim/benches/drivers.py: streams under any pauses, and each breach of protocol is found."""

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sim import tools
from sim.benches import drivers

# A register on a stream, which adds 1. FAULT breaks one rule of streams each.
VERILOG = """
module toy #(parameter FAULT = 0) (
    input clk, input rst,
    input [7:0] i__payload, input i__valid, output i__ready,
    output [7:0] o__payload, output o__valid, input o__ready
);
    reg [7:0] held;
    reg full, again, waited;
    reg [7:0] beats;
    wire last = beats == 8'd5;
    assign i__ready = (FAULT == 7) ? 1'b0 : ~full | (o__ready & ~again);
    assign o__valid = (FAULT == 1 & last & waited) ? 1'b0
                    : (FAULT == 4 & last) ? 1'bx : full;
    assign o__payload = (FAULT == 2 & last & o__ready) ? ~held
                      : (FAULT == 3 & last) ? 8'bx : held;
    always @(posedge clk) begin
        waited <= full & ~o__ready;
        if (i__ready) begin
            full <= i__valid & ~(FAULT == 5 & last);
            held <= i__payload + 8'd1;
            again <= FAULT == 6 & i__valid & beats == 8'd19;
        end else if (o__ready)
            again <= 1'b0;
        if (i__ready & i__valid)
            beats <= beats + 8'd1;
        if (rst) begin
            full <= 1'b0;
            again <= 1'b0;
            beats <= 8'd0;
        end
    end
endmodule
"""
BENCH = '''
import cocotb
from cocotb.triggers import ClockCycles

from sim.benches.drivers import Monitor, Sink, Source, randomly, start


async def through(dut, idle, hold):
    """20 payloads go in, and come out one greater; nothing is left over."""
    source = Source(dut, "i", randomly(idle, 1))
    sink = Sink(dut, "o", randomly(hold, 2))
    watch = Monitor(dut, "o")
    await start(dut)
    source.send(range(250, 256))
    source.send(range(14))
    got = await sink.take(20, within_cycles=1000)
    await ClockCycles(dut.clk, 40)
    assert got == [251, 252, 253, 254, 255, *range(15)]
    assert watch.transfers == sink.transfers
    for driver in (source, sink, watch):
        driver.finish()


@cocotb.test()
@cocotb.parametrize(idle=[0, 0.3, 0.8], hold=[0, 0.3, 0.8])
async def passes_under_any_pauses(dut, idle, hold):
    await through(dut, idle, hold)


@cocotb.test()
async def breaks_a_rule(dut):
    await through(dut, 0.3, 0.8)


@cocotb.test()
async def source_is_not_drained(dut):
    source = Source(dut, "i")
    Sink(dut, "o", pauses=[True] * 50)
    source.send([1, 2, 3])
    await start(dut)
    await source.drain(within_cycles=20)


@cocotb.test()
async def source_is_not_finished(dut):
    source = Source(dut, "i")
    Sink(dut, "o", pauses=[True] * 50)
    source.send([1, 2, 3])
    await start(dut)
    await ClockCycles(dut.clk, 20)
    source.finish()


@cocotb.test()
async def a_payload_waits_at_the_end(dut):
    source = Source(dut, "i")
    sink = Sink(dut, "o", pauses=[True] * 50)
    source.send([1])
    await start(dut)
    await ClockCycles(dut.clk, 20)
    sink.finish()
'''
BREACHES = {
    1: "o withdrew 0x",
    2: "before its transfer",
    3: "o offers the unknown payload XXXXXXXX",
    4: "toy.o__valid is X",
    5: "o transferred 19 of 20 payloads in 1000 cycles",
    6: "1 payloads of o too many, first 0x",
    7: "o transferred 0 of 20 payloads in 1000 cycles",
}


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the toy's Verilog and its bench, importable."""
    folder = tmp_path_factory.mktemp("toy")
    (folder / "toy.v").write_text(VERILOG)
    (folder / "toy_bench.py").write_text(BENCH)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def run(
    toy: Path, simulator: str, testcase: str, fault: int = 0, build: str = "build"
) -> tools.Results:
    return tools.run_bench(
        simulator,
        [toy / "toy.v"],
        "toy",
        "toy_bench",
        toy / build,
        testcase=testcase,
        parameters={"FAULT": fault},
    )


@pytest.mark.parametrize("simulator", tools.DRIVEN)
def test_payloads_pass_in_order_under_any_pauses(toy: Path, simulator: str) -> None:
    assert len(run(toy, simulator, "passes_under_any_pauses").tests) == 9


@pytest.mark.parametrize(("fault", "breach"), BREACHES.items())
def test_a_breach_of_the_protocol_fails_the_bench(toy: Path, fault: int, breach: str) -> None:
    with pytest.raises(tools.BenchFailure):
        run(toy, "icarus", "breaks_a_rule", fault, f"fault{fault}")
    assert breach in (toy / f"fault{fault}" / "icarus" / "bench.log").read_text()


@pytest.mark.parametrize(
    ("testcase", "complaint"),
    [
        ("source_is_not_drained", "i transferred 1 of 3 payloads in 20 cycles"),
        ("source_is_not_finished", "2 payloads for i were never taken"),
        ("a_payload_waits_at_the_end", "o still offers 0x2"),
    ],
)
def test_what_is_left_over_fails_the_bench(toy: Path, testcase: str, complaint: str) -> None:
    with pytest.raises(tools.BenchFailure):
        run(toy, "icarus", testcase)
    assert complaint in (toy / "build" / "icarus" / "bench.log").read_text()


def test_pauses_are_the_same_for_the_same_seed_and_of_the_share_asked_for() -> None:
    for pauses in (drivers.randomly, lambda share, seed: drivers.in_bursts(share, 8, seed)):
        drawn = [list(itertools.islice(pauses(0.25, seed), 20_000)) for seed in (1, 1, 2)]
        assert drawn[0] == drawn[1] != drawn[2]
        assert sum(drawn[0]) / 20_000 == pytest.approx(0.25, abs=0.02)

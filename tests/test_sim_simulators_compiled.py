"""sim/simulators/compiled.py: Verilog in this process, paused or not, does what it says."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from model.cache import is_whole
from model.contract.refusal import Refusal
from model.trace import Trace, first_difference
from sim import tools
from sim.simulators import compiled
from sim.simulators.compiled import Bench, Monitor

# A chip in small: adds up the words of a sample, sends the sum and a verdict, then learns by adding
# the sum to the word of a memory that the mark chooses. A mark with bit 30 is never answered.
TOY = """
module toy(
  input clk, input rst,
  input [31:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready, input s_axis_tlast,
  output [31:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready, output m_axis_tlast,
  input [11:0] s_axil_awaddr, input [2:0] s_axil_awprot,
  input s_axil_awvalid, output s_axil_awready,
  input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb, input s_axil_wvalid, output s_axil_wready,
  output reg [1:0] s_axil_bresp, output reg s_axil_bvalid, input s_axil_bready,
  input [11:0] s_axil_araddr, input [2:0] s_axil_arprot,
  input s_axil_arvalid, output s_axil_arready,
  output reg [31:0] s_axil_rdata, output reg [1:0] s_axil_rresp,
  output reg s_axil_rvalid, input s_axil_rready,
  output [32:0] monitor_taken, output [81:0] monitor_updates
);
  localparam TAKE = 0, SCORE = 1, VERDICT = 2, LEARN = 3;
  reg [1:0] phase;
  reg [47:0] sum;
  reg [31:0] mark;
  reg [79:0] bank [0:3];
  reg ended;
  wire beat = s_axis_tvalid & s_axis_tready;
  wire [79:0] raised = bank[mark[1:0]] + {32'b0, sum};
  wire learn = phase == LEARN & mark[8];
  assign s_axis_tready = phase == TAKE;
  assign m_axis_tvalid = phase == SCORE & ~mark[30] | phase == VERDICT;
  assign m_axis_tlast = phase == VERDICT;
  assign m_axis_tdata = phase == VERDICT ? {1'b1, 22'b0, mark[8:0]} : {1'b0, sum[30:0]};
  assign monitor_taken = {s_axis_tdata[30:0], s_axis_tdata[31], beat};
  assign monitor_updates = {raised, ended, learn | ended};
  always @(posedge clk) begin
    ended <= phase == LEARN;
    case (phase)
      TAKE: if (beat) begin
        if (s_axis_tdata[31]) begin mark <= s_axis_tdata; phase <= SCORE; end
        else sum <= sum + {17'b0, s_axis_tdata[30:0]};
      end
      SCORE: if (m_axis_tvalid & m_axis_tready) phase <= VERDICT;
      VERDICT: if (m_axis_tready) phase <= LEARN;
      LEARN: begin phase <= TAKE; sum <= 0; end
    endcase
    if (rst) begin phase <= TAKE; sum <= 0; ended <= 0; end
  end
  reg [1:0] chunk, address;
  reg [95:0] window;
  wire [95:0] shown = {16'b0, bank[address]};
  wire write = s_axil_awvalid & s_axil_wvalid & ~s_axil_bvalid;
  wire read = s_axil_arvalid & ~s_axil_rvalid;
  wire data_write = write & s_axil_awaddr == 12'h18;
  wire data_read = read & s_axil_araddr == 12'h18;
  assign s_axil_awready = write;
  assign s_axil_wready = write;
  assign s_axil_arready = read;
  always @(posedge clk) begin
    if (s_axil_bready) s_axil_bvalid <= 0;
    if (s_axil_rready) s_axil_rvalid <= 0;
    if (learn) bank[mark[1:0]] <= raised;
    if (write) begin
      s_axil_bvalid <= 1;
      s_axil_bresp <= s_axil_awaddr == 12'h14 | s_axil_awaddr == 12'h18 ? 0 : 2;
      if (s_axil_awaddr == 12'h14) begin address <= s_axil_wdata[1:0]; chunk <= 0; end
    end
    if (data_write) begin
      window[32*chunk +: 32] <= s_axil_wdata;
      if (chunk == 2) bank[address] <= {s_axil_wdata[15:0], window[63:0]};
    end
    if (data_write | data_read) begin
      chunk <= chunk == 2 ? 0 : chunk + 1;
      if (chunk == 2) address <= address + 1;
    end
    if (read) begin
      s_axil_rvalid <= 1;
      s_axil_rresp <= s_axil_araddr == 12'h08 | s_axil_araddr == 12'h18 ? 0 : 2;
      s_axil_rdata <= data_read ? shown[32*chunk +: 32] : {31'b0, phase != TAKE | ended};
    end
    if (rst) begin s_axil_bvalid <= 0; s_axil_rvalid <= 0; end
  end
endmodule
"""
MONITORS = (Monitor("monitor_taken", 33), Monitor("monitor_updates", 82))
ADDRESS, DATA, NOWHERE = 0x14, 0x18, 0x1C
MARK, SILENT, LEARN = 1 << 31, 1 << 30, 1 << 8
SAMPLES, WORDS = 300, 7


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the toy is built, once for all tests."""
    return tmp_path_factory.mktemp("compiled")


def built(place: Path, simulator: str, verilog: str = TOY, waves: bool = False) -> Path:
    """The toy as a shared object."""
    return compiled.build(simulator, verilog, "toy", MONITORS, waves=waves, folder=place)


@pytest.fixture(params=tools.COMPILED)
def library(request: pytest.FixtureRequest, place: Path) -> Path:
    return built(place, request.param)


@pytest.fixture
def bench(library: Path) -> Iterator[Bench]:
    with Bench(library, MONITORS, patience=200) as bench:
        fill(bench, np.zeros((4, 3), np.uint32))
        yield bench


def fill(bench: Bench, words: np.ndarray) -> None:
    """Write the toy's memory, (4, 3) chunks."""
    bench.write(ADDRESS, [0])
    bench.write(DATA, words.reshape(-1))


def memory(bench: Bench) -> list[int]:
    """The toy's memory, four numbers of 80 bits."""
    bench.write(ADDRESS, [0])
    chunks = bench.read(np.full(12, DATA)).reshape(4, 3)
    return [sum(int(part) << 32 * place for place, part in enumerate(word)) for word in chunks]


def stimulus(seed: int) -> np.ndarray:
    """Words of samples (SAMPLES, WORDS), the last one of each a mark."""
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 1 << 31, (SAMPLES, WORDS), dtype=np.uint32)
    words[:, -1] = MARK | rng.integers(0, 2, SAMPLES) * LEARN | rng.integers(0, 4, SAMPLES)
    return words


def expected(words: np.ndarray) -> tuple[np.ndarray, list[list[int]], list[int]]:
    """What the toy does: results (samples, 2), rows of updates a sample, the memory after."""
    sums = words[:, :-1].astype(np.int64).sum(axis=1)
    marks = words[:, -1].astype(np.int64)
    held, updates = [0] * 4, []
    for total, mark in zip(sums.tolist(), marks.tolist(), strict=True):
        held[mark & 3] += total if mark & LEARN else 0
        updates.append([held[mark & 3]] if mark & LEARN else [])
    results = np.stack([sums & 0x7FFFFFFF, MARK | marks & 0x1FF], axis=1)
    return results, updates, held


def update_trace(rows: list[list[int]]) -> Trace:
    """Updates of 80 bits, each as its low 62 bits, as a trace."""
    trace = Trace({"updates": ("weight",)})
    for sample in rows:
        trace.add("updates", np.array([[weight % 2**62] for weight in sample], dtype=np.int64))
    return trace


def logged(bench: Bench, monitor: int) -> list[list[int]]:
    """A monitor's rows as numbers, sample by sample."""
    log = bench.log(monitor)
    rows = [sum(int(part) << 32 * n for n, part in enumerate(row)) >> 2 for row in log.rows]
    ends = np.cumsum(log.lengths)
    return [rows[end - length : end] for end, length in zip(ends, log.lengths, strict=True)]


@pytest.mark.parametrize("stalls", [0.0, 0.3, 0.9])
def test_results_logs_and_memory_are_those_of_the_toy(bench: Bench, stalls: float) -> None:
    words = stimulus(1)
    bench.feed(words.reshape(-1), stalls, seed=4)
    results, updates, held = expected(words)
    found, last = bench.results()
    np.testing.assert_array_equal(found.reshape(SAMPLES, 2), results)
    np.testing.assert_array_equal(last.reshape(SAMPLES, 2), [[False, True]] * SAMPLES)
    assert logged(bench, 0) == words[:, :-1].tolist()
    assert logged(bench, 1) == updates
    assert memory(bench) == held


def test_both_simulators_take_the_same_cycles(place: Path) -> None:
    cycles = {}
    for simulator in tools.COMPILED:
        with Bench(built(place, simulator), MONITORS) as bench:
            for seed in range(3):
                bench.feed(stimulus(seed).reshape(-1), stalls=0.4, seed=seed)
            cycles[simulator] = bench.cycles
    assert cycles["verilator"] == cycles["cxxrtl"] > 3 * SAMPLES * WORDS


def test_a_seed_decides_when_sides_pause(library: Path) -> None:
    cycles = []
    for seed in (1, 1, 2):
        with Bench(library, MONITORS) as bench:
            bench.feed(stimulus(0).reshape(-1), stalls=0.5, seed=seed)
            cycles.append(bench.cycles)
    assert cycles[0] == cycles[1] != cycles[2]


def test_without_stalls_no_cycle_is_lost(bench: Bench) -> None:
    before = bench.cycles
    bench.feed(stimulus(0).reshape(-1))
    learning, reads = 1, 2 * 2  # STATUS is read twice, in two cycles, until the toy is at rest
    assert bench.cycles - before == SAMPLES * (WORDS + 3) - learning + reads


def test_logs_are_kept_until_they_are_cleared(bench: Bench) -> None:
    bench.feed(stimulus(0).reshape(-1))
    bench.feed(stimulus(1).reshape(-1))
    assert len(bench.results()[0]) == 4 * SAMPLES
    assert len(bench.log(1).lengths) == 2 * SAMPLES
    bench.clear()
    assert len(bench.results()[0]) == len(bench.log(0).rows) == 0


def test_rows_that_no_end_follows_are_a_piece_of_their_own(bench: Bench) -> None:
    bench.feed(stimulus(0)[0])
    bench.feed(np.array([5, 6], np.uint32))
    assert bench.log(0).lengths.tolist() == [WORDS - 1, 2]


def test_without_logging_results_are_the_same(library: Path) -> None:
    with Bench(library, MONITORS, logging=False) as bench:
        fill(bench, np.zeros((4, 3), np.uint32))
        words = stimulus(2)
        bench.feed(words.reshape(-1), stalls=0.2)
        results, _, held = expected(words)
        np.testing.assert_array_equal(bench.results()[0].reshape(SAMPLES, 2), results)
        assert memory(bench) == held
        assert len(bench.log(1).rows) == 0


@pytest.mark.parametrize("simulator", tools.COMPILED)
def test_a_wrong_operator_is_found_where_it_first_shows(place: Path, simulator: str) -> None:
    wrong = TOY.replace("bank[mark[1:0]] + {32'b0, sum}", "bank[mark[1:0]] + {33'b0, sum[46:0]}")
    words = stimulus(3)
    words[:, -1] = MARK
    long = np.append(np.full(1 << 17, 0x7FFFFFFF), MARK | LEARN).astype(np.uint32)
    with Bench(built(place, simulator, wrong), MONITORS) as bench:
        fill(bench, np.zeros((4, 3), np.uint32))
        bench.feed(words[:7].reshape(-1))
        bench.feed(long)
        total = 0x7FFFFFFF << 17
        got = update_trace(logged(bench, 1))
    difference = first_difference(update_trace([[]] * 7 + [[total]]), got)
    assert difference is not None
    assert (difference.sample, difference.step, difference.index) == (7, 0, "weight")
    assert (difference.expected, difference.got) == (total, total % 2**47)


@pytest.mark.parametrize("simulator", tools.COMPILED)
def test_waves_record_the_first_samples_and_change_nothing(
    place: Path, tmp_path: Path, simulator: str
) -> None:
    words = stimulus(5)
    waves = tmp_path / "toy.vcd"
    with Bench(built(place, simulator, waves=True), MONITORS, waves=waves) as bench:
        fill(bench, np.zeros((4, 3), np.uint32))
        bench.feed(words.reshape(-1), stalls=0.3)
        cycles = bench.cycles
        found = bench.results()[0]
        bench.feed(words.reshape(-1))
    with Bench(built(place, simulator), MONITORS) as bench:
        fill(bench, np.zeros((4, 3), np.uint32))
        bench.feed(words.reshape(-1), stalls=0.3)
        assert bench.cycles == cycles
    np.testing.assert_array_equal(found.reshape(SAMPLES, 2), expected(words)[0])
    text = waves.read_text()
    assert "$enddefinitions" in text
    assert "phase" in text
    times = [int(line[1:]) for line in text.splitlines() if line.startswith("#")]
    assert 0 < len(times) < 8 * 60


def test_what_the_verilog_leaves_open_starts_at_random(place: Path) -> None:
    found = []
    for seed in (1, 1, 2):
        with Bench(built(place, "verilator"), MONITORS, seed=seed) as bench:
            found.append(memory(bench))
    assert found[0] == found[1] != found[2]
    assert any(found[0])


def test_a_chip_that_stands_still_is_refused_with_its_sample(bench: Bench) -> None:
    words = stimulus(0)
    words[41, -1] |= SILENT
    with pytest.raises(Refusal) as refusal:
        bench.feed(words.reshape(-1))
    assert str(refusal.value) == (
        "the chip stood still for 200 cycles in sample 41 of the 300 it was given"
    )


def test_a_refused_access_is_told_with_its_address(bench: Bench) -> None:
    with pytest.raises(Refusal) as refusal:
        bench.write([ADDRESS, NOWHERE], [0, 0])
    assert str(refusal.value) == "the chip was to write register 0x01c and refused it"
    with pytest.raises(Refusal) as refusal:
        bench.read([NOWHERE])
    assert str(refusal.value) == "the chip was to read register 0x01c and refused it"


@pytest.mark.parametrize("stalls", [-0.1, 0.96, float("nan")])
def test_stalls_must_be_a_chance(bench: Bench, stalls: float) -> None:
    with pytest.raises(Refusal) as refusal:
        bench.feed(stimulus(0).reshape(-1), stalls)
    assert str(refusal.value) == f"stalls must be a chance of 0 to 0.95, not {stalls}"


def test_a_change_builds_anew_and_the_same_does_not(place: Path) -> None:
    first = built(place, "cxxrtl")
    stamp = first.stat().st_mtime_ns
    assert built(place, "cxxrtl") == first
    assert first.stat().st_mtime_ns == stamp
    assert not list(place.glob(".building-*"))


def test_verilog_that_does_not_build_leaves_nothing_behind(tmp_path: Path) -> None:
    for simulator in tools.COMPILED:
        with pytest.raises(Refusal, match=r"failed: .*(error|ERROR)"):
            built(tmp_path, simulator, "module toy(;\nendmodule\n")
    assert list(tmp_path.iterdir()) == []


def test_icarus_is_not_compiled(tmp_path: Path) -> None:
    with pytest.raises(Refusal) as refusal:
        built(tmp_path, "icarus")
    assert str(refusal.value) == "'icarus' is not compiled; choose verilator or cxxrtl"


def test_a_chip_that_cxxrtl_must_evaluate_twice_is_refused(tmp_path: Path) -> None:
    """One port that is half a register, half a wire."""
    halves = TOY.replace("s_axil_bresp <= ", "s_axil_bresp[1] <= ").replace("? 0 : 2", "? 0 : 1")
    halves = halves.replace(
        "  reg [1:0] chunk,", "  always @* s_axil_bresp[0] = beat & write;\n  reg [1:0] chunk,"
    )
    with pytest.raises(Refusal) as refusal:
        built(tmp_path, "cxxrtl", halves)
    assert str(refusal.value) == (
        "CXXRTL needs several passes a cycle for toy, which is slow; use verilator"
    )
    assert list(tmp_path.iterdir()) == []


# Kept objects


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:999] + b"x"])
def test_a_damaged_object_is_built_anew(
    damage: Callable[[bytes], bytes], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = built(place, "cxxrtl")
    capsys.readouterr()
    assert built(place, "cxxrtl") == library
    assert capsys.readouterr().err == ""
    whole = library.read_bytes()
    library.unlink()  # the process still uses the file behind the name
    library.write_bytes(damage(whole))
    assert not is_whole(library)
    built(place, "cxxrtl")
    assert capsys.readouterr().err == "compiling: toy with cxxrtl\n"
    assert is_whole(library)


def test_an_object_under_another_name_is_not_whole(place: Path, tmp_path: Path) -> None:
    library = built(place, "cxxrtl")
    other = tmp_path / library.name.replace("cxxrtl", "verilator")
    other.write_bytes(library.read_bytes())
    assert not is_whole(other)
    assert not is_whole(tmp_path / "none.so")


def test_verilog_of_two_clocks_runs_by_both_halves_of_a_cycle(place: Path) -> None:
    """Only where all edges are those of one clock is each edge of it a cycle."""
    other = TOY.replace("endmodule", "reg odd; always @(negedge clk) odd <= ~odd;\nendmodule")
    words = stimulus(1)
    wanted, _, _ = expected(words)
    with Bench(built(place, "verilator", other), MONITORS, patience=200) as bench:
        fill(bench, np.zeros((4, 3), np.uint32))
        bench.feed(words.reshape(-1))
        assert (bench.results()[0].reshape(-1, 2) == wanted).all()

"""Commands of the simulation room: `python -m sim COMMAND`."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from model.contract.artifact import check_intent, write_json
from model.contract.config import ChipConfig
from model.contract.presets import chosen, data_for
from model.contract.refusal import Refusal, speaking_plainly
from model.door import Plain
from model.options import (
    Config,
    Data,
    DataDir,
    Epochs,
    Json,
    Limit,
    Overwrite,
    Preset,
    Rule,
    Scenario,
    Seed,
    SelfLabel,
    Stream,
    StreamRate,
    TestFraction,
)
from model.progress import counting, remembering, stepping
from sim.options import Simulator, Stalls, TestSamples, TrainSamples, Waves
from sim.silicon import commands as silicon
from sim.trust import commands as trust

if TYPE_CHECKING:
    from model.data import Dataset
    from sim.host.demo import Wire

ReplayedSample = Annotated[int, typer.Option("--sample", help="As a verdict tells it.")]
Before = Annotated[int, typer.Option(help="Samples that go ahead of it.")]
FromSeam = Annotated[
    bool, typer.Option("--from-seam", help="Come from the last seam: for a fault that was stored.")
]

#: Options of `verify` and `run` that decide what a sample meets.
REPLAYED = (
    *("preset", "config", "rule", "simulator", "data", "data_dir", "test_fraction"),
    *("train", "test", "epochs", "seed", "stalls"),
)

app = typer.Typer(
    cls=Plain,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help=__doc__,
)


@app.command()
def doctor(
    json: Annotated[Path | None, typer.Option(help="Write the findings here too.")] = None,
) -> None:
    """Tell of each tool its version, whether it is fit and why, and how to get it."""
    from sim.tools import doctor as doctors

    findings = doctors.examine_all()
    Console().print(doctors.table(findings))
    for line in doctors.advice(findings):
        print(line)
    if json:
        write_json(json, doctors.report(findings))
    raise typer.Exit(0 if doctors.is_well(findings) else 1)


@app.command()
def get(tool: Annotated[str, typer.Argument(help="icarus, libpython or opensta")]) -> None:
    """See to it that a tool without a wheel is there: the system's, or Debian's unpacked."""
    from sim.tools import debian

    found = debian.get(tool)
    print(f"{found.name} {found.version} ({found.path})")


@app.command()
def golden(
    rewrite: Annotated[
        bool, typer.Option("--rewrite", help="Write the frozen runs and the manifest anew.")
    ] = False,
) -> None:
    """Compare the model with the golden data: anchors from outside, frozen runs, sums."""
    from sim.trust import golden as goldens

    if rewrite:
        goldens.rewrite()
    comparisons = goldens.compare()
    print(goldens.summary(comparisons))
    raise typer.Exit(1 if any(found.trouble for found in comparisons) else 0)


@app.command()
def run(
    context: typer.Context,
    preset: Preset = None,
    data: Data = None,
    simulator: Simulator = "verilator",
    seed: Seed = 0,
    waves: Waves = False,
    out: Annotated[Path, typer.Option(help="Where to put the Verilog.")] = Path("build/rtl"),
    json: Json = None,
) -> None:
    """Train a chip on real data in the model and in its Verilog, and prove both equal."""
    from sim.judge import run as runs

    chip = chosen(preset, None, None)
    job = runs.run(chip, data or data_for(chip), simulator, seed, waves, out)
    Console().print(runs.table(job))
    if json:
        write_json(json, job.told())
    if not job.equal:
        _tell_mismatches(job.figures, _command_again(context, job.figures))


def _tell_mismatches(figures: dict[str, Any], again: str | None = None) -> None:
    """Write what differs to a file, say where and by which command to look at it, and fail."""
    from sim.judge import verify as verifications

    verifications.write_mismatches(figures, Path("mismatches.json"))
    if again:
        print(f"look at it: {again}")
    print(f"{verifications.sentence(figures)}; see mismatches.json")
    raise typer.Exit(1)


def _command_again(context: typer.Context, figures: dict[str, Any]) -> str:
    """The command that runs the first sample that differs again: the same choices, with waves."""
    chosen = {name: value for name, value in context.params.items() if name in REPLAYED}
    chosen |= {"sample": figures["first_mismatch"]["sample"]}
    if "train" not in chosen:
        chosen |= {"train": figures["train_samples"], "test": figures["test_samples"]}
    words = (f"--{name.replace('_', '-')} {value}" for name, value in chosen.items() if value)
    above = context.parent.command_path if context.parent else "drtp sim"
    return " ".join([above, "replay", *words])


@app.command()
def verify(
    context: typer.Context,
    preset: Preset = None,
    config: Config = None,
    rule: Rule = None,
    simulator: Simulator = "verilator",
    data: Data = None,
    data_dir: DataDir = None,
    test_fraction: TestFraction = None,
    train: TrainSamples = 1000,
    test: TestSamples = 400,
    epochs: Epochs = 1,
    seed: Seed = 0,
    stalls: Stalls = 0.0,
    cocotb: Annotated[bool, typer.Option("--cocotb", help="Drive Verilator by cocotb.")] = False,
    waves: Waves = False,
    emitted: Annotated[
        bool, typer.Option("--emitted", help="Compile the text of `rtl emit` itself: slower.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(help="Segments side by side; 1 is an unbroken run (all cores).")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(help="Of Dask, tcp://host:port: segments on its workers.")
    ] = None,
    checkpoint: Annotated[Path | None, typer.Option(help="Keep finished segments here.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from --checkpoint.")] = False,
    overwrite: Overwrite = False,
    against: Annotated[
        Path | None, typer.Option(help="JSON of the same run, cut in another way: must be equal.")
    ] = None,
    json: Json = None,
) -> None:
    """Train and test model and Verilog on the same samples and compare everything."""
    from sim.judge import verify as verifications
    from sim.judge.progress import watching

    if checkpoint is not None:
        check_intent(checkpoint, resume, overwrite)
    chip, given = _given(
        preset, config, rule, data, data_dir, test_fraction, train, test, epochs, seed
    )
    run = verifications.Run(
        simulator,
        stalls,
        waves,
        cocotb,
        checkpoint,
        resume,
        jobs=verifications.cores() if jobs is None else jobs,
        scheduler=scheduler,
        emitted=emitted,
    )
    with watching(f"{chip.name} in {simulator}", len(given)) as watch:
        _, figures = verifications.verify(chip, given, run, watch)
    if json:
        write_json(json, figures)
    print(verifications.summary(figures))
    if figures["mismatches"]:
        _tell_mismatches(figures, _command_again(context, figures))
    if against:
        unlike = verifications.unlike(figures, against)
        print(f"unlike {against}: {', '.join(unlike) or 'nothing'}")
    print(verifications.sentence(figures))
    raise typer.Exit(1 if against and unlike else 0)


@app.command()
def coverage(
    files: Annotated[list[Path], typer.Argument(help="What `verify --json` wrote.")],
    json: Json = None,
) -> None:
    """Tell what several verifications met together, and which cases never came."""
    from sim.judge import coverage as coverages

    merged = coverages.merged(files)
    for chip, met in merged.items():
        Console().print(coverages.table(chip, met))
    if json:
        write_json(json, merged)
    for chip, met in merged.items():
        print(f"{chip}: {coverages.sentence(met)}")


@app.command()
def replay(
    sample: ReplayedSample,
    preset: Preset = None,
    config: Config = None,
    rule: Rule = None,
    simulator: Simulator = "verilator",
    data: Data = None,
    data_dir: DataDir = None,
    test_fraction: TestFraction = None,
    train: TrainSamples = 1000,
    test: TestSamples = 400,
    epochs: Epochs = 1,
    seed: Seed = 0,
    stalls: Stalls = 0.0,
    before: Before = 1,
    from_seam: FromSeam = False,
    vcd: Annotated[bool, typer.Option("--vcd", help="Keep the waves as VCD, too.")] = False,
    json: Json = None,
) -> None:
    """Run one sample of `verify` again: waves, views of them, and what crossed every boundary."""
    from sim.judge import replay as replays

    given = _given(preset, config, rule, data, data_dir, test_fraction, train, test, epochs, seed)
    replayed = _replayed(*given, sample, simulator, stalls, before, from_seam, vcd)
    Console().print(replays.table(replayed))
    if json:
        write_json(json, replayed.told())
    views = replayed.views
    print(f"waves: `gtkwave {views.gtkwave}`, or `surfer -c {views.surfer} {views.waves}`")
    _end_replay(replayed)


@app.command()
def trace(
    sample: ReplayedSample,
    preset: Preset = None,
    config: Config = None,
    rule: Rule = None,
    simulator: Simulator = "verilator",
    data: Data = None,
    data_dir: DataDir = None,
    test_fraction: TestFraction = None,
    train: TrainSamples = 1000,
    test: TestSamples = 400,
    epochs: Epochs = 1,
    seed: Seed = 0,
    stalls: Stalls = 0.0,
    before: Before = 1,
    from_seam: FromSeam = False,
    stage: Annotated[str | None, typer.Option(help="Of this stage alone.")] = None,
    json: Json = None,
) -> None:
    """Tell one sample's way through the chip, row by row: cycle, boundary, model, Verilog."""
    from sim.judge import replay as replays

    given = _given(preset, config, rule, data, data_dir, test_fraction, train, test, epochs, seed)
    replayed = _replayed(*given, sample, simulator, stalls, before, from_seam)
    steps = replays.of_stage(replayed.steps, stage)
    Console().print(replays.way(steps, sample))
    if json:
        write_json(json, [vars(step) for step in steps])
    _end_replay(replayed)


def _given(
    preset: str | None,
    config: Path | None,
    rule: str | None,
    data: str | None,
    data_dir: Path | None,
    test_fraction: float | None,
    train: int,
    test: int,
    epochs: int,
    seed: int,
) -> tuple[Any, Any]:
    """The chip, and the samples that it meets."""
    from model.data import load
    from sim.judge.samples import samples

    chip = chosen(preset, config, rule)
    data = data or data_for(chip)
    loaded = load(data, data_dir=data_dir, test_fraction=test_fraction, seed=seed)
    return chip, samples(chip, loaded, train, test, seed, epochs)


def _replayed(
    chip: Any,
    given: Any,
    sample: int,
    simulator: str,
    stalls: float,
    before: int,
    from_seam: bool,
    vcd: bool = False,
) -> Any:
    """A sample, run again."""
    from rtl.emit import emit
    from sim.judge import replay as replays

    return replays.replay(
        emit(chip),
        given,
        sample,
        simulator=simulator,
        stalls=stalls,
        before=before,
        from_seam=from_seam,
        keep_vcd=vcd,
    )


def _end_replay(replayed: Any) -> None:
    """Say what differs, and fail where something does."""
    comparison = replayed.comparison
    if comparison.equal:
        print("nothing differs from this state on; what was stored before shows with --from-seam")
    print(
        f"[{comparison.mismatches}] mismatches"
        + (f"; first: {comparison.first}" if comparison.first else "")
    )
    raise typer.Exit(0 if comparison.equal else 1)


@app.command()
def adapt(
    scenario: Scenario,
    preset: Preset = None,
    config: Config = None,
    simulator: Simulator = "verilator",
    data: Data = None,
    data_dir: DataDir = None,
    epochs: Epochs = 3,
    stream: Stream = 500,
    rate: StreamRate = 0,
    self_label: SelfLabel = None,
    test: TestSamples = 200,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Prove `model adapt` in Verilog: every learner's stream, and test samples after each look."""
    from model.data import load
    from model.study.adapt import meeting
    from model.study.experiment import samples_for
    from model.study.scenario import read_scenario
    from sim.judge import adapt as adaptations
    from sim.judge.progress import watching

    world = read_scenario(scenario)
    chip = chosen(preset, config, None)
    data = data or data_for(chip)
    samples = samples_for(chip, load(data, data_dir=data_dir, seed=seed))
    with remembering(f"training {chip.name} before {world.kind}"):
        met = meeting(
            chip, samples, world,
            epochs=epochs, stream=stream, rate=rate, seed=seed, margin=self_label,
        )  # fmt: skip
    title = f"{chip.name} meets {world.kind} in {simulator}"
    with watching(title, adaptations.planned(met, test)) as watch:
        proofs = list(adaptations.prove(met, test, simulator, seed, watch))
    figures = adaptations.figures(met, proofs, simulator)
    if json:
        write_json(json, {"preset": chip.name, "data": data, "epochs": epochs, **figures})
    Console().print(adaptations.table(met, proofs, simulator))
    print(f"[{figures['mismatches']}/{figures['compared_values']:,}] mismatches")
    raise typer.Exit(1 if figures["mismatches"] else 0)


@app.command()
def classify(
    model: Annotated[Path, typer.Argument(help="Trained model, as `train --out` wrote it.")],
    rule: Rule = None,
    simulator: Simulator = "verilator",
    data: Data = None,
    data_dir: DataDir = None,
    test_fraction: TestFraction = None,
    test: TestSamples = 1000,
    json: Json = None,
) -> None:
    """Classify in a chip that holds a model after reset (`rtl emit --weights`); compare all."""
    from model.data import load
    from model.network import ChipModel
    from sim.judge import classify as classifying
    from sim.judge.progress import watching
    from sim.judge.verify import sentence

    saved = ChipModel.load(model)
    loaded = load(
        data or data_for(saved.config),
        data_dir=data_dir,
        test_fraction=test_fraction,
        seed=saved.seed,
    )
    with watching(f"{saved.config.name} after reset, in {simulator}", test) as watch:
        figures = classifying.classify(model, rule, loaded, test, simulator, watch)
    if json:
        write_json(json, figures)
    print(f"{figures['accuracy']['rtl']:.2%} of {test:,} test samples, no host wrote anything")
    if figures["mismatches"]:
        _tell_mismatches(figures)
    print(sentence(figures))


@app.command()
def camera(
    recordings: Annotated[list[Path], typer.Argument(help="Files: .bin, .aedat4 or .npz.")],
    model: Annotated[Path, typer.Option(help="What model train wrote.")],
    simulator: Annotated[str, typer.Option(help="icarus or verilator")] = "verilator",
    clock_mhz: Annotated[float, typer.Option(min=0.001, help="Of the chip.")] = 1.0,
    window_us: Annotated[int, typer.Option(min=1, help="Length of a window.")] = 105_000,
    json: Json = None,
) -> None:
    """Play recordings at their own time into a chip by a camera's bus; compare with the model."""
    from model.data import read_recording
    from model.network import ChipModel
    from sim.judge import camera as cameras

    trained = ChipModel.load(model)
    way = cameras.Way(simulator, clock_mhz * 1e6, window_us)
    given = {str(path): read_recording(path) for path in recordings}
    with Console(stderr=True).status(f"{trained.config.name} sees {len(given)} recordings"):
        played = cameras.play(trained.config, trained.state_, given, way)
    figures = played.figures()
    if json:
        write_json(json, figures)
    Console().print(cameras.table(played))
    print(
        f"the chip takes {figures['stated_events_per_second']:,.0f} events a second; "
        f"the latest was asked for {played.late_cycles} cycles after its time"
    )
    print(f"[{figures['mismatches']}/{figures['compared_values']:,}] mismatches")
    raise typer.Exit(1 if figures["mismatches"] else 0)


@app.command()
def bench(
    preset: Preset = None,
    json: Json = None,
) -> None:
    """Measure engines, every way to run the Verilog, and the chip, side by side."""
    from sim.speed import measure

    with stepping("bench") as step:
        tables, told = measure.report(preset or "digits", step)
    Console().print(tables)
    if json:
        write_json(json, told)


@app.command("host-demo")
def host_demo(
    preset: Preset = None,
    config: Config = None,
    rule: Rule = None,
    line: Annotated[str, typer.Option(help="uart or spi")] = "uart",
    data: Data = None,
    data_dir: DataDir = None,
    test_fraction: TestFraction = None,
    limit: Limit = None,
    epochs: Epochs = 5,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Train a simulated chip as a host does, byte by byte, and the model beside it."""
    from sim.host.line import SimulatedLine

    chip = chosen(preset, config, rule)
    loaded = _loaded(chip, data, data_dir, test_fraction, seed)
    with SimulatedLine(chip, line) as wire:
        _demonstrate(chip, loaded, wire, line, limit, epochs, seed, json)


def _loaded(
    chip: ChipConfig,
    data: str | None,
    data_dir: Path | None,
    test_fraction: float | None,
    seed: int,
) -> "Dataset":
    from model.data import load

    return load(data or data_for(chip), data_dir=data_dir, test_fraction=test_fraction, seed=seed)


def _demonstrate(
    chip: ChipConfig,
    loaded: "Dataset",
    wire: "Wire",
    line: str,
    limit: int | None,
    epochs: int,
    seed: int,
    json: Path | None,
) -> None:
    """Train chip and model over a line, show what came of it, and fail where they differ."""
    from sim.host import demo

    planned = demo.planned(loaded, limit, epochs)
    with counting(f"{chip.name} learns {loaded.name} behind {line}", planned) as progress:
        figures = demo.demonstrate(
            chip, loaded, wire, limit=limit, epochs=epochs, seed=seed, line=line, progress=progress
        )
    if json:
        write_json(json, figures)
    Console().print(demo.table(figures))
    print(demo.sentence(figures))
    raise typer.Exit(0 if figures["equal"] else 1)


Board = Annotated[str, typer.Option(help="icebreaker, versa, ulx3s (85F) or ulx3s_25f")]


@app.command()
def fpga(
    board: Board = "icebreaker",
    config: Config = None,
    weights: Annotated[
        Path | None, typer.Option(help="Trained model that the chip holds from the start.")
    ] = None,
    rule: Rule = None,
    record: Annotated[
        bool, typer.Option("--record", help="Keep the figures to compare with.")
    ] = False,
    json: Json = None,
) -> None:
    """Map, place and route a board into a bitstream; compare with the figures recorded."""
    from model.export.trained import trained
    from sim.silicon import fpga as boards

    own, contents = (chosen(None, config, rule) if config else None), None
    if weights is not None:
        if config is not None:
            raise Refusal("--weights brings its own chip; leave --config out")
        own, contents = trained(weights, rule)
    with stepping(board) as step:
        routed = boards.route(board, own, contents, step)
    if json:
        write_json(json, dataclasses.asdict(routed))
    Console().print(boards.table(routed))
    routed.check_timing()
    if own is not None:
        return  # nothing is recorded of a chip of one's own
    if record:
        boards.record(routed)
    worse = boards.regressions(routed)
    for line in worse:
        print(f"worse than recorded: {line}")
    raise typer.Exit(1 if worse else 0)


@app.command()
def program(board: Board = "icebreaker") -> None:
    """Load a board with the bitstream that `fpga` made, by iceprog or openFPGALoader."""
    from sim.silicon import program as loaders

    print(" ".join(loaders.program(board)))


@app.command("host")
def host(
    port: Annotated[str, typer.Option(help="Serial port of the board, such as /dev/ttyUSB1.")],
    baud: Annotated[int, typer.Option(help="Bits a second of the board's line.")] = 1_000_000,
    preset: Preset = None,
    config: Config = None,
    rule: Rule = None,
    data: Data = None,
    data_dir: DataDir = None,
    test_fraction: TestFraction = None,
    limit: Limit = None,
    epochs: Epochs = 5,
    seed: Seed = 0,
    json: Json = None,
) -> None:
    """Train a chip on a board over its serial port, and the model beside it."""
    from sim.host.serial import SerialLine

    chip = chosen(preset, config, rule)
    loaded = _loaded(chip, data, data_dir, test_fraction, seed)
    with SerialLine(port, baud) as line:
        _demonstrate(chip, loaded, line, port, limit, epochs, seed, json)


@app.command()
def sabotage(
    count: Annotated[
        int, typer.Option(min=1, help="Changes of each kind in Verilog, and in each model file.")
    ] = 3,
    seed: Annotated[int, typer.Option(help="Which changes are drawn.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write the findings here too.")] = None,
) -> None:
    """Change Verilog, golden data and model in one operator or bit: all must be caught."""
    from sim.trust import sabotage as sabotages

    findings = []
    with Console(stderr=True).status("sabotage") as status:
        for finding in sabotages.sabotage(count, seed):
            findings.append(finding)
            status.update(f"{len(findings)} changes, the last in {finding.place}")
    if json:
        write_json(json, [dataclasses.asdict(finding) for finding in findings])
    missed = sum(not finding.caught_by for finding in findings)
    Console().print(sabotages.table(findings))
    print(f"{missed} of {len(findings)} changes were not caught")
    raise typer.Exit(1 if missed else 0)


@app.command()
def report(
    files: Annotated[list[Path], typer.Argument(help="JSON of commands, and trained models.")],
    out: Annotated[Path, typer.Option(help="The page; its JSON twin lies beside it.")],
) -> None:
    """Write one page of everything measured: self-contained HTML, and its JSON twin."""
    from sim.report.page import write  # takes a second to import

    print(f"{out}, {write(files, out)}")


@app.command()
def fuzz(
    minutes: Annotated[float, typer.Option(min=0.01, help="For so long.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Which damage is drawn.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write the findings here.")] = None,
) -> None:
    """Send damaged files through every reader: each must be accepted, or refused in a sentence."""
    from sim.trust import fuzz as fuzzing
    from sim.trust.readers import readers

    tally, keep = fuzzing.Tally(), Path("build/fuzz")
    with Console(stderr=True).status("making valid files") as status:
        for tally in fuzzing.fuzz(readers(), seed, keep, fuzzing.until(minutes)):
            status.update(f"{tally.sentence()}, of {minutes:g} minutes")
    if json:
        write_json(json, tally.figures())
    Console().print(tally.table())
    for fault in tally.faults:
        print(f"{fault.reader} {fault.number} (kept in {keep}): {fault.what}")
    print(tally.sentence())
    raise typer.Exit(1 if tally.faults or not tally.inputs else 0)


for command in (*silicon.COMMANDS, *trust.COMMANDS):
    app.command()(command)


if __name__ == "__main__":
    with speaking_plainly():
        app(prog_name="python -m sim")

"""Commands of trust: formal, mutants, soak, reset, signoff."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from model.contract.artifact import write_json
from model.contract.refusal import Refusal
from model.options import Config, Preset, Rule

FAILURES = Path("build/soak")
PAGE = Path("build/signoff.html")


def formal(
    part: Annotated[str | None, typer.Option(help="Only the component of this name.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write how each claim ended here.")] = None,
) -> None:
    """Prove what the hardware's components do in every cycle, whatever comes."""
    from joblib import parallel_config
    from rich.console import Console

    from sim.trust.formal import proof as proofs
    from sim.trust.formal.subjects import SUBJECTS

    names = [subject.name for subject in SUBJECTS]
    if part is not None and part not in names:
        raise Refusal(f"nothing is claimed of {part!r}; choose one of {', '.join(names)}")
    chosen = [subject for subject in SUBJECTS if part in (None, subject.name)]
    console = Console(stderr=True)
    found: list[proofs.Proof] = []
    with console.status("proving") as status, parallel_config(n_jobs=-1):
        for ended in proofs.prove_all(chosen):
            found += ended
            status.update(f"proving: {len(found)} claims, the last of the {found[-1].subject}")
    Console().print(proofs.table(found))
    if json:
        write_json(json, proofs.figures(found))
    bad = sum(not proof.good for proof in found)
    print(f"{len(found) - bad} of {len(found)} claims are proved, their broken twins fail")
    raise typer.Exit(1 if bad else 0)


def mutants(
    count: Annotated[int, typer.Option(min=1, help="How many are drawn.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawing.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write what became of each here.")] = None,
) -> None:
    """Change a bit of one cell of the chip at a time, and name all checks that see it."""
    from rich.console import Console

    from sim.trust import campaign as campaigns

    console = Console(stderr=True)
    fates: list[campaigns.Fate] = []
    with console.status("drawing and compiling mutants") as status:
        for fate in campaigns.campaign(count, seed):
            fates.append(fate)
            left = sum(not fate.seen_by for fate in fates)
            status.update(f"mutants: {len(fates)} of {count}, {left} not decided")
    Console(width=200).print(campaigns.table(fates))
    told = campaigns.figures(fates, seed)
    if json:
        write_json(json, told)
    print(f"{told['killed']} of {len(fates)} mutants killed, {told['not_decided']} not decided")
    raise typer.Exit(1 if told["not_decided"] else 0)


def soak(
    minutes: Annotated[float, typer.Option(min=0.0, help="How long to go on.")] = 1.0,
    cases: Annotated[int | None, typer.Option(min=1, help="Stop after so many cases.")] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the first case (today's date, so new each night).")
    ] = None,
    replay: Annotated[Path | None, typer.Option(help="A case that was kept, instead.")] = None,
    out: Annotated[Path, typer.Option(help="Folder for cases that fail.")] = FAILURES,
    json: Annotated[Path | None, typer.Option(help="Write the figures here.")] = None,
) -> None:
    """Random chips, data and stalls through every rung; what differs is made small and kept."""
    import time

    from joblib import parallel_config
    from rich.console import Console

    from sim.trust import soak as soaking

    if replay is not None:
        outcome = soaking.run(soaking.read(replay))
        print(f"{outcome.verdict}: {outcome.told or f'{outcome.values:,} values are equal'}")
        raise typer.Exit(1 if outcome.failed else 0)
    first = int(time.strftime("%Y%m%d")) * 100_000 if seed is None else seed
    console = Console(stderr=True)
    with console.status(f"soak from seed {first}") as status, parallel_config(n_jobs=-1):
        done = 0

        def watch(outcome: soaking.Outcome) -> None:
            nonlocal done
            done += 1
            status.update(f"soak: {done} cases, the last {outcome.verdict} (seed {outcome.seed})")

        found = soaking.soak(first, minutes, cases, watch)
    if json:
        write_json(json, found.figures())
    for outcome in found.failures:
        small = soaking.shrunk(soaking.drawn(outcome.seed))
        path = soaking.keep(small, soaking.run(small), out)
        print(f"seed {outcome.seed}: {outcome.verdict}: {outcome.told.strip().splitlines()[-1]}")
        print(f"  made small: `python -m sim soak --replay {path}`")
    counts = ", ".join(f"{count} {name}" for name, count in sorted(found.outcomes.items()))
    print(
        f"{found.outcomes.total()} cases from seed {first}: {counts or 'none'}; "
        f"{found.values:,} values compared in {found.seconds / 60:.1f} minutes"
    )
    if not found.outcomes:
        raise Refusal("no case ran; give more --minutes")
    raise typer.Exit(1 if found.failures else 0)


def reset(
    preset: Preset = None,
    config: Config = None,
    rule: Rule = None,
    simulator: Annotated[str, typer.Option(help="verilator or icarus")] = "verilator",
    resets: Annotated[int, typer.Option(min=1, help="How many.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Which moments and contents are drawn.")] = 0,
    json: Annotated[Path | None, typer.Option(help="Write the figures here.")] = None,
) -> None:
    """Reset a chip with random contents, and in any cycle: it must be as a fresh one after each."""
    import dataclasses

    from rich.console import Console

    from model.contract.presets import chosen
    from rtl.emit import emit
    from sim.trust import reset as resetting

    emission = emit(chosen(preset, config, rule))
    with Console(stderr=True).status("resets") as status:

        def watch(found: resetting.Resets) -> None:
            status.update(f"{found.count} of {resets} resets in {simulator}")

        found = resetting.resets(emission, simulator, resets, seed, watch)
    if json:
        write_json(json, {"preset": emission.config.name, "seed": seed} | dataclasses.asdict(found))
    for failure in found.failures:
        print(failure)
    print(found.sentence())
    raise typer.Exit(1 if found.failures else 0)


def signoff(
    out: Annotated[Path, typer.Option(help="The page; its JSON twin lies beside it.")] = PAGE,
    reports: Annotated[
        Path | None, typer.Option(help="Folder of the JUnit reports (build).")
    ] = None,
) -> None:
    """Hold every claim of README and DESIGN against its checks: how they last ended."""
    from sim.trust import signoff as signing

    claims = signing.signed(reports=reports)
    readme = (signing.ROOT / "README.md").read_text()
    claims += [
        signing.Claim(row, "README, figures", "", []) for row in signing.uncarried(claims, readme)
    ]
    signing.write(claims, out)
    for claim in claims:
        if claim.state is not signing.State.PASSED:
            names = ", ".join(c.name for c in claim.checks if c.state is claim.state)
            print(f"{claim.state}: {claim.text} ({names or 'no check carries it'})")
    passed = sum(claim.state is signing.State.PASSED for claim in claims)
    print(f"{passed} of {len(claims)} claims passed; {out}")
    raise typer.Exit(0 if signing.is_green(claims) else 1)


COMMANDS: tuple[Callable[..., None], ...] = (formal, mutants, soak, reset, signoff)

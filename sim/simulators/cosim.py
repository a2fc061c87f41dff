"""A chip's Verilog under cocotb: its AXI ports driven by Python, every cycle watched.

Slow, and the strictest way to run: Icarus shows every X, cocotbext-axi speaks the bus, and waves
can be recorded. For long runs there is `sim.simulators.bulk`.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from model.arith import Words
from model.banks import from_chunks, from_words, to_chunks, to_words
from model.contract.artifact import write_json, write_text
from model.contract.config import ChipConfig
from model.contract.counters import counters
from model.contract.event import ends_sample
from model.contract.refusal import Refusal
from model.contract.registers import learning_layers
from model.contract.stages import boundaries
from model.contract.storage import host_banks
from model.state import State, bank_shapes
from model.trace import Trace
from rtl.emit import Emission, emit
from sim.benches import chip as chip_bench
from sim.simulators.bulk import decode, patience
from sim.simulators.compiled import BUILD, Log
from sim.simulators.observed import Observed
from sim.tools import run_bench


def observe(
    config: ChipConfig,
    words: Words,
    train: int,
    state: State,
    stalls: float,
    seed: int,
    simulator: str,
    waves: bool,
    folder: Path = BUILD / "cosim",
) -> Observed:
    """A whole run from a given state; as `sim.simulators.observed` tells.

    Verilog, build and logs lie in `folder`, under the chip's name and hash; waves go to
    `waves` in the build folder. Raises `Refusal` for a missing or unfit tool, a chip that stands
    still, and Verilog that breaks a rule of its ports.
    """
    place = folder / f"{config.name}-{config.sha256[:16]}"
    return observe_emission(
        emit(config), words, train, state, stalls, seed, simulator, waves, place
    )


def observe_emission(
    emission: Emission,
    words: Words,
    train: int,
    state: State,
    stalls: float,
    seed: int,
    simulator: str,
    waves: bool,
    folder: Path,
) -> Observed:
    """The same of Verilog that was emitted before, or changed since; all files lie in `folder`."""
    job = _job(emission.config, words, train, state, stalls, seed)
    (seen,), _ = observe_job(emission, job, chip_bench.__name__, simulator, waves, folder)
    return seen


def observe_resets(
    emission: Emission,
    words: Words,
    train: int,
    state: State,
    stalls: float,
    registers: dict[str, list[str]],
    resets: list[tuple[int, int]],
    folder: Path,
) -> list[Observed]:
    """A run under Icarus, and the same run after each of some resets.

    Of each the cycles of work before it, or, where there are none, the seed of the numbers to which
    all `registers` are set (names by the path of their module; those of memories need no name).
    """
    job = _job(emission.config, words, train, state, stalls, seed=0)
    job |= {"registers": registers, "resets": resets}
    return observe_job(emission, job, chip_bench.__name__, "icarus", False, folder)[0]


def observe_job(
    emission: Emission,
    job: dict[str, Any],
    bench: str,
    simulator: str,
    waves: bool,
    folder: Path,
) -> tuple[list[Observed], dict[str, Any]]:
    """All runs that a bench of a whole chip saw, and all that it wrote.

    Parameters: `job` as of `job_of`, and what else the module `bench` reads.
    """
    config, place = emission.config, Path(folder).resolve()
    verilog = place / f"{emission.top}.v"
    write_text(verilog, emission.verilog)
    write_json(place / chip_bench.JOB, job)
    (place / chip_bench.FINDINGS).unlink(missing_ok=True)
    results = run_bench(
        simulator,
        [verilog],
        emission.top,
        bench,
        place,
        waves=waves,
        environment={chip_bench.FOLDER: str(place)},
        seed=job["seed"],
    )
    if results.waves:
        kept = BUILD / "waves" / f"{config.name}-{simulator}.vcd"
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(results.waves, kept)
    findings = json.loads((place / chip_bench.FINDINGS).read_text())
    if "stuck" in findings:
        raise Refusal(
            f"the chip stood still for {job['patience']} cycles in sample "
            f"{findings['stuck']}; look at {results.log}"
        )
    seconds = results.tests[0].seconds
    return [_observed(config, run, seconds) for run in findings["runs"]], findings


def _job(
    config: ChipConfig, words: Words, train: int, state: State, stalls: float, seed: int
) -> dict[str, Any]:
    """What the bench is to do with samples."""
    ends = np.flatnonzero(ends_sample(words)) + 1
    samples = [part.tolist() for part in np.split(words, ends) if len(part)]
    job = job_of(config, state, stalls, seed)
    return job | {"samples": [samples[:train], samples[train:]]}


def job_of(config: ChipConfig, state: State, stalls: float, seed: int) -> dict[str, Any]:
    """What a bench of a whole chip is to know, as plain values: no samples yet."""
    return {
        "config": int(config.sha256[:8], 16),
        "banks": [
            to_chunks(bank, to_words(bank, state.banks[bank.name])).reshape(-1).tolist()
            for bank in host_banks(config)
        ],
        "seeds": [state.lfsrs[layer] for layer in learning_layers(config)],
        "counters": len(counters(config)) if config.counters else 0,
        "monitors": [boundary.port for boundary in boundaries(config)],
        "samples": [[], []],
        "stalls": stalls,
        "seed": seed,
        "patience": patience(config, stalls),
        "registers": {},
        "resets": [],
    }


def _observed(config: ChipConfig, findings: dict[str, Any], seconds: float) -> Observed:
    """What the bench saw, in the form that all runs share."""
    trace = Trace.of(config)
    for boundary in boundaries(config):
        log = _log(
            findings["rows"][boundary.port],
            findings["lengths"][boundary.port],
            -(-boundary.port_bits // 32),
        )
        trace.extend(boundary.name, decode(boundary, log), log.lengths)
    shapes = bank_shapes(config)
    banks = {}
    for bank, flat in zip(host_banks(config), findings["banks"], strict=True):
        chunks = np.array(flat, dtype=np.uint32).reshape(bank.words, bank.chunks)
        banks[bank.name] = from_words(bank, from_chunks(bank, chunks), shapes[bank.name])
    names = [counter.name for counter in counters(config)] if config.counters else []
    return Observed(
        trace=trace,
        results=[np.array(result, dtype=np.uint32) for result in findings["results"]],
        state=State(banks, dict(zip(learning_layers(config), findings["seeds"], strict=True))),
        counters=dict(zip(names, findings["counters"], strict=True)),
        cycles_train=findings["cycles"][0],
        cycles_test=findings["cycles"][1],
        seconds=seconds,
    )


def _log(rows: list[int], lengths: list[int], words: int) -> Log:
    """Beats of a monitor as 32-bit words; rows that no end followed are the last length."""
    data = b"".join(row.to_bytes(4 * words, "little") for row in rows)
    surplus = len(rows) - sum(lengths)
    return Log(
        np.frombuffer(data, dtype="<u4").reshape(len(rows), words),
        np.array(lengths + [surplus] * (surplus > 0), dtype=np.int64),
    )

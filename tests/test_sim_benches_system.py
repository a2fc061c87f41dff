"""docs/how-to/system.v: the emitted chip in a system, with `aresetn`, under both simulators."""

from pathlib import Path

import pytest

from model.banks import to_chunks, to_words
from model.contract.artifact import write_json
from model.contract.presets import preset
from model.contract.registers import learning_layers
from model.contract.storage import host_banks
from model.state import State, fresh
from rtl.emit import emit
from sim import tools
from sim.benches import bench
from sim.benches.vectors import random_samples
from sim.simulators import plain

SYSTEM = Path(__file__).parents[1] / "docs" / "how-to" / "system.v"
CONFIG = preset("tiny")


def chunks(state: State) -> list[list[int]]:
    """All banks as the host writes them."""
    return [
        to_chunks(bank, to_words(bank, state.banks[bank.name])).reshape(-1).tolist()
        for bank in host_banks(CONFIG)
    ]


@pytest.mark.parametrize("simulator", tools.DRIVEN)
def test_a_chip_works_in_a_system(simulator: str, tmp_path: Path) -> None:
    emission = emit(CONFIG, "aresetn", monitors=False)
    verilog = emission.write(tmp_path)[0]
    tools.lint([SYSTEM, verilog], "system")
    state, samples = fresh(CONFIG, 0), random_samples(CONFIG, 3, seed=0)
    seen = plain.observe(CONFIG, state, samples)
    assert seen.counters["hidden1.updates"] > 0
    vectors = {
        "banks": chunks(state),
        "seeds": [state.lfsrs[layer] for layer in learning_layers(CONFIG)],
        "words": [words.tolist() for words in samples],
        "results": [words.tolist() for words in seen.results],
        "banks_after": chunks(seen.state),
    }
    write_json(tmp_path / "vectors.json", vectors)
    results = tools.run_bench(
        simulator,
        [SYSTEM, verilog],
        "system",
        "sim.benches.system",
        tmp_path,
        environment={bench.VECTORS: str(tmp_path / "vectors.json")},
    )
    assert len(results.tests) == 1

"""A chip whose memories hold a trained model classifies after reset, with no write of a host.

What it shows and what it holds afterwards is held against the model, as in `sim.judge.verify`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from model.contract.registers import learning_layers
from model.data import Dataset
from model.export.trained import trained
from model.network import ChipModel, checked_images, checked_labels
from model.state import State, bank_shapes
from rtl.emit import emit_loaded
from sim.judge.samples import Samples
from sim.judge.segment import CHUNK_SAMPLES, Expected, Tally, Watch, version
from sim.simulators.bulk import BulkChip
from sim.tools import COMPILED

RESET_LFSR = 1  #: what an LFSR holds after reset


def classify(
    path: Path, rule: str | None, data: Dataset, test: int, simulator: str, watch: Watch
) -> dict[str, Any]:
    """Classify the first `test` test samples in the Verilog of a saved model, and compare all.

    `rule` as of `model.export.trained`. Raises `Refusal` where there are fewer samples, or the
    simulator is not a compiled one.
    """
    if simulator not in COMPILED:
        raise Refusal(f"classify runs in {' or '.join(COMPILED)}, not in {simulator}")
    config, contents = trained(path, rule)
    if not 1 <= test <= len(data.y_test):
        raise Refusal(f"of {len(data.y_test)} test samples 1 to all can be taken, not {test}")
    images = checked_images(config, data.x_test[:test])
    labels = checked_labels(config, data.y_test[:test], test)
    given = Samples(images, labels, np.zeros(test, np.int64), 0, data.name, 0)
    state, tally = _after_reset(config, ChipModel.load(path).state_), Tally()
    with BulkChip(emit_loaded(config, contents), simulator) as chip:
        for chunk in given.parts(CHUNK_SAMPLES):
            wanted = Expected.of(config, state, chunk)
            tally.take(config, chunk, wanted, chip.run(chunk.words(config), 0))
            watch(tally)
        tally.states(state, chip.state(), test - 1)
    return {
        "preset": config.name,
        "rule": config.rule_name,
        "config_sha256": config.sha256,
        "weights_sha256": state.weights_sha256,
        "data": data.name,
        "simulator": simulator,
        "simulator_version": version(simulator),
        "loaded_by_host": False,
        "test_samples": test,
        "compared_values": tally.compared,
        "mismatches": tally.mismatches,
        "first_mismatch": None if tally.first is None else vars(tally.first),
        "accuracy": {"model": tally.right_model / test, "rtl": tally.right_rtl / test},
        "cycles_per_test_sample": tally.cycles_test / test,
    }


def _after_reset(config: ChipConfig, learned: State) -> State:
    """What a chip with a model in its memories holds: its banks, and LFSRs as after any reset."""
    banks = {name: learned.banks[name] for name in bank_shapes(config)}
    return State(banks, dict.fromkeys(learning_layers(config), RESET_LFSR))

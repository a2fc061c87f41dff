"""The plain engine, observed as if it were a simulator: what every other way to run must show."""

import numpy as np

from model.arith import Words
from model.chip import PlainChip
from model.contract.config import ChipConfig
from model.contract.result import pack_verdict
from model.network import totals
from model.state import State
from model.trace import Trace
from sim.simulators.observed import Observed


def observe(config: ChipConfig, state: State, samples: list[Words]) -> Observed:
    """Pass samples through from a state, which stays as it is; nothing takes any cycles.

    Counters are those that do not depend on back-pressure.
    """
    trace = Trace.of(config)
    chip = PlainChip(config, state.copy(), trace)
    results = [
        np.array([*scores.tolist(), pack_verdict(verdict)], np.uint32)
        for scores, verdict in filter(None, map(chip.take, samples))  # nothing of an aborted one
    ]
    counters = totals(config, chip.counts) if config.counters else {}
    return Observed(trace, results, 0, 0, 0.0, chip.state, counters)

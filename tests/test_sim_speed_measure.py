"""sim/speed/measure.py: the learning core that simulators are measured on does what it says."""

import numpy as np
import pytest

from sim import tools
from sim.speed.measure import core_bench, core_samples

SAMPLES = 12


def expected(words: np.ndarray) -> tuple[list[int], list[int]]:
    """What goes out, and the words of weights that are written, by plain arithmetic."""
    weights = np.zeros((256, 128), dtype=np.int64)
    state, results, written = 1, [], []
    for *events, mark in words.tolist():
        rows, values = [event >> 8 for event in events], [event & 255 for event in events]
        sums = np.array(values) @ weights[rows]
        results += [int(sums[4 * (mark >> 3 & 31)]) & 0xFFFFFF, mark & 0x1FF | 1 << 31]
        signs = np.array([1 if mark >> lane & 1 else -1 for lane in range(4)])
        for row, value in zip(rows, values, strict=True):
            noise = np.array([state >> lane & 63 for lane in range(4)])
            for group in range(4 * (mark & 7), 4 * (mark & 7) + 4):
                chosen = weights[row, 4 * group : 4 * group + 4]
                chosen[:] = np.clip(chosen + (signs * value + noise >> 6), -127, 127)
                written.append(int.from_bytes(chosen.astype(np.int8).tobytes(), "little"))
            state = state >> 1 ^ (0xB400 if state & 1 else 0)
    return results, written


@pytest.mark.parametrize("simulator", tools.COMPILED)
def test_the_learning_core_adds_and_learns(simulator: str) -> None:
    words = core_samples(SAMPLES, seed=3)
    results, written = expected(words)
    with core_bench(simulator) as bench:
        bench.feed(words.reshape(-1), stalls=0.2, seed=1)
        assert bench.results()[0].tolist() == results
        rows = bench.log(0).rows.astype(np.uint64)
    assert ((rows[:, 0] | rows[:, 1] << np.uint64(32)) >> np.uint64(2) & 0xFFFFFFFF).tolist() == (
        written
    )

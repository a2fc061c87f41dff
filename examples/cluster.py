"""A sweep on a cluster: here one of two workers on this machine, started and stopped by Dask.

    python examples/cluster.py [OUT.csv]

With a scheduler of your own: `drtp model sweep sweep.toml --scheduler tcp://host:8786`. Dask runs
whatever it is sent, without authentication: keep it inside a network you trust.
"""

import sys
from pathlib import Path

from distributed import LocalCluster

from model.study.sweep import read_sweep, sweep, winner

SWEEP = """
preset = "tiny"
data = "digits"
epochs = 1
limit = 300
validation_fraction = 0.2
algorithms = ["drtp", "shallow"]
seeds = [0, 1]

[grid]
weight_bits = [6, 8]
"""


def main(out: Path) -> None:
    """Train eight chips side by side; the winner by validation is tested once."""
    file = out.with_suffix(".toml")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(SWEEP)
    asked = read_sweep(file)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster:
        rows = sweep(asked, out, scheduler=cluster.scheduler_address)
    print(f"{len(rows)} points in {out}")
    best = winner(asked, rows, None)
    assert best is not None
    row, tested = best
    print(f"{row['algorithm']} with {row['weight_bits']} bits: {tested:.2%} of the test samples")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "build/cluster/sweep.csv"))

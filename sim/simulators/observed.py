"""What a run of the hardware yields: the same whichever way it was run.

`sim/simulators/cosim.py` and `sim/simulators/bulk.py` both offer

    observe(config, words, train, state, stalls, seed, simulator, waves) -> Observed

- `config`: the chip; its emitted Verilog is what runs.
- `words`: (n,) uint32, the input words of all samples end to end, each closed by its mark. Words
  go in as they are, malformed events included.
- `train`: how many samples, from the first, count as training; the chip comes to rest after them
  before the others go in. What a sample does stands in its mark.
- `state`: `model.state.State` written through the host bus before the first word.
- `stalls`: probability that the source idles, and that the sink is not ready, in a cycle.
- `seed`: of the stalls and of whatever the Verilog leaves without an initial value.
- `simulator`: a name of `sim/tools/`.
- `waves`: whether waves are recorded.

Both raise `Refusal` where the tool is missing or the chip stands still, naming the sample. Neither
judges: `sim/judge/verify.py` does.
"""

from dataclasses import dataclass

import numpy as np

from model.arith import Words
from model.state import State
from model.trace import Trace


@dataclass(frozen=True)
class Passed:
    """What came out of a chip as samples went through."""

    trace: Trace  #: every boundary's record of every sample; empty if monitors were not logged
    results: list[Words]  #: one array a sample: its output words, split after each tlast
    cycles_train: int  #: clock cycles from the first word of training to rest
    cycles_test: int  #: the same of the samples after training
    seconds: float  #: wall time of the simulation alone


@dataclass(frozen=True)
class Observed(Passed):
    """The same, and what the chip holds at rest afterwards."""

    state: State  #: read back through the host bus
    counters: dict[str, int]  #: every counter of the contract by name; empty if the chip has none


def split_results(words: Words, last: np.ndarray) -> list[Words]:
    """Output words (n,) cut after each that came with tlast (n,); a rest is a piece of its own."""
    ends = np.flatnonzero(last) + 1
    pieces = np.split(words, ends)
    return pieces if len(pieces[-1]) else pieces[:-1]

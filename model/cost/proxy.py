"""Energy proxy: exact counts times a table of sourced costs.

What is priced: accesses to memories by the size of the bank and the width of its word, arithmetic
by the widths of its operands, and the registers of the data path. What is not: the clock tree,
control, wires between blocks, leakage, the host's bus and the pins. A proxy compares designs; it is
no measurement.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from model.contract.config import ChipConfig
from model.contract.counters import Kind, Phase, counters
from model.contract.refusal import Refusal
from model.contract.registers import learning_layers
from model.cost.actions import LEARNED_SAMPLES, Action, Free, Part, actions
from model.cost.tables import Table
from model.cost.technology import TARGET, Technology


@dataclass(frozen=True)
class Bill:
    """Energies in pJ by stage, phase and part, of so many samples."""

    table: str
    technology: Technology
    samples: int
    energies_pj: Mapping[tuple[str, Phase, Part], float]

    def total_pj(
        self, stage: str | None = None, phase: Phase | None = None, part: Part | None = None
    ) -> float:
        """Energy of one sample, of all or of one stage, phase or part."""
        asked = (stage, phase, part)
        return (
            sum(
                energy
                for key, energy in self.energies_pj.items()
                if all(mine in (None, found) for mine, found in zip(asked, key, strict=True))
            )
            / self.samples
        )


def bill(
    config: ChipConfig,
    counts: dict[str, int],
    learned: int,
    table: Table,
    technology: Technology = TARGET,
) -> Bill:
    """Price the counts of a run.

    Parameters: `counts` by dotted name, those of kind `ACTIVITY` at least; `learned`, how many of
    the samples were learned. Energies are per sample of the run.
    Raises `Refusal` where an action has no price, or a price no action.
    """
    priced = actions(config)
    _check_prices(config, priced)
    steps: dict[str, int] = {
        name: counts[name] for name in priced if not name.endswith(LEARNED_SAMPLES)
    }
    steps |= {f"{layer}.{LEARNED_SAMPLES}": learned for layer in learning_layers(config)}
    energies: defaultdict[tuple[str, Phase, Part], float] = defaultdict(float)
    for name, action in priced.items():
        if isinstance(action, Free) or not steps[name]:
            continue
        stage = name.partition(".")[0]
        for use in action:
            energy = use.operation.energy_pj(table, technology) * use.times * steps[name]
            energies[stage, use.phase, use.operation.part] += energy
    return Bill(table.name, technology, counts["encode.samples"], dict(energies))


def overhead(learned: float, plain: float) -> float:
    """How much more one figure is than another, as a share of the other."""
    return learned / plain - 1


def _check_prices(config: ChipConfig, priced: Mapping[str, Action]) -> None:
    """Refuse an action without a price and a price without an action."""
    declared = {c.name for c in counters(config) if c.kind is Kind.ACTIVITY}
    declared |= {f"{layer}.{LEARNED_SAMPLES}" for layer in learning_layers(config)}
    for names, trouble in (
        (declared - set(priced), "has no price; give it one in model/cost/actions.py"),
        (set(priced) - declared, "is priced but not counted; take it out of model/cost/actions.py"),
    ):
        if names:
            raise Refusal(f"the action {min(names)} {trouble}")

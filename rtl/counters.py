"""The counter bank: counts in silicon what `model.contract.counters` declares."""

from amaranth.lib import data

from model.contract.config import ChipConfig
from model.contract.counters import of_stage


def steps_layout(config: ChipConfig, stage: str) -> data.StructLayout:
    """What a stage tells the counter bank in every cycle: a step for each of its counters."""
    return data.StructLayout(
        {counter.event: counter.most.bit_length() for counter in of_stage(config, stage)}
    )

"""What a host can learn of a chip from its registers alone: sizes, and the form of its banks."""

from dataclasses import dataclass

from model.contract.config import ChipConfig
from model.contract.counters import counters
from model.contract.stages import stage_names
from model.contract.storage import host_banks

KINDS = ("kernels", "weights", "modulation")  #: of the banks that the host reaches


@dataclass(frozen=True)
class BankForm:
    """One bank of the host's: `words` words of `lanes` codes of `code_bits` bits.

    `kind`: its place in `KINDS`; `stage`: that of its stage in the order of the data.
    """

    words: int
    lanes: int
    code_bits: int
    kind: int
    stage: int


@dataclass(frozen=True)
class Geometry:
    """Sizes of a chip: of its input, its output, and what lies behind its registers.

    `time_top`: time at which nothing fires any more; `event_limit`: most events a sample, 0 where
    there is no limit; `seeds`, `counters`: how many there are.
    """

    width: int
    height: int
    channels: int
    classes: int
    rate_steps: int
    time_top: int
    event_limit: int
    seeds: int
    counters: int
    banks: tuple[BankForm, ...]


def geometry(config: ChipConfig) -> Geometry:
    """The geometry of a chip."""
    stages = stage_names(config)
    return Geometry(
        width=config.width,
        height=config.height,
        channels=config.channels,
        classes=config.readout.classes,
        rate_steps=config.rate_steps,
        time_top=config.time_top,
        event_limit=config.event_limit or 0,
        seeds=sum(shape.learns for shape in config.layer_shapes),
        counters=len(counters(config)) if config.counters else 0,
        banks=tuple(
            BankForm(
                bank.words,
                bank.lanes,
                bank.code.bits,
                KINDS.index(bank.kind),
                stages.index(bank.stage),
            )
            for bank in host_banks(config)
        ),
    )

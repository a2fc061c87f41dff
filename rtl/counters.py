"""The counter bank: counts in silicon what `model.contract.counters` declares."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from model.contract.config import ChipConfig
from model.contract.counters import COUNTER_BITS, counters, of_stage
from model.contract.stages import stage_names


def steps_layout(config: ChipConfig, stage: str) -> data.StructLayout:
    """What a stage tells the counter bank in every cycle: a step for each of its counters."""
    return data.StructLayout(
        {counter.event: counter.most.bit_length() for counter in of_stage(config, stage)}
    )


class CounterBank(wiring.Component):
    """One counter of 48 bits for each entry of `model.contract.counters.counters`.

    Members:

    - `count_<stage>`: the steps of the stage's counters in this cycle, as `steps_layout` says.
    - `clear`: all counters start again from zero; the steps of its own cycle count already.
    - `index`, `value`: the place of a counter in `counters(config)`, and its count.

    Timing: a step shows in `value` one cycle later; `value` follows `index` in the same cycle.
    """

    def __init__(self, config: ChipConfig) -> None:
        self._counters = counters(config)
        steps = {f"count_{stage}": In(steps_layout(config, stage)) for stage in stage_names(config)}
        super().__init__(
            {
                **steps,
                "clear": In(1),
                "index": In(range(len(self._counters))),
                "value": Out(COUNTER_BITS),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        counts = []
        for counter in self._counters:
            count = Signal(COUNTER_BITS, name=counter.name.replace(".", "_"))
            if counter.stage == "chip":
                step = 1  # chip.cycles
            else:
                step = getattr(self, f"count_{counter.stage}")[counter.event]
            m.d.sync += count.eq(Mux(self.clear, 0, count) + step)
            counts.append(count)
        with m.Switch(self.index):
            for place, count in enumerate(counts):
                with m.Case(place):
                    m.d.comb += self.value.eq(count)
        return m

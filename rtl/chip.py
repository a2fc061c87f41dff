"""The chip: the stages in the order of the data, and the host's side. Twin: `model/chip.py`."""

from amaranth.hdl import Cat, Elaboratable, Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from model.contract.config import ChipConfig
from model.contract.event import WORD_BITS
from model.contract.registers import learning_layers
from model.contract.result import VERDICT_AT
from model.contract.stages import boundaries, stage_names
from model.contract.storage import host_banks
from rtl.beat import connect_items
from rtl.conv import Conv
from rtl.counters import CounterBank
from rtl.encode import Encode
from rtl.hidden import Hidden
from rtl.host.registers import Registers
from rtl.ports import HostBus
from rtl.readout import Readout


class Chip(wiring.Component):
    """The processor without its outer bus.

    Members: `events` and `results` (words of `model.contract.event` and `.result`), `host`,
    `irq` (as the host asked for it), and one `monitor_*` port a boundary of
    `model.contract.stages`; a monitor left open costs nothing.
    Timing: stages overlap: while a layer learns from one sample, the stages before it take the
    next. A sample's marks travel with its data, so results do not depend on when words arrive.
    """

    def __init__(self, config: ChipConfig) -> None:
        self.config = config
        monitors = {b.port: Out(b.port_bits) for b in boundaries(config)}
        super().__init__(
            {
                "events": In(stream.Signature(WORD_BITS)),
                "results": Out(stream.Signature(32)),
                "host": In(HostBus),
                "irq": Out(1),
                **monitors,
            }
        )

    def elaborate(self, platform: object) -> Elaboratable:
        """Build the stages and connect them."""
        m = Module()
        config = self.config
        m.submodules.encode = encode = Encode(config)
        convs = [Conv(config, number) for number in range(len(config.conv))]
        hiddens = [Hidden(config, number) for number in range(len(config.hidden))]
        readout = Readout(config)
        stages = dict(zip(stage_names(config), [encode, *convs, *hiddens, readout], strict=True))
        for name, stage in list(stages.items())[1:]:
            m.submodules[name] = stage

        wiring.connect(m, wiring.flipped(self.events), encode.words)
        source = encode.events
        for conv in convs:
            wiring.connect(m, source, conv.events)
            source = conv.features
        for hidden in hiddens:
            connect_items(m, source, hidden.items)
            source = hidden.activations
        connect_items(m, source, readout.items)
        wiring.connect(m, wiring.flipped(self.results), readout.results)
        if readout.sends_errors:
            for hidden in hiddens:
                m.d.comb += [
                    hidden.errors.valid.eq(readout.errors.valid),
                    hidden.errors.payload.eq(readout.errors.payload),
                ]
        for boundary in boundaries(config):
            monitor = getattr(stages[boundary.stage], f"monitor_{boundary.record}")
            m.d.comb += getattr(self, boundary.port).eq(monitor)
        self._host_side(m, stages)
        return m

    def _host_side(self, m: Module, stages: dict[str, wiring.Component]) -> None:
        """Registers, the banks and seeds behind them, and the counters."""
        config = self.config
        m.submodules.registers = registers = Registers(config)
        wiring.connect(m, wiring.flipped(self.host), registers.host)
        members = {"kernels": "kernels", "weights": "weights", "modulation": "projection"}
        for number, bank in enumerate(host_banks(config)):
            wiring.connect(
                m,
                getattr(registers, f"bank_{number}"),
                getattr(stages[bank.stage], members[bank.kind]),
            )
        for number, layer in enumerate(learning_layers(config)):
            wiring.connect(m, getattr(registers, f"seed_{number}"), stages[layer].seed)
        encode = stages["encode"]
        m.d.comb += [
            registers.busy.eq(Cat(stage.busy for stage in stages.values()).any()),
            registers.dropped.eq(encode.dropped),
            registers.refused.eq(encode.refused),
            registers.verdict.eq(self.results.valid & self.results.payload[VERDICT_AT]),
            encode.drop.eq(registers.drop),
            encode.freeze.eq(registers.freeze),
            self.irq.eq(registers.irq),
        ]
        if not config.counters:
            return
        m.submodules.counters = counters = CounterBank(config)
        # A cycle late, steps and clearing alike, so that no path through a stage ends in a sum.
        for name, stage in stages.items():
            m.d.sync += getattr(counters, f"count_{name}").eq(stage.count)
        m.d.sync += counters.clear.eq(registers.clear)
        m.d.comb += [
            counters.index.eq(registers.counter_index),
            registers.counter_value.eq(counters.value),
        ]

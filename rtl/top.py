"""The chip's outer face: AXI4-Stream for events and results, AXI4-Lite for the host.

Protocols: Arm IHI 0051 (AXI4-Stream) and IHI 0022 (AXI4-Lite).
"""

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from model.contract import event, result
from model.contract.config import ChipConfig
from model.contract.stages import boundaries
from rtl.chip import Chip
from rtl.host.axi import LITE, LiteBridge

STREAMS = {
    "s_axis_tdata": In(event.WORD_BITS),
    "s_axis_tvalid": In(1),
    "s_axis_tready": Out(1),
    "s_axis_tlast": In(1),
    "m_axis_tdata": Out(result.VERDICT_AT + 1),
    "m_axis_tvalid": Out(1),
    "m_axis_tready": In(1),
    "m_axis_tlast": Out(1),
}


#: Clock and reset by how the reset is named: active high, or low as AXI has it.
RESETS = {"rst": ("clk", "rst"), "aresetn": ("aclk", "aresetn")}


class AxiTop(wiring.Component):
    """The chip behind AXI: what `rtl.emit` writes as Verilog.

    Parameters: `config`; `reset`, one of `RESETS`, always synchronous; `monitors`, whether there
    are any. Members: clock and reset where they are AXI's (else they are the domain's own); the
    signals of `STREAMS` (words of `model.contract.event` in and of `.result` out; `s_axis_tlast` is
    ignored, `m_axis_tlast` accompanies the verdict), those of `LITE` (the registers of
    `model.contract.registers`), `irq`, and one `monitor_*` output a boundary of
    `model.contract.stages` unless they are left out.
    Timing: streams and monitors are those of `Chip`, the host's accesses those of `LiteBridge`.
    """

    def __init__(self, config: ChipConfig, reset: str = "rst", monitors: bool = True) -> None:
        self._config = config
        self.monitors = monitors
        self._boundaries = boundaries(config) if monitors else ()
        self._own_domain = reset != "rst"
        wires = {name: In(1) for name in RESETS[reset] if self._own_domain}
        shown = {boundary.port: Out(boundary.port_bits) for boundary in self._boundaries}
        super().__init__({**wires, **STREAMS, **LITE, "irq": Out(1), **shown})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self._own_domain:
            m.domains.sync = sync = ClockDomain()
            m.d.comb += [sync.clk.eq(self.aclk), sync.rst.eq(~self.aresetn)]
        m.submodules.chip = chip = Chip(self._config)
        m.submodules.bridge = bridge = LiteBridge()
        connect(m, bridge.host, chip.host)
        for name, member in LITE.items():
            ours, its = getattr(self, name), getattr(bridge, name)
            m.d.comb += its.eq(ours) if member.flow is In else ours.eq(its)
        m.d.comb += [
            chip.events.payload.eq(self.s_axis_tdata),
            chip.events.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(chip.events.ready),
            self.m_axis_tdata.eq(chip.results.payload),
            self.m_axis_tvalid.eq(chip.results.valid),
            self.m_axis_tlast.eq(chip.results.payload[result.VERDICT_AT]),
            chip.results.ready.eq(self.m_axis_tready),
            self.irq.eq(chip.irq),
        ]
        for boundary in self._boundaries:
            m.d.comb += getattr(self, boundary.port).eq(getattr(chip, boundary.port))
        return m

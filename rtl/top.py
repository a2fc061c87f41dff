"""The chip's outer face: AXI4-Stream for events and results, AXI4-Lite for the host, a camera.

Protocols: Arm IHI 0051 (AXI4-Stream) and IHI 0022 (AXI4-Lite).
"""

from amaranth.hdl import ClockDomain, Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from model.contract import event, result
from model.contract.config import ChipConfig
from model.contract.stages import boundaries
from rtl.chip import Chip
from rtl.host.aer import Aer, pins
from rtl.host.axi import LITE, LiteBridge
from rtl.ports import pass_on

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


def camera_ports(config: ChipConfig, tick: int | None) -> dict[str, wiring.Member]:
    """The ports of a camera's bus before the chip, where there is one.

    `tick`: clock cycles a step of time of its events, which go in between the stream's words. The
    docstring of `AxiTop`, which stands in its Verilog, is that of a top without.
    """
    return {f"aer_{name}": member for name, member in pins(config).items()} if tick else {}


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

    def __init__(
        self,
        config: ChipConfig,
        reset: str = "rst",
        monitors: bool = True,
        tick: int | None = None,
    ) -> None:
        self._config = config
        self._tick = tick
        self.monitors = monitors
        self._boundaries = boundaries(config) if monitors else ()
        self._own_domain = reset != "rst"
        wires = {name: In(1) for name in RESETS[reset] if self._own_domain}
        shown = {boundary.port: Out(boundary.port_bits) for boundary in self._boundaries}
        super().__init__(
            {**wires, **STREAMS, **LITE, "irq": Out(1), **camera_ports(config, tick), **shown}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self._own_domain:
            m.domains.sync = sync = ClockDomain()
            m.d.comb += [sync.clk.eq(self.aclk), sync.rst.eq(~self.aresetn)]
        m.submodules.chip = chip = Chip(self._config)
        m.submodules.bridge = bridge = LiteBridge()
        connect(m, bridge.host, chip.host)
        pass_on(m, self, bridge, LITE)
        words = chip.events
        if self._tick:
            m.submodules.camera = camera = Aer(self._config, self._tick)
            pass_on(m, self, camera, pins(self._config), "aer_")
            connect(m, camera.words, chip.events)
            words = camera.host
        m.d.comb += [
            words.payload.eq(self.s_axis_tdata),
            words.valid.eq(self.s_axis_tvalid),
            self.s_axis_tready.eq(words.ready),
            self.m_axis_tdata.eq(chip.results.payload),
            self.m_axis_tvalid.eq(chip.results.valid),
            self.m_axis_tlast.eq(chip.results.payload[result.VERDICT_AT]),
            chip.results.ready.eq(self.m_axis_tready),
            self.irq.eq(chip.irq),
        ]
        for boundary in self._boundaries:
            m.d.comb += getattr(self, boundary.port).eq(getattr(chip, boundary.port))
        return m

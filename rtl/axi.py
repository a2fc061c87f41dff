"""The chip's outer face: AXI4-Stream for events and results, AXI4-Lite for the host.

Protocols: Arm IHI 0051 (AXI4-Stream) and IHI 0022 (AXI4-Lite).
"""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect

from model.contract import event, result
from model.contract.config import ChipConfig
from model.contract.registers import ADDRESS_BITS
from model.contract.stages import boundaries
from rtl.chip import Chip
from rtl.registers import BUS_BITS, HostBus

OKAY, SLVERR = 0b00, 0b10

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

LITE = {
    "s_axil_awaddr": In(ADDRESS_BITS),
    "s_axil_awprot": In(3),
    "s_axil_awvalid": In(1),
    "s_axil_awready": Out(1),
    "s_axil_wdata": In(BUS_BITS),
    "s_axil_wstrb": In(BUS_BITS // 8),
    "s_axil_wvalid": In(1),
    "s_axil_wready": Out(1),
    "s_axil_bresp": Out(2),
    "s_axil_bvalid": Out(1),
    "s_axil_bready": In(1),
    "s_axil_araddr": In(ADDRESS_BITS),
    "s_axil_arprot": In(3),
    "s_axil_arvalid": In(1),
    "s_axil_arready": Out(1),
    "s_axil_rdata": Out(BUS_BITS),
    "s_axil_rresp": Out(2),
    "s_axil_rvalid": Out(1),
    "s_axil_rready": In(1),
}


class LiteBridge(wiring.Component):
    """An AXI4-Lite subordinate that asks the host bus.

    Members: the signals of `LITE`, and `host`.

    One access at a time. A write waits for its address and its data, in whichever order they come;
    where a read waits too, the two kinds take turns. An access starts only when the response before
    it of its own kind was taken, so a response that nobody takes holds up nothing of the other
    kind. An error of the host bus, and a write of less than four bytes, answer SLVERR; the latter
    never reaches the bus. `awprot` and `arprot` are ignored. No output depends on an input within a
    cycle.
    Timing: with `Registers` behind it, a response is valid four cycles after its request is all
    there, and the request is taken two cycles after.
    """

    def __init__(self) -> None:
        super().__init__({**LITE, "host": Out(HostBus)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        request, response = self.host.request, self.host.response
        write_waits, read_waits, writing = Signal(), Signal(), Signal()
        m.d.comb += [
            write_waits.eq(self.s_axil_awvalid & self.s_axil_wvalid & ~self.s_axil_bvalid),
            read_waits.eq(self.s_axil_arvalid & ~self.s_axil_rvalid),
            request.p.write.eq(writing),
            request.p.address.eq(Mux(writing, self.s_axil_awaddr, self.s_axil_araddr)),
            request.p.data.eq(self.s_axil_wdata),
        ]
        with m.If(self.s_axil_bready):
            m.d.sync += self.s_axil_bvalid.eq(0)
        with m.If(self.s_axil_rready):
            m.d.sync += self.s_axil_rvalid.eq(0)

        with m.FSM(name="access"):
            with m.State("IDLE"):
                # `writing` still tells which kind came last: the other goes first now.
                with m.If(write_waits & ~(read_waits & writing)):
                    m.d.sync += writing.eq(1)
                    m.next = "ASK"
                    with m.If(~self.s_axil_wstrb.all()):
                        m.next = "REFUSE"
                with m.Elif(read_waits):
                    m.d.sync += writing.eq(0)
                    m.next = "ASK"
            with m.State("REFUSE"):
                m.d.comb += [self.s_axil_awready.eq(1), self.s_axil_wready.eq(1)]
                m.d.sync += [self.s_axil_bvalid.eq(1), self.s_axil_bresp.eq(SLVERR)]
                m.next = "IDLE"
            with m.State("ASK"):
                m.d.comb += request.valid.eq(1)
                with m.If(request.ready):
                    m.d.comb += [
                        self.s_axil_awready.eq(writing),
                        self.s_axil_wready.eq(writing),
                        self.s_axil_arready.eq(~writing),
                    ]
                    m.next = "HEAR"
            with m.State("HEAR"):
                m.d.comb += response.ready.eq(1)
                with m.If(response.valid):
                    answer = Mux(response.p.error, SLVERR, OKAY)
                    with m.If(writing):
                        m.d.sync += [self.s_axil_bvalid.eq(1), self.s_axil_bresp.eq(answer)]
                    with m.Else():
                        m.d.sync += [
                            self.s_axil_rvalid.eq(1),
                            self.s_axil_rresp.eq(answer),
                            self.s_axil_rdata.eq(response.p.data),
                        ]
                    m.next = "IDLE"
        return m


class AxiTop(wiring.Component):
    """The chip behind AXI: what `rtl.emit` writes as Verilog.

    Members: the signals of `STREAMS` (words of `model.contract.event` in and of `.result` out;
    `s_axis_tlast` is ignored, `m_axis_tlast` accompanies the verdict), those of `LITE` (the
    registers of `model.contract.registers`), and one `monitor_*` output a boundary of
    `model.contract.stages`.
    Timing: streams and monitors are those of `Chip`, the host's accesses those of `LiteBridge`.
    """

    def __init__(self, config: ChipConfig) -> None:
        self._config = config
        monitors = {boundary.port: Out(boundary.port_bits) for boundary in boundaries(config)}
        super().__init__({**STREAMS, **LITE, **monitors})

    def elaborate(self, platform: object) -> Module:
        m = Module()
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
        ]
        for boundary in boundaries(self._config):
            m.d.comb += getattr(self, boundary.port).eq(getattr(chip, boundary.port))
        return m

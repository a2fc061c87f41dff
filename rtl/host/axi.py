"""AXI4-Lite to the host bus. Protocol: Arm IHI 0022."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from model.contract.registers import ADDRESS_BITS
from rtl.ports import BUS_BITS, HostBus

OKAY, SLVERR = 0b00, 0b10

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

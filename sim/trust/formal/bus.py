"""The AXI4-Lite bridge between a master and a host bus that keep to their protocols alone."""

from types import ModuleType

from amaranth.hdl import Mux, Signal

from sim.trust.formal.proof import Claim, Subject
from sim.trust.formal.watch import Watch

SLVERR = 0b10
PROMPT_CYCLES = 8  #: from a write that waits to its taking: an access of the other kind, its own


def watch(rtl: ModuleType) -> Watch:
    """The master keeps what it offers until it is taken; the host answers what it took, once."""
    bridge = rtl.LiteBridge()
    w = Watch(bridge)
    b = bridge
    request, response = b.host.request, b.host.response
    asked, heard = request.valid & request.ready, response.valid & response.ready
    wrote, read = b.s_axil_awvalid & b.s_axil_awready, b.s_axil_arvalid & b.s_axil_arready
    whole = b.s_axil_wstrb.all()
    owed = w.between(asked, heard, "owed")
    w.assumed += [
        w.kept(b.s_axil_awvalid, b.s_axil_awready, b.s_axil_awaddr),
        w.kept(b.s_axil_wvalid, b.s_axil_wready, b.s_axil_wdata, b.s_axil_wstrb),
        w.kept(b.s_axil_arvalid, b.s_axil_arready, b.s_axil_araddr),
        ~response.valid | owed,
    ]

    # What the master must hear: of a write and of a read, and whether it is still to come.
    to_write = w.between(wrote, b.s_axil_bvalid & b.s_axil_bready, "to_write")
    to_read = w.between(read, b.s_axil_rvalid & b.s_axil_rready, "to_read")
    kind, whole_before = Signal(), Signal()
    told_write, told_read, told_data = Signal(2), Signal(2), Signal(32)
    with w.m.If(wrote):
        w.m.d.sync += whole_before.eq(whole)
        with w.m.If(~whole):
            w.m.d.sync += told_write.eq(SLVERR)
    with w.m.If(asked):
        w.m.d.sync += kind.eq(request.p.write)
    with w.m.If(heard):
        answer = Mux(response.p.error, SLVERR, 0)
        with w.m.If(kind):
            w.m.d.sync += told_write.eq(answer)
        with w.m.Else():
            w.m.d.sync += [told_read.eq(answer), told_data.eq(response.p.data)]

    prompt = (~request.valid | request.ready) & (~owed | response.valid)
    waits = b.s_axil_awvalid & b.s_axil_wvalid & ~b.s_axil_bvalid & ~b.s_axil_awready
    waited = Signal(range(PROMPT_CYCLES + 2))
    w.m.d.sync += waited.eq(Mux(waits & prompt, waited + (waited <= PROMPT_CYCLES), 0))

    w.claims |= {
        "holds": w.kept(b.s_axil_bvalid, b.s_axil_bready, b.s_axil_bresp)
        & w.kept(b.s_axil_rvalid, b.s_axil_rready, b.s_axil_rdata, b.s_axil_rresp),
        "together": (b.s_axil_awready == b.s_axil_wready)
        & (~b.s_axil_awready | (b.s_axil_awvalid & b.s_axil_wvalid))
        & (~b.s_axil_arready | b.s_axil_arvalid),
        "asks": ~request.valid
        | Mux(
            request.p.write,
            b.s_axil_awvalid
            & b.s_axil_wvalid
            & whole
            & (request.p.address == b.s_axil_awaddr)
            & (request.p.data == b.s_axil_wdata),
            b.s_axil_arvalid & (request.p.address == b.s_axil_araddr),
        ),
        "once": ((asked & request.p.write) == (wrote & whole))
        & ((asked & ~request.p.write) == read)
        & (~b.s_axil_bvalid | to_write)
        & (~b.s_axil_rvalid | to_read)
        & ~(wrote & to_write)
        & ~(read & to_read),
        "answer": (~b.s_axil_bvalid | (b.s_axil_bresp == told_write))
        & (~b.s_axil_rvalid | ((b.s_axil_rresp == told_read) & (b.s_axil_rdata == told_data))),
        "refuses": ~w.past(wrote & ~whole) | (b.s_axil_bvalid & (b.s_axil_bresp == SLVERR)),
        "bound": waited <= PROMPT_CYCLES,
    }
    w.scenes |= {
        "write": b.s_axil_bvalid & (b.s_axil_bresp == 0),
        "refused": b.s_axil_bvalid & (b.s_axil_bresp == SLVERR) & ~whole_before,
        "error": b.s_axil_rvalid & (b.s_axil_rresp == SLVERR),
        "both": to_write & to_read,
        "stalled": w.past(b.s_axil_rvalid & ~b.s_axil_rready),
        "turns": waits & to_read,
    }
    idle, refuse, ask, hear = (
        w.ongoing("access", state) for state in ("IDLE", "REFUSE", "ASK", "HEAR")
    )
    writing = w.inside("writing")
    w.lemmas += [
        owed == hear,
        ~owed | (kind == writing),
        ~((refuse | ask) & writing) | (b.s_axil_awvalid & b.s_axil_wvalid),
        ~refuse | (writing & ~whole),
        ~(ask & writing) | whole,
        ~(ask & ~writing) | b.s_axil_arvalid,
        to_write == (b.s_axil_bvalid | (hear & writing)),
        to_read == (b.s_axil_rvalid | (hear & ~writing)),
        idle | ~Mux(writing, b.s_axil_bvalid, b.s_axil_rvalid),
    ]
    return w


SUBJECT = Subject(
    "AXI bridge",
    "rtl.host.axi",
    watch,
    {
        "holds": Claim(
            "an answer and its data stay until they are taken",
            "with m.If(self.s_axil_rready):",
            "with m.If(1):",
        ),
        "together": Claim(
            "a write's address and data are taken in one cycle, nothing that is not offered is",
            "write_waits.eq(self.s_axil_awvalid & self.s_axil_wvalid & ~self.s_axil_bvalid)",
            "write_waits.eq(self.s_axil_awvalid & ~self.s_axil_bvalid)",
        ),
        "asks": Claim(
            "the host is asked for what the master offers, and for no write of fewer than 4 bytes",
            "with m.If(~self.s_axil_wstrb.all()):",
            "with m.If(~self.s_axil_wstrb.any()):",
        ),
        "once": Claim(
            "each access that is taken is asked once and answered once, none other",
            "self.s_axil_arready.eq(~writing)",
            "self.s_axil_arready.eq(1)",
        ),
        "answer": Claim(
            "the answer is that of the host to this access",
            "self.s_axil_rdata.eq(response.p.data)",
            "self.s_axil_rdata.eq(request.p.data)",
        ),
        "refuses": Claim(
            "a write of fewer than 4 bytes is answered SLVERR a cycle later",
            "self.s_axil_bresp.eq(SLVERR)]",
            "self.s_axil_bresp.eq(OKAY)]",
        ),
        "bound": Claim(
            f"while host and master are prompt, a write waits for {PROMPT_CYCLES} cycles at most",
            'm.next = "HEAR"',
            'm.next = "ASK"',
        ),
    },
    depth=16,
    induction=6,
)

// A system of one's own around an emitted chip: `drtp rtl emit --preset tiny --reset aresetn
// --no-monitors`. Its bus has addresses of 32 bits, of which an interconnect before it has decoded
// those above the chip's 12; its reset is a button, which falls and rises at any time.
module system (
  input         clk,
  input         reset_n,
  // events in, scores and verdicts out
  input  [31:0] s_axis_tdata,
  input         s_axis_tvalid,
  output        s_axis_tready,
  output [31:0] m_axis_tdata,
  output        m_axis_tvalid,
  input         m_axis_tready,
  output        m_axis_tlast,
  // registers, weights, counters
  input  [31:0] s_axil_awaddr,
  input  [2:0]  s_axil_awprot,
  input         s_axil_awvalid,
  output        s_axil_awready,
  input  [31:0] s_axil_wdata,
  input  [3:0]  s_axil_wstrb,
  input         s_axil_wvalid,
  output        s_axil_wready,
  output [1:0]  s_axil_bresp,
  output        s_axil_bvalid,
  input         s_axil_bready,
  input  [31:0] s_axil_araddr,
  input  [2:0]  s_axil_arprot,
  input         s_axil_arvalid,
  output        s_axil_arready,
  output [31:0] s_axil_rdata,
  output [1:0]  s_axil_rresp,
  output        s_axil_rvalid,
  input         s_axil_rready,
  output        irq
);
  // The chip's reset is synchronous: it falls with the button and rises with the clock.
  reg [1:0] risen = 2'b00;
  always @(posedge clk or negedge reset_n)
    if (!reset_n) risen <= 2'b00;
    else risen <= {risen[0], 1'b1};

  tiny chip (
    .aclk(clk),
    .aresetn(risen[1]),
    .s_axis_tdata(s_axis_tdata),
    .s_axis_tvalid(s_axis_tvalid),
    .s_axis_tready(s_axis_tready),
    .s_axis_tlast(1'b0),  // ignored: the mark ends a sample
    .m_axis_tdata(m_axis_tdata),
    .m_axis_tvalid(m_axis_tvalid),
    .m_axis_tready(m_axis_tready),
    .m_axis_tlast(m_axis_tlast),
    .s_axil_awaddr(s_axil_awaddr[11:0]),
    .s_axil_awprot(s_axil_awprot),
    .s_axil_awvalid(s_axil_awvalid),
    .s_axil_awready(s_axil_awready),
    .s_axil_wdata(s_axil_wdata),
    .s_axil_wstrb(s_axil_wstrb),
    .s_axil_wvalid(s_axil_wvalid),
    .s_axil_wready(s_axil_wready),
    .s_axil_bresp(s_axil_bresp),
    .s_axil_bvalid(s_axil_bvalid),
    .s_axil_bready(s_axil_bready),
    .s_axil_araddr(s_axil_araddr[11:0]),
    .s_axil_arprot(s_axil_arprot),
    .s_axil_arvalid(s_axil_arvalid),
    .s_axil_arready(s_axil_arready),
    .s_axil_rdata(s_axil_rdata),
    .s_axil_rresp(s_axil_rresp),
    .s_axil_rvalid(s_axil_rvalid),
    .s_axil_rready(s_axil_rready),
    .irq(irq)
  );
endmodule

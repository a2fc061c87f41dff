// A learning core in small, to measure ways to run Verilog on: four lanes, 32 KiB of weights.
//
// A word {row, value} adds value * weights[row][group] to the sums of 32 groups of four neurons, a
// group a cycle. A mark ends the sample: the sum that it names goes out, then the verdict, then
// the row of each word of the sample learns in the four groups that the mark names, with stochastic
// rounding: a weight is read in one cycle and written in the next. Ports are those of a chip.
module core(
  input clk, input rst,
  input [31:0] s_axis_tdata, input s_axis_tvalid, output s_axis_tready, input s_axis_tlast,
  output [31:0] m_axis_tdata, output m_axis_tvalid, input m_axis_tready, output m_axis_tlast,
  input [11:0] s_axil_awaddr, input [2:0] s_axil_awprot,
  input s_axil_awvalid, output s_axil_awready,
  input [31:0] s_axil_wdata, input [3:0] s_axil_wstrb, input s_axil_wvalid, output s_axil_wready,
  output [1:0] s_axil_bresp, output reg s_axil_bvalid, input s_axil_bready,
  input [11:0] s_axil_araddr, input [2:0] s_axil_arprot,
  input s_axil_arvalid, output s_axil_arready,
  output [31:0] s_axil_rdata, output [1:0] s_axil_rresp,
  output reg s_axil_rvalid, input s_axil_rready,
  output [46:0] monitor_updates
);
  localparam TAKE = 0, ADD = 1, SCORE = 2, VERDICT = 3, READ = 4, WRITE = 5;
  reg [31:0] weights [0:8191];
  reg [95:0] sums [0:31];
  reg [15:0] queue [0:255];
  reg [2:0] phase;
  reg [31:0] mark, word;
  reg [15:0] item, state;
  reg [7:0] taken, learned;
  reg [4:0] group, added;
  reg adding, first, ended;

  wire beat = s_axis_tvalid & s_axis_tready;
  wire last = learned == taken - 8'd1;
  wire writing = phase == WRITE;
  wire learns = mark[8] & taken != 0;
  wire [15:0] replayed = queue[learned];
  wire [7:0] value = writing ? replayed[7:0] : item[7:0];
  wire [12:0] address = phase == ADD ? {item[15:8], group}
                                     : {replayed[15:8], mark[2:0], group[1:0]};
  wire [95:0] held = first ? 96'b0 : sums[added];
  wire [95:0] after;
  wire [31:0] updated;
  genvar lane;
  generate
    for (lane = 0; lane < 4; lane = lane + 1) begin : lanes
      wire signed [7:0] weight = word[8*lane +: 8];
      wire signed [23:0] sum = held[24*lane +: 24];
      wire signed [8:0] factor = {1'b0, value};
      assign after[24*lane +: 24] = sum + factor * weight;
      wire signed [9:0] change = mark[lane] ? factor : -factor;
      wire signed [11:0] rounded = (change + $signed({1'b0, state[lane +: 6]})) >>> 6;
      wire signed [11:0] raised = weight + rounded;
      assign updated[8*lane +: 8] = raised > 127 ? 8'd127 : raised < -127 ? -8'd127 : raised[7:0];
    end
  endgenerate

  assign s_axis_tready = phase == TAKE;
  assign m_axis_tvalid = phase == SCORE | phase == VERDICT;
  assign m_axis_tlast = phase == VERDICT;
  assign m_axis_tdata = phase == VERDICT ? {1'b1, 22'b0, mark[8:0]}
                                         : {8'b0, sums[mark[7:3]][23:0]};
  assign monitor_updates = {address, updated, ended, writing | ended};

  always @(posedge clk) begin
    adding <= phase == ADD;
    ended <= writing ? last & group[1:0] == 3 : phase == VERDICT & m_axis_tready & ~learns;
    added <= group;
    if (adding) sums[added] <= after;
    if (phase == ADD | phase == READ) word <= weights[address];
    case (phase)
      TAKE: if (beat) begin
        if (s_axis_tdata[31]) begin mark <= s_axis_tdata; phase <= SCORE; end
        else begin
          item <= s_axis_tdata[15:0];
          queue[taken] <= s_axis_tdata[15:0];
          taken <= taken + 1;
          first <= taken == 0;
          phase <= ADD;
        end
        group <= 0;
      end
      ADD: begin
        group <= group + 1;
        if (group == 31) phase <= TAKE;
      end
      SCORE: if (m_axis_tready) phase <= VERDICT;
      VERDICT: if (m_axis_tready) begin
        phase <= learns ? READ : TAKE;
        if (~mark[8]) taken <= 0;
        learned <= 0;
      end
      READ: phase <= WRITE;
      WRITE: begin
        if (~rst) weights[address] <= updated;
        group <= group + 1;
        phase <= READ;
        if (group[1:0] == 3) begin
          group <= 0;
          learned <= learned + 1;
          state <= {1'b0, state[15:1]} ^ (state[0] ? 16'hB400 : 16'h0000);
          if (last) begin phase <= TAKE; taken <= 0; end
        end
      end
      default: phase <= TAKE;
    endcase
    if (rst) begin phase <= TAKE; taken <= 0; adding <= 0; ended <= 0; state <= 1; end
  end

  // Of the host's registers there is one, which tells whether the core works: 0x08.
  assign s_axil_awready = s_axil_awvalid & s_axil_wvalid & ~s_axil_bvalid;
  assign s_axil_wready = s_axil_awready;
  assign s_axil_bresp = 2;
  assign s_axil_arready = s_axil_arvalid & ~s_axil_rvalid;
  assign s_axil_rdata = {31'b0, phase != TAKE | ended};
  assign s_axil_rresp = 0;
  always @(posedge clk) begin
    s_axil_bvalid <= ~rst & (s_axil_awready | s_axil_bvalid & ~s_axil_bready);
    s_axil_rvalid <= ~rst & (s_axil_arready | s_axil_rvalid & ~s_axil_rready);
  end

  integer place;
  initial for (place = 0; place < 8192; place = place + 1) weights[place] = 0;
endmodule

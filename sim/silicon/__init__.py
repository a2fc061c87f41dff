"""What a chip takes: cells, FPGA resources, clocks, nets that toggle, energy and area proxies."""

"""Warnings of Verilator that the emitted Verilog may raise, and the file that says so."""

#: Warnings of Verilator that generated Verilog may raise: width and style, nothing else.
WAIVERS = {
    "WIDTHEXPAND": "Yosys leaves the extension of narrow operands to Verilog's own rules",
    "WIDTHTRUNC": "Yosys leaves the truncation at an assignment to Verilog's own rules",
    "UNUSEDSIGNAL": "Yosys names carries and upper bits of wide results that nothing reads",
    "PROCASSINIT": "Yosys gives a register its initial value, which is its reset value, where it "
    "is declared",
    "DECLFILENAME": "One file holds all modules of a design",
}


def waivers(file: str = "*") -> str:
    """Verilator's configuration that waives `WAIVERS` in the files of a pattern."""
    lines = ["`verilator_config", "// What `-Wall` says of generated Verilog, and why it may."]
    for rule, reason in WAIVERS.items():
        lines += [f"// {reason}.", f'lint_off -rule {rule} -file "{file}"']
    return "\n".join(lines) + "\n"

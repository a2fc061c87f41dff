"""What users of a chip's Verilog read: ports, registers, banks; C header, SystemRDL, FuseSoC core.

All of it comes from `model.contract`.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from amaranth.lib.wiring import In, Out

from model.contract import registers as contract
from model.contract.config import ChipConfig
from model.contract.counters import counters
from model.contract.registers import Access
from model.contract.stages import HEAD_BITS, Boundary, boundaries
from model.contract.storage import host_banks
from rtl.host.axi import LITE
from rtl.top import RESETS, STREAMS, camera_ports

MEANINGS = {
    "clk": "clock, rising edge",
    "rst": "reset, synchronous, active high",
    "aclk": "clock, rising edge",
    "aresetn": "reset, synchronous, active low",
    "s_axis": "AXI4-Stream in: events and marks; tlast is ignored",
    "m_axis": "AXI4-Stream out: scores, then the verdict with tlast",
    "s_axil": "AXI4-Lite: the host's registers",
    "aer": "a camera's bus, four-phase handshake: an event by its address",
    "irq": "high while a flag is set that INTERRUPT asks for",
}


@dataclass(frozen=True)
class PortField:
    """Some bits of a port: `bits` of them from bit `low` upwards."""

    name: str
    low: int
    bits: int
    signed: bool


@dataclass(frozen=True)
class Port:
    """A port of the top module."""

    name: str
    direction: str
    bits: int
    meaning: str
    fields: tuple[PortField, ...] = ()


def top(config: ChipConfig) -> str:
    """Name of the top module."""
    return config.name.replace("-", "_")


# -- ports ---------------------------------------------------------------------------------------


def ports(
    config: ChipConfig, reset: str = "rst", monitors: bool = True, tick: int | None = None
) -> tuple[Port, ...]:
    """The ports of a chip's top module: clock, reset, streams, host, interrupt, camera, monitors.

    `reset`, `monitors`, `tick`: as of `rtl.top.AxiTop`.
    """
    found = [Port(name, "input", 1, MEANINGS[name]) for name in RESETS[reset]]
    irq = {"irq": Out(1)}
    for name, member in (STREAMS | LITE | irq | camera_ports(config, tick)).items():
        direction = "input" if member.flow is In else "output"
        meaning = MEANINGS[name.rpartition("_")[0] or name]
        found.append(Port(name, direction, member.shape, meaning))
    for boundary in boundaries(config) if monitors else ():
        fields = tuple(_fields(boundary))
        meaning = f"monitor of {boundary.name}"
        found.append(Port(boundary.port, "output", boundary.port_bits, meaning, fields))
    return tuple(found)


def _fields(boundary: Boundary) -> Iterator[PortField]:
    """The bits of a monitor port."""
    yield PortField("beat", 0, 1, False)
    yield PortField("end", 1, 1, False)
    low, columns = HEAD_BITS, iter(boundary.columns)
    for field in boundary.fields:
        for _ in range(field.lanes):
            yield PortField(next(columns), low, field.code.bits, field.code.signed)
            low += field.code.bits


def ports_json(config: ChipConfig, ports: tuple[Port, ...]) -> str:
    """The ports as JSON."""
    return _json({"module": top(config), "ports": [asdict(port) for port in ports]})


def ports_markdown(config: ChipConfig, ports: tuple[Port, ...]) -> str:
    """The ports as Markdown."""
    rows = [(f"`{port.name}`", port.direction, port.bits, port.meaning) for port in ports]
    monitors = [
        (
            f"`{port.name}`",
            _slice(field.low, field.bits),
            field.name,
            "signed" if field.signed else "unsigned",
        )
        for port in ports
        for field in port.fields
    ]
    return "\n".join(
        (
            f"# Ports of `{top(config)}`\n",
            *_table(("port", "direction", "bits", "meaning"), rows),
            "\nA monitor shows the record that crosses a boundary between stages: `beat` in the",
            "cycle in which something crosses, `end` if that is the end of a sample, not a row.\n",
            *_table(("monitor", "bits", "field", "code"), monitors),
            "",
        )
    )


def _slice(low: int, bits: int) -> str:
    return str(low) if bits == 1 else f"{low + bits - 1}:{low}"


# -- registers -----------------------------------------------------------------------------------


def registers_json(config: ChipConfig) -> str:
    """Registers, banks and counters as JSON."""
    return _json(
        {
            "chip": config.name,
            "rule": config.rule_name,
            "sha256": config.sha256,
            "address_bits": contract.ADDRESS_BITS,
            "identity": contract.IDENTITY,
            "registers": [asdict(register) for register in contract.registers(config)],
            "banks": [
                {
                    "number": number,
                    "name": bank.name,
                    "words": bank.words,
                    "word_bits": bank.word_bits,
                    "accesses": bank.chunks,
                    "lanes": bank.lanes,
                    "code_bits": bank.code.bits,
                }
                for number, bank in enumerate(host_banks(config))
            ],
            "counters": [asdict(counter) for counter in counters(config) if config.counters],
        }
    )


def registers_markdown(config: ChipConfig) -> str:
    """Registers and banks as Markdown."""
    registers = [
        (
            f"0x{register.offset:03X}",
            f"`{register.name}`",
            register.access,
            "yes" if register.always else "no",
            register.meaning,
        )
        for register in contract.registers(config)
    ]
    fields = [
        (
            f"`{register.name}`",
            _slice(field.low, field.bits),
            f"`{field.name}`",
            field.meaning,
            "" if field.value is None else field.value,
        )
        for register in contract.registers(config)
        if register.offset in contract.FIELDS
        for field in register.fields
    ]
    banks = [
        (number, f"`{bank.name}`", bank.words, bank.word_bits, bank.chunks, bank.lanes)
        for number, bank in enumerate(host_banks(config))
    ]
    rules = (contract.__doc__ or "").partition("\n\n")[2].strip()
    return "\n".join(
        (
            f"# Registers of {config.name}, rule {config.rule_name}\n",
            f"Configuration: SHA-256 `{config.sha256}`.\n\n{rules}\n",
            *_table(("offset", "register", "access", "while busy", "meaning"), registers),
            "\n## Fields\n",
            *_table(("register", "bits", "field", "meaning", "always reads"), fields),
            "\n## Banks\n",
            "A word holds one code a lane, lane 0 in the lowest bits.\n",
            *_table(("number", "bank", "words", "bits a word", "accesses", "lanes"), banks),
            "",
        )
    )


def header(config: ChipConfig) -> str:
    """Registers and banks as a C header."""
    prefix = top(config).upper()
    defines = {
        "IDENTITY": f"0x{contract.IDENTITY:08X}u",
        "CONFIGURATION": f"0x{config.sha256[:8].upper()}u",
    }
    for register in contract.registers(config):
        defines[f"REGISTER_{register.name}"] = f"0x{register.offset:03X}u"
        for field in register.fields if register.offset in contract.FIELDS else ():
            name = f"{register.name}_{field.name.upper()}"
            defines[name] = f"0x{((1 << field.bits) - 1) << field.low:X}u"
            if field.bits > 1:
                defines[f"{name}_AT"] = f"{field.low}u"
    for number, bank in enumerate(host_banks(config)):
        name = f"BANK_{bank.name.replace('.', '_').upper()}"
        defines[name] = f"{number}u"
        defines[f"{name}_WORDS"] = f"{bank.words}u"
        defines[f"{name}_WORD_BITS"] = f"{bank.word_bits}u"
        defines[f"{name}_ACCESSES"] = f"{bank.chunks}u"
        defines[f"{name}_LANES"] = f"{bank.lanes}u"
        defines[f"{name}_CODE_BITS"] = f"{bank.code.bits}u"
    return "\n".join(
        (
            f"/* Registers of {config.name}, rule {config.rule_name}: byte offsets, banks. */",
            f"#ifndef {prefix}_H",
            f"#define {prefix}_H\n",
            *(f"#define {prefix}_{name} {value}" for name, value in defines.items()),
            "\n#endif",
            "",
        )
    )


# -- SystemRDL ------------------------------------------------------------------------------------

SOFTWARE = {Access.READ: "r", Access.WRITE: "w", Access.BOTH: "rw"}


def registers_rdl(config: ChipConfig) -> str:
    """The register map in SystemRDL 2.0, from which other tools make headers, models and pages.

    Banks lie behind registers, so they are told of in words; so is what may be done while busy.
    """
    rules = (contract.__doc__ or "").partition("\n\n")[2].strip()
    return "\n".join(
        (
            f"// Registers of {config.name}, rule {config.rule_name}; configuration: SHA-256",
            f"// {config.sha256}",
            f"addrmap {top(config)} {{",
            f'  name = "{config.name}, rule {config.rule_name}";',
            f'  desc = "{_quoted(rules)}";',
            "  default regwidth = 32;",
            "  default accesswidth = 32;",
            *(line for register in contract.registers(config) for line in _rdl(register)),
            "};",
            "",
        )
    )


def _rdl(register: contract.Register) -> Iterator[str]:
    """The lines of one register."""
    yield "  reg {"
    yield f'    name = "{register.name}";'
    when = "at any time" if register.always else "only while the chip holds no work"
    yield f'    desc = "{_quoted(register.meaning)}; accessed {when}";'
    for field in register.fields:
        hardware = "w" if register.access is Access.READ else "r"
        reset = "" if field.value is None else f" = {field.bits}'d{field.value}"
        access = f"sw = {SOFTWARE[register.access]}; hw = {hardware if not reset else 'na'};"
        place = f"\\{field.name}[{field.low + field.bits - 1}:{field.low}]{reset}"
        yield f'    field {{ desc = "{_quoted(field.meaning)}"; {access} }} {place};'
    yield f"  }} {register.name} @ 0x{register.offset:03X};"


def _quoted(text: str) -> str:
    """Words between the quotation marks of SystemRDL."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


# -- FuseSoC -------------------------------------------------------------------------------------

CORE = """\
CAPI=2:
name: "drtp-kit:chip:{name}"
description: "Event-driven convolutional processor that learns on chip, rule {rule}"
filesets:
  rtl:
    files: ["{name}.v"]
    file_type: verilogSource
  waivers:
    files: ["{name}.vlt"]
    file_type: vlt
targets:
  default:
    filesets: [rtl, "tool_verilator? (waivers)"]
    toplevel: {top}
"""


def core(config: ChipConfig) -> str:
    """The FuseSoC core file (CAPI 2) of the Verilog beside it."""
    return CORE.format(name=config.name, rule=config.rule_name, top=top(config))


def _json(value: object) -> str:
    return json.dumps(value, indent=2) + "\n"


def _table(heads: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    for cells in (heads, ("---",) * len(heads), *rows):
        yield "| " + " | ".join(map(str, cells)) + " |"

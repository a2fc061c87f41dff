"""CXXRTL's C++ in pieces that a compiler can manage.

CXXRTL evaluates a whole chip in one function, whose compilation takes minutes and grows faster than
the chip. `cut` makes many short functions of it: statements keep their order; a variable that
several pieces use becomes a member.
"""

import re
from pathlib import Path

from model.contract.artifact import write_text
from model.contract.refusal import Refusal

PIECE_STATEMENTS = 40

_EVAL = re.compile(
    r"^bool (?P<chip>\w+)::eval\(performer \*performer\) \{\n(?P<body>.*?)^\}\n", re.M | re.S
)
_VARIABLE = re.compile(r"\tvalue<\d+> (\w+);\n")
_EDGE = "bool posedge_p_clk"


def cut(source: Path, header: Path) -> None:
    """Rewrite what `write_cxxrtl -header` wrote.

    Raises `Refusal` where one evaluation does not settle the chip.
    """
    text = source.read_text()
    found = _EVAL.search(text)
    if not found:
        raise Refusal(f"{source.name} has no evaluation to cut; use the Yosys that is locked")
    first, *lines, last = found["body"].splitlines(keepends=True)
    if (first, last) != ("\tbool converged = true;\n", "\treturn converged;\n"):
        chip = found["chip"].removeprefix("p_").replace("__", "_")
        raise Refusal(
            f"CXXRTL needs several passes a cycle for {chip}, which is slow; use verilator"
        )
    chip = found["chip"]
    variables, statements = _statements(lines)
    pieces = [
        "".join(statements[at : at + PIECE_STATEMENTS])
        for at in range(0, len(statements), PIECE_STATEMENTS)
    ]
    users: dict[str, list[int]] = {}
    for number, piece in enumerate(pieces):
        for name in variables.keys() & set(re.findall(r"\w+", piece)):
            users.setdefault(name, []).append(number)
    shared = [line for name, line in variables.items() if len(users.get(name, [])) > 1]
    functions, calls, declarations = [], [], []
    for number, piece in enumerate(pieces):
        own = "".join(line for name, line in variables.items() if users.get(name) == [number])
        functions.append(f"void {chip}::piece{number}({_EDGE}) {{\n{own}{piece}}}\n")
        calls.append(f"\tpiece{number}(posedge_p_clk);\n")
        declarations.append(f"\tvoid piece{number}({_EDGE});\n")
    evaluation = [
        f"bool {chip}::eval(performer *) {{\n",
        f"\t{_EDGE} = this->posedge_p_clk();\n",
        *calls,
        "\treturn true;\n}\n",
    ]
    start, end = found.span()
    write_text(source, text[:start] + "".join([*functions, *evaluation]) + text[end:])
    constructor = f"\t{chip}(interior) {{}}\n"
    declared = "".join([*shared, *declarations, constructor])
    write_text(header, header.read_text().replace(constructor, declared))


def _statements(lines: list[str]) -> tuple[dict[str, str], list[str]]:
    """The variables of an evaluation by name, and its statements; comments go."""
    variables: dict[str, str] = {}
    statements: list[str] = []
    after_comment = True
    for line in lines:
        variable = _VARIABLE.fullmatch(line)
        if line.startswith("\t// "):
            after_comment = True
        elif variable:
            variables[variable[1]] = line
        elif not line.startswith(f"\t{_EDGE}"):
            if after_comment:
                statements.append("")
            statements[-1] += line
            after_comment = False
    return variables, statements

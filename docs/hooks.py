"""Pages and pictures that are made from the code: called by MkDocs before it builds the site."""

from pathlib import Path
from typing import Any

import numpy as np
import typer
from matplotlib.figure import Figure

from model.chip import PlainChip
from model.contract.artifact import write_text
from model.contract.counters import counters
from model.contract.fields import FIELDS
from model.contract.presets import preset
from model.contract.stages import boundaries
from model.data import load
from model.network import ChipModel
from model.sensor.image import sample_words
from model.trace import Trace
from rtl import handbook

DOCS = Path(__file__).resolve().parent
CHIP = "digits"  #: whose maps and pictures the site shows


def on_pre_build(config: Any) -> None:
    """Write what the site shows of the code; unchanged pages are left alone."""
    pages = {
        "reference/fields.md": fields(),
        "reference/commands.md": commands(),
        "reference/registers.md": handbook.registers_markdown(preset(CHIP)),
        "reference/counters.md": counted(),
        "reference/boundaries.md": crossed(),
    }
    for name, text in pages.items():
        path = DOCS / name
        if not path.exists() or path.read_text() != text:
            write_text(path, text)
    if not (DOCS / "explanation" / "stages.png").exists():
        picture(DOCS / "explanation" / "stages.png")


def fields() -> str:
    """The page of a configuration's fields."""
    lines = [
        "# Fields of a configuration",
        "",
        "A chip is a TOML file. `drtp model new --data DATA` drafts one with these comments;",
        "`drtp model schema` prints a JSON Schema for editors.",
    ]
    table = ""
    for dotted, field in FIELDS.items():
        part, _, name = dotted.rpartition(".")
        if part != table or dotted == "name":
            title = f"`[[{part}]]`" if part in ("conv", "hidden") else f"`[{part}]`"
            lines += ["", f"## {title if part else 'The chip'}", ""]
            lines += ["| field | what it is | values | how to choose |", "|---|---|---|---|"]
            table = part
        lines.append(f"| `{name}` | {field.meaning} | {field.range} | {field.advice} |")
    return "\n".join(lines) + "\n"


def commands() -> str:
    """The page of all commands, from their own help."""
    from model.__main__ import app as model
    from rtl.__main__ import app as rtl
    from sim.__main__ import app as sim

    lines = [
        "# Commands",
        "",
        "Each has `--help`; `drtp ROOM COMMAND` is `python -m ROOM COMMAND`.",
    ]
    for room, app in (("model", model), ("rtl", rtl), ("sim", sim)):
        lines += ["", f"## drtp {room}"]
        root = typer.main.get_command(app)
        for name, command in sorted(getattr(root, "commands", {}).items()):
            if not command.hidden:
                lines += list(_command(f"drtp {room} {name}", command))
    return "\n".join(lines) + "\n"


def _command(path: str, command: Any) -> Any:
    inner = getattr(command, "commands", None)
    if inner:
        for name, each in sorted(inner.items()):
            yield from _command(f"{path} {name}", each)
        return
    yield from ("", f"### {path}", "", (command.help or "").strip(), "")
    rows = [row for row in map(_option, command.params) if row]
    if rows:
        yield from ("| option | what it does | if not given |", "|---|---|---|", *rows)


def _option(option: Any) -> str:
    if option.name == "help" or getattr(option, "hidden", False):
        return ""
    names = ", ".join(f"`{name}`" for name in option.opts)
    if option.param_type_name == "argument":
        names = f"`{(option.metavar or option.name).lower()}`"
    told = (getattr(option, "help", "") or "").replace("|", "\\|").replace("\n", " ")
    default = "" if option.default is None or callable(option.default) else f"`{option.default}`"
    return f"| {names} | {told} | {default} |"


def counted() -> str:
    """The page of the counters."""
    lines = [
        "# Counters",
        "",
        f"Those of the preset `{CHIP}`; every chip has those of its stages, 48 bits each. Counters",
        "of kind `stall` depend on back-pressure; all others equal the model's.",
        "",
        "| counter | counts | kind | phase | most a cycle |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| `{c.name}` | {c.meaning} | {c.kind} | {c.phase} | {c.most} |"
        for c in counters(preset(CHIP))
    ]
    return "\n".join(lines) + "\n"


def crossed() -> str:
    """The page of the boundaries."""
    lines = [
        "# Boundaries and formats",
        "",
        f"What crosses each boundary of the preset `{CHIP}`, as the monitors show it: bit 0 of a",
        "monitor says that a beat crosses, bit 1 that the sample ends; the fields follow.",
        "",
        "| boundary | field | codes | bits | least to greatest |",
        "|---|---|---|---|---|",
    ]
    for boundary in boundaries(preset(CHIP)):
        for field in boundary.fields:
            code = field.code
            kind = "signed" if code.signed else "unsigned"
            lines.append(
                f"| `{boundary.name}` | {field.name} | {field.lanes} {kind} | {code.bits} | "
                f"{code.low} to {code.high} |"
            )
    return "\n".join(lines) + "\n"


def picture(path: Path) -> None:
    """One digit on its way through a trained chip, a picture for each stage."""
    data = load("digits")
    config = preset(CHIP)
    state = ChipModel(config).fit(data.x_train, data.y_train).state_
    trace = Trace.of(config)
    image, label = data.x_test[0], int(data.y_test[0])
    words = sample_words(config, image, label, True)
    PlainChip(config, state, trace).take(words)
    shape = config.conv_shapes[0]
    features = np.zeros(shape.features)
    rows = trace.records["conv1.features"][0]
    features[rows[:, 0]] = rows[:, 1]
    maps = features.reshape(shape.out_height, shape.out_width, shape.kernels)
    figure = Figure(figsize=(11, 7), layout="constrained")
    axes = figure.subplots(2, 3).reshape(-1)
    axes[0].imshow(image[:, :, 0], cmap="gray_r")
    axes[0].set_title(f"pixels of a {label}: bright ones fire first")
    events = trace.records["encode.events"][0]
    axes[1].scatter(*events[:, :2].T, c=events[:, 3], cmap="gray_r", edgecolors="C0")
    axes[1].invert_yaxis()
    axes[1].set_title("events: place and value")
    axes[2].imshow(np.concatenate(list(maps.transpose(2, 0, 1)), axis=1), cmap="Blues")
    axes[2].set_title("features of each kernel, after pooling")
    axes[3].bar(range(config.hidden[0].neurons), trace.records["hidden1.sums"][0][:, 1])
    axes[3].set_title("hidden sums; beyond the lines the gate is closed")
    for side in (-1, 1):
        axes[3].axhline(side * config.hidden[0].threshold, color="C3", lw=1)
    axes[4].bar(range(config.hidden[0].neurons), trace.records["hidden1.modulation"][0][:, 0])
    axes[4].set_title("modulation: the label's row of B, gated")
    axes[5].bar(range(config.readout.classes), trace.records["readout.scores"][0][:, 0])
    axes[5].set_title("scores: the class is the greatest sum")
    figure.savefig(path, dpi=90)

"""A configuration as text: the commented TOML that a user edits, and the schema of its fields."""

import dataclasses
import json
import textwrap
from collections.abc import Iterator
from typing import Any

from model.contract import choices
from model.contract.config import ChipConfig
from model.contract.fields import FIELDS, Explanation

COLUMNS = 96  #: most of a line of the text


def toml(config: ChipConfig, head: str = "") -> str:
    """The configuration as TOML, every field with its meaning, range and how to choose it.

    `head` stands above it as a comment. `model.contract.reading.from_toml` reads the text back.
    """
    lines = [*_comment(head), ""] if head else []
    tables: list[tuple[str, str, dict[str, Any]]] = []
    choices = config.to_dict()
    rules = choices.pop("rules", {})
    for name, value in choices.items():
        if name in ("conv", "hidden"):
            tables += [(f"[[{name}]]", name, part) for part in value]
        elif isinstance(value, dict):
            tables.append((f"[{name}]", name, value))
        else:
            lines += _field(name, value)
    for title, kind, fields in tables:
        lines += ["", title]
        for name, value in fields.items():
            lines += _field(f"{kind}.{name}", value)
    for rule, settings in rules.items():
        lines += ["", f"[rules.{rule}]", *_comment(FIELDS["rules"].meaning)]
        for part, fields in settings.items():
            lines += [f"{part}.{name} = {json.dumps(value)}" for name, value in fields.items()]
    return "\n".join(lines) + "\n"


def schema() -> dict[str, Any]:
    """The fields as a JSON Schema (draft 2020-12), for editors that complete and check TOML."""
    top: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {}
    for dotted, explained in FIELDS.items():
        table, _, name = dotted.rpartition(".")
        fields = tables.setdefault(table, {}) if table else top
        fields[name] = _schema(dotted, explained)
    for table, fields in tables.items():
        part = {"type": "object", "additionalProperties": False, "properties": fields}
        top[table] = {"type": "array", "items": part} if table in ("conv", "hidden") else part
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A chip",
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "height", "width", "hidden", "readout"],
        "properties": top,
    }


def _schema(dotted: str, explained: Explanation) -> dict[str, Any]:
    about = {"description": f"{explained.meaning}; {explained.advice}"}
    kind = _kinds()[dotted]
    if kind == "tuple[int, ...]":
        bounds = {"type": "integer", "minimum": explained.low, "maximum": explained.high}
        return {**about, "type": "array", "minItems": 1, "items": bounds}
    if explained.values:
        words = [int(v) if v.isdigit() else str(v) for v in explained.values]
        return {**about, "enum": words}
    if kind in ("int", "int | None"):
        return {**about, "type": "integer", "minimum": explained.low, "maximum": explained.high}
    # What a rule may set is checked where the file is read: it depends on the chip's layers.
    return {**about, "type": {"bool": "boolean", "str": "string"}.get(kind, "object")}


def _kinds() -> dict[str, str]:
    """Dotted name -> type of every field, as the configuration declares them."""
    parts = {
        "conv": choices.Conv,
        "hidden": choices.Hidden,
        "readout": choices.Readout,
        "learning": choices.Learning,
    }
    found: dict[str, str] = {}
    for entry in dataclasses.fields(ChipConfig):
        if entry.name in parts:
            part = dataclasses.fields(parts[entry.name])
            found |= {f"{entry.name}.{inner.name}": _kind(inner.type) for inner in part}
        else:
            found[entry.name] = _kind(entry.type)
    return found


def _kind(annotation: Any) -> str:
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def _field(dotted: str, value: Any) -> Iterator[str]:
    explained = FIELDS[dotted]
    spoken = f" ({explained.range})" if explained.range else ""
    yield from _comment(explained.meaning + spoken)
    yield from _comment(f"choose: {explained.advice}")
    # What JSON writes of these values is TOML too.
    yield f"{dotted.rpartition('.')[2]} = {json.dumps(value)}"


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, COLUMNS, initial_indent="# ", subsequent_indent="# ")

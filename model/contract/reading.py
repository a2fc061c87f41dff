"""A configuration from a TOML file or plain values: unknown, missing, mistyped fields by name."""

import dataclasses
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Any

from model.contract.choices import (
    RULES,
    Activation,
    Conv,
    Gate,
    Hidden,
    Learning,
    Pooling,
    Readout,
    Rule,
    Settings,
    one_of,
)
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal


def from_dict(data: dict[str, Any]) -> ChipConfig:
    """Build a configuration from plain values; unknown or missing fields are refused by name."""
    if not isinstance(data, dict) or "rules" not in data:
        return _record(ChipConfig, data, "the configuration")
    chip = {name: value for name, value in data.items() if name != "rules"}
    return _with_rules(_record(ChipConfig, chip, "the configuration"), data["rules"])


def from_toml(path: Path | str) -> ChipConfig:
    """Read a configuration from a TOML file."""
    path = Path(path)
    try:
        data = tomllib.loads(path.read_text())
    except OSError as error:
        raise Refusal(f"cannot read configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refusal(f"configuration {path} is not TOML: {error}") from error
    return from_dict(data)


_PARTS: dict[str, type] = {
    "conv": Conv,
    "hidden": Hidden,
    "readout": Readout,
    "learning": Learning,
}
_CHOICES: dict[str, type[StrEnum]] = {
    "rule": Rule,
    "gate": Gate,
    "pooling": Pooling,
    "activation": Activation,
}


_KINDS: dict[Any, type] = {int: int, str: str, bool: bool, int | None: int}


def _record(kind: type, data: Any, where: str) -> Any:
    _table(data, where)
    fields = {entry.name: entry for entry in dataclasses.fields(kind)}
    for name in data:
        if name not in fields:
            raise Refusal(f"{where} has no field {name!r}; it has {', '.join(fields)}")
    values: dict[str, Any] = {}
    for name, entry in fields.items():
        if name not in data:
            if (
                entry.default is dataclasses.MISSING
                and entry.default_factory is dataclasses.MISSING
            ):
                raise Refusal(f"{where} lacks the field {name!r}")
            continue
        values[name] = _field(name, entry, data[name], where)
    return kind(**values)


def _field(name: str, entry: "dataclasses.Field[Any]", value: Any, where: str) -> Any:
    place = name if where == "the configuration" else f"{where}.{name}"
    if name in _CHOICES:
        return one_of(_CHOICES[name], value, place)
    if name in ("conv", "hidden"):
        if not isinstance(value, list | tuple):
            raise Refusal(f"{place} must be a list of tables, not {value!r}")
        return tuple(_record(_PARTS[name], part, f"{name}{n + 1}") for n, part in enumerate(value))
    if name in _PARTS:
        return _record(_PARTS[name], value, name)
    if name == "schedule":
        if not isinstance(value, list | tuple) or not all(type(step) is int for step in value):
            raise Refusal(f"{place} must be a list of integers, not {value!r}")
        return tuple(value)
    kind: type = _KINDS[entry.type]
    if type(value) is not kind:
        raise Refusal(f"{place} must be {kind.__name__}, not {value!r}")
    return value


def _with_rules(config: ChipConfig, rules: Any) -> ChipConfig:
    """The chip with the settings of each rule: `[rules.dfa]`, `hidden1.shift = 3` and the like."""
    settings = {}
    for rule, parts in _table(rules, "rules").items():
        if rule not in RULES[1:]:
            names = ", ".join(RULES[1:])
            raise Refusal(f"rules has no rule {rule!r} with settings; it has {names}")
        settings[rule] = _settings(config, f"rules.{rule}", parts)
    config = dataclasses.replace(config, rules=settings)
    for rule in settings:
        try:
            config.with_rule(rule)
        except Refusal as refusal:
            raise Refusal(f"rules.{rule} does not fit the chip: {refusal}") from refusal
    return config


def _settings(config: ChipConfig, where: str, parts: Any) -> Settings:
    found: Settings = {}
    for part, fields in _table(parts, where).items():
        if part not in config.settings:
            raise Refusal(f"{where} has no part {part!r}; it has {', '.join(config.settings)}")
        entries = {e.name: e for e in dataclasses.fields(_PARTS[part.rstrip("12")])}
        found[part] = {}
        for name, value in _table(fields, f"{where}.{part}").items():
            if name not in config.settings[part]:
                names = ", ".join(config.settings[part])
                raise Refusal(f"{where}.{part} cannot set {name!r}; it can set {names}")
            found[part][name] = _field(name, entries[name], value, f"{where}.{part}")
    return found


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Refusal(f"{where} must be a table of fields, not {value!r}")
    return value

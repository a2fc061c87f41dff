"""A configuration from a TOML file or plain values; all that is wrong with it is told at once."""

import dataclasses
import stat
import tomllib
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from model.contract.choices import (
    RULES,
    Activation,
    Coding,
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
from model.contract.limits import out_of_range, steps_out_of_range
from model.contract.refusal import Refusal, check_none, guess, reason, shown

MOST_TOML_BYTES = 1 << 15
"""A configuration has two thousand; reading a nest of tables takes the square of its depth."""


def from_dict(data: dict[str, Any], source: str = "the configuration") -> ChipConfig:
    """Build a configuration from plain values.

    Raises `Refusal` for fields that are unknown, missing, of another type or out of range, all of
    them at once, then for what does not fit together; `source` is where the values come from.
    """
    reading = _Reading()
    config = reading.chip(data)
    check_none(reading.mistakes, source)
    assert config is not None  # no mistake was noted
    return config


def from_toml(path: Path | str) -> ChipConfig:
    """Read a configuration from a TOML file. Raises `Refusal` as `from_dict` does."""
    path = Path(path)
    return from_dict(read_toml(path, "configuration"), f"configuration {path}")


def read_toml(path: Path, what: str) -> dict[str, Any]:
    """The tables of a TOML file. Raises `Refusal` where it cannot be read or is no TOML."""
    try:
        status = path.stat()  # before it is opened: a pipe would wait for its writer
        if not stat.S_ISREG(status.st_mode):
            raise Refusal(f"{what} {path} is no regular file; give a TOML file")
        if status.st_size > MOST_TOML_BYTES:
            raise Refusal(
                f"{what} {path} holds {status.st_size:,} bytes, more than {MOST_TOML_BYTES:,}; "
                f"give a shorter one"
            )
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise Refusal(f"cannot read {what} {path}: {error.strerror}; check the path") from error
    except RecursionError as error:
        raise Refusal(f"{what} {path} nests too deep; write its tables flat") from error
    except Refusal:
        raise
    except ValueError as error:  # of TOML, of UTF-8, of integers with thousands of digits
        raise Refusal(f"{what} {path} is not TOML: {reason(error)}") from error


_PARTS: dict[str, type] = {
    "conv": Conv,
    "hidden": Hidden,
    "readout": Readout,
    "learning": Learning,
}
_CHOICES: dict[str, type[StrEnum]] = {
    "coding": Coding,
    "rule": Rule,
    "gate": Gate,
    "pooling": Pooling,
    "activation": Activation,
}


_KINDS: dict[Any, type] = {int: int, str: str, bool: bool, int | None: int}

WHOLE = "the configuration"


@dataclass
class _Reading:
    """What was wrong so far."""

    mistakes: list[str] = field(default_factory=list)

    def chip(self, data: Any) -> ChipConfig | None:
        """The chip, or None where there are mistakes."""
        if not isinstance(data, dict):
            return self.record(ChipConfig, data, WHOLE)
        fields = {name: value for name, value in data.items() if name != "rules"}
        config = self.record(ChipConfig, fields, WHOLE)
        return self.with_rules(config, data["rules"]) if config and "rules" in data else config

    def record(self, kind: type, data: Any, where: str) -> Any:
        """The choices of a table, or None where any is a mistake."""
        before = len(self.mistakes)
        fields = {entry.name: entry for entry in dataclasses.fields(kind)}
        values = {}
        for name, value in self.table(data, where).items():
            if name in fields:
                values[name] = self.field(name, fields[name], value, where)
            else:
                names = f"{', '.join(fields)}{guess(name, fields)}"
                self.mistakes.append(f"{where} has no field {shown(name)}; it has {names}")
        if isinstance(data, dict):
            self.mistakes += [
                f"{where} lacks the field {name!r}"
                for name, entry in fields.items()
                if name not in data
                and entry.default is dataclasses.MISSING
                and entry.default_factory is dataclasses.MISSING
            ]
        return kind(**values) if len(self.mistakes) == before else None

    def table(self, value: Any, where: str) -> dict[str, Any]:
        """A table's fields; none where it is no table."""
        if isinstance(value, dict):
            return value
        self.mistakes.append(f"{where} must be a table of fields, not {shown(value)}")
        return {}

    def field(self, name: str, entry: "dataclasses.Field[Any]", value: Any, where: str) -> Any:
        """A field's value in the type that its record has."""
        place = name if where == WHOLE else f"{where}.{name}"
        if name in _CHOICES:
            try:
                return one_of(_CHOICES[name], value, place)
            except Refusal as refusal:
                self.mistakes.append(str(refusal))
        elif name in ("conv", "hidden") and isinstance(value, list | tuple):
            parts = enumerate(value, 1)
            return tuple(self.record(_PARTS[name], part, f"{name}{n}") for n, part in parts)
        elif name in ("conv", "hidden"):
            self.mistakes.append(f"{place} must be a list of tables, not {shown(value)}")
        elif name in _PARTS:
            return self.record(_PARTS[name], value, name)
        elif name == "schedule":
            return self.schedule(value, place)
        elif type(value) is not _KINDS[entry.type]:
            kind = _KINDS[entry.type].__name__
            self.mistakes.append(f"{place} must be {kind}, not {shown(value)}")
        elif type(value) is int:
            kind = where.removeprefix("rules.").partition(".")[2] or where
            kind = "" if where == WHOLE else f"{kind.rstrip('12')}."
            self.mistakes += out_of_range(place, f"{kind}{name}", value)
        return value

    def schedule(self, value: Any, place: str) -> tuple[int, ...]:
        """The steps of a schedule."""
        if not isinstance(value, list | tuple) or not all(type(step) is int for step in value):
            self.mistakes.append(f"{place} must be a list of integers, not {shown(value)}")
            return ()
        self.mistakes += steps_out_of_range(tuple(value))
        return tuple(value)

    def with_rules(self, config: ChipConfig, rules: Any) -> ChipConfig | None:
        """The chip with the settings of each rule: `[rules.dfa]`, `hidden1.shift = 3`, ..."""
        settings = {}
        for rule, parts in self.table(rules, "rules").items():
            if rule in RULES[1:]:
                settings[rule] = self.settings(config, f"rules.{rule}", parts)
            else:
                names = f"{', '.join(RULES[1:])}{guess(rule, RULES[1:])}"
                self.mistakes.append(
                    f"rules has no rule {shown(rule)} with settings; it has {names}"
                )
        if self.mistakes:
            return None
        config = dataclasses.replace(config, rules=settings)
        for rule in settings:
            try:
                config.with_rule(rule)
            except Refusal as refusal:
                self.mistakes.append(f"rules.{rule} does not fit the chip: {refusal}")
        return config

    def settings(self, config: ChipConfig, where: str, parts: Any) -> Settings:
        """The settings of one rule."""
        made: Settings = {}
        for part, fields in self.table(parts, where).items():
            if part not in config.settings:
                names = ", ".join(config.settings)
                self.mistakes.append(f"{where} has no part {shown(part)}; it has {names}")
                continue
            entries = {e.name: e for e in dataclasses.fields(_PARTS[part.rstrip("12")])}
            made[part] = {}
            for name, value in self.table(fields, f"{where}.{part}").items():
                if name in config.settings[part]:
                    made[part][name] = self.field(name, entries[name], value, f"{where}.{part}")
                else:
                    names = f"{', '.join(config.settings[part])}"
                    self.mistakes.append(
                        f"{where}.{part} cannot set {shown(name)}; it can set {names}"
                    )
        return made

"""model/contract/draft.py and fields.py: every field explained, in a text that reads back."""

import dataclasses
import json
from typing import Any

import pytest

from model.contract.choices import Conv, Hidden, Learning, Readout
from model.contract.config import ChipConfig
from model.contract.draft import schema, toml
from model.contract.fields import FIELDS
from model.contract.presets import PRESETS, preset
from model.contract.reading import from_dict, from_toml
from model.contract.refusal import Refusal

PARTS: dict[str, type] = {
    "conv": Conv,
    "hidden": Hidden,
    "readout": Readout,
    "learning": Learning,
}


def declared() -> set[str]:
    """Dotted name of every field that a configuration has."""
    top = {entry.name for entry in dataclasses.fields(ChipConfig)} - set(PARTS)
    return top | {
        f"{part}.{entry.name}" for part, kind in PARTS.items() for entry in dataclasses.fields(kind)
    }


def test_every_field_is_explained_and_nothing_else() -> None:
    assert set(FIELDS) == declared()


@pytest.mark.parametrize("name", PRESETS)
def test_a_drafted_text_reads_back_as_the_same_chip(name: str, tmp_path: Any) -> None:
    path = tmp_path / "chip.toml"
    path.write_text(toml(preset(name), "About it."))
    assert from_toml(path) == preset(name)
    assert path.read_text().startswith("# About it.\n")


def changed(dotted: str, value: int) -> dict[str, Any]:
    """The choices of `tiny` with one field changed."""
    choices = preset("tiny").to_dict()
    table, _, name = dotted.rpartition(".")
    part = choices[table] if table else choices
    (part[0] if isinstance(part, list) else part)[name] = value
    return choices


BOUNDED = [name for name, field in FIELDS.items() if field.low is not None]
ELSEWHERE = {  # a narrower bound of this chip answers first
    "learning.density": "1 to 10",
    "learning.schedule": "must be a list",
    "hidden.spread": "0 to 127",
    "conv.padding": "0 to 2",
}


@pytest.mark.parametrize("name", BOUNDED)
@pytest.mark.parametrize("side", ["low", "high"])
def test_the_ranges_told_are_those_kept(name: str, side: str) -> None:
    field = FIELDS[name]
    assert field.low is not None
    assert field.high is not None
    outside = field.low - 1 if side == "low" else field.high + 1
    told = ELSEWHERE.get(name, f"{field.low} to {field.high}")
    with pytest.raises(Refusal, match=told):
        from_dict(changed(name, outside))


def test_the_schema_speaks_of_every_field_in_json() -> None:
    found = json.loads(json.dumps(schema()))["properties"]
    fields = {name for name in found if name not in PARTS}
    for part in PARTS:
        table = found[part].get("items", found[part])
        fields |= {f"{part}.{name}" for name in table["properties"]}
        assert table["additionalProperties"] is False
    assert fields == declared()
    assert found["conv"]["items"]["properties"]["pooling"]["enum"] == ["average", "max"]
    assert found["learning"]["properties"]["lfsr_bits"]["enum"] == [16, 24, 32]
    assert found["lanes"] == {
        "type": "integer",
        "minimum": 1,
        "maximum": 32,
        "description": found["lanes"]["description"],
    }

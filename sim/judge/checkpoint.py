"""Checkpoints of a verification: the segments that are finished, as JSON, written whole.

A checkpoint is believed where it can be: what the model says of a finished segment is computed
again, and must be what the file tells. That the Verilog said the same is the file's word, which is
why a verdict names the samples that were taken from one.
"""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from model.contract.artifact import write_json
from model.contract.config import ChipConfig
from model.contract.refusal import Refusal
from sim.judge.segment import Finished, Segment, Tally, foretold

#: Parts of a tally that a file holds: nothing differs in a segment that is kept.
KEPT = [field.name for field in fields(Tally) if field.name not in ("mismatches", "first")]
COUNTED = ("counters_model", "counters_rtl", "met")
#: Parts that the model knows.
KNOWN = ("compared", "done", "right_model", "counters_model")


def write(path: Path, identity: str, finished: list[Finished]) -> None:
    """Write the segments that are finished, all of them without a difference."""
    rows = [
        {"at": one.at, "worker": one.worker, "version": one.version}
        | {name: getattr(one.tally, name) for name in KEPT}
        for one in sorted(finished, key=lambda one: one.at)
    ]
    write_json(path, {"identity": identity, "segments": rows})


def read(
    path: Path, identity: str, config: ChipConfig, segments: dict[int, Segment]
) -> list[Finished]:
    """The finished segments that a file holds, none where there is no file.

    `segments` are all of the run, by their first sample. Raises `Refusal` where the file is
    damaged, of another run, or tells of what cannot have been.
    """
    if not path.exists():
        return []
    try:
        told = json.loads(path.read_text())
        found, rows = told["identity"], told["segments"]
        tallies = [_tally(row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refusal(f"{path} is no whole checkpoint: {error}; remove it") from error
    if found != identity:
        raise Refusal(f"{path} is a checkpoint of another run; name another, or remove it")
    if len({row["at"] for row in rows}) < len(rows):
        raise Refusal(f"{path} tells of one segment twice; remove it")
    return [
        _finished(path, config, segments, row, tally)
        for row, tally in zip(rows, tallies, strict=True)
    ]


def _tally(row: Any) -> Tally:
    """A tally of a file. Raises `ValueError`, `TypeError` or `KeyError` for what is none."""
    if type(row["at"]) is not int or not all(type(row[n]) is str for n in ("worker", "version")):
        raise ValueError("a segment is not as it was written")
    values = {name: row[name] for name in KEPT}
    for name, value in values.items():
        counts = value.values() if name in COUNTED else [value]
        kinds = (int, float) if name == "seconds" else (int,)
        if any(type(count) not in kinds or count < 0 for count in counts):
            raise ValueError(f"{name} is no count")
    return Tally(**values)


def _finished(
    path: Path, config: ChipConfig, segments: dict[int, Segment], row: Any, tally: Tally
) -> Finished:
    """The segment that a tally of a file is of."""
    segment = segments.get(row["at"])
    if segment is None or not _can_be(config, segment, tally):
        raise Refusal(
            f"{path} tells of samples from {row['at']:,} on what the model does not say; remove it"
        )
    after = segment.after
    return Finished(segment, tally, after, after, row["worker"], row["version"])


def _can_be(config: ChipConfig, segment: Segment, tally: Tally) -> bool:
    """Whether a tally is what the model says of a segment."""
    wanted = foretold(config, segment)
    same = all(getattr(tally, name) == getattr(wanted, name) for name in KNOWN)
    counted = wanted.counters_model if config.counters else {}
    equal = all(tally.counters_rtl.get(name) == count for name, count in counted.items())
    return same and equal and tally.right_rtl == tally.right_model

"""Golden data: anchors from outside that prove the model, frozen runs that remember it.

`compare` holds the model against everything under `golden/`; `rewrite` writes the frozen runs and
the manifest anew. `golden/README.md` says what each file is and where it comes from.
"""

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.chip import PlainChip
from model.contract.artifact import write_text, writing
from model.contract.choices import RULES
from model.contract.config import ChipConfig
from model.contract.reading import from_toml
from model.contract.refusal import Refusal
from model.network import totals
from model.sensor.image import sample_words
from model.state import fresh
from model.trace import Trace, first_difference
from sim.trust.anchors import KINDS, number

GOLDEN = Path(__file__).parents[2] / "golden"
MANIFEST = "MANIFEST.json"
SEED = 1  #: of the frozen runs
TESTED = 3  #: the last samples of a frozen run are classified, not learned

#: Chip and rule of every frozen run.
FROZEN = (
    *(("tiny", rule) for rule in RULES),
    ("digits", "drtp"),
    *(("deep", rule) for rule in ("drtp", "drtp-scaled", "dfa")),
)

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Comparison:
    """What was compared, how many values, and where they first differ, if they do."""

    name: str
    values: int
    trouble: str = ""


def compare(folder: Path = GOLDEN) -> list[Comparison]:
    """Compare every sum, every anchor and every frozen run; all are compared, whatever fails.

    Raises `Refusal` where there are no anchors at all.
    """
    anchors = sorted((folder / "anchors").glob("*.json"))
    if not anchors:
        raise Refusal(f"there are no anchors in {folder / 'anchors'}; restore them from git")
    found = [_made("manifest", partial(_sums, folder))]
    found += [_made(f"anchors/{path.stem}", partial(_anchor, path)) for path in anchors]
    for name, rule in FROZEN:
        found.append(_made(f"frozen/{name}-{rule}", partial(_frozen, folder, name, rule)))
    return found


def summary(comparisons: list[Comparison]) -> str:
    """One line a comparison, and one for all."""
    lines = [
        f"{found.name}: {found.trouble or f'{found.values} values equal'}" for found in comparisons
    ]
    failed = sum(bool(found.trouble) for found in comparisons)
    values = sum(found.values for found in comparisons)
    lines.append(f"{failed} of {len(comparisons)} comparisons failed ({values} values)")
    return "\n".join(lines)


def _made(name: str, compared: Callable[[], tuple[int, str]]) -> Comparison:
    """Make a comparison; one that cannot even be made has failed too."""
    try:
        return Comparison(name, *compared())
    except Exception as error:  # a damaged file can break whatever reads it
        return Comparison(name, 0, f"cannot be compared: {type(error).__name__}: {error}")


# Sums


def _sums(folder: Path) -> tuple[int, str]:
    """Hold every file against the manifest, and the manifest against its own form."""
    text = (folder / MANIFEST).read_text()
    noted = json.loads(text)
    if text != _manifest(noted):
        return len(noted), f"{MANIFEST} is not as it was written"
    found = _sums_of(folder)
    for name in sorted(noted.keys() | found.keys()):
        if name not in found:
            return len(noted), f"{name} is missing"
        if name not in noted:
            return len(noted), f"{name} is not in {MANIFEST}"
        if noted[name] != found[name]:
            return len(noted), f"{name} is not the file whose sum {MANIFEST} holds"
    return len(noted), ""


def _sums_of(folder: Path) -> dict[str, str]:
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST]
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }


def _manifest(sums: dict[str, str]) -> str:
    return json.dumps(sums, indent=2) + "\n"


# Anchors


def _anchor(path: Path) -> tuple[int, str]:
    """Run the model on every case of an anchor."""
    anchor = json.loads(path.read_text())
    values = 0
    for place, case in enumerate(anchor["cases"]):
        got = _plain(KINDS[anchor["kind"]](case["given"]))
        for where, wanted, found in _side_by_side(case["expected"], got, f"case {place}"):
            values += 1
            if wanted != found:
                return values, f"{where}: expected {wanted}, got {found}"
    return values, "" if values else "expects nothing"


def _side_by_side(expected: Any, got: Any, where: str) -> Iterator[tuple[str, Any, Any]]:
    """Every expected number, beside it what the model says, and where it stands."""
    if isinstance(expected, dict) and isinstance(got, dict):
        for name, value in expected.items():
            yield from _side_by_side(value, got.get(name), f"{where}, {name}")
    elif isinstance(expected, list) and isinstance(got, list) and len(expected) == len(got):
        for place, (wanted, found) in enumerate(zip(expected, got, strict=True)):
            yield from _side_by_side(wanted, found, f"{where}[{place}]")
    else:
        hexadecimal = isinstance(expected, str)
        yield where, number(expected) if hexadecimal else expected, got


def _plain(value: Any) -> Any:
    """Arrays and numpy's numbers as lists and integers, which JSON knows."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


# Frozen runs


def _frozen(folder: Path, name: str, rule: str) -> tuple[int, str]:
    """Run the plain engine again and compare its trace, then what the chip holds afterwards."""
    wanted = Trace.load(folder / "frozen" / f"{name}-{rule}.trace.npz")
    held = _arrays(folder / "frozen" / f"{name}-{rule}.state.npz")
    trace, state = _run(folder, name, rule)
    values = wanted.values() + sum(array.size for array in held.values())
    difference = first_difference(wanted, trace)
    if difference:
        return values, str(difference)
    for array in sorted(held.keys() | state.keys()):
        if array not in held or array not in state:
            return values, f"{array} is not in the {'file' if array not in held else 'model'}"
        if not np.array_equal(held[array], state[array]):
            return values, f"{array} differs"
    return values, ""


def _run(folder: Path, name: str, rule: str) -> tuple[Trace, Arrays]:
    """A frozen run made anew: its trace; banks, LFSR states and counters at its end."""
    config = from_toml(folder / "frozen" / f"{name}.toml").with_rule(rule)
    inputs = _arrays(folder / "frozen" / "inputs.npz")
    state, trace = fresh(config, SEED), Trace.of(config)
    chip = PlainChip(config, state, trace)
    chip.run(_samples(config, inputs["images"], inputs["labels"]))
    counts = totals(config, chip.counts)
    counters = {f"{counter}.counter": np.array(count) for counter, count in counts.items()}
    return trace, state.to_arrays() | counters


def _samples(
    config: ChipConfig, images: NDArray[np.uint8], labels: NDArray[np.int64]
) -> Iterator[NDArray[np.uint32]]:
    """Words of the samples: all but the last learn, at each rate step in turn."""
    for place, (image, label) in enumerate(zip(images, labels, strict=True)):
        learn = place < len(images) - TESTED
        yield sample_words(config, image, int(label), learn, place % config.rate_steps)


def _arrays(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


# Rewriting


def rewrite(folder: Path = GOLDEN) -> None:
    """Write the frozen runs and the manifest anew.

    Raises `Refusal` where git does not find the tree clean: what changed must show by itself.
    """
    try:
        status = subprocess.run(
            ["git", "status", "--porcelain"], cwd=folder, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise Refusal(f"cannot ask git whether {folder} is clean: {error}") from error
    if status:
        raise Refusal(
            f"golden data is rewritten on a clean tree only, and git finds "
            f"{len(status.splitlines())} changed files; commit or put away your changes first"
        )
    write(folder)


def write(folder: Path) -> None:
    """Write what `rewrite` writes, whatever the state of the tree."""
    for name, rule in FROZEN:
        trace, state = _run(folder, name, rule)
        trace.save(folder / "frozen" / f"{name}-{rule}.trace.npz")
        with writing(folder / "frozen" / f"{name}-{rule}.state.npz") as file:
            np.savez_compressed(file, allow_pickle=False, **state)
    note_sums(folder)


def note_sums(folder: Path) -> None:
    """Write the manifest of the files as they are."""
    write_text(folder / MANIFEST, _manifest(_sums_of(folder)))

"""The page: sections in one HTML file that needs nothing else, and its JSON twin."""

import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from model.contract.artifact import write_json, write_text
from sim.report.evidence import Evidence, Trained, gathered
from sim.report.sections import Section, sections

TEMPLATE = Path(__file__).with_name("page.html")
PACKAGES = ("numpy", "numba", "amaranth", "cocotb", "matplotlib")


def write(paths: list[Path], out: Path) -> Path:
    """Write the page of some files to `out` and its twin beside it; returns the twin's path.

    Raises `Refusal` where a file cannot be read or is of no known command.
    """
    evidence, models = gathered(paths)
    found = sections(evidence, models)
    files = [(m.path, m.sha256) for m in models] + [(e.path, e.sha256) for e in evidence]
    write_text(out, rendered(found, files))
    twin = out.with_suffix(".json")
    write_json(twin, _twin(evidence, models))
    return twin


def rendered(found: list[Section], files: list[tuple[str, str]]) -> str:
    """The HTML of some sections and the sums of the files that they come from."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(TEMPLATE.read_text())
    return template.render(sections=found, files=files, versions=_versions())


def _versions() -> dict[str, str]:
    found = {name: version(name) for name in PACKAGES}
    return {"python": platform.python_version(), **found}


def _twin(evidence: list[Evidence], models: list[Trained]) -> dict[str, Any]:
    """Everything that the page was made from."""
    return {
        "versions": _versions(),
        "models": [
            {
                "path": trained.path,
                "sha256": trained.sha256,
                "config": trained.model.config.to_dict(),
                "weights_sha256": trained.model.state_.weights_sha256,
            }
            for trained in models
        ],
        "evidence": [vars(item) for item in evidence],
    }

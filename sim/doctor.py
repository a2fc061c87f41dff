"""The doctor: each outside tool, its version, whether it is fit, and how to get it."""

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from sim.tools import RECIPES, Finding, examine


def examine_all() -> list[Finding]:
    """Look at every tool of the kit."""
    return [examine(name) for name in RECIPES]


def is_well(findings: Sequence[Finding]) -> bool:
    """Whether everything that `make sim` and `make test` need is fit."""
    return all(finding.tool for finding in findings if finding.recipe.needed)


def table(findings: Sequence[Finding]) -> Table:
    """One row a tool."""
    rows = Table("tool", "for", "version", "fit", "what to do", title="tools of the kit")
    for finding in findings:
        fit = "[green]yes" if finding.tool else f"[red]no:[/red] {finding.trouble}"
        remedy = "" if finding.tool else finding.recipe.remedy
        rows.add_row(finding.name, finding.recipe.use, finding.version, fit, remedy)
    return rows


def report(findings: Sequence[Finding]) -> dict[str, Any]:
    """The same as JSON: tool -> use, needed, version, path, fit, trouble, remedy."""
    return {
        finding.name: {
            "use": finding.recipe.use,
            "needed": finding.recipe.needed,
            "version": finding.version,
            "path": str(finding.tool.path) if finding.tool else None,
            "fit": finding.tool is not None,
            "trouble": finding.trouble,
            "remedy": finding.recipe.remedy,
        }
        for finding in findings
    }

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
    rows = Table("tool", "for", "needed by", "version", "fit", title="tools of the kit")
    for finding in findings:
        needed = "sim, test" if finding.recipe.needed else "fpga, proofs"
        fit = "[green]yes" if finding.tool else "[red]no"
        rows.add_row(finding.name, finding.recipe.use, needed, finding.version, fit)
    return rows


def advice(findings: Sequence[Finding]) -> list[str]:
    """One line a tool that is not fit: what is wrong with it, and how to get it."""
    return [
        f"{finding.name}: {finding.trouble}; {finding.recipe.remedy}"
        for finding in findings
        if finding.tool is None
    ]


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

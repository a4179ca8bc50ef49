"""Shows the doctor's findings: a tree for people at a terminal, lines for everything else.

It refuses to judge findings. Invariant: both show the same.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from rich.text import Text
from rich.tree import Tree

from ops.doctor import Finding, Level

_MARKS: Final = {Level.OK: ("✓", "green"), Level.WARN: ("!", "yellow"), Level.FAIL: ("✗", "red")}


def tree(findings: Iterable[Finding]) -> Tree:
    """Draw the findings below their areas."""
    root = Tree(Text("Cardvault", style="bold"))
    branches: dict[str, Tree] = {}
    for finding in findings:
        if finding.area not in branches:
            branches[finding.area] = root.add(Text(finding.area, style="bold"))
        mark, colour = _MARKS[finding.level]
        leaf = branches[finding.area].add(Text.assemble((f"{mark} ", colour), finding.said))
        if finding.advice:
            leaf.add(Text(finding.advice, style="dim"))
    return root


def plain_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """Write a line for each finding."""
    for finding in findings:
        advice = f" ({finding.advice})" if finding.advice else ""
        yield f"{finding.level:<4}  {finding.area}: {finding.said}{advice}"

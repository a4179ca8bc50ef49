"""Shows the doctor's findings: a tree for people at a terminal, lines for everything else.

It refuses to judge findings. Invariant: both show the same.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from rich.text import Text
from rich.tree import Tree

from ops.doctor_findings import Finding, Level, by_area, worst

_MARKS: Final = {Level.OK: ("✓", "green"), Level.WARN: ("!", "yellow"), Level.FAIL: ("✗", "red")}


def tree(findings: Iterable[Finding]) -> Tree:
    """Draw the findings below their areas."""
    root = Tree(Text("Cardvault", style="bold"))
    for area, found in by_area(findings).items():
        branch = root.add(_marked(worst(found), area, "bold"))
        for finding in found:
            leaf = branch.add(_marked(finding.level, finding.said))
            if finding.advice:
                leaf.add(Text(finding.advice, style="dim"))
    return root


def _marked(level: Level, text: str, style: str = "") -> Text:
    mark, colour = _MARKS[level]
    return Text.assemble((f"{mark} ", colour), (text, style))


def plain_lines(findings: Iterable[Finding]) -> Iterator[str]:
    """Write a line for each finding."""
    for finding in findings:
        advice = f" ({finding.advice})" if finding.advice else ""
        yield f"{finding.level:<4}  {finding.area}: {finding.said}{advice}"

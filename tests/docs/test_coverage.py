"""The table of capabilities in the guide to payments names what there is: sections, modules, tests.

Read with ast and regular expressions alone, so that no test is imported to be found.
"""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

from tests.docs.guide import ROOT

GUIDE = (ROOT / "docs" / "payments.md").read_text()
EXAMPLES, _, TABLE = GUIDE.partition("\n## What is covered")
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\]\(([^)]+)\)")
_ANCHOR = re.compile(r"[^\w -]")


@dataclass(frozen=True)
class Row:
    """One capability: where it is described, the modules that have it, the tests that show it."""

    capability: str
    choice: str
    modules: list[str]
    tests: list[str]


def _rows() -> list[Row]:
    lines = [line for line in TABLE.splitlines() if line.startswith("|")][2:]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return [Row(name, choice, _CODE.findall(where), _CODE.findall(shown)) for name, choice, where, shown in cells]


ROWS = _rows()


def _anchor(heading: str) -> str:
    return _ANCHOR.sub("", heading.lower()).replace(" ", "-")


def _tests_in(path: Path) -> set[str]:
    defined = (
        node
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)
    )
    return {node.name for node in defined if node.name.startswith("test_")}


def test_every_capability_names_its_modules_and_tests() -> None:
    assert len(ROWS) > 30
    assert [row.capability for row in ROWS if not row.modules or not row.tests or not row.choice] == []


def test_every_module_is_there() -> None:
    named = {module for row in ROWS for module in row.modules}
    assert sorted(module for module in named if not (ROOT / module).is_file()) == []


def test_every_test_is_there() -> None:
    named = {test for row in ROWS for test in row.tests}
    split = [test.partition("::")[::2] for test in sorted(named)]
    there = {path: _tests_in(ROOT / path) for path in {path for path, _ in split} if (ROOT / path).is_file()}
    assert [f"{path}::{name}" for path, name in split if name not in there.get(path, set())] == []


def test_every_section_of_the_guide_is_in_the_table_and_every_link_leads_somewhere() -> None:
    sections = {f"#{_anchor(heading)}" for heading in re.findall(r"^## (.+)$", EXAMPLES, re.MULTILINE)}
    linked = {link for row in ROWS for link in _LINK.findall(f"{row.capability} {row.choice}")}
    assert sorted(sections - linked) == []
    assert [link for link in sorted(linked - sections) if not (ROOT / "docs" / link).is_file()] == []

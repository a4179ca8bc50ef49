"""Migrations take nothing away from the version before them, unless they say that nobody uses it (ADR 0036)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from vault import migrations

FOLDER = Path(migrations.__file__).parent / "versions"
FIRST = "0020"
TAKING = {"drop_column", "drop_table", "rename_table", "alter_column"}
WORDS = ("drop column", "drop table", "rename ", "set not null", "alter column")


def taken_away(source: str) -> Iterator[str]:
    """Name what a migration's `upgrade` takes away, renames or narrows; nothing where it says that it contracts."""
    tree = ast.parse(source)
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    if "CONTRACTS" in {target.id for target in targets if isinstance(target, ast.Name)}:
        return
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef) or function.name == "downgrade":
            continue
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and node.attr in TAKING:
                yield node.attr
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield from (word for word in WORDS if word in node.value.lower())


@pytest.mark.parametrize("path", sorted(FOLDER.glob("[0-9]*.py")), ids=lambda path: path.stem)
def test_a_migration_leaves_to_the_version_before_what_that_uses(path: Path) -> None:
    if path.stem >= FIRST:
        assert list(taken_away(path.read_text())) == []


def test_the_check_knows_what_takes_away() -> None:
    taking = "def upgrade():\n    op.drop_column('t', 'c')\n    op.execute('ALTER TABLE t RENAME c TO d')\n"
    assert list(taken_away(taking)) == ["drop_column", "rename "]
    assert list(taken_away("CONTRACTS = 'c, unused since 0021'\n" + taking)) == []
    assert list(taken_away(taking.replace("upgrade", "downgrade"))) == []

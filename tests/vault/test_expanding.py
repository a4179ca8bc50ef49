"""Migrations take nothing away from the version before them, unless they say that nobody uses it (ADR 0036)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from vault import migrations

FOLDER = Path(migrations.__file__).parent / "versions"
FIRST = "0020"
TAKING = {"drop_column", "drop_table", "rename_table", "alter_column"}
DESCRIBING = {"schema", "existing_type", "existing_nullable", "comment", "existing_comment"}
WORDS = ("drop column", "drop table", "rename ", "set not null", "alter column")


def widens(call: ast.Call) -> bool:
    """Tell whether a call is an `alter_column` that allows NULL and changes nothing else."""
    changes = {each.arg: ast.unparse(each.value) for each in call.keywords if each.arg not in DESCRIBING}
    return isinstance(call.func, ast.Attribute) and call.func.attr == "alter_column" and changes == {"nullable": "True"}


def taken_away(source: str) -> Iterator[str]:
    """Name what a migration's `upgrade` takes away, renames or narrows; nothing where it says that it contracts."""
    tree = ast.parse(source)
    targets = [target for node in tree.body if isinstance(node, ast.Assign) for target in node.targets]
    if "CONTRACTS" in {target.id for target in targets if isinstance(target, ast.Name)}:
        return
    for function in tree.body:
        if not isinstance(function, ast.FunctionDef) or function.name == "downgrade":
            continue
        widening = {id(node.func) for node in ast.walk(function) if isinstance(node, ast.Call) and widens(node)}
        for node in ast.walk(function):
            if isinstance(node, ast.Attribute) and node.attr in TAKING and id(node) not in widening:
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


@pytest.mark.parametrize(
    ("change", "taken"),
    [
        ("nullable=True", []),
        ("nullable=True, schema='s', existing_type=T()", []),
        ("nullable=False", ["alter_column"]),
        ("nullable=True, type_=T()", ["alter_column"]),
        ("nullable=True, new_column_name='d'", ["alter_column"]),
        ("nullable=True, **more", ["alter_column"]),
        ("", ["alter_column"]),
    ],
)
def test_a_column_may_begin_to_allow_null_and_nothing_else(change: str, taken: list[str]) -> None:
    assert list(taken_away(f"def upgrade():\n    op.alter_column('t', 'c', {change})\n")) == taken

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

SOURCES = sorted((Path(__file__).parents[3] / "ops" / "sandbox").glob("*.py"))
ALLOWED = {"aiohttp", "yarl", "cryptography", *sys.stdlib_module_names}


def imported(source: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_sandbox_shares_no_code_with_the_vault(source: Path) -> None:
    for name in imported(source):
        assert name.startswith("ops.sandbox.") or name.partition(".")[0] in ALLOWED

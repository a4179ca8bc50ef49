import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.source import PACKAGES, REPOSITORY

# For each contract of pyproject.toml, an import that breaks it.
PLANTED = {
    "packages": ("keys/envelope.py", "import ops.embedded"),
    "vault": ("vault/card.py", "import vault.store.cards"),
    "cycles": ("vault/ids.py", "import vault.cards"),
    "keys-alone": ("keys/sealed.py", "import pydantic"),
    "seal-libraries": ("keys/seals/local.py", "import boto3"),
    "spans": ("vault/trace.py", "import opentelemetry.trace"),
    "sandbox-apart": ("ops/sandbox/config.py", "import vault.card"),
    "gateway-stateless": ("vault/gateway/client.py", "import vault.db"),
    "sqlalchemy": ("vault/cards.py", "import sqlalchemy"),
    "asyncpg": ("vault/cards.py", "import asyncpg"),
    "cryptography": ("vault/cards.py", "import argon2"),
    "http-server": ("vault/cards.py", "import starlette.requests"),
    "http-client": ("vault/cards.py", "import aiohttp"),
    "terminal": ("vault/cards.py", "import rich"),
}
CONTRACTS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]


def broken_contracts(tree: Path, *only: str) -> tuple[int, set[str]]:
    """Run import-linter over a copy of the sources and give its exit code and the names of broken contracts."""
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"]
    chosen = [part for name in only for part in ("--contract", name)]
    environment = {**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "300"}
    done = subprocess.run([*command, *chosen], cwd=tree, env=environment, capture_output=True, text=True, check=False)
    names = {each["name"] for each in CONTRACTS}
    return done.returncode, {name for name in names if f"{name} BROKEN" in done.stdout}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    return tmp_path


def test_every_contract_has_its_planted_breach() -> None:
    assert {each["id"] for each in CONTRACTS} == set(PLANTED)


def test_the_product_keeps_every_contract(tree: Path) -> None:
    assert broken_contracts(tree) == (0, set())


def test_every_contract_finds_its_breach(tree: Path) -> None:
    for path, statement in PLANTED.values():
        with (tree / path).open("a") as module:
            module.write(f"\n{statement}\n")
    assert broken_contracts(tree) == (1, {each["name"] for each in CONTRACTS})


def test_a_module_without_a_place_in_the_layers_is_refused(tree: Path) -> None:
    (tree / "vault" / "newcomer.py").touch()
    assert broken_contracts(tree, "vault")[0] == 1

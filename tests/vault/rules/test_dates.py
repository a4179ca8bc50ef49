"""Rules change: every module of them says as of when it is right."""

import pkgutil
from datetime import date
from importlib import import_module

import pytest

import vault.rules

MODULES = [module.name for module in pkgutil.iter_modules(vault.rules.__path__)]


@pytest.mark.parametrize("module", MODULES)
def test_the_rules_are_dated(module: str) -> None:
    dated = import_module(f"vault.rules.{module}").DATED
    assert dated >= date(2026, 11, 1)

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from ops.sandbox.config import SandboxConfig
from ops.sandbox.operations import OPERATIONS
from ops.sandbox.scenarios import MAGIC_AMOUNTS, NAMES
from ops.sandbox.verification import MAGIC_CVVS, MAGIC_POSTCODES

TEXT = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")


def test_every_magic_amount_is_documented_with_what_it_does() -> None:
    rows = dict(re.findall(r"^\| `(\d{7})` \| (.+) \|$", TEXT, re.MULTILINE))
    assert rows.keys() == MAGIC_AMOUNTS.keys()
    for ending, scenario in MAGIC_AMOUNTS.items():
        if scenario.decline is not None:
            assert rows[ending] == f"declined, `{scenario.decline}`"


def test_every_scenario_is_documented() -> None:
    assert set(re.findall(r"^\| `([A-Z_0-9]+(?::<\w+>)?)` \| ", TEXT, re.MULTILINE)) - MAGIC_AMOUNTS.keys() == set(
        NAMES
    )


def test_every_setting_is_documented() -> None:
    section = TEXT.partition("## Settings")[2].partition("\n## ")[0]
    for field in fields(SandboxConfig):
        assert f"`{field.name}`" in section or f"`{field.name}`" in TEXT


def test_every_letter_that_can_be_asked_for_is_documented() -> None:
    rows = dict(re.findall(r"^\| (?:postal code|CVV) `(\d+)` \| `([A-Z])`", TEXT, re.MULTILINE))
    assert rows == {**MAGIC_POSTCODES, **MAGIC_CVVS}


def test_every_operation_is_documented() -> None:
    for operation in OPERATIONS.values():
        assert operation.name in TEXT

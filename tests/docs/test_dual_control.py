"""The manual's way from two operators to three, carried out as it is written there (T-57)."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from keys.seals import keystore
from ops import operator_keys
from tests.installation import PASSPHRASE
from tests.ops.cli.commands import Desk, desk_at
from vault.approval import Operation
from vault.approval_policy import DEFAULT

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "operations.md").read_text()
_SHOWN = {"KEY": r"--public-key (\S{44})", "apr_…": r"apr_\w+", "opr_…": r"opr_\w+"}
_LINE = re.compile(
    r"^(?:CARDVAULT_OPERATOR_KEY_FILE=(\S+) )?cardvault (.+?)(?: +# (?:.*exit code (\d))?.*)?$", re.MULTILINE
)


def test_the_manual_leads_from_two_operators_to_three(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keystore, "_MEMORY_KIB", range(64, 1_048_577))
    monkeypatch.setattr(operator_keys, "_at_a_terminal", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda _question: PASSPHRASE)
    base = desk_at(tmp_path, database_url)
    desk = Desk(base.folder, {**base.env, "CARDVAULT_APPROVAL_POLICY_FILE": ""})
    section = TEXT.partition("\n## Dual control\n")[2].partition("\n## ")[0]
    known: dict[str, str] = {}
    for key_file, command, code in _LINE.findall(section.split("```")[1]):
        words = [known.get(word, word) for word in command.split()]
        sitting = replace(desk, env={**desk.env, "CARDVAULT_OPERATOR_KEY_FILE": key_file})
        result = sitting.run(*words)
        assert result.exit_code == int(code or 0), f"{command}: {result.output}"
        known |= {name: found[-1] for name, shape in _SHOWN.items() if (found := re.findall(shape, result.output))}
    states = {each["person"]: each["status"] for each in json.loads(desk.run("operators", "list", "--json").stdout)}
    assert states == {"alice": "ACTIVE", "bob": "ACTIVE", "carol": "REVOKED"}


def test_the_manual_lists_every_operation_with_its_approvals() -> None:
    listed = dict(re.findall(r"^\| `([a-z.-]+)` \| (\d) \|", TEXT, re.MULTILINE))
    assert listed == {operation.value: str(DEFAULT.needed(operation)) for operation in Operation}


def test_every_operation_is_guarded_somewhere() -> None:
    """A policy that nothing asks would be worse than none."""
    root = Path(__file__).resolve().parents[2]
    places = [
        each for each in (*root.glob("ops/**/*.py"), *root.glob("vault/*.py")) if each.name != "approval_policy.py"
    ]
    sources = "".join(each.read_text() for each in places)
    assert [operation.name for operation in Operation if f"Operation.{operation.name}" not in sources] == []

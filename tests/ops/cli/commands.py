"""Runs commands in this process as an operator would: arguments, an environment, and what came out."""

import json
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from ops.cli import main
from tests.installation import PASSPHRASE
from tests.vault.web import captured


@dataclass(frozen=True, slots=True)
class Desk:
    """An operator's environment."""

    folder: Path
    env: Mapping[str, str]

    def run(self, *arguments: str, given: str | None = None, **changes: str) -> Result:
        """Run a command; nothing but an exit code may come out of it as an exception."""
        variables = {**self.env, **{f"CARDVAULT_{name.upper()}": value for name, value in changes.items()}}
        with captured():  # a command leads the process's log elsewhere
            result = CliRunner().invoke(main, list(arguments), input=given, env=variables)
        assert result.exception is None or isinstance(result.exception, SystemExit), type(result.exception)
        return result

    def data(self, *arguments: str) -> Any:
        """Run a command that has to succeed, and give its JSON."""
        result = self.run(*arguments, "--json")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def refusal(self, *arguments: str, given: str | None = None, **changes: str) -> str:
        """Run a command that has to be refused, and give what it says; nothing is on standard output."""
        result = self.run(*arguments, given=given, **changes)
        assert result.exit_code == 1, result.output
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        return result.stderr

    def file(self, name: str, text: str) -> str:
        """Write a private file and give its path."""
        path = self.folder / name
        path.write_text(text)
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        return str(path)


def desk_at(folder: Path, database_url: str) -> Desk:
    """Make the environment of a development installation whose keys are in a folder; nothing needs approval there."""
    passphrase = folder / "passphrase"
    passphrase.write_text(PASSPHRASE)
    passphrase.chmod(stat.S_IRUSR | stat.S_IWUSR)
    policy = folder / "approvals.toml"
    policy.write_text("")
    values = {
        "ENVIRONMENT": "development",
        "DATABASE_URL": database_url,
        "SEAL": f"local:{folder / 'keystore.json'}",
        "SEAL_PASSPHRASE_FILE": str(passphrase),
        "APPROVAL_POLICY_FILE": str(policy),
        "GATEWAY_URL": "http://127.0.0.1:9",
        "PUBLIC_URL": "http://127.0.0.1:8080",
    }
    return Desk(folder, {f"CARDVAULT_{name}": value for name, value in values.items()})

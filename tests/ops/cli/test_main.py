import subprocess
import sys
from pathlib import Path

import pytest

from ops.cli import main
from tests.ops.cli.commands import Desk, desk_at

EVERYTHING = sorted(main.commands)


def test_every_command_says_what_it_does(tmp_path: Path) -> None:
    desk = Desk(tmp_path, {})
    for name in EVERYTHING:
        result = desk.run(name, "--help")
        assert result.exit_code == 0
        assert len(result.output.splitlines()[2].strip()) > 10, name


def test_help_states_the_exit_codes(tmp_path: Path) -> None:
    said = " ".join(Desk(tmp_path, {}).run("--help").output.split())
    assert "0 done, 1 refused or failed" in said
    assert "2 wrong usage" in said


def test_nothing_heavy_is_imported_for_help() -> None:
    program = (
        "import sys; from ops.cli import main; main(['--help'], standalone_mode=False); "
        "heavy = {'pydantic', 'sqlalchemy', 'fastapi', 'cryptography', 'aiohttp', 'uvicorn', 'rich'} & set(sys.modules); "
        "sys.exit(', '.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [["no-such-command"], ["serve", "--port", "x"], ["merchants", "create"], ["db"]])
def test_wrong_usage_is_exit_code_2(tmp_path: Path, arguments: list[str]) -> None:
    assert Desk(tmp_path, {}).run(*arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments", [["serve"], ["worker"], ["db", "upgrade"], ["db", "check"], ["keys", "status"], ["merchants", "list"]]
)
def test_missing_settings_are_named_all_at_once(tmp_path: Path, arguments: list[str]) -> None:
    said = Desk(tmp_path, {}).refusal(*arguments)
    assert "CARDVAULT_DATABASE_URL: is not set" in said
    assert "CARDVAULT_SEAL: is not set" in said


@pytest.mark.parametrize("command", ["sandbox", "dev", "demo"])
def test_nothing_simulated_runs_in_production(tmp_path: Path, command: str) -> None:
    said = Desk(tmp_path, {"CARDVAULT_ENVIRONMENT": "production"}).refusal(command)
    assert "CARDVAULT_ENVIRONMENT=production" in said


@pytest.mark.parametrize("arguments", [["serve"], ["worker"], ["db", "upgrade"], ["db", "check"], ["keys", "status"]])
def test_a_database_that_is_down_is_said_to_be(tmp_path: Path, arguments: list[str]) -> None:
    said = desk_at(tmp_path, "postgresql://somebody:hunter2-secret@127.0.0.1:9/vault").refusal(*arguments)
    assert "nothing answers there; check host and port" in said
    assert "hunter2-secret" not in said


def test_an_unforeseen_failure_shows_its_place_and_no_value() -> None:
    program = (
        "from unittest.mock import patch; from ops.cli import main, keys\n"
        "def fail(*a, **k):\n    raise LookupError('4539731908466057')\n"
        "keys.commands['status'].callback = fail\n"
        "main(['keys', 'status'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "Error: unexpected LookupError in fail, line 3; this is a fault of the program\n"

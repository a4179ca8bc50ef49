"""Commands on keys whose whole process is killed (SIGKILL) after a commit, and given again (T-5, T-9, T-12, T-14).

Every commit of every operation is cut off inside one process in tests/api/test_every_key_operation.py.
"""

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.docs.guide import ROOT
from tests.ops.cli.commands import Desk

_CUSTODIANS = "a passphrase of a custodian's"


@pytest.fixture
def both(desk: Desk, merchant_id: str) -> Desk:
    """A desk with a new seal beside the present one, and a merchant whose keys seal something."""
    assert merchant_id
    return replace(desk, env={**desk.env, "CARDVAULT_SEAL": f"{desk.env['CARDVAULT_SEAL']} {_new(desk)}"})


def _new(desk: Desk) -> str:
    return f"local:{desk.folder / 'new.json'}"


def _add_seal(desk: Desk) -> list[str]:
    return ["keys", "seals", "add", "--create", _new(desk)]


def _rotate_root(_: Desk) -> list[str]:
    return ["keys", "rotate", "root"]


def _make_shares(desk: Desk) -> list[str]:
    output = desk.folder / "shares"
    output.mkdir(exist_ok=True)
    for file in output.iterdir():  # of the run that died
        file.unlink()
    words = ["keys", "shares", "create", "--threshold", "2", "--output", str(output)]
    for name in ("dora", "emil"):
        words += ["--custodian", name, "--passphrase-file", desk.file(name, _CUSTODIANS)]
    return words


def _shred(desk: Desk) -> list[str]:
    begun = (desk.folder / "new.json").exists()
    return ["keys", "shred", "--destroy", *([] if begun else ["--seal", _new(desk)])]


def _killed(desk: Desk, command: list[str], commits: int) -> None:
    words = [sys.executable, "-m", "tests.ops.cli.dying_command", str(commits), *command]
    ended = subprocess.run(words, cwd=ROOT, env=desk.env, capture_output=True, check=False, timeout=120)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()[-500:]


@pytest.mark.parametrize(
    ("command", "commits", "seals"),
    [
        pytest.param(_add_seal, 1, 2, id="seals add"),
        pytest.param(_rotate_root, 2, 1, id="rotate root"),
        pytest.param(_make_shares, 1, 1, id="shares create"),
        pytest.param(_shred, 6, 2, id="shred"),
    ],
)
def test_a_command_whose_process_is_killed_is_given_again(
    both: Desk, desk: Desk, command: Callable[[Desk], list[str]], commits: int, seals: int
) -> None:
    """Afterwards whatever is sealed opens: it is moved once more, which opens and compares every value.

    A command that had done everything when it was killed may say so.
    """
    sitting = both if seals > 1 else desk
    _killed(sitting, command(sitting), commits)
    assert all(each["opens"] is not False for each in sitting.data("keys", "status")["rootKeys"])
    again = sitting.run(*command(sitting))
    assert again.exit_code == 0 or "already" in again.stderr, again.stderr
    last = replace(sitting, env={**sitting.env, "CARDVAULT_SEAL": _new(desk)}) if command is _shred else sitting
    last.data("keys", "rotate", "data")
    moved = last.data("keys", "reencrypt")
    assert (moved["state"], moved["damaged"]) == ("done", 0)

"""`cardvault keys reencrypt`: started, watched, held; what it prints where."""

import json

import pytest

from ops import reencrypting
from ops.cli import progress_view
from ops.cli.progress_view import drawn
from tests.ops.cli.commands import Desk


@pytest.fixture
def rotated(desk: Desk, merchant_id: str) -> Desk:
    """A desk where a merchant's gateway keys are sealed under a retired key."""
    desk.data("keys", "rotate", "data")
    return desk


def test_the_command_does_the_work_and_shows_it(rotated: Desk, merchant_id: str) -> None:
    """T-9."""
    result = rotated.run("keys", "reencrypt", "--json")
    assert result.exit_code == 0, result.stderr
    done = json.loads(result.stdout)
    assert (done["state"], done["done"], done["total"], done["damaged"]) == ("done", 1, 1, 0)
    assert [part["place"] for part in done["keys"]] == ["merchant.gateway_credentials"]
    assert "re-encrypted: 1 of 1" in result.stderr
    assert rotated.data("merchants", "show", merchant_id)["gatewayKeys"]


def test_a_detached_job_waits_for_somebody_to_take_it_up(rotated: Desk) -> None:
    started = rotated.data("keys", "reencrypt", "--detach", "--rate", "100")
    assert (started["state"], started["done"], started["rateLimit"]) == ("running", 0, 100)
    taken = rotated.data("keys", "reencrypt")
    assert (taken["jobId"], taken["state"]) == (started["jobId"], "done")
    assert "keyId" in rotated.run("keys", "reencrypt", "status").stdout


def test_a_job_is_held_and_let_go(rotated: Desk) -> None:
    rotated.data("keys", "reencrypt", "--detach")
    assert rotated.data("keys", "reencrypt", "pause")["state"] == "paused"
    assert "keys reencrypt resume" in rotated.refusal("keys", "reencrypt")
    assert "No re-encryption is running" in rotated.refusal("keys", "reencrypt", "pause")
    assert rotated.data("keys", "reencrypt", "resume")["state"] == "running"


def test_before_the_first_job_there_is_nothing_to_watch(desk: Desk) -> None:
    assert "Nothing has been re-encrypted yet" in desk.refusal("keys", "reencrypt", "--follow")
    assert "Nothing has been re-encrypted yet" in desk.refusal("keys", "reencrypt", "status")


def test_watching_takes_no_part(rotated: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    rotated.data("keys", "reencrypt", "--detach")

    async def interrupted(_seconds: float, worker: object) -> None:
        assert worker is None
        raise KeyboardInterrupt

    monkeypatch.setattr(reencrypting, "_spend", interrupted)
    result = rotated.run("keys", "reencrypt", "--follow")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "The job stays running" in result.stderr
    assert rotated.data("keys", "reencrypt", "status")["state"] == "running"


def test_watching_and_starting_exclude_each_other(desk: Desk) -> None:
    assert desk.run("keys", "reencrypt", "--follow", "--rate", "5").exit_code == 2
    assert desk.run("keys", "reencrypt", "--rate", "-1").exit_code == 2


def test_nothing_to_do_is_done(desk: Desk) -> None:
    done = desk.data("keys", "reencrypt")
    assert (done["state"], done["total"]) == ("done", 0)


def test_lines_come_at_first_now_and_then_and_at_the_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress_view, "_LINE_SECONDS", 3600.0)
    with drawn("moved") as draw:
        draw(0, 4, 0.0, None)
        draw(1, 4, 2.0, 61.2)
        draw(4, 4, 2.0, 0.0)
        draw(4, 4, 2.0, 0.0)
    assert capsys.readouterr().err.splitlines() == ["moved: 0 of 4, 0 rows/s", "moved: 4 of 4, 2 rows/s"]


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with drawn("moved") as draw:
        draw(1, 4, 2.0, 61.2)
    assert "1:01 left" in capsys.readouterr().err

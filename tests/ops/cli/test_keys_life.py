"""`cardvault keys compromise` and `keys destroy`, as typed."""

import pytest

from tests.ops.cli.commands import Desk


def _retired_key(desk: Desk) -> str:
    """Rotate, have everything moved, and give the id of a key that nothing needs any more."""
    rotated = desk.data("keys", "rotate", "data")
    desk.data("keys", "reencrypt")
    return str(rotated[0]["retiredKeyId"])


def test_a_destruction_is_scheduled_and_taken_back(desk: Desk, merchant_id: str) -> None:
    name = _retired_key(desk)
    assert desk.data("keys", "destroy", name)["destroyAfter"] > "20"
    assert "scheduled already" in desk.refusal("keys", "destroy", name)
    assert desk.data("keys", "destroy", name, "--undo")["destroyAfter"] is None
    assert "No destruction" in desk.refusal("keys", "destroy", name, "--undo")


def test_an_active_key_is_not_destroyed(desk: Desk, merchant_id: str) -> None:
    [rotated, *_] = desk.data("keys", "rotate", "data")
    assert "in use" in desk.refusal("keys", "destroy", rotated["activeKeyId"])


def test_a_compromise_starts_what_replaces_the_key(desk: Desk, merchant_id: str) -> None:
    [rotated, *_] = desk.data("keys", "rotate", "data")
    result = desk.run("keys", "compromise", rotated["activeKeyId"], "--deadline", "1")
    assert result.exit_code == 0, result.stderr
    assert "Workers move what it sealed" in result.stderr
    assert "cannot be paused" in desk.refusal("keys", "reencrypt", "pause")
    assert desk.data("keys", "reencrypt")["state"] == "done"


@pytest.mark.parametrize("name", ["", "key_aaaa", "mer_aaaaaaaaaaaaaaaaaaaaaaaaaa", "key_" + "b" * 26])
def test_what_is_no_key_id_is_refused_without_being_repeated(desk: Desk, name: str) -> None:
    for command in ("destroy", "compromise"):
        said = desk.refusal("keys", command, name)
        assert "see cardvault keys status" in said
        assert not name or name not in said


def test_a_key_that_is_not_there_is_refused(desk: Desk) -> None:
    assert "No data key has this id" in desk.refusal("keys", "destroy", "key_" + "a" * 26)

"""Shredding at an operator's desk: what is refused, what goes on after a death, what a receipt is worth.

The ceremony itself is in docs/key-ceremonies.md, whose commands tests/docs runs.
"""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from keys.sealed import KeyMaterial
from keys.seals.keystore import Passphrase
from keys.seals.share_file import ShareFile
from keys.seals.shares import split
from tests.ops.cli.commands import Desk
from vault.store import shares as share_rows

PASSPHRASE = "a passphrase of a custodian's"
TYPED = f"{PASSPHRASE}\n" * 6


@pytest.fixture
def both(desk: Desk) -> Desk:
    """A desk with a new seal beside the present one."""
    return replace(desk, env={**desk.env, "CARDVAULT_SEAL": f"{desk.env['CARDVAULT_SEAL']} {_new(desk)}"})


def _new(desk: Desk) -> str:
    return f"local:{desk.folder / 'new.json'}"


def _custodians(*names: str) -> tuple[str, ...]:
    return ("--threshold", "2", *(word for name in names for word in ("--custodian", name)))


def test_a_shredding_waits_for_another_operator(both: Desk) -> None:
    """KEY-11: before anything is made; so does an attestation."""
    for words in (("--seal", _new(both)), ("attest", "local:old")):
        said = both.refusal("keys", "shred", *words, approval_policy_file="")
        assert "CARDVAULT_OPERATOR_KEY_FILE" in said
    assert not (both.folder / "new.json").exists()


def test_what_belongs_together_is_asked_for_together(both: Desk) -> None:
    for words in (
        ("--threshold", "2"),
        ("--custodian", "dora"),
        _custodians("dora", "emil"),
        ("--seal", _new(both), *_custodians("dora", "emil")),
        ("--seal", _new(both), *_custodians("dora", "emil"), "--output", str(both.folder), "--passphrase-file", "one"),
    ):
        assert both.run("keys", "shred", *words).exit_code == 2, words


def test_before_the_first_shredding_there_is_nothing_to_go_on_with(both: Desk) -> None:
    assert "name the new seals with --seal" in both.refusal("keys", "shred")


class Killed(BaseException):
    """Nothing that the product catches."""


async def _killed(*_: object) -> None:
    raise Killed


def test_shares_that_were_written_and_never_kept_are_replaced(both: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """T-14: the files of a run that died are nobody's shares; those of a set that is on record stay.

    So do those of somebody else's set, which may be another installation's.
    """
    words = split(KeyMaterial.generate(), 2, 2)[0]
    stale = both.folder / "dora.share"
    _write(stale, ShareFile.around(bytes(16), "dora", words, Passphrase(PASSPHRASE)))
    foreign = stale.read_bytes()
    plan = ("keys", "shred", "--seal", _new(both), *_custodians("dora", "emil"), "--output", str(both.folder))
    assert "already there" in both.refusal(*plan, given=TYPED)
    assert stale.read_bytes() == foreign
    stale.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(share_rows, "insert", _killed)
        with pytest.raises(Killed):
            both.run("keys", "shred", "--output", str(both.folder), given=TYPED)
    before = stale.read_bytes()
    again = ("keys", "shred", "--output", str(both.folder))
    assert "dora, emil" in both.refusal(*again, "--passphrase-file", str(both.folder / "one"))
    begun = both.run(*again, given=TYPED)
    assert begun.exit_code == 0, begun.stderr
    assert stale.read_bytes() != before
    share = ("--share", str(stale))
    for name in ("dora", "emil"):
        file = str(both.folder / f"{name}.share")
        assert both.run("keys", "shares", "verify", "--acknowledge", "--share", file, given=TYPED).exit_code == 0
    assert "in use" in both.refusal("keys", "shares", "destroy", "--acknowledge", *share, given=TYPED)[-200:]
    assert stale.exists()


def test_a_share_is_destroyed_when_its_custodian_agrees(desk: Desk) -> None:
    made = desk.run(
        *("keys", "shares", "create", *_custodians("alice", "bob"), "--output", str(desk.folder), "--json"),
        given=TYPED,
    )
    assert made.exit_code == 0, made.stderr
    desk.data("keys", "rotate", "root", "--drop-shares")
    file = desk.folder / "alice.share"
    share = ("keys", "shares", "destroy", "--share", str(file))
    assert "has to agree" in desk.refusal(*share, given=TYPED)
    assert file.exists()
    result = desk.run(*share, "--acknowledge", "--json", given=TYPED)
    assert json.loads(result.stdout)["custodian"] == "alice"
    assert not file.exists()


def test_a_receipt_is_verified_without_the_vault_and_a_changed_one_is_refused(both: Desk) -> None:
    receipt, listed = both.folder / "receipt", both.folder / "receipt.cards"
    both.data("keys", "shred", "--seal", _new(both), "--receipt", str(receipt))
    first = receipt.read_bytes()
    done = both.data("keys", "shred", "--destroy", "--receipt", str(receipt))
    assert (done["complete"], done["left"], len(done["destroyed"])) == (True, [], 1)
    assert receipt.read_bytes() != first
    key = both.run("keys", "receipt", "key").stdout.strip()
    alone = Desk(both.folder, {})
    verify = ("keys", "receipt", "verify", str(receipt))
    assert alone.data(*verify, "--key", key)["complete"] is True
    assert both.data(*verify)["cards"]["count"] == 0
    listed.write_text("mer_x card_x\n")
    assert "not the cards of the receipt" in alone.refusal(*verify, "--key", key)
    receipt.write_bytes(receipt.read_bytes().replace(b'"complete":true', b'"complete":null'))
    assert "does not verify" in alone.refusal(*verify, "--key", key)
    receipt.unlink()
    assert "No such file" in alone.refusal(*verify, "--key", key)


def test_a_receipt_that_cannot_be_written_leaves_nothing_behind(both: Desk) -> None:
    """The ceremony is as it was, and its receipt can be written elsewhere, also once it is complete."""
    receipt, listed = both.folder / "receipt", both.folder / "receipt.cards"
    both.data("keys", "shred", "--seal", _new(both), "--destroy")
    listed.mkdir()
    before = sorted(both.folder.iterdir())
    both.refusal("keys", "shred", "--receipt", str(receipt))
    assert sorted(both.folder.iterdir()) == before
    listed.rmdir()
    assert both.data("keys", "shred", "--receipt", str(receipt))["complete"] is True
    assert {path.stat().st_mode & 0o777 for path in (receipt, listed)} == {0o600}


def _write(path: Path, file: ShareFile) -> None:
    path.write_bytes(file.render())
    path.chmod(0o600)

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


def test_shares_that_were_written_and_never_kept_are_replaced(both: Desk) -> None:
    """T-14: the files of a run that died are nobody's shares; those of a set that is on record stay."""
    words = split(KeyMaterial.generate(), 2, 2)[0]
    stale = both.folder / "dora.share"
    _write(stale, ShareFile.around(bytes(16), "dora", words, Passphrase(PASSPHRASE)))
    before = stale.read_bytes()
    begun = both.run(
        *("keys", "shred", "--seal", _new(both), *_custodians("dora", "emil")),
        *("--output", str(both.folder), "--json"),
        given=TYPED,
    )
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


def _write(path: Path, file: ShareFile) -> None:
    path.write_bytes(file.render())
    path.chmod(0o600)

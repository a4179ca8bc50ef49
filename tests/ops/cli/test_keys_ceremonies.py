"""Key ceremonies at an operator's desk: what is refused, asked again and shown (docs/key-ceremonies.md holds them all)."""

import json
import re
from pathlib import Path

import pytest

from ops.cli import keys_shares
from ops.custodians import numbered
from tests.ops.cli.commands import Desk

PASSPHRASES = "a passphrase of a custodian's\n" * 6


@pytest.fixture
def custodians(desk: Desk) -> Desk:
    """A desk with the files of two custodians of two, acknowledged."""
    made = desk.run(*_create(desk), "--json", given=PASSPHRASES)
    assert made.exit_code == 0, made.stderr
    for file in json.loads(made.stdout)["files"]:
        verified = desk.run("keys", "shares", "verify", "--acknowledge", "--share", file, given=PASSPHRASES)
        assert verified.exit_code == 0, verified.stderr
    return desk


def _create(desk: Desk, *more: str) -> tuple[str, ...]:
    who = ("--custodian", "alice", "--custodian", "bob")
    return ("keys", "shares", "create", "--threshold", "2", *who, "--output", str(desk.folder), *more)


def _words(desk: Desk, name: str) -> str:
    """Read a share as its custodian could, to type it elsewhere."""
    from keys.seals.keystore import Passphrase
    from keys.seals.share_file import ShareFile

    file = ShareFile.parse((desk.folder / f"{name}.share").read_bytes())
    return file.open(Passphrase(PASSPHRASES.splitlines()[0])).reveal()


def test_an_address_that_is_none_is_explained_and_not_repeated(desk: Desk) -> None:
    for uri in ("hunter2", "local:hunter2", "pkcs11:token=a;object=b?pin-value=hunter2", "awskms:alias/hunter2"):
        said = desk.refusal("keys", "seals", "add", uri)
        assert "the seal's address has to be" in said
        assert "hunter2" not in said


def test_a_new_seal_needs_others_approval_unless_the_policy_says_no(desk: Desk) -> None:
    """KEY-4: before anything is made."""
    address = f"local:{desk.folder / 'second.json'}"
    said = desk.refusal("keys", "seals", "add", "--create", address, approval_policy_file="")
    assert "CARDVAULT_OPERATOR_KEY_FILE" in said
    assert not (desk.folder / "second.json").exists()


def test_a_verification_ends_with_1_when_a_seal_does_not_open(desk: Desk) -> None:
    gone = f"local:{desk.folder / 'gone.json'}"
    result = desk.run("keys", "seals", "verify", "--json", seal=f"{desk.env['CARDVAULT_SEAL']} {gone}")
    assert result.exit_code == 1
    assert [row["opens"] for row in json.loads(result.stdout)] == [True, False]


def test_the_status_and_the_doctor_tell_of_a_seal_that_does_not_open(desk: Desk) -> None:
    both = f"{desk.env['CARDVAULT_SEAL']} local:{desk.folder / 'gone.json'}"
    assert [
        root["opens"] for root in json.loads(desk.run("keys", "status", "--json", seal=both).stdout)["rootKeys"]
    ] == [True]
    assert "one of the seals does not open: there is no file" in desk.run("doctor", seal=both).stdout


def test_what_is_not_there_cannot_be_removed(desk: Desk) -> None:
    assert "cardvault keys status lists them" in desk.refusal("keys", "seals", "remove", "local:nobody")


def test_shares_go_to_files_or_to_this_terminal(desk: Desk) -> None:
    """KEY-6: never into a pipe."""
    for arguments in (_create(desk, "--print"), _create(desk)[:-2], (*_create(desk)[:-2], "--print")):
        result = desk.run(*arguments)
        assert (result.exit_code, result.stdout) == (2, "")
    assert desk.run(*_create(desk, "--passphrase-file", desk.file("p", PASSPHRASES))).exit_code == 2


def test_a_share_is_shown_to_its_custodian_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys_shares, "_at_a_terminal", lambda: True)
    result = desk.run(*_create(desk)[:-2], "--print")
    assert result.exit_code == 0, result.output
    assert len(re.findall(r"^ *1 [a-z]+", result.stdout, re.MULTILINE)) == 2
    assert not list(desk.folder.glob("*.share"))


def test_words_are_laid_out_for_copying() -> None:
    lines = numbered(" ".join(f"word{place}" for place in range(1, 34))).splitlines()
    assert (len(lines), lines[-1].split()) == (7, ["31", "word31", "32", "word32", "33", "word33"])


def test_no_file_of_a_custodians_is_replaced(custodians: Desk) -> None:
    before = (custodians.folder / "alice.share").read_bytes()
    assert "a file is already there" in custodians.refusal(*_create(custodians), given=PASSPHRASES)
    assert (custodians.folder / "alice.share").read_bytes() == before


def test_a_share_is_verified_and_its_holder_named(custodians: Desk) -> None:
    share = str(custodians.folder / "bob.share")
    passphrase = custodians.file("bob's", PASSPHRASES.splitlines()[0])
    shown = custodians.data("keys", "shares", "verify", "--share", share, "--passphrase-file", passphrase)
    assert {name: shown[name] for name in ("share", "custodian", "acknowledged", "inForce")} == {
        "share": 2,
        "custodian": "bob",
        "acknowledged": True,
        "inForce": True,
    }


def test_the_file_that_is_wrong_is_named(custodians: Desk) -> None:
    share = str(custodians.folder / "bob.share")
    wrong = {
        custodians.file("none.share", "hunter2 hunter2"): "word 1 is not in the list",
        custodians.file("broken.share", "{"): "the file is not a share",
        str(custodians.folder / "missing.share"): "there is no file",
        share: "the passphrase does not open the share",
    }
    for file, reason in wrong.items():
        said = custodians.refusal("keys", "recover", "--share", file, given="not the right passphrase\n")
        assert f"{file}: {reason}" in said
        assert "hunter2" not in said
    arguments = ("--share", share, "--share", share, "--passphrase-file", share)
    assert "once for each --share" in custodians.refusal("keys", "recover", *arguments)


def test_what_is_typed_wrong_is_named_at_once_and_asked_again(custodians: Desk) -> None:
    """T-10: by its place, and never repeated."""
    alice, bob = _words(custodians, "alice"), _words(custodians, "bob")
    mistyped = " ".join(["hunter2", *bob.split()[1:]])
    new = f"local:{custodians.folder / 'new.json'}"
    given = f"{alice}\n{mistyped}\n{alice}\n{bob}\n"
    result = custodians.run("keys", "recover", given=given, seal=new)
    assert result.exit_code == 0, result.stderr
    assert "Not accepted: word 1 is not in the list of words. Type this share again." in result.stderr
    assert "Not accepted: share 1 was given twice." in result.stderr
    assert "hunter2" not in result.output
    assert not set(alice.split()[2:]) & set(re.findall(r"[a-z]+", result.stdout))
    assert custodians.run("merchants", "list", seal=new).exit_code == 0


def test_one_share_may_be_typed_to_verify_it(custodians: Desk) -> None:
    words = _words(custodians, "alice")
    result = custodians.run("keys", "shares", "verify", "--json", given=f"{words}\n")
    assert json.loads(result.stdout)["custodian"] == "alice"


def test_the_root_key_is_rotated_with_its_shares_dropped_on_purpose_alone(custodians: Desk) -> None:
    assert "Custodians' shares" in custodians.refusal("keys", "rotate", "root")
    rotated = custodians.data("keys", "rotate", "root", "--drop-shares")
    assert (rotated["version"], rotated["dataKeysMoved"]) == (2, 2)
    share = Path(custodians.folder / "bob.share")
    result = custodians.run("keys", "shares", "verify", "--json", "--share", str(share), given=PASSPHRASES)
    assert json.loads(result.stdout)["inForce"] is False

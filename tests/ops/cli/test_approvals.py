"""Dual control as operators meet it: each with a key file, from the request to the execution."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ops import operator_keys
from ops.doctor_duties import dual_control
from ops.doctor_findings import Level, Patient
from tests.installation import PASSPHRASE
from tests.ops.cli.commands import Desk
from tests.ops.cli.persons import creation, enrolled, seat, waits
from vault.settings import load_settings

_WIDER = ("--scope", "audit:read")


pytestmark = pytest.mark.usefixtures("quick_stretching")


@pytest.fixture
def guarded(bare_desk: Desk) -> Desk:
    """A desk under the policy that comes with the product."""
    return replace(bare_desk, env={**bare_desk.env, "CARDVAULT_APPROVAL_POLICY_FILE": ""})


def test_a_third_operator_needs_the_approval_of_another(guarded: Desk) -> None:
    alice, bob = enrolled(guarded, "alice"), enrolled(guarded, "bob")
    seat(guarded, "carol")
    request = waits(alice, *creation(guarded, "carol"))
    assert [each["approvalId"] for each in alice.data("approvals", "list")] == [request]
    shown = bob.data("approvals", "show", request)
    assert (shown["operation"], shown["parameters"]["person"], shown["requester"]) == (
        "operators.create",
        "carol",
        "alice",
    )
    assert "nobody approves what the same person asked for" in alice.refusal("approvals", "approve", request)
    assert waits(alice, *creation(guarded, "carol")) == request
    approved = bob.data("approvals", "approve", request)
    assert (approved["state"], approved["approvedBy"], approved["digest"]) == ("APPROVED", ["bob"], shown["digest"])
    made = alice.data(*creation(guarded, "carol"))
    assert made["publicKey"] == shown["parameters"]["publicKey"]
    assert [each["person"] for each in alice.data("operators", "list")] == ["alice", "bob", "carol"]
    assert alice.data("approvals", "list") == []
    assert [each["state"] for each in alice.data("approvals", "list", "--all")] == ["EXECUTED"]


def test_a_denied_request_is_over(guarded: Desk) -> None:
    alice, bob = enrolled(guarded, "alice"), enrolled(guarded, "bob")
    seat(guarded, "carol")
    request = waits(alice, *creation(guarded, "carol"))
    assert bob.data("approvals", "deny", request)["deniedBy"] == ["bob"]
    assert "was denied" in bob.refusal("approvals", "approve", request)
    assert alice.data("approvals", "list") == []
    assert waits(alice, *creation(guarded, "carol")) != request


def test_a_revoked_operator_has_no_say(guarded: Desk) -> None:
    alice, bob = enrolled(guarded, "alice"), enrolled(guarded, "bob")
    ids = {each["person"]: each["operatorId"] for each in alice.data("operators", "list")}
    assert alice.data("operators", "revoke", ids["bob"])["revokedNow"]
    assert not alice.data("operators", "revoke", ids["bob"])["revokedNow"]
    assert "no operator's, or was revoked" in bob.refusal("approvals", "deny", "apr_any")
    assert "no operator has this id" in alice.refusal("operators", "revoke", "opr_nobody")
    assert [each["status"] for each in alice.data("operators", "list")] == ["ACTIVE", "REVOKED"]


def test_a_wider_client_needs_approval_and_a_first_one_does_not(desk: Desk, merchant_id: str, guarded: Desk) -> None:
    start = ("clients", "create", "--merchant", merchant_id, "--name", "app")
    guarded.data(*start, "--scope", "cards:read", "--scope", "cards:write")
    guarded.data(*start, "--scope", "cards:read")
    assert "CARDVAULT_OPERATOR_KEY_FILE" in guarded.refusal(*start, *_WIDER)
    alice, bob = enrolled(guarded, "alice"), enrolled(guarded, "bob")
    assert "cards:read, cards:write" in alice.refusal(*start, "--scope", "cards:everything")
    assert "no merchant has this id" in alice.refusal(
        "clients", "create", "--merchant", "mer_x", "--name", "a", *_WIDER
    )
    request = waits(alice, *start, *_WIDER)
    bob.data("approvals", "approve", request)
    assert waits(alice, *start, *_WIDER, "--scope", "mit:write") != request
    assert alice.data(*start, *_WIDER)["scopes"] == ["audit:read"]
    alice.data(*start, *_WIDER)


def test_a_key_is_destroyed_by_two(desk: Desk, merchant_id: str, guarded: Desk) -> None:
    """KEY-11: what was approved is scheduled once; another key, or once more, needs another approval."""
    alice, bob = enrolled(guarded, "alice"), enrolled(guarded, "bob")
    retired = {each["purpose"]: each["retiredKeyId"] for each in desk.data("keys", "rotate", "data")}
    destroy = ("keys", "destroy", retired["card"])
    bob.data("approvals", "approve", waits(alice, *destroy))
    waits(alice, "keys", "destroy", retired["credential"])
    waits(bob, *destroy)
    assert alice.data(*destroy)["destroyAfter"]
    waits(alice, *destroy)
    assert merchant_id in {
        each["merchantId"] for each in desk.data("keys", "status")["keys"] if each["due"] == "destroy"
    }


def test_a_public_key_is_enough_to_enrol_somebody(guarded: Desk) -> None:
    alice, bob = enrolled(guarded, "alice"), enrolled(guarded, "bob")
    seat(guarded, "carol")
    said = guarded.refusal(*creation(guarded, "carol"))
    key = said.split()[-1]
    create = ("operators", "create", "--person", "carol", "--public-key", key)
    bob.data("approvals", "approve", waits(alice, *create))
    assert alice.data(*create)["publicKey"] == key
    for wrong in ("", "carol", key[:-4], key + "AAAA"):
        assert "44 characters" in alice.refusal(*create[:-1], wrong)
    for usage in (create[:-2], (*create, "--key-file", "x")):
        assert alice.run(*usage).exit_code == 2


def test_a_wrong_passphrase_opens_no_key(guarded: Desk) -> None:
    alice = enrolled(guarded, "alice")
    alice.file("alice", "another passphrase altogether")
    assert "the passphrase does not open" in alice.refusal("approvals", "approve", "apr_any")
    assert "the passphrase does not open" in alice.refusal(*creation(guarded, "alice"))


def test_a_weak_passphrase_makes_no_key(guarded: Desk) -> None:
    guarded.file("alice", "short")
    assert "12 to 1024 characters" in guarded.refusal(*creation(guarded, "alice"))
    assert not (guarded.folder / "alice.key").exists()


def test_without_a_file_the_terminal_asks_for_the_passphrase(guarded: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    create = creation(guarded, "alice")[:-2]
    assert "no terminal" in guarded.refusal(*create)
    typed = iter([PASSPHRASE, PASSPHRASE + "!", PASSPHRASE, PASSPHRASE])
    monkeypatch.setattr(operator_keys, "_at_a_terminal", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda _question: next(typed))
    assert "differ" in guarded.refusal(*create)
    assert json.loads(guarded.run(*create, "--json").stdout)["person"] == "alice"


@pytest.mark.parametrize("text", ["approvals = 1", "[approvals]\n'keys.destory' = 1"])
def test_a_policy_that_is_not_understood_stops_what_it_governs(bare_desk: Desk, text: str) -> None:
    Path(bare_desk.env["CARDVAULT_APPROVAL_POLICY_FILE"]).write_text(text)
    assert "in the approval policy" in bare_desk.refusal("operators", "list")


def test_an_unknown_request_is_said_to_be(guarded: Desk) -> None:
    alice = enrolled(guarded, "alice")
    for command in ("show", "approve", "deny"):
        assert "no request for approval has this id" in alice.refusal("approvals", command, "apr_any")


@pytest.mark.anyio
async def test_the_doctor_counts_operators_against_the_policy(guarded: Desk) -> None:
    async def said(policy: str = "") -> tuple[Level, str]:
        settings = load_settings({**guarded.env, "CARDVAULT_APPROVAL_POLICY_FILE": policy})
        found = await dual_control(Patient(settings))
        return found.level, found.said

    assert await said() == (Level.WARN, "0 operators, up to 1 have to approve what another asks for")
    policy = guarded.folder / "approvals.toml"
    assert await said(str(policy)) == (Level.OK, "the policy asks for none")
    policy.write_text("approvals = 1")
    assert await said(str(policy)) == (Level.FAIL, "the policy cannot be used")


def test_lists_are_readable_without_json(guarded: Desk) -> None:
    alice: Any = enrolled(guarded, "alice")
    assert alice.run("operators", "list").output.splitlines()[1].split()[1:3] == ["alice", "ACTIVE"]
    assert alice.run("approvals", "list").output.split()[:2] == ["approvalId", "operation"]

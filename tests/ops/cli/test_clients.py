import json
from pathlib import Path
from typing import Any

from keys.certificates import read
from tests.ops.cli.commands import Desk
from tests.vault.gateway.certificates import Authority
from vault.api_secret import ApiSecret
from vault.auth import Scope


def make_client(desk: Desk, merchant_id: str, *more: str) -> dict[str, Any]:
    made: dict[str, Any] = desk.data("clients", "create", "--merchant", merchant_id, "--name", "app", *more)
    return made


def test_an_api_key_is_printed_when_it_is_made_and_never_again(desk: Desk, merchant_id: str) -> None:
    made = make_client(desk, merchant_id, "--scope", "cards:read", "--scope", "cards:write")
    ApiSecret.parse(made["apiKey"])
    listed = desk.run("clients", "list", "--json")
    assert made["apiKey"] not in listed.output
    assert [client["scopes"] for client in json.loads(listed.stdout)] == [["cards:read", "cards:write"]]


def test_the_warning_about_the_key_is_not_among_the_data(desk: Desk, merchant_id: str) -> None:
    result = desk.run("clients", "create", "--merchant", merchant_id, "--name", "app", "--all-scopes", "--json")
    assert set(json.loads(result.stdout)["scopes"]) == {scope.value for scope in Scope}
    assert "only time" in result.stderr


def test_bad_scopes_are_refused_with_the_good_ones(desk: Desk, merchant_id: str) -> None:
    for scopes in (("--scope", "cards:everything"), ()):
        said = desk.refusal("clients", "create", "--merchant", merchant_id, "--name", "app", *scopes)
        assert "cards:read, cards:write" in said
    assert desk.data("clients", "list") == []


def test_bad_ranges_and_moments_are_refused(desk: Desk, merchant_id: str) -> None:
    start = ("clients", "create", "--merchant", merchant_id, "--name", "app", "--scope", "cards:read")
    assert "CIDR" in desk.refusal(*start, "--cidr", "10.0.0.0/99")
    assert "2030-01-31T00:00:00Z" in desk.refusal(*start, "--expires-at", "tomorrow")
    assert "in the future" in desk.refusal(*start, "--expires-at", "2020-01-01")


def test_ranges_and_an_end_are_kept(desk: Desk, merchant_id: str) -> None:
    more = ("--scope", "cards:read", "--cidr", "10.0.0.0/8", "--expires-at", "2999-01-01")
    made = make_client(desk, merchant_id, *more)
    assert (made["cidrs"], made["expiresAt"]) == (["10.0.0.0/8"], "2999-01-01T00:00:00+00:00")


def test_a_rotation_gives_another_key(desk: Desk, merchant_id: str) -> None:
    made = make_client(desk, merchant_id, "--all-scopes")
    rotated = desk.data("clients", "rotate", made["clientId"], "--overlap", "60")
    assert rotated["apiKey"] != made["apiKey"]
    assert rotated["overlapSeconds"] == 60


def test_a_revoked_client_stays_revoked(desk: Desk, merchant_id: str) -> None:
    made = make_client(desk, merchant_id, "--all-scopes")
    assert desk.data("clients", "revoke", made["clientId"])["revokedNow"]
    assert not desk.data("clients", "revoke", made["clientId"])["revokedNow"]
    assert "is revoked: create another one" in desk.refusal("clients", "rotate", made["clientId"])
    assert [client["status"] for client in desk.data("clients", "list", "--merchant", merchant_id)] == ["REVOKED"]


def test_unknown_ids_are_said_to_be(desk: Desk) -> None:
    start = ("clients", "create", "--merchant", "mer_nobody", "--name", "app", "--all-scopes")
    assert "no merchant has this id" in desk.refusal(*start)
    for command in ("rotate", "revoke"):
        assert "no API client has this id" in desk.refusal("clients", command, "cli_nobody")


def test_the_list_of_one_merchant_leaves_others_out(desk: Desk, merchant_id: str) -> None:
    make_client(desk, merchant_id, "--all-scopes")
    assert desk.data("clients", "list", "--merchant", "mer_other") == []


def test_a_client_gets_quotas_of_its_own_and_gives_them_up(desk: Desk, merchant_id: str) -> None:
    made = make_client(desk, merchant_id, "--all-scopes", "--limit", "cards.store:burst=500")
    assert made["limits"] == {"cards.store": {"burst": 500}}
    more = ("--limit", "cards.store:day=7", "--limit", "guard.buyer_cards:day=50")
    changed = desk.data("clients", "limit", made["clientId"], *more)
    assert changed["limits"] == {"cards.store": {"burst": 500, "day": 7}, "guard.buyer_cards": {"day": 50}}
    assert desk.data("clients", "list")[0]["limits"] == changed["limits"]
    assert desk.data("clients", "limit", made["clientId"], "--defaults")["limits"] == {}


def test_a_quota_that_cannot_be_read_changes_nothing(desk: Desk, merchant_id: str) -> None:
    made = make_client(desk, merchant_id, "--all-scopes")
    assert "cards.store:burst=500" in desk.refusal("clients", "limit", made["clientId"], "--limit", "everything=1")
    assert "has the windows burst" in desk.refusal(
        "clients", "limit", made["clientId"], "--limit", "cards.store:hour=1"
    )
    assert "no API client has this id" in desk.refusal("clients", "limit", "cli_nobody", "--defaults")
    assert desk.data("clients", "list")[0]["limits"] == {}


def test_a_client_is_bound_to_certificates_and_stays_bound(desk: Desk, merchant_id: str) -> None:
    authority = Authority.new()
    old, new = (str(authority.identity(desk.folder, name)) for name in ("old", "new"))
    made = make_client(desk, merchant_id, "--all-scopes", "--certificate", old)
    assert made["certificates"] == [read(Path(old)).fingerprint.hex()]
    both = ("--certificate", old, "--certificate", new)
    assert len(desk.data("clients", "bind", made["clientId"], *both)["certificates"]) == 2
    assert len(desk.data("clients", "list")[0]["certificates"]) == 2
    assert "bound to one certificate at least" in desk.refusal("clients", "bind", made["clientId"])
    assert "is a PEM file" in desk.refusal("clients", "bind", made["clientId"], "--certificate", desk.file("no", "no"))
    assert "no API client has this id" in desk.refusal("clients", "bind", "cli_nobody", *both)

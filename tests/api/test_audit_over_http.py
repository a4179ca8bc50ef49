"""`/v1/audit`: a merchant's own events, and nothing that has to be believed (AUD-1, AUD-4)."""

import base64
from hashlib import sha256
from typing import Any

import pytest

from keys.keyring import Purpose
from tests.api.reading import listed, sequenced
from tests.api.sequencers import NAME
from tests.api.shop import BUYER, Sql, paid, paid_on_file, payment, problem, store, stored
from tests.installation import Installation
from vault.audit.merkle import Tree, includes
from vault.audit.note import NoteKey, verified_checkpoint

pytestmark = pytest.mark.anyio


async def key_of(vault: Installation) -> NoteKey:
    return NoteKey(NAME, (await vault.services.keyring.signer("", Purpose.AUDIT)).public)


async def prove(vault: Installation, event: dict[str, Any], key: NoteKey) -> None:
    """Have an event proved, by its own octets alone."""
    leaf = sha256(b"\0" + event["entry"].encode()).digest()
    assert base64.b64encode(leaf).decode() == event["leafHash"]
    answer = await vault.api.get(f"/v1/audit/proofs/{event['eventId']}")
    assert answer.headers["content-type"].startswith("text/plain")
    head, _, note = answer.text.partition("\n\n")
    title, extra, index, *hashes = head.split("\n")
    assert (title, index) == ("c2sp.org/tlog-proof@v1", f"index {event['place']}")
    assert base64.b64decode(extra.removeprefix("extra ")) == event["entry"].encode()
    tree: Tree = verified_checkpoint(note.encode(), key).tree
    assert includes(tree, event["place"], leaf, [base64.b64decode(each) for each in hashes])


async def everything(vault: Installation) -> list[str]:
    return [each["type"] for each in (await listed(vault, limit=100))["events"]]


async def test_before_anything_is_signed_there_is_nothing(vault: Installation, sql: Sql) -> None:
    assert await listed(vault) == {"events": [], "nextCursor": None}
    problem(await vault.api.get("/v1/audit/checkpoint"), 404, "not_found")
    problem(await vault.api.get("/v1/audit/proofs/aev_a"), 404, "not_found")
    assert "audit.read" not in await sql.since(0)


async def test_what_is_numbered_and_not_signed_yet_is_not_shown(vault: Installation, sql: Sql) -> None:
    await stored(vault)
    await sequenced(vault)
    await sql.change("delete from vault.audit_checkpoint")
    assert await listed(vault) == {"events": [], "nextCursor": None}
    problem(await vault.api.get("/v1/audit/checkpoint"), 404, "not_found")


async def test_a_merchant_sees_what_was_done_by_whom(vault: Installation) -> None:
    card = await stored(vault)
    await vault.api.post("/v1/cards", json=store(), headers=vault.tenants[1].headers)
    await sequenced(vault)
    page = await listed(vault, type="card.stored")
    [event] = page["events"]
    tenant = vault.tenants[0]
    assert (event["objects"], event["details"], event["outcome"]) == ([card["cardId"]], {"storage": "VAULT"}, "success")
    assert event["actor"] == {"kind": "client", "id": tenant.client_id, "key": "", "address": "127.0.0.1"}
    assert event["request"].startswith("req_")


async def test_every_event_proves_itself(vault: Installation) -> None:
    """By its own octets alone, with a key from elsewhere (c2sp.org/tlog-proof)."""
    await paid(vault, payment(storeCard="BOTH"))
    await sequenced(vault)
    key = await key_of(vault)
    told = (await vault.api.get("/v1/audit/checkpoint")).json()
    signed = verified_checkpoint(told["note"].encode(), key)
    assert (told["origin"], told["size"], told["root"]) == (
        NAME,
        signed.tree.size,
        base64.b64encode(signed.tree.root).decode(),
    )
    for event in (await listed(vault))["events"]:
        await prove(vault, event, key)


async def test_pages_and_filters_find_each_event_once(vault: Installation) -> None:
    card = await stored(vault)
    await paid_on_file(vault, card["cardId"])
    await vault.api.get("/v1/cards/card_a")
    await sequenced(vault)
    whole = (await listed(vault, limit=100))["events"]
    cursor, walked = None, []
    while (page := await listed(vault, limit=2, **({"cursor": cursor} if cursor else {})))["events"]:
        walked += page["events"]
        cursor = page["nextCursor"]
    assert walked == whole
    about = [each["type"] for each in (await listed(vault, objectId=card["cardId"]))["events"]]
    assert about == ["card.stored", "payment.created"]
    assert {each["outcome"] for each in (await listed(vault, outcome="denied"))["events"]} == {"denied"}
    middle = whole[2]["at"]
    assert (await listed(vault, limit=100, createdFrom=middle))["events"] == whole[2:]
    assert (await listed(vault, limit=100, createdTo=middle))["events"] == whole[:2]
    for wrong in ({"type": "none"}, {"outcome": "maybe"}, {"cursor": "x"}, {"limit": 0}):
        problem(await vault.api.get("/v1/audit/events", params=wrong), 422, "request_invalid")


async def test_a_cursor_goes_on_over_the_beginning_of_a_new_epoch(vault: Installation, sql: Sql) -> None:
    await stored(vault)
    await sequenced(vault)
    first = await listed(vault, limit=1)
    before = (await listed(vault, limit=100))["events"]
    await sql.change("insert into vault.audit_epoch (epoch, reason) values (2, 'restored')")
    await sequenced(vault)
    await stored(vault)
    await sequenced(vault)
    cursor, walked = first["nextCursor"], first["events"]
    while (page := await listed(vault, limit=2, cursor=cursor))["events"]:
        walked += page["events"]
        cursor = page["nextCursor"]
    assert walked[: len(before)] == before
    assert {each["epoch"] for each in walked[len(before) :]} == {2}
    public = (await key_of(vault)).public
    for event, name in ((walked[0], NAME), (walked[-1], f"{NAME}/2")):
        await prove(vault, event, NoteKey(name, public))


async def test_an_epoch_that_has_no_checkpoint_any_more_is_passed_over(vault: Installation, sql: Sql) -> None:
    await stored(vault)
    await sequenced(vault)
    await sql.change("insert into vault.audit_epoch (epoch, reason) values (2, 'damaged')")
    await sequenced(vault)
    await sequenced(vault)
    async with sql.connection.transaction():
        await sql.connection.execute("set local session_replication_role = replica")
        await sql.connection.execute("delete from vault.audit_checkpoint where epoch = 1")
    assert {each["epoch"] for each in (await listed(vault))["events"]} == {2}


async def test_what_is_read_is_an_event_before_it_is_released(vault: Installation, sql: Sql) -> None:
    await stored(vault)
    event_id = await sequenced(vault)
    for path in ("/v1/audit/events", f"/v1/audit/proofs/{event_id}"):
        mark = await sql.mark()
        assert (await vault.api.get(path)).status_code == 200
        assert await sql.since(mark) == ["audit.read"]
    await sql.change("revoke insert on vault.audit_pending from cardvault_auditor")
    for path in ("/v1/audit/events", f"/v1/audit/proofs/{event_id}"):
        answer = await vault.api.get(path)
        assert answer.status_code in {500, 503}
        assert event_id not in answer.text


async def test_what_was_copied_into_the_queue_is_shown_as_what_it_is(vault: Installation, sql: Sql) -> None:
    merchant = vault.tenants[0].merchant_id
    await sql.change(
        "insert into vault.audit_pending (event_id, merchant_id, body) values ('aev_x', $1, $2)", merchant, b"\x00"
    )
    await sequenced(vault)
    [foreign] = [each for each in (await listed(vault, limit=100))["events"] if each["type"] is None]
    assert (foreign["eventId"], foreign["actor"], foreign["objects"]) == (None, None, None)
    assert "unreadable" in foreign["entry"]


async def test_what_another_merchant_did_is_not_there(vault: Installation) -> None:
    await stored(vault)
    event_id = await sequenced(vault)
    for tenant, status in ((vault.tenants[0], 200), (vault.tenants[1], 404)):
        answer = await vault.api.get(f"/v1/audit/proofs/{event_id}", headers=tenant.headers)
        assert answer.status_code == status
    answer = await vault.api.get("/v1/audit/events", headers=vault.tenants[1].headers)
    own = vault.tenants[1].merchant_id
    assert all(f'"merchant":"{own}"' in each["entry"] for each in answer.json()["events"])
    assert BUYER not in answer.text


async def test_a_log_that_was_tampered_with_gives_no_proof(vault: Installation, sql: Sql) -> None:
    await stored(vault)
    event_id = await sequenced(vault)
    connection = sql.connection
    async with connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute("delete from vault.audit_leaf where event_id <> $1", event_id)
    problem(await vault.api.get(f"/v1/audit/proofs/{event_id}"), 500, "integrity_failure")
    async with connection.transaction():
        await connection.execute("set local session_replication_role = replica")
        await connection.execute("update vault.audit_checkpoint set note = 'x'")
    problem(await vault.api.get("/v1/audit/checkpoint"), 500, "integrity_failure")

"""`GET /v1/events`: what is told of which change, numbered for each object, listed so that nothing can be missed."""

import asyncio
from typing import Any

import asyncpg
import pytest

from tests.api.money import ask_cancel, captured, refunded
from tests.api.receiver import endpoint, settled, told
from tests.api.shop import BUYER, Sql, of_tenant, paid, paid_on_file, payment, problem, stored
from tests.api.subscriptions import authenticated, charged, consent, recorded, subscribed
from tests.api.vaultings import attempt, keep
from tests.canary import SECOND_VISA_CANARY, VISA_CANARY
from tests.installation import Installation
from vault.routes.event_views import TOLD
from vault.webhook import WebhookType

pytestmark = pytest.mark.anyio


def _types(events: list[dict[str, Any]], object_id: str) -> list[tuple[str, int]]:
    return [(each["type"], each["sequence"]) for each in events if each["objectId"] == object_id]


async def test_every_outcome_is_told_and_numbered(vault: Installation, sql: Sql) -> None:
    first = await authenticated(vault)
    second = await captured(vault)
    refund = await refunded(vault, second)
    third = await paid(vault, payment())
    await ask_cancel(vault, third)
    declined = payment()
    await vault.arm(declined["paymentRequestId"], "DECLINE:DO_NOT_HONOR")
    failed = await paid(vault, declined)
    refused = keep(buyer="other")
    await vault.arm(refused["vaultingRequestId"], "DECLINE:INVALID_CVV")
    problem(await attempt(vault, refused), 422, "vaulting_failed")
    events = await told(vault, limit=3)
    assert _types(events, first["paymentId"]) == [("payment.processing", 1), ("payment.succeeded", 2)]
    assert _types(events, first["card"]["cardId"])[:1] == [("card.stored", 1)]
    assert _types(events, second["paymentId"]) == [("payment.succeeded", 1)]
    assert _types(events, refund["refundId"]) == [("refund.succeeded", 1)]
    assert _types(events, third["paymentId"]) == [("payment.succeeded", 1), ("payment.cancelled", 2)]
    assert _types(events, failed["paymentId"]) == [("payment.failed", 1)]
    assert [each["type"] for each in events].count("capture.succeeded") == 1
    [not_stored] = [each["data"] for each in events if each["type"] == "card.not_stored"]
    assert (not_stored["vaultingRequestId"], not_stored["resultCode"]) == (refused["vaultingRequestId"], "INVALID_CVV")
    assert len({each["eventId"] for each in events}) == len(events) == await sql.count("event")


async def test_a_cards_life_is_told_with_the_number_masked_and_without_the_buyer(vault: Installation, sql: Sql) -> None:
    card = await stored(vault)
    mandate = await recorded(vault, consent(cardId=card["cardId"]))
    await vault.api.patch(f"/v1/cards/{card['cardId']}", json={"isDefault": True})
    await vault.api.delete(f"/v1/cards/{card['cardId']}")
    events = await told(vault)
    assert _types(events, card["cardId"]) == [("card.stored", 1), ("card.updated", 2), ("card.deleted", 3)]
    assert _types(events, mandate["mandateId"]) == [("mandate.ended", 1)]
    assert events[0]["data"] == {
        "cardId": card["cardId"],
        "status": "ACTIVE",
        "cardBrand": "VISA",
        "maskedCardNo": card["maskedCardNo"],
        "isDefault": False,
    }
    assert await sql.value("select count(*) from vault.event where data::text like '%' || $1 || '%'", BUYER) == 0


RARE = """
    insert into vault.audit_pending (event_id, merchant_id, body) values ('e', '', '');
    update vault.card set status = 'DISABLED';
    update vault.card set status = 'ACTIVE';
    update vault.card set is_default = true;
    update vault.card set expired_at = now(), updated_at = now();
    update vault.payment set status = 'UNKNOWN';
    update vault.payment set capture_status = 'EXPIRED';
    update vault.movement set status = 'PENDING';
    update vault.movement set status = 'FAIL'
"""


async def test_every_kind_of_event_holds_what_is_described(vault: Installation, sql: Sql) -> None:
    """What the database writes, compared with the table behind OpenAPI's webhooks; rare changes are made by hand."""
    await authenticated(vault)
    await ask_cancel(vault, await paid(vault, payment()))
    await refunded(vault, await captured(vault))
    declined, refused = payment(), keep(buyer="other")
    await vault.arm(declined["paymentRequestId"], "DECLINE:DO_NOT_HONOR")
    await paid(vault, declined)
    await vault.arm(refused["vaultingRequestId"], "DECLINE:INVALID_CVV")
    await attempt(vault, refused)
    card = await stored(vault)
    await recorded(vault, consent(cardId=card["cardId"]))
    place = await endpoint(vault, "http://127.0.0.1:9/")
    await vault.api.post(f"/v1/webhook-endpoints/{place['endpointId']}/test")
    async with sql.connection.transaction():
        await sql.connection.execute(RARE)
    await vault.api.delete(f"/v1/cards/{card['cardId']}")
    events = await told(vault, limit=100)
    for each in events:
        TOLD[WebhookType(each["type"])].data.model_validate(each["data"], by_name=False)
    assert set(TOLD) ^ {each["type"] for each in events} == set() == set(TOLD) ^ set(WebhookType)


async def test_the_event_of_a_payment_shows_the_card_masked_stored_or_not(vault: Installation) -> None:
    mandate = await subscribed(vault)
    views = [await charged(vault, mandate), await paid_on_file(vault, mandate["cardId"]), await paid(vault, payment())]
    for view in views:
        [event] = await told(vault, objectId=view["paymentId"])
        assert event["data"]["maskedCardNo"] == "*" * 12 + VISA_CANARY[-4:]
    typed_elsewhere = payment()
    del typed_elsewhere["card"]
    page = await paid(vault, typed_elsewhere)
    [event] = await told(vault, objectId=page["paymentId"])
    assert event["data"]["maskedCardNo"] is None


async def test_a_change_that_is_undone_was_never_told(vault: Installation, onboarded_url: str) -> None:
    card = await stored(vault)
    connection = await asyncpg.connect(onboarded_url, ssl=False)
    change = connection.transaction()
    await change.start()
    await connection.execute("update vault.card set status = 'DISABLED' where id = $1", card["cardId"])
    assert await connection.fetchval("select count(*) from vault.event") == 2
    await change.rollback()
    await connection.close()
    assert _types(await told(vault), card["cardId"]) == [("card.stored", 1)]


async def test_a_page_ends_before_what_an_open_transaction_may_still_add(
    vault: Installation, onboarded_url: str
) -> None:
    """Otherwise a reader would go past it and never see it."""
    first = await stored(vault)
    await settled(vault)
    connection = await asyncpg.connect(onboarded_url, ssl=False)
    async with connection.transaction():
        await connection.execute("insert into vault.audit_pending (event_id, merchant_id, body) values ('e', '', '')")
        await connection.execute("update vault.card set status = 'DISABLED' where id = $1", first["cardId"])
        second = await stored(vault, store_of("other"))
        assert {each["objectId"] for each in await told(vault, settle=False)} == {first["cardId"]}
        cursor = (await vault.api.get("/v1/events")).json()["nextCursor"]
    await connection.close()
    later = await told(vault, cursor=cursor)
    assert [(each["type"], each["objectId"]) for each in later] == [
        ("card.disabled", first["cardId"]),
        ("card.stored", second["cardId"]),
    ]


def store_of(buyer: str) -> dict[str, Any]:
    card = {"cardNo": SECOND_VISA_CANARY, "expiryMonth": "11", "expiryYear": "39"}
    return {"referenceBuyerId": buyer, "card": card, "storage": "VAULT"}


async def test_a_cursor_goes_on_after_what_was_the_end(vault: Installation) -> None:
    await stored(vault)
    await settled(vault)
    page = (await vault.api.get("/v1/events")).json()
    assert (await vault.api.get("/v1/events", params={"cursor": page["nextCursor"]})).json() == {
        "events": [],
        "nextCursor": None,
    }
    card = await stored(vault, store_of("other"))
    await settled(vault)
    [event] = (await vault.api.get("/v1/events", params={"cursor": page["nextCursor"]})).json()["events"]
    assert event["objectId"] == card["cardId"]


async def test_events_are_found_by_object_type_and_time_and_by_their_merchant_alone(vault: Installation) -> None:
    card = await stored(vault)
    await paid(vault, payment())
    assert [each["objectId"] for each in await told(vault, type="card.stored")] == [card["cardId"]]
    assert [each["type"] for each in await told(vault, objectId=card["cardId"])] == ["card.stored"]
    [_, late] = await told(vault)
    assert await told(vault, createdFrom=late["timestamp"]) == [late]
    problem(await vault.api.get("/v1/events", params={"type": "card.guessed"}), 422, "request_invalid")
    problem(await vault.api.get("/v1/events", params={"cursor": "AAAA"}), 422, "request_invalid")
    async with of_tenant(vault, 1) as other:
        assert (await other.get("/v1/events")).json()["events"] == []


async def test_changes_at_once_are_numbered_without_a_gap(vault: Installation) -> None:
    card = await stored(vault)
    path = f"/v1/cards/{card['cardId']}"
    await asyncio.gather(
        *(vault.api.patch(path, json={"expiryMonth": f"{n:02}", "expiryYear": "38"}) for n in range(1, 9))
    )
    events = await told(vault, objectId=card["cardId"])
    numbers = [each["sequence"] for each in events]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))
    assert len(numbers) > 1

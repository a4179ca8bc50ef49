"""`PATCH` and `DELETE` of cards and buyers, lists and their cursors, and what a card's status says."""

import asyncio
import base64
from typing import Any

import pytest

from tests.api.shop import (
    BUYER,
    Sql,
    card,
    card_on_file,
    of_tenant,
    paid,
    paid_on_file,
    payment,
    problem,
    store,
    stored,
)
from tests.canary import MASTERCARD_CANARY, SECOND_VISA_CANARY, VISA_CANARY
from tests.installation import Installation

pytestmark = pytest.mark.anyio
NAME = {"firstName": "Ana", "lastName": "Lopes"}
ADDRESS = {"region": "PT", "city": "Porto", "zipCode": "4000-001"}


async def test_expiry_holder_address_and_default_can_change(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    mark = await sql.mark()
    change = {"expiryMonth": "01", "expiryYear": "42", "cardholderName": NAME, "isDefault": True}
    view = (await vault.api.patch(f"/v1/cards/{card_id}", json=change)).json()
    assert (view["expiryMonth"], view["expiryYear"], view["isDefault"]) == ("01", "42", True)
    assert (await vault.api.patch(f"/v1/cards/{card_id}", json={"billingAddress": ADDRESS})).status_code == 200
    assert await sql.since(mark) == ["card.updated", "card.updated"]
    sent_with = await paid_on_file(vault, card_id)
    (body,) = await vault.sent(sent_with["paymentRequestId"])
    details = body["paymentMethod"]["paymentMethodMetaData"]
    assert (details["cardholderName"], details["billingAddress"]) == (NAME, ADDRESS)
    assert (details["expiryMonth"], details["expiryYear"]) == ("01", "42")


async def test_an_empty_change_changes_nothing(vault: Installation, sql: Sql) -> None:
    view = await stored(vault)
    mark = await sql.mark()
    assert (await vault.api.patch(f"/v1/cards/{view['cardId']}", json={})).json() == view
    assert await sql.since(mark) == []


async def test_a_default_flag_can_be_taken_away(vault: Installation) -> None:
    view = await stored(vault, store(isDefault=True))
    answer = await vault.api.patch(f"/v1/cards/{view['cardId']}", json={"isDefault": False})
    assert answer.json()["isDefault"] is False


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"expiryMonth": "13", "expiryYear": "40"}, "expiry_invalid"),
        ({"expiryMonth": "12"}, "expiry_incomplete"),
        ({"cardNo": VISA_CANARY}, "unknown_field"),
    ],
)
async def test_a_change_that_makes_no_sense_is_refused(vault: Installation, change: dict[str, Any], code: str) -> None:
    card_id = (await stored(vault))["cardId"]
    document = problem(await vault.api.patch(f"/v1/cards/{card_id}", json=change), 422, "request_invalid")
    assert [error["code"] for error in document["errors"]] == [code]


async def test_the_expiry_of_a_card_at_the_gateway_cannot_change(vault: Installation) -> None:
    card_id = (await paid(vault, payment(storeCard="GATEWAY")))["card"]["cardId"]
    change = {"expiryMonth": "01", "expiryYear": "42"}
    problem(await vault.api.patch(f"/v1/cards/{card_id}", json=change), 409, "expiry_at_gateway")
    assert (await vault.api.patch(f"/v1/cards/{card_id}", json={"isDefault": True})).status_code == 200


async def test_changes_at_once_lose_no_part_of_the_profile(vault: Installation) -> None:
    card_id = (await stored(vault))["cardId"]
    changes: list[dict[str, Any]] = [{"cardholderName": NAME}, {"billingAddress": ADDRESS}]
    answers = await asyncio.gather(*(vault.api.patch(f"/v1/cards/{card_id}", json=change) for change in changes))
    assert [answer.status_code for answer in answers] == [200, 200]
    sent_with = await paid_on_file(vault, card_id)
    (body,) = await vault.sent(sent_with["paymentRequestId"])
    assert {"cardholderName", "billingAddress"} <= set(body["paymentMethod"]["paymentMethodMetaData"])


async def test_a_deleted_card_is_gone_at_once_with_all_that_was_sealed(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault, store(card=card(cardholderName=NAME), isDefault=True)))["cardId"]
    mark = await sql.mark()
    answer = await vault.api.delete(f"/v1/cards/{card_id}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert await sql.since(mark) == ["card.deleted"]
    problem(await vault.api.get(f"/v1/cards/{card_id}"), 410, "card_deleted")
    problem(await vault.api.delete(f"/v1/cards/{card_id}"), 410, "card_deleted")
    problem(await vault.api.patch(f"/v1/cards/{card_id}", json={"isDefault": True}), 410, "card_deleted")
    problem(await vault.api.post(f"/v1/cards/{card_id}/payments", json=card_on_file()), 410, "card_deleted")
    assert await sql.count("card_secret") == 0
    (row,) = await sql.rows("select * from vault.card")
    assert [row[name] for name in ("fingerprint", "fingerprint_key_id", "buyer", "consent", "metadata")] == [None] * 5
    assert (await vault.api.get(f"/v1/buyers/{BUYER}/cards")).json() == {"cards": [], "nextCursor": None}


async def test_storing_a_deleted_card_again_makes_a_new_card(vault: Installation) -> None:
    first = await stored(vault)
    await vault.api.delete(f"/v1/cards/{first['cardId']}")
    again = await vault.api.post("/v1/cards", json=store())
    assert again.status_code == 201
    assert again.json()["cardId"] != first["cardId"]


async def test_a_buyers_cards_are_listed_newest_first_page_by_page(vault: Installation) -> None:
    numbers = (VISA_CANARY, SECOND_VISA_CANARY, MASTERCARD_CANARY)
    made = [(await stored(vault, store(number)))["cardId"] for number in numbers]
    await stored(vault, store(buyer="buyer-2"))
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 2}
    for expected in (2, 1):
        page = (await vault.api.get(f"/v1/buyers/{BUYER}/cards", params=query)).json()
        assert len(page["cards"]) == expected
        seen += [view["cardId"] for view in page["cards"]]
        query["cursor"] = page["nextCursor"]
    assert (seen, query["cursor"]) == (made[::-1], None)


async def _cursor(vault: Installation) -> str:
    for number in (VISA_CANARY, SECOND_VISA_CANARY):
        await stored(vault, store(number))
    cursor: str = (await vault.api.get(f"/v1/buyers/{BUYER}/cards?limit=1")).json()["nextCursor"]
    return cursor


async def test_a_cursor_that_was_altered_is_refused(vault: Installation) -> None:
    cursor = await _cursor(vault)
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    for place in (0, 20, len(raw) - 1):
        altered = bytes(raw[:place]) + bytes([raw[place] ^ 1]) + bytes(raw[place + 1 :])
        text = base64.urlsafe_b64encode(altered).decode().rstrip("=")
        answer = await vault.api.get(f"/v1/buyers/{BUYER}/cards", params={"cursor": text})
        document = problem(answer, 422, "request_invalid")
        assert document["errors"] == [{"pointer": "query/cursor", "code": "invalid_value"}]


@pytest.mark.parametrize("cursor", ["", "!", "A", "Ünfug", "x" * 513])
async def test_a_cursor_that_is_none_is_refused(vault: Installation, cursor: str) -> None:
    problem(await vault.api.get(f"/v1/buyers/{BUYER}/cards", params={"cursor": cursor}), 422, "request_invalid")


async def test_a_cursor_of_another_list_or_merchant_is_refused(vault: Installation) -> None:
    query = {"cursor": await _cursor(vault)}
    problem(await vault.api.get("/v1/buyers/buyer-2/cards", params=query), 422, "request_invalid")
    problem(await vault.api.get("/v1/payments", params=query), 422, "request_invalid")
    async with of_tenant(vault, 1) as other:
        problem(await other.get(f"/v1/buyers/{BUYER}/cards", params=query), 422, "request_invalid")


async def test_erasing_a_buyer_takes_cards_names_consents_and_waiting_credentials(
    vault: Installation, sql: Sql
) -> None:
    consent = {"text": "I agree", "acceptedAt": "2026-01-31T12:00:00Z", "clientIp": "203.0.113.9"}
    kept = await stored(vault)
    waiting = await paid(
        vault,
        payment(
            SECOND_VISA_CANARY, storeCard="BOTH", is3DSAuthentication=True, consent=consent, metadata={"shelf": "a"}
        ),
    )
    assert await sql.count("payment_secret") == 1
    mark = await sql.mark()
    assert (await vault.api.delete(f"/v1/buyers/{BUYER}")).status_code == 204
    assert sorted(await sql.since(mark)) == ["buyer.erased", "card.deleted"]
    problem(await vault.api.get(f"/v1/cards/{kept['cardId']}"), 410, "card_deleted")
    assert (await sql.count("payment_secret"), await sql.count("card_secret")) == (0, 0)
    (row,) = await sql.rows("select * from vault.payment")
    assert [row[name] for name in ("buyer", "consent", "metadata")] == [None, None, None]
    await vault.sandbox_api.post(waiting["nextAction"]["url"], data={"outcome": "success"})
    assert (await vault.settle(waiting["paymentId"]))["card"] is None
    assert await sql.value("select count(*) from vault.card where status <> 'DELETED'") == 0


async def test_erasing_a_buyer_who_is_not_known_changes_and_records_nothing(vault: Installation, sql: Sql) -> None:
    await stored(vault)
    mark = await sql.mark()
    assert (await vault.api.delete("/v1/buyers/nobody")).status_code == 204
    async with of_tenant(vault, 1) as other:
        assert (await other.delete(f"/v1/buyers/{BUYER}")).status_code == 204
    assert await sql.since(mark) == []
    assert (await vault.api.get(f"/v1/buyers/{BUYER}/cards")).json()["cards"] != []


async def test_a_card_expires_by_the_databases_clock_and_refuses_its_buyer(vault: Installation, sql: Sql) -> None:
    """T-34."""
    card_id = (await stored(vault))["cardId"]
    await sql.change("update vault.card set expiry_month = 1, expiry_year = 2020")
    assert (await vault.api.get(f"/v1/cards/{card_id}")).json()["status"] == "EXPIRED"
    body = card_on_file()
    problem(await vault.api.post(f"/v1/cards/{card_id}/payments", json=body), 409, "card_expired")
    assert await sql.count("payment") == 0


async def test_a_hard_decline_disables_a_stored_card_until_it_pays_again_with_its_data(
    vault: Installation, sql: Sql
) -> None:
    card_id = (await stored(vault))["cardId"]
    body = card_on_file()
    await vault.arm(body["paymentRequestId"], "DECLINE:STOLEN_CARD")
    declined = await paid_on_file(vault, card_id, body)
    assert (declined["paymentStatus"], declined["card"]["status"]) == ("FAIL", "DISABLED")
    assert len(await sql.events("card.disabled")) == 1
    problem(await vault.api.post(f"/v1/cards/{card_id}/payments", json=card_on_file()), 409, "card_disabled")
    assert (await stored(vault))["status"] == "DISABLED"
    again = await paid(vault, payment(storeCard="VAULT"))
    assert (again["card"]["cardId"], again["card"]["status"]) == (card_id, "ACTIVE")
    assert (await paid_on_file(vault, card_id))["paymentStatus"] == "SUCCESS"


async def test_a_soft_decline_leaves_a_stored_card_alone(vault: Installation) -> None:
    card_id = (await stored(vault))["cardId"]
    body = card_on_file()
    await vault.arm(body["paymentRequestId"], "DECLINE:DO_NOT_HONOR")
    assert (await paid_on_file(vault, card_id, body))["card"]["status"] == "ACTIVE"


@pytest.mark.parametrize("path", ["/v1/cards/%00", "/v1/buyers/%00/cards", "/v1/payments/%00", "/v1/cards/%FF"])
async def test_an_id_that_no_id_can_be_is_not_found_or_refused(vault: Installation, path: str) -> None:
    """T-44."""
    assert (await vault.api.get(path)).status_code in {404, 422}

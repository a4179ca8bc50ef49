"""No change without its event, and no event without its change, on every route that changes something (T-21)."""

from typing import Any

import pytest

from tests.api.gateway import courier, told
from tests.api.money import capture, captured, refund
from tests.api.shop import BUYER, Sql, card_on_file, paid, payment, shown, store, stored
from tests.canary import SECOND_VISA_CANARY, assert_clean
from tests.cluster import no_audit
from tests.installation import Blueprint, Installation

# They add their tables to the metadata.
from vault import mandate_table, movement_table, tables, vaulting_table  # noqa: F401
from vault.schema import metadata

pytestmark = pytest.mark.anyio
Call = tuple[str, str, dict[str, Any] | None]


async def contents(sql: Sql) -> dict[str, str | None]:
    names = [table.name for table in metadata.tables.values() if table.name not in tables.UNAUDITED]
    statement = "select md5(string_agg(t::text, '' order by t::text)) from vault.{} t"
    return {name: await sql.value(statement.format(name)) for name in names}


async def test_without_a_place_for_its_event_nothing_is_changed_or_sent(
    vault: Installation, blueprint: Blueprint, sql: Sql
) -> None:
    card_id = (await stored(vault))["cardId"]
    view, taken = await paid(vault, payment()), await captured(vault)
    waiting = await paid(vault, payment(SECOND_VISA_CANARY, storeCard="BOTH", is3DSAuthentication=True))
    body, stored_body = payment(storeCard="VAULT"), card_on_file()
    calls: list[Call] = [
        ("POST", "/v1/cards", store(SECOND_VISA_CANARY)),
        ("POST", "/v1/cards", store(isDefault=True)),
        ("PATCH", f"/v1/cards/{card_id}", {"isDefault": True}),
        ("DELETE", f"/v1/cards/{card_id}", None),
        ("DELETE", f"/v1/buyers/{BUYER}", None),
        ("POST", "/v1/payments", body),
        ("POST", f"/v1/cards/{card_id}/payments", stored_body),
        ("POST", f"/v1/payments/{view['paymentId']}/cancel", {}),
        ("POST", f"/v1/payments/{view['paymentId']}/captures", capture()),
        ("POST", f"/v1/payments/{taken['paymentId']}/refunds", refund()),
        ("POST", f"/v1/payments/{waiting['paymentId']}/cancel", {}),
    ]
    before = await contents(sql)
    async with no_audit(sql.connection):
        for method, path, content in calls:
            answer = await vault.api.request(method, path, json=content)
            assert answer.status_code in {500, 503}, path
            assert_clean(answer.content, "the answer")
            assert await contents(sql) == before, path
        bringing = courier(vault, blueprint)
        assert (await bringing.bring(told(waiting))).status_code in {500, 503}
        assert (await bringing.bring(told(waiting, paymentRequestId="nobody"))).status_code in {500, 503}
        for refused in (f"/v1/cards/{card_id}x", f"/v1/payments/{view['paymentId']}x"):
            assert (await vault.api.get(refused)).status_code in {500, 503}
        assert await contents(sql) == before
    for request_id in (body["paymentRequestId"], stored_body["paymentRequestId"]):
        assert await vault.sent(request_id) == []
    for operation in ("cancel", "capture"):
        assert await vault.sent(view["paymentRequestId"], operation) == []
    assert await vault.sent(taken["paymentRequestId"], "refund") == []
    assert (await shown(vault, waiting["paymentId"]))["paymentStatus"] == "PROCESSING"
    for method, path, content in calls[:3]:
        assert (await vault.api.request(method, path, json=content)).status_code < 300


async def test_every_change_has_exactly_its_events(vault: Installation, sql: Sql) -> None:
    async def events(call: Call) -> list[str]:
        mark = await sql.mark()
        answer = await vault.api.request(call[0], call[1], json=call[2])
        assert answer.status_code < 300, answer.text
        return await sql.since(mark)

    assert await events(("POST", "/v1/cards", store())) == ["card.stored"]
    assert await events(("POST", "/v1/cards", store())) == []
    card_id = (await stored(vault))["cardId"]
    assert await events(("GET", f"/v1/cards/{card_id}", None)) == []
    assert await events(("GET", f"/v1/buyers/{BUYER}/cards", None)) == []
    assert await events(("PATCH", f"/v1/cards/{card_id}", {"isDefault": True})) == ["card.updated"]
    assert await events(("POST", "/v1/payments", payment())) == ["payment.created", "payment.changed"]
    stored_too = ["payment.created", "card.updated", "payment.changed"]
    assert await events(("POST", "/v1/payments", payment(storeCard="GATEWAY"))) == stored_too
    new = ["payment.created", "card.stored", "payment.changed"]
    assert await events(("POST", "/v1/payments", payment(SECOND_VISA_CANARY, storeCard="VAULT"))) == new
    on_file = ("POST", f"/v1/cards/{card_id}/payments", card_on_file())
    assert await events(on_file) == ["payment.created", "payment.changed"]
    assert await events(on_file) == []
    assert await events(("GET", "/v1/payments", None)) == []
    view = await paid(vault, payment())
    taking = ("POST", f"/v1/payments/{view['paymentId']}/captures", capture())
    assert await events(taking) == ["capture.created", "capture.recorded", "payment.changed"]
    assert await events(taking) == []
    giving = ("POST", f"/v1/payments/{view['paymentId']}/refunds", refund())
    assert await events(giving) == ["refund.created", "refund.recorded"]
    assert await events(giving) == []
    assert await events(("DELETE", f"/v1/cards/{card_id}", None)) == ["card.deleted", "card.updated"]
    assert await events(("DELETE", f"/v1/buyers/{BUYER}", None)) == ["card.deleted", "buyer.erased"]


async def test_an_event_says_who_from_where_in_which_request(vault: Installation, sql: Sql) -> None:
    answer = await vault.api.post("/v1/cards", json=store(), headers={"x-request-id": "mine-1"})
    assert answer.headers["x-request-id"] == "mine-1"
    (event,) = await sql.events("card.stored")
    tenant = vault.tenants[0]
    assert event["actor"] == {"kind": "client", "id": tenant.client_id, "key": "", "address": "127.0.0.1"}
    assert (event["request"], event["merchant"], event["outcome"]) == ("mine-1", tenant.merchant_id, "success")
    assert (event["objects"], event["details"]) == ([answer.json()["cardId"]], {"storage": "VAULT"})

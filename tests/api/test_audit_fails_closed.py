"""Without a place for its event no operation that changes something or opens an envelope has an effect (T-21, AUD-3).

The operations are those of the OpenAPI document: a new one fails here until it has a call that would succeed.
"""

from typing import Any

import pytest

from tests.api.gateway import courier
from tests.api.gateway import told as notified
from tests.api.money import capture, captured, refund
from tests.api.receiver import endpoint, told
from tests.api.shop import BUYER, Sql, card_on_file, paid, payment, store, stored
from tests.api.subscriptions import charge, consent, recorded
from tests.api.test_audit_first import contents
from tests.api.vaultings import keep, kept, vaulting_session
from tests.canary import SECOND_VISA_CANARY, assert_clean
from tests.cluster import no_audit
from tests.installation import Blueprint, Installation

pytestmark = pytest.mark.anyio

_REFUSED = {500, 503}
# What neither changes anything nor opens what was sealed for a card.
_HARMLESS = {("POST", "/v1/payment-options")}
_BY_THE_GATEWAY = ("POST", "/v1/gateway/notifications/{merchantId}")


def changing(document: dict[str, Any]) -> set[tuple[str, str]]:
    """Give the operations of a document that do more than look."""
    found = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    return {each for each in found if each[0] != "GET"} - _HARMLESS - {_BY_THE_GATEWAY}


async def calls(vault: Installation) -> dict[tuple[str, str], tuple[str, dict[str, Any] | None]]:
    """Give for each operation a path and a body that it accepts, in an order in which all of them can be carried out."""
    card_id = (await stored(vault))["cardId"]
    view, taken = await paid(vault, payment(captureMode="MANUAL")), await captured(vault)
    cancelled = await paid(vault, payment(captureMode="MANUAL"))
    mandate_id = (await recorded(vault, consent(cardId=card_id)))["mandateId"]
    endpoint_id = (await endpoint(vault, "http://127.0.0.1:9/"))["endpointId"]
    [event] = await told(vault, objectId=card_id)
    one, hook = f"/v1/cards/{card_id}", f"/v1/webhook-endpoints/{endpoint_id}"
    return {
        ("POST", "/v1/cards"): ("/v1/cards", store(SECOND_VISA_CANARY)),
        ("PATCH", "/v1/cards/{cardId}"): (one, {"cardholderName": {"firstName": "Ada", "lastName": "Lovelace"}}),
        ("POST", "/v1/payments"): ("/v1/payments", payment(storeCard="BOTH")),
        ("POST", "/v1/cards/{cardId}/payments"): (f"{one}/payments", card_on_file()),
        ("POST", "/v1/payments/{paymentId}/captures"): (f"/v1/payments/{view['paymentId']}/captures", capture()),
        ("POST", "/v1/payments/{paymentId}/cancel"): (f"/v1/payments/{cancelled['paymentId']}/cancel", {}),
        ("POST", "/v1/payments/{paymentId}/refunds"): (f"/v1/payments/{taken['paymentId']}/refunds", refund()),
        ("POST", "/v1/mandates"): ("/v1/mandates", consent(cardId=card_id, recurringType="UNSCHEDULED")),
        ("POST", "/v1/mandates/{mandateId}/payments"): (f"/v1/mandates/{mandate_id}/payments", charge()),
        ("DELETE", "/v1/mandates/{mandateId}"): (f"/v1/mandates/{mandate_id}", None),
        ("POST", "/v1/payment-sessions"): ("/v1/payment-sessions", card_on_file(BUYER)),
        ("POST", "/v1/vaulting-sessions"): ("/v1/vaulting-sessions", vaulting_session()),
        ("POST", "/v1/webhook-endpoints"): ("/v1/webhook-endpoints", {"url": "https://shop.example/"}),
        ("POST", "/v1/webhook-endpoints/{endpointId}/test"): (f"{hook}/test", None),
        ("POST", "/v1/webhook-endpoints/{endpointId}/rotate-secret"): (f"{hook}/rotate-secret", {}),
        ("POST", "/v1/events/{eventId}/redeliver"): (f"/v1/events/{event['eventId']}/redeliver", {}),
        ("DELETE", "/v1/webhook-endpoints/{endpointId}"): (hook, None),
        ("DELETE", "/v1/cards/{cardId}"): (one, None),
        ("DELETE", "/v1/buyers/{referenceBuyerId}"): (f"/v1/buyers/{BUYER}", None),
    }


async def test_every_operation_that_changes_something_fails_closed(
    vault: Installation, blueprint: Blueprint, sql: Sql
) -> None:
    wanted = await calls(vault)
    waiting = await paid(vault, payment(SECOND_VISA_CANARY, storeCard="BOTH", is3DSAuthentication=True))
    assert set(wanted) == changing(vault.app.openapi())
    before = await contents(sql)
    sent = (await vault.sandbox_api.get("/_sandbox/ledger")).json()
    async with no_audit(sql.connection):
        for (method, template), (path, body) in wanted.items():
            answer = await vault.api.request(method, path, json=body)
            assert answer.status_code in _REFUSED, (template, answer.text)
            assert_clean(answer.content, "the answer")
            assert "secret" not in answer.json(), template
            assert await contents(sql) == before, template
        gatewayed = await vault.api.post("/v1/cards", json=keep(buyer="buyer-2"))
        assert (gatewayed.status_code in _REFUSED, await contents(sql) == before) == (True, True)
        notification = await courier(vault, blueprint).bring(notified(waiting))
        assert (notification.status_code in _REFUSED, await contents(sql) == before) == (True, True)
    assert (await vault.sandbox_api.get("/_sandbox/ledger")).json() == sent
    for (method, template), (path, body) in wanted.items():
        answer = await vault.api.request(method, path, json=body)
        assert answer.status_code < 300, (template, answer.text)
    await kept(vault, keep(buyer="buyer-2"))

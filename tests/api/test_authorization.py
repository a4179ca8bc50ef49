"""Every route crossed with every kind of caller (T-43, T-45, T-49): a new route fails here until it is classified."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest
from fastapi.routing import iter_route_contexts

from tests.api.money import capture, captured, refund, refunded
from tests.api.reading import sequenced
from tests.api.receiver import endpoint, told
from tests.api.shop import BUYER, Sql, card_on_file, paid, payment, problem, store, stored
from tests.api.subscriptions import charge, consent, recorded
from tests.api.vaultings import keep, kept, vaulting_session
from tests.installation import OPERATOR_ORIGIN, Installation
from vault import custody
from vault.auth import Scope
from vault.db import Database
from vault.onboarding import NewClient, Onboarding
from vault.roles import OPERATOR

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Guarded:
    """A route for API clients: what it needs, and a body that passes; `{card}`, `{payment}` and so on are filled in."""

    path: str
    scope: Scope
    body: dict[str, Any] | None = None
    foreign: bool = True  # names an object that belongs to one merchant


GUARDED: dict[tuple[str, str], Guarded] = {
    ("POST", "/v1/cards"): Guarded("/v1/cards", Scope.CARDS_WRITE, store(), foreign=False),
    ("GET", "/v1/cards/{cardId}"): Guarded("/v1/cards/{card}", Scope.CARDS_READ),
    ("PATCH", "/v1/cards/{cardId}"): Guarded("/v1/cards/{card}", Scope.CARDS_WRITE, {"isDefault": True}),
    ("DELETE", "/v1/cards/{cardId}"): Guarded("/v1/cards/{card}", Scope.CARDS_WRITE),
    ("GET", "/v1/buyers/{referenceBuyerId}/cards"): Guarded(
        f"/v1/buyers/{BUYER}/cards", Scope.CARDS_READ, foreign=False
    ),
    ("DELETE", "/v1/buyers/{referenceBuyerId}"): Guarded(f"/v1/buyers/{BUYER}", Scope.CARDS_WRITE, foreign=False),
    ("POST", "/v1/payments"): Guarded("/v1/payments", Scope.PAYMENTS_WRITE, payment(), foreign=False),
    ("POST", "/v1/cards/{cardId}/payments"): Guarded("/v1/cards/{card}/payments", Scope.PAYMENTS_WRITE, card_on_file()),
    ("POST", "/v1/payments/{paymentId}/cancel"): Guarded("/v1/payments/{payment}/cancel", Scope.PAYMENTS_WRITE, {}),
    ("POST", "/v1/payments/{paymentId}/captures"): Guarded(
        "/v1/payments/{payment}/captures", Scope.PAYMENTS_WRITE, capture("1000")
    ),
    ("POST", "/v1/payments/{paymentId}/refunds"): Guarded(
        "/v1/payments/{payment}/refunds", Scope.REFUNDS_WRITE, refund("1000")
    ),
    ("GET", "/v1/refunds/{refundId}"): Guarded("/v1/refunds/{refund}", Scope.PAYMENTS_READ),
    ("GET", "/v1/payments/{paymentId}"): Guarded("/v1/payments/{payment}", Scope.PAYMENTS_READ),
    ("POST", "/v1/mandates"): Guarded("/v1/mandates", Scope.MANDATES_WRITE, consent(), foreign=False),
    ("GET", "/v1/mandates/{mandateId}"): Guarded("/v1/mandates/{mandate}", Scope.MANDATES_READ),
    ("DELETE", "/v1/mandates/{mandateId}"): Guarded("/v1/mandates/{mandate}", Scope.MANDATES_WRITE),
    ("GET", "/v1/cards/{cardId}/mandates"): Guarded("/v1/cards/{card}/mandates", Scope.MANDATES_READ),
    ("POST", "/v1/mandates/{mandateId}/payments"): Guarded(
        "/v1/mandates/{mandate}/payments", Scope.MIT_WRITE, charge()
    ),
    ("POST", "/v1/payment-options"): Guarded(
        "/v1/payment-options",
        Scope.PAYMENTS_READ,
        {"paymentAmount": {"currency": "BRL", "value": "60000"}},
        foreign=False,
    ),
    ("POST", "/v1/payment-sessions"): Guarded(
        "/v1/payment-sessions", Scope.PAYMENTS_WRITE, card_on_file(BUYER), foreign=False
    ),
    ("POST", "/v1/vaulting-sessions"): Guarded(
        "/v1/vaulting-sessions", Scope.CARDS_WRITE, vaulting_session(), foreign=False
    ),
    ("GET", "/v1/vaultings/{vaultingRequestId}"): Guarded("/v1/vaultings/{vaulting}", Scope.CARDS_READ),
    ("GET", "/v1/payments"): Guarded("/v1/payments", Scope.PAYMENTS_READ, foreign=False),
    ("POST", "/v1/webhook-endpoints"): Guarded(
        "/v1/webhook-endpoints", Scope.WEBHOOKS_WRITE, {"url": "https://shop.example/"}, foreign=False
    ),
    ("GET", "/v1/webhook-endpoints"): Guarded("/v1/webhook-endpoints", Scope.EVENTS_READ, foreign=False),
    ("GET", "/v1/webhook-endpoints/{endpointId}"): Guarded("/v1/webhook-endpoints/{endpoint}", Scope.EVENTS_READ),
    ("GET", "/v1/webhook-endpoints/{endpointId}/deliveries"): Guarded(
        "/v1/webhook-endpoints/{endpoint}/deliveries", Scope.EVENTS_READ
    ),
    ("POST", "/v1/webhook-endpoints/{endpointId}/test"): Guarded(
        "/v1/webhook-endpoints/{endpoint}/test", Scope.WEBHOOKS_WRITE
    ),
    ("POST", "/v1/webhook-endpoints/{endpointId}/rotate-secret"): Guarded(
        "/v1/webhook-endpoints/{endpoint}/rotate-secret", Scope.WEBHOOKS_WRITE, {}
    ),
    ("DELETE", "/v1/webhook-endpoints/{endpointId}"): Guarded("/v1/webhook-endpoints/{endpoint}", Scope.WEBHOOKS_WRITE),
    ("GET", "/v1/events"): Guarded("/v1/events", Scope.EVENTS_READ, foreign=False),
    ("GET", "/v1/audit/events"): Guarded("/v1/audit/events", Scope.AUDIT_READ, foreign=False),
    ("GET", "/v1/audit/checkpoint"): Guarded("/v1/audit/checkpoint", Scope.AUDIT_READ, foreign=False),
    ("GET", "/v1/audit/proofs/{auditEventId}"): Guarded("/v1/audit/proofs/{audited}", Scope.AUDIT_READ),
    ("POST", "/v1/events/{eventId}/redeliver"): Guarded("/v1/events/{event}/redeliver", Scope.WEBHOOKS_WRITE, {}),
}
# Routes that admit everybody, and why they may.
OPEN = {
    ("GET", "/healthz"): "says only that the process answers",
    ("GET", "/readyz"): "says yes or no to each part",
    ("GET", "/metrics"): "figures for monitoring's networks alone",
    ("GET", "/openapi.json"): "the public contract",
    ("GET", "/docs"): "the public contract for people, outside production",
    ("GET", "/docs/start.js"): "part of that page",
    ("GET", "/docs/swagger-ui.css"): "part of that page",
    ("GET", "/docs/swagger-ui-bundle.js"): "part of that page",
    ("POST", "/v1/gateway/notifications/{merchantId}"): "authenticated by the gateway's signature",
}


@dataclass
class Keys:
    """API keys of callers that have to be refused, made while the vault runs."""

    onboarding: Onboarding
    merchant_id: str
    made: dict[str, str] = field(default_factory=dict)

    async def make(self, name: str, scopes: list[Scope], **changes: Any) -> str:
        """Make a client and give its id."""
        client, secret = await self.onboarding.create_client(NewClient(self.merchant_id, name, scopes, **changes))
        self.made[name] = secret.reveal()
        return client.id


@asynccontextmanager
async def onboarding_of(vault: Installation, url: str) -> AsyncIterator[Onboarding]:
    database = Database(url, role=OPERATOR, pool_size=2)
    try:
        roots = await custody.open_roots(vault.settings, database)
        yield Onboarding(vault.settings, database, roots, vault.services.keyring, OPERATOR_ORIGIN)
    finally:
        await database.close()


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_every_route_is_classified(vault: Installation) -> None:
    found = {
        (method, route.path)
        for route in iter_route_contexts(vault.app.routes)
        for method in (route.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert found == set(GUARDED) | set(OPEN)


async def test_open_routes_admit_everybody(vault: Installation) -> None:
    for method, path in OPEN:
        answer = await _call(vault, method, path.replace("{merchantId}", "mer_nobody"), None, {})
        expected = {200} if method == "GET" else {401}
        assert answer.status_code in expected, path


async def _call(
    vault: Installation, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str]
) -> httpx2.Response:
    async with httpx2.AsyncClient(verify=False, base_url=vault.api.base_url) as client:
        if body is None:
            return await client.request(method, path, headers=headers)
        return await client.request(method, path, headers=headers, json=body)


async def _callers(keys: Keys) -> dict[str, tuple[dict[str, str], int, str, str]]:
    """Give headers, status, code and the event's reason for callers that nothing may let in."""
    everything = list(Scope)
    expired = {"expires_at": datetime.now(UTC) - timedelta(seconds=1)}
    await keys.make("expired", everything, **expired)
    await keys.make("elsewhere", everything, cidrs=["192.0.2.0/24"])
    await keys.onboarding.revoke_client(await keys.make("revoked", everything))
    own = keys.made["expired"]
    mistyped = own[:-1] + ("a" if own[-1] != "a" else "b")
    unknown = (401, "unauthenticated", "unknown_key")
    return {
        "nobody": ({}, *unknown),
        "garbage": (_bearer("garbage"), *unknown),
        "another scheme": ({"Authorization": f"Basic {own}"}, *unknown),
        "mistyped": (_bearer(mistyped), *unknown),
        "expired": (_bearer(own), 401, "unauthenticated", "expired_or_revoked"),
        "revoked": (_bearer(keys.made["revoked"]), 401, "unauthenticated", "expired_or_revoked"),
        "elsewhere": (_bearer(keys.made["elsewhere"]), 403, "address_not_allowed", "address_not_allowed"),
    }


async def _objects(vault: Installation) -> dict[str, str]:
    """Make one object of each kind, and give their ids."""
    card_id, payment_id = (await stored(vault))["cardId"], (await paid(vault, payment()))["paymentId"]
    mandate = await recorded(vault, consent(cardId=card_id))
    refund_id = (await refunded(vault, await captured(vault)))["refundId"]
    vaulting_id = (await kept(vault, keep(buyer="buyer-2")))["vaultingRequestId"]
    endpoint_id = (await endpoint(vault, "https://shop.example/"))["endpointId"]
    [event] = await told(vault, objectId=card_id)
    return {
        "card": card_id,
        "payment": payment_id,
        "mandate": mandate["mandateId"],
        "refund": refund_id,
        "vaulting": vaulting_id,
        "endpoint": endpoint_id,
        "event": event["eventId"],
        "audited": await sequenced(vault),
    }


async def test_every_route_refuses_every_caller_that_may_not_come_in(
    vault: Installation, sql: Sql, onboarded_url: str
) -> None:
    objects = await _objects(vault)
    async with onboarding_of(vault, onboarded_url) as onboarding:
        keys = Keys(onboarding, vault.tenants[0].merchant_id)
        callers = await _callers(keys)
        for scope in {route.scope for route in GUARDED.values()}:
            await keys.make(f"without {scope}", [each for each in Scope if each is not scope])
        cards, payments = await sql.count("card"), await sql.count("payment")
        for (method, _), route in GUARDED.items():
            path = route.path.format(**objects)
            refused = (_bearer(keys.made[f"without {route.scope}"]), 403, "forbidden", "scope_missing")
            for name, (headers, status, code, reason) in (callers | {"scope missing": refused}).items():
                mark = await sql.mark()
                problem(await _call(vault, method, path, route.body, headers), status, code)
                assert await sql.since(mark) == ["access.denied"], (name, path)
                event = (await sql.events("access.denied"))[-1]
                assert (event["reason"], event["outcome"]) == (reason, "denied"), (name, path)
                assert event["details"]["operation"], path
    assert (await sql.count("card"), await sql.count("payment")) == (cards, payments)


async def test_another_merchants_objects_are_not_there(vault: Installation, sql: Sql) -> None:
    objects = await _objects(vault)
    for (method, _), route in GUARDED.items():
        if not route.foreign:
            continue
        mark = await sql.mark()
        path = route.path.format(**objects)
        problem(await _call(vault, method, path, route.body, vault.tenants[1].headers), 404, "not_found")
        assert await sql.since(mark) == ["access.denied"], path
        assert (await sql.events("access.denied"))[-1]["merchant"] == vault.tenants[1].merchant_id


async def test_a_disabled_merchant_is_refused_everywhere(vault: Installation, sql: Sql) -> None:
    await sql.change("update vault.merchant set status = 'DISABLED'")
    for (method, _), route in GUARDED.items():
        mark = await sql.mark()
        path = re.sub(r"\{.*?\}", "x_x", route.path)
        problem(await _call(vault, method, path, route.body, vault.tenants[0].headers), 403, "merchant_disabled")
        assert await sql.since(mark) == ["access.denied"], path


async def test_storing_with_a_payment_needs_both_scopes(vault: Installation, sql: Sql, onboarded_url: str) -> None:
    async with onboarding_of(vault, onboarded_url) as onboarding:
        keys = Keys(onboarding, vault.tenants[0].merchant_id)
        await keys.make("payer", [Scope.PAYMENTS_WRITE])
    headers = _bearer(keys.made["payer"])
    mark = await sql.mark()
    answer = await _call(vault, "POST", "/v1/payments", payment(storeCard="VAULT"), headers)
    problem(answer, 403, "forbidden")
    assert await sql.since(mark) == ["access.denied"]
    assert (await _call(vault, "POST", "/v1/payments", payment(), headers)).status_code == 201


async def test_a_revoked_key_stops_working_within_two_seconds(
    vault: Installation, sql: Sql, onboarded_url: str
) -> None:
    async with onboarding_of(vault, onboarded_url) as onboarding:
        keys = Keys(onboarding, vault.tenants[0].merchant_id)
        client_id = await keys.make("short-lived", list(Scope))
        headers = _bearer(keys.made["short-lived"])
        assert (await _call(vault, "GET", "/v1/payments", None, headers)).status_code == 200
        await onboarding.revoke_client(client_id)
    await asyncio.sleep(2.0)
    problem(await _call(vault, "GET", "/v1/payments", None, headers), 401, "unauthenticated")


async def test_who_sends_no_key_is_told_how(vault: Installation) -> None:
    key = vault.tenants[0].api_key
    sent = [{"Authorization": ""}, {"Authorization": key}, {"Authorization": f"Basic {key}"}, _bearer("x")]
    *not_sent, wrong = [await vault.api.get("/v1/payments", headers=each) for each in sent]
    for answer in not_sent:
        assert "Bearer" in problem(answer, 401, "unauthenticated")["detail"]
        assert key not in answer.text
    assert "Bearer" not in problem(wrong, 401, "unauthenticated")["detail"]


async def test_a_key_of_an_address_range_works_from_there(vault: Installation, onboarded_url: str) -> None:
    async with onboarding_of(vault, onboarded_url) as onboarding:
        keys = Keys(onboarding, vault.tenants[0].merchant_id)
        await keys.make("near", list(Scope), cidrs=["192.0.2.0/24", "127.0.0.0/8"])
    assert (await _call(vault, "GET", "/v1/payments", None, _bearer(keys.made["near"]))).status_code == 200


@pytest.mark.parametrize("path", ["/v1/../v1/payments", "/v1//payments", "/v1/payments/", "/V1/payments", "/v1/%2e%2e"])
async def test_paths_that_are_not_exactly_ours_lead_nowhere(vault: Installation, path: str) -> None:
    """T-44."""
    reader, writer = await asyncio.open_connection("127.0.0.1", vault.api.base_url.port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 404")

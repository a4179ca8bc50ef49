"""Requests that were not understood are on record, with who sent them where that is known (AUD-1, 10.2.1.4)."""

from typing import Any

import pytest

from tests.api.shop import BUYER, Sql, problem, store
from tests.canary import VISA_CANARY
from tests.cluster import no_audit
from tests.installation import Installation

pytestmark = pytest.mark.anyio
JSON = {"Content-Type": "application/json"}


async def test_what_cannot_be_understood_is_on_record(vault: Installation, sql: Sql) -> None:
    """Before the body is read nobody knows who asks; what a caller sent is in none of the events."""
    client = vault.tenants[0].client_id
    asked: list[tuple[str, str, str, str, dict[str, Any]]] = [
        ("request_invalid", "store_card", client, "/v1/cards", {"json": store(unknown=VISA_CANARY)}),
        (
            "request_invalid",
            "list_buyer_cards",
            client,
            f"/v1/buyers/{BUYER}/cards",
            {"params": {"limit": VISA_CANARY}},
        ),
        ("invalid_json", "store_card", "", "/v1/cards", {"content": f"{{{VISA_CANARY}", "headers": JSON}),
        ("unsupported_media_type", "store_card", "", "/v1/cards", {"content": b"<card/>"}),
        ("payload_too_large", "", "", "/v1/cards", {"content": b" " * 1_100_000, "headers": JSON}),
        ("not_found", "", "", f"/v1/{VISA_CANARY}", {}),
        ("method_not_allowed", "list_buyer_cards", "", f"/v1/buyers/{BUYER}/cards", {"content": b""}),
    ]
    for reason, operation, actor, path, sent in asked:
        mark = await sql.mark()
        answer = await vault.api.request("GET" if "params" in sent or not sent else "POST", path, **sent)
        problem(answer, answer.status_code, reason)
        [event] = await sql.after(mark)
        seen = event["type"], event["reason"], event["details"], event["actor"]["id"], event["request"]
        assert seen == (
            "request.malformed",
            reason,
            {"operation": operation},
            actor,
            answer.headers["x-request-id"],
        ), path
        assert event["merchant"] == (vault.tenants[0].merchant_id if actor else "")


async def test_what_breaks_a_rule_was_understood(vault: Installation, sql: Sql) -> None:
    mark = await sql.mark()
    problem(await vault.api.get("/v1/cards/card_x"), 404, "not_found")
    assert await sql.since(mark) == ["access.denied"]


async def test_a_malformed_request_is_answered_though_nothing_can_be_written(vault: Installation, sql: Sql) -> None:
    async with no_audit(sql.connection):
        problem(await vault.api.post("/v1/cards", json={}), 422, "request_invalid")
    assert await sql.events("request.malformed") == []

"""What happens to a card between the look at it and the lock on it, while a mandate is recorded or charged."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import httpx2
import pytest

from tests.api.shop import Sql, card_on_file, problem, stored, waiting
from tests.api.subscriptions import attempt, charge, consent, subscribed
from tests.installation import Installation
from vault.payments.retry_guard import RetryGuard
from vault.store import drafts
from vault.store.drafts import Begun

pytestmark = pytest.mark.anyio
DELETE = "update vault.card set status = 'DELETED', buyer = null, fingerprint = null"
DISABLE = "update vault.card set status = 'DISABLED'"


async def _while_locked(
    url: str, sql: Sql, change: str, ask: Callable[[], Awaitable[httpx2.Response]]
) -> httpx2.Response:
    """Lock every card, ask, wait until the vault waits for the lock, and let a change come first."""
    other = await asyncpg.connect(url, ssl=False)
    try:
        transaction = other.transaction()
        await transaction.start()
        await other.execute("set local session_replication_role = replica")
        await other.execute("select from vault.card for update")
        asked = asyncio.ensure_future(ask())
        await waiting(sql)
        await other.execute(change)
        await transaction.commit()
        return await asked
    finally:
        await other.close()


async def test_a_card_that_is_deleted_meanwhile_gets_no_mandate(
    vault: Installation, sql: Sql, onboarded_url: str
) -> None:
    body = consent(cardId=(await stored(vault))["cardId"])
    answer = await _while_locked(onboarded_url, sql, DELETE, lambda: vault.api.post("/v1/mandates", json=body))
    problem(answer, 410, "card_deleted")
    assert await sql.count("mandate") == 0


async def test_a_card_that_is_disabled_meanwhile_is_not_charged(
    vault: Installation, sql: Sql, onboarded_url: str
) -> None:
    mandate, body = await subscribed(vault), charge()
    answer = await _while_locked(onboarded_url, sql, DISABLE, lambda: attempt(vault, mandate, body))
    problem(answer, 409, "card_disabled")
    assert await vault.sent(body["paymentRequestId"]) == []


async def test_a_payment_that_can_never_be_written_is_told_as_busy(
    vault: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    mandate = await subscribed(vault)

    refused = Begun(payment=None, keys_active=False, card_usable=True)

    async def alone(*_: Any) -> list[Begun]:
        return [refused]

    async def begun_alone(*_: Any) -> Begun:
        return refused

    monkeypatch.setattr(drafts, "begin", alone)
    monkeypatch.setattr(RetryGuard, "begin_alone", begun_alone)
    problem(await attempt(vault, mandate), 503, "overloaded")
    answer = await vault.api.post(f"/v1/cards/{mandate['cardId']}/payments", json=card_on_file())
    problem(answer, 503, "overloaded")

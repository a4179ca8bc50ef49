"""What a merchant's app says to the vault, in tests: bodies, calls, and a superuser's look at the database.

Card numbers and codes are the canaries that every run is searched for.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx2
import orjson

from tests.canary import CVV_CANARY, VISA_CANARY
from tests.installation import Installation

BUYER = "buyer-1"
_numbers = itertools.count(1)


def request_id() -> str:
    """Give a payment request id that was not used before."""
    return f"order.{next(_numbers)}.try"


def card(number: str = VISA_CANARY, **changes: Any) -> dict[str, Any]:
    """Give a card as a buyer types it, without a code."""
    return {"cardNo": number, "expiryMonth": "11", "expiryYear": "39"} | changes


def store(number: str = VISA_CANARY, buyer: str = BUYER, **changes: Any) -> dict[str, Any]:
    """Give the body that stores a card."""
    return {"referenceBuyerId": buyer, "card": card(number), "storage": "VAULT"} | changes


def order(buyer: str | None = BUYER) -> dict[str, Any]:
    """Give an order."""
    described: dict[str, Any] = {"referenceOrderId": "order-77", "orderDescription": "two books"}
    return described | ({"buyer": {"referenceBuyerId": buyer}} if buyer else {})


def payment(number: str = VISA_CANARY, buyer: str | None = BUYER, **changes: Any) -> dict[str, Any]:
    """Give the body of a payment with card data."""
    return {
        "paymentRequestId": request_id(),
        "paymentAmount": {"currency": "EUR", "value": "2590"},
        "order": order(buyer),
        "card": card(number, cvv=CVV_CANARY),
        "captureMode": "MANUAL",
    } | changes


def card_on_file(buyer: str | None = None, **changes: Any) -> dict[str, Any]:
    """Give the body of a payment with a stored card."""
    return {
        "paymentRequestId": request_id(),
        "paymentAmount": {"currency": "EUR", "value": "1200"},
        "order": order(buyer),
        "captureMode": "MANUAL",
    } | changes


async def stored(vault: Installation, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Store a card and give its view."""
    answer = await vault.api.post("/v1/cards", json=body or store())
    assert answer.status_code in {200, 201}, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def paid(vault: Installation, body: dict[str, Any], status: int = 201) -> dict[str, Any]:
    """Pay with card data and give the payment's view."""
    answer = await vault.api.post("/v1/payments", json=body)
    assert answer.status_code == status, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def paid_in_silence(vault: Installation, **changes: Any) -> dict[str, Any]:
    """Make a payment of which no notification comes that would wait for its row as well."""
    body = payment(**changes)
    await vault.arm(body["paymentRequestId"], "NO_NOTIFICATION")
    return await paid(vault, body)


async def paid_on_file(
    vault: Installation, card_id: str, body: dict[str, Any] | None = None, status: int = 201
) -> dict[str, Any]:
    """Pay with a stored card and give the payment's view."""
    answer = await vault.api.post(f"/v1/cards/{card_id}/payments", json=body or card_on_file())
    assert answer.status_code == status, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def shown(vault: Installation, payment_id: str) -> dict[str, Any]:
    """Give a payment as it stands."""
    view: dict[str, Any] = (await vault.api.get(f"/v1/payments/{payment_id}")).json()
    return view


async def type_card(url: str, number: str = VISA_CANARY, **form: str) -> httpx2.Response:
    """Do on the gateway's page what a buyer does."""
    fields = {"cardNo": number, "cvv": CVV_CANARY, "expiryMonth": "11", "expiryYear": "39"} | form
    async with httpx2.AsyncClient() as browser:
        return await browser.post(url, data=fields)


async def until(happened: Callable[[], Awaitable[object]], *, seconds: float = 10.0) -> None:
    """Wait until a question is answered with something true."""
    async with asyncio.timeout(seconds):
        while True:
            if await happened():
                return
            await asyncio.sleep(0.02)


def of_tenant(vault: Installation, number: int) -> httpx2.AsyncClient:
    """Give a client of another merchant of the installation."""
    return httpx2.AsyncClient(
        verify=False, base_url=vault.api.base_url, headers=vault.tenants[number].headers, timeout=30
    )


def problem(answer: httpx2.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is this problem, and give its document."""
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document["status"], document["code"]) == (status, status, code), answer.text
    return document


@dataclass(frozen=True, slots=True)
class Sql:
    """Statements as the database's superuser."""

    connection: "asyncpg.Connection[asyncpg.Record]"

    async def value(self, statement: str, *values: object) -> Any:
        """Give one value."""
        return await self.connection.fetchval(statement, *values)

    async def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Give rows as dictionaries."""
        return [dict(row) for row in await self.connection.fetch(statement, *values)]

    async def count(self, table: str) -> int:
        """Count the rows of a table of the vault."""
        return int(await self.value(f"select count(*) from vault.{table}"))

    async def change(self, statement: str, *values: object) -> None:
        """Change rows behind the vault's back; the triggers stay silent."""
        async with self.connection.transaction():
            await self.connection.execute("set local session_replication_role = replica")
            await self.connection.execute(statement, *values)

    async def events(self, *types: str) -> list[dict[str, Any]]:
        """Give the events of these types (all without one) in the order of their writing."""
        rows = await self.connection.fetch("select body from vault.audit_pending order by ord")
        bodies = [orjson.loads(row["body"]) for row in rows]
        return [body for body in bodies if not types or body["type"] in types]

    async def mark(self) -> int:
        """Give the place in the queue of events up to which everything has been seen."""
        return int(await self.value("select coalesce(max(ord), 0) from vault.audit_pending"))

    async def after(self, mark: int) -> list[dict[str, Any]]:
        """Give the events after a mark, in order."""
        rows = await self.connection.fetch("select body from vault.audit_pending where ord > $1 order by ord", mark)
        return [orjson.loads(row["body"]) for row in rows]

    async def since(self, mark: int) -> list[str]:
        """Give the types of the events after a mark, in order."""
        return [event["type"] for event in await self.after(mark)]

    async def alarms(self) -> set[str]:
        """Give the codes of the alarms that were raised."""
        return {row["code"] for row in await self.rows("select code from vault.alarm")}


async def waiting(sql: Sql, count: int = 1) -> None:
    """Wait until so many connections wait for a lock in the database."""
    waiters = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"

    async def all_there() -> bool:
        return bool(await sql.value(waiters) == count)

    await until(all_there)


async def configure(sql: Sql, setting: str, value: str) -> None:
    """Change a setting of every merchant; `value` is JSON."""
    await sql.change(
        "update vault.merchant set settings = settings || jsonb_build_object($1::text, $2::jsonb)", setting, value
    )

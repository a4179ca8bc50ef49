"""Storing cards at the gateway without a payment, as a merchant's app and a buyer do it, in tests."""

import asyncio
import itertools
from typing import Any

import httpx2

from tests.api.gateway import ANSWERED_AT, SUCCESS, TOKEN
from tests.api.shop import BUYER, Sql, card, until
from tests.canary import CVV_CANARY, VISA_CANARY
from tests.installation import Installation

Json = dict[str, Any]
IN_PROCESS: Json = {"resultCode": "VERIFICATION_IN_PROCESS", "resultStatus": "U", "resultMessage": "in process"}
KEPT: Json = {"cardToken": TOKEN, "maskedCardNo": "************6057", "brand": "VISA", "networkTransactionId": "ntid-1"}
_numbers = itertools.count(1)


def vaulting_id() -> str:
    """Give a vaulting request id that was not used before."""
    return f"card.{next(_numbers)}.try"


def keep(number: str = VISA_CANARY, buyer: str = BUYER, **changes: Any) -> Json:
    """Give the body that stores a card at the gateway."""
    return {
        "referenceBuyerId": buyer,
        "card": card(number, cvv=CVV_CANARY),
        "storage": "GATEWAY",
        "vaultingRequestId": vaulting_id(),
    } | changes


def vaulting_session(**changes: Any) -> Json:
    """Give the body that opens a session in which a buyer types a card."""
    return {"referenceBuyerId": BUYER, "vaultingRequestId": vaulting_id()} | changes


async def attempt(vault: Installation, body: Json) -> httpx2.Response:
    """Ask for a card to be stored."""
    return await vault.api.post("/v1/cards", json=body)


async def kept(vault: Installation, body: Json | None = None, status: int = 201) -> Json:
    """Have a card stored at the gateway and give its view."""
    answer = await attempt(vault, body or keep())
    assert answer.status_code == status, answer.text
    view: Json = answer.json()
    return view


async def opened(vault: Installation, body: Json | None = None, status: int = 201) -> Json:
    """Open a session and give its view."""
    answer = await vault.api.post("/v1/vaulting-sessions", json=body or vaulting_session())
    assert answer.status_code == status, answer.text
    view: Json = answer.json()
    return view


async def looked_up(vault: Installation, request_id: str) -> Json:
    """Give a vaulting as it stands."""
    answer = await vault.api.get(f"/v1/vaultings/{request_id}")
    assert answer.status_code == 200, answer.text
    view: Json = answer.json()
    return view


async def concluded(vault: Installation, request_id: str, seconds: float = 10.0) -> Json:
    """Work until a vaulting has an outcome, and give its view."""
    async with asyncio.timeout(seconds):
        while True:
            await vault.work()
            view = await looked_up(vault, request_id)
            if view["vaultingStatus"] in {"SUCCESS", "FAIL"}:
                return view
            await asyncio.sleep(0.05)


async def passed(view: Json, outcome: str = "success") -> None:
    """Do on the 3DS page what a buyer does."""
    async with httpx2.AsyncClient(verify=False) as browser:
        answer = await browser.post(view["nextAction"]["url"], data={"outcome": outcome})
        assert answer.status_code == 303, answer.text


async def sent(vault: Installation, request_id: str, operation: str = "vaultPaymentMethod") -> Json:
    """Give the one body of an operation that the gateway received for a vaulting."""
    (body,) = await vault.sent(request_id, operation)
    return body


def told(request_id: str, result: Json = SUCCESS, **changes: Any) -> Json:
    """Give the notification about a vaulting; None takes a field out."""
    body = {
        "result": result,
        "vaultingRequestId": request_id,
        "vaultingCreateTime": ANSWERED_AT,
        "paymentMethodDetail": {"paymentMethodType": "CARD", "card": KEPT},
    } | changes
    return {name: value for name, value in body.items() if value is not None}


async def forgotten(vault: Installation) -> list[str]:
    """Give the tokens that the gateway was asked to delete."""
    rows = (await vault.sandbox_api.get("/_sandbox/requests")).json()
    return [row["body"]["token"] for row in rows if row["operation"] == "deleteToken"]


async def until_forgotten(vault: Installation, sql: Sql, count: int = 1) -> None:
    """Work until so many deletions of tokens have ended."""

    async def ended() -> bool:
        await vault.work()
        return len(await sql.events("card.forgotten_at_gateway")) >= count

    await until(ended)

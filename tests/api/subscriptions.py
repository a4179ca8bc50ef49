"""What a merchant with subscriptions says to the vault, in tests: consents, charges, and cards that can carry them."""

from typing import Any

import httpx2

from tests.api.shop import card_on_file, paid, payment, stored
from tests.canary import VISA_CANARY
from tests.installation import Installation

NTID = "0160A5512B34567"
CONSENT = {"text": "Charge me each month", "acceptedAt": "2026-01-31T12:00:00+01:00", "clientIp": "203.0.113.9"}
IMPORTED = {"networkTransactionId": NTID, "authenticatedAt": "2025-01-31T12:00:00+01:00"}


def consent(**changes: Any) -> dict[str, Any]:
    """Give the body that records a mandate which was authenticated elsewhere; None takes a field out."""
    body = {"cardId": "card_x", "recurringType": "SCHEDULED", "imported": IMPORTED} | changes
    return {name: value for name, value in body.items() if value is not None}


def charge(value: str = "1000", currency: str = "EUR", **changes: Any) -> dict[str, Any]:
    """Give the body of a charge without the buyer."""
    return card_on_file() | {"paymentAmount": {"currency": currency, "value": value}} | changes


async def authenticated(vault: Installation, number: str = VISA_CANARY, **changes: Any) -> dict[str, Any]:
    """Pay with a challenge that the buyer passes, keep the card, and give the payment's view."""
    body = payment(number, storeCard="GATEWAY", is3DSAuthentication=True) | changes
    view = await paid(vault, body)
    await pass_challenge(view)
    return await vault.settle(view["paymentId"], "SUCCESS")


async def pass_challenge(view: dict[str, Any]) -> None:
    """Do on the bank's page what the buyer does."""
    async with httpx2.AsyncClient() as browser:
        answer = await browser.post(view["nextAction"]["url"], data={"outcome": "success"})
    assert answer.status_code in {302, 303}, answer.text


async def recorded(vault: Installation, body: dict[str, Any], status: int = 201) -> dict[str, Any]:
    """Record a mandate and give its view."""
    answer = await vault.api.post("/v1/mandates", json=body)
    assert answer.status_code == status, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def subscribed(vault: Installation, **changes: Any) -> dict[str, Any]:
    """Store a card in the vault, and give the view of a mandate that was authenticated elsewhere."""
    card = await stored(vault)
    return await recorded(vault, consent(cardId=card["cardId"], **changes))


async def charged(
    vault: Installation, mandate: dict[str, Any], body: dict[str, Any] | None = None, status: int = 201
) -> dict[str, Any]:
    """Charge a mandate and give the payment's view."""
    answer = await attempt(vault, mandate, body)
    assert answer.status_code == status, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def attempt(vault: Installation, mandate: dict[str, Any], body: dict[str, Any] | None = None) -> httpx2.Response:
    """Try to charge a mandate."""
    return await vault.api.post(f"/v1/mandates/{mandate['mandateId']}/payments", json=body or charge())


async def shown_mandate(vault: Installation, mandate: dict[str, Any]) -> dict[str, Any]:
    """Give a mandate as it stands."""
    view: dict[str, Any] = (await vault.api.get(f"/v1/mandates/{mandate['mandateId']}")).json()
    return view

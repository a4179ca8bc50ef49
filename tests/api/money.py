"""What a merchant says about money on an authorisation, in tests: captures and refunds, and payments ready for them."""

import itertools
from typing import Any

import httpx2

from tests.api.shop import paid, payment
from tests.installation import Installation

View = dict[str, Any]
_numbers = itertools.count(1)


def capture(value: str = "2590", currency: str = "EUR", **changes: Any) -> View:
    """Give the body of a capture, with an id that was not used before."""
    amount = {"currency": currency, "value": value}
    return {"captureRequestId": f"capture.{next(_numbers)}", "captureAmount": amount} | changes


def refund(value: str = "400", currency: str = "EUR", **changes: Any) -> View:
    """Give the body of a refund, with an id that was not used before."""
    amount = {"currency": currency, "value": value}
    return {"refundRequestId": f"refund.{next(_numbers)}", "refundAmount": amount} | changes


async def ask_capture(vault: Installation, view: View, body: View | None = None) -> httpx2.Response:
    """Try to capture a payment."""
    return await vault.api.post(f"/v1/payments/{view['paymentId']}/captures", json=body or capture())


async def ask_refund(vault: Installation, view: View, body: View | None = None) -> httpx2.Response:
    """Try to refund a payment."""
    return await vault.api.post(f"/v1/payments/{view['paymentId']}/refunds", json=body or refund())


async def ask_cancel(vault: Installation, view: View) -> httpx2.Response:
    """Try to cancel a payment."""
    return await vault.api.post(f"/v1/payments/{view['paymentId']}/cancel", json={})


async def captured(vault: Installation, value: str = "2590", **changes: Any) -> View:
    """Pay, capture, and give the payment's view from before the capture."""
    view = await paid(vault, payment(**changes))
    answer = await ask_capture(vault, view, capture(value))
    assert answer.status_code == 201, answer.text
    return view


async def refunded(vault: Installation, view: View, value: str = "400") -> View:
    """Refund a captured payment and give the refund's view."""
    answer = await ask_refund(vault, view, refund(value))
    assert answer.status_code == 201, answer.text
    refunded_view: View = answer.json()
    return refunded_view


async def moved(vault: Installation, view: View, kind: str) -> list[tuple[str, str]]:
    """Give request ids and amounts of what the gateway's ledger says was captured or refunded of a payment."""
    (row,) = await vault.ledger(view["paymentRequestId"])
    return [(each[f"{kind}RequestId"], each["amount"]["value"]) for each in row[f"{kind}s"]]

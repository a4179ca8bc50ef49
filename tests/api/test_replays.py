"""`paymentRequestId` is the idempotency key: the same request again shows the payment, another one is a conflict."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.shop import Sql, card, card_on_file, order, paid, paid_on_file, payment, problem, stored, until
from tests.canary import CVV_CANARY, SECOND_CVV_CANARY, SECOND_VISA_CANARY, VISA_CANARY
from tests.installation import Installation

pytestmark = pytest.mark.anyio
Body = dict[str, Any]


async def test_the_same_request_again_shows_the_payment_as_it_stands_now(vault: Installation, sql: Sql) -> None:
    body = payment(is3DSAuthentication=True)
    first = await paid(vault, body)
    await vault.sandbox_api.post(first["nextAction"]["url"], data={"outcome": "success"})
    await vault.settle(first["paymentId"])
    mark = await sql.mark()
    again = await vault.api.post("/v1/payments", json=body)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert (again.json()["paymentId"], again.json()["paymentStatus"]) == (first["paymentId"], "SUCCESS")
    assert again.headers["Location"] == f"/v1/payments/{first['paymentId']}"
    assert await sql.since(mark) == []
    assert len(await vault.sent(body["paymentRequestId"])) == 1


async def test_code_and_pin_are_not_compared(vault: Installation) -> None:
    def with_pin(code: str, pin: str) -> Body:
        extra = {"cpf": "85351346893", "cardPasswordDigest": pin}
        return payment(card=card(cvv=code), extraVerification=extra, paymentRequestId="pin.1")

    first = await paid(vault, with_pin(CVV_CANARY, "12"))
    again = await vault.api.post("/v1/payments", json=with_pin(SECOND_CVV_CANARY, "21"))
    assert (again.status_code, again.json()["paymentId"]) == (201, first["paymentId"])
    card_id = (await stored(vault))["cardId"]
    body = card_on_file(cvv=CVV_CANARY)
    kept = await paid_on_file(vault, card_id, body)
    assert (await paid_on_file(vault, card_id, body | {"cvv": SECOND_CVV_CANARY}))["paymentId"] == kept["paymentId"]


CHANGES: list[Callable[[Body], Body]] = [
    lambda body: body | {"paymentAmount": {"currency": "EUR", "value": "2591"}},
    lambda body: body | {"paymentAmount": {"currency": "USD", "value": "2590"}},
    lambda body: body | {"card": card(SECOND_VISA_CANARY, cvv=CVV_CANARY)},
    lambda body: body | {"card": card(VISA_CANARY, cvv=CVV_CANARY, expiryYear="40")},
    lambda body: body | {"order": order("buyer-2")},
    lambda body: body | {"storeCard": "VAULT"},
    lambda body: body | {"metadata": {"a": 1}},
    lambda body: body | {"is3DSAuthentication": False},
    lambda body: {key: value for key, value in body.items() if key != "captureMode"},
]


async def test_any_other_change_is_a_conflict(vault: Installation, sql: Sql) -> None:
    body = payment()
    await paid(vault, body)
    for change in CHANGES:
        problem(await vault.api.post("/v1/payments", json=change(body)), 409, "idempotency_conflict")
    assert await sql.count("payment") == 1
    assert len(await vault.sent(body["paymentRequestId"])) == 1


async def test_another_route_is_another_request(vault: Installation) -> None:
    first, second = (await stored(vault))["cardId"], (await stored(vault, _other_card()))["cardId"]
    body = card_on_file()
    await paid_on_file(vault, first, body)
    problem(await vault.api.post(f"/v1/cards/{second}/payments", json=body), 409, "idempotency_conflict")
    used = payment(paymentRequestId=body["paymentRequestId"])
    problem(await vault.api.post("/v1/payments", json=used), 409, "idempotency_conflict")


def _other_card() -> Body:
    return {"referenceBuyerId": "buyer-1", "card": card(SECOND_VISA_CANARY), "storage": "VAULT"}


async def test_one_id_of_two_merchants_is_two_payments(vault: Installation, sql: Sql) -> None:
    body = payment()
    await paid(vault, body)
    answer = await vault.api.post("/v1/payments", json=body, headers=vault.tenants[1].headers)
    assert answer.status_code == 201
    assert "Idempotent-Replayed" not in answer.headers
    assert await sql.count("payment") == 2


async def test_a_repeat_during_the_call_is_told_to_wait(vault: Installation) -> None:
    body = payment()
    await vault.arm(body["paymentRequestId"], "SLOW:700")
    calling = asyncio.create_task(vault.api.post("/v1/payments", json=body))
    await until(lambda: vault.sent(body["paymentRequestId"]))
    repeat = await vault.api.post("/v1/payments", json=body)
    document = problem(repeat, 409, "in_progress")
    assert (document["retryable"], repeat.headers["Retry-After"]) == (True, "1")
    changed = body | {"metadata": {"a": 1}}
    problem(await vault.api.post("/v1/payments", json=changed), 409, "idempotency_conflict")
    assert (await calling).status_code == 201
    again = await vault.api.post("/v1/payments", json=body)
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_a_repeat_with_a_deleted_card_still_shows_the_payment(vault: Installation) -> None:
    card_id = (await stored(vault))["cardId"]
    body = card_on_file()
    first = await paid_on_file(vault, card_id, body)
    await vault.api.delete(f"/v1/cards/{card_id}")
    again = await paid_on_file(vault, card_id, body)
    assert again["paymentId"] == first["paymentId"]
    assert again["card"]["status"] == "DELETED"


async def test_a_hundred_payments_under_one_id_are_one_authorisation(vault: Installation, sql: Sql) -> None:
    body = payment(storeCard="BOTH")
    answers = await asyncio.gather(*(vault.api.post("/v1/payments", json=body) for _ in range(100)))
    outcomes = {(answer.status_code, answer.json().get("code")) for answer in answers}
    assert outcomes <= {(201, None), (202, None), (409, "in_progress")}  # 202: its sender must not send any more
    assert (201, None) in outcomes
    assert len({answer.json()["paymentId"] for answer in answers if answer.is_success}) == 1
    assert len(await vault.ledger(body["paymentRequestId"])) == 1
    assert len(await vault.sent(body["paymentRequestId"])) == 1
    assert (await sql.count("payment"), await sql.count("card")) == (1, 1)


async def test_payments_are_found_by_their_ids_their_order_and_their_time(vault: Installation, sql: Sql) -> None:
    made = [await paid(vault, payment(order=order() | {"referenceOrderId": f"o.{n % 2}"})) for n in range(3)]
    ids = [view["paymentId"] for view in made]

    async def found(**query: Any) -> list[str]:
        answer = await vault.api.get("/v1/payments", params=query)
        assert answer.status_code == 200, answer.text
        return [view["paymentId"] for view in answer.json()["payments"]]

    assert await found() == ids[::-1]
    assert await found(paymentRequestId=made[1]["paymentRequestId"]) == [ids[1]]
    assert await found(referenceOrderId="o.0") == [ids[2], ids[0]]
    assert await found(createdFrom=made[1]["createdAt"]) == [ids[2], ids[1]]
    assert await found(paymentRequestId="unknown") == []
    other = await vault.api.get("/v1/payments", headers=vault.tenants[1].headers)
    assert other.json() == {"payments": [], "nextCursor": None}
    first = (await vault.api.get("/v1/payments?limit=2")).json()
    rest = (await vault.api.get("/v1/payments", params={"limit": 2, "cursor": first["nextCursor"]})).json()
    assert [view["paymentId"] for view in rest["payments"]] == [ids[0]]
    assert rest["nextCursor"] is None
    problem(await vault.api.get("/v1/payments?limit=0"), 422, "request_invalid")
    problem(await vault.api.get("/v1/payments?createdFrom=yesterday"), 422, "request_invalid")
    problem(await vault.api.get("/v1/payments?cardNo=1"), 422, "request_invalid")

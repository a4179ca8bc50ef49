from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.ops.sandbox.conftest import Start
from tests.ops.sandbox.signed_client import (
    SESSION,
    VISA,
    Answer,
    Gateway,
    Merchant,
    payment,
    token_method,
    without_card,
)

pytestmark = pytest.mark.anyio
SAMPLES = Path(__file__).parents[2] / "samples"
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def session(request_id: str, **changes: Any) -> dict[str, Any]:
    return payment(request_id, **({**without_card()} | changes))


async def opened(gateway: Gateway, request_id: str = "pr-1", **changes: Any) -> dict[str, Any]:
    answer = await gateway.call(SESSION, session(request_id, **changes))
    assert answer.result == ("S", "SUCCESS")
    return answer.json


async def token_of(gateway: Gateway) -> str:
    paid = await gateway.pay("first", metadata={"tokenize": True})
    return str(paid.json["paymentResultInfo"]["cardToken"])


async def test_a_session_has_data_an_id_an_end_and_a_page(start: Start) -> None:
    gateway = await start(clock=lambda: NOON)
    answer = await opened(gateway)
    assert 64 < len(answer["paymentSessionData"]) <= 4096
    assert len(answer["paymentSessionId"]) <= 64
    assert answer["paymentSessionExpiryTime"] == "2026-01-05T13:00:00Z"
    assert answer["normalUrl"].startswith(gateway.url)


async def test_nothing_is_paid_before_the_buyer_submits(gateway: Gateway) -> None:
    await opened(gateway)
    assert (await gateway.inquire("pr-1")).result == ("F", "ORDER_NOT_EXIST")
    assert (await gateway.cancel("pr-1")).result == ("F", "ORDER_NOT_EXIST")
    assert await gateway.ledger() == []


async def test_a_submitted_session_is_a_payment_with_a_notification(gateway: Gateway, merchant: Merchant) -> None:
    answer = await opened(gateway, paymentNotifyUrl=merchant.url)
    back = await gateway.type_card(answer["normalUrl"], save="true")
    assert (back.status, back.headers["Location"]) == (303, "https://shop.example/back?order=1")
    (sent,) = await merchant.wait_for(1)
    assert sent.json["paymentRequestId"] == "pr-1"
    token = sent.json["paymentResultInfo"]["cardToken"]
    paid = await gateway.pay("pr-2", paymentMethod={"paymentMethodType": "CARD", **token_method(token)})
    assert paid.result == ("S", "SUCCESS")


async def test_a_session_leads_to_one_payment(gateway: Gateway) -> None:
    answer = await opened(gateway)
    for _ in range(2):
        assert (await gateway.type_card(answer["normalUrl"])).status == 303
    assert len(await gateway.ledger("pr-1")) == 1


@pytest.mark.parametrize("newer", [False, True])
async def test_a_stored_card_is_only_confirmed(gateway: Gateway, *, newer: bool) -> None:
    token = await token_of(gateway)
    named: dict[str, Any] = {"paymentMethod": {"paymentMethodType": "CARD", "paymentMethodId": token}}
    if newer:
        named = {
            "paymentMethod": {"paymentMethodType": "CARD"},
            "savedPaymentMethods": [{"paymentMethodType": "CARD", "paymentMethodId": token}],
            "availablePaymentMethod": {"paymentMethodMetaData": {"isCardOnFile": True}},
        }
    answer = await opened(gateway, **named)
    async with gateway.session.get(answer["normalUrl"]) as page:
        assert 'name="cardNo"' not in await page.text()
    await gateway.type_card(answer["normalUrl"], cardNo="")
    assert (await gateway.inquire("pr-1")).json["cardInfo"]["lastFour"] == "1111"


async def test_authentication_installments_and_giving_up_work_as_on_the_page(gateway: Gateway) -> None:
    challenged = await opened(gateway, "pr-1", **without_card(is3DSAuthentication=True))
    bank = (await gateway.type_card(challenged["normalUrl"])).headers["Location"]
    await gateway.complete(bank, "success")
    assert (await gateway.inquire("pr-1")).json["paymentResultInfo"]["threeDSResult"]
    reais = {"currency": "BRL", "value": "6000"}
    chosen = await opened(gateway, "pr-2", enableInstallmentCollection=True, paymentAmount=reais)
    await gateway.type_card(chosen["normalUrl"], installmentNum="3")
    assert (await gateway.inquire("pr-2")).json["paymentResultInfo"]["creditPayPlan"] == {"installmentNum": "3"}
    given_up = await opened(gateway, "pr-3")
    await gateway.type_card(given_up["normalUrl"], outcome="fail", cardNo="")
    assert (await gateway.inquire("pr-3")).json["paymentStatus"] == "FAIL"


async def test_a_session_ends(start: Start) -> None:
    now = NOON
    gateway = await start(clock=lambda: now)
    answer = await opened(gateway)
    now = NOON + timedelta(hours=1)
    await gateway.type_card(answer["normalUrl"])
    assert (await gateway.inquire("pr-1")).result == ("F", "ORDER_NOT_EXIST")


@pytest.mark.parametrize("seconds", [-1, 0, 3601])
async def test_a_session_lasts_an_hour_at_most(start: Start, seconds: int) -> None:
    gateway = await start(clock=lambda: NOON)
    wanted = (NOON + timedelta(seconds=seconds)).isoformat()
    answer = await gateway.call(SESSION, session("pr-1", paymentSessionExpiryTime=wanted))
    assert answer.result == ("F", "PARAM_ILLEGAL")
    soon = await opened(gateway, paymentSessionExpiryTime=(NOON + timedelta(minutes=5)).isoformat())
    assert soon["paymentSessionExpiryTime"] == "2026-01-05T12:05:00Z"


async def test_a_request_id_is_one_session_or_one_payment(gateway: Gateway) -> None:
    assert await opened(gateway) == await opened(gateway)
    inconsistent = ("F", "REPEAT_REQ_INCONSISTENT")
    dearer = session("pr-1", paymentAmount={"currency": "EUR", "value": "1"})
    assert (await gateway.call(SESSION, dearer)).result == inconsistent
    assert (await gateway.pay("pr-1")).result == inconsistent
    await gateway.pay("pr-2")
    assert (await gateway.call(SESSION, session("pr-2"))).result == inconsistent


async def test_scenarios_spoil_the_answer_and_the_payment(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "RATE_LIMIT")
    assert (await gateway.call(SESSION, session("pr-1"))).result == ("U", "REQUEST_TRAFFIC_EXCEED_LIMIT")
    await gateway.arm("pr-1", "DECLINE:LOST_CARD")
    await gateway.type_card((await opened(gateway))["normalUrl"])
    assert (await gateway.inquire("pr-1")).json["paymentResultCode"] == "LOST_CARD"


@pytest.mark.parametrize(
    "changes",
    [
        {"paymentRedirectUrl": None},
        {"savedPaymentMethods": "token"},
        {"savedPaymentMethods": [7]},
        {"paymentSessionExpiryTime": "soon"},
    ],
)
async def test_a_session_that_cannot_be_is_refused(gateway: Gateway, changes: dict[str, Any]) -> None:
    assert (await gateway.call(SESSION, session("pr-1", **changes))).result == ("F", "PARAM_ILLEGAL")


async def test_an_unknown_token_opens_no_session(gateway: Gateway) -> None:
    named = {"paymentMethod": {"paymentMethodType": "CARD", "paymentMethodId": "ALIPAYnobody"}}
    answer = await gateway.call(SESSION, session("pr-1", **named))
    assert answer.result == ("F", "INVALID_PAYMENT_METHOD_META_DATA")


@pytest.mark.parametrize("name", ["card-token", "installments", "mpi"])
async def test_every_message_sample_opens_a_session(start: Start, name: str) -> None:
    """The third is cut in its source: what the reference demands is added here."""
    gateway = await start(luhn=False)
    body = json.loads((SAMPLES / f"create-payment-session-{name}.json").read_text(encoding="utf-8"))
    cut = {
        "productCode": "CASHIER_PAYMENT",
        "paymentRequestId": "pr-mpi",
        "paymentRedirectUrl": "https://shop.example/back",
    }
    body = cut | body
    method = body["paymentMethod"]
    if "paymentMethodId" in method:
        method["paymentMethodId"] = await token_of(gateway)
    if "paymentMethodMetaData" in method:
        method["paymentMethodMetaData"]["cardNo"] = VISA
    answer: Answer = await gateway.call(SESSION, body)
    assert answer.result == ("S", "SUCCESS")
    assert VISA not in answer.raw.decode()
    await gateway.type_card(answer.json["normalUrl"])
    assert (await gateway.inquire(body["paymentRequestId"])).json["paymentStatus"] == "SUCCESS"

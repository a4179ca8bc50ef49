from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from aiohttp import web

from ops.sandbox.notifier import INTERVALS
from tests.ops.sandbox.conftest import Start
from tests.ops.sandbox.signed_client import ACKNOWLEDGEMENT, PAY, VISA, Gateway, Merchant, message_of, payment, verify

pytestmark = pytest.mark.anyio


async def test_a_notification_is_signed_over_path_and_query(gateway: Gateway, merchant: Merchant) -> None:
    answer = await gateway.pay("pr-1", paymentNotifyUrl=merchant.url, metadata={"tokenize": True})
    (sent,) = await merchant.wait_for(1)
    assert sent.path == "/hooks/antom?p=1&q=%2F"
    assert sent.headers["client-id"] == gateway.client_id
    message = message_of(sent.path, gateway.client_id, sent.headers["request-time"], sent.raw)
    verify(gateway.gateway_key, sent.headers["signature"], message)
    body = sent.json
    assert body["notifyType"] == "PAYMENT_RESULT"
    for name in ("paymentRequestId", "paymentId", "paymentAmount", "paymentResultInfo", "authExpiryTime"):
        assert body[name] == answer.json[name]
    assert VISA not in sent.raw.decode()


async def test_a_declined_payment_is_notified_too(gateway: Gateway, merchant: Merchant) -> None:
    await gateway.arm("pr-1", "DECLINE:STOLEN_CARD")
    await gateway.pay("pr-1", paymentNotifyUrl=merchant.url)
    await merchant.wait_for(1)
    assert merchant.kinds() == [("PAYMENT_RESULT", "STOLEN_CARD")]


@pytest.mark.parametrize(
    "refusal",
    [
        lambda: web.Response(status=500),
        lambda: web.Response(status=204),
        lambda: web.Response(text="ok"),
        lambda: web.json_response({"result": {"resultCode": "PROCESS_FAIL", "resultStatus": "F"}}),
        lambda: web.json_response(ACKNOWLEDGEMENT, status=201),
        lambda: web.Response(text="x" * 10_000),
        lambda: web.HTTPFound("/hooks/antom"),
    ],
)
async def test_anything_but_the_fixed_acknowledgement_is_sent_again(
    gateway: Gateway, merchant: Merchant, refusal: Callable[[], web.Response]
) -> None:
    merchant.answer = lambda place: refusal() if place < 3 else web.json_response(ACKNOWLEDGEMENT)
    await gateway.pay("pr-1", paymentNotifyUrl=merchant.url)
    await merchant.wait_for(3)
    await asyncio.sleep(0.2)
    assert len(merchant.received) == 3
    assert len({item.raw for item in merchant.received}) == 1


async def test_a_notification_that_is_never_acknowledged_is_sent_eight_times(start: Start, merchant: Merchant) -> None:
    gateway = await start(notification_scale=0.000001)
    merchant.answer = lambda _: web.Response(status=503)
    await gateway.pay("pr-1", paymentNotifyUrl=merchant.url)
    await merchant.wait_for(8)
    await asyncio.sleep(0.2)
    assert len(merchant.received) == 8 == len(INTERVALS)
    assert sum(INTERVALS) <= 25 * 3600


async def test_a_slow_merchant_has_not_acknowledged(start: Start, merchant: Merchant) -> None:
    gateway = await start(notification_timeout=0.1)
    merchant.delay = 0.5
    await gateway.pay("pr-1", paymentNotifyUrl=merchant.url)
    await merchant.wait_for(2)


async def test_the_repetition_can_be_switched_off(start: Start, merchant: Merchant) -> None:
    gateway = await start(resend=False)
    merchant.answer = lambda _: web.Response(status=500)
    await gateway.pay("pr-1", paymentNotifyUrl=merchant.url)
    await merchant.wait_for(1)
    await asyncio.sleep(0.2)
    assert len(merchant.received) == 1


async def test_notifications_can_be_switched_off(start: Start, merchant: Merchant) -> None:
    gateway = await start(notifications=False)
    await gateway.pay("pr-1", paymentNotifyUrl=merchant.url)
    await asyncio.sleep(0.1)
    assert merchant.received == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/none", "http://[broken/none", "ftp://127.0.0.1/none"])
async def test_an_unreachable_merchant_harms_nobody(gateway: Gateway, url: str) -> None:
    assert (await gateway.pay("pr-1", paymentNotifyUrl=url)).result == ("S", "SUCCESS")
    await asyncio.sleep(0.05)
    assert (await gateway.inquire("pr-1")).result == ("S", "SUCCESS")


async def test_merchant_metadata_is_echoed(gateway: Gateway, merchant: Merchant) -> None:
    await gateway.call(PAY, payment("pr-1", paymentNotifyUrl=merchant.url) | {"metadata": "cart=7"})
    (sent,) = await merchant.wait_for(1)
    assert sent.json["metadata"] == "cart=7"
    assert (await gateway.inquire("pr-1")).json["metadata"] == "cart=7"

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.ops.sandbox.conftest import Start
from tests.ops.sandbox.signed_client import VISA, Gateway, Merchant

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
AUTHENTICATED = {"is3DSAuthentication": True, "tokenize": True}


async def challenge(gateway: Gateway, request_id: str = "pr-1", **changes: Any) -> str:
    metadata = AUTHENTICATED | changes.pop("metadata", {})
    answer = await gateway.pay(request_id, metadata=metadata, **changes)
    assert answer.result == ("U", "PAYMENT_IN_PROCESS")
    return str(answer.json["normalUrl"])


async def test_the_page_asks_with_amount_and_masked_card_and_needs_no_script(gateway: Gateway) -> None:
    async with gateway.session.get(await challenge(gateway)) as page:
        text = await page.text()
        policy = page.headers["Content-Security-Policy"]
        assert page.status == 200
        assert page.headers["Content-Type"].startswith("text/html")
        assert page.headers["Cache-Control"] == "no-store"
    assert "EUR 2590" in text
    assert "************1111" in text
    assert VISA not in text
    assert re.findall(r'name="outcome" value="(\w+)"', text) == ["success", "fail"]
    assert "<script" not in text
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


async def test_success_authorises_and_returns_the_buyer(gateway: Gateway, merchant: Merchant) -> None:
    url = await challenge(gateway, paymentNotifyUrl=merchant.url)
    back = await gateway.complete(url, "success")
    assert back.status == 303
    assert back.headers["Location"] == "https://shop.example/back?order=1"
    (sent,) = await merchant.wait_for(1)
    info = sent.json["paymentResultInfo"]
    assert info["cardToken"]
    result = info["threeDSResult"]
    assert (result["eci"], result["threeDSVersion"]) == ("05", "2.2.0")
    assert result["challenged"] is True
    assert result["threeDSOffered"] is True
    assert result["cavv"]
    assert not re.search(r"\d{13}", result["dsTransactionId"].replace("-", ""))
    assert (await gateway.inquire("pr-1")).json["cardInfo"]["threeDSResult"] == result
    assert [row["status"] for row in await gateway.ledger()] == ["AUTHORISED"]


async def test_the_indicator_follows_the_scheme(gateway: Gateway) -> None:
    await gateway.complete(await challenge(gateway, metadata={"cardNo": "5555555555554444"}), "success")
    assert (await gateway.inquire("pr-1")).json["cardInfo"]["threeDSResult"]["eci"] == "02"


async def test_failure_fails_the_payment(gateway: Gateway, merchant: Merchant) -> None:
    back = await gateway.complete(await challenge(gateway, paymentNotifyUrl=merchant.url), "fail")
    assert back.status == 303
    await merchant.wait_for(1)
    assert merchant.kinds() == [("PAYMENT_RESULT", "USER_PAYMENT_VERIFICATION_FAILED")]
    body = (await gateway.inquire("pr-1")).json
    assert body["paymentStatus"] == "FAIL"
    assert "threeDSResult" not in body["paymentResultInfo"]
    assert [row["status"] for row in await gateway.ledger()] == ["DECLINED"]


async def test_completing_twice_changes_nothing(gateway: Gateway, merchant: Merchant) -> None:
    url = await challenge(gateway, paymentNotifyUrl=merchant.url)
    for outcome in ("success", "fail", "success"):
        assert (await gateway.complete(url, outcome)).status == 303
    async with gateway.session.get(url) as page:
        assert "is over" in await page.text()
    await merchant.wait_for(1)
    assert [row["status"] for row in await gateway.ledger()] == ["AUTHORISED"]
    assert len(merchant.received) == 1


async def test_an_open_payment_repeats_its_page_and_can_be_inquired(gateway: Gateway) -> None:
    url = await challenge(gateway)
    assert await challenge(gateway) == url
    body = (await gateway.inquire("pr-1")).json
    assert (body["paymentStatus"], body["redirectActionForm"]["redirectUrl"]) == ("PROCESSING", url)
    assert await gateway.ledger() == []


async def test_a_cancel_closes_the_page(gateway: Gateway) -> None:
    url = await challenge(gateway)
    assert (await gateway.cancel("pr-1")).result == ("S", "SUCCESS")
    await gateway.complete(url, "success")
    async with gateway.session.get(url) as page:
        assert "is over" in await page.text()
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "CANCELLED"
    assert await gateway.ledger() == []


async def test_an_expired_payment_is_closed(start: Start, merchant: Merchant) -> None:
    gateway = await start(clock=lambda: NOON)
    soon = (NOON + timedelta(seconds=0.2)).isoformat()
    url = await challenge(gateway, paymentExpiryTime=soon, paymentNotifyUrl=merchant.url)
    await merchant.wait_for(1)
    assert merchant.kinds() == [("PAYMENT_RESULT", "ORDER_IS_CLOSED")]
    await gateway.complete(url, "success")
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "FAIL"
    again = await gateway.pay("pr-1", metadata=AUTHENTICATED, paymentExpiryTime=soon)
    assert again.result == ("F", "ORDER_IS_CLOSED")
    assert await gateway.ledger() == []


async def test_a_payment_that_succeeded_in_time_does_not_expire(start: Start) -> None:
    gateway = await start(clock=lambda: NOON)
    soon = (NOON + timedelta(seconds=0.8)).isoformat()
    await gateway.complete(await challenge(gateway, paymentExpiryTime=soon), "success")
    await asyncio.sleep(0.9)
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "SUCCESS"


async def test_nonsense_gets_a_page_and_no_effect(gateway: Gateway) -> None:
    url = await challenge(gateway)
    assert (await gateway.complete(url, "perhaps")).status == 400
    assert (await gateway.complete(url + "x", "success")).status == 404
    async with gateway.session.get(url + "x") as page:
        assert page.status == 404
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "PROCESSING"


async def test_without_a_return_address_the_page_says_so(gateway: Gateway) -> None:
    url = await challenge(gateway, paymentRedirectUrl=None)
    assert (await gateway.complete(url, "success")).status == 200


async def test_an_app_can_be_returned_to(gateway: Gateway) -> None:
    url = await challenge(gateway, paymentRedirectUrl="myshop://paid?o=1")
    async with gateway.session.get(url) as page:
        assert "form-action 'self' http: https: myshop:" in page.headers["Content-Security-Policy"]
    assert (await gateway.complete(url, "success")).headers["Location"] == "myshop://paid?o=1"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "https://shop.example/\r\nX: 1", "/relative", "x" * 2049])
async def test_an_address_that_is_no_address_is_refused(gateway: Gateway, url: str) -> None:
    answer = await gateway.pay("pr-1", paymentRedirectUrl=url, metadata=AUTHENTICATED)
    assert answer.result == ("F", "PARAM_ILLEGAL")

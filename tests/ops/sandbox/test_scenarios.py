from __future__ import annotations

import asyncio
import errno
import json
from typing import Any

import aiohttp
import pytest
from cryptography.exceptions import InvalidSignature

from ops.sandbox.scenarios import MAGIC_AMOUNTS, NAMES, ScenarioUnknown, magic_scenario, parse_scenario
from tests.ops.sandbox.conftest import Start
from tests.ops.sandbox.signed_client import PAY, Answer, Gateway, Merchant, payment

pytestmark = pytest.mark.anyio
AUTOMATIC = {"isAuthorization": True}


async def send(gateway: Gateway, request_id: str, **changes: Any) -> Answer:
    """Pay without any check of the answer."""
    return await gateway.send(PAY, json.dumps(payment(request_id, **changes)).encode())


async def statuses(gateway: Gateway, request_id: str) -> list[str]:
    return [row["status"] for row in await gateway.ledger(request_id)]


async def charged(gateway: Gateway, request_id: str) -> list[str]:
    """Wait until the ledger has a row, and return what it says."""
    async with asyncio.timeout(5):
        while True:
            rows = await statuses(gateway, request_id)
            if rows:
                return rows
            await asyncio.sleep(0.02)


async def settled(gateway: Gateway, request_id: str) -> str:
    """Wait until a payment is no longer in progress."""
    async with asyncio.timeout(5):
        while True:
            status = str((await gateway.inquire(request_id)).json["paymentStatus"])
            if status != "PROCESSING":
                return status
            await asyncio.sleep(0.02)


async def test_decline_answers_with_the_named_code(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "DECLINE:USER_BALANCE_NOT_ENOUGH")
    answer = await gateway.pay("pr-1")
    assert answer.result == ("F", "USER_BALANCE_NOT_ENOUGH")
    assert "networkTransactionId" not in answer.json["paymentResultInfo"]
    assert "authExpiryTime" not in answer.json
    body = (await gateway.inquire("pr-1")).json
    assert (body["paymentStatus"], body["paymentResultCode"]) == ("FAIL", "USER_BALANCE_NOT_ENOUGH")
    assert await statuses(gateway, "pr-1") == ["DECLINED"]


@pytest.mark.parametrize(
    ("armed", "said"),
    [
        ("DECLINE:DO_NOT_HONOR", ("05", "02")),
        ("DECLINE:DO_NOT_HONOR:R1", ("R1", None)),
        ("DECLINE:DO_NOT_HONOR:51:24", ("51", "24")),
        ("DECLINE:AUTHENTICATION_REQUIRED", ("1A", None)),
        ("DECLINE:SOME_NEW_CODE", (None, None)),
    ],
)
async def test_a_decline_brings_the_words_of_issuer_and_scheme(
    gateway: Gateway, armed: str, said: tuple[str | None, str | None]
) -> None:
    await gateway.arm("pr-1", armed)
    info = (await gateway.pay("pr-1")).json["paymentResultInfo"]
    assert (info.get("refusalCodeRaw"), info.get("merchantAdviceCode")) == said


async def test_a_declined_payment_stays_declined_under_its_id(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "DECLINE:SOME_NEW_CODE")
    for _ in range(2):
        assert (await gateway.pay("pr-1")).result == ("F", "SOME_NEW_CODE")
    assert await statuses(gateway, "pr-1") == ["DECLINED"]


async def test_require_3ds_sends_the_buyer_to_a_page(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "REQUIRE_3DS")
    answer = await gateway.pay("pr-1")
    assert answer.result == ("U", "PAYMENT_IN_PROCESS")
    url = answer.json["normalUrl"]
    assert answer.json["redirectActionForm"] == {
        "method": "GET",
        "redirectUrl": url,
        "actionFormType": "RedirectActionForm",
    }
    assert await statuses(gateway, "pr-1") == []
    await gateway.complete(url, "success")
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "SUCCESS"


@pytest.mark.parametrize(
    ("form", "members", "asked_again"),
    [
        ("URL", {"normalUrl"}, set()),
        ("GET", {"normalUrl", "redirectActionForm"}, {"redirectActionForm"}),
        ("POST", {"normalUrl", "redirectActionForm"}, {"redirectActionForm"}),
        ("APP", {"schemeUrl", "applinkUrl"}, set()),
    ],
)
async def test_the_buyer_is_sent_to_the_page_in_the_way_that_is_asked_for(
    gateway: Gateway, form: str, members: set[str], asked_again: set[str]
) -> None:
    await gateway.arm("pr-1", f"REDIRECT:{form}")
    answer = (await gateway.pay("pr-1", metadata={"is3DSAuthentication": True})).json
    ways = {"normalUrl", "schemeUrl", "applinkUrl", "redirectActionForm"}
    assert ways & answer.keys() == members
    assert ways & (await gateway.inquire("pr-1")).json.keys() == asked_again
    address = answer.get("normalUrl") or answer["applinkUrl"]
    if form == "POST":
        assert answer["redirectActionForm"]["method"] == "POST"
        async with gateway.session.post(address, data=answer["redirectActionForm"]["parameters"]) as page:
            assert (page.status, "Authenticate" in await page.text()) == (200, True)
    await gateway.complete(address, "success")
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "SUCCESS"


async def test_require_3ds_is_a_refusal_where_the_upgrade_is_forbidden(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "REQUIRE_3DS")
    answer = await gateway.pay("pr-1", metadata={"enableAuthenticationUpgrade": False})
    assert answer.result == ("F", "AUTHENTICATION_REQUIRED")


async def test_require_3ds_hands_out_a_page_even_for_a_merchant_initiated_payment(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "REQUIRE_3DS")
    mit = {
        "isCardOnFile": True,
        "recurringType": "SCHEDULED",
        "networkTransactionId": "imported1234567",
        "enableAuthenticationUpgrade": False,
        "cvv": "",
    }
    answer = await gateway.pay("pr-1", metadata=mit)
    assert answer.result == ("U", "PAYMENT_IN_PROCESS")
    assert "normalUrl" in answer.json
    assert (await gateway.cancel("pr-1")).result == ("S", "SUCCESS")
    assert await statuses(gateway, "pr-1") == []


async def test_slow_answers_late_but_charges_at_once(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "SLOW:1000")
    waiting = asyncio.create_task(gateway.pay("pr-1"))
    assert await charged(gateway, "pr-1") == ["AUTHORISED"]
    assert not waiting.done()
    assert (await waiting).result == ("S", "SUCCESS")


async def test_a_slow_payment_goes_on_when_the_client_hangs_up(gateway: Gateway, merchant: Merchant) -> None:
    await gateway.arm("pr-1", "SLOW:500")
    waiting = asyncio.create_task(send(gateway, "pr-1", paymentNotifyUrl=merchant.url))
    await charged(gateway, "pr-1")
    waiting.cancel()
    await merchant.wait_for(1)
    assert await statuses(gateway, "pr-1") == ["AUTHORISED"]


async def test_lost_answer_charges_and_closes_the_connection(gateway: Gateway, merchant: Merchant) -> None:
    await gateway.arm("pr-1", "LOST_ANSWER")
    with pytest.raises(aiohttp.ClientError):
        await send(gateway, "pr-1", paymentNotifyUrl=merchant.url)
    assert await statuses(gateway, "pr-1") == ["AUTHORISED"]
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "SUCCESS"
    await merchant.wait_for(1)
    assert (await gateway.pay("pr-1", paymentNotifyUrl=merchant.url)).result == ("S", "SUCCESS")
    assert await statuses(gateway, "pr-1") == ["AUTHORISED"]


async def test_reset_happens_before_the_charge(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "RESET")
    with pytest.raises(aiohttp.ClientOSError) as caught:
        await send(gateway, "pr-1")
    assert caught.value.errno == errno.ECONNRESET
    assert (await gateway.inquire("pr-1")).result == ("F", "ORDER_NOT_EXIST")
    assert await gateway.ledger() == []
    assert (await gateway.pay("pr-1")).result == ("S", "SUCCESS")


async def test_a_reset_can_be_slow(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "RESET+SLOW:500")
    waiting = asyncio.create_task(send(gateway, "pr-1"))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    with pytest.raises(aiohttp.ClientOSError):
        await waiting


async def test_rate_limit_charges_nothing_and_the_next_attempt_works(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "RATE_LIMIT")
    assert (await gateway.pay("pr-1")).result == ("U", "REQUEST_TRAFFIC_EXCEED_LIMIT")
    assert (await gateway.inquire("pr-1")).result == ("F", "ORDER_NOT_EXIST")
    assert (await gateway.pay("pr-1")).result == ("S", "SUCCESS")
    assert await statuses(gateway, "pr-1") == ["AUTHORISED"]


async def test_bad_signature_charges_and_signs_wrongly(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "BAD_SIGNATURE")
    answer = await send(gateway, "pr-1")
    assert answer.status == 200
    assert answer.result == ("S", "SUCCESS")
    with pytest.raises(InvalidSignature):
        gateway.verify(PAY, answer)
    assert await statuses(gateway, "pr-1") == ["AUTHORISED"]


async def test_unsigned_charges_and_leaves_the_signature_out(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "UNSIGNED")
    answer = await send(gateway, "pr-1")
    assert answer.result == ("S", "SUCCESS")
    assert answer.header("signature") is None
    assert answer.header("client-id") == gateway.client_id
    assert await statuses(gateway, "pr-1") == ["AUTHORISED"]


async def test_http_500_charges_and_answers_500(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "HTTP_500")
    answer = await send(gateway, "pr-1")
    assert answer.status == 500
    assert b"resultCode" not in answer.raw
    assert await statuses(gateway, "pr-1") == ["AUTHORISED"]


@pytest.mark.parametrize("fault", ["BAD_SIGNATURE", "UNSIGNED", "HTTP_500"])
async def test_only_the_first_pay_is_spoilt(gateway: Gateway, fault: str) -> None:
    await gateway.arm("pr-1", fault)
    await send(gateway, "pr-1")
    assert (await gateway.pay("pr-1")).result == ("S", "SUCCESS")
    assert (await gateway.inquire("pr-1")).result == ("S", "SUCCESS")


async def test_no_notification_sends_none(gateway: Gateway, merchant: Merchant) -> None:
    await gateway.arm("pr-1", "NO_NOTIFICATION")
    await gateway.pay("pr-1", paymentNotifyUrl=merchant.url, paymentFactor=AUTOMATIC)
    await gateway.pay("pr-2", paymentNotifyUrl=merchant.url, paymentFactor=AUTOMATIC)
    await merchant.wait_for(2)
    assert {item.json.get("paymentRequestId", "pr-2") for item in merchant.received} == {"pr-2"}
    assert (await gateway.ledger("pr-1"))[0]["captures"]


async def test_duplicate_notifications_come_twice(gateway: Gateway, merchant: Merchant) -> None:
    await gateway.arm("pr-1", "DUPLICATE_NOTIFICATIONS")
    await gateway.pay("pr-1", paymentNotifyUrl=merchant.url, paymentFactor=AUTOMATIC)
    await merchant.wait_for(4)
    kinds = [kind for kind, _ in merchant.kinds()]
    assert kinds == ["PAYMENT_RESULT"] * 2 + ["CAPTURE_RESULT"] * 2
    assert merchant.received[0].raw == merchant.received[1].raw


async def test_notify_first_is_acknowledged_before_the_answer(gateway: Gateway, merchant: Merchant) -> None:
    merchant.delay = 0.2
    await gateway.arm("pr-1", "NOTIFY_FIRST")
    waiting = asyncio.create_task(gateway.pay("pr-1", paymentNotifyUrl=merchant.url))
    await merchant.wait_for(1)
    assert not waiting.done()
    assert (await waiting).result == ("S", "SUCCESS")
    assert merchant.kinds() == [("PAYMENT_RESULT", "SUCCESS")]


async def test_notify_first_without_an_address_just_answers(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "NOTIFY_FIRST")
    assert (await gateway.pay("pr-1")).result == ("S", "SUCCESS")


async def test_late_success_is_in_process_now_and_succeeds_later(gateway: Gateway, merchant: Merchant) -> None:
    await gateway.arm("pr-1", "LATE_SUCCESS")
    answer = await gateway.pay("pr-1", paymentNotifyUrl=merchant.url)
    assert answer.result == ("U", "PAYMENT_IN_PROCESS")
    assert "normalUrl" not in answer.json
    assert "redirectActionForm" not in answer.json
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "PROCESSING"
    await merchant.wait_for(1)
    assert merchant.kinds() == [("PAYMENT_RESULT", "SUCCESS")]
    assert await settled(gateway, "pr-1") == "SUCCESS"
    assert await statuses(gateway, "pr-1") == ["AUTHORISED"]


async def test_a_late_success_does_not_come_once_cancelled(start: Start) -> None:
    gateway = await start(late_after=0.5)
    await gateway.arm("pr-1", "LATE_SUCCESS")
    await gateway.pay("pr-1")
    assert (await gateway.cancel("pr-1")).result == ("S", "SUCCESS")
    await asyncio.sleep(0.6)
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "CANCELLED"
    assert await statuses(gateway, "pr-1") == []


async def test_scenarios_combine(gateway: Gateway, merchant: Merchant) -> None:
    await gateway.arm("pr-1", "DECLINE:DO_NOT_HONOR+LOST_ANSWER+NO_NOTIFICATION")
    with pytest.raises(aiohttp.ClientError):
        await send(gateway, "pr-1", paymentNotifyUrl=merchant.url)
    assert await statuses(gateway, "pr-1") == ["DECLINED"]
    assert (await gateway.inquire("pr-1")).json["paymentResultCode"] == "DO_NOT_HONOR"
    assert merchant.received == []


async def test_a_challenge_can_end_in_a_late_decline(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "REQUIRE_3DS+DECLINE:LOST_CARD+LATE_SUCCESS")
    await gateway.complete((await gateway.pay("pr-1")).json["normalUrl"], "success")
    body = (await gateway.inquire("pr-1")).json
    assert body["paymentStatus"] == "PROCESSING"
    assert "redirectActionForm" not in body
    assert await settled(gateway, "pr-1") == "FAIL"
    assert await statuses(gateway, "pr-1") == ["DECLINED"]


async def test_a_refused_request_does_not_use_up_what_was_armed(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "DECLINE:DO_NOT_HONOR")
    assert (await gateway.pay("pr-1", productCode="OTHER")).result == ("F", "PARAM_ILLEGAL")
    assert (await gateway.pay("pr-1")).result == ("F", "DO_NOT_HONOR")


async def test_an_armed_scenario_outranks_a_magic_amount(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "DECLINE:LOST_CARD")
    amount = {"currency": "EUR", "value": "9990005"}
    assert (await gateway.pay("pr-1", paymentAmount=amount)).result == ("F", "LOST_CARD")


@pytest.mark.parametrize(("ending", "scenario"), sorted((e, s) for e, s in MAGIC_AMOUNTS.items() if s.decline))
async def test_a_magic_amount_declines(gateway: Gateway, ending: str, scenario: Any) -> None:
    amount = {"currency": "EUR", "value": f"3{ending}"}
    assert (await gateway.pay("pr-1", paymentAmount=amount)).result == ("F", scenario.decline)


async def test_a_magic_amount_asks_for_3ds(gateway: Gateway) -> None:
    answer = await gateway.pay("pr-1", paymentAmount={"currency": "EUR", "value": "9990065"})
    assert "normalUrl" in answer.json


@pytest.mark.parametrize("value", ["1", "100", "600", "1000", "2590", "3063", "8204", "30000", "60000", "990051"])
async def test_ordinary_amounts_mean_nothing(value: str) -> None:
    assert magic_scenario(value) == parse_scenario("SLOW:0")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "NO_SUCH",
        "decline:DO_NOT_HONOR",
        "DECLINE",
        "DECLINE:",
        "DECLINE:lower",
        "DECLINE:SUCCESS",
        "DECLINE:PAYMENT_IN_PROCESS",
        "DECLINE:DO_NOT_HONOR:",
        "DECLINE:DO_NOT_HONOR:05:",
        "DECLINE:DO_NOT_HONOR:05:03:1",
        "DECLINE:DO_NOT_HONOR:not-raw",
        "REDIRECT",
        "REDIRECT:PUT",
        "SLOW",
        "SLOW:",
        "SLOW:-1",
        "SLOW:1.5",
        "SLOW:600001",
        "SLOW:\u0665",
        "RESET:1",
        "RESET:",
        "REQUIRE_3DS+",
        "REQUIRE_3DS REQUIRE_3DS",
        "RESET+LOST_ANSWER",
        "SLOW:1+SLOW:2",
        "NO_NOTIFICATION+NOTIFY_FIRST",
        "REQUIRE_3DS+REQUIRE_3DS",
    ],
)
async def test_an_unreadable_scenario_is_refused_with_an_explanation(gateway: Gateway, text: str) -> None:
    with pytest.raises(ScenarioUnknown):
        parse_scenario(text)
    url = f"{gateway.url}/_sandbox/scenarios"
    async with gateway.session.post(url, json={"paymentRequestId": "pr-1", "scenario": text}) as answer:
        assert answer.status == 400
        body = await answer.json()
    assert body["error"] == "invalid_scenario"
    assert body["detail"]


async def test_every_documented_name_is_readable() -> None:
    for name in NAMES:
        parse_scenario(name.replace("<resultCode>", "DO_NOT_HONOR").replace("<ms>", "1").replace("<form>", "POST"))

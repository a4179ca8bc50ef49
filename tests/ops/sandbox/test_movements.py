"""Captures and refunds: the gateway's rules about them (antom-api.md 2.3 to 2.5), idempotency, and ways to go wrong."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from tests.ops.sandbox.conftest import Start
from tests.ops.sandbox.signed_client import CAPTURE, INQUIRE_REFUND, Answer, Gateway, Merchant, movement

pytestmark = pytest.mark.anyio
INVALID = ("F", "ORDER_STATUS_INVALID")


async def authorised(gateway: Gateway, request_id: str = "pr-1", **changes: Any) -> str:
    answer = await gateway.pay(request_id, **changes)
    assert answer.result == ("S", "SUCCESS")
    return str(answer.json["paymentId"])


async def captured(gateway: Gateway, value: str = "2590", **changes: Any) -> str:
    payment_id = await authorised(gateway, **changes)
    assert (await gateway.capture(payment_id, "cr-all", value)).result == ("S", "SUCCESS")
    return payment_id


def entries(row: dict[str, Any], word: str) -> list[tuple[str, str]]:
    return [(each[f"{word}RequestId"], each["amount"]["value"]) for each in row[f"{word}s"]]


async def test_an_authorisation_is_captured_in_parts_up_to_its_amount(gateway: Gateway) -> None:
    payment_id = await authorised(gateway)
    first = await gateway.capture(payment_id, "cr-1", "1000")
    assert first.result == ("S", "SUCCESS")
    assert first.json["paymentId"] == payment_id
    assert {"captureId", "captureTime", "captureRequestId"} <= first.json.keys()
    assert first.json["captureAmount"] == {"currency": "EUR", "value": "1000"}
    assert (await gateway.capture(payment_id, "cr-2", "1591")).result == ("F", "PARAM_ILLEGAL")
    assert (await gateway.capture(payment_id, "cr-2", "1590")).result == ("S", "SUCCESS")
    assert (await gateway.capture(payment_id, "cr-3", "1")).result == ("F", "PARAM_ILLEGAL")
    (row,) = await gateway.ledger()
    assert entries(row, "capture") == [("cr-1", "1000"), ("cr-2", "1590")]
    records = (await gateway.inquire("pr-1")).json["transactions"]
    assert [(each["transactionType"], each["transactionStatus"]) for each in records] == [("CAPTURE", "SUCCESS")] * 2
    assert records[0]["transactionId"] == first.json["captureId"]


async def test_nothing_is_captured_after_the_last_capture(gateway: Gateway) -> None:
    payment_id = await authorised(gateway)
    assert (await gateway.capture(payment_id, "cr-1", "1000", isLastCapture=True)).result == ("S", "SUCCESS")
    assert (await gateway.capture(payment_id, "cr-2", "1000")).result == INVALID


async def test_a_last_capture_that_was_refused_was_not_the_last(gateway: Gateway) -> None:
    payment_id = await authorised(gateway)
    await gateway.arm("cr-1", "DECLINE:PROCESS_FAIL")
    assert (await gateway.capture(payment_id, "cr-1", "2590", isLastCapture="true")).result == ("F", "PROCESS_FAIL")
    assert (await gateway.capture(payment_id, "cr-2", "2590")).result == ("S", "SUCCESS")


async def test_an_authorisation_can_be_captured_for_seven_days(start: Start) -> None:
    now = [datetime(2026, 1, 5, tzinfo=UTC)]
    gateway = await start(clock=lambda: now[0])
    payment_id = await authorised(gateway)
    now[0] += timedelta(days=7)
    assert (await gateway.capture(payment_id, "cr-1")).result == ("S", "SUCCESS")
    now[0] += timedelta(seconds=1)
    assert (await gateway.capture(payment_id, "cr-2")).result == INVALID


async def test_what_is_not_authorised_by_itself_is_not_captured(gateway: Gateway) -> None:
    automatic = await authorised(gateway, "pr-1", paymentFactor={"isAuthorization": True})
    declined = (await gateway.pay("pr-2", paymentAmount={"currency": "EUR", "value": "9990005"})).json["paymentId"]
    opened = (await gateway.pay("pr-3", metadata={"is3DSAuthentication": True})).json["paymentId"]
    cancelled = await authorised(gateway, "pr-4")
    await gateway.cancel("pr-4")
    for number, payment_id in enumerate((automatic, declined, opened, cancelled)):
        assert (await gateway.capture(payment_id, f"cr-{number}")).result == INVALID
    assert (await gateway.capture("nobody", "cr-9")).result == ("F", "ORDER_NOT_EXIST")


async def test_money_moves_in_the_currency_of_the_payment(gateway: Gateway) -> None:
    payment_id = await captured(gateway, "1000")
    dollars = {"currency": "USD", "value": "100"}
    refused = ("F", "CURRENCY_NOT_SUPPORT")
    assert (await gateway.capture(payment_id, "cr-2", captureAmount=dollars)).result == refused
    assert (await gateway.refund(payment_id, "rr-1", refundAmount=dollars)).result == refused


async def test_a_card_of_the_american_network_is_captured_in_full(gateway: Gateway) -> None:
    payment_id = await authorised(gateway, metadata={"paymentMethodRegion": "US"})
    assert (await gateway.capture(payment_id, "cr-1", "2589")).result == ("F", "PARAM_ILLEGAL")
    assert (await gateway.capture(payment_id, "cr-1", "2590")).result == ("S", "SUCCESS")


async def test_an_issuer_authenticated_korean_card_is_captured_by_the_gateway_alone(gateway: Gateway) -> None:
    korean: dict[str, Any] = {
        "metadata": {"paymentMethodRegion": "KR"},
        "method": {
            "requireIssuerAuthentication": True,
            "paymentMethodMetaData": {
                "cardNo": "4111111111111111",
                "cvv": "737",
                "expiryMonth": "03",
                "expiryYear": "40",
                "paymentMethodRegion": "KR",
            },
        },
    }
    assert (await gateway.pay("pr-1", **korean)).result == ("F", "PARAM_ILLEGAL")
    automatic = await gateway.pay("pr-2", paymentFactor={"isAuthorization": True}, **korean)
    assert automatic.result == ("S", "SUCCESS")


async def test_a_captured_payment_is_refunded_in_parts_up_to_what_was_captured(gateway: Gateway) -> None:
    payment_id = await captured(gateway, "2000")
    first = await gateway.refund(payment_id, "rr-1", "1500", refundReason="broken")
    assert first.result == ("S", "SUCCESS")
    assert {"refundId", "refundTime", "paymentId", "refundAmount"} <= first.json.keys()
    assert (await gateway.refund(payment_id, "rr-2", "501")).result == ("F", "REFUND_AMOUNT_EXCEED")
    assert (await gateway.refund(payment_id, "rr-2", "500")).result == ("S", "SUCCESS")
    (row,) = await gateway.ledger()
    assert entries(row, "refund") == [("rr-1", "1500"), ("rr-2", "500")]
    assert row["refunds"][0]["refundId"] == first.json["refundId"]
    kinds = [each["transactionType"] for each in (await gateway.inquire("pr-1")).json["transactions"]]
    assert kinds == ["CAPTURE", "REFUND", "REFUND"]


async def test_what_was_not_captured_is_not_refunded(gateway: Gateway) -> None:
    payment_id = await authorised(gateway)
    assert (await gateway.refund(payment_id, "rr-1")).result == INVALID
    assert (await gateway.refund("nobody", "rr-1")).result == ("F", "ORDER_NOT_EXIST")
    await gateway.cancel("pr-1")
    assert (await gateway.refund(payment_id, "rr-1")).result == INVALID


async def test_refunds_have_a_window(start: Start) -> None:
    now = [datetime(2026, 1, 5, tzinfo=UTC)]
    gateway = await start(clock=lambda: now[0], refund_window_days=90)
    payment_id = await captured(gateway)
    now[0] += timedelta(days=90)
    assert (await gateway.refund(payment_id, "rr-1")).result == ("S", "SUCCESS")
    now[0] += timedelta(seconds=1)
    assert (await gateway.refund(payment_id, "rr-2")).result == ("F", "REFUND_WINDOW_EXCEED")


async def test_a_refund_is_inquired_by_either_id(gateway: Gateway) -> None:
    payment_id = await captured(gateway)
    refunded = (await gateway.refund(payment_id, "rr-1")).json
    for body in (
        {"refundRequestId": "rr-1"},
        {"refundId": refunded["refundId"]},
        {"refundId": refunded["refundId"], "refundRequestId": "x"},
    ):
        told = (await gateway.call(INQUIRE_REFUND, body)).json
        assert (told["refundStatus"], told["refundId"]) == ("SUCCESS", refunded["refundId"])
        assert told["refundTime"] == refunded["refundTime"]
    assert (await gateway.inquire_refund("rr-9")).result == ("F", "REFUND_NOT_EXIST")
    assert (await gateway.call(INQUIRE_REFUND, {"refundId": "rr-1"})).result == ("F", "REFUND_NOT_EXIST")
    assert (await gateway.call(INQUIRE_REFUND, {})).result == ("F", "PARAM_ILLEGAL")


async def test_the_same_request_again_gives_the_same_result_and_moves_nothing(gateway: Gateway) -> None:
    payment_id = await authorised(gateway)
    await gateway.arm("cr-2", "DECLINE:PROCESS_FAIL")
    for request_id in ("cr-1", "cr-2"):
        first = (await gateway.capture(payment_id, request_id)).json
        assert (await gateway.capture(payment_id, request_id)).json == first
    refunded = (await gateway.refund(payment_id, "rr-1")).json
    assert (await gateway.refund(payment_id, "rr-1")).json == refunded
    (row,) = await gateway.ledger()
    assert (entries(row, "capture"), entries(row, "refund")) == ([("cr-1", "1000")], [("rr-1", "400")])


async def test_one_id_for_another_amount_or_payment_is_inconsistent(gateway: Gateway) -> None:
    payment_id, other = await captured(gateway, "1000"), await authorised(gateway, "pr-2")
    refused = ("F", "REPEAT_REQ_INCONSISTENT")
    assert (await gateway.capture(payment_id, "cr-all", "999")).result == refused
    assert (await gateway.capture(other, "cr-all", "1000")).result == refused
    await gateway.refund(payment_id, "rr-1", "400")
    assert (await gateway.refund(payment_id, "rr-1", "401")).result == refused
    assert (await gateway.capture(other, "rr-1", "400")).result == ("S", "SUCCESS")


async def test_ids_and_payments_belong_to_their_client(gateway: Gateway) -> None:
    payment_id = await captured(gateway)
    await gateway.refund(payment_id, "rr-1")
    other = await Gateway(gateway.url, gateway.key, "SANDBOX_5X0002", gateway.session).register()
    assert (await other.capture(payment_id, "cr-2")).result == ("F", "ORDER_NOT_EXIST")
    assert (await other.inquire_refund("rr-1")).result == ("F", "REFUND_NOT_EXIST")
    theirs = await authorised(other)
    assert (await other.capture(theirs, "cr-all", "1")).result == ("S", "SUCCESS")


@pytest.mark.parametrize(
    "change",
    [
        {"captureRequestId": None},
        {"captureRequestId": "x" * 65},
        {"captureRequestId": 7},
        {"paymentId": None},
        {"captureAmount": None},
        {"captureAmount": {"currency": "EUR", "value": "0"}},
        {"captureAmount": {"currency": "EUR", "value": 100}},
        {"isLastCapture": "perhaps"},
    ],
)
async def test_a_field_that_is_wrong_is_refused(gateway: Gateway, change: dict[str, Any]) -> None:
    payment_id = await authorised(gateway)
    body = movement("capture", payment_id, "cr-1", "1000") | change
    answer = await gateway.call(CAPTURE, {name: value for name, value in body.items() if value is not None})
    assert answer.result == ("F", "PARAM_ILLEGAL")


async def test_a_refund_with_fields_that_are_too_long_is_refused(gateway: Gateway) -> None:
    payment_id = await captured(gateway)
    for change in ({"refundReason": "x" * 257}, {"refundNotifyUrl": "nowhere"}):
        assert (await gateway.refund(payment_id, "rr-1", **change)).result == ("F", "PARAM_ILLEGAL")


async def test_captured_payments_are_not_cancelled_nor_those_that_are_being_captured(gateway: Gateway) -> None:
    await captured(gateway, "1")
    assert (await gateway.cancel("pr-1")).result == INVALID
    late = await authorised(gateway, "pr-2")
    await gateway.arm("cr-2", "LATE_SUCCESS")
    assert (await gateway.capture(late, "cr-2")).result == ("U", "PAYMENT_IN_PROCESS")
    assert (await gateway.cancel("pr-2")).result == INVALID
    refused = await authorised(gateway, "pr-3")
    await gateway.arm("cr-3", "DECLINE:PROCESS_FAIL")
    await gateway.capture(refused, "cr-3")
    assert (await gateway.cancel("pr-3")).result == ("S", "SUCCESS")


async def test_captures_and_refunds_are_notified_under_their_own_addresses(
    gateway: Gateway, merchant: Merchant
) -> None:
    payment_id = await authorised(gateway, paymentNotifyUrl=merchant.url)
    await merchant.wait_for(1)
    await gateway.capture(payment_id, "cr-1")
    await merchant.wait_for(2)
    refunded = await gateway.refund(payment_id, "rr-1", refundNotifyUrl=merchant.url)
    await gateway.refund(payment_id, "rr-2", "1")
    await merchant.wait_for(3)
    capture, refund = (item.json for item in merchant.received[1:])
    assert (capture["notifyType"], capture["captureRequestId"]) == ("CAPTURE_RESULT", "cr-1")
    assert capture["paymentId"] == payment_id
    assert refund == {
        "notifyType": "REFUND_RESULT",
        "result": refunded.json["result"],
        "refundStatus": "SUCCESS",
        "refundRequestId": "rr-1",
        "refundId": refunded.json["refundId"],
        "refundAmount": {"currency": "EUR", "value": "400"},
        "refundTime": refunded.json["refundTime"],
    }


async def test_a_refused_capture_is_notified_and_listed_but_moves_nothing(gateway: Gateway, merchant: Merchant) -> None:
    payment_id = await authorised(gateway, paymentNotifyUrl=merchant.url)
    await gateway.arm("cr-1", "DECLINE:PROCESS_FAIL")
    answer = await gateway.capture(payment_id, "cr-1")
    assert answer.json.keys() == {"result"}
    await merchant.wait_for(2)
    assert merchant.kinds()[1] == ("CAPTURE_RESULT", "PROCESS_FAIL")
    (record,) = (await gateway.inquire("pr-1")).json["transactions"]
    assert (record["transactionStatus"], record["transactionResult"]["resultCode"]) == ("FAIL", "PROCESS_FAIL")
    assert (await gateway.ledger())[0]["captures"] == []


async def test_a_late_refund_is_in_process_first(start: Start, merchant: Merchant) -> None:
    gateway = await start(late_after=0.3)
    payment_id = await captured(gateway)
    await gateway.arm("rr-1", "LATE_SUCCESS")
    answer = await gateway.refund(payment_id, "rr-1", "2000", refundNotifyUrl=merchant.url)
    assert answer.result == ("U", "PAYMENT_IN_PROCESS")
    assert "refundTime" not in answer.json
    assert (await gateway.inquire_refund("rr-1")).json["refundStatus"] == "PROCESSING"
    assert (await gateway.refund(payment_id, "rr-2", "591")).result == ("F", "REFUND_AMOUNT_EXCEED")
    assert (await gateway.ledger())[0]["refunds"] == []
    await merchant.wait_for(1)
    assert (await gateway.inquire_refund("rr-1")).json["refundStatus"] == "SUCCESS"
    assert entries((await gateway.ledger())[0], "refund") == [("rr-1", "2000")]


async def raw(gateway: Gateway, payment_id: str, request_id: str) -> Answer:
    return await gateway.send(CAPTURE, json.dumps(movement("capture", payment_id, request_id, "1000")).encode())


@pytest.mark.parametrize("scenario", ["LOST_ANSWER", "HTTP_500", "UNSIGNED", "BAD_SIGNATURE", "RESET", "RATE_LIMIT"])
async def test_the_answer_to_a_capture_can_go_wrong(gateway: Gateway, scenario: str) -> None:
    payment_id = await authorised(gateway)
    await gateway.arm("cr-1", scenario)
    try:
        answer = await raw(gateway, payment_id, "cr-1")
    except aiohttp.ClientError:
        assert scenario in {"LOST_ANSWER", "RESET"}
    else:
        assert (answer.status == 500) is (scenario == "HTTP_500")
    moved = scenario not in {"RESET", "RATE_LIMIT"}
    assert len((await gateway.ledger())[0]["captures"]) == moved
    assert ("transactions" in (await gateway.inquire("pr-1")).json) is moved
    assert (await gateway.capture(payment_id, "cr-1")).result == ("S", "SUCCESS")
    assert len((await gateway.ledger())[0]["captures"]) == 1


async def test_the_notification_of_a_capture_can_come_first_twice_or_never(
    gateway: Gateway, merchant: Merchant
) -> None:
    merchant.delay = 0.2
    payment_id = await authorised(gateway, paymentNotifyUrl=merchant.url)
    await merchant.wait_for(1)
    await gateway.arm("cr-1", "NOTIFY_FIRST")
    waiting = asyncio.create_task(gateway.capture(payment_id, "cr-1", "1"))
    await merchant.wait_for(2)
    assert not waiting.done()
    await waiting
    await gateway.arm("cr-2", "NO_NOTIFICATION")
    await gateway.capture(payment_id, "cr-2", "1")
    await gateway.arm("cr-3", "DUPLICATE_NOTIFICATIONS")
    await gateway.capture(payment_id, "cr-3", "1")
    await merchant.wait_for(4)
    assert [item.json["captureRequestId"] for item in merchant.received[1:]] == ["cr-1", "cr-3", "cr-3"]


async def test_requests_about_captures_and_refunds_are_remembered_under_their_payment(gateway: Gateway) -> None:
    payment_id = await captured(gateway)
    await gateway.refund(payment_id, "rr-1")
    await gateway.inquire_refund("rr-1")
    await gateway.inquire_refund("rr-9")
    assert [each["operation"] for each in await gateway.requests("pr-1")] == [
        "pay",
        "capture",
        "refund",
        "inquiryRefund",
    ]

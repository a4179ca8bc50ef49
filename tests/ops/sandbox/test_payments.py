from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.ops.sandbox.conftest import Start
from tests.ops.sandbox.signed_client import CANCEL, INQUIRE, VISA, Gateway, Merchant, token_method

pytestmark = pytest.mark.anyio


async def test_a_plain_payment_is_authorised_at_once(gateway: Gateway) -> None:
    answer = await gateway.pay("pr-1")
    assert answer.result == ("S", "SUCCESS")
    body = answer.json
    assert body["paymentRequestId"] == "pr-1"
    assert re.fullmatch(r"\d{35}", body["paymentId"])
    assert body["paymentAmount"] == {"currency": "EUR", "value": "2590"}
    assert {"paymentCreateTime", "paymentTime", "authExpiryTime"} <= body.keys()
    info = body["paymentResultInfo"]
    assert info["cardNo"] == "************1111"
    assert (info["cardBrand"], info["cardBin"], info["lastFour"]) == ("VISA", "411111", "1111")
    assert (info["expiryMonth"], info["expiryYear"]) == ("03", "40")
    assert info["cvvResultRaw"] == "M"
    assert "cardToken" not in info
    assert "normalUrl" not in body


async def test_no_answer_and_no_ledger_row_holds_the_card_number(gateway: Gateway) -> None:
    answer = await gateway.pay("pr-1", metadata={"tokenize": True})
    inquiry = await gateway.inquire("pr-1")
    assert VISA not in answer.raw.decode() + inquiry.raw.decode() + str(await gateway.ledger())


async def test_each_authorisation_gets_its_own_network_transaction_id(gateway: Gateway) -> None:
    ids = {(await gateway.pay(f"pr-{i}")).json["paymentResultInfo"]["networkTransactionId"] for i in range(5)}
    assert len(ids) == 5
    for scheme_id in ids:
        assert len(scheme_id) == 15
        assert not re.search(r"\d{13}", scheme_id)


async def test_a_repeated_request_gets_the_same_result_and_no_second_ledger_row(gateway: Gateway) -> None:
    first = await gateway.pay("pr-1")
    again = await gateway.pay("pr-1")
    assert again.raw == first.raw
    assert [row["status"] for row in await gateway.ledger()] == ["AUTHORISED"]


@pytest.mark.parametrize(
    "changes",
    [
        {"paymentAmount": {"currency": "EUR", "value": "2591"}},
        {"paymentAmount": {"currency": "USD", "value": "2590"}},
        {"metadata": {"cardNo": "5555555555554444"}},
    ],
)
async def test_the_same_id_with_other_values_is_inconsistent(gateway: Gateway, changes: dict[str, object]) -> None:
    await gateway.pay("pr-1")
    assert (await gateway.pay("pr-1", **changes)).result == ("F", "REPEAT_REQ_INCONSISTENT")
    assert len(await gateway.ledger()) == 1


async def test_a_token_in_place_of_the_card_is_inconsistent(gateway: Gateway) -> None:
    first = await gateway.pay("pr-1", metadata={"tokenize": True})
    method = token_method(first.json["paymentResultInfo"]["cardToken"])
    assert (await gateway.pay("pr-1", method=method)).result == ("F", "REPEAT_REQ_INCONSISTENT")


async def test_request_ids_belong_to_a_client(gateway: Gateway) -> None:
    await gateway.pay("pr-1")
    other = await Gateway(gateway.url, gateway.key, "SANDBOX_5X0002", gateway.session).register()
    assert (await other.inquire("pr-1")).result == ("F", "ORDER_NOT_EXIST")
    assert (await other.pay("pr-1", paymentAmount={"currency": "EUR", "value": "1"})).result[0] == "S"


async def test_an_inquiry_shows_the_payment_by_either_id_and_the_gateways_id_wins(gateway: Gateway) -> None:
    paid = await gateway.pay("pr-1")
    body = (await gateway.inquire("pr-1")).json
    assert (body["paymentStatus"], body["paymentResultCode"]) == ("SUCCESS", "SUCCESS")
    assert body["cardInfo"] == body["paymentResultInfo"]
    assert "transactions" not in body
    both = {"paymentId": paid.json["paymentId"], "paymentRequestId": "nobody's"}
    assert (await gateway.call(INQUIRE, both)).json["paymentRequestId"] == "pr-1"


async def test_unknown_payments_do_not_exist(gateway: Gateway) -> None:
    for path in (INQUIRE, CANCEL):
        assert (await gateway.call(path, {"paymentRequestId": "none"})).result == ("F", "ORDER_NOT_EXIST")
        assert (await gateway.call(path, {"paymentId": "none"})).result == ("F", "ORDER_NOT_EXIST")
        assert (await gateway.call(path, {})).result == ("F", "PARAM_ILLEGAL")


async def test_an_authorisation_can_be_cancelled_and_cancelled_again(gateway: Gateway) -> None:
    await gateway.pay("pr-1")
    cancelled = await gateway.cancel("pr-1")
    assert cancelled.result == ("S", "SUCCESS")
    assert {"paymentId", "paymentRequestId", "cancelTime"} <= cancelled.json.keys()
    assert (await gateway.cancel("pr-1")).result == ("S", "SUCCESS")
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "CANCELLED"
    assert [row["status"] for row in await gateway.ledger()] == ["CANCELLED"]
    assert (await gateway.pay("pr-1")).result == ("F", "ORDER_IS_CANCELED")


async def test_a_declined_payment_cannot_be_cancelled(gateway: Gateway) -> None:
    await gateway.pay("pr-1", paymentAmount={"currency": "EUR", "value": "9990005"})
    assert (await gateway.cancel("pr-1")).result == ("F", "ORDER_STATUS_INVALID")


async def test_an_authorisation_can_be_cancelled_for_seven_days(start: Start) -> None:
    now = [datetime(2026, 1, 5, tzinfo=UTC)]
    gateway = await start(clock=lambda: now[0])
    for request_id in ("pr-1", "pr-2"):
        paid = await gateway.pay(request_id)
        assert paid.json["authExpiryTime"] == "2026-01-12T00:00:00Z"
    now[0] += timedelta(days=7)
    assert (await gateway.cancel("pr-1")).result == ("S", "SUCCESS")
    now[0] += timedelta(seconds=1)
    assert (await gateway.cancel("pr-2")).result == ("F", "CANCEL_WINDOW_EXCEED")
    assert [row["status"] for row in await gateway.ledger()] == ["CANCELLED", "AUTHORISED"]


async def test_automatic_capture_follows_and_ends_the_chance_to_cancel(gateway: Gateway, merchant: Merchant) -> None:
    await gateway.pay("pr-1", paymentFactor={"isAuthorization": True}, paymentNotifyUrl=merchant.url)
    await merchant.wait_for(2)
    assert merchant.kinds() == [("PAYMENT_RESULT", "SUCCESS"), ("CAPTURE_RESULT", "SUCCESS")]
    capture = merchant.received[1].json
    (record,) = (await gateway.inquire("pr-1")).json["transactions"]
    assert record["transactionType"] == "CAPTURE"
    assert record["transactionStatus"] == "SUCCESS"
    assert record["transactionId"] == capture["captureId"]
    assert record["transactionRequestId"] == capture["captureRequestId"]
    assert record["transactionAmount"] == capture["captureAmount"] == {"currency": "EUR", "value": "2590"}
    (row,) = await gateway.ledger()
    assert [item["captureId"] for item in row["captures"]] == [capture["captureId"]]
    assert row["refunds"] == []
    assert (await gateway.cancel("pr-1")).result == ("F", "ORDER_STATUS_INVALID")


async def test_a_cancel_before_the_automatic_capture_prevents_it(start: Start, merchant: Merchant) -> None:
    gateway = await start(capture_delay=0.8)
    await gateway.pay("pr-1", paymentFactor={"isAuthorization": True}, paymentNotifyUrl=merchant.url)
    await gateway.cancel("pr-1")
    await gateway.pay("pr-2", paymentFactor={"isAuthorization": True}, paymentNotifyUrl=merchant.url)
    await merchant.wait_for(3)
    assert [kind for kind, _ in merchant.kinds()].count("CAPTURE_RESULT") == 1
    assert (await gateway.ledger("pr-1"))[0]["captures"] == []


async def test_a_token_pays_with_the_card_it_was_made_from(gateway: Gateway) -> None:
    first = await gateway.pay("pr-1", metadata={"tokenize": True, "cardNo": "5555555555554444"})
    token = first.json["paymentResultInfo"]["cardToken"]
    assert re.fullmatch(r"ALIPAY[A-Za-z0-9+/]{87}=", token)
    assert "+" in token
    assert "/" in token
    again = await gateway.pay("pr-2", method=token_method(token))
    assert again.result == ("S", "SUCCESS")
    assert again.json["paymentResultInfo"]["cardNo"] == "************4444"
    assert "cardToken" not in again.json["paymentResultInfo"]


async def test_an_unknown_token_is_refused(gateway: Gateway) -> None:
    answer = await gateway.pay("pr-1", method=token_method("ALIPAYunknown="))
    assert answer.result == ("F", "INVALID_PAYMENT_METHOD_META_DATA")
    assert (await gateway.inquire("pr-1")).result == ("F", "ORDER_NOT_EXIST")


async def test_a_token_belongs_to_its_client(gateway: Gateway) -> None:
    token = (await gateway.pay("pr-1", metadata={"tokenize": True})).json["paymentResultInfo"]["cardToken"]
    other = await Gateway(gateway.url, gateway.key, "SANDBOX_5X0002", gateway.session).register()
    assert (await other.pay("pr-2", method=token_method(token))).result[0] == "F"


@pytest.mark.parametrize("stable", [True, False])
async def test_whether_a_card_keeps_its_token_is_a_setting(start: Start, *, stable: bool) -> None:
    gateway = await start(stable_tokens=stable)
    tokens = [
        (await gateway.pay(f"pr-{i}", metadata={"tokenize": True})).json["paymentResultInfo"]["cardToken"]
        for i in range(2)
    ]
    assert (tokens[0] == tokens[1]) is stable


async def test_the_token_can_be_kept_for_notification_and_inquiry(start: Start, merchant: Merchant) -> None:
    gateway = await start(token_in_answer=False)
    answer = await gateway.pay("pr-1", metadata={"tokenize": True}, paymentNotifyUrl=merchant.url)
    assert "cardToken" not in answer.json["paymentResultInfo"]
    (sent,) = await merchant.wait_for(1)
    inquiry = (await gateway.inquire("pr-1")).json
    assert sent.json["paymentResultInfo"]["cardToken"] == inquiry["cardInfo"]["cardToken"]


async def test_a_declined_payment_gives_no_token(gateway: Gateway) -> None:
    await gateway.arm("pr-1", "DECLINE:DO_NOT_HONOR")
    info = (await gateway.pay("pr-1", metadata={"tokenize": True})).json["paymentResultInfo"]
    assert "cardToken" not in info
    assert info["refusalCodeRaw"] == "05"


async def test_without_synchronous_results_everything_is_late(start: Start, merchant: Merchant) -> None:
    gateway = await start(asynchronous=True)
    answer = await gateway.pay("pr-1", paymentNotifyUrl=merchant.url)
    assert answer.result == ("U", "PAYMENT_IN_PROCESS")
    assert "normalUrl" not in answer.json
    await merchant.wait_for(1)
    assert (await gateway.inquire("pr-1")).json["paymentStatus"] == "SUCCESS"

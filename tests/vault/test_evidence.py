"""What the gateway's messages are evidence of, the odd ones first."""

from datetime import UTC, datetime
from typing import Any

import pytest

from vault.gateway.evidence import (
    read_cancel,
    read_capture_notification,
    read_inquiry,
    read_pay,
    read_payment_notification,
    result_of,
    unknown_to_gateway,
)
from vault.money import Amount
from vault.payment import Credential, Kind, Payment, Source, Status, StoreState

NOW = datetime(2026, 1, 5, 10, tzinfo=UTC)
AMOUNT = {"currency": "EUR", "value": "2590"}
SUCCESS = {"resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success"}
PAYMENT = Payment(
    merchant_id="mer_a",
    id="pay_a",
    request_id="order.1",
    kind=Kind.ONE_OFF,
    status=Status.CREATED,
    amount=Amount("EUR", "2590"),
    order_reference="order-77",
    buyer=None,
    card_id=None,
    credential=Credential.CARD_DATA,
    store_card=None,
    store_state=StoreState.NONE,
    face=None,
    digest=b"",
    digest_key_id=b"",
    capture_mode="MANUAL",
    capture_status="NONE",
    next_action=None,
    gateway_payment_id=None,
    result=None,
    result_info={},
    not_sent=False,
    metadata=None,
    consent=None,
    send_deadline=NOW,
    expires_at=NOW,
    authorisation_expires_at=None,
    cancel_requested_at=None,
    created_at=NOW,
    updated_at=NOW,
    read_at=NOW,
)


def _body(**changes: Any) -> dict[str, Any]:
    return {"result": SUCCESS, "paymentRequestId": "order.1", "paymentId": "2026", "paymentAmount": AMOUNT} | changes


@pytest.mark.parametrize("result", [None, "S", [], {}, {"resultCode": 1, "resultStatus": "S"}, {"resultCode": "X"}])
def test_a_result_that_cannot_be_read_is_none(result: object) -> None:
    assert result_of({"result": result}) is None
    assert read_pay(_body(result=result), PAYMENT).status is Status.UNKNOWN
    assert read_inquiry(_body(result=result), PAYMENT) is None
    assert read_cancel(_body(result=result), PAYMENT) is None
    assert read_payment_notification(_body(result=result), PAYMENT).status is None
    assert read_capture_notification(_body(result=result), PAYMENT) is None


def test_long_words_of_the_gateway_are_cut() -> None:
    result = result_of({"result": {"resultCode": "C" * 99, "resultStatus": "S" * 99, "resultMessage": "m" * 999}})
    assert result is not None
    assert (len(result.code), len(result.status), len(result.message)) == (64, 8, 256)


@pytest.mark.parametrize(
    ("change", "bound"),
    [
        ({}, True),
        ({"paymentRequestId": "order.2"}, False),
        ({"paymentRequestId": None}, False),
        ({"paymentAmount": None}, False),
        ({"paymentAmount": AMOUNT | {"value": "2591"}}, False),
        ({"paymentAmount": AMOUNT | {"currency": "USD"}}, False),
        ({"paymentAmount": AMOUNT | {"value": 2590}}, True),
        ({"paymentAmount": {"currency": "???", "value": "x"}}, False),
        ({"paymentAmount": "2590"}, False),
    ],
)
def test_a_success_has_to_name_this_payment_and_this_amount(change: dict[str, Any], bound: object) -> None:
    assert read_pay(_body(**change), PAYMENT).bound is bound
    assert read_payment_notification(_body(**change), PAYMENT).bound is bound


def test_an_order_that_the_gateway_does_not_know_is_no_outcome() -> None:
    unknown = read_inquiry({"result": {"resultCode": "ORDER_NOT_EXIST", "resultStatus": "F"}}, PAYMENT)
    assert unknown is not None
    assert unknown_to_gateway(unknown)
    known = read_inquiry(_body(paymentStatus="SUCCESS"), PAYMENT)
    assert known is not None
    assert not unknown_to_gateway(known)


@pytest.mark.parametrize(
    ("stated", "status"), [("PENDING", Status.PROCESSING), ("FREEZING", None), (None, None), (7, None)]
)
def test_the_state_in_an_inquiry_is_read_or_left_open(stated: object, status: Status | None) -> None:
    evidence = read_inquiry(_body(paymentStatus=stated, paymentResultMessage=1), PAYMENT)
    assert evidence is not None
    assert (evidence.status, evidence.source) == (status, Source.INQUIRY)


@pytest.mark.parametrize("token", [None, 7, "", "line\nbreak", "x" * 5000])
def test_what_is_no_token_is_none(token: object) -> None:
    assert read_pay(_body(paymentResultInfo={"cardToken": token}), PAYMENT).token is None


@pytest.mark.parametrize("moment", [None, 7, "tomorrow", "2026-01-05T10:00:00"])
def test_what_is_no_moment_with_its_offset_is_none(moment: object) -> None:
    assert read_pay(_body(authExpiryTime=moment), PAYMENT).authorisation_expires_at is None


@pytest.mark.parametrize("info", [None, "x", [], {"unknown": 1}])
def test_result_fields_that_nobody_knows_are_dropped(info: object) -> None:
    assert read_pay(_body(paymentResultInfo=info), PAYMENT).info is None


@pytest.mark.parametrize("form", [None, "x", {}, {"redirectUrl": 7}, {"redirectUrl": "x" * 2049}])
def test_a_redirect_without_an_address_is_none(form: object) -> None:
    process = {"resultCode": "PAYMENT_IN_PROCESS", "resultStatus": "U"}
    assert read_pay(_body(result=process, redirectActionForm=form), PAYMENT).next_action is None


def test_a_cancellation_of_another_payment_is_not_bound() -> None:
    assert read_cancel(_body(result={"resultCode": "X", "resultStatus": "F"}), PAYMENT) is None
    other = read_cancel({"result": SUCCESS, "paymentRequestId": "order.2"}, PAYMENT)
    assert other is not None
    assert not other.bound


@pytest.mark.parametrize("change", [{"captureRequestId": None}, {"captureAmount": 1}, {"captureAmount": {}}])
def test_a_capture_that_cannot_be_read_is_none(change: dict[str, Any]) -> None:
    body = {"result": SUCCESS, "captureRequestId": "cr.1", "captureId": "c.1", "captureAmount": AMOUNT}
    assert read_capture_notification(body, PAYMENT) is not None
    assert read_capture_notification(body | change, PAYMENT) is None


def test_transactions_in_an_inquiry_are_read_one_by_one() -> None:
    capture = {
        "transactionType": "CAPTURE",
        "transactionRequestId": "cr.1",
        "transactionStatus": "SUCCESS",
        "transactionAmount": AMOUNT,
    }
    evidence = read_inquiry(_body(paymentStatus="SUCCESS", transactions=[7, {}, capture]), PAYMENT)
    assert evidence is not None
    assert [seen.request_id for seen in evidence.captures] == ["cr.1"]

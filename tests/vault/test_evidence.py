"""What the gateway's messages are evidence of, the odd ones first."""

from datetime import UTC, datetime
from typing import Any

import pytest

from vault.gateway.evidence import (
    read_cancel,
    read_inquiry,
    read_pay,
    read_payment_notification,
    unknown_to_gateway,
)
from vault.gateway.movement_evidence import (
    read_movement,
    read_movement_notification,
    read_refund_inquiry,
)
from vault.gateway.values import result_of
from vault.money import Amount
from vault.movement import Movement, MovementKind, MovementSeen, MovementStatus
from vault.payment import Credential, Kind, Payment, Source, Status, StoreState
from vault.result import Result

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
    assert read_movement_notification(_body(result=result), MovementKind.CAPTURE) is None


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
    assert evidence.status_when_asked is PAYMENT.status


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
    assert read_movement_notification(body, MovementKind.CAPTURE) is not None
    assert read_movement_notification(body | change, MovementKind.CAPTURE) is None


def test_transactions_in_an_inquiry_are_read_one_by_one() -> None:
    capture = {
        "transactionType": "CAPTURE",
        "transactionRequestId": "cr.1",
        "transactionStatus": "SUCCESS",
        "transactionAmount": AMOUNT,
    }
    refund = capture | {
        "transactionType": "REFUND",
        "transactionRequestId": "rr.1",
        "transactionStatus": "PENDING",
        "transactionResult": SUCCESS,
    }
    noise = [7, {}, capture | {"transactionType": "VOID"}, capture | {"transactionRequestId": ""}]
    evidence = read_inquiry(_body(paymentStatus="SUCCESS", transactions=[*noise, capture, refund]), PAYMENT)
    assert evidence is not None
    amount = Amount("EUR", "2590")
    assert evidence.movements == (
        MovementSeen(MovementKind.CAPTURE, "cr.1", MovementStatus.SUCCESS, amount),
        MovementSeen(
            MovementKind.REFUND, "rr.1", MovementStatus.PENDING, amount, None, Result("SUCCESS", "S", "success")
        ),
    )


REFUND = Movement(
    id="ref_a",
    payment_id="pay_a",
    kind=MovementKind.REFUND,
    request_id="rr.1",
    status=MovementStatus.CREATED,
    amount=Amount("EUR", "400"),
    is_last=False,
    gateway_id=None,
    result=None,
    not_sent=False,
    digest=None,
    digest_key_id=None,
    send_deadline=NOW,
    under_way=True,
    created_at=NOW,
    updated_at=NOW,
)
REFUNDED = {
    "result": SUCCESS,
    "refundRequestId": "rr.1",
    "refundId": "r.1",
    "paymentId": "2026",
    "refundAmount": {"currency": "EUR", "value": "400"},
}
OTHERS: list[dict[str, Any]] = [
    {"refundRequestId": "rr.2"},
    {"refundRequestId": None},
    {"refundAmount": {"currency": "EUR", "value": "401"}},
    {"refundAmount": {"currency": "USD", "value": "400"}},
    {"refundAmount": "400"},
    {"refundAmount": None},
]


def test_a_refund_that_succeeded_is_bound_to_the_one_that_was_asked_for() -> None:
    paid = PAYMENT._replace(gateway_payment_id="2026")
    seen = read_movement(REFUNDED, paid, REFUND)
    assert (seen.status, seen.gateway_id, seen.bound) == (MovementStatus.SUCCESS, "r.1", True)
    for other in [*OTHERS, {"paymentId": "2027"}]:
        assert not read_movement(REFUNDED | other, paid, REFUND).bound, other
    for other in OTHERS:
        told = read_refund_inquiry(REFUNDED | {"refundStatus": "SUCCESS"} | other, REFUND)
        assert told is not None
        assert not told.bound, other


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ({"resultCode": "REFUND_AMOUNT_EXCEED", "resultStatus": "F"}, MovementStatus.FAIL),
        ({"resultCode": "PAYMENT_IN_PROCESS", "resultStatus": "U"}, MovementStatus.PENDING),
        ({"resultCode": "SUCCESS", "resultStatus": "A"}, MovementStatus.PENDING),
        ({"resultStatus": "S"}, MovementStatus.PENDING),
        (None, MovementStatus.PENDING),
    ],
)
def test_only_s_and_f_are_outcomes_of_a_refund_and_a_refusal_needs_no_names(
    result: dict[str, str] | None, status: MovementStatus
) -> None:
    seen = read_movement({"result": result}, PAYMENT, REFUND)
    assert (seen.status, seen.bound) == (status, True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"refundStatus": "SUCCESS"}, (MovementStatus.SUCCESS, False)),
        ({"refundStatus": "FAIL"}, (MovementStatus.FAIL, False)),
        ({"refundStatus": "PROCESSING"}, (MovementStatus.PENDING, False)),
        ({}, (MovementStatus.PENDING, False)),
        ({"result": {"resultCode": "REFUND_NOT_EXIST", "resultStatus": "F"}}, (MovementStatus.FAIL, True)),
        ({"result": {"resultCode": "SYSTEM_ERROR", "resultStatus": "F"}}, None),
        ({"result": None}, None),
    ],
)
def test_the_answer_to_an_inquiry_about_a_refund(
    body: dict[str, Any], expected: tuple[MovementStatus, bool] | None
) -> None:
    seen = read_refund_inquiry(REFUNDED | body, REFUND)
    assert (None if seen is None else (seen.status, seen.not_sent)) == expected


@pytest.mark.parametrize(
    ("result", "stated", "status"),
    [
        ("S", "SUCCESS", MovementStatus.SUCCESS),
        ("S", "FAIL", MovementStatus.FAIL),
        ("F", "FAIL", MovementStatus.FAIL),
        ("F", "SUCCESS", None),
        ("S", "PROCESSING", None),
        ("U", "SUCCESS", None),
    ],
)
def test_result_and_status_of_a_refund_notification_have_to_agree(
    result: str, stated: str, status: MovementStatus | None
) -> None:
    body = REFUNDED | {"result": SUCCESS | {"resultStatus": result}, "refundStatus": stated}
    seen = read_movement_notification(body, MovementKind.REFUND)
    assert (seen.status if seen else None) is status

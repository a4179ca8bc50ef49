"""`POST /v1/payments/{paymentId}/captures`: every rule of antom-api.md 2.3, repeats, and outcomes that come late."""

import asyncio
from typing import Any

import pytest

from tests.api.gateway import SUCCESS, Puppet, failure
from tests.api.money import View, ask_cancel, ask_capture, ask_refund, capture, captured, moved, refund
from tests.api.shop import Sql, order, paid, payment, problem, shown, until
from tests.installation import Installation

pytestmark = pytest.mark.anyio
EUROS = {"currency": "EUR", "value": "2590"}
INQUIRED: View = {"result": SUCCESS, "paymentStatus": "SUCCESS", "paymentAmount": EUROS}


async def due(vault: Installation, sql: Sql) -> None:
    """Let the worker look at what it would look at some time."""
    await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
    await vault.work()


async def test_an_authorisation_is_captured_in_parts(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, payment())
    assert view["captureStatus"] == "NONE"
    mark = await sql.mark()
    first = capture("1000")
    answer = await ask_capture(vault, view, first)
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/v1/payments/{view['paymentId']}")
    made = answer.json()
    assert (made["captureRequestId"], made["captureAmount"]) == (first["captureRequestId"], first["captureAmount"])
    assert (made["status"], made["isLastCapture"], made["declined"]) == ("SUCCESS", False, None)
    assert (made["paymentId"], made["gateway"]["resultCode"]) == (view["paymentId"], "SUCCESS")
    partly = await shown(vault, view["paymentId"])
    assert (partly["captureStatus"], partly["captures"]) == ("PARTIAL", [made])
    second = capture("1590", isLastCapture=True)
    assert (await ask_capture(vault, view, second)).json()["isLastCapture"] is True
    assert (await shown(vault, view["paymentId"]))["captureStatus"] == "FULL"
    assert await moved(vault, view, "capture") == [
        (first["captureRequestId"], "1000"),
        (second["captureRequestId"], "1590"),
    ]
    sent = await vault.sent(view["paymentRequestId"], "capture")
    gateway_id = partly["gateway"]["paymentId"]
    assert sent == [first | {"paymentId": gateway_id}, second | {"paymentId": gateway_id}]
    once = ["capture.created", "capture.recorded", "payment.changed"]
    assert [each for each in await sql.since(mark) if each != "payment.changed"] == once[:2] * 2
    (event, _) = await sql.events("capture.created")
    assert event["objects"] == [made["captureId"], view["paymentId"]]
    assert event["details"] == {"currency": "EUR", "value": "1000"}
    assert await sql.count("payment_inquiry") == 0


async def test_more_than_was_authorised_is_never_captured(vault: Installation) -> None:
    view = await captured(vault, "2000")
    document = problem(await ask_capture(vault, view, capture("591")), 422, "capture_amount_exceeded")
    assert document["errors"] == [{"pointer": "/captureAmount/value", "code": "invalid_value"}]
    assert (await ask_capture(vault, view, capture("590"))).status_code == 201
    problem(await ask_capture(vault, view, capture("1")), 409, "already_captured")
    assert len(await vault.sent(view["paymentRequestId"], "capture")) == 2


async def test_a_refused_request_does_not_use_up_its_id(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, payment())
    body = capture("2591")
    problem(await ask_capture(vault, view, body), 422, "capture_amount_exceeded")
    assert await sql.count("movement") == 0
    again = body | {"captureAmount": EUROS}
    assert (await ask_capture(vault, view, again)).status_code == 201


async def test_nothing_is_captured_after_the_last_one(vault: Installation) -> None:
    view = await paid(vault, payment())
    assert (await ask_capture(vault, view, capture("1000", isLastCapture=True))).status_code == 201
    problem(await ask_capture(vault, view, capture("1000")), 409, "already_captured")
    assert (await shown(vault, view["paymentId"]))["captureStatus"] == "PARTIAL"


async def test_the_last_capture_waits_for_those_before_it(vault: Installation, sql: Sql) -> None:
    """Two requests at once may arrive in the other order, and the gateway refuses what comes after the last one."""
    view, first, last = await paid(vault, payment()), capture("1000"), capture("590", isLastCapture=True)
    await vault.arm(first["captureRequestId"], "LOST_ANSWER+NO_NOTIFICATION")
    assert (await ask_capture(vault, view, first)).status_code == 202
    assert problem(await ask_capture(vault, view, last), 409, "capture_pending")["retryable"] is True
    await due(vault, sql)
    assert (await ask_capture(vault, view, last)).status_code == 201


async def test_another_currency_is_not_captured(vault: Installation) -> None:
    view = await paid(vault, payment())
    document = problem(await ask_capture(vault, view, capture("1", "USD")), 422, "currency_mismatch")
    assert document["errors"] == [{"pointer": "/captureAmount/currency", "code": "invalid_value"}]
    document = problem(await ask_capture(vault, view, capture("1", "XXX")), 422, "request_invalid")
    assert document["errors"] == [{"pointer": "/captureAmount/currency", "code": "currency_invalid"}]


async def test_what_the_gateway_captures_by_itself_is_not_captured_here(vault: Installation) -> None:
    view = await paid(vault, payment(captureMode="AUTOMATIC"))
    problem(await ask_capture(vault, view), 409, "capture_automatic")
    assert await vault.sent(view["paymentRequestId"], "capture") == []


async def test_a_card_of_the_american_network_is_captured_in_full(vault: Installation) -> None:
    view = await paid(vault, payment(paymentMethodRegion="US"))
    document = problem(await ask_capture(vault, view, capture("2589")), 422, "full_capture_required")
    assert document["errors"][0]["pointer"] == "/captureAmount/value"
    assert (await ask_capture(vault, view, capture("2590"))).status_code == 201


async def test_where_the_network_is_not_told_the_issuers_country_counts(
    puppeteer: Installation, puppet: Puppet
) -> None:
    puppet.says("pay", {"result": SUCCESS, "paymentResultInfo": {"issuingCountry": "US"}})
    view = await paid(puppeteer, payment())
    problem(await ask_capture(puppeteer, view, capture("1")), 422, "full_capture_required")


async def test_a_buyer_who_authenticated_with_a_korean_issuer_is_captured_by_the_gateway(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": SUCCESS, "paymentResultInfo": {"paymentMethodRegion": "KR"}})
    view = await paid(puppeteer, payment())
    await sql.change("update vault.payment set redirected = true")
    problem(await ask_capture(puppeteer, view), 409, "capture_automatic")


async def test_what_is_not_authorised_is_not_captured(vault: Installation) -> None:
    declined = payment()
    await vault.arm(declined["paymentRequestId"], "DECLINE:DO_NOT_HONOR")
    views = [await paid(vault, declined), await paid(vault, payment(is3DSAuthentication=True))]
    views.append(await paid(vault, payment()))
    await ask_cancel(vault, views[-1])
    for view in views:
        problem(await ask_capture(vault, view), 409, "payment_not_capturable")


async def test_an_authorisation_that_was_not_heard_of_is_asked_about_before_a_refusal(vault: Installation) -> None:
    body = payment()
    await vault.arm(body["paymentRequestId"], "LOST_ANSWER+NO_NOTIFICATION")
    view = await paid(vault, body, status=202)
    assert (await ask_capture(vault, view)).json()["status"] == "SUCCESS"
    assert (await shown(vault, view["paymentId"]))["captureStatus"] == "FULL"


async def test_a_gateway_that_cannot_be_asked_leaves_the_refusal(puppeteer: Installation, puppet: Puppet) -> None:
    puppet.says("pay", {"result": SUCCESS | {"resultStatus": "U"}, "paymentId": None})
    puppet.says("inquiryPayment", {"result": failure("SYSTEM_ERROR")})
    view = await paid(puppeteer, payment(), status=202)
    problem(await ask_capture(puppeteer, view), 409, "payment_not_capturable")
    assert puppet.count("inquiryPayment") == 1


async def test_after_its_end_an_authorisation_is_not_captured(vault: Installation, sql: Sql) -> None:
    body = payment()
    await vault.arm(body["paymentRequestId"], "NO_NOTIFICATION")
    view = await paid(vault, body)
    await sql.change("update vault.payment set authorisation_expires_at = now() - interval '1 second'")
    problem(await ask_capture(vault, view), 409, "authorisation_expired")


async def test_an_authorisation_whose_end_is_not_told_holds_for_seven_days(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": SUCCESS})
    await paid(puppeteer, payment())
    left = "select extract(epoch from authorisation_expires_at - now()) / 86400 from vault.payment"
    assert 6.99 < await sql.value(left) <= 7
    told = INQUIRED | {"authExpiryTime": "2099-01-01T00:00:00Z"}
    puppet.says("inquiryPayment", told)
    await sql.change("insert into vault.payment_inquiry select merchant_id, id, now(), 0 from vault.payment")
    await due(puppeteer, sql)
    assert await sql.value(left) > 7


async def test_the_same_request_again_shows_the_capture_as_it_stands(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, payment())
    body = capture("2590")
    first = await ask_capture(vault, view, body)
    assert "Idempotent-Replayed" not in first.headers
    mark = await sql.mark()
    again = await ask_capture(vault, view, body)
    assert (again.status_code, again.headers["Idempotent-Replayed"], again.json()) == (201, "true", first.json())
    assert await sql.since(mark) == []
    assert len(await vault.sent(view["paymentRequestId"], "capture")) == 1


async def test_one_id_for_another_request_is_a_conflict(vault: Installation) -> None:
    view, other = await paid(vault, payment()), await paid(vault, payment())
    body = capture("1000")
    await ask_capture(vault, view, body)
    for change in ({"captureAmount": EUROS | {"value": "1001"}}, {"isLastCapture": False}):
        problem(await ask_capture(vault, view, body | change), 409, "idempotency_conflict")
    problem(await ask_capture(vault, other, body), 409, "idempotency_conflict")
    assert await moved(vault, other, "capture") == []
    used = refund("1", refundRequestId=body["captureRequestId"])
    assert (await ask_refund(vault, view, used)).status_code == 201


async def test_one_id_of_two_merchants_is_two_captures(vault: Installation) -> None:
    body = capture()
    for tenant in vault.tenants[:2]:
        made = await vault.api.post("/v1/payments", json=payment(), headers=tenant.headers)
        path = f"/v1/payments/{made.json()['paymentId']}/captures"
        assert (await vault.api.post(path, json=body, headers=tenant.headers)).status_code == 201


async def test_a_repeat_during_the_call_is_told_to_wait(vault: Installation) -> None:
    view, body = await paid(vault, payment()), capture()
    await vault.arm(body["captureRequestId"], "SLOW:700")
    calling = asyncio.create_task(ask_capture(vault, view, body))
    await until(lambda: vault.sent(view["paymentRequestId"], "capture"))
    repeat = await ask_capture(vault, view, body)
    assert problem(repeat, 409, "in_progress")["retryable"] is True
    standing = await shown(vault, view["paymentId"])
    assert (standing["captureStatus"], standing["captures"][0]["status"]) == ("PENDING", "PENDING")
    assert (await calling).json()["status"] == "SUCCESS"
    assert (await ask_capture(vault, view, body)).headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("scenario", ["LOST_ANSWER", "BAD_SIGNATURE", "UNSIGNED", "HTTP_500"])
async def test_a_capture_without_a_trustworthy_answer_stays_reserved_and_is_found(
    vault: Installation, sql: Sql, scenario: str
) -> None:
    view, body = await paid(vault, payment()), capture("2000")
    await vault.arm(body["captureRequestId"], f"{scenario}+NO_NOTIFICATION")
    answer = await ask_capture(vault, view, body)
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
    assert (await shown(vault, view["paymentId"]))["captureStatus"] == "PENDING"
    problem(await ask_capture(vault, view, capture("591")), 422, "capture_amount_exceeded")
    await due(vault, sql)
    found = await ask_capture(vault, view, body)
    assert (found.status_code, found.json()["status"]) == (201, "SUCCESS")
    assert await moved(vault, view, "capture") == [(body["captureRequestId"], "2000")]
    assert len(await vault.sent(view["paymentRequestId"], "capture")) == 1
    assert await sql.count("payment_inquiry") == 0


@pytest.mark.parametrize("scenario", ["RESET", "RATE_LIMIT"])
async def test_a_capture_that_never_arrived_is_not_sent_again_and_frees_its_amount(
    vault: Installation, sql: Sql, scenario: str
) -> None:
    view, body = await paid(vault, payment()), capture()
    await vault.arm(body["captureRequestId"], scenario)
    assert (await ask_capture(vault, view, body)).status_code == 202
    await due(vault, sql)
    assert (await shown(vault, view["paymentId"]))["captures"][0]["status"] == "PENDING"
    await sql.change("update vault.movement set send_deadline = now() - interval '1 hour'")
    await due(vault, sql)
    failed = (await ask_capture(vault, view, body)).json()
    assert (failed["status"], failed["declined"]["retry"]) == ("FAIL", "NEW_ID")
    assert (await shown(vault, view["paymentId"]))["captureStatus"] == "NONE"
    assert (await ask_capture(vault, view, capture())).status_code == 201
    assert len(await vault.sent(view["paymentRequestId"], "capture")) == 2


async def test_a_capture_that_certainly_was_not_sent_fails_at_once(vault: Installation) -> None:
    view = await paid(vault, payment())
    vault.services.payments._tools.sender._client._origin = "http://127.0.0.1:9"
    answer = await ask_capture(vault, view)
    assert (answer.status_code, answer.json()["status"]) == (201, "FAIL")
    assert answer.json()["declined"] == {"category": "not_sent", "retry": "NEW_ID", "notBefore": None}


async def test_a_capture_that_the_gateway_refuses_fails_and_frees_its_amount(vault: Installation, sql: Sql) -> None:
    view, body = await paid(vault, payment()), capture()
    await vault.arm(body["captureRequestId"], "DECLINE:PROCESS_FAIL")
    answer = await ask_capture(vault, view, body)
    assert (answer.status_code, answer.json()["status"]) == (201, "FAIL")
    assert answer.json()["declined"]["category"] == "gateway_error"
    assert (await shown(vault, view["paymentId"]))["captureStatus"] == "NONE"
    assert (await ask_capture(vault, view, body)).json()["status"] == "FAIL"
    assert (await ask_capture(vault, view)).json()["status"] == "SUCCESS"
    assert await sql.alarms() == set()


async def test_a_capture_in_process_ends_by_its_notification(vault: Installation) -> None:
    view, body = await paid(vault, payment()), capture()
    await vault.arm(body["captureRequestId"], "LATE_SUCCESS")
    assert (await ask_capture(vault, view, body)).status_code == 202

    async def finished() -> bool:
        return bool((await shown(vault, view["paymentId"]))["captureStatus"] == "FULL")

    await until(finished)


async def test_a_notification_before_the_answer_is_the_same_capture(vault: Installation, sql: Sql) -> None:
    view, body = await paid(vault, payment()), capture("1000")
    await vault.arm(body["captureRequestId"], "NOTIFY_FIRST")
    assert (await ask_capture(vault, view, body)).json()["status"] == "SUCCESS"
    assert len((await shown(vault, view["paymentId"]))["captures"]) == 1
    assert await sql.alarms() == set()


@pytest.mark.parametrize(
    "other",
    [
        {"captureAmount": EUROS | {"value": "2589"}},
        {"captureAmount": None},
        {"captureRequestId": "another"},
        {"captureRequestId": None},
        {"paymentId": "another"},
    ],
)
async def test_an_answer_about_something_else_is_not_believed(
    puppeteer: Installation, puppet: Puppet, sql: Sql, other: dict[str, Any]
) -> None:
    view, body = await _authorised(puppeteer, puppet), capture()
    named = {"captureRequestId": body["captureRequestId"], "captureAmount": EUROS, "captureId": "c.1"}
    puppet.says("capture", {"result": SUCCESS} | named | other)
    answer = await ask_capture(puppeteer, view, body)
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
    assert await sql.alarms() == {"answer_mismatch"}
    puppet.says("inquiryPayment", INQUIRED | {"transactions": [_transaction(body)]})
    await puppeteer.work()
    assert (await ask_capture(puppeteer, view, body)).json()["status"] == "SUCCESS"


async def _authorised(puppeteer: Installation, puppet: Puppet) -> View:
    puppet.says("pay", {"result": SUCCESS})
    return await paid(puppeteer, payment())


def _transaction(body: View, status: str = "SUCCESS", **changes: Any) -> View:
    return {
        "transactionType": "CAPTURE",
        "transactionRequestId": body["captureRequestId"],
        "transactionId": "c.1",
        "transactionStatus": status,
        "transactionAmount": body["captureAmount"],
    } | changes


async def test_a_capture_that_turns_up_after_all_is_recorded_and_alarmed(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    view, body = await _authorised(puppeteer, puppet), capture()
    puppet.says("capture", {"result": SUCCESS | {"resultStatus": "U"}})
    puppet.says("inquiryPayment", INQUIRED)
    await ask_capture(puppeteer, view, body)
    await sql.change("update vault.movement set send_deadline = now() - interval '1 hour'")
    await due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["captures"][0]["status"] == "FAIL"
    puppet.says("inquiryPayment", INQUIRED | {"transactions": [_transaction(body, "PROCESSING")]})
    await due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["captures"][0]["status"] == "PENDING"
    puppet.says("inquiryPayment", INQUIRED | {"transactions": [_transaction(body)]})
    await due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["captureStatus"] == "FULL"
    assert await sql.alarms() == {"late_movement"}
    assert puppet.count("capture") == 1


async def test_what_was_not_sent_is_followed_for_a_while_and_then_left(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    view, body = await _authorised(puppeteer, puppet), capture()
    puppet.says("capture", {"result": SUCCESS | {"resultStatus": "U"}})
    puppet.says("inquiryPayment", INQUIRED)
    await ask_capture(puppeteer, view, body)
    await sql.change("update vault.movement set send_deadline = now() - interval '1 hour'")
    await due(puppeteer, sql)
    assert await sql.count("payment_inquiry") == 1
    await sql.change("update vault.payment_inquiry set attempts = 30")
    await due(puppeteer, sql)
    assert (await sql.count("payment_inquiry"), await sql.count("alarm")) == (0, 0)


async def test_a_capture_open_for_a_day_is_alarmed_once_and_asked_about_hourly(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    view, body = await _authorised(puppeteer, puppet), capture()
    puppet.says("capture", {"result": SUCCESS | {"resultStatus": "U"}, "captureId": "c.1"})
    puppet.says("inquiryPayment", INQUIRED)
    await ask_capture(puppeteer, view, body)
    await sql.change(
        "update vault.movement set created_at = now() - interval '25 hours', send_deadline = now() - interval '1 day'"
    )
    for _ in range(2):
        await due(puppeteer, sql)
    assert await sql.alarms() == {"movement_unresolved"}
    assert await sql.count("alarm") == 1
    wait = await sql.value("select extract(epoch from next_at - now()) from vault.payment_inquiry")
    assert 3500 < wait <= 3600
    assert (await shown(puppeteer, view["paymentId"]))["captures"][0]["status"] == "PENDING"


@pytest.mark.parametrize(
    "body",
    [
        {},
        capture(captureRequestId=""),
        capture(captureRequestId="x" * 65),
        capture(captureRequestId=7),
        capture("0"),
        capture("1.5"),
        capture(isLastCapture="perhaps"),
        capture() | {"cvv": "737"},
        capture() | {"paymentId": "pay_x"},
    ],
)
async def test_what_is_not_a_capture_is_refused(vault: Installation, body: View) -> None:
    view = await paid(vault, payment())
    problem(await ask_capture(vault, view, body or {"captureRequestId": "a"}), 422, "request_invalid")


async def test_an_id_like_a_card_number_is_taken_or_refused_as_the_merchant_wants(
    vault: Installation, sql: Sql
) -> None:
    published = "4111111111111111"
    view = await paid(vault, payment(order=order()))
    made = await ask_capture(vault, view, capture("1", captureRequestId=published))
    assert made.json()["captureRequestId"] == published
    await sql.change('update vault.merchant set settings = settings || \'{"referencePolicy": "reject"}\'')
    document = problem(
        await ask_capture(vault, view, capture("1", captureRequestId="4242424242424242")), 422, "pan_in_free_text"
    )
    assert document["errors"][0]["pointer"] == "/captureRequestId"

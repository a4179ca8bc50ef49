"""`POST /v1/payments/{paymentId}/refunds` and `GET /v1/refunds/{refundId}`: the rules of antom-api.md 2.5."""

from typing import Any

import pytest

from tests.api.gateway import SUCCESS, Json, Puppet, courier, failure
from tests.api.money import View, ask_refund, capture, captured, moved, refund, refunded
from tests.api.shop import Sql, of_tenant, paid, payment, problem, shown, until
from tests.api.test_capturing import INQUIRED, due
from tests.installation import Blueprint, Installation

pytestmark = pytest.mark.anyio
EUROS = {"currency": "EUR", "value": "2590"}
TAKEN = {
    "transactionType": "CAPTURE",
    "transactionRequestId": "AUTO.1",
    "transactionId": "c.1",
    "transactionStatus": "SUCCESS",
    "transactionAmount": EUROS,
}
REFUND_UNKNOWN = {"result": failure("REFUND_NOT_EXIST")}
UNCLEAR = {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U"}}


async def test_a_captured_payment_is_refunded_in_parts(vault: Installation, sql: Sql) -> None:
    view = await captured(vault, "2000")
    mark = await sql.mark()
    body = refund("1500", refundReason="broken on arrival")
    answer = await ask_refund(vault, view, body)
    made = answer.json()
    assert (answer.status_code, answer.headers["Location"]) == (201, f"/v1/refunds/{made['refundId']}")
    assert (made["refundRequestId"], made["refundAmount"]) == (body["refundRequestId"], body["refundAmount"])
    assert (made["status"], made["paymentId"]) == ("SUCCESS", view["paymentId"])
    assert (await vault.api.get(f"/v1/refunds/{made['refundId']}")).json() == made
    assert await sql.since(mark) == ["refund.created", "refund.recorded"]
    await refunded(vault, view, "500")
    settled = await shown(vault, view["paymentId"])
    assert settled["refundedAmount"] == {"currency": "EUR", "value": "2000"}
    assert (settled["paymentStatus"], settled["captureStatus"]) == ("SUCCESS", "PARTIAL")
    assert settled["refunds"][0] == made
    assert [value for _, value in await moved(vault, view, "refund")] == ["1500", "500"]
    (sent, _) = await vault.sent(view["paymentRequestId"], "refund")
    notify = f"{vault.settings.public_url}/v1/gateway/notifications/{vault.tenants[0].merchant_id}"
    assert sent == body | {"paymentId": settled["gateway"]["paymentId"], "refundNotifyUrl": notify}
    assert not await sql.rows("select 1 from vault.movement m where m::text like '%broken on arrival%'")


async def test_more_than_was_captured_is_never_refunded(vault: Installation) -> None:
    view = await captured(vault, "2000")
    await refunded(vault, view, "1500")
    document = problem(await ask_refund(vault, view, refund("501")), 422, "refund_amount_exceeded")
    assert document["errors"] == [{"pointer": "/refundAmount/value", "code": "invalid_value"}]
    await refunded(vault, view, "500")
    problem(await ask_refund(vault, view, refund("1")), 422, "refund_amount_exceeded")


async def test_another_currency_is_not_refunded(vault: Installation) -> None:
    view = await captured(vault)
    document = problem(await ask_refund(vault, view, refund("1", "USD")), 422, "currency_mismatch")
    assert document["errors"] == [{"pointer": "/refundAmount/currency", "code": "invalid_value"}]


async def test_what_was_not_captured_is_not_refunded_once_the_gateway_was_asked(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, payment())
    problem(await ask_refund(vault, view), 409, "not_captured")
    assert len(await vault.sent(view["paymentRequestId"], "inquiryPayment")) == 1
    assert (await vault.sent(view["paymentRequestId"], "refund"), await sql.count("movement")) == ([], 0)


async def test_a_capture_that_was_not_heard_of_is_found_before_a_refusal(vault: Installation) -> None:
    body = payment(captureMode="AUTOMATIC")
    await vault.arm(body["paymentRequestId"], "NO_NOTIFICATION")
    view = await paid(vault, body)

    async def taken() -> bool:
        return bool(await moved(vault, view, "capture"))

    await until(taken)
    assert (await shown(vault, view["paymentId"]))["captureStatus"] == "PENDING"
    assert (await refunded(vault, view, "2590"))["status"] == "SUCCESS"
    assert (await shown(vault, view["paymentId"]))["captureStatus"] == "FULL"


async def test_a_further_capture_that_was_not_heard_of_is_found_before_a_refusal(
    puppeteer: Installation, puppet: Puppet
) -> None:
    first, second = TAKEN | {"transactionAmount": EUROS | {"value": "1000"}}, dict(TAKEN, transactionRequestId="b")
    second["transactionAmount"] = EUROS | {"value": "500"}
    puppet.says("pay", {"result": SUCCESS})
    puppet.says("inquiryPayment", INQUIRED | {"transactions": [first]}, INQUIRED | {"transactions": [first, second]})
    view = await paid(puppeteer, payment())
    body = refund("1200")
    puppet.says("refund", {"result": SUCCESS, **body, "refundId": "r.1"})
    problem(await ask_refund(puppeteer, view, body), 422, "refund_amount_exceeded")
    assert (await ask_refund(puppeteer, view, body)).json()["status"] == "SUCCESS"


async def test_a_payment_that_took_no_money_is_not_refunded(vault: Installation) -> None:
    declined = payment()
    await vault.arm(declined["paymentRequestId"], "DECLINE:DO_NOT_HONOR")
    view = await paid(vault, declined)
    problem(await ask_refund(vault, view), 409, "payment_not_refundable")
    assert await vault.sent(view["paymentRequestId"], "inquiryPayment") == []
    waiting = await paid(vault, payment(is3DSAuthentication=True))
    problem(await ask_refund(vault, waiting), 409, "payment_not_refundable")


async def test_refunds_are_repeated_and_compared_like_payments(vault: Installation) -> None:
    view, body = await captured(vault), refund("400")
    first = await ask_refund(vault, view, body)
    again = await ask_refund(vault, view, body)
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first.json(), "true")
    problem(await ask_refund(vault, view, body | {"refundReason": "other"}), 409, "idempotency_conflict")
    assert len(await moved(vault, view, "refund")) == 1


@pytest.mark.parametrize("scenario", ["LOST_ANSWER", "BAD_SIGNATURE", "UNSIGNED", "HTTP_500"])
async def test_a_refund_without_a_trustworthy_answer_stays_reserved_and_is_found(
    vault: Installation, sql: Sql, scenario: str
) -> None:
    view, body = await captured(vault), refund("2000")
    await vault.arm(body["refundRequestId"], f"{scenario}+NO_NOTIFICATION")
    answer = await ask_refund(vault, view, body)
    assert (answer.status_code, answer.json()["status"]) == (202, "PENDING")
    assert (await shown(vault, view["paymentId"]))["refundedAmount"] is None
    problem(await ask_refund(vault, view, refund("591")), 422, "refund_amount_exceeded")
    await due(vault, sql)
    assert (await ask_refund(vault, view, body)).json()["status"] == "SUCCESS"
    assert await moved(vault, view, "refund") == [(body["refundRequestId"], "2000")]
    assert len(await vault.sent(view["paymentRequestId"], "refund")) == 1
    assert len(await vault.sent(view["paymentRequestId"], "inquiryRefund")) == 1
    assert await sql.count("payment_inquiry") == 0


async def test_a_refund_that_never_arrived_is_not_sent_again_and_frees_its_amount(
    vault: Installation, sql: Sql
) -> None:
    view, body = await captured(vault), refund("2590")
    await vault.arm(body["refundRequestId"], "RESET")
    assert (await ask_refund(vault, view, body)).status_code == 202
    await due(vault, sql)
    assert (await ask_refund(vault, view, body)).json()["status"] == "PENDING"
    await sql.change("update vault.movement set send_deadline = now() - interval '1 hour'")
    await due(vault, sql)
    failed = (await ask_refund(vault, view, body)).json()
    assert (failed["status"], failed["declined"]["retry"]) == ("FAIL", "NEW_ID")
    await refunded(vault, view, "2590")


async def test_a_refund_in_process_ends_by_its_notification(vault: Installation) -> None:
    view, body = await captured(vault), refund("2590")
    await vault.arm(body["refundRequestId"], "LATE_SUCCESS")
    assert (await ask_refund(vault, view, body)).status_code == 202

    async def finished() -> bool:
        return bool((await shown(vault, view["paymentId"]))["refundedAmount"] == EUROS)

    await until(finished)


async def test_a_refund_that_is_refused_frees_its_amount(vault: Installation) -> None:
    view, body = await captured(vault), refund("2590")
    await vault.arm(body["refundRequestId"], "DECLINE:PROCESS_FAIL")
    assert (await ask_refund(vault, view, body)).json()["declined"]["category"] == "gateway_error"
    await refunded(vault, view, "2590")


async def test_refunds_of_other_merchants_and_captures_are_not_there(vault: Installation) -> None:
    view = await captured(vault)
    refund_id = (await refunded(vault, view))["refundId"]
    capture_id = (await shown(vault, view["paymentId"]))["captures"][0]["captureId"]
    for path in (f"/v1/refunds/{capture_id}", "/v1/refunds/ref_x"):
        problem(await vault.api.get(path), 404, "not_found")
    async with of_tenant(vault, 1) as other:
        problem(await other.get(f"/v1/refunds/{refund_id}"), 404, "not_found")


async def test_a_card_number_in_the_reason_is_refused(vault: Installation) -> None:
    view = await captured(vault)
    document = problem(
        await ask_refund(vault, view, refund(refundReason="card 4111111111111111")), 422, "pan_in_free_text"
    )
    assert document["errors"][0]["pointer"] == "/refundReason"


async def _captured(puppeteer: Installation, puppet: Puppet) -> View:
    puppet.says("pay", {"result": SUCCESS})
    puppet.says("inquiryPayment", INQUIRED | {"transactions": [TAKEN]})
    puppet.says("refund", UNCLEAR)
    puppet.says("inquiryRefund", REFUND_UNKNOWN)
    return await paid(puppeteer, payment())


def _told(body: View, **changes: Any) -> Json:
    facts = {"refundRequestId": body["refundRequestId"], "refundId": "r.1", "refundAmount": body["refundAmount"]}
    return {"notifyType": "REFUND_RESULT", "result": SUCCESS, "refundStatus": "SUCCESS"} | facts | changes


async def test_a_notified_refund_is_found_by_its_own_id(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    view, body = await _captured(puppeteer, puppet), refund()
    assert (await ask_refund(puppeteer, view, body)).status_code == 202
    bringing = courier(puppeteer, blueprint)
    for _ in range(2):
        assert (await bringing.bring(_told(body))).status_code == 200
    assert (await ask_refund(puppeteer, view, body)).json()["status"] == "SUCCESS"
    assert await sql.alarms() == set()
    assert await sql.count("payment_inquiry") == 0


async def test_an_unknown_refund_is_an_orphan(puppeteer: Installation, blueprint: Blueprint, sql: Sql) -> None:
    bringing = courier(puppeteer, blueprint)
    await bringing.bring(_told(refund(refundRequestId="nobody.1")))
    await bringing.bring(_told(refund(refundRequestId="nobody.2"), refundAmount="1"))
    rows = await sql.rows("select code, object_id from vault.alarm order by object_id")
    merchant_id = bringing.tenant.merchant_id
    assert [(row["code"], row["object_id"]) for row in rows] == [
        ("notification_orphan", f"{merchant_id}:nobody.1"),
        ("notification_orphan", f"{merchant_id}:nobody.2"),
    ]


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"refundStatus": "FAIL"}, "movement_contradiction"),
        ({"refundAmount": {"currency": "EUR", "value": "1"}}, "answer_mismatch"),
        ({"paymentId": "another"}, "answer_mismatch"),
    ],
)
async def test_a_contradiction_changes_nothing_is_asked_about_and_alarmed(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql, other: Json, code: str
) -> None:
    view, body = await _captured(puppeteer, puppet), refund()
    puppet.says("refund", {"result": SUCCESS, **body, "refundId": "r.1"})
    made = await ask_refund(puppeteer, view, body)
    asked = puppet.count("inquiryPayment")
    for _ in range(2):
        await courier(puppeteer, blueprint).bring(_told(body, **other))
    assert (await ask_refund(puppeteer, view, body)).json() == made.json()
    assert (await sql.alarms(), await sql.count("alarm")) == ({code}, 1)
    await puppeteer.work()
    assert puppet.count("inquiryPayment") == asked + 1
    assert await sql.count("payment_inquiry") == 0


async def test_refunds_and_captures_made_elsewhere_are_recorded_and_count(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": SUCCESS})
    given = TAKEN | {"transactionType": "REFUND", "transactionRequestId": "desk.1", "transactionId": "r.9"}
    puppet.says("inquiryPayment", INQUIRED | {"transactions": [TAKEN, given | {"transactionAmount": EUROS}, given]})
    view = await paid(puppeteer, payment())
    problem(await ask_refund(puppeteer, view, refund("1")), 422, "refund_amount_exceeded")
    settled = await shown(puppeteer, view["paymentId"])
    assert (settled["captureStatus"], settled["refundedAmount"]) == ("FULL", EUROS)
    assert await sql.alarms() == set()
    path = f"/v1/payments/{view['paymentId']}/captures"
    body = capture("1", captureRequestId="AUTO.1")
    problem(await puppeteer.api.post(path, json=body), 409, "idempotency_conflict")


async def test_a_movement_of_another_payment_is_a_contradiction(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    first, second = await _captured(puppeteer, puppet), await _captured(puppeteer, puppet)
    for view in (first, second):
        await ask_refund(puppeteer, view, refund("9999"))
    assert await sql.alarms() == {"movement_contradiction"}
    assert (await shown(puppeteer, second["paymentId"]))["captures"] == []


async def test_a_refund_that_cannot_be_asked_about_stays_open(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    view, body = await _captured(puppeteer, puppet), refund()
    await ask_refund(puppeteer, view, body)
    puppet.says("inquiryRefund", {"result": failure("SYSTEM_ERROR")})
    await sql.change(
        "update vault.movement set send_deadline = now() - interval '1 hour' where send_deadline < 'infinity'"
    )
    await due(puppeteer, sql)
    assert (await ask_refund(puppeteer, view, body)).json()["status"] == "PENDING"
    assert await sql.count("payment_inquiry") == 1

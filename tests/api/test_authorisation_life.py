"""How an authorisation ends: voided, captured, expired, or given back when it came too late to be wanted."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import QUICK
from tests.api.gateway import SUCCESS, UNKNOWN_ORDER, Puppet, courier, failure, told
from tests.api.money import View, ask_cancel, ask_capture, ask_refund, capture, captured, moved, refund
from tests.api.shop import Sql, paid, payment, problem, shown, until
from tests.api.test_capturing import EUROS, INQUIRED, due
from tests.api.test_refunding import TAKEN
from tests.installation import Blueprint, Installation, installed
from vault.movement import MovementKind
from vault.reconcile import WORKER
from vault.store import payments

pytestmark = pytest.mark.anyio
UNCLEAR = {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U"}, "paymentId": None}
OVER = "update vault.payment set authorisation_expires_at = now() - interval '1 second'"


async def _quietly(vault: Installation, **changes: Any) -> View:
    """Pay without any notification that could come in between."""
    body = payment(**changes)
    await vault.arm(body["paymentRequestId"], "NO_NOTIFICATION")
    return await paid(vault, body)


async def test_what_was_captured_is_not_voided_and_can_be_refunded(vault: Installation, sql: Sql) -> None:
    view = await captured(vault, "1000")
    document = problem(await ask_cancel(vault, view), 409, "already_captured")
    assert document["detail"] == "What was captured can be refunded."
    assert await sql.events("payment.cancel_requested") == []
    assert (await ask_refund(vault, view, refund("1000"))).status_code == 201
    problem(await ask_cancel(vault, view), 409, "already_captured")


async def test_a_capture_that_failed_does_not_stand_in_the_way_of_a_void(vault: Installation) -> None:
    view, body = await paid(vault, payment()), capture()
    await vault.arm(body["captureRequestId"], "DECLINE:PROCESS_FAIL")
    await ask_capture(vault, view, body)
    assert (await ask_cancel(vault, view)).json()["paymentStatus"] == "CANCELLED"


async def test_an_open_capture_keeps_an_authorisation_from_being_voided(vault: Installation, sql: Sql) -> None:
    view, body = await paid(vault, payment()), capture()
    await vault.arm(body["captureRequestId"], "LOST_ANSWER+NO_NOTIFICATION")
    await ask_capture(vault, view, body)
    answer = await ask_cancel(vault, view)
    assert problem(answer, 409, "capture_pending")["retryable"] is True
    assert answer.headers["Retry-After"] == "5"
    assert await vault.sent(view["paymentRequestId"], "cancel") == []
    await due(vault, sql)
    problem(await ask_cancel(vault, view), 409, "already_captured")


async def test_an_open_void_keeps_an_authorisation_from_being_captured(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": SUCCESS})
    puppet.says("cancel", UNCLEAR, {"result": failure("ORDER_STATUS_INVALID")})
    puppet.says("inquiryPayment", INQUIRED)
    view = await paid(puppeteer, payment())
    assert (await ask_cancel(puppeteer, view)).status_code == 202
    assert problem(await ask_capture(puppeteer, view), 409, "cancellation_pending")["retryable"] is True
    await due(puppeteer, sql)
    body = capture()
    named = {name: body[name] for name in ("captureRequestId", "captureAmount")}
    puppet.says("capture", {"result": SUCCESS, **named, "captureId": "c.1"})
    assert (await ask_capture(puppeteer, view, body)).json()["status"] == "SUCCESS"


async def test_a_void_and_a_capture_at_once_never_both_happen(vault: Installation) -> None:
    for _ in range(8):
        view, body = await paid(vault, payment()), capture()
        voiding, taking = await asyncio.gather(ask_cancel(vault, view), ask_capture(vault, view, body))
        (row,) = await vault.ledger(view["paymentRequestId"])
        assert (row["status"] == "CANCELLED") is (row["captures"] == [])
        assert voiding.is_success is (row["status"] == "CANCELLED"), (voiding.text, taking.text)
        assert taking.is_success is bool(row["captures"]), (voiding.text, taking.text)


async def test_a_capture_of_what_was_voided_is_a_contradiction(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    puppet.says("pay", {"result": SUCCESS})
    puppet.says("cancel", {"result": SUCCESS})
    puppet.says("inquiryPayment", INQUIRED | {"paymentStatus": "CANCELLED", "transactions": [TAKEN]})
    view = await paid(puppeteer, payment())
    await ask_cancel(puppeteer, view)
    await courier(puppeteer, blueprint).bring(_capture_told("20260105101"))
    await puppeteer.work()
    settled = await shown(puppeteer, view["paymentId"])
    assert (settled["paymentStatus"], settled["captures"]) == ("CANCELLED", [])
    assert await sql.alarms() == {"movement_contradiction"}
    assert await sql.count("payment_inquiry") == 0


async def test_after_seven_days_an_authorisation_is_not_voided(vault: Installation, sql: Sql) -> None:
    view = await _quietly(vault)
    await sql.change("update vault.payment set finalised_at = now() - interval '7 days 1 second'")
    document = problem(await ask_cancel(vault, view), 409, "payment_not_cancellable")
    assert "refunded" in document["detail"]
    assert await vault.sent(view["paymentRequestId"], "cancel") == []


async def test_a_void_that_was_refused_for_a_capture_made_elsewhere_shows_that_capture(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": SUCCESS})
    puppet.says("cancel", {"result": failure("ORDER_STATUS_INVALID")})
    puppet.says("inquiryPayment", INQUIRED | {"transactions": [TAKEN]})
    view = await paid(puppeteer, payment())
    problem(await ask_cancel(puppeteer, view), 409, "already_captured")
    await puppeteer.work()
    settled = await shown(puppeteer, view["paymentId"])
    assert (settled["captureStatus"], settled["cancelRequested"]) == ("FULL", False)
    assert await sql.count("payment_inquiry") == 0


async def test_an_authorisation_that_ends_uncaptured_expires(
    blueprint: Blueprint, onboarded_url: str, sql: Sql
) -> None:
    eight_days_ago = QUICK | {"clock": lambda: datetime.now(UTC) - timedelta(days=8)}
    async with installed(blueprint, onboarded_url, sandbox=eight_days_ago) as vault:
        view, automatic = await paid(vault, payment()), await _quietly(vault, captureMode="AUTOMATIC")
        expired = view
        async with asyncio.timeout(10):
            while expired["captureStatus"] == "NONE":  # the notification, which says when it was, may be on its way
                await vault.work()
                expired = await shown(vault, view["paymentId"])
        assert (expired["paymentStatus"], expired["captureStatus"]) == ("SUCCESS", "EXPIRED")
        (event,) = await sql.events("payment.authorisation_expired")
        assert (event["objects"], event["actor"]["kind"]) == ([view["paymentId"]], "worker")
        problem(await ask_capture(vault, view), 409, "authorisation_expired")
        assert (await shown(vault, automatic["paymentId"]))["captureStatus"] != "EXPIRED"
        mark = await sql.mark()
        await due(vault, sql)
        assert "payment.authorisation_expired" not in await sql.since(mark)


async def test_the_gateways_word_on_the_end_of_an_authorisation_counts(vault: Installation, sql: Sql) -> None:
    view = await _quietly(vault)
    await sql.change(OVER)
    await vault.work()
    assert (await shown(vault, view["paymentId"]))["captureStatus"] == "NONE"
    assert await sql.count("payment_inquiry") == 0
    assert (await ask_capture(vault, view)).status_code == 201


async def test_an_authorisation_that_was_captured_in_part_stays_so(vault: Installation, sql: Sql) -> None:
    view = await captured(vault, "1000")
    await asyncio.sleep(0.2)
    await sql.change(OVER)
    await vault.work()
    assert (await shown(vault, view["paymentId"]))["captureStatus"] == "PARTIAL"
    problem(await ask_capture(vault, view, capture("1")), 409, "authorisation_expired")


async def test_before_it_counts_as_expired_an_authorisation_is_asked_about(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": SUCCESS})
    puppet.says("inquiryPayment", {"result": failure("SYSTEM_ERROR")}, INQUIRED | {"transactions": [TAKEN]})
    view = await paid(puppeteer, payment())
    await sql.change(OVER)
    await puppeteer.work()
    assert (await shown(puppeteer, view["paymentId"]))["captureStatus"] == "NONE"
    await due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["captureStatus"] == "FULL"


async def test_what_is_captured_while_it_is_asked_about_has_not_expired(
    puppeteer: Installation, puppet: Puppet, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    puppet.says("pay", {"result": SUCCESS})
    puppet.says("inquiryPayment", INQUIRED)
    view = await paid(puppeteer, payment())
    await sql.change(OVER)
    recorder = puppeteer.services.reconciler._recorder
    expire = recorder.expire

    async def meanwhile(*arguments: Any) -> Any:
        await sql.change("update vault.payment set capture_status = 'FULL'")
        return await expire(*arguments)

    monkeypatch.setattr(recorder, "expire", meanwhile)
    await puppeteer.work()
    assert (await shown(puppeteer, view["paymentId"]))["captureStatus"] == "FULL"
    assert await sql.events("payment.authorisation_expired") == []
    assert await sql.count("payment_inquiry") == 0


async def _late(puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql) -> View:
    """Give a payment that was believed not to have been sent, then authorised and captured after all."""
    puppet.says("pay", UNCLEAR)
    puppet.says("inquiryPayment", UNKNOWN_ORDER)
    view = await paid(puppeteer, payment(captureMode="AUTOMATIC"), status=202)
    await sql.change("update vault.payment set send_deadline = now() - interval '1 hour'")
    await due(puppeteer, sql)
    puppet.says("cancel", {"result": failure("ORDER_STATUS_INVALID")})
    puppet.says("inquiryPayment", INQUIRED | {"transactions": [TAKEN]})
    assert (await courier(puppeteer, blueprint).bring(told(view))).status_code == 200
    return await shown(puppeteer, view["paymentId"])


async def test_a_late_authorisation_that_was_captured_before_its_void_is_refunded_once(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    view = await _late(puppeteer, puppet, blueprint, sql)
    assert (view["paymentStatus"], view["cancelRequested"]) == ("SUCCESS", True)
    named = {"refundRequestId": f"{view['paymentId']}.late.1", "refundAmount": EUROS}
    puppet.says("refund", {"result": SUCCESS, **named, "refundId": "r.1"})
    for _ in range(3):
        await due(puppeteer, sql)
    settled = await shown(puppeteer, view["paymentId"])
    assert (settled["captureStatus"], settled["refundedAmount"]) == ("FULL", EUROS)
    assert [each["refundRequestId"] for each in settled["refunds"]] == [named["refundRequestId"]]
    assert puppet.count("refund") == 1
    assert await sql.alarms() == {"late_authorisation", "late_authorisation_stands"}
    (event,) = await sql.events("refund.created")
    assert event["actor"]["kind"] == "worker"


async def test_a_refund_of_a_late_authorisation_whose_answer_is_lost_is_not_made_twice(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    view = await _late(puppeteer, puppet, blueprint, sql)
    puppet.says("refund", UNCLEAR)
    puppet.says("inquiryRefund", {"result": SUCCESS, "refundStatus": "PROCESSING"})
    for _ in range(3):
        await due(puppeteer, sql)
    assert (puppet.count("refund"), await sql.count("movement")) == (1, 2)
    puppet.says(
        "inquiryRefund",
        {"result": SUCCESS, "refundStatus": "SUCCESS", "refundAmount": EUROS}
        | {"refundRequestId": f"{view['paymentId']}.late.1", "refundId": "r.1"},
    )
    await due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["refundedAmount"] == EUROS


async def test_a_refund_of_a_late_authorisation_that_is_refused_is_left_to_people(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    await _late(puppeteer, puppet, blueprint, sql)
    puppet.says("refund", {"result": failure("REFUND_WINDOW_EXCEED")})
    for _ in range(3):
        await due(puppeteer, sql)
    assert puppet.count("refund") == 1
    assert await sql.alarms() == {"late_authorisation", "late_authorisation_stands", "late_refund_refused"}


async def test_a_late_authorisation_that_somebody_refunds_at_the_same_moment_is_not_refunded_twice(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    view = await _late(puppeteer, puppet, blueprint, sql)
    puppet.says("refund", UNCLEAR)
    await due(puppeteer, sql)
    async with puppeteer.services.database.session() as session:
        late = await payments.find(session, puppeteer.tenants[0].merchant_id, view["paymentId"])
    assert late is not None
    stale = late._replace(movements=late.of(MovementKind.CAPTURE))
    account = await puppeteer.services.moving._tools.directory.account(late.merchant_id, WORKER)
    await puppeteer.services.moving.give_back(account, stale, WORKER)
    assert puppet.count("refund") == 1


async def test_a_late_authorisation_is_not_captured_on_request(
    puppeteer: Installation, puppet: Puppet, sql: Sql, blueprint: Blueprint
) -> None:
    view = await _late(puppeteer, puppet, blueprint, sql)
    problem(await ask_capture(puppeteer, view), 409, "payment_not_capturable")


async def test_a_capture_that_is_told_before_its_payment_is_known_waits_for_it(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    puppet.says("pay", UNCLEAR)
    puppet.says("inquiryPayment", INQUIRED)
    view = await paid(puppeteer, payment(captureMode="AUTOMATIC"), status=202)
    assert view["gateway"]["paymentId"] is None
    capture_result = _capture_told("20260105101")
    for _ in range(2):
        assert (await courier(puppeteer, blueprint).bring(capture_result)).status_code == 200
    assert await puppeteer.services.orphans.look() is True
    assert (await sql.alarms(), await sql.count("orphan_capture")) == (set(), 1)
    await due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["captureStatus"] == "PENDING"
    await sql.change("update vault.orphan_capture set next_at = now()")
    assert await puppeteer.services.orphans.look() is True
    assert (await shown(puppeteer, view["paymentId"]))["captureStatus"] == "FULL"
    assert (await sql.alarms(), await sql.count("orphan_capture")) == (set(), 0)
    assert await puppeteer.services.orphans.look() is False


def _capture_told(payment_id: str) -> View:
    ids = {"paymentId": payment_id, "captureRequestId": "AUTO.1", "captureId": "c.1"}
    return {"notifyType": "CAPTURE_RESULT", "result": SUCCESS, "captureAmount": EUROS} | ids


async def test_a_capture_whose_payment_never_appears_is_alarmed_once(
    puppeteer: Installation, blueprint: Blueprint, sql: Sql
) -> None:
    bringing = courier(puppeteer, blueprint)
    for _ in range(2):
        await bringing.bring(_capture_told("nobodys"))
        await puppeteer.services.orphans.look()
        assert await sql.count("orphan_capture") == 1
        await sql.change("update vault.orphan_capture set next_at = now(), created_at = now() - interval '1 hour'")
        await puppeteer.services.orphans.look()
    assert await sql.count("orphan_capture") == 0
    (row,) = await sql.rows("select code, object_id from vault.alarm")
    assert (row["code"], row["object_id"]) == ("notification_orphan", f"{bringing.tenant.merchant_id}:nobodys")


async def test_an_own_capture_is_known_by_its_request_id_alone(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    puppet.says("pay", {"result": SUCCESS})
    puppet.says("capture", {"result": {"resultCode": "PAYMENT_IN_PROCESS", "resultStatus": "U"}})
    view = await paid(puppeteer, payment())
    body = capture()
    await ask_capture(puppeteer, view, body)
    notice = _capture_told("ignored") | {"captureRequestId": body["captureRequestId"], "paymentId": 7}
    await courier(puppeteer, blueprint).bring({name: value for name, value in notice.items() if name != "paymentId"})
    assert (await ask_capture(puppeteer, view, body)).json()["status"] == "SUCCESS"
    nameless = {name: value for name, value in _capture_told("x").items() if name != "paymentId"}
    await courier(puppeteer, blueprint).bring(nameless)
    assert await sql.alarms() == {"notification_orphan"}


async def test_a_lost_answer_and_a_quick_capture_raise_no_alarm(vault: Installation, sql: Sql) -> None:
    body = payment(captureMode="AUTOMATIC")
    await vault.arm(body["paymentRequestId"], "LOST_ANSWER")
    view = await paid(vault, body, status=202)

    async def taken() -> bool:
        await vault.work()
        await vault.services.orphans.look()
        return bool((await shown(vault, view["paymentId"]))["captureStatus"] == "FULL")

    await until(taken)
    assert await moved(vault, view, "capture")
    assert await sql.alarms() == set()

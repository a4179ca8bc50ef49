"""Payments whose outcome is open: asked about until it is known, never sent twice, and alarms for what cannot be."""

import asyncio
from typing import Any

import pytest

from tests.api.gateway import IN_PROCESS, SUCCESS, UNKNOWN_ORDER, Puppet, courier, failure, told
from tests.api.shop import Sql, paid, payment, shown
from tests.installation import Blueprint, Installation

pytestmark = pytest.mark.anyio
INQUIRED: dict[str, Any] = {"result": SUCCESS, "paymentAmount": {"currency": "EUR", "value": "2590"}}
UNCLEAR = {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U"}, "paymentId": None}


async def _due(vault: Installation, sql: Sql, attempts: int = 0) -> None:
    await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second', attempts = $1", attempts)
    await vault.work()


async def _not_sent(puppeteer: Installation, puppet: Puppet, sql: Sql) -> dict[str, Any]:
    puppet.says("pay", UNCLEAR)
    puppet.says("inquiryPayment", UNKNOWN_ORDER)
    view = await paid(puppeteer, payment(), status=202)
    await sql.change("update vault.payment set send_deadline = now() - interval '1 hour'")
    await _due(puppeteer, sql)
    return await shown(puppeteer, view["paymentId"])


@pytest.mark.parametrize("scenario", ["LOST_ANSWER", "BAD_SIGNATURE", "UNSIGNED", "HTTP_500"])
async def test_a_charge_without_a_trustworthy_answer_is_found_and_never_repeated(
    vault: Installation, scenario: str
) -> None:
    body = payment(storeCard="BOTH")
    await vault.arm(body["paymentRequestId"], f"{scenario}+NO_NOTIFICATION")
    view = await paid(vault, body, status=202)
    assert view["paymentStatus"] == "UNKNOWN"
    settled = await vault.settle(view["paymentId"])
    assert (settled["paymentStatus"], settled["card"]["storage"]) == ("SUCCESS", "BOTH")
    assert len(await vault.ledger(body["paymentRequestId"])) == 1
    assert len(await vault.sent(body["paymentRequestId"])) == 1


async def test_what_the_gateway_does_not_know_waits_for_its_senders_deadline(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", UNCLEAR)
    puppet.says("inquiryPayment", UNKNOWN_ORDER)
    view = await paid(puppeteer, payment(), status=202)
    await _due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "UNKNOWN"


async def test_what_the_gateway_still_does_not_know_was_not_sent(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    view = await _not_sent(puppeteer, puppet, sql)
    assert (view["paymentStatus"], view["declined"]["retry"]) == ("FAIL", "NEW_ID")
    assert puppet.count("pay") == 1
    assert await sql.count("payment_inquiry") == 1


async def test_a_payment_that_the_gateway_has_named_is_never_taken_for_not_sent(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": IN_PROCESS})
    puppet.says("inquiryPayment", UNKNOWN_ORDER)
    view = await paid(puppeteer, payment(), status=202)
    await sql.change("update vault.payment set send_deadline = now() - interval '1 hour'")
    await _due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "PROCESSING"


async def test_a_payment_that_is_still_being_sent_is_not_asked_about(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", UNCLEAR)
    puppet.says("inquiryPayment", UNKNOWN_ORDER)
    view = await paid(puppeteer, payment(), status=202)
    await sql.change("update vault.payment set status = 'CREATED', send_deadline = now() + interval '1 hour'")
    await _due(puppeteer, sql)
    assert puppet.count("inquiryPayment") == 0
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "CREATED"


async def test_an_authorisation_that_comes_too_late_is_cancelled_and_alarmed(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    view = await _not_sent(puppeteer, puppet, sql)
    puppet.says("cancel", {"result": SUCCESS})
    puppet.says("inquiryPayment", INQUIRED | {"paymentStatus": "CANCELLED"})
    assert (await courier(puppeteer, blueprint).bring(told(view))).status_code == 200
    late = await shown(puppeteer, view["paymentId"])
    assert (late["paymentStatus"], late["cancelRequested"]) == ("SUCCESS", True)
    assert await sql.alarms() == {"late_authorisation"}
    await _due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "CANCELLED"
    assert await sql.count("payment_inquiry") == 0


async def test_a_late_authorisation_that_cannot_be_cancelled_stays_an_alarm(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    view = await _not_sent(puppeteer, puppet, sql)
    puppet.says("cancel", {"result": failure("ORDER_STATUS_INVALID")})
    puppet.says("inquiryPayment", INQUIRED | {"paymentStatus": "SUCCESS"})
    for _ in range(3):
        await _due(puppeteer, sql)
    assert await sql.alarms() == {"late_authorisation", "late_authorisation_stands"}
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "SUCCESS"


async def test_a_late_challenge_of_something_not_sent_is_cancelled(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    view = await _not_sent(puppeteer, puppet, sql)
    puppet.says("cancel", {"result": SUCCESS})
    puppet.says("inquiryPayment", INQUIRED | {"paymentStatus": "PROCESSING"})
    for _ in range(2):
        await _due(puppeteer, sql)
    assert await sql.alarms() == {"late_authorisation"}
    assert puppet.count("cancel") == 1
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "FAIL"


async def test_a_contradiction_changes_nothing_is_asked_about_and_alarmed(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    puppet.says("pay", {"result": failure("DO_NOT_HONOR")})
    puppet.says("inquiryPayment", INQUIRED | {"paymentStatus": "FAIL", "paymentResultCode": "DO_NOT_HONOR"})
    view = await paid(puppeteer, payment(storeCard="VAULT"))
    assert (await courier(puppeteer, blueprint).bring(told(view))).status_code == 200
    assert await shown(puppeteer, view["paymentId"]) == view
    assert await sql.alarms() == {"payment_contradiction"}
    await _due(puppeteer, sql)
    assert puppet.count("inquiryPayment") == 1
    assert await sql.count("payment_inquiry") == 0
    assert await sql.count("card") == 0


async def test_a_contradicting_inquiry_is_alarmed_and_not_repeated_for_ever(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    puppet.says("pay", {"result": failure("DO_NOT_HONOR")})
    puppet.says("inquiryPayment", INQUIRED | {"paymentStatus": "SUCCESS"})
    view = await paid(puppeteer, payment())
    await courier(puppeteer, blueprint).bring(told(view))
    await _due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "FAIL"
    assert await sql.count("payment_inquiry") == 0


@pytest.mark.parametrize(
    "other",
    [
        {"paymentAmount": {"currency": "EUR", "value": "2591"}},
        {"paymentAmount": {"currency": "USD", "value": "2590"}},
        {"paymentRequestId": "somebody-elses"},
        {"paymentAmount": "2590"},
        {"paymentAmount": None},
        {"paymentRequestId": None},
    ],
)
async def test_an_answer_about_something_else_is_not_believed(
    puppeteer: Installation, puppet: Puppet, sql: Sql, other: dict[str, Any]
) -> None:
    puppet.says("pay", {"result": SUCCESS} | other)
    puppet.says("inquiryPayment", INQUIRED | {"paymentStatus": "SUCCESS"})
    view = await paid(puppeteer, payment(storeCard="VAULT"), status=202)
    assert view["paymentStatus"] == "UNKNOWN"
    assert await sql.alarms() == {"answer_mismatch"}
    await asyncio.gather(puppeteer.work(), puppeteer.work())
    settled = await shown(puppeteer, view["paymentId"])
    assert (settled["paymentStatus"], settled["card"]["storage"]) == ("SUCCESS", "VAULT")


async def test_a_payment_open_past_its_expiry_is_cancelled_then_asked_about(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": IN_PROCESS, "normalUrl": "https://acs.example/c"})
    puppet.says("cancel", {"result": failure("ORDER_IS_CLOSED")})
    closed = {"paymentStatus": "FAIL", "paymentResultCode": "ORDER_IS_CLOSED"}
    puppet.says("inquiryPayment", INQUIRED | closed)
    view = await paid(puppeteer, payment())
    await sql.change("update vault.payment set expires_at = now() - interval '1 second'")
    await _due(puppeteer, sql)
    assert [name for name, _ in puppet.asked] == ["pay", "cancel", "inquiryPayment"]
    assert (await shown(puppeteer, view["paymentId"]))["declined"]["category"] == "order_closed"


async def test_a_payment_open_for_a_day_is_alarmed_once_and_asked_about_hourly(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": IN_PROCESS, "normalUrl": "https://acs.example/c"})
    puppet.says("cancel", {"result": failure("SYSTEM_ERROR")})
    puppet.says("inquiryPayment", {"result": failure("SYSTEM_ERROR")})
    await paid(puppeteer, payment())
    await sql.change("update vault.payment set created_at = now() - interval '25 hours', expires_at = created_at")
    for _ in range(2):
        await _due(puppeteer, sql, attempts=50)
    assert await sql.alarms() == {"payment_unresolved"}
    assert await sql.count("alarm") == 1
    wait = await sql.value("select extract(epoch from next_at - now()) from vault.payment_inquiry")
    assert 3500 < wait <= 3600
    assert len(await sql.events("alarm.raised")) == 1


async def test_inquiries_become_rarer(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    puppet.says("pay", UNCLEAR)
    puppet.says("inquiryPayment", {"result": failure("SYSTEM_ERROR")})
    await paid(puppeteer, payment(), status=202)
    waits = []
    for attempts in (0, 1, 2, 9):
        await _due(puppeteer, sql, attempts)
        waits.append(await sql.value("select extract(epoch from next_at - now()) from vault.payment_inquiry"))
    assert waits == sorted(waits)
    assert waits[-1] <= puppeteer.settings.inquiry_max


async def test_two_workers_do_not_ask_about_one_payment_at_once(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", UNCLEAR)
    puppet.says("inquiryPayment", INQUIRED | {"paymentStatus": "SUCCESS"})
    await paid(puppeteer, payment(), status=202)
    await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
    await asyncio.gather(*(puppeteer.work() for _ in range(4)))
    assert puppet.count("inquiryPayment") == 1

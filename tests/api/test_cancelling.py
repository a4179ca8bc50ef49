"""`POST /v1/payments/{paymentId}/cancel` in every state, and what a gateway's refusal makes of it."""

from typing import Any

import pytest

from tests.api.gateway import IN_PROCESS, SUCCESS, UNKNOWN_ORDER, Puppet, courier, failure, told
from tests.api.money import ask_refund
from tests.api.shop import Sql, of_tenant, paid, payment, problem, shown, until
from tests.installation import Blueprint, Installation
from vault.payments.sending import Sender

pytestmark = pytest.mark.anyio
INQUIRED = {"result": SUCCESS, "paymentAmount": {"currency": "EUR", "value": "2590"}}


async def _cancel(vault: Installation, view: dict[str, Any]) -> Any:
    return await vault.api.post(f"/v1/payments/{view['paymentId']}/cancel", json={})


async def _due(vault: Installation, sql: Sql) -> None:
    await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
    await vault.work()


async def test_an_authorised_payment_is_cancelled_at_once_and_again_the_same(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, payment())
    mark = await sql.mark()
    answer = await _cancel(vault, view)
    assert (answer.status_code, answer.json()["paymentStatus"]) == (200, "CANCELLED")
    assert (answer.json()["captureStatus"], answer.json()["cancelRequested"]) == ("NONE", False)
    assert await sql.since(mark) == ["payment.cancel_requested", "payment.changed"]
    assert [row["status"] for row in await vault.ledger(view["paymentRequestId"])] == ["CANCELLED"]
    again = await _cancel(vault, view)
    assert (again.status_code, again.json()) == (200, answer.json())
    assert len(await vault.sent(view["paymentRequestId"], "cancel")) == 1


async def test_an_inquiry_that_a_cancellation_overtook_contradicts_nothing(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = await paid(vault, payment())
    inquire = Sender.inquire

    async def overtaken(*asked: Any) -> Any:
        evidence = await inquire(*asked)
        assert (await _cancel(vault, view)).status_code == 200
        return evidence

    monkeypatch.setattr(Sender, "inquire", overtaken)
    problem(await ask_refund(vault, view), 409, "payment_not_refundable")
    assert (await shown(vault, view["paymentId"]))["paymentStatus"] == "CANCELLED"
    assert await sql.alarms() == set()


async def test_a_captured_payment_is_not_cancelled(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, payment(captureMode="AUTOMATIC"))

    async def captured() -> bool:
        await vault.work()
        return bool((await shown(vault, view["paymentId"]))["captureStatus"] == "FULL")

    await until(captured)
    problem(await _cancel(vault, view), 409, "already_captured")
    settled = await shown(vault, view["paymentId"])
    assert (settled["paymentStatus"], settled["cancelRequested"]) == ("SUCCESS", False)
    assert (settled["captures"][0]["status"], settled["captures"][0]["captureAmount"]) == (
        "SUCCESS",
        view["paymentAmount"],
    )
    assert await vault.sent(view["paymentRequestId"], "cancel") == []
    assert await sql.events("payment.cancel_requested") == []


async def test_a_failed_payment_cannot_be_cancelled(vault: Installation, sql: Sql) -> None:
    body = payment()
    await vault.arm(body["paymentRequestId"], "DECLINE:DO_NOT_HONOR")
    view = await paid(vault, body)
    mark = await sql.mark()
    problem(await _cancel(vault, view), 409, "payment_not_cancellable")
    assert await sql.since(mark) == []


async def test_an_open_challenge_is_cancelled_by_the_worker(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, payment(is3DSAuthentication=True))
    answer = await _cancel(vault, view)
    assert (answer.status_code, answer.json()["cancelRequested"]) == (202, True)
    assert answer.json()["paymentStatus"] == "PROCESSING"
    mark = await sql.mark()
    assert (await _cancel(vault, view)).status_code == 202
    assert await sql.since(mark) == []
    assert (await vault.settle(view["paymentId"]))["paymentStatus"] == "CANCELLED"


async def test_a_payment_whose_answer_was_lost_is_cancelled_once_it_is_known(vault: Installation) -> None:
    body = payment()
    await vault.arm(body["paymentRequestId"], "LOST_ANSWER+NO_NOTIFICATION")
    view = await paid(vault, body, status=202)
    assert (await _cancel(vault, view)).status_code == 202
    assert (await vault.settle(view["paymentId"]))["paymentStatus"] == "CANCELLED"
    assert [row["status"] for row in await vault.ledger(body["paymentRequestId"])] == ["CANCELLED"]


async def test_an_intent_ends_with_the_failure_of_its_payment(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": IN_PROCESS})
    puppet.says("cancel", {"result": failure("ORDER_STATUS_INVALID")})
    puppet.says("inquiryPayment", INQUIRED | {"paymentStatus": "FAIL", "paymentResultCode": "DO_NOT_HONOR"})
    view = await paid(puppeteer, payment(), status=202)
    await _cancel(puppeteer, view)
    await _due(puppeteer, sql)
    settled = await shown(puppeteer, view["paymentId"])
    assert (settled["paymentStatus"], settled["cancelRequested"]) == ("FAIL", False)
    assert settled["declined"]["category"] == "issuer_declined"


async def test_a_cancellation_without_an_answer_is_asked_again(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    unclear = {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U", "resultMessage": ""}}
    puppet.says("pay", {"result": SUCCESS})
    puppet.says("cancel", unclear, {"result": SUCCESS})
    puppet.says("inquiryPayment", INQUIRED | {"paymentStatus": "SUCCESS"})
    view = await paid(puppeteer, payment())
    answer = await _cancel(puppeteer, view)
    assert (answer.status_code, answer.json()["paymentStatus"]) == (202, "SUCCESS")
    assert answer.json()["cancelRequested"] is True
    await _due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "CANCELLED"
    assert await sql.count("payment_inquiry") == 0


async def test_a_cancellation_that_cannot_be_sent_stays_an_intent(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": SUCCESS})
    view = await paid(puppeteer, payment())
    puppeteer.services.payments._tools.sender._client._origin = "http://127.0.0.1:9"
    assert (await _cancel(puppeteer, view)).status_code == 202
    await _due(puppeteer, sql)
    standing = await shown(puppeteer, view["paymentId"])
    assert (standing["paymentStatus"], standing["cancelRequested"]) == ("SUCCESS", True)
    assert await sql.count("payment_inquiry") == 1


async def test_a_success_after_an_intent_is_cancelled(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    puppet.says("pay", {"result": IN_PROCESS, "normalUrl": "https://acs.example/c"})
    puppet.says("cancel", {"result": SUCCESS})
    puppet.says("inquiryPayment", INQUIRED | {"paymentStatus": "CANCELLED"})
    view = await paid(puppeteer, payment(storeCard="VAULT"))
    await _cancel(puppeteer, view)
    assert (await courier(puppeteer, blueprint).bring(told(view))).status_code == 200
    await _due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "CANCELLED"


async def test_a_cancellation_of_what_the_gateway_does_not_know_ends_as_not_sent(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U"}, "paymentId": None})
    puppet.says("cancel", UNKNOWN_ORDER)
    puppet.says("inquiryPayment", UNKNOWN_ORDER)
    view = await paid(puppeteer, payment(), status=202)
    await _cancel(puppeteer, view)
    await sql.change("update vault.payment set send_deadline = now() - interval '1 hour'")
    await _due(puppeteer, sql)
    settled = await shown(puppeteer, view["paymentId"])
    assert (settled["paymentStatus"], settled["cancelRequested"]) == ("FAIL", False)
    assert settled["declined"]["retry"] == "NEW_ID"


async def test_a_payment_of_another_merchant_is_not_there_to_cancel(vault: Installation) -> None:
    view = await paid(vault, payment())
    async with of_tenant(vault, 1) as other:
        problem(await other.post(f"/v1/payments/{view['paymentId']}/cancel", json={}), 404, "not_found")
    assert (await shown(vault, view["paymentId"]))["paymentStatus"] == "SUCCESS"


async def test_a_cancellation_takes_no_fields(vault: Installation) -> None:
    view = await paid(vault, payment())
    answer = await vault.api.post(f"/v1/payments/{view['paymentId']}/cancel", json={"amount": "1"})
    problem(answer, 422, "request_invalid")

"""`POST /v1/gateway/notifications/{merchantId}`: believed only when signed, recorded once, acknowledged after that."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.api.gateway import ANSWERED_AT, IN_PROCESS, SUCCESS, Courier, Json, Puppet, courier, told
from tests.api.shop import Sql, paid, payment, problem, shown
from tests.installation import Blueprint, Installation

pytestmark = pytest.mark.anyio
FIXED = {"result": {"resultCode": "SUCCESS", "resultStatus": "S", "resultMessage": "success"}}


async def _open(puppeteer: Installation, puppet: Puppet, **changes: Any) -> Json:
    puppet.says("pay", {"result": IN_PROCESS, "normalUrl": "https://acs.example/c"})
    puppet.says("inquiryPayment", {"result": SUCCESS, "paymentStatus": "PROCESSING"})
    return await paid(puppeteer, payment(**changes))


async def test_a_signed_notification_is_recorded_and_acknowledged(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    view = await _open(puppeteer, puppet)
    mark = await sql.mark()
    answer = await courier(puppeteer, blueprint).bring(told(view))
    assert (answer.status_code, answer.json()) == (200, FIXED)
    assert answer.headers["content-type"] == "application/json"
    assert await sql.since(mark) == ["payment.changed"]
    (event,) = [each for each in await sql.events("payment.changed") if each["details"]["to"] == "SUCCESS"]
    assert (event["actor"]["kind"], event["actor"]["id"]) == ("gateway", puppeteer.tenants[0].gateway_client_id)
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "SUCCESS"


Spoil = Callable[[Courier, bytes], tuple[bytes, dict[str, str], str | None]]
SPOILT: dict[str, tuple[str, Spoil]] = {
    "an altered byte": ("mismatch", lambda c, raw: (raw.replace(b"2590", b"2591"), c.headers(raw), None)),
    "another path": ("mismatch", lambda c, raw: (raw, c.headers(raw, path="/v1/elsewhere"), None)),
    "a query": ("mismatch", lambda c, raw: (raw, c.headers(raw, path=c.path + "?a=1"), None)),
    "another time": ("mismatch", lambda c, raw: (raw, c.headers(raw) | {"request-time": "1"}, None)),
    "another client": ("client_id_mismatch", lambda c, raw: (raw, c.headers(raw, client="SANDBOX_TEST0001"), None)),
    "no signature": ("missing", lambda c, raw: (raw, _without(c.headers(raw), "signature"), None)),
    "no time": ("client_id_mismatch", lambda c, raw: (raw, _without(c.headers(raw), "request-time"), None)),
    "an empty signature": (
        "empty",
        lambda c, raw: (raw, c.headers(raw) | {"signature": "algorithm=RSA256,keyVersion=1,signature="}, None),
    ),
    "an unencoded signature": (
        "not_encoded",
        lambda c, raw: (
            raw,
            c.headers(raw) | {"signature": "algorithm=RSA256,keyVersion=1,signature=" + "a+/b" * 85 + "abc="},
            None,
        ),
    ),
    "an unknown key version": (
        "unknown_key_version",
        lambda c, raw: (
            raw,
            c.headers(raw) | {"signature": c.headers(raw)["signature"].replace("keyVersion=1", "keyVersion=2")},
            None,
        ),
    ),
    "an unknown merchant": (
        "merchant_unknown",
        lambda c, raw: (raw, c.headers(raw), "/v1/gateway/notifications/mer_unknown"),
    ),
}


def _without(headers: dict[str, str], name: str) -> dict[str, str]:
    return {key: value for key, value in headers.items() if key != name}


async def test_what_does_not_verify_is_refused_without_a_trace_but_its_event(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    view = await _open(puppeteer, puppet)
    bringing = courier(puppeteer, blueprint)
    raw = json.dumps(told(view)).encode()
    for name, (reason, spoil) in SPOILT.items():
        mark = await sql.mark()
        sent, headers, path = spoil(bringing, raw)
        problem(await bringing.bring_raw(sent, headers, path), 401, "notification_invalid")
        assert await sql.since(mark) == ["access.denied"], name
        assert (await sql.events("access.denied"))[-1]["reason"] == f"notification_{reason}", name
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "PROCESSING"
    assert await sql.count("alarm") == 0


async def test_a_merchant_cannot_be_told_about_by_another_ones_client(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint
) -> None:
    view = await _open(puppeteer, puppet)
    theirs = courier(puppeteer, blueprint, tenant=1)
    raw = json.dumps(told(view)).encode()
    own = courier(puppeteer, blueprint)
    answer = await theirs.bring_raw(raw, theirs.headers(raw, path=own.path), own.path)
    problem(answer, 401, "notification_invalid")


async def test_what_is_signed_but_is_no_object_is_refused(puppeteer: Installation, blueprint: Blueprint) -> None:
    bringing = courier(puppeteer, blueprint)
    for raw in (b"[]", b"x", b"\xff", b'{"a":1,"a":2}'):
        problem(await bringing.bring_raw(raw, bringing.headers(raw)), 400, "invalid_json")


async def test_an_unknown_payment_is_kept_as_an_orphan_and_alarmed_once(
    puppeteer: Installation, blueprint: Blueprint, sql: Sql
) -> None:
    bringing = courier(puppeteer, blueprint)
    orphan = {"notifyType": "PAYMENT_RESULT", "result": SUCCESS, "paymentRequestId": "nobody.1", "paymentId": "2026"}
    for _ in range(2):
        assert (await bringing.bring(orphan)).json() == FIXED
    (row,) = await sql.rows("select * from vault.alarm")
    assert (row["code"], row["object_id"]) == ("notification_orphan", f"{bringing.tenant.merchant_id}:nobody.1")
    assert len(await sql.events("alarm.raised")) == 1
    strange: list[Json] = [
        {"notifyType": "PAYMENT_RESULT", "paymentRequestId": "x" * 65},
        {"notifyType": "PAYMENT_RESULT", "paymentRequestId": 7},
        {"notifyType": "CAPTURE_RESULT", "paymentId": "x" * 65},
        {"notifyType": "CAPTURE_RESULT", "paymentId": "2027"},
    ]
    for body in strange:
        assert (await bringing.bring(body)).status_code == 200


async def test_a_kind_of_notification_that_is_not_known_is_acknowledged_and_alarmed(
    puppeteer: Installation, blueprint: Blueprint, sql: Sql
) -> None:
    bringing = courier(puppeteer, blueprint)
    for body in ({"notifyType": "UPDATE_AMOUNT_RESULT", "paymentId": "1"}, {"notifyType": None}, {}):
        assert (await bringing.bring(body)).status_code == 200
    assert await sql.alarms() == {"notification_unknown_type"}


@pytest.mark.parametrize(
    "other", [{"paymentAmount": {"currency": "EUR", "value": "1"}}, {"paymentAmount": None}, {"paymentAmount": {}}]
)
async def test_a_notification_about_another_amount_changes_nothing_and_is_asked_about(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql, other: Json
) -> None:
    view = await _open(puppeteer, puppet, storeCard="VAULT")
    bringing = courier(puppeteer, blueprint)
    assert (await bringing.bring(told(view, **other))).status_code == 200
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "PROCESSING"
    assert await sql.alarms() == {"answer_mismatch"}
    await puppeteer.work()
    assert puppet.count("inquiryPayment") == 1
    await bringing.bring(told(view))
    await bringing.bring(told(view, **other))
    await puppeteer.work()
    assert puppet.count("inquiryPayment") == 2
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "SUCCESS"


async def test_a_pending_payment_is_processing_and_goes_no_step_back(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    view = await _open(puppeteer, puppet)
    bringing = courier(puppeteer, blueprint)
    pending = told(view, notifyType="PAYMENT_PENDING")
    mark = await sql.mark()
    assert (await bringing.bring(pending)).status_code == 200
    assert await sql.since(mark) == []
    await bringing.bring(told(view))
    await bringing.bring(pending)
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "SUCCESS"


async def test_a_notification_without_a_readable_result_says_nothing(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint
) -> None:
    view = await _open(puppeteer, puppet)
    assert (await courier(puppeteer, blueprint).bring(told(view, result={}))).status_code == 200
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "PROCESSING"


def _capture(view: Json, value: str, **changes: Any) -> Json:
    amount = {"currency": "EUR", "value": value}
    ids = {"paymentId": view["gateway"]["paymentId"], "captureRequestId": f"cr.{value}", "captureId": f"c.{value}"}
    return {"notifyType": "CAPTURE_RESULT", "result": SUCCESS, "captureAmount": amount} | ids | changes


async def test_captures_add_up(puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql) -> None:
    view = await _open(puppeteer, puppet)
    bringing = courier(puppeteer, blueprint)
    await bringing.bring(told(view))
    seen = []
    for value in ("1000", "1000", "1590"):
        assert (await bringing.bring(_capture(view, value))).status_code == 200
        seen.append((await shown(puppeteer, view["paymentId"]))["captureStatus"])
    assert seen == ["PARTIAL", "PARTIAL", "FULL"]
    assert len(await sql.events("capture.recorded")) == 2


async def test_a_capture_that_comes_before_its_payments_success_counts_from_then_on(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint
) -> None:
    view = await _open(puppeteer, puppet)
    bringing = courier(puppeteer, blueprint)
    await bringing.bring(_capture(view, "2590"))
    waiting = await shown(puppeteer, view["paymentId"])
    assert (waiting["paymentStatus"], waiting["captureStatus"]) == ("PROCESSING", "NONE")
    await bringing.bring(told(view))
    assert (await shown(puppeteer, view["paymentId"]))["captureStatus"] == "FULL"


async def test_a_capture_that_failed_captures_nothing(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint
) -> None:
    view = await _open(puppeteer, puppet)
    bringing = courier(puppeteer, blueprint)
    await bringing.bring(told(view))
    failed = {"resultCode": "PROCESS_FAIL", "resultStatus": "F", "resultMessage": ""}
    await bringing.bring(_capture(view, "1000", result=failed))
    settled = await shown(puppeteer, view["paymentId"])
    assert (settled["captureStatus"], settled["captures"][0]["status"]) == ("NONE", "FAIL")


@pytest.mark.parametrize("amount", [{"currency": "EUR", "value": "2591"}, {"currency": "USD", "value": "1"}])
async def test_a_capture_of_more_or_of_other_money_is_not_recorded(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql, amount: Json
) -> None:
    view = await _open(puppeteer, puppet)
    bringing = courier(puppeteer, blueprint)
    await bringing.bring(told(view))
    await bringing.bring(_capture(view, "1", captureAmount=amount))
    assert (await sql.count("movement"), await sql.alarms()) == (0, {"answer_mismatch"})


async def test_an_inquiry_reports_captures_too(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    amount = {"currency": "EUR", "value": "2590"}
    capture = {
        "transactionType": "CAPTURE",
        "transactionRequestId": "cr.1",
        "transactionId": "c.1",
        "transactionStatus": "PROCESSING",
        "transactionAmount": amount,
    }
    base = {"result": SUCCESS, "paymentStatus": "SUCCESS", "paymentAmount": amount, "paymentTime": ANSWERED_AT}
    noise: list[Any] = ["x", {"transactionType": "REFUND"}, capture | {"transactionAmount": "1"}]
    puppet.says("pay", {"result": SUCCESS})
    puppet.says(
        "inquiryPayment",
        base | {"transactions": [*noise, capture]},
        base | {"transactions": [capture | {"transactionStatus": "SUCCESS"}]},
    )
    view = await paid(puppeteer, payment(captureMode="AUTOMATIC"))
    seen = [view["captureStatus"]]
    for _ in range(2):
        await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
        await puppeteer.work()
        seen.append((await shown(puppeteer, view["paymentId"]))["captureStatus"])
    assert seen == ["PENDING", "PENDING", "FULL"]
    assert await sql.count("payment_inquiry") == 0

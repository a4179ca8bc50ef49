"""Vaultings whose outcome is open: asked about until it is known, told of in any order, never sent twice."""

import asyncio
from typing import Any

import pytest

from keys.keyring import Purpose
from tests.api.gateway import SUCCESS, TOKEN, UNKNOWN_ORDER, Puppet, courier, failure
from tests.api.retiring import rotate
from tests.api.shop import Sql, card, problem, until
from tests.api.vaultings import (
    IN_PROCESS,
    KEPT,
    Json,
    attempt,
    concluded,
    keep,
    kept,
    looked_up,
    passed,
    told,
    until_forgotten,
)
from tests.canary import CVV_CANARY, SECOND_VISA_CANARY
from tests.installation import Blueprint, Installation
from vault.store import vaultings
from vault.store.vaultings import VaultingBegun

pytestmark = pytest.mark.anyio
UNCLEAR: Json = {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U"}}
STORED: Json = {"result": SUCCESS, "paymentMethodDetail": {"paymentMethodType": "CARD", "card": KEPT}}
CHALLENGED: Json = {"result": IN_PROCESS, "normalUrl": "https://bank.example/3ds"}
NAMED: Json = {"card": card(cvv=CVV_CANARY, cardholderName={"firstName": "Ana", "lastName": "Lopes"})}


def _inquired(status: str, **changes: Any) -> Json:
    return {"result": SUCCESS, "vaultingStatus": status, "vaultingResultCode": status} | changes


async def _due(vault: Installation, sql: Sql) -> None:
    await sql.change("update vault.vaulting_inquiry set next_at = now() - interval '1 second'")
    await vault.work()


async def _open(puppeteer: Installation, puppet: Puppet, answer: Json = UNCLEAR, **changes: Any) -> str:
    """Ask for a card whose storing stays open, and give the request's id."""
    puppet.says("vaultPaymentMethod", answer)
    body = keep(**changes)
    view = await kept(puppeteer, body, status=201 if "normalUrl" in answer else 202)
    assert view["status"] == "PENDING"
    return str(body["vaultingRequestId"])


@pytest.mark.parametrize("scenario", ["LOST_ANSWER", "BAD_SIGNATURE", "UNSIGNED", "HTTP_500"])
async def test_a_card_without_a_trustworthy_answer_is_found_and_never_sent_again(
    vault: Installation, sql: Sql, scenario: str
) -> None:
    body = keep()
    await vault.arm(body["vaultingRequestId"], f"{scenario}+NO_NOTIFICATION")
    view = await kept(vault, body, status=202)
    assert (view["status"], view["nextAction"]) == ("PENDING", None)
    assert (await attempt(vault, body)).status_code == 202
    settled = await concluded(vault, body["vaultingRequestId"])
    assert (settled["vaultingStatus"], settled["card"]["cardId"]) == ("SUCCESS", view["cardId"])
    assert len(await vault.sent(body["vaultingRequestId"], "vaultPaymentMethod")) == 1
    assert await sql.count("card") == 1


async def test_a_server_that_dies_after_the_call_leaves_one_outcome(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gateway stored the card, and nobody wrote it down: the worker finds out."""
    begin, body = vault.services.vaultings._calls.begin, keep()
    await vault.arm(body["vaultingRequestId"], "NO_NOTIFICATION")

    async def dies(*arguments: Any) -> None:
        await begin(*arguments)
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(vault.services.vaultings._calls, "begin", dies)
        problem(await attempt(vault, body), 500, "internal_error")
    assert (await looked_up(vault, body["vaultingRequestId"]))["vaultingStatus"] == "CREATED"
    problem(await attempt(vault, body), 409, "in_progress")
    await _due(vault, sql)
    settled = await concluded(vault, body["vaultingRequestId"])
    again = await attempt(vault, body)
    assert (again.status_code, again.json()["cardId"]) == (201, settled["card"]["cardId"])
    assert len(await vault.sent(body["vaultingRequestId"], "vaultPaymentMethod")) == 1


async def test_a_call_that_was_certainly_not_sent_fails_at_once(vault: Installation, sql: Sql) -> None:
    vault.services.vaultings._calls._client._origin = "http://127.0.0.1:9"
    document = problem(await attempt(vault, keep()), 422, "vaulting_failed")
    assert document["declined"] == {"category": "not_sent", "retry": "NEW_ID", "notBefore": None}
    assert (await sql.events("vaulting.changed"))[-1]["details"]["not_sent"] is True


async def test_a_repeat_during_the_call_is_told_to_wait(vault: Installation) -> None:
    body = keep()
    await vault.arm(body["vaultingRequestId"], "SLOW:700")
    calling = asyncio.create_task(attempt(vault, body))
    await until(lambda: vault.sent(body["vaultingRequestId"], "vaultPaymentMethod"))
    problem(await attempt(vault, body), 409, "in_progress")
    assert (await calling).status_code == 201


async def test_of_many_at_once_one_is_sent(vault: Installation) -> None:
    body = keep()
    answers = await asyncio.gather(*(attempt(vault, body) for _ in range(6)))
    said = {(answer.status_code, answer.json().get("code")) for answer in answers}
    assert said <= {(201, None), (409, "in_progress")}
    assert len(await vault.sent(body["vaultingRequestId"], "vaultPaymentMethod")) == 1


async def test_who_is_overtaken_is_a_repeat(vault: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    body, begin = keep(), vaultings.begin

    async def overtaken(*draft: Any) -> VaultingBegun:
        monkeypatch.setattr(vaultings, "begin", begin)
        assert (await attempt(vault, body)).status_code == 201
        return await begin(*draft)

    monkeypatch.setattr(vaultings, "begin", overtaken)
    assert (await attempt(vault, body)).headers["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize("scenario", ["NOTIFY_FIRST", "DUPLICATE_NOTIFICATIONS", "REQUIRE_3DS+DUPLICATE_NOTIFICATIONS"])
async def test_notifications_come_in_any_order_and_again(vault: Installation, sql: Sql, scenario: str) -> None:
    body = keep()
    await vault.arm(body["vaultingRequestId"], scenario)
    view = await kept(vault, body)
    if view["nextAction"]:
        await passed(view)
    settled = await concluded(vault, body["vaultingRequestId"])
    assert (settled["vaultingStatus"], settled["card"]["cardId"]) == ("SUCCESS", view["cardId"])
    assert (await sql.count("card"), await sql.alarms()) == (1, set())
    assert len(await sql.events("card.stored")) == 1


async def test_what_the_gateway_does_not_know_waits_for_its_senders_deadline_and_was_not_sent_then(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    request_id = await _open(puppeteer, puppet, **NAMED)
    puppet.says("inquireVaulting", UNKNOWN_ORDER)
    await _due(puppeteer, sql)
    assert (await looked_up(puppeteer, request_id))["vaultingStatus"] == "UNKNOWN"
    await sql.change("update vault.vaulting set send_deadline = now() - interval '1 hour'")
    await _due(puppeteer, sql)
    view = await looked_up(puppeteer, request_id)
    assert (view["vaultingStatus"], view["declined"]["retry"]) == ("FAIL", "NEW_ID")
    assert (await sql.count("vaulting_inquiry"), await sql.count("vaulting_secret")) == (0, 0)
    assert puppet.count("vaultPaymentMethod") == 1


async def test_a_challenge_that_the_gateway_forgot_ends_with_its_time(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    request_id = await _open(puppeteer, puppet, CHALLENGED)
    puppet.says("inquireVaulting", UNKNOWN_ORDER)
    await _due(puppeteer, sql)
    assert (await looked_up(puppeteer, request_id))["vaultingStatus"] == "PROCESSING"
    await sql.change("update vault.vaulting set expires_at = now() - interval '1 hour'")
    await _due(puppeteer, sql)
    view = await looked_up(puppeteer, request_id)
    assert (view["vaultingStatus"], view["declined"]["category"]) == ("FAIL", "order_closed")


async def test_what_stays_open_for_a_day_is_given_up_and_a_late_token_is_deleted(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    request_id = await _open(puppeteer, puppet, CHALLENGED)
    puppet.says("inquireVaulting", _inquired("PROCESSING"))
    await sql.change("update vault.vaulting set created_at = now() - interval '25 hours'")
    await _due(puppeteer, sql)
    assert (await looked_up(puppeteer, request_id))["vaultingStatus"] == "FAIL"
    puppet.says("deleteToken", {"result": SUCCESS})
    for _ in range(2):
        await courier(puppeteer, blueprint).bring(told(request_id))
    await until_forgotten(puppeteer, sql)
    assert [body for name, body in puppet.asked if name == "deleteToken"] == [{"token": TOKEN}]
    assert (await looked_up(puppeteer, request_id))["vaultingStatus"] == "FAIL"
    assert (await sql.count("card"), await sql.alarms()) == (0, set())


async def test_an_inquiry_shows_where_the_buyer_has_to_go(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    request_id = await _open(puppeteer, puppet)
    puppet.says("inquireVaulting", _inquired("PROCESSING", normalUrl="https://bank.example/3ds"))
    await _due(puppeteer, sql)
    view = await looked_up(puppeteer, request_id)
    assert (view["vaultingStatus"], view["nextAction"]["url"]) == ("PROCESSING", "https://bank.example/3ds")
    puppet.says("inquireVaulting", _inquired("PROCESSING", normalUrl="https://bank.example/again"))
    await _due(puppeteer, sql)
    assert (await looked_up(puppeteer, request_id))["nextAction"]["url"] == "https://bank.example/again"


@pytest.mark.parametrize("answer", [UNCLEAR, {"result": "S"}, {"result": failure("PROCESS_FAIL")}])
async def test_an_inquiry_that_failed_changes_nothing_and_is_repeated(
    puppeteer: Installation, puppet: Puppet, sql: Sql, answer: Json
) -> None:
    request_id = await _open(puppeteer, puppet)
    puppet.says("inquireVaulting", answer)
    await _due(puppeteer, sql)
    assert (await looked_up(puppeteer, request_id))["vaultingStatus"] == "UNKNOWN"
    await _due(puppeteer, sql)
    assert await sql.value("select attempts from vault.vaulting_inquiry where next_at > now()") == 2


async def test_a_gateway_that_cannot_be_asked_is_asked_again(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    request_id = await _open(puppeteer, puppet)
    client = puppeteer.services.vaulting_follower._calls._client
    there, client._origin = client._origin, "http://127.0.0.1:9"
    await _due(puppeteer, sql)
    client._origin = there
    puppet.says("inquireVaulting", _inquired("SUCCESS", paymentMethodDetail=STORED["paymentMethodDetail"]))
    await _due(puppeteer, sql)
    assert (await looked_up(puppeteer, request_id))["vaultingStatus"] == "SUCCESS"


async def test_a_success_without_a_token_gets_it_by_inquiry(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    request_id = await _open(puppeteer, puppet, {"result": SUCCESS})
    puppet.says("inquireVaulting", STORED | _inquired("SUCCESS"))
    await _due(puppeteer, sql)
    assert (await looked_up(puppeteer, request_id))["card"]["status"] == "ACTIVE"


async def test_another_outcome_changes_nothing_and_is_alarmed(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    request_id = await _open(puppeteer, puppet)
    bringing = courier(puppeteer, blueprint)
    assert (await bringing.bring(told(request_id))).status_code == 200
    view = await looked_up(puppeteer, request_id)
    for _ in range(2):
        refusal = told(request_id, failure("VERIFICATION_FAIL"), paymentMethodDetail=None)
        assert (await bringing.bring(refusal)).status_code == 200
    assert (await looked_up(puppeteer, request_id)) == view
    assert await sql.alarms() == {"vaulting_contradiction"}
    assert len(await sql.events("alarm.raised")) == 1


async def test_what_is_about_another_card_is_not_believed_and_alarmed(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    other = {"paymentMethodType": "CARD", "card": KEPT | {"maskedCardNo": "************1111"}}
    request_id = await _open(puppeteer, puppet, STORED | {"paymentMethodDetail": other})
    assert (await looked_up(puppeteer, request_id))["vaultingStatus"] == "UNKNOWN"
    await courier(puppeteer, blueprint).bring(told(request_id, paymentMethodDetail=other))
    assert (await looked_up(puppeteer, request_id))["vaultingStatus"] == "UNKNOWN"
    assert (await sql.alarms(), await sql.count("card")) == ({"answer_mismatch"}, 0)


@pytest.mark.parametrize("request_id", ["nobodys", 7, ""])
async def test_an_unknown_vaulting_is_kept_as_an_orphan_and_alarmed(
    puppeteer: Installation, blueprint: Blueprint, sql: Sql, request_id: object
) -> None:
    body = told("") | {"vaultingRequestId": request_id}
    assert (await courier(puppeteer, blueprint).bring(body)).status_code == 200
    assert await sql.alarms() == {"notification_orphan"}


async def test_a_notification_without_an_outcome_adds_what_it_tells(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint
) -> None:
    request_id = await _open(puppeteer, puppet, CHALLENGED)
    await courier(puppeteer, blueprint).bring(told(request_id, IN_PROCESS))
    view = await looked_up(puppeteer, request_id)
    assert (view["vaultingStatus"], view["nextAction"]["url"]) == ("PROCESSING", CHALLENGED["normalUrl"])


async def test_what_waited_under_a_retired_key_is_kept_under_the_new_one(vault: Installation, sql: Sql) -> None:
    body = keep(is3DSAuthentication=True, **NAMED)
    view = await kept(vault, body)
    fresh = await rotate(vault, sql, Purpose.CARD)
    await passed(view)
    await concluded(vault, body["vaultingRequestId"])
    assert {row["key_id"] for row in await sql.rows("select key_id from vault.card_secret")} == {fresh}
    newest = await rotate(vault, sql, Purpose.CARD)
    card_id = (await kept(vault, keep(card=NAMED["card"] | {"cardNo": SECOND_VISA_CANARY})))["cardId"]
    assert newest == await sql.value("select key_id from vault.card_secret where card_id = $1 limit 1", card_id)


async def test_a_vaulting_that_can_never_be_written_is_told_as_busy(
    vault: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any) -> VaultingBegun:
        return VaultingBegun(created=False, keys_active=False)

    monkeypatch.setattr(vaultings, "begin", refused)
    problem(await attempt(vault, keep()), 503, "overloaded")


async def test_a_refusal_that_only_time_mends_says_from_when_on(puppeteer: Installation, puppet: Puppet) -> None:
    told_why = {"brand": "MASTERCARD", "refusalCodeRaw": "51", "merchantAdviceCode": "24"}
    refused = {"paymentMethodType": "CARD", "card": told_why}
    puppet.says("vaultPaymentMethod", {"result": failure("DO_NOT_HONOR"), "paymentMethodDetail": refused})
    body = keep()
    document = problem(await attempt(puppeteer, body), 422, "vaulting_failed")
    assert document["declined"] == (await looked_up(puppeteer, body["vaultingRequestId"]))["declined"]
    assert document["declined"]["retry"] == "LATER"
    assert document["declined"]["notBefore"].endswith("Z")

"""Credentials that wait for an authorisation: they go to the buyer's card or away, whatever comes in whatever order."""

import itertools
from typing import Any

import pytest

from tests.api.gateway import IN_PROCESS, SUCCESS, TOKEN, Courier, Puppet, courier, failure, told
from tests.api.shop import BUYER, Sql, card, paid, payment, shown, store, stored
from tests.canary import CVV_CANARY, SECOND_VISA_CANARY
from tests.installation import Blueprint, Installation

pytestmark = pytest.mark.anyio
NAME = {"firstName": "Ana", "lastName": "Lopes"}
WITH_TOKEN: dict[str, Any] = {"paymentResultInfo": {"cardToken": TOKEN, "networkTransactionId": "N1B2C3D4E5F6G7H"}}


async def _open(puppeteer: Installation, puppet: Puppet, where: str, buyer: str = BUYER) -> dict[str, Any]:
    puppet.says("pay", {"result": IN_PROCESS, "normalUrl": "https://acs.example/c/1"})
    inquired = {"result": SUCCESS, "paymentAmount": {"currency": "EUR", "value": "2590"}, "paymentStatus": "SUCCESS"}
    puppet.says("inquiryPayment", inquired | WITH_TOKEN)
    return await paid(puppeteer, payment(buyer=buyer, storeCard=where, card=card(cardholderName=NAME)))


async def _notify(bringing: Courier, view: dict[str, Any], **changes: Any) -> None:
    assert (await bringing.bring(told(view, **changes))).status_code == 200


async def _take_step(puppeteer: Installation, bringing: Courier, sql: Sql, view: dict[str, Any], step: str) -> None:
    match step:
        case "bare":
            await _notify(bringing, view)
        case "token":
            await _notify(bringing, view, **WITH_TOKEN)
        case _:
            await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
            await puppeteer.work()


@pytest.mark.parametrize("where", ["GATEWAY", "BOTH"])
async def test_the_token_may_come_by_any_way_in_any_order_and_again(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql, where: str
) -> None:
    for number, steps in enumerate(itertools.permutations(["bare", "token", "inquiry"]), start=1):
        view = await _open(puppeteer, puppet, where, f"buyer-{number}")
        assert view["card"] is None
        for step in steps + steps:
            await _take_step(puppeteer, courier(puppeteer, blueprint), sql, view, step)
        settled = await shown(puppeteer, view["paymentId"])
        assert (settled["paymentStatus"], settled["card"]["storage"]) == ("SUCCESS", where), steps
        assert (await sql.count("card"), await sql.count("payment_secret")) == (number, 0)
        assert await sql.count("payment_inquiry") == 0
        assert len(await sql.events("card.stored")) == number
    assert await sql.value("select distinct network_transaction_id from vault.card") == "N1B2C3D4E5F6G7H"


async def test_a_number_is_kept_before_its_token_has_come(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint
) -> None:
    view = await _open(puppeteer, puppet, "BOTH")
    await _notify(courier(puppeteer, blueprint), view)
    first = (await shown(puppeteer, view["paymentId"]))["card"]
    assert first["storage"] == "VAULT"
    await _notify(courier(puppeteer, blueprint), view, **WITH_TOKEN)
    second = (await shown(puppeteer, view["paymentId"]))["card"]
    assert (second["cardId"], second["storage"]) == (first["cardId"], "BOTH")


async def test_a_notification_before_the_answer_is_as_good(vault: Installation, sql: Sql) -> None:
    body = payment(storeCard="BOTH")
    await vault.arm(body["paymentRequestId"], "NOTIFY_FIRST")
    view = await paid(vault, body)
    assert (view["paymentStatus"], view["card"]["storage"]) == ("SUCCESS", "BOTH")
    assert await sql.count("card") == 1


async def test_duplicate_notifications_change_nothing_twice(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    view = await _open(puppeteer, puppet, "GATEWAY")
    bringing = courier(puppeteer, blueprint)
    await _notify(bringing, view, **WITH_TOKEN)
    mark = await sql.mark()
    await _notify(bringing, view, **WITH_TOKEN)
    assert await sql.since(mark) == []


@pytest.mark.parametrize("where", ["GATEWAY", "VAULT", "BOTH"])
async def test_a_failure_takes_the_waiting_credential_with_it(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql, where: str
) -> None:
    view = await _open(puppeteer, puppet, where)
    assert await sql.count("payment_secret") == (1 if where == "GATEWAY" else 2)
    await _notify(courier(puppeteer, blueprint), view, result=failure("DO_NOT_HONOR"), **WITH_TOKEN)
    settled = await shown(puppeteer, view["paymentId"])
    assert (settled["paymentStatus"], settled["card"]) == ("FAIL", None)
    assert (await sql.count("payment_secret"), await sql.count("card")) == (0, 0)
    assert await sql.value("select store_state from vault.payment") == "DROPPED"


async def test_a_decline_never_touches_a_card_that_was_active(vault: Installation) -> None:
    known = await stored(vault)
    body = payment(storeCard="BOTH", card=card(expiryMonth="01", expiryYear="41"))
    await vault.arm(body["paymentRequestId"], "DECLINE:STOLEN_CARD")
    assert (await paid(vault, body))["paymentStatus"] == "FAIL"
    assert (await vault.api.get(f"/v1/cards/{known['cardId']}")).json() == known


async def test_a_cancelled_payment_abandons_its_credential(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, payment(storeCard="BOTH", is3DSAuthentication=True))
    assert await sql.count("payment_secret") == 1
    await vault.api.post(f"/v1/payments/{view['paymentId']}/cancel", json={})
    settled = await vault.settle(view["paymentId"], "CANCELLED")
    assert settled["card"] is None
    assert (await sql.count("payment_secret"), await sql.count("card")) == (0, 0)


async def test_a_card_that_was_deleted_meanwhile_does_not_come_back_by_its_token(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    view = await _open(puppeteer, puppet, "BOTH")
    bringing = courier(puppeteer, blueprint)
    await _notify(bringing, view)
    card_id = (await shown(puppeteer, view["paymentId"]))["card"]["cardId"]
    assert (await puppeteer.api.delete(f"/v1/cards/{card_id}")).status_code == 204
    await _notify(bringing, view, **WITH_TOKEN)
    assert await sql.count("card_secret") == 0
    assert await sql.value("select store_state from vault.payment") == "DROPPED"


async def test_a_second_success_of_one_number_extends_the_same_card(vault: Installation, sql: Sql) -> None:
    first = await paid(vault, payment(storeCard="VAULT", card=card(cvv=CVV_CANARY, cardholderName=NAME)))
    second = await paid(vault, payment(storeCard="GATEWAY"))
    assert second["card"]["cardId"] == first["card"]["cardId"]
    assert (second["card"]["storage"], await sql.count("card")) == ("BOTH", 1)


async def test_a_success_that_was_answered_without_its_token_gets_it_by_inquiry(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    inquired = {"result": SUCCESS, "paymentAmount": {"currency": "EUR", "value": "2590"}, "paymentStatus": "SUCCESS"}
    puppet.says("pay", {"result": SUCCESS})
    puppet.says("inquiryPayment", inquired, inquired | WITH_TOKEN)
    view = await paid(puppeteer, payment(SECOND_VISA_CANARY, storeCard="GATEWAY"))
    assert (view["paymentStatus"], view["card"]) == ("SUCCESS", None)
    for _ in range(2):
        await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
        await puppeteer.work()
    assert (await shown(puppeteer, view["paymentId"]))["card"]["storage"] == "GATEWAY"
    assert await sql.count("payment_inquiry") == 0


async def test_a_token_that_never_comes_ends_in_an_alarm_and_leaves_nothing_waiting(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    inquired = {"result": SUCCESS, "paymentAmount": {"currency": "EUR", "value": "2590"}, "paymentStatus": "SUCCESS"}
    puppet.says("pay", {"result": SUCCESS, "paymentResultInfo": {"networkTransactionId": "016055123456789"}})
    puppet.says("inquiryPayment", inquired)
    await paid(puppeteer, payment(storeCard="GATEWAY", card=card(cardholderName=NAME)))
    await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second', attempts = 30")
    await puppeteer.work()
    assert await sql.alarms() == {"payment_incomplete"}
    assert (await sql.count("payment_inquiry"), await sql.count("payment_secret")) == (0, 0)


async def test_storing_a_number_while_its_payment_waits_makes_one_card(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, payment(storeCard="GATEWAY", is3DSAuthentication=True))
    known = await stored(vault, store())
    await vault.sandbox_api.post(view["nextAction"]["url"], data={"outcome": "success"})
    settled = await vault.settle(view["paymentId"])
    assert settled["card"]["cardId"] == known["cardId"]
    assert (settled["card"]["storage"], await sql.count("card")) == ("BOTH", 1)

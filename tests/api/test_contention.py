"""What others do at the same moment: told to try again, never half done; and the rarer ways through a payment."""

import asyncio

import pytest

from keys.keyring import Keyring
from tests.api.gateway import IN_PROCESS, SUCCESS, UNKNOWN_ORDER, Puppet, failure
from tests.api.shop import Sql, card, card_on_file, order, paid, payment, problem, shown, store, stored, until
from tests.canary import AMEX_CVV_CANARY, CVV_CANARY, MASTERCARD_CANARY, SECOND_VISA_CANARY
from tests.installation import Blueprint, Installation, installed
from vault.api_secret import ApiSecret
from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.auth import _inside
from vault.card_policy import CardPolicy
from vault.store.inquiries import Due

pytestmark = pytest.mark.anyio
RETIRE = "update vault.data_key set state = 'decrypt_only' where purpose = 'card'"


async def test_a_key_that_never_becomes_active_again_is_told_as_busy(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    card_id = (await stored(vault))["cardId"]
    waiting = await paid(vault, payment(SECOND_VISA_CANARY, storeCard="VAULT", is3DSAuthentication=True))
    await sql.change(RETIRE)
    monkeypatch.setattr(Keyring, "forget", lambda *_: None)
    name = {"cardholderName": {"firstName": "Ana", "lastName": "Lopes"}}
    problem(await vault.api.post("/v1/cards", json=store(MASTERCARD_CANARY)), 503, "overloaded")
    problem(await vault.api.patch(f"/v1/cards/{card_id}", json=name), 503, "overloaded")
    body = payment(storeCard="VAULT")
    problem(await vault.api.post("/v1/payments", json=body), 503, "overloaded")
    assert await vault.sent(body["paymentRequestId"]) == []
    await vault.sandbox_api.post(waiting["nextAction"]["url"], data={"outcome": "success"})
    assert (await shown(vault, waiting["paymentId"]))["paymentStatus"] == "PROCESSING"
    await sql.change("update vault.data_key set state = 'active' where purpose = 'card'")
    assert (await vault.settle(waiting["paymentId"]))["card"]["storage"] == "VAULT"


async def test_a_destroyed_key_is_no_damage(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    await sql.change("update vault.data_key set state = 'destroyed', wrapped = '' where purpose = 'card'")
    vault.services.keyring._keys = type(vault.services.keyring._keys)(8)
    answer = await vault.api.post(f"/v1/cards/{card_id}/payments", json=card_on_file())
    problem(answer, 503, "keys_unavailable")
    assert await sql.count("alarm") == 0


async def test_a_cancellation_during_the_call_waits_for_its_end(vault: Installation) -> None:
    body = payment()
    await vault.arm(body["paymentRequestId"], "SLOW:500")
    calling = asyncio.create_task(vault.api.post("/v1/payments", json=body))
    await until(lambda: vault.sent(body["paymentRequestId"]))
    (view,) = (await vault.api.get("/v1/payments")).json()["payments"]
    answer = await vault.api.post(f"/v1/payments/{view['paymentId']}/cancel", json={})
    assert (answer.status_code, answer.json()["paymentStatus"]) == (202, "CREATED")
    assert (await calling).json()["cancelRequested"] is True
    assert (await vault.settle(view["paymentId"], "CANCELLED"))["paymentStatus"] == "CANCELLED"


async def test_an_installation_takes_only_the_numbers_of_its_policy(blueprint: Blueprint, onboarded_url: str) -> None:
    async with installed(blueprint, onboarded_url, card_policy=CardPolicy.TEST_ONLY) as vault:
        for path, body in (("/v1/cards", store()), ("/v1/payments", payment())):
            document = problem(await vault.api.post(path, json=body), 422, "card_number_refused")
            assert document["errors"] == [{"pointer": "/card/cardNo", "code": "card_number_refused"}]
        assert (await vault.api.post("/v1/cards", json=store("4111111111111111"))).status_code == 201


async def test_a_payment_needs_no_buyer_and_a_code_has_to_fit_its_card(vault: Installation) -> None:
    view = await paid(vault, payment(buyer=None))
    (sent,) = await vault.sent(view["paymentRequestId"])
    assert "buyer" not in sent["order"]
    card_id = (await stored(vault))["cardId"]
    body = card_on_file(cvv=AMEX_CVV_CANARY, order=order(None))
    document = problem(await vault.api.post(f"/v1/cards/{card_id}/payments", json=body), 422, "request_invalid")
    assert document["errors"] == [{"pointer": "/cvv", "code": "cvv_invalid"}]


async def test_moments_need_an_offset_and_have_to_be_text(vault: Installation) -> None:
    for moment in ("2039-01-01T00:00:00", 7):
        answer = await vault.api.post("/v1/payments", json=payment(paymentExpiryTime=moment))
        assert problem(answer, 422, "request_invalid")["errors"][0]["pointer"] == "/paymentExpiryTime"


async def test_an_unknown_key_of_the_right_shape_is_nobody(vault: Installation) -> None:
    headers = {"Authorization": f"Bearer {ApiSecret.generate(live=False).reveal()}"}
    problem(await vault.api.get("/v1/payments", headers=headers), 401, "unauthenticated")


async def test_what_is_due_but_not_there_is_nothing_to_do(vault: Installation) -> None:
    assert await vault.services.reconciler.resolve(Due("mer_none", "pay_none", 1)) is None


async def test_a_refused_expiry_cancellation_without_an_intent_is_not_recorded(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": IN_PROCESS})
    puppet.says("cancel", {"result": failure("ORDER_STATUS_INVALID")})
    puppet.says("inquiryPayment", {"result": SUCCESS, "paymentStatus": "PROCESSING"})
    await paid(puppeteer, payment(), status=202)
    await sql.change("update vault.payment set expires_at = now() - interval '1 second'")
    await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
    await puppeteer.work()
    assert await sql.events("payment.cancel_refused") == []


async def test_what_was_not_sent_is_followed_for_a_while_and_then_left(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    puppet.says("pay", {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U"}, "paymentId": None})
    puppet.says("inquiryPayment", UNKNOWN_ORDER)
    await paid(puppeteer, payment(card=card(cvv=CVV_CANARY)), status=202)
    await sql.change("update vault.payment set send_deadline = now() - interval '1 hour'")
    await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second', attempts = 30")
    await puppeteer.work()
    assert (await sql.count("payment_inquiry"), await sql.count("alarm")) == (0, 0)


def test_an_address_that_is_none_is_inside_nothing() -> None:
    assert not _inside("", ("0.0.0.0/1",))


@pytest.mark.parametrize(("address", "inside"), [("::ffff:10.0.0.5", True), ("::ffff:11.0.0.5", False)])
def test_an_ipv4_address_in_ipv6_clothes_is_inside_its_ipv4_network(address: str, *, inside: bool) -> None:
    assert _inside(address, ("192.0.2.0/24", "10.0.0.0/8")) is inside


def test_an_event_is_of_a_bounded_size() -> None:
    event = Event(EventType.CARD_STORED, Origin(ActorKind.WORKER), "mer_a", ("card_a",))
    assert event.about("card_b").objects == ("card_b",)
    with pytest.raises(ValueError, match="too large"):
        Event(EventType.CARD_STORED, Origin(ActorKind.WORKER), "", details={"kind": "x" * 40_000}).encode("aud_a")


async def test_two_hard_declines_at_once_disable_a_card_once(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    bodies = [card_on_file(), card_on_file()]
    for body in bodies:
        await vault.arm(body["paymentRequestId"], "SLOW:500+DECLINE:STOLEN_CARD")
    path = f"/v1/cards/{card_id}/payments"
    answers = await asyncio.gather(*(vault.api.post(path, json=body) for body in bodies))
    assert [answer.json()["paymentStatus"] for answer in answers] == ["FAIL", "FAIL"]
    assert (await vault.api.get(f"/v1/cards/{card_id}")).json()["status"] == "DISABLED"
    assert len(await sql.events("card.disabled")) == 1

"""`POST /v1/payment-sessions`: a payment that is written before the buyer pays in a client SDK."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import pytest

from keys.keyring import Purpose
from tests.api.gateway import SUCCESS, TOKEN, UNKNOWN_ORDER, Puppet, courier, failure, told
from tests.api.retiring import retire_while_sealing
from tests.api.shop import (
    BUYER,
    Sql,
    card,
    order,
    paid,
    paid_on_file,
    payment,
    problem,
    shown,
    store,
    stored,
    type_card,
    until,
)
from tests.api.subscriptions import consent, recorded
from tests.api.test_authorization import Keys, onboarding_of
from tests.canary import assert_clean
from tests.installation import Blueprint, Installation
from vault.auth import Scope
from vault.payments.retry_guard import RetryGuard
from vault.store.drafts import Begun

pytestmark = pytest.mark.anyio
MPI = {"threeDSVersion": "2.2.0", "eci": "05", "cavv": "AAABB000", "dsTransactionId": "1f0e"}
OPENED = {
    "result": SUCCESS,
    "paymentSessionData": "opaque",
    "paymentSessionId": "ps-1",
    "paymentSessionExpiryTime": "2039-01-05T11:00:00+01:00",
    "normalUrl": "https://gateway.example/checkout",
    "paymentId": None,
}
NOBODY_PAID = UNKNOWN_ORDER | {"paymentId": None}


def session(buyer: str | None = BUYER, **changes: Any) -> dict[str, Any]:
    """Give the body that opens a session."""
    body = payment(buyer=buyer)
    del body["card"]
    return body | changes


async def attempt(vault: Installation, body: dict[str, Any]) -> httpx2.Response:
    return await vault.api.post("/v1/payment-sessions", json=body)


async def opened(vault: Installation, body: dict[str, Any] | None = None, status: int = 201) -> dict[str, Any]:
    """Open a session and give its view."""
    answer = await attempt(vault, body or session())
    assert answer.status_code == status, answer.text
    view: dict[str, Any] = answer.json()
    return view


async def sent(vault: Installation, view: dict[str, Any]) -> dict[str, Any]:
    (body,) = await vault.sent(view["paymentRequestId"], "createPaymentSession")
    return body


async def test_a_session_is_a_payment_with_something_to_open_it(vault: Installation, sql: Sql) -> None:
    mark = await sql.mark()
    answer = await attempt(vault, session(metadata={"shelf": "a"}))
    view = answer.json()
    assert answer.headers["Location"] == f"/v1/payments/{view['paymentId']}"
    assert (view["paymentStatus"], view["kind"], view["nextAction"]) == ("PROCESSING", "ONE_OFF", None)
    assert 64 < len(view["paymentSessionData"]) <= 4096
    assert view["paymentSessionId"]
    assert "/checkout/card/" in view["normalUrl"]
    ends = datetime.fromisoformat(view["paymentSessionExpiryTime"])
    assert timedelta(minutes=59) < ends - datetime.now(UTC) <= timedelta(hours=1)
    assert await sql.since(mark) == ["payment.created", "payment.changed", "payment.session_opened"]
    plain = (await vault.api.get(f"/v1/payments/{view['paymentId']}")).json()
    assert set(view) - set(plain) == {
        "paymentSessionData",
        "paymentSessionId",
        "paymentSessionExpiryTime",
        "normalUrl",
    }


async def test_what_is_sent_leaves_the_card_to_the_widget(vault: Installation) -> None:
    body = await sent(vault, await opened(vault))
    assert body["paymentMethod"] == {"paymentMethodType": "CARD"}
    assert body["order"]["buyer"] == {"referenceBuyerId": BUYER}
    assert body["paymentFactor"] == {"isAuthorization": True, "captureMode": "MANUAL"}
    assert body["paymentNotifyUrl"].endswith(vault.tenants[0].merchant_id)
    assert not {"availablePaymentMethod", "savedPaymentMethods", "enableInstallmentCollection"} & set(body)


async def test_everything_that_a_session_may_say_goes_along(vault: Installation) -> None:
    ends = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
    asked: dict[str, Any] = {
        "paymentSessionExpiryTime": ends,
        "enableInstallmentCollection": True,
        "creditPayPlan": {"installmentNum": 3},
        "productScene": "ELEMENT_PAYMENT",
        "locale": "pt_BR",
        "merchantRegion": "PT",
    }
    address = {"region": "US", "zipCode": "94105"}
    extra: dict[str, Any] = {
        "is3DSAuthentication": True,
        "enableAuthenticationUpgrade": False,
        "billingAddress": address,
    }
    body = await sent(vault, await opened(vault, session(**asked, **extra, storeCard="GATEWAY")))
    assert {name: body[name] for name in asked} == asked | {"paymentSessionExpiryTime": ends.replace("+00:00", "Z")}
    assert body["paymentMethod"]["paymentMethodMetaData"] == extra
    assert body["availablePaymentMethod"] == {"paymentMethodMetaData": {"tokenizeMode": "ASKFORCONSENT"}}


async def test_the_buyer_pays_in_the_session_and_keeps_the_card(vault: Installation, sql: Sql) -> None:
    view = await opened(vault)
    assert (await type_card(view["normalUrl"], save="true")).status_code == 303
    settled = await vault.settle(view["paymentId"])
    assert (settled["paymentStatus"], settled["card"]["storage"]) == ("SUCCESS", "GATEWAY")
    assert (settled["card"]["referenceBuyerId"], settled["card"]["expiryMonth"]) == (BUYER, "11")
    assert (await paid_on_file(vault, settled["card"]["cardId"]))["paymentStatus"] == "SUCCESS"
    assert await sql.count("payment_secret") == 0
    assert await sql.alarms() == set()


async def test_a_card_that_was_not_ticked_is_not_kept_and_not_missed(vault: Installation, sql: Sql) -> None:
    view = await opened(vault)
    await type_card(view["normalUrl"])
    settled = await vault.settle(view["paymentId"])
    assert (settled["paymentStatus"], settled["card"]) == ("SUCCESS", None)
    assert await sql.count("payment_inquiry") == 0


async def test_a_repeat_gets_the_same_session_as_long_as_there_is_one(vault: Installation, sql: Sql) -> None:
    body = session()
    first = await opened(vault, body)
    again = await attempt(vault, body)
    assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
    assert again.json() == first
    assert len(await vault.sent(body["paymentRequestId"], "createPaymentSession")) == 1
    problem(await attempt(vault, body | {"metadata": {"a": 1}}), 409, "idempotency_conflict")
    problem(await vault.api.post("/v1/payments", json=body), 409, "idempotency_conflict")
    await type_card(first["normalUrl"])
    await vault.settle(first["paymentId"])
    later = await opened(vault, body)
    assert (later["paymentStatus"], later["paymentSessionData"], later["normalUrl"]) == ("SUCCESS", None, None)
    assert await sql.count("payment_secret") == 0


async def test_what_opens_a_session_is_sealed_and_shown_nowhere_else(vault: Installation, sql: Sql) -> None:
    view = await opened(vault)
    data = view["paymentSessionData"]
    for table in ("payment", "payment_secret", "audit_pending"):
        assert data not in str(await sql.rows(f"select * from vault.{table}"))
    assert data not in (await vault.api.get(f"/v1/payments/{view['paymentId']}")).text
    assert (await sql.rows("select kind from vault.payment_secret")) == [{"kind": "SESSION"}]


async def test_a_stored_card_is_named_as_the_merchant_wants_it(vault: Installation, sql: Sql) -> None:
    kept = (await paid(vault, payment(storeCard="GATEWAY")))["card"]
    older = await opened(vault, session(None, cardId=kept["cardId"]))
    assert (older["kind"], older["card"]["cardId"]) == ("CARD_ON_FILE", kept["cardId"])
    body = await sent(vault, older)
    token = body["paymentMethod"].pop("paymentMethodId")
    assert token.startswith("ALIPAY")
    assert body["paymentMethod"] == {"paymentMethodType": "CARD", "paymentMethodMetaData": {"isCardOnFile": True}}
    assert body["order"]["buyer"] == {"referenceBuyerId": BUYER}
    await sql.change(
        """update vault.merchant set settings = settings || '{"sessionCardForm": "savedPaymentMethods"}'"""
    )
    body = await sent(vault, await opened(vault, session(cardId=kept["cardId"])))
    assert body["paymentMethod"] == {"paymentMethodType": "CARD"}
    assert body["savedPaymentMethods"] == [{"paymentMethodType": "CARD", "paymentMethodId": token}]
    assert body["availablePaymentMethod"] == {"paymentMethodMetaData": {"isCardOnFile": True}}


async def test_a_stored_card_is_paid_with_in_the_session(vault: Installation) -> None:
    kept = (await paid(vault, payment(storeCard="GATEWAY")))["card"]
    view = await opened(vault, session(cardId=kept["cardId"]))
    await type_card(view["normalUrl"], cardNo="")
    settled = await vault.settle(view["paymentId"])
    assert (settled["paymentStatus"], settled["card"]["cardId"]) == ("SUCCESS", kept["cardId"])


async def test_a_card_that_the_gateway_does_not_hold_needs_its_own_authentication(vault: Installation) -> None:
    card_id = (await stored(vault))["cardId"]
    problem(await attempt(vault, session(cardId=card_id)), 409, "card_not_at_gateway")
    body = await sent(vault, await opened(vault, session(cardId=card_id, mpiData=MPI)))
    details = body["paymentMethod"]["paymentMethodMetaData"]
    assert (details["isCardOnFile"], details["mpiData"]["eci"]) == (True, "05")
    assert details["cardNo"]


async def test_card_data_can_come_along_and_be_kept_in_the_vault(vault: Installation, sql: Sql) -> None:
    body = session(card=card(cvv="097"), mpiData=MPI, storeCard="VAULT")
    view = await opened(vault, body)
    details = (await sent(vault, view))["paymentMethod"]["paymentMethodMetaData"]
    assert (details["isCardOnFile"], details["cvv"], details["is3DSAuthentication"]) == (False, "097", False)
    assert {row["kind"] for row in await sql.rows("select kind from vault.payment_secret")} == {"PAN", "SESSION"}
    await type_card(view["normalUrl"], cardNo="")
    settled = await vault.settle(view["paymentId"])
    assert settled["card"]["storage"] == "VAULT"
    assert await sql.count("payment_secret") == 0
    assert_clean(str(await sql.rows("select * from vault.payment")), "the payment's row")


REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"storeCard": "VAULT"}, "/storeCard", "card_data_required"),
    ({"mpiData": MPI}, "", "card_data_required"),
    ({"cardId": "card_x", "card": card()}, "", "contradictory"),
    ({"cardId": "card_x", "mandateId": "man_x"}, "", "contradictory"),
    ({"cardId": "card_x", "storeCard": "GATEWAY"}, "", "contradictory"),
    ({"mandateId": "man_x", "is3DSAuthentication": False}, "", "buyer_absent"),
    ({"mandateId": "man_x", "mpiData": MPI}, "", "buyer_absent"),
    ({"mandateId": "man_x"}, "/mandateId", "invalid_value"),
    ({"storeCard": "GATEWAY", "order": order(None)}, "", "buyer_required"),
    ({"paymentSessionExpiryTime": "2020-01-01T00:00:00Z"}, "/paymentSessionExpiryTime", "invalid_value"),
    ({"paymentSessionExpiryTime": "2039-01-01T00:00:00Z"}, "/paymentSessionExpiryTime", "invalid_value"),
    ({"locale": "english"}, "/locale", "invalid_value"),
    ({"paymentMethodRegion": "KR", "is3DSAuthentication": True}, "/is3DSAuthentication", "region_excluded"),
]


async def test_a_session_that_cannot_be_is_refused_and_leaves_nothing(vault: Installation, sql: Sql) -> None:
    for change, pointer, code in REFUSED:
        answer = await attempt(vault, session() | change)
        assert answer.status_code == 422, change
        assert {"pointer": pointer, "code": code} in answer.json()["errors"], change
    assert await sql.count("payment") == 0


async def test_cards_that_cannot_pay_open_no_session(vault: Installation, sql: Sql) -> None:
    kept = (await paid(vault, payment(storeCard="GATEWAY")))["card"]["cardId"]
    problem(await attempt(vault, session("buyer-2", cardId=kept)), 422, "buyer_mismatch")
    problem(await attempt(vault, session(cardId="card_nobody")), 404, "not_found")
    theirs = await vault.api.post("/v1/payment-sessions", json=session(cardId=kept), headers=vault.tenants[1].headers)
    problem(theirs, 404, "not_found")
    await sql.change("update vault.card set expiry_year = 2020")
    problem(await attempt(vault, session(cardId=kept)), 409, "card_expired")
    await sql.change("update vault.card set status = 'DISABLED'")
    problem(await attempt(vault, session(cardId=kept)), 409, "card_disabled")
    await vault.api.delete(f"/v1/cards/{kept}")
    problem(await attempt(vault, session(cardId=kept)), 410, "card_deleted")


async def test_storing_and_charging_need_their_scopes(vault: Installation, onboarded_url: str) -> None:
    async with onboarding_of(vault, onboarded_url) as onboarding:
        keys = Keys(onboarding, vault.tenants[0].merchant_id)
        await keys.make("payer", [Scope.PAYMENTS_WRITE])
    headers = {"Authorization": f"Bearer {keys.made['payer']}"}
    for change in ({"storeCard": "GATEWAY"}, {"mandateId": "man_x"}):
        answer = await vault.api.post("/v1/payment-sessions", json=session() | change, headers=headers)
        problem(answer, 403, "forbidden")
    assert (await vault.api.post("/v1/payment-sessions", json=session(), headers=headers)).status_code == 201


async def test_a_session_under_a_mandate_is_a_setting(vault: Installation, sql: Sql) -> None:
    kept = (await paid(vault, payment(storeCard="GATEWAY")))["card"]["cardId"]
    mandate = await recorded(vault, consent(cardId=kept, maxAmount={"currency": "EUR", "value": "3000"}))
    body = session(mandateId=mandate["mandateId"])
    problem(await attempt(vault, body), 422, "session_mandate_refused")
    await sql.change("""update vault.merchant set settings = settings || '{"sessionMandates": true}'""")
    view = await opened(vault, body)
    assert (view["kind"], view["mandateId"]) == ("MERCHANT_INITIATED", mandate["mandateId"])
    details = (await sent(vault, view))["paymentMethod"]["paymentMethodMetaData"]
    assert details == {
        "isCardOnFile": True,
        "recurringType": "SCHEDULED",
        "networkTransactionId": consent()["imported"]["networkTransactionId"],
        "is3DSAuthentication": False,
        "enableAuthenticationUpgrade": False,
    }
    problem(await attempt(vault, session(mandateId=mandate["mandateId"])), 409, "mandate_busy")
    await type_card(view["normalUrl"], cardNo="")
    assert (await vault.settle(view["paymentId"]))["paymentStatus"] == "SUCCESS"
    dear = session(mandateId=mandate["mandateId"], paymentAmount={"currency": "EUR", "value": "3001"})
    problem(await attempt(vault, dear), 422, "mandate_amount_exceeded")


async def test_a_challenge_in_a_session_under_a_mandate_is_the_buyers_to_answer(vault: Installation, sql: Sql) -> None:
    kept = (await paid(vault, payment(storeCard="GATEWAY")))["card"]["cardId"]
    mandate = await recorded(vault, consent(cardId=kept))
    await sql.change("""update vault.merchant set settings = settings || '{"sessionMandates": true}'""")
    body = session(mandateId=mandate["mandateId"])
    await vault.arm(body["paymentRequestId"], "REQUIRE_3DS")
    view = await opened(vault, body)
    onwards = await type_card(view["normalUrl"], cardNo="")
    challenged = await vault.settle(view["paymentId"], "PROCESSING")
    assert challenged["cancelRequested"] is False
    await vault.sandbox_api.post(onwards.headers["Location"], data={"outcome": "success"})
    assert (await vault.settle(view["paymentId"]))["paymentStatus"] == "SUCCESS"


@pytest.mark.parametrize("fault", ["LOST_ANSWER", "BAD_SIGNATURE", "UNSIGNED", "HTTP_500", "RESET", "RATE_LIMIT"])
async def test_a_lost_answer_opens_nothing_and_says_so(vault: Installation, sql: Sql, fault: str) -> None:
    body = session()
    await vault.arm(body["paymentRequestId"], fault)
    view = await opened(vault, body, status=202)
    assert (view["paymentStatus"], view["paymentSessionData"]) == ("UNKNOWN", None)
    await sql.change("update vault.payment set send_deadline = now() - interval '1 hour'")
    settled = await vault.settle(view["paymentId"])
    assert (settled["paymentStatus"], settled["declined"]["retry"]) == ("FAIL", "NEW_ID")
    again = await attempt(vault, body)
    assert again.json()["paymentStatus"] == "FAIL"
    assert len(await vault.sent(body["paymentRequestId"], "createPaymentSession")) == 1


async def test_a_refusal_of_the_gateway_is_the_payments_end(puppeteer: Installation, puppet: Puppet) -> None:
    puppet.says("createPaymentSession", {"result": failure("INVALID_CONTRACT"), "paymentId": None})
    view = await opened(puppeteer)
    assert (view["paymentStatus"], view["gateway"]["resultCode"]) == ("FAIL", "INVALID_CONTRACT")
    assert view["paymentSessionData"] is None


@pytest.mark.parametrize(
    "answer",
    [
        {"result": SUCCESS},
        {"result": SUCCESS, "paymentSessionData": ""},
        {"result": SUCCESS, "paymentSessionData": "x" * 16_385},
        {"result": {}, "paymentSessionData": "opaque"},
        {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U"}, "paymentSessionData": "opaque"},
    ],
)
async def test_an_answer_that_opens_nothing_leaves_the_outcome_open(
    puppeteer: Installation, puppet: Puppet, answer: dict[str, Any]
) -> None:
    puppet.says("createPaymentSession", answer)
    assert (await opened(puppeteer, status=202))["paymentStatus"] == "UNKNOWN"


async def _waiting(puppeteer: Installation, puppet: Puppet, **changes: Any) -> dict[str, Any]:
    puppet.says("createPaymentSession", OPENED)
    puppet.says("inquiryPayment", NOBODY_PAID)
    puppet.says("cancel", NOBODY_PAID)
    return await opened(puppeteer, session(**changes))


async def _due(puppeteer: Installation, sql: Sql) -> None:
    await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
    await puppeteer.work()


async def test_a_session_waits_for_its_buyer_until_its_time_is_over(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    view = await _waiting(puppeteer, puppet)
    assert view["paymentSessionExpiryTime"] == "2039-01-05T11:00:00+01:00"
    await sql.change("update vault.payment set send_deadline = now() - interval '1 hour'")
    await _due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "PROCESSING"
    lasts = await sql.value("select extract(epoch from expires_at - created_at) from vault.payment")
    assert 74 * 60 - 5 < lasts < 74 * 60 + 5
    await sql.change("update vault.payment set expires_at = now() - interval '1 hour'")
    await _due(puppeteer, sql)
    settled = await shown(puppeteer, view["paymentId"])
    assert (settled["paymentStatus"], settled["declined"]["category"]) == ("FAIL", "not_sent")
    assert await sql.count("payment_secret") == 0


async def test_a_session_that_ends_sooner_expires_sooner(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=10)
    await _waiting(puppeteer, puppet, paymentSessionExpiryTime=soon.isoformat())
    assert await sql.value("select expires_at from vault.payment") == soon + timedelta(minutes=14)
    own = datetime.now(UTC) + timedelta(minutes=5)
    await _waiting(puppeteer, puppet, paymentSessionExpiryTime=soon.isoformat(), paymentExpiryTime=own.isoformat())
    assert await sql.value("select min(expires_at) from vault.payment") == own


async def test_a_payment_in_a_session_that_was_given_up_is_voided(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    view = await _waiting(puppeteer, puppet)
    await sql.change("update vault.payment set expires_at = now() - interval '1 hour'")
    await _due(puppeteer, sql)
    puppet.says("cancel", {"result": SUCCESS})
    puppet.says("inquiryPayment", {"result": SUCCESS, "paymentStatus": "CANCELLED", "paymentAmount": None})
    assert (await courier(puppeteer, blueprint).bring(told(view))).status_code == 200
    assert await sql.alarms() == {"late_authorisation"}
    await _due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "CANCELLED"


async def test_a_cancelled_session_is_not_handed_out_again_and_voids_what_comes(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    body = session()
    puppet.says("createPaymentSession", OPENED)
    puppet.says("inquiryPayment", NOBODY_PAID)
    puppet.says("cancel", NOBODY_PAID, {"result": SUCCESS})
    view = await opened(puppeteer, body)
    answer = await puppeteer.api.post(f"/v1/payments/{view['paymentId']}/cancel", json={})
    assert (answer.status_code, answer.json()["cancelRequested"]) == (202, True)
    again = await opened(puppeteer, body, status=202)
    assert (again["paymentStatus"], again["paymentSessionData"]) == ("PROCESSING", None)
    assert await sql.count("payment_secret") == 0
    await _due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "PROCESSING"
    await courier(puppeteer, blueprint).bring(told(view))
    await _due(puppeteer, sql)
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "CANCELLED"


async def test_a_session_that_was_cancelled_while_it_was_opened_is_not_kept(vault: Installation, sql: Sql) -> None:
    body = session()
    await vault.arm(body["paymentRequestId"], "SLOW:700")
    opening = asyncio.create_task(attempt(vault, body))
    await until(lambda: vault.sent(body["paymentRequestId"], "createPaymentSession"))
    problem(await attempt(vault, body), 409, "in_progress")
    (found,) = (await vault.api.get("/v1/payments")).json()["payments"]
    assert (await vault.api.post(f"/v1/payments/{found['paymentId']}/cancel", json={})).status_code == 202
    answer = await opening
    assert (answer.status_code, answer.json()["paymentSessionData"]) == (202, None)
    assert await sql.count("payment_secret") == 0


async def test_a_notification_that_overtakes_the_answer_is_the_outcome(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint
) -> None:
    view = await _waiting(puppeteer, puppet)
    info = {"cardToken": TOKEN, "lastFour": "1846", "cardBrand": "VISA"}
    notice = told(view, paymentResultInfo=info)
    assert (await courier(puppeteer, blueprint).bring(notice)).status_code == 200
    settled = await shown(puppeteer, view["paymentId"])
    assert (settled["paymentStatus"], settled["card"]["lastFour"]) == ("SUCCESS", "1846")


@pytest.mark.parametrize("other", [{"paymentAmount": {"currency": "EUR", "value": "1"}}, {"paymentAmount": None}])
async def test_a_notification_about_another_amount_changes_nothing(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql, other: dict[str, Any]
) -> None:
    view = await _waiting(puppeteer, puppet)
    info = {"cardToken": TOKEN, "lastFour": "1846"}
    await courier(puppeteer, blueprint).bring(told(view, paymentResultInfo=info, **other))
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "PROCESSING"
    assert (await sql.count("card"), await sql.alarms()) == (0, {"answer_mismatch"})


async def test_an_erased_buyers_session_is_not_handed_out(vault: Installation, sql: Sql) -> None:
    body = session()
    view = await opened(vault, body)
    assert (await vault.api.delete(f"/v1/buyers/{BUYER}")).status_code == 204
    assert (await opened(vault, body, status=202))["paymentSessionData"] is None
    await type_card(view["normalUrl"], save="true")
    assert (await vault.settle(view["paymentId"]))["paymentStatus"] == "SUCCESS"
    assert await sql.count("card") == 0


async def test_a_card_deleted_meanwhile_is_still_what_was_paid_with(vault: Installation) -> None:
    kept = (await paid(vault, payment(storeCard="GATEWAY")))["card"]["cardId"]
    view = await opened(vault, session(cardId=kept))
    await vault.api.delete(f"/v1/cards/{kept}")
    await type_card(view["normalUrl"], cardNo="")
    settled = await vault.settle(view["paymentId"])
    assert settled["card"]["status"] == "DELETED"


async def test_a_key_that_retires_meanwhile_does_not_seal_the_session(
    vault: Installation, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeper = vault.services.payments._tools.recorder._keeper
    fresh = retire_while_sealing(monkeypatch, keeper, vault, sql, Purpose.CARD)
    assert (await opened(vault))["paymentSessionData"]
    assert await sql.value("select key_id from vault.payment_secret") == fresh[0]


async def test_what_opens_a_session_opens_nowhere_else(vault: Installation, sql: Sql) -> None:
    """T-2."""
    first, second = session(), session()
    await opened(vault, first)
    await opened(vault, second)
    await sql.change(
        "update vault.payment_secret a set envelope = b.envelope from vault.payment_secret b "
        "where a.payment_id <> b.payment_id"
    )
    problem(await attempt(vault, first), 500, "integrity_failure")
    assert await sql.alarms() == {"integrity_failure"}


async def test_a_stored_number_takes_no_part_in_a_session(vault: Installation) -> None:
    await stored(vault, store())
    assert (await opened(vault))["card"] is None


async def test_a_session_that_can_never_be_written_is_told_as_busy(
    vault: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: Any) -> Begun:
        return Begun(payment=None, keys_active=False, card_usable=True)

    monkeypatch.setattr(RetryGuard, "begin_alone", refused)
    problem(await attempt(vault, session()), 503, "overloaded")

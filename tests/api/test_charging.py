"""`POST /v1/mandates/{mandateId}/payments`: what goes to the gateway, what is refused, and that nobody is asked to come."""

import asyncio
from typing import Any

import pytest

from tests.api.gateway import IN_PROCESS, SUCCESS, UNKNOWN_ORDER, Puppet, failure
from tests.api.shop import BUYER, Sql, configure, of_tenant, paid, payment, problem, shown, stored
from tests.api.subscriptions import (
    NTID,
    attempt,
    authenticated,
    charge,
    charged,
    consent,
    recorded,
    shown_mandate,
    subscribed,
)
from tests.api.test_mandates import on_payment
from tests.canary import CVV_CANARY, VISA_CANARY
from tests.installation import Installation

pytestmark = pytest.mark.anyio
HUNDRED = {"currency": "EUR", "value": "10000"}


async def _aged(sql: Sql, **interval: int) -> None:
    """Let charges have been made that long ago."""
    await sql.change("update vault.payment set created_at = created_at - make_interval(days => $1)", interval["days"])


async def test_a_charge_by_token_says_what_kind_it_is_and_refers_to_the_first_payment(vault: Installation) -> None:
    """COF-7, COF-8."""
    initial = await authenticated(vault)
    mandate = await recorded(vault, on_payment(initial))
    body = charge()
    view = await charged(vault, mandate, body)
    assert (view["kind"], view["paymentStatus"], view["mandateId"]) == (
        "MERCHANT_INITIATED",
        "SUCCESS",
        mandate["mandateId"],
    )
    (sent,) = await vault.sent(body["paymentRequestId"])
    details = sent["paymentMethod"]["paymentMethodMetaData"]
    assert details == {
        "isCardOnFile": True,
        "recurringType": "SCHEDULED",
        "networkTransactionId": initial["paymentResultInfo"]["networkTransactionId"],
        "is3DSAuthentication": False,
        "enableAuthenticationUpgrade": False,
    }
    assert sent["paymentMethod"]["paymentMethodId"]
    assert sent["order"]["buyer"]["referenceBuyerId"] == BUYER


async def test_a_charge_from_the_vault_sends_the_number_and_no_code(vault: Installation, sql: Sql) -> None:
    mandate = await subscribed(vault, recurringType="UNSCHEDULED")
    body = charge(recurringType="UNSCHEDULED")
    mark = await sql.mark()
    assert (await charged(vault, mandate, body))["paymentStatus"] == "SUCCESS"
    assert await sql.since(mark) == ["payment.created", "payment.changed"]
    created = (await sql.events("payment.created"))[-1]
    assert mandate["mandateId"] in created["objects"]
    (sent,) = await vault.sent(body["paymentRequestId"])
    details = sent["paymentMethod"]["paymentMethodMetaData"]
    assert (details["cardNo"], details["recurringType"], details["networkTransactionId"]) == (
        VISA_CANARY,
        "UNSCHEDULED",
        NTID,
    )
    assert not {"cvv", "mpiData", "paymentMethodId"} & set(details)


async def test_later_charges_refer_to_the_first_payment_and_not_to_each_other(vault: Installation) -> None:
    mandate = await subscribed(vault)
    for _ in range(2):
        body = charge()
        view = await charged(vault, mandate, body)
        (sent,) = await vault.sent(body["paymentRequestId"])
        assert sent["paymentMethod"]["paymentMethodMetaData"]["networkTransactionId"] == NTID
        assert view["paymentResultInfo"]["networkTransactionId"] != NTID


@pytest.mark.parametrize(
    "extra",
    [
        {"cvv": CVV_CANARY},
        {"is3DSAuthentication": False},
        {"is3DSAuthentication": True},
        {"enableAuthenticationUpgrade": True},
        {"mpiData": {"threeDSVersion": "2.2.0", "eci": "05", "cavv": "AAAB"}},
        {"extraVerification": {"cardPasswordDigest": "12"}},
    ],
)
async def test_a_charge_takes_nothing_that_only_a_buyer_has(
    vault: Installation, sql: Sql, extra: dict[str, Any]
) -> None:
    """SAD-5."""
    mandate = await subscribed(vault)
    document = problem(await attempt(vault, mandate, charge(**extra)), 422, "request_invalid")
    assert document["errors"] == [{"pointer": "", "code": "buyer_absent"}]
    assert await sql.count("payment") == 0


async def test_a_charge_is_an_object(vault: Installation) -> None:
    answer = await vault.api.post("/v1/mandates/man_x/payments", json=[])
    assert answer.status_code in {400, 422}


async def test_a_charge_may_verify_what_is_no_secret(vault: Installation) -> None:
    body = charge(extraVerification={"payerEmail": "ana@example.com"})
    assert (await charged(vault, await subscribed(vault), body))["paymentStatus"] == "SUCCESS"


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (charge("10001"), "mandate_amount_exceeded", "/paymentAmount/value"),
        (charge(currency="USD"), "mandate_currency_mismatch", "/paymentAmount/currency"),
        (charge(recurringType="UNSCHEDULED"), "mandate_type_mismatch", "/recurringType"),
        (charge(paymentMethodRegion="KR"), "mandate_region_refused", "/paymentMethodRegion"),
        (charge(currency="XXX"), "request_invalid", "/paymentAmount/currency"),
    ],
)
async def test_a_charge_outside_its_mandate_is_refused_and_leaves_nothing(
    vault: Installation, sql: Sql, body: dict[str, Any], code: str, pointer: str
) -> None:
    mandate = await subscribed(vault, maxAmount=HUNDRED)
    document = problem(await attempt(vault, mandate, body), 422, code)
    assert document["errors"][0]["pointer"] == pointer
    assert await sql.count("payment") == 0
    assert await vault.sent(body["paymentRequestId"]) == []
    assert (await charged(vault, mandate, charge("10000")))["paymentStatus"] == "SUCCESS"


async def test_a_refused_charge_does_not_use_up_its_id(vault: Installation) -> None:
    mandate = await subscribed(vault, maxAmount=HUNDRED)
    body = charge("10001")
    problem(await attempt(vault, mandate, body), 422, "mandate_amount_exceeded")
    assert (await charged(vault, mandate, body | {"paymentAmount": HUNDRED}))["paymentStatus"] == "SUCCESS"


async def test_a_mandate_is_charged_within_its_window_only(vault: Installation, sql: Sql) -> None:
    mandate = await subscribed(vault, validFrom="2098-01-01T00:00:00Z", validUntil="2099-01-01T00:00:00Z")
    problem(await attempt(vault, mandate), 409, "mandate_not_started")
    await sql.change("update vault.mandate set valid_from = now() - interval '2 days'")
    await charged(vault, mandate)
    await sql.change("update vault.mandate set valid_until = now() - interval '1 day'")
    problem(await attempt(vault, mandate), 409, "mandate_expired")


async def test_an_ended_mandate_is_not_charged(vault: Installation) -> None:
    """COF-9."""
    mandate = await subscribed(vault)
    await vault.api.delete(f"/v1/mandates/{mandate['mandateId']}")
    body = charge()
    problem(await attempt(vault, mandate, body), 409, "mandate_ended")
    assert await vault.sent(body["paymentRequestId"]) == []


async def test_the_interval_has_to_pass_between_charges(vault: Installation, sql: Sql) -> None:
    mandate = await subscribed(vault, minimumIntervalDays=30)
    await charged(vault, mandate)
    problem(await attempt(vault, mandate), 409, "mandate_interval")
    await _aged(sql, days=29)
    problem(await attempt(vault, mandate), 409, "mandate_interval")
    view = await shown_mandate(vault, mandate)
    assert view["lastChargedAt"] < view["notBefore"]
    await _aged(sql, days=1)
    await charged(vault, mandate)


async def test_a_declined_charge_does_not_count_for_the_interval(vault: Installation) -> None:
    mandate = await subscribed(vault, minimumIntervalDays=30)
    body = charge()
    await vault.arm(body["paymentRequestId"], "DECLINE:USER_BALANCE_NOT_ENOUGH")
    assert (await charged(vault, mandate, body))["declined"]["retry"] == "LATER"
    assert (await charged(vault, mandate))["paymentStatus"] == "SUCCESS"


async def test_a_voided_charge_does_not_count_for_the_interval(vault: Installation) -> None:
    mandate = await subscribed(vault, minimumIntervalDays=30)
    view = await charged(vault, mandate)
    assert (await vault.api.post(f"/v1/payments/{view['paymentId']}/cancel", json={})).status_code == 200
    assert (await charged(vault, mandate))["paymentStatus"] == "SUCCESS"


async def test_a_charge_with_an_unknown_outcome_blocks_a_scheduled_mandate(vault: Installation) -> None:
    mandate = await subscribed(vault)
    body = charge()
    await vault.arm(body["paymentRequestId"], "LOST_ANSWER+NO_NOTIFICATION")
    view = await charged(vault, mandate, body, status=202)
    answer = await attempt(vault, mandate)
    assert problem(answer, 409, "mandate_busy")["retryable"] is True
    assert answer.headers["Retry-After"]
    assert (await vault.settle(view["paymentId"]))["paymentStatus"] == "SUCCESS"
    assert (await charged(vault, mandate))["paymentStatus"] == "SUCCESS"


async def test_a_charge_with_an_unknown_outcome_counts_for_the_interval(vault: Installation) -> None:
    mandate = await subscribed(vault, recurringType="UNSCHEDULED", minimumIntervalDays=1)
    body = charge()
    await vault.arm(body["paymentRequestId"], "LOST_ANSWER+NO_NOTIFICATION")
    await charged(vault, mandate, body, status=202)
    problem(await attempt(vault, mandate), 409, "mandate_interval")


async def test_an_unscheduled_mandate_may_have_several_charges_open(vault: Installation) -> None:
    mandate = await subscribed(vault, recurringType="UNSCHEDULED")
    for _ in range(2):
        body = charge()
        await vault.arm(body["paymentRequestId"], "LATE_SUCCESS")
        assert (await charged(vault, mandate, body, status=202))["paymentStatus"] == "PROCESSING"


async def test_charges_at_once_are_one_charge(vault: Installation, sql: Sql) -> None:
    mandate = await subscribed(vault, minimumIntervalDays=1)
    answers = await asyncio.gather(*(attempt(vault, mandate) for _ in range(8)))
    assert [answer.status_code for answer in answers].count(201) == 1
    assert {answer.json()["code"] for answer in answers if answer.status_code != 201} <= {
        "mandate_busy",
        "mandate_interval",
    }
    assert await sql.count("payment") == 1


async def test_the_same_charge_again_is_the_same_payment(vault: Installation) -> None:
    mandate = await subscribed(vault, minimumIntervalDays=30)
    body = charge()
    first = await charged(vault, mandate, body)
    again = await attempt(vault, mandate, body)
    assert (again.status_code, again.json()["paymentId"]) == (201, first["paymentId"])
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(await vault.ledger(body["paymentRequestId"])) == 1
    problem(await attempt(vault, mandate, body | {"paymentAmount": HUNDRED}), 409, "idempotency_conflict")


async def test_the_same_charge_many_times_at_once_is_sent_once(vault: Installation) -> None:
    mandate = await subscribed(vault, minimumIntervalDays=30)
    body = charge()
    answers = await asyncio.gather(*(attempt(vault, mandate, body) for _ in range(8)))
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"in_progress"}
    assert len(await vault.sent(body["paymentRequestId"])) == 1


async def test_another_merchants_mandate_is_not_there(vault: Installation) -> None:
    mandate = await subscribed(vault)
    async with of_tenant(vault, 1) as other:
        answer = await other.post(f"/v1/mandates/{mandate['mandateId']}/payments", json=charge())
    problem(answer, 404, "not_found")


async def test_another_buyer_is_not_charged(vault: Installation) -> None:
    mandate = await subscribed(vault)
    body = charge() | {"order": {"referenceOrderId": "o", "orderDescription": "d", "buyer": {"referenceBuyerId": "x"}}}
    problem(await attempt(vault, mandate, body), 422, "buyer_mismatch")


async def test_an_expired_card_is_tried_unless_the_merchant_says_no(vault: Installation, sql: Sql) -> None:
    mandate = await subscribed(vault)
    await sql.change("update vault.card set expiry_year = 2020")
    assert (await charged(vault, mandate))["paymentStatus"] == "SUCCESS"
    await configure(sql, "chargeExpiredCards", "false")
    problem(await attempt(vault, mandate), 409, "card_expired")


async def test_a_hard_decline_disables_the_card_of_a_mandate(vault: Installation) -> None:
    mandate = await subscribed(vault)
    body = charge()
    await vault.arm(body["paymentRequestId"], "DECLINE:LOST_CARD")
    await charged(vault, mandate, body)
    problem(await attempt(vault, mandate), 409, "card_disabled")


async def test_a_challenge_is_never_handed_out_but_cancelled(vault: Installation, sql: Sql) -> None:
    """RTY-8."""
    mandate = await subscribed(vault)
    body = charge()
    await vault.arm(body["paymentRequestId"], "REQUIRE_3DS")
    mark = await sql.mark()
    answer = await attempt(vault, mandate, body)
    view = answer.json()
    assert (answer.status_code, view["paymentStatus"], view["nextAction"]) == (201, "CANCELLED", None)
    assert view["declined"] == {"category": "authentication_required", "retry": "AUTHENTICATE", "notBefore": None}
    assert await sql.since(mark) == [
        "payment.created",
        "payment.changed",
        "payment.cancel_requested",
        "payment.changed",
    ]
    assert len(await vault.sent(body["paymentRequestId"], "cancel")) == 1
    assert await sql.value("select count(*) from vault.payment where next_action is not null") == 0
    assert (await charged(vault, mandate))["paymentStatus"] == "SUCCESS"


async def test_a_demand_for_authentication_says_so(vault: Installation) -> None:
    mandate = await subscribed(vault)
    body = charge()
    await vault.arm(body["paymentRequestId"], "DECLINE:AUTHENTICATION_REQUIRED")
    view = await charged(vault, mandate, body)
    assert (view["paymentStatus"], view["declined"]["retry"]) == ("FAIL", "AUTHENTICATE")


async def test_a_challenge_that_cannot_be_cancelled_at_once_is_cancelled_by_the_worker(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    mandate = await subscribed(puppeteer)
    puppet.says("pay", {"result": IN_PROCESS, "normalUrl": "https://acs.example/c"})
    puppet.says("cancel", {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U", "resultMessage": ""}})
    view = await charged(puppeteer, mandate, status=202)
    assert (view["paymentStatus"], view["nextAction"], view["cancelRequested"]) == ("PROCESSING", None, True)
    assert view["declined"]["retry"] == "AUTHENTICATE"
    problem(await attempt(puppeteer, mandate), 409, "mandate_busy")
    puppet.says("cancel", {"result": SUCCESS})
    await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
    await puppeteer.work()
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "CANCELLED"


async def test_a_challenge_that_an_inquiry_tells_of_is_cancelled_as_well(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    mandate = await subscribed(puppeteer)
    puppet.says("pay", {"result": IN_PROCESS})
    view = await charged(puppeteer, mandate, status=202)
    assert (view["cancelRequested"], view["declined"]) == (False, None)
    told = {"result": SUCCESS, "paymentStatus": "PROCESSING", "paymentAmount": view["paymentAmount"]}
    puppet.says("inquiryPayment", told | {"normalUrl": "https://acs.example/c"})
    puppet.says("cancel", {"result": SUCCESS})
    for _ in range(2):
        await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
        await puppeteer.work()
    settled = await shown(puppeteer, view["paymentId"])
    assert (settled["paymentStatus"], settled["declined"]["retry"]) == ("CANCELLED", "AUTHENTICATE")


async def test_a_cancelled_payment_of_a_present_buyer_is_no_decline(vault: Installation) -> None:
    view = await paid(vault, payment(is3DSAuthentication=True))
    await vault.api.post(f"/v1/payments/{view['paymentId']}/cancel", json={})
    assert (await vault.settle(view["paymentId"]))["declined"] is None


async def test_a_charge_that_was_not_sent_may_be_made_again(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    mandate = await subscribed(puppeteer, minimumIntervalDays=30)
    puppet.says(
        "pay",
        {"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U", "resultMessage": ""}, "paymentId": None},
    )
    puppet.says("inquiryPayment", UNKNOWN_ORDER)
    view = await charged(puppeteer, mandate, status=202)
    await sql.change("update vault.payment set send_deadline = now() - interval '1 minute'")
    await sql.change("update vault.payment_inquiry set next_at = now() - interval '1 second'")
    await puppeteer.work()
    assert (await shown(puppeteer, view["paymentId"]))["declined"]["retry"] == "NEW_ID"
    puppet.says("pay", {"result": failure("DO_NOT_HONOR")})
    assert (await charged(puppeteer, mandate))["paymentStatus"] == "FAIL"


async def test_erasing_a_buyer_while_charging_leaves_no_name(vault: Installation, sql: Sql) -> None:
    mandate = await subscribed(vault, recurringType="UNSCHEDULED")
    charges = [attempt(vault, mandate) for _ in range(6)]
    *answers, erased = await asyncio.gather(*charges, vault.api.delete(f"/v1/buyers/{BUYER}"))
    assert erased.status_code == 204
    assert {answer.status_code for answer in answers} <= {201, 202, 409, 410, 503}
    assert await sql.value("select count(*) from vault.payment where buyer is not null") == 0


async def test_a_card_stored_twice_is_charged_by_its_token_where_there_is_one(vault: Installation) -> None:
    card_id = (await stored(vault))["cardId"]
    mandate = await recorded(vault, consent(cardId=card_id))
    await paid(vault, payment(storeCard="GATEWAY"))
    body = charge()
    await charged(vault, mandate, body)
    (sent,) = await vault.sent(body["paymentRequestId"])
    assert "cardNo" not in sent["paymentMethod"]["paymentMethodMetaData"]

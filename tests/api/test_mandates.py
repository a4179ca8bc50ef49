"""`/v1/mandates`: what a mandate rests on, that the same one is the same one, and how it ends."""

import asyncio
import hashlib
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.gateway import IN_PROCESS, SUCCESS, TOKEN, Puppet
from tests.api.shop import BUYER, Sql, card_on_file, configure, of_tenant, paid, paid_on_file, payment, problem, stored
from tests.api.subscriptions import (
    CONSENT,
    IMPORTED,
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
from tests.canary import CVV_CANARY, MASTERCARD_CANARY, VISA_CANARY
from tests.installation import Installation

pytestmark = pytest.mark.anyio
AUTHENTICATED = {"threeDSVersion": "2.2.0", "eci": "05", "dsTransactionId": "6f1c0000-aaaa"}


def on_payment(view: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """Give the body of a mandate that rests on a payment."""
    return consent(cardId=view["card"]["cardId"], initialPaymentId=view["paymentId"], imported=None, **changes)


def answers(puppet: Puppet, **info: Any) -> None:
    """Let the puppet authorise with these result fields."""
    puppet.says("pay", {"result": SUCCESS, "paymentResultInfo": {"cardToken": TOKEN, **info}})


async def test_a_mandate_shows_what_it_rests_on_in_the_shape_of_the_contract(vault: Installation, sql: Sql) -> None:
    view = await authenticated(vault)
    mark = await sql.mark()
    terms = {
        "maxAmount": {"currency": "EUR", "value": "5000"},
        "validFrom": "2026-01-01T00:00:00Z",
        "validUntil": "2099-01-01T00:00:00Z",
        "minimumIntervalDays": 28,
        "reference": "plan-7",
    }
    answer = await vault.api.post("/v1/mandates", json=on_payment(view, consent=CONSENT, **terms))
    mandate = answer.json()
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"] == f"/v1/mandates/{mandate['mandateId']}"
    assert re.fullmatch(r"man_[a-z2-7]{26}", mandate["mandateId"])
    expected = terms | {
        "status": "ACTIVE",
        "cardId": view["card"]["cardId"],
        "initialPaymentId": view["paymentId"],
        "recurringType": "SCHEDULED",
        "networkTransactionId": view["paymentResultInfo"]["networkTransactionId"],
        "lastChargedAt": None,
        "notBefore": None,
        "endedAt": None,
    }
    assert {name: mandate[name] for name in expected} == expected
    assert set(mandate) == {*expected, "mandateId", "consent", "evidence", "createdAt", "updatedAt"}
    assert await sql.since(mark) == ["mandate.recorded"]
    assert await shown_mandate(vault, mandate) == mandate


@pytest.mark.parametrize("moment", ["2026-01-31T12:00:00+01:00", "2026-01-31T12:00:00Z"])
async def test_consent_is_kept_as_a_hash_with_its_time_and_address(vault: Installation, sql: Sql, moment: str) -> None:
    mandate = await subscribed(vault, consent=CONSENT | {"acceptedAt": moment})
    digest = hashlib.sha256(CONSENT["text"].encode()).hexdigest()
    assert mandate["consent"] == {"textSha256": digest, "acceptedAt": moment, "clientIp": CONSENT["clientIp"]}
    assert not await sql.value("select count(*) from vault.mandate m where m::text like '%each month%'")


async def test_evidence_of_the_gateways_own_3ds_is_kept(vault: Installation) -> None:
    view = await authenticated(vault)
    facts = view["paymentResultInfo"]["threeDSResult"]
    evidence = (await recorded(vault, on_payment(view)))["evidence"]
    assert (evidence["kind"], evidence["eci"], evidence["threeDSVersion"]) == ("THREE_DS", "05", "2.2.0")
    assert evidence["dsTransactionId"] == facts["dsTransactionId"]
    assert evidence["authenticatedAt"] == view["createdAt"]


async def test_authentication_done_elsewhere_counts_and_its_secret_value_is_not_kept(
    vault: Installation, sql: Sql
) -> None:
    mpi = {"threeDSVersion": "2.2.0", "eci": "05", "cavv": "AAABBJkZUQAAAABjRWWZEEFgFz8=", "dsTransactionId": "1f0e"}
    view = await paid(vault, payment(storeCard="BOTH", mpiData=mpi))
    evidence = (await recorded(vault, on_payment(view)))["evidence"]
    assert (evidence["kind"], evidence["eci"], evidence["dsTransactionId"]) == ("MPI", "05", "1f0e")
    rows = await sql.rows("select p::text as text from vault.payment p")
    assert not any("AAABB" in row["text"] for row in rows)


async def test_a_card_on_file_payment_can_be_the_first_one(vault: Installation) -> None:
    card_id = (await stored(vault))["cardId"]
    view = await paid_on_file(vault, card_id, card_on_file(is3DSAuthentication=True))
    async with asyncio.timeout(10):
        await vault.sandbox_api.post(view["nextAction"]["url"], data={"outcome": "success"})
        view = await vault.settle(view["paymentId"], "SUCCESS")
    assert (await recorded(vault, on_payment(view)))["evidence"]["kind"] == "THREE_DS"


async def _challenged(puppeteer: Installation, puppet: Puppet, **info: Any) -> dict[str, Any]:
    """Pay with a challenge at a gateway that then tells what it is told to tell."""
    puppet.says("pay", {"result": IN_PROCESS, "normalUrl": "https://acs.example/c"})
    view = await paid(puppeteer, payment(storeCard="GATEWAY", is3DSAuthentication=True))
    puppet.says(
        "inquiryPayment",
        {
            "result": SUCCESS,
            "paymentStatus": "SUCCESS",
            "paymentAmount": view["paymentAmount"],
            "paymentResultInfo": {"cardToken": TOKEN, **info},
        },
    )
    return await puppeteer.settle(view["paymentId"], "SUCCESS")


async def test_a_passed_challenge_without_a_result_is_assumed_to_have_authenticated(
    puppeteer: Installation, puppet: Puppet
) -> None:
    view = await _challenged(puppeteer, puppet, networkTransactionId=NTID)
    assert (await recorded(puppeteer, on_payment(view)))["evidence"]["kind"] == "ASSUMED"


async def test_a_merchant_may_want_nothing_assumed(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    await configure(sql, "assumeAuthentication", "false")
    view = await _challenged(puppeteer, puppet, networkTransactionId=NTID)
    problem(await puppeteer.api.post("/v1/mandates", json=on_payment(view)), 422, "authentication_evidence_missing")


async def test_a_result_that_is_no_full_authentication_is_not_assumed_to_be_one(
    puppeteer: Installation, puppet: Puppet
) -> None:
    view = await _challenged(puppeteer, puppet, networkTransactionId=NTID, threeDSResult=AUTHENTICATED | {"eci": "06"})
    problem(await puppeteer.api.post("/v1/mandates", json=on_payment(view)), 422, "authentication_evidence_missing")


async def test_a_payment_without_authentication_carries_no_mandate(vault: Installation, sql: Sql) -> None:
    """SCA-2."""
    view = await paid(vault, payment(storeCard="GATEWAY"))
    mark = await sql.mark()
    answer = await vault.api.post("/v1/mandates", json=on_payment(view))
    document = problem(answer, 422, "authentication_evidence_missing")
    assert document["errors"] == [{"pointer": "/initialPaymentId", "code": "invalid_value"}]
    assert await sql.since(mark) == []


async def test_a_missing_network_id_is_asked_for_once_and_found(
    puppeteer: Installation, puppet: Puppet, sql: Sql
) -> None:
    answers(puppet, threeDSResult=AUTHENTICATED)
    view = await paid(puppeteer, payment(storeCard="GATEWAY"))
    assert await sql.alarms() == {"network_transaction_id_missing"}
    found = {"result": SUCCESS, "paymentStatus": "SUCCESS", "paymentAmount": view["paymentAmount"]}
    puppet.says("inquiryPayment", found | {"paymentResultInfo": {"networkTransactionId": NTID}})
    mandate = await recorded(puppeteer, on_payment(view))
    assert (mandate["networkTransactionId"], puppet.count("inquiryPayment")) == (NTID, 1)


async def test_a_network_id_that_the_gateway_does_not_know_refuses_the_mandate(
    puppeteer: Installation, puppet: Puppet
) -> None:
    """COF-5."""
    answers(puppet, threeDSResult=AUTHENTICATED)
    view = await paid(puppeteer, payment(storeCard="GATEWAY"))
    puppet.says(
        "inquiryPayment", {"result": SUCCESS, "paymentStatus": "SUCCESS", "paymentAmount": view["paymentAmount"]}
    )
    answer = await puppeteer.api.post("/v1/mandates", json=on_payment(view))
    problem(answer, 422, "network_transaction_id_missing")
    puppet.says("inquiryPayment", {"result": {"resultCode": "SYSTEM_ERROR", "resultStatus": "F"}})
    answer = await puppeteer.api.post("/v1/mandates", json=on_payment(view))
    problem(answer, 422, "network_transaction_id_missing")


async def test_a_payment_that_did_not_succeed_carries_no_mandate(vault: Installation) -> None:
    card_id = (await stored(vault))["cardId"]
    body = card_on_file(is3DSAuthentication=False)
    await vault.arm(body["paymentRequestId"], "DECLINE:DO_NOT_HONOR")
    view = await paid_on_file(vault, card_id, body)
    answer = await vault.api.post("/v1/mandates", json=on_payment(view))
    problem(answer, 422, "initial_payment_unsuitable")


async def test_a_payment_with_another_card_carries_no_mandate(vault: Installation) -> None:
    view, other = await authenticated(vault), await stored(vault, None)
    assert other["cardId"] == view["card"]["cardId"]
    second = await authenticated(vault, MASTERCARD_CANARY)
    body = on_payment(view) | {"cardId": second["card"]["cardId"]}
    problem(await vault.api.post("/v1/mandates", json=body), 422, "initial_payment_unsuitable")


async def test_a_charge_without_the_buyer_carries_no_further_mandate(vault: Installation) -> None:
    view = await charged(vault, await subscribed(vault))
    problem(await vault.api.post("/v1/mandates", json=on_payment(view)), 422, "initial_payment_unsuitable")


async def test_unknown_cards_and_payments_are_not_there(vault: Installation) -> None:
    problem(await vault.api.post("/v1/mandates", json=consent()), 404, "not_found")
    body = consent(cardId=(await stored(vault))["cardId"], initialPaymentId="pay_x", imported=None)
    problem(await vault.api.post("/v1/mandates", json=body), 404, "not_found")


async def test_another_merchants_card_cannot_be_charged(vault: Installation) -> None:
    """T-45."""
    card_id = (await stored(vault))["cardId"]
    async with of_tenant(vault, 1) as other:
        problem(await other.post("/v1/mandates", json=consent(cardId=card_id)), 404, "not_found")


async def test_a_mandate_rests_on_exactly_one_thing(vault: Installation) -> None:
    for sources in ({"imported": None}, {"initialPaymentId": "pay_x"}):
        document = problem(await vault.api.post("/v1/mandates", json=consent(**sources)), 422, "request_invalid")
        assert document["errors"] == [{"pointer": "", "code": "mandate_source"}]


async def test_an_imported_agreement_keeps_its_date(vault: Installation) -> None:
    mandate = await subscribed(vault)
    assert (mandate["networkTransactionId"], mandate["initialPaymentId"]) == (NTID, None)
    assert (mandate["evidence"]["kind"], mandate["evidence"]["authenticatedAt"]) == (
        "IMPORTED",
        "2025-01-31T12:00:00+01:00",
    )


async def test_nothing_can_have_been_authenticated_or_agreed_to_tomorrow(vault: Installation) -> None:
    card_id, tomorrow = (await stored(vault))["cardId"], (datetime.now(UTC) + timedelta(days=1)).isoformat()
    for member, given, moment in (("imported", IMPORTED, "authenticatedAt"), ("consent", CONSENT, "acceptedAt")):
        body = consent(cardId=card_id, imported=IMPORTED) | {member: given | {moment: tomorrow}}
        document = problem(await vault.api.post("/v1/mandates", json=body), 422, "request_invalid")
        assert document["errors"] == [{"pointer": f"/{member}/{moment}", "code": "invalid_value"}]


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"validUntil": "2020-01-01T00:00:00Z"}, "/validUntil", "invalid_value"),
        ({"validFrom": "2098-01-02T00:00:00Z", "validUntil": "2098-01-01T00:00:00Z"}, "/validUntil", "invalid_value"),
        ({"maxAmount": {"currency": "XXX", "value": "1"}}, "/maxAmount/currency", "currency_invalid"),
        ({"minimumIntervalDays": 0}, "/minimumIntervalDays", "invalid_value"),
        ({"recurringType": "SOMETIMES"}, "/recurringType", "invalid_value"),
        ({"cvv": CVV_CANARY}, "", "unknown_field"),
    ],
)
async def test_terms_that_nobody_can_keep_are_refused(
    vault: Installation, changes: dict[str, Any], pointer: str, code: str
) -> None:
    body = consent(cardId=(await stored(vault))["cardId"]) | changes
    document = problem(await vault.api.post("/v1/mandates", json=body), 422, "request_invalid")
    assert document["errors"] == [{"pointer": pointer, "code": code}]


async def test_a_reference_like_a_card_number_is_refused_where_the_merchant_wants_that(
    vault: Installation, sql: Sql
) -> None:
    await configure(sql, "referencePolicy", '"reject"')
    body = consent(cardId=(await stored(vault))["cardId"], reference=VISA_CANARY)
    document = problem(await vault.api.post("/v1/mandates", json=body), 422, "pan_in_free_text")
    assert document["errors"] == [{"pointer": "/reference", "code": "pan_in_free_text"}]


async def test_a_disabled_card_gets_no_mandate(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    await sql.change("update vault.card set status = 'DISABLED'")
    problem(await vault.api.post("/v1/mandates", json=consent(cardId=card_id)), 409, "card_disabled")


@pytest.mark.parametrize("region", ["BR", "KR", "CL", "MX", "PE"])
async def test_cards_of_excluded_regions_are_refused(puppeteer: Installation, puppet: Puppet, region: str) -> None:
    answers(puppet, networkTransactionId=NTID, threeDSResult=AUTHENTICATED, paymentMethodRegion=region)
    view = await paid(puppeteer, payment(storeCard="GATEWAY"))
    problem(await puppeteer.api.post("/v1/mandates", json=on_payment(view)), 422, "mandate_region_refused")


@pytest.mark.parametrize("region", ["GLOBAL", "FR", None])
async def test_cards_of_other_regions_and_of_none_are_taken(
    puppeteer: Installation, puppet: Puppet, region: str | None
) -> None:
    answers(puppet, networkTransactionId=NTID, threeDSResult=AUTHENTICATED, paymentMethodRegion=region)
    view = await paid(puppeteer, payment(storeCard="GATEWAY"))
    assert (await recorded(puppeteer, on_payment(view)))["status"] == "ACTIVE"


async def test_an_excluded_region_can_be_a_mere_warning(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    await configure(sql, "mandateRegionPolicy", '"warn"')
    answers(puppet, networkTransactionId=NTID, threeDSResult=AUTHENTICATED, paymentMethodRegion="BR")
    view = await paid(puppeteer, payment(storeCard="GATEWAY"))
    mandate = await recorded(puppeteer, on_payment(view))
    assert (await sql.events("mandate.recorded"))[-1]["details"]["region_excluded"] is True
    assert (await charged(puppeteer, mandate))["paymentStatus"] == "SUCCESS"
    await configure(sql, "mandateRegionPolicy", '"refuse"')
    problem(await attempt(puppeteer, mandate), 422, "mandate_region_refused")


async def test_a_storing_payment_with_a_network_id_raises_no_alarm(vault: Installation, sql: Sql) -> None:
    await paid(vault, payment(storeCard="BOTH"))
    assert await sql.alarms() == set()


async def test_the_same_mandate_again_is_the_same_mandate(vault: Installation, sql: Sql) -> None:
    view = await authenticated(vault)
    first = await recorded(vault, on_payment(view))
    mark = await sql.mark()
    assert await recorded(vault, on_payment(view, reference="other"), 200) == first
    assert await sql.since(mark) == []
    assert (await recorded(vault, on_payment(view, recurringType="UNSCHEDULED")))["mandateId"] != first["mandateId"]
    imported = consent(cardId=view["card"]["cardId"])
    second = await recorded(vault, imported)
    assert second["mandateId"] != first["mandateId"]
    assert await recorded(vault, imported, 200) == second


async def test_many_at_once_are_one_mandate(vault: Installation, sql: Sql) -> None:
    """T-31."""
    body = consent(cardId=(await stored(vault))["cardId"])
    answers = await asyncio.gather(*(vault.api.post("/v1/mandates", json=body) for _ in range(12)))
    assert sorted(answer.status_code for answer in answers) == [200] * 11 + [201]
    assert (await sql.count("mandate"), len(await sql.events("mandate.recorded"))) == (1, 1)


async def test_a_mandate_whose_window_is_over_makes_room_for_a_new_one(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    first = await recorded(vault, consent(cardId=card_id, validUntil="2099-01-01T00:00:00Z"))
    await sql.change("update vault.mandate set valid_until = now() - interval '1 minute'")
    assert (await shown_mandate(vault, first))["status"] == "EXPIRED"
    mark = await sql.mark()
    second = await recorded(vault, consent(cardId=card_id))
    assert second["mandateId"] != first["mandateId"]
    assert await sql.since(mark) == ["mandate.expired", "mandate.recorded"]
    assert (await shown_mandate(vault, first))["status"] == "EXPIRED"
    problem(await attempt(vault, first), 409, "mandate_expired")


async def test_an_ended_mandate_stays_ended_and_is_ended_once(vault: Installation, sql: Sql) -> None:
    mandate = await subscribed(vault)
    mark = await sql.mark()
    for _ in range(2):
        assert (await vault.api.delete(f"/v1/mandates/{mandate['mandateId']}")).status_code == 204
    assert await sql.since(mark) == ["mandate.ended"]
    view = await shown_mandate(vault, mandate)
    assert (view["status"], view["endedAt"] is not None, view["networkTransactionId"]) == ("ENDED", True, NTID)
    assert (await recorded(vault, consent(cardId=mandate["cardId"])))["mandateId"] != mandate["mandateId"]


async def test_an_unknown_mandate_is_not_there(vault: Installation) -> None:
    problem(await vault.api.get("/v1/mandates/man_x"), 404, "not_found")
    problem(await vault.api.delete("/v1/mandates/man_x"), 404, "not_found")


async def test_a_cards_mandates_are_listed_newest_first_in_pages(vault: Installation) -> None:
    card_id = (await stored(vault))["cardId"]
    ids = [IMPORTED | {"networkTransactionId": f"NTID{number}"} for number in range(3)]
    made = [(await recorded(vault, consent(cardId=card_id, imported=each)))["mandateId"] for each in ids]
    first = (await vault.api.get(f"/v1/cards/{card_id}/mandates", params={"limit": 2})).json()
    rest = (
        await vault.api.get(f"/v1/cards/{card_id}/mandates", params={"limit": 2, "cursor": first["nextCursor"]})
    ).json()
    shown = [mandate["mandateId"] for mandate in first["mandates"] + rest["mandates"]]
    assert (shown, rest["nextCursor"]) == (made[::-1], None)


async def test_deleting_a_card_ends_its_mandates_and_keeps_the_consent(vault: Installation, sql: Sql) -> None:
    mandate = await subscribed(vault, consent=CONSENT)
    mark = await sql.mark()
    assert (await vault.api.delete(f"/v1/cards/{mandate['cardId']}")).status_code == 204
    assert await sql.since(mark) == ["mandate.ended", "card.deleted"]
    view = await shown_mandate(vault, mandate)
    assert (view["status"], view["consent"]) == ("ENDED", mandate["consent"])
    problem(await attempt(vault, mandate), 409, "mandate_ended")


async def test_erasing_a_buyer_leaves_nothing_of_the_buyer_in_mandates(vault: Installation, sql: Sql) -> None:
    """T-29."""
    mandate = await subscribed(vault, consent=CONSENT, reference="plan-of-ana")
    await vault.api.delete(f"/v1/cards/{mandate['cardId']}")
    assert (await vault.api.delete(f"/v1/buyers/{BUYER}")).status_code == 204
    view = await shown_mandate(vault, mandate)
    assert (view["status"], view["consent"], view["reference"]) == ("ENDED", None, None)
    kept = await sql.value("select m::text from vault.mandate m")
    assert not any(text in kept for text in (BUYER, "plan-of-ana", CONSENT["clientIp"], NTID))
    assert (await sql.events("mandate.ended"))[-1]["reason"] == "buyer_erased"
    mark = await sql.mark()
    assert (await vault.api.delete(f"/v1/buyers/{BUYER}")).status_code == 204
    assert await sql.since(mark) == []


async def test_erasing_a_buyer_takes_the_name_off_charges(vault: Installation, sql: Sql) -> None:
    mandate = await subscribed(vault)
    await charged(vault, mandate, charge(metadata={"plan": "ana"}))
    assert (await vault.api.delete(f"/v1/buyers/{BUYER}")).status_code == 204
    assert await sql.value("select count(*) from vault.payment where buyer is not null or metadata is not null") == 0
    assert (await sql.events("buyer.erased"))[-1]["details"] == {
        "cards": 1,
        "mandates": 1,
        "payments": 1,
        "vaultings": 0,
    }

"""The retry guard over HTTP: what would break a rule of the card's network is refused before the call."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest

from tests.api.conftest import QUICK
from tests.api.gateway import IN_PROCESS, Puppet, courier, failure, told
from tests.api.shop import Sql, card_on_file, paid, paid_on_file, payment, problem, store, stored, type_card
from tests.api.subscriptions import attempt, charge, charged, consent, recorded, subscribed
from tests.canary import AMEX_CANARY, MASTERCARD_CANARY, SECOND_VISA_CANARY, VISA_CANARY
from tests.installation import Blueprint, Installation, installed, served

pytestmark = pytest.mark.anyio
DECLINED = "DO_NOT_HONOR:05"


@pytest.fixture
async def vault(blueprint: Blueprint, onboarded_url: str) -> AsyncIterator[Installation]:
    """A running vault that keeps to the networks' rules."""
    async with installed(blueprint, onboarded_url, sandbox=QUICK, retry_guard=True) as installation:
        yield installation


async def tried(vault: Installation, body: dict[str, Any], words: str | None = DECLINED) -> httpx2.Response:
    """Pay with card data and have it declined in these words, or not."""
    if words is not None:
        await vault.arm(body["paymentRequestId"], f"DECLINE:{words}")
    return await vault.api.post("/v1/payments", json=body)


async def declined(vault: Installation, number: str = VISA_CANARY, words: str = DECLINED, **changes: Any) -> None:
    answer = await tried(vault, payment(number, **changes), words)
    assert (answer.status_code, answer.json()["paymentStatus"]) == (201, "FAIL"), answer.text


async def refused(vault: Installation, body: dict[str, Any], rule: str, path: str = "/v1/payments") -> dict[str, Any]:
    """Pay, and check that a rule forbids it and that nothing was sent."""
    document = problem(await vault.api.post(path, json=body), 409, "retry_limit")
    assert (document["rule"], document["retryable"], document["rulesVersion"]) == (rule, False, "2026-11-22")
    assert await vault.sent(body["paymentRequestId"]) == []
    return document


async def used_up(vault: Installation, sql: Sql, number: str, count: int, amount: str = "2590") -> None:
    """Decline a number once over HTTP, and write the rest of the declines behind the vault's back."""
    await declined(vault, number, paymentAmount={"currency": "EUR", "value": amount})
    await sql.change(
        "insert into vault.card_attempt (merchant_id, print, print_key_id, place, payment_id, currency, value, network, "
        "declined_at, kept) select merchant_id, print, print_key_id, n + 1000, payment_id || n, currency, value, network, "
        "declined_at + make_interval(secs => n), kept from vault.card_attempt, generate_series(1, $1) as n "
        "where place < 1000 and value = $2",
        count - 1,
        int(amount),
    )


async def age(sql: Sql, span: timedelta) -> None:
    """Let time pass for what was declined."""
    await sql.change("update vault.card_attempt set declined_at = declined_at - $1::interval", span)


async def test_the_last_place_of_a_limit_is_used_and_no_more(vault: Installation, sql: Sql) -> None:
    """RTY-3."""
    await used_up(vault, sql, VISA_CANARY, 14)
    await declined(vault)
    body = payment()
    document = await refused(vault, body, "visa_30_days")
    assert document["retry"] == "LATER"
    first = await sql.value("select min(declined_at) from vault.card_attempt")
    assert datetime.fromisoformat(document["notBefore"]) == first + timedelta(days=30)
    assert (await vault.api.get("/v1/payments", params={"paymentRequestId": body["paymentRequestId"]})).json()[
        "payments"
    ] == []
    await age(sql, timedelta(days=30))
    assert (await paid(vault, body))["paymentStatus"] == "SUCCESS"


async def test_another_amount_is_another_count_for_visa_alone(vault: Installation, sql: Sql) -> None:
    """RTY-3, RTY-5."""
    cheaper = {"currency": "EUR", "value": "700"}
    await used_up(vault, sql, VISA_CANARY, 15)
    assert (await paid(vault, payment(paymentAmount=cheaper)))["paymentStatus"] == "SUCCESS"
    await used_up(vault, sql, MASTERCARD_CANARY, 10, "2591")
    await refused(vault, payment(MASTERCARD_CANARY, paymentAmount=cheaper), "mastercard_24_hours")
    await age(sql, timedelta(hours=24))
    assert (await paid(vault, payment(MASTERCARD_CANARY, paymentAmount=cheaper)))["paymentStatus"] == "SUCCESS"


async def test_a_network_without_rules_is_not_counted(vault: Installation, sql: Sql) -> None:
    await declined(vault, AMEX_CANARY, card={"cardNo": AMEX_CANARY, "expiryMonth": "11", "expiryYear": "39"})
    assert await sql.count("card_attempt") == 0


async def test_what_no_network_has_seen_is_not_counted(vault: Installation, sql: Sql) -> None:
    for words in ("PARAM_ILLEGAL", "USER_PAYMENT_VERIFICATION_FAILED"):
        await declined(vault, words=words)
    body = payment()
    await vault.arm(body["paymentRequestId"], "RESET")
    await vault.api.post("/v1/payments", json=body)
    assert await sql.value("select count(*) from vault.card_attempt where declined_at is not null") == 0


async def test_a_card_that_nobody_knows_before_is_not_counted(vault: Installation, sql: Sql) -> None:
    body = payment()
    del body["card"]
    await vault.arm(body["paymentRequestId"], f"DECLINE:{DECLINED}")
    view = await paid(vault, body)
    await type_card(view["nextAction"]["url"])
    assert (await vault.settle(view["paymentId"]))["paymentStatus"] == "FAIL"
    assert await sql.count("card_attempt") == 0


async def test_a_success_leaves_nothing(vault: Installation, sql: Sql) -> None:
    for body in (payment(), payment(storeCard="VAULT")):
        assert (await paid(vault, body))["paymentStatus"] == "SUCCESS"
    assert await sql.count("card_attempt") == 0


async def test_an_open_attempt_holds_its_place_until_its_outcome_is_known(vault: Installation, sql: Sql) -> None:
    await used_up(vault, sql, VISA_CANARY, 14)
    view = await paid(vault, payment(is3DSAuthentication=True))
    await refused(vault, payment(), "visa_30_days")
    await vault.sandbox_api.post(view["nextAction"]["url"], data={"outcome": "success"})
    await vault.settle(view["paymentId"])
    await declined(vault)
    await refused(vault, payment(), "visa_30_days")


async def test_a_cancelled_attempt_frees_its_place(vault: Installation, sql: Sql) -> None:
    await used_up(vault, sql, VISA_CANARY, 14)
    view = await paid(vault, payment(is3DSAuthentication=True))
    await vault.api.post(f"/v1/payments/{view['paymentId']}/cancel", json={})
    await vault.settle(view["paymentId"], "CANCELLED")
    assert (await paid(vault, payment()))["paymentStatus"] == "SUCCESS"


async def test_the_count_is_the_numbers_by_whatever_way_it_is_charged(vault: Installation, sql: Sql) -> None:
    """RTY-7."""
    card_id = (await stored(vault))["cardId"]
    price = card_on_file()["paymentAmount"]["value"]
    await used_up(vault, sql, VISA_CANARY, 15, price)
    await refused(vault, card_on_file(), "visa_30_days", f"/v1/cards/{card_id}/payments")
    await refused(vault, payment(paymentAmount={"currency": "EUR", "value": price}), "visa_30_days")
    another = (await stored(vault, store(buyer="buyer-2")))["cardId"]
    await refused(vault, card_on_file(), "visa_30_days", f"/v1/cards/{another}/payments")
    assert (await vault.api.delete(f"/v1/cards/{card_id}")).status_code == 204
    assert (await vault.api.delete("/v1/buyers/buyer-2")).status_code == 204
    again = (await stored(vault))["cardId"]
    assert again not in {card_id, another}
    await refused(vault, card_on_file(), "visa_30_days", f"/v1/cards/{again}/payments")


async def test_a_token_of_the_gateway_counts_with_the_number_it_is_for(vault: Installation, sql: Sql) -> None:
    """RTY-7."""
    view = await paid(vault, payment(storeCard="GATEWAY"))
    path = f"/v1/cards/{view['card']['cardId']}/payments"
    same: dict[str, Any] = {"paymentAmount": {"currency": "EUR", "value": "2590"}}
    await used_up(vault, sql, VISA_CANARY, 14)
    body = card_on_file(**same)
    await vault.arm(body["paymentRequestId"], f"DECLINE:{DECLINED}")
    assert (await vault.api.post(path, json=body)).json()["paymentStatus"] == "FAIL"
    await refused(vault, payment(), "visa_30_days")
    await refused(vault, card_on_file(**same), "visa_30_days", path)
    session = {key: value for key, value in card_on_file(**same).items() if key != "captureMode"}
    await refused(vault, session | {"cardId": view["card"]["cardId"]}, "visa_30_days", "/v1/payment-sessions")


async def test_a_merchant_does_not_count_for_another(vault: Installation, sql: Sql) -> None:
    await used_up(vault, sql, VISA_CANARY, 15)
    answer = await vault.api.post("/v1/payments", json=payment(), headers=vault.tenants[1].headers)
    assert answer.json()["paymentStatus"] == "SUCCESS"


async def test_visas_first_category_is_for_good_while_the_card_is_stored(vault: Installation, sql: Sql) -> None:
    """RTY-2."""
    card_id = (await stored(vault))["cardId"]
    body = card_on_file()
    await vault.arm(body["paymentRequestId"], "DECLINE:DO_NOT_HONOR:57")
    await paid_on_file(vault, card_id, body)
    await age(sql, timedelta(days=400))
    assert await vault.services.retry_guard.purge() is False
    document = await refused(vault, payment(), "visa_category_1")
    assert (document["retry"], document["notBefore"]) == ("NEVER", None)
    assert (await paid(vault, payment(SECOND_VISA_CANARY)))["paymentStatus"] == "SUCCESS"
    await vault.api.delete(f"/v1/cards/{card_id}")
    await vault.services.retry_guard.purge()
    assert await sql.count("card_attempt") == 0


async def test_declines_go_when_no_rule_looks_at_them_any_more(vault: Installation, sql: Sql) -> None:
    await declined(vault, words="DO_NOT_HONOR:41")
    await declined(vault, SECOND_VISA_CANARY)
    opened = await paid(vault, payment(MASTERCARD_CANARY, is3DSAuthentication=True))
    await age(sql, timedelta(days=29, hours=23))
    await vault.services.retry_guard.purge()
    assert await sql.count("card_attempt") == 3
    await age(sql, timedelta(hours=2))
    await vault.services.retry_guard.purge()
    assert await sql.value("select payment_id from vault.card_attempt") == opened["paymentId"]


async def test_a_revoked_agreement_blocks_its_kind_of_charge_alone(vault: Installation) -> None:
    """RTY-2."""
    card_id = (await stored(vault))["cardId"]
    kinds = ("SCHEDULED", "UNSCHEDULED")
    first, second = [await recorded(vault, consent(cardId=card_id, recurringType=kind)) for kind in kinds]
    for mandate, code in ((first, "R0"), (second, "R3")):
        body = charge()
        await vault.arm(body["paymentRequestId"], f"DECLINE:DO_NOT_HONOR:{code}")
        assert (await charged(vault, mandate, body))["paymentStatus"] == "FAIL"
        if code == "R0":
            assert problem(await attempt(vault, first), 409, "retry_limit")["rule"] == "visa_stopped_payment"
    third = await recorded(vault, consent(cardId=card_id))
    assert problem(await attempt(vault, third), 409, "retry_limit")["rule"] == "visa_all_stopped"
    assert (await paid_on_file(vault, card_id))["paymentStatus"] == "SUCCESS"


async def test_advice_is_kept_to_for_its_time(vault: Installation, sql: Sql) -> None:
    """RTY-6."""
    view = (await tried(vault, payment(MASTERCARD_CANARY), "DO_NOT_HONOR:51:24")).json()
    document = await refused(vault, payment(MASTERCARD_CANARY), "advice_wait_1_hour")
    assert document["retry"] == view["declined"]["retry"] == "LATER"
    early = datetime.fromisoformat(document["notBefore"]) - datetime.fromisoformat(view["declined"]["notBefore"])
    assert abs(early) < timedelta(minutes=1)
    await age(sql, timedelta(hours=1))
    await declined(vault, MASTERCARD_CANARY, "DO_NOT_HONOR:05:03")
    assert (await refused(vault, payment(MASTERCARD_CANARY), "advice_never"))["retry"] == "NEVER"


@pytest.mark.parametrize("place", ["VAULT", "GATEWAY"])
async def test_an_expiry_that_was_declined_is_corrected_first(vault: Installation, place: str) -> None:
    """RTY-4."""
    card_id = (await paid(vault, payment(storeCard=place)))["card"]["cardId"]
    path, body = f"/v1/cards/{card_id}/payments", card_on_file()
    await vault.arm(body["paymentRequestId"], "DECLINE:CARD_EXPIRED:54")
    await paid_on_file(vault, card_id, body)
    document = await refused(vault, card_on_file(), "visa_expired_card", path)
    assert document["retry"] == "FIX_DATA"
    if place == "VAULT":
        await refused(vault, payment(), "visa_expired_card")
        corrected = {"expiryMonth": "01", "expiryYear": "42"}
        assert (await vault.api.patch(f"/v1/cards/{card_id}", json=corrected)).status_code == 200
        assert (await paid_on_file(vault, card_id))["paymentStatus"] == "SUCCESS"


async def test_a_charge_that_wants_authentication_waits_for_the_buyer(vault: Installation) -> None:
    """RTY-8."""
    mandate = await subscribed(vault)
    body = charge()
    await vault.arm(body["paymentRequestId"], "DECLINE:AUTHENTICATION_REQUIRED:1A")
    assert (await charged(vault, mandate, body))["paymentStatus"] == "FAIL"
    document = problem(await attempt(vault, mandate), 409, "retry_limit")
    assert (document["rule"], document["retry"]) == ("visa_authentication", "AUTHENTICATE")
    assert (await paid_on_file(vault, mandate["cardId"]))["paymentStatus"] == "SUCCESS"
    assert (await charged(vault, mandate))["paymentStatus"] == "SUCCESS"


async def test_a_refusal_is_audited_with_the_rules_version(vault: Installation, sql: Sql) -> None:
    card_id = (await stored(vault))["cardId"]
    await declined(vault, words="DO_NOT_HONOR:57")
    mark = await sql.mark()
    await refused(vault, card_on_file(), "visa_category_1", f"/v1/cards/{card_id}/payments")
    [event] = await sql.after(mark)
    assert (event["type"], event["outcome"], event["objects"]) == ("payment.refused", "denied", [card_id])
    assert event["details"] == {
        "kind": "CARD_ON_FILE",
        "rule": "visa_category_1",
        "version": "2026-11-22",
        "retry": "NEVER",
        "not_before": None,
    }


async def test_a_repeat_of_what_was_tried_shows_it_and_is_no_attempt(vault: Installation, sql: Sql) -> None:
    body = payment()
    first = (await tried(vault, body, "DO_NOT_HONOR:41")).json()
    again = await vault.api.post("/v1/payments", json=body)
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (first, "true")
    assert await sql.count("card_attempt") == 1


async def test_later_words_of_a_decline_count_from_its_first(
    blueprint: Blueprint, onboarded_url: str, puppet: Puppet, sql: Sql
) -> None:
    async with installed(blueprint, onboarded_url, gateway_url=puppet.url, retry_guard=True) as vault:
        puppet.says("pay", {"result": failure("DO_NOT_HONOR")})
        view = await paid(vault, payment())
        at = await sql.value("select declined_at from vault.card_attempt")
        news = told(view, failure("DO_NOT_HONOR"), paymentResultInfo={"refusalCodeRaw": "15"})
        assert (await courier(vault, blueprint).bring(news)).status_code == 200
        [row] = await sql.rows("select declined_at, refusal_code, kept from vault.card_attempt")
        assert row == {"declined_at": at, "refusal_code": "15", "kept": "CARD"}
        puppet.says("pay", {"result": IN_PROCESS})
        problem(await vault.api.post("/v1/payments", json=payment()), 409, "retry_limit")
        assert puppet.count("pay") == 1


async def test_two_servers_never_give_the_last_place_twice(
    vault: Installation, blueprint: Blueprint, onboarded_url: str, sql: Sql
) -> None:
    """RTY-7: forty attempts at once at two servers, each with connections of its own."""
    bodies = [payment(MASTERCARD_CANARY, buyer=f"buyer-{number}") for number in range(40)]
    await asyncio.gather(*(vault.arm(body["paymentRequestId"], f"DECLINE:{DECLINED}") for body in bodies))
    async with served(
        blueprint,
        onboarded_url,
        gateway_url=vault.settings.gateway_url,
        public_url=vault.settings.public_url,
        retry_guard=True,
    ) as (_, url):
        urls = (str(vault.api.base_url), url)
        answers = await asyncio.gather(
            *(vault.api.post(f"{urls[n % 2]}/v1/payments", json=body) for n, body in enumerate(bodies))
        )
        assert sorted(answer.status_code for answer in answers) == [201] * 10 + [409] * 30
        sent = [len(await vault.ledger(body["paymentRequestId"])) for body in bodies]
        assert sum(sent) == 10
    # A server that was not there meanwhile knows as much.
    await refused(vault, payment(MASTERCARD_CANARY), "mastercard_24_hours")


async def test_without_the_guard_nothing_is_refused_or_remembered(
    blueprint: Blueprint, onboarded_url: str, vault: Installation, sql: Sql
) -> None:
    await declined(vault, words="DO_NOT_HONOR:41")
    async with installed(blueprint, onboarded_url, retry_guard=False) as other:
        assert (await paid(other, payment()))["paymentStatus"] == "SUCCESS"
        await other.services.retry_guard.purge()
    assert await sql.count("card_attempt") == 0

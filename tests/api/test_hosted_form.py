"""`POST /v1/payments` without a card: the buyer types it on the gateway's page, and the vault never sees it."""

from typing import Any

import pytest

from tests.api.gateway import IN_PROCESS, SUCCESS, TOKEN, Puppet, courier, told
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
)
from tests.canary import SECOND_VISA_CANARY, assert_clean
from tests.installation import Blueprint, Installation

pytestmark = pytest.mark.anyio


def hosted(buyer: str | None = BUYER, **changes: Any) -> dict[str, Any]:
    """Give the body of a payment whose card is typed at the gateway."""
    body = payment(buyer=buyer) | changes
    del body["card"]
    return body


async def test_the_buyer_is_sent_to_the_page_and_nothing_of_a_card_goes_out(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, hosted())
    assert (view["paymentStatus"], view["kind"], view["card"]) == ("PROCESSING", "ONE_OFF", None)
    assert "/checkout/card/" in view["nextAction"]["url"]
    (sent,) = await vault.sent(view["paymentRequestId"])
    assert sent["paymentMethod"] == {"paymentMethodType": "CARD", "paymentMethodMetaData": {"isCardOnFile": False}}
    row = (await sql.rows("select credential, channel, last_four from vault.payment"))[0]
    assert row == {"credential": "UNSEEN", "channel": "PAGE", "last_four": None}


async def test_the_result_comes_by_notification(vault: Installation) -> None:
    view = await paid(vault, hosted())
    assert (await type_card(view["nextAction"]["url"])).status_code == 303
    settled = await vault.settle(view["paymentId"])
    assert (settled["paymentStatus"], settled["nextAction"], settled["card"]) == ("SUCCESS", None, None)
    assert settled["paymentResultInfo"]["lastFour"] == "6057"


async def test_flags_and_address_go_along(vault: Installation) -> None:
    address = {"region": "PT", "city": "Porto", "zipCode": "4000-001"}
    view = await paid(vault, hosted(is3DSAuthentication=True, billingAddress=address, storeCard="GATEWAY"))
    (sent,) = await vault.sent(view["paymentRequestId"])
    details = sent["paymentMethod"]["paymentMethodMetaData"]
    assert details == {
        "isCardOnFile": False,
        "is3DSAuthentication": True,
        "billingAddress": address,
        "tokenize": True,
    }


async def test_a_card_is_stored_that_only_the_gateway_has_seen(vault: Installation, sql: Sql) -> None:
    consent = {"text": "Keep my card", "acceptedAt": "2026-01-31T12:00:00Z", "clientIp": "203.0.113.9"}
    view = await paid(vault, hosted(storeCard="GATEWAY", consent=consent))
    await type_card(view["nextAction"]["url"])
    kept = (await vault.settle(view["paymentId"]))["card"]
    assert (kept["storage"], kept["status"], kept["referenceBuyerId"]) == ("GATEWAY", "ACTIVE", BUYER)
    assert (kept["maskedCardNo"], kept["lastFour"], kept["cardBrand"]) == ("*" * 12 + "6057", "6057", "VISA")
    assert (kept["expiryMonth"], kept["expiryYear"]) == ("11", "39")
    (row,) = await sql.rows(
        "select fingerprint, token_print is not null as known, consent->>'clientIp' as address from vault.card"
    )
    assert row == {"fingerprint": None, "known": True, "address": "203.0.113.9"}
    assert (await paid_on_file(vault, kept["cardId"]))["paymentStatus"] == "SUCCESS"
    assert await sql.count("payment_secret") == 0


async def test_a_box_ticked_on_the_page_stores_the_buyers_card(vault: Installation) -> None:
    view = await paid(vault, hosted())
    await type_card(view["nextAction"]["url"], save="true")
    assert (await vault.settle(view["paymentId"]))["card"]["storage"] == "GATEWAY"


async def test_a_box_ticked_by_nobody_we_know_stores_nothing(vault: Installation, sql: Sql) -> None:
    view = await paid(vault, hosted(buyer=None))
    await type_card(view["nextAction"]["url"], save="true")
    assert (await vault.settle(view["paymentId"]))["card"] is None
    assert await sql.count("card") == 0


async def test_the_address_is_kept_with_the_card(vault: Installation, sql: Sql) -> None:
    address = {"region": "PT", "city": "Porto"}
    view = await paid(vault, hosted(storeCard="GATEWAY", billingAddress=address))
    assert await sql.count("payment_secret") == 1
    await type_card(view["nextAction"]["url"])
    await vault.settle(view["paymentId"])
    assert {row["kind"] for row in await sql.rows("select kind from vault.card_secret")} == {"TOKEN", "PROFILE"}


@pytest.mark.parametrize("where", ["VAULT", "BOTH"])
async def test_a_number_that_is_never_seen_cannot_be_kept(vault: Installation, sql: Sql, where: str) -> None:
    document = problem(await vault.api.post("/v1/payments", json=hosted(storeCard=where)), 422, "card_data_required")
    assert document["errors"] == [{"pointer": "/storeCard", "code": "card_data_required"}]
    assert await sql.count("payment") == 0


async def test_a_card_that_is_refused_is_the_only_fault(vault: Installation) -> None:
    wrong = payment(card=card("4111111111111112"), storeCard="VAULT")
    document = problem(await vault.api.post("/v1/payments", json=wrong), 422, "request_invalid")
    assert [each["code"] for each in document["errors"]] == ["card_number_invalid"]


async def test_authentication_done_elsewhere_needs_its_card(vault: Installation) -> None:
    mpi = {"threeDSVersion": "2.2.0", "eci": "05", "cavv": "AAAB", "dsTransactionId": "1f0e"}
    problem(await vault.api.post("/v1/payments", json=hosted(mpiData=mpi)), 422, "card_data_required")


async def test_a_failure_leaves_nothing(vault: Installation, sql: Sql) -> None:
    body = hosted(storeCard="GATEWAY", billingAddress={"region": "PT"})
    await vault.arm(body["paymentRequestId"], "DECLINE:DO_NOT_HONOR")
    view = await paid(vault, body)
    await type_card(view["nextAction"]["url"])
    settled = await vault.settle(view["paymentId"])
    assert (settled["paymentStatus"], settled["card"]) == ("FAIL", None)
    assert (await sql.count("card"), await sql.count("payment_secret")) == (0, 0)


async def test_a_repeat_shows_the_same_page(vault: Installation) -> None:
    body = hosted()
    first = await paid(vault, body)
    again = await vault.api.post("/v1/payments", json=body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json()["nextAction"] == first["nextAction"]
    typed = body | {"card": card()}
    problem(await vault.api.post("/v1/payments", json=typed), 409, "idempotency_conflict")


async def test_a_lost_answer_is_found_by_the_worker(vault: Installation) -> None:
    body = hosted()
    await vault.arm(body["paymentRequestId"], "LOST_ANSWER")
    view = await paid(vault, body, status=202)
    assert (view["paymentStatus"], view["nextAction"]) == ("UNKNOWN", None)
    found = await vault.settle(view["paymentId"], "PROCESSING")
    await type_card(found["nextAction"]["url"])
    assert (await vault.settle(view["paymentId"]))["paymentStatus"] == "SUCCESS"
    assert len(await vault.ledger(body["paymentRequestId"])) == 1


async def _open(puppeteer: Installation, puppet: Puppet, **changes: Any) -> dict[str, Any]:
    puppet.says("pay", {"result": IN_PROCESS, "normalUrl": "https://gateway.example/card"})
    puppet.says("inquiryPayment", {"result": SUCCESS, "paymentStatus": "SUCCESS", "paymentAmount": None})
    return await paid(puppeteer, hosted(**changes))


SHOWN: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"cardNo": "********1846"}, {"maskedCardNo": "********1846", "cardBrand": "UNKNOWN", "expiryMonth": None}),
    ({"lastFour": "1846", "cardBrand": "VISA"}, {"maskedCardNo": "************1846", "cardBrand": "VISA"}),
    ({"cardNo": "***********1846", "expiryMonth": "07", "expiryYear": "38"}, {"expiryMonth": "07", "cardBin": None}),
    ({"lastFour": "1846", "cardBin": "45397319", "expiryMonth": "07"}, {"cardBin": "453973", "expiryYear": None}),
]


@pytest.mark.parametrize(("told_of_it", "expected"), SHOWN)
async def test_what_the_gateway_shows_of_a_card_is_what_is_known(
    puppeteer: Installation,
    puppet: Puppet,
    blueprint: Blueprint,
    told_of_it: dict[str, Any],
    expected: dict[str, Any],
) -> None:
    view = await _open(puppeteer, puppet)
    info = told_of_it | {"cardToken": TOKEN}
    assert (await courier(puppeteer, blueprint).bring(told(view, paymentResultInfo=info))).status_code == 200
    kept = (await shown(puppeteer, view["paymentId"]))["card"]
    assert {name: kept[name] for name in expected} == expected
    assert (kept["status"], kept["lastFour"]) == ("ACTIVE", "1846")


async def test_an_answer_at_once_stores_the_card_as_well(puppeteer: Installation, puppet: Puppet) -> None:
    info = {"cardToken": TOKEN, "lastFour": "1846", "networkTransactionId": "N1B2C3D4E5F6G7H"}
    puppet.says("pay", {"result": SUCCESS, "paymentResultInfo": info})
    view = await paid(puppeteer, hosted())
    assert (view["paymentStatus"], view["card"]["lastFour"]) == ("SUCCESS", "1846")


async def test_a_token_without_its_last_digits_is_no_card(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    view = await _open(puppeteer, puppet)
    for info in ({"cardToken": TOKEN}, {"cardToken": TOKEN, "cardNo": "4539731908466057"}):
        notice = told(view, paymentResultInfo=info)
        assert (await courier(puppeteer, blueprint).bring(notice)).status_code == 200
    settled = await shown(puppeteer, view["paymentId"])
    assert (settled["paymentStatus"], settled["card"]) == ("SUCCESS", None)
    assert_clean(str(await sql.rows("select * from vault.payment")), "the payment's row")


async def test_the_token_of_a_card_info_counts_as_well(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint
) -> None:
    view = await _open(puppeteer, puppet)
    notice = told(view, cardInfo={"cardToken": TOKEN, "lastFour": "1846"})
    await courier(puppeteer, blueprint).bring(notice)
    assert (await shown(puppeteer, view["paymentId"]))["card"]["lastFour"] == "1846"


async def test_the_same_token_for_the_same_buyer_is_the_same_card(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    info = {"cardToken": TOKEN, "lastFour": "1846", "expiryMonth": "07", "expiryYear": "38"}
    seen = []
    for buyer, newer in ((BUYER, {}), (BUYER, {"expiryYear": "40"}), ("buyer-2", {})):
        view = await _open(puppeteer, puppet, order=order(buyer))
        await courier(puppeteer, blueprint).bring(told(view, paymentResultInfo=info | newer))
        seen.append((await shown(puppeteer, view["paymentId"]))["card"])
    assert seen[0]["cardId"] == seen[1]["cardId"] != seen[2]["cardId"]
    assert (seen[1]["expiryYear"], await sql.count("card")) == ("40", 2)


async def test_an_erased_buyer_gets_no_card(
    puppeteer: Installation, puppet: Puppet, blueprint: Blueprint, sql: Sql
) -> None:
    view = await _open(puppeteer, puppet, storeCard="GATEWAY", billingAddress={"region": "PT"})
    assert (await puppeteer.api.delete(f"/v1/buyers/{BUYER}")).status_code == 204
    info = {"cardToken": TOKEN, "lastFour": "1846"}
    await courier(puppeteer, blueprint).bring(told(view, paymentResultInfo=info))
    assert (await shown(puppeteer, view["paymentId"]))["paymentStatus"] == "SUCCESS"
    assert (await sql.count("card"), await sql.count("payment_secret")) == (0, 0)


async def test_a_card_with_its_number_stays_another_card(vault: Installation) -> None:
    known = await stored(vault, store(SECOND_VISA_CANARY))
    view = await paid(vault, hosted(storeCard="GATEWAY"))
    await type_card(view["nextAction"]["url"], SECOND_VISA_CANARY)
    kept = (await vault.settle(view["paymentId"]))["card"]
    assert kept["cardId"] != known["cardId"]
    assert kept["lastFour"] == known["lastFour"]

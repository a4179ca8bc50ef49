"""Payment options and payments by installments: what is offered is shown, remembered, and held against (5.8)."""

import json
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.api.gateway import SUCCESS, Puppet, failure
from tests.api.shop import Sql, card_on_file, paid, paid_on_file, payment, problem, store, stored
from tests.installation import Installation

pytestmark = pytest.mark.anyio
SAMPLE = json.loads((Path(__file__).parents[1] / "samples" / "consult-response-installments.json").read_text())


def amount(value: int, currency: str = "USD") -> dict[str, str]:
    return {"currency": currency, "value": str(value)}


def by_installments(number: int, value: int = 60_000, currency: str = "USD", **changes: Any) -> dict[str, Any]:
    """Give a payment by installments; in USD up to 6 are offered from 1000 on, up to 12 from 50000 on."""
    return payment(paymentAmount=amount(value, currency), creditPayPlan={"installmentNum": number}) | changes


async def options(vault: Installation, value: int = 60_000, currency: str = "USD", **changes: Any) -> dict[str, Any]:
    answer = await vault.api.post("/v1/payment-options", json={"paymentAmount": amount(value, currency)} | changes)
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


def refused(answer: httpx2.Response, offered: list[int]) -> None:
    document = problem(answer, 422, "installments_not_offered")
    pointer = "/creditPayPlan/installmentNum"
    assert document["errors"] == [{"pointer": pointer, "code": "installments_not_offered"}]
    assert document["installmentNums"] == offered


async def test_options_are_shown_in_the_gateways_words_with_what_fits_the_amount(
    puppeteer: Installation, puppet: Puppet
) -> None:
    puppet.says("consult", SAMPLE)
    view = await options(puppeteer, 600, "BRL")
    assert view["paymentAmount"] == amount(600, "BRL")
    assert view["installmentNums"] == list(range(2, 13))
    card, wallet, *closed = view["paymentOptions"]
    assert (card["paymentMethodType"], card["paymentMethodRegion"], card["funding"]) == ("CARD", ["BR"], ["CREDIT"])
    assert card["supportCardBrands"][3]["cardBrand"] == "VISA"
    plans = card["installment"]["plans"]
    assert [(plan["installmentNum"], plan["applicable"]) for plan in plans] == [
        *((number, True) for number in range(2, 13)),
        *((number, False) for number in range(2, 13)),
    ]
    assert plans[0] == {
        "installmentNum": 2,
        "interval": "MONTH",
        "minInstallmentAmount": amount(500, "BRL"),
        "maxInstallmentAmount": amount(6_000_000, "BRL"),
        "interestRate": "0.00",
        "enabled": True,
        "applicable": True,
    }
    assert (wallet["paymentMethodType"], wallet["enabled"], wallet["installment"]) == ("MERCADOPAGO_BR", True, None)
    assert {option["disableReason"] for option in closed} == {"CURRENT_CHANNEL_NOT_EXIST"}
    ((_, asked),) = puppet.asked
    assert asked["env"] == {"terminalType": "WEB"}
    assert asked["settlementStrategy"] == {"settlementCurrency": "EUR"}


async def test_the_sandbox_offers_what_it_takes(vault: Installation) -> None:
    assert (await options(vault, 2_000))["installmentNums"] == [2, 3, 4, 5, 6]
    assert (await options(vault, 60_000))["installmentNums"] == list(range(2, 13))
    assert (await options(vault, 60_000, "EUR"))["installmentNums"] == []
    view = await paid(vault, by_installments(12))
    assert view["paymentResultInfo"]["creditPayPlan"] == {"installmentNum": "12"}
    (sent,) = await vault.sent(view["paymentRequestId"])
    assert sent["creditPayPlan"] == {"installmentNum": 12}


@pytest.mark.parametrize("number", [0, 1, 37, "three", None])
async def test_a_number_out_of_range_is_refused(vault: Installation, number: Any) -> None:
    document = problem(await vault.api.post("/v1/payments", json=by_installments(number)), 422, "request_invalid")
    assert document["errors"][0]["pointer"] == "/creditPayPlan/installmentNum"


async def test_without_an_offer_the_gateway_decides(vault: Installation) -> None:
    view = await paid(vault, by_installments(7, 2_000))
    assert (view["paymentStatus"], view["gateway"]["resultCode"]) == ("FAIL", "PARAM_ILLEGAL")


async def test_after_an_offer_a_number_that_is_not_in_it_is_refused_before_the_call(
    vault: Installation, sql: Sql
) -> None:
    """The same number is offered for one amount and not for another: number and range count together."""
    await options(vault, 60_000)
    body = by_installments(7, 2_000)
    refused(await vault.api.post("/v1/payments", json=body), [2, 3, 4, 5, 6])
    refused(await vault.api.post("/v1/payments", json=by_installments(2, 999)), [])
    assert await vault.sent(body["paymentRequestId"]) == []
    assert await sql.count("payment") == 0
    assert (await paid(vault, by_installments(7, 60_000)))["paymentStatus"] == "SUCCESS"
    assert (await paid(vault, body | {"creditPayPlan": {"installmentNum": 6}}))["paymentStatus"] == "SUCCESS"


async def test_a_stored_card_is_held_to_the_offer_for_its_region(vault: Installation) -> None:
    await options(vault)
    card_id = (await stored(vault, store(paymentMethodRegion="US")))["cardId"]
    path = f"/v1/cards/{card_id}/payments"
    asked: dict[str, Any] = {"paymentAmount": amount(2_000), "creditPayPlan": {"installmentNum": 7}}
    refused(await vault.api.post(path, json=card_on_file(**asked)), [2, 3, 4, 5, 6])
    other = card_on_file(**asked, paymentMethodRegion="GLOBAL")
    assert (await paid_on_file(vault, card_id, other))["gateway"]["resultCode"] == "PARAM_ILLEGAL"


async def test_an_offer_is_forgotten_after_a_while(vault: Installation, sql: Sql) -> None:
    await options(vault)
    await sql.change("update vault.installment_offer set consulted_at = consulted_at - interval '10 minutes'")
    assert (await paid(vault, by_installments(7, 2_000)))["gateway"]["resultCode"] == "PARAM_ILLEGAL"
    await options(vault)
    refused(await vault.api.post("/v1/payments", json=by_installments(7, 2_000)), [2, 3, 4, 5, 6])
    assert await sql.count("installment_offer") == 1


async def test_an_offer_counts_for_its_merchant_and_currency_alone(vault: Installation) -> None:
    await options(vault)
    other = await vault.api.post("/v1/payments", json=by_installments(7, 2_000), headers=vault.tenants[1].headers)
    assert other.json()["gateway"]["resultCode"] == "PARAM_ILLEGAL"
    assert (await paid(vault, by_installments(7, 2_000, "BRL")))["paymentStatus"] == "SUCCESS"


async def test_a_repeat_finds_its_payment_although_the_offer_is_another_by_now(vault: Installation) -> None:
    body = by_installments(7, 2_000)
    first = await paid(vault, body)
    await options(vault)
    again = await vault.api.post("/v1/payments", json=body)
    assert (again.json()["paymentId"], again.headers["Idempotent-Replayed"]) == (first["paymentId"], "true")


async def test_cards_that_are_offered_without_plans_cannot_be_paid_in_plans(
    puppeteer: Installation, puppet: Puppet
) -> None:
    plain = {"paymentMethodType": "CARD", "enabled": True}
    puppet.says("consult", {"result": SUCCESS, "paymentOptions": [plain]})
    view = await options(puppeteer)
    assert (view["installmentNums"], view["paymentOptions"][0]["paymentMethodRegion"]) == ([], [])
    refused(await puppeteer.api.post("/v1/payments", json=by_installments(2)), [])


async def test_what_is_disabled_or_no_card_is_no_offer(puppeteer: Installation, puppet: Puppet, sql: Sql) -> None:
    card, wallet, *_ = SAMPLE["paymentOptions"]
    disabled = card | {"enabled": False, "disableReason": "CHANNEL_DISABLE"}
    puppet.says("consult", {"result": SUCCESS, "paymentOptions": [disabled, wallet]})
    assert (await options(puppeteer, 600, "BRL"))["installmentNums"] == []
    assert await sql.count("installment_offer") == 0


async def test_offers_for_one_region_add_up(puppeteer: Installation, puppet: Puppet) -> None:
    card = SAMPLE["paymentOptions"][0]
    halves = [
        card | {"installment": {"plans": card["installment"]["plans"][part]}} for part in (slice(3), slice(8, 11))
    ]
    puppet.says("consult", {"result": SUCCESS, "paymentOptions": halves})
    assert (await options(puppeteer, 600, "BRL"))["installmentNums"] == [2, 3, 4, 10, 11, 12]
    refused(await puppeteer.api.post("/v1/payments", json=by_installments(5, 600, "BRL")), [2, 3, 4, 10, 11, 12])


async def test_a_refusal_of_the_gateway_is_shown_and_offers_nothing(puppeteer: Installation, puppet: Puppet) -> None:
    puppet.says("consult", {"result": failure("CURRENCY_NOT_SUPPORT"), "paymentOptions": SAMPLE["paymentOptions"]})
    view = await options(puppeteer)
    assert view["gateway"]["resultCode"] == "CURRENCY_NOT_SUPPORT"
    assert (view["paymentOptions"], view["installmentNums"]) == ([], [])


@pytest.mark.parametrize(
    "answer",
    [{"result": {"resultCode": "UNKNOWN_EXCEPTION", "resultStatus": "U", "resultMessage": ""}}, {"result": "S"}],
)
async def test_an_answer_that_says_nothing_is_none(
    puppeteer: Installation, puppet: Puppet, answer: dict[str, Any]
) -> None:
    puppet.says("consult", answer)
    asked = await puppeteer.api.post("/v1/payment-options", json={"paymentAmount": amount(600)})
    assert problem(asked, 503, "gateway_unavailable")["retryable"] is True
    assert asked.headers["Retry-After"]


async def test_a_gateway_that_cannot_be_reached_is_said_to_be(puppeteer: Installation) -> None:
    puppeteer.services.options._client._origin = "http://127.0.0.1:9"
    asked = await puppeteer.api.post("/v1/payment-options", json={"paymentAmount": amount(600)})
    problem(asked, 503, "gateway_unavailable")


async def test_an_impossible_question_is_refused_here(vault: Installation) -> None:
    asked = {"paymentAmount": amount(600, "XXY")}
    document = problem(await vault.api.post("/v1/payment-options", json=asked), 422, "request_invalid")
    assert document["errors"] == [{"pointer": "/paymentAmount/currency", "code": "currency_invalid"}]

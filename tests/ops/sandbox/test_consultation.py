"""What can be paid with, by how many installments, and that `pay` takes exactly what `consult` offers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ops.sandbox.config import RegionalRule
from ops.sandbox.installments import OFFERS
from tests.ops.sandbox.conftest import Start
from tests.ops.sandbox.signed_client import Answer, Gateway

pytestmark = pytest.mark.anyio
CONSULT = "/ams/api/v1/payments/consult"
SAMPLE = json.loads((Path(__file__).parents[2] / "samples" / "consult-response-installments.json").read_text())
BRAZILIAN, PORTUGUESE = "4000000760000002", "4000006200000007"


def amount(currency: str, value: int) -> dict[str, str]:
    return {"currency": currency, "value": str(value)}


async def consulted(gateway: Gateway, currency: str = "BRL", **changes: Any) -> dict[str, Any]:
    body = {"productCode": "CASHIER_PAYMENT", "paymentAmount": amount(currency, 60_000), **changes}
    answer = await gateway.call(CONSULT, body)
    assert answer.result == ("S", "SUCCESS")
    return answer.json


def card_plans(answer: dict[str, Any]) -> list[dict[str, Any]]:
    (card,) = [option for option in answer["paymentOptions"] if option["paymentMethodType"] == "CARD"]
    plans: list[dict[str, Any]] = card.get("installment", {}).get("plans", [])
    return plans


async def by_installments(gateway: Gateway, request_id: str, paid: dict[str, str], number: Any, card: str) -> Answer:
    plan = {"installmentNum": number}
    return await gateway.pay(request_id, paymentAmount=paid, creditPayPlan=plan, metadata={"cardNo": card})


async def test_the_plans_of_brazil_are_the_documented_ones(gateway: Gateway) -> None:
    """Each number twice, for two ranges, and with an interest that is sometimes left unsaid."""

    def plain(plans: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
        return [
            (
                plan["installmentNum"],
                plan["minInstallmentAmount"],
                plan["maxInstallmentAmount"],
                plan.get("interestRate"),
                plan["interval"],
                plan["enabled"],
            )
            for plan in plans
        ]

    assert plain(card_plans(await consulted(gateway))) == plain(card_plans(SAMPLE))


async def test_an_answer_has_the_documented_members(gateway: Gateway) -> None:
    ours, theirs = await consulted(gateway), SAMPLE
    assert ours.keys() == theirs.keys()
    for mine, sample in zip(ours["paymentOptions"], theirs["paymentOptions"], strict=True):
        assert mine.keys() == sample.keys()
        assert mine["paymentMethodType"] == sample["paymentMethodType"]
        assert (mine["paymentMethodRegion"], mine["enabled"]) == (sample["paymentMethodRegion"], sample["enabled"])


async def test_other_currencies_have_no_plans(gateway: Gateway) -> None:
    answer = await consulted(gateway, "EUR")
    assert card_plans(answer) == []
    assert [option["paymentMethodRegion"] for option in answer["paymentOptions"] if option["enabled"]] == [["GLOBAL"]]


async def test_regions_can_be_chosen(gateway: Gateway) -> None:
    answer = await consulted(gateway, allowedPaymentMethodRegions=["BR"])
    assert [option["paymentMethodType"] for option in answer["paymentOptions"]] == ["CARD", "MERCADOPAGO_BR"]


@pytest.mark.parametrize(
    "change",
    [
        {"productCode": "OTHER"},
        {"paymentAmount": None},
        {"paymentAmount": {"currency": "BRL", "value": "0"}},
        {"allowedPaymentMethodRegions": "BR"},
        {"allowedPaymentMethodRegions": [7]},
        {"allowedPaymentMethodRegions": ["brazil"]},
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(gateway: Gateway, change: dict[str, Any]) -> None:
    body = {"productCode": "CASHIER_PAYMENT", "paymentAmount": amount("BRL", 1000)} | change
    assert (await gateway.call(CONSULT, body)).result == ("F", "PARAM_ILLEGAL")


async def test_strict_mode_insists_on_the_terminal(start: Start) -> None:
    gateway = await start(strict=True)
    body: dict[str, Any] = {"productCode": "CASHIER_PAYMENT", "paymentAmount": amount("BRL", 1000)}
    assert (await gateway.call(CONSULT, body)).result == ("F", "PARAM_ILLEGAL")
    assert (await gateway.call(CONSULT, body | {"env": {}})).result == ("F", "PARAM_ILLEGAL")
    assert (await gateway.call(CONSULT, body | {"env": {"terminalType": "WEB"}})).result == ("S", "SUCCESS")


@pytest.mark.parametrize("currency", OFFERS)
async def test_pay_takes_what_is_offered_for_the_amount_and_nothing_else(gateway: Gateway, currency: str) -> None:
    plans = card_plans(await consulted(gateway, currency))
    assert plans
    for value in (499, 999, 1_000, 50_000, 60_000, 7_000_000):
        offered = {
            int(plan["installmentNum"])
            for plan in plans
            if int(plan["minInstallmentAmount"]["value"]) <= value <= int(plan["maxInstallmentAmount"]["value"])
        }
        for number in (2, 3, 6, 7, 12):
            request_id = f"pr-{value}-{number}"
            answer = await by_installments(gateway, request_id, amount(currency, value), number, BRAZILIAN)
            assert (answer.result == ("S", "SUCCESS")) is (number in offered), (value, number)


@pytest.mark.parametrize("number", [3, "3"])
async def test_the_plan_that_applies_is_confirmed(gateway: Gateway, number: Any) -> None:
    answer = await by_installments(gateway, "pr-1", amount("BRL", 60_000), number, BRAZILIAN)
    assert answer.json["paymentResultInfo"]["creditPayPlan"] == {"installmentNum": "3"}


async def test_cards_of_other_countries_pay_at_once(gateway: Gateway, start: Start) -> None:
    paid = amount("BRL", 60_000)
    assert (await by_installments(gateway, "pr-1", paid, 3, PORTUGUESE)).result == ("F", "PARAM_ILLEGAL")
    lenient = await start(regional_rule=RegionalRule.IGNORE)
    assert (await by_installments(lenient, "pr-1", paid, 3, PORTUGUESE)).result == ("S", "SUCCESS")


async def test_a_typed_number_has_to_be_offered_too(gateway: Gateway) -> None:
    session = await gateway.call(
        "/ams/api/v1/payments/createPaymentSession",
        {
            "productCode": "CASHIER_PAYMENT",
            "paymentRequestId": "pr-1",
            "paymentAmount": amount("EUR", 60_000),
            "order": {
                "referenceOrderId": "o-1",
                "orderDescription": "two books",
                "orderAmount": amount("EUR", 60_000),
            },
            "paymentMethod": {"paymentMethodType": "CARD"},
            "paymentRedirectUrl": "https://shop.example/back",
        },
    )
    answer = await gateway.type_card(session.json["normalUrl"], installmentNum="3")
    assert answer.status == 422

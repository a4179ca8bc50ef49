"""What is asked about ways to pay, and what is taken from the answer: known fields in known forms, nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.gateway.consulting import consult_body, read_options
from vault.installments import numbers_for
from vault.merchant import MerchantSettings
from vault.money import Amount
from vault.wire.options import PaymentOptionsRequest

SAMPLE = json.loads((Path(__file__).parents[2] / "samples" / "consult-response-installments.json").read_text())
AMOUNT = {"currency": "BRL", "value": "60000"}
PLAN = {
    "installmentNum": "3",
    "interval": "MONTH",
    "minInstallmentAmount": {"currency": "BRL", "value": "500"},
    "maxInstallmentAmount": {"currency": "BRL", "value": "900"},
    "enabled": True,
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def option(**changes: Any) -> dict[str, Any]:
    return {"paymentMethodType": "CARD", "enabled": True} | changes


def body(defaults: dict[str, Any], **changes: Any) -> dict[str, Any]:
    request = PaymentOptionsRequest.model_validate({"paymentAmount": AMOUNT} | changes)
    return consult_body(request, MerchantSettings.model_validate(defaults))


def test_the_documented_answer_is_read_in_full() -> None:
    card, *wallets = read_options(SAMPLE)
    assert (card.method, card.category, card.regions, card.enabled, card.funding) == (
        "CARD",
        "CARD",
        ("BR",),
        True,
        ("CREDIT",),
    )
    assert [brand.name for brand in card.brands] == ["AMEX", "HIPERCARD", "MASTERCARD", "VISA", "ELO"]
    assert card.brands == card.plan_brands
    assert card.plans is not None
    assert len(card.plans) == 22
    assert {plan.interest_rate for plan in card.plans if plan.number == 4} == {None, "0.00"}
    assert [len({plan.number for plan in card.plans if plan.least.value == least}) for least in ("500", "4000")] == [
        11,
        11,
    ]
    assert numbers_for(card.plans, Amount("BRL", "600")) == list(range(2, 13))
    assert [(wallet.enabled, wallet.disable_reason) for wallet in wallets] == [
        (True, None),
        *[(False, "CURRENT_CHANNEL_NOT_EXIST")] * 3,
    ]
    assert all(wallet.plans is None for wallet in wallets)


def test_a_question_names_the_amount_and_what_the_merchant_is_set_up_with() -> None:
    defaults = {
        "settlementStrategy": {"settlementCurrency": "USD"},
        "merchantRegion": "BR",
        "paymentRedirectUrl": "https://shop.example/back",
    }
    assert body(defaults) == {
        "productCode": "CASHIER_PAYMENT",
        "paymentAmount": AMOUNT,
        "env": {"terminalType": "WEB"},
        "settlementStrategy": {"settlementCurrency": "USD"},
        "merchantRegion": "BR",
    }
    own: dict[str, Any] = {
        "env": {"terminalType": "APP"},
        "merchantRegion": "MX",
        "userRegion": "MX",
        "allowedPaymentMethodRegions": ["MX", "GLOBAL"],
        "allowedPaymentMethods": ["CARD"],
        "blockedPaymentMethods": ["WALLET"],
    }
    assert {name: body(defaults, **own)[name] for name in own} == own


@pytest.mark.parametrize(
    "change",
    [
        {"installmentNum": "1"},
        {"installmentNum": "many"},
        {"installmentNum": None},
        {"minInstallmentAmount": None},
        {"maxInstallmentAmount": {"currency": "BRL", "value": "0"}},
        {"maxInstallmentAmount": {"currency": "XXY", "value": "1"}},
    ],
)
def test_a_plan_that_cannot_be_read_is_left_out(change: dict[str, Any]) -> None:
    raw = {"paymentOptions": [option(installment={"plans": [PLAN | change, PLAN]})]}
    (read,) = read_options(raw)
    assert [plan.number for plan in read.plans or ()] == [3]


@pytest.mark.parametrize(
    ("said", "enabled"), [(True, True), ("true", True), (None, True), (False, False), ("false", False)]
)
def test_a_plan_counts_unless_it_is_switched_off(said: Any, *, enabled: bool) -> None:
    (read,) = read_options({"paymentOptions": [option(installment={"plans": [PLAN | {"enabled": said}]})]})
    assert [plan.enabled for plan in read.plans or ()] == [enabled]


def test_values_of_another_form_are_left_out() -> None:
    odd = option(
        paymentMethodCategory="A B",
        paymentMethodRegion=["BR", "brazil", 7],
        enabled="yes",
        preferred="true",
        supportedCurrencies="BRL",
        paymentOptionDetail={
            "funding": ["CREDIT", ""],
            "supportCardBrands": [{"cardBrand": 7}, {"cardBrand": "VISA", "logo": {"logoUrl": "javascript:x"}}],
        },
        installment=[],
    )
    (read,) = read_options({"paymentOptions": [odd, {"paymentMethodType": ""}, "CARD", None]})
    assert (read.category, read.regions, read.enabled, read.preferred, read.currencies) == (
        None,
        ("BR",),
        False,
        True,
        (),
    )
    assert read.funding == ("CREDIT",)
    assert [(brand.name, brand.logo_url) for brand in read.brands] == [("VISA", None)]
    assert read.plans is None


@pytest.mark.no_cover
@given(JSON)
@settings(max_examples=40)
def test_whatever_comes_is_read_or_left_out(raw: Any) -> None:
    read_options({"paymentOptions": raw})
    read_options({"paymentOptions": [option(installment=raw, paymentOptionDetail=raw, paymentMethodRegion=raw)]})
    read_options({"paymentOptions": [option(installment={"plans": raw, "supportCardBrands": raw})]})

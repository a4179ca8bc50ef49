"""consult: which ways to pay there are for an amount, and by how many installments (antom-api.md 2.6).

Refuses to know payments. Invariant: it changes nothing.
"""

from __future__ import annotations

import re

from ops.sandbox.desk import Desk, Outcome
from ops.sandbox.fields import Amount, Fields
from ops.sandbox.installments import OFFERS, plans_json
from ops.sandbox.results import Code, Json, illegal, result

REGION = re.compile(r"GLOBAL|[A-Z]{2}")
BRANDS = ("AMEX", "MASTERCARD", "VISA")
LOCAL_BRANDS = {"BR": ("ELO", "HIPERCARD"), "MX": ("CARNET",)}
LOGO = "https://sandbox.example/{name}.svg"
WALLET = "MERCADOPAGO"
WALLET_REGIONS = ("BR", "CL", "MX", "PE")


def consult(desk: Desk, _client_id: str, body: Json) -> Outcome:
    """List the ways to pay an amount."""
    top = Fields(body)
    if (top.text("productCode", 64) or "CASHIER_PAYMENT") != "CASHIER_PAYMENT":
        raise illegal("productCode")
    amount = top.amount("paymentAmount")
    env = top.inside("env") if desk.config.strict else top.find("env")
    if desk.config.strict and env is not None:
        env.needed("terminalType", 32)
    allowed = _regions(top)
    options = [_card_option(amount), *(_wallet_option(region, amount) for region in WALLET_REGIONS)]
    shown = [option for option in options if not allowed or allowed.intersection(option["paymentMethodRegion"])]
    return Outcome({"result": result(Code.SUCCESS), "paymentOptions": shown})


def _regions(top: Fields) -> frozenset[str]:
    regions = top.raw("allowedPaymentMethodRegions") or []
    if not isinstance(regions, list) or not all(isinstance(each, str) and REGION.fullmatch(each) for each in regions):
        raise illegal("allowedPaymentMethodRegions")
    return frozenset(regions)


def _card_option(amount: Amount) -> Json:
    region, plans = OFFERS[amount.currency][0] if amount.currency in OFFERS else "GLOBAL", plans_json(amount.currency)
    brands = [
        {"cardBrand": brand, "logo": {"logoName": brand, "logoUrl": LOGO.format(name=brand)}}
        for brand in (*BRANDS, *LOCAL_BRANDS.get(region, ()))
    ]
    option: Json = {
        "paymentMethodType": "CARD",
        "paymentMethodCategory": "CARD",
        "paymentMethodRegion": [region],
        "enabled": True,
        "paymentOptionDetail": {"funding": ["CREDIT"], "supportCardBrands": brands},
        "logo": {"logoName": "Credit and Debit Card", "logoUrl": LOGO.format(name="CARD")},
    }
    return option | ({"installment": {"plans": plans, "supportCardBrands": brands}} if plans else {})


def _wallet_option(region: str, amount: Amount) -> Json:
    enabled = OFFERS.get(amount.currency, ("",))[0] == region
    option = {
        "paymentMethodType": f"{WALLET}_{region}",
        "paymentMethodCategory": "CHECKOUT",
        "paymentMethodRegion": [region],
        "enabled": enabled,
        "logo": {"logoName": "mercado pago", "logoUrl": LOGO.format(name=WALLET)},
    }
    return option if enabled else {**option, "disableReason": "CURRENT_CHANNEL_NOT_EXIST"}

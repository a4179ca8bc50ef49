"""Reads a `pay` request into one value, refusing what the gateway refuses (antom-api.md 2.1).

Knows fields, lengths and which of them belong together. Refuses to know state, tokens and decisions.
Invariant: neither the CVV nor personal data survive the reading; only whether a CVV came.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from ops.sandbox.card_fields import CardFields, read_card_fields
from ops.sandbox.fields import URL_LENGTH, Amount, Fields
from ops.sandbox.results import Json, illegal

TERMINALS = frozenset({"WEB", "WAP", "APP", "MINI_APP"})
CAPTURE_MODES = frozenset({"AUTOMATIC", "MANUAL"})
TOP_TEXTS: Mapping[str, int] = {"merchantAccountId": 64, "extendInfo": 2048, "metadata": 65_536, "userRegion": 2}
ORDER_TEXTS: Mapping[str, int] = {"extendInfo": 2048}
BUYER_TEXTS: Mapping[str, int] = {"referenceBuyerId": 64, "buyerPhoneNo": 24, "buyerEmail": 64}
GOODS_TEXTS: Mapping[str, int] = {
    "referenceGoodsId": 64, "goodsName": 256, "goodsCategory": 64, "goodsUrl": URL_LENGTH,
}  # fmt: skip
SHIPPING_TEXTS: Mapping[str, int] = {"shippingCarrier": 128, "shippingPhoneNo": 16, "shipToEmail": 64}
ENV_TEXTS: Mapping[str, int] = {
    "clientIp": 64, "deviceBrand": 64, "deviceModel": 128, "deviceTokenId": 64, "extendInfo": 2048,
}  # fmt: skip
MOST_GOODS = 100
INSTALLMENTS = (2, 36)
TIME_ZONE = (-720, 720)


@dataclass(frozen=True, slots=True)
class PayRequest:
    """One authorisation asked for."""

    payment_request_id: str
    amount: Amount
    card: CardFields
    redirect_url: str | None
    notify_url: str | None
    expires_at: datetime | None
    captures_itself: bool
    installments: int | None
    metadata: str | None


def read_pay_request(body: Json, *, strict: bool, luhn: bool) -> PayRequest:
    """Read a body; raise `Refused` with the first field that is wrong."""
    top = Fields(body)
    if top.needed("productCode", 64) != "CASHIER_PAYMENT":
        raise illegal("productCode")
    payment_request_id = top.needed("paymentRequestId", 64)
    amount = top.amount("paymentAmount")
    _check_texts(top, TOP_TEXTS)
    _check_region(top)
    order = top.inside("order")
    _check_order(order, strict=strict)
    check_environment(top.find("env") or order.find("env"), strict=strict)
    redirect_url = top.url("paymentRedirectUrl")
    if strict and redirect_url is None:
        raise illegal("paymentRedirectUrl")
    plan = top.find("creditPayPlan")
    return PayRequest(
        payment_request_id=payment_request_id,
        amount=amount,
        card=read_card_fields(top.inside("paymentMethod"), strict=strict, luhn=luhn),
        redirect_url=redirect_url,
        notify_url=top.url("paymentNotifyUrl"),
        expires_at=top.moment("paymentExpiryTime"),
        captures_itself=_captures_itself(top.find("paymentFactor"), strict=strict),
        installments=plan.integer("installmentNum", *INSTALLMENTS) if plan else None,
        metadata=top.text("metadata", TOP_TEXTS["metadata"]),
    )


def _check_texts(fields: Fields, lengths: Mapping[str, int]) -> None:
    for name, maximum in lengths.items():
        fields.text(name, maximum)


def _check_region(top: Fields) -> None:
    region = top.text("merchantRegion", 2)
    if region is not None and not re.fullmatch(r"[A-Z]{2}", region):
        raise illegal("merchantRegion")
    settlement = top.find("settlementStrategy")
    currency = settlement.text("settlementCurrency", 3) if settlement else None
    if currency is not None and not re.fullmatch(r"[A-Z]{3}", currency):
        raise illegal("settlementStrategy.settlementCurrency")


def _check_order(order: Fields, *, strict: bool) -> None:
    order.needed("referenceOrderId", 64)
    order.needed("orderDescription", 256)
    order.amount("orderAmount")
    _check_texts(order, ORDER_TEXTS)
    buyer = order.inside("buyer") if strict else order.find("buyer")
    if buyer is not None:
        _check_texts(buyer, BUYER_TEXTS)
    shipping = order.find("shipping")
    if shipping is not None:
        _check_texts(shipping, SHIPPING_TEXTS)
    _check_goods(order)


def _check_goods(order: Fields) -> None:
    goods = order.raw("goods")
    if goods is None:
        return
    if not isinstance(goods, list) or len(goods) > MOST_GOODS:
        raise illegal(order.path("goods"))
    for position, item in enumerate(goods):
        path = order.path(f"goods[{position}]")
        if not isinstance(item, dict):
            raise illegal(path)
        _check_texts(Fields(item, path), GOODS_TEXTS)


def check_environment(env: Fields | None, *, strict: bool) -> None:
    """Refuse a buyer's device whose description the gateway would not take."""
    if env is None:
        if strict:
            raise illegal("env")
        return
    terminal = env.needed("terminalType", 32) if strict else env.text("terminalType", 32)
    if terminal is not None and terminal.upper() not in TERMINALS:
        raise illegal(env.path("terminalType"))
    if strict:
        env.needed("clientIp", ENV_TEXTS["clientIp"])
    _check_texts(env, ENV_TEXTS)
    env.integer("timeZoneOffset", *TIME_ZONE)


def _captures_itself(factor: Fields | None, *, strict: bool) -> bool:
    if factor is None:
        if strict:
            raise illegal("paymentFactor")
        return True
    if factor.flag("isAuthorization") is not True and strict:
        raise illegal(factor.path("isAuthorization"))
    return factor.one_of("captureMode", CAPTURE_MODES) != "MANUAL"

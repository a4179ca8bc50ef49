"""The `consult` call (antom-api.md 2.6): what is asked, and what the answer says about ways to pay.

It refuses to know sockets and rows. Invariants: an option, a brand or a plan that cannot be read is left out; only the
fields that are named here are taken, each in a bounded and known form.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vault.gateway.values import amount_of
from vault.installments import Plan
from vault.merchant import MerchantSettings
from vault.wire.options import PaymentOptionsRequest

_DEFAULTED: Final = ("env", "settlement_strategy", "merchant_region")
_ASKED: Final = (
    "payment_amount",
    "allowed_payment_method_regions",
    "allowed_payment_methods",
    "blocked_payment_methods",
    "user_region",
)
_ANYWHERE: Final = {"env": {"terminalType": "WEB"}}
_MOST: Final = 500
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,128}")
_ADDRESS: Final = re.compile(r"https?://[!-~]{1,2000}")
_REGION: Final = re.compile(r"GLOBAL|[A-Z]{2}")
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_NUMBER: Final = re.compile(r"[2-9]|[1-9][0-9]")
_RATE: Final = re.compile(r"[0-9.]{1,16}")
CARD: Final = "CARD"


@dataclass(frozen=True, slots=True)
class Brand:
    """A card brand and what its logo is called and found under."""

    name: str
    logo_name: str | None
    logo_url: str | None


@dataclass(frozen=True, slots=True)
class Option:
    """One way to pay; `plans` None: installments are not spoken of."""

    method: str
    category: str | None
    regions: tuple[str, ...]
    enabled: bool
    preferred: bool | None
    disable_reason: str | None
    currencies: tuple[str, ...]
    brands: tuple[Brand, ...]
    funding: tuple[str, ...]
    plans: tuple[Plan, ...] | None
    plan_brands: tuple[Brand, ...]


def consult_body(request: PaymentOptionsRequest, defaults: MerchantSettings) -> dict[str, Any]:
    """Give the body of `consult`."""
    own = defaults.wire(*_DEFAULTED) | request.wire(*_DEFAULTED, *_ASKED)
    return {"productCode": "CASHIER_PAYMENT", **_ANYWHERE, **own}


def read_options(body: Mapping[str, Any]) -> list[Option]:
    """Read the ways to pay that an answer lists."""
    listed = _objects(body.get("paymentOptions"))
    return [_option(entry) for entry in listed if _text(entry, "paymentMethodType", _CODE) is not None]


def _option(raw: Mapping[str, Any]) -> Option:
    detail, installment = _object(raw.get("paymentOptionDetail")), raw.get("installment")
    offered = _object(installment)
    return Option(
        method=_text(raw, "paymentMethodType", _CODE) or "",
        category=_text(raw, "paymentMethodCategory", _CODE),
        regions=_texts(raw.get("paymentMethodRegion"), _REGION),
        enabled=_flag(raw.get("enabled")) is True,
        preferred=_flag(raw.get("preferred")),
        disable_reason=_text(raw, "disableReason", _CODE),
        currencies=_texts(raw.get("supportedCurrencies"), _CURRENCY),
        brands=tuple(_brands(detail.get("supportCardBrands"))),
        funding=_texts(detail.get("funding"), _CODE),
        plans=tuple(_plans(offered.get("plans"))) if isinstance(installment, Mapping) else None,
        plan_brands=tuple(_brands(offered.get("supportCardBrands"))),
    )


def _plans(raw: object) -> Iterator[Plan]:
    for entry in _objects(raw):
        number = _NUMBER.fullmatch(str(entry.get("installmentNum")))
        least, most = amount_of(entry.get("minInstallmentAmount")), amount_of(entry.get("maxInstallmentAmount"))
        if number is not None and least is not None and most is not None:
            enabled = _flag(entry.get("enabled")) is not False
            interval = _text(entry, "interval", _CODE) or "MONTH"
            yield Plan(int(number[0]), interval, least, most, _text(entry, "interestRate", _RATE), enabled)


def _brands(raw: object) -> Iterator[Brand]:
    for entry in _objects(raw):
        name, logo = _text(entry, "cardBrand", _CODE), _object(entry.get("logo"))
        if name is not None:
            yield Brand(name, _text(logo, "logoName", _NAME), _text(logo, "logoUrl", _ADDRESS))


def _objects(raw: object) -> list[Mapping[str, Any]]:
    return [entry for entry in raw[:_MOST] if isinstance(entry, Mapping)] if isinstance(raw, list) else []


def _object(raw: object) -> Mapping[str, Any]:
    return raw if isinstance(raw, Mapping) else {}


def _text(raw: Mapping[str, Any], name: str, form: re.Pattern[str]) -> str | None:
    value = raw.get(name)
    return value if isinstance(value, str) and form.fullmatch(value) else None


def _texts(raw: object, form: re.Pattern[str]) -> tuple[str, ...]:
    entries = raw[:_MOST] if isinstance(raw, list) else []
    return tuple(entry for entry in entries if isinstance(entry, str) and form.fullmatch(entry))


def _flag(value: object) -> bool | None:
    return {"true": True, "false": False}.get(str(value).lower()) if isinstance(value, bool | str) else None

"""Reads `paymentMethod` and its card metadata (antom-api.md 2.1, 5.2, 5.3, 5.6).

Either a token or card data, flags natively or as text, both spellings where the sources disagree. Refuses to know
which card a token stands for. Invariant: a CVV is checked here and forgotten here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ops.sandbox.cards import BRAND_ALIASES, Card, is_card_number, passes_luhn
from ops.sandbox.decisions import CVV_NEEDED, LOCAL_FIELDS
from ops.sandbox.fields import Fields
from ops.sandbox.results import Code, Refused, bad_card_data, illegal
from ops.sandbox.verification import address_letter, cvv_letter

TOKEN_LENGTH = 2048
RECURRING = frozenset({"SCHEDULED", "UNSCHEDULED"})
ECIS = frozenset({"00", "01", "02", "04", "05", "06", "07"})
THREEDS_VERSIONS = re.compile(r"[12]\.[0-9]\.[0-9]")
REGION = re.compile(r"GLOBAL|[A-Z]{2}")
NAME_TEXTS: Mapping[str, int] = {"firstName": 32, "lastName": 32, "middleName": 32, "fullName": 128}
ADDRESS_TEXTS: Mapping[str, int] = {"city": 32, "address1": 256, "address2": 256, "zipCode": 32}
EXTRA_TEXTS: Mapping[str, int] = {"payerEmail": 64, "dateOfBirth": 10, "businessNo": 10, "cardPasswordDigest": 2}


@dataclass(frozen=True, slots=True)
class Mpi:
    """The outcome of a 3DS that somebody else did."""

    version: str
    eci: str


@dataclass(frozen=True, slots=True)
class CardFields:
    """The card side of a payment: `token` or `card`, or neither where the buyer types one on the gateway's page."""

    token: str | None = field(repr=False)
    card: Card | None
    cvv_letter: str | None
    tokenize: bool
    card_on_file: bool
    recurring_type: str | None
    network_transaction_id: str | None
    authenticate: bool
    upgrade: bool | None
    issuer_authenticates: bool
    mpi: Mpi | None
    brands_chosen: tuple[str, ...]
    region: str | None
    address_letter: str | None


def read_card_fields(method: Fields, *, strict: bool, luhn: bool) -> CardFields:
    """Read a `paymentMethod`; raise `Refused` with the first field that is wrong."""
    if method.needed("paymentMethodType", 64) != "CARD":
        raise illegal(method.path("paymentMethodType"))
    token = method.text("paymentMethodId", TOKEN_LENGTH)
    data = method.find("paymentMethodMetaData") or Fields({}, method.path("paymentMethodMetaData"))
    if token is not None and data.raw("cardNo") is not None:
        raise bad_card_data(data.path("cardNo"))
    region = _region(data)
    card = _card(data, luhn=luhn) if token is None and _has_card(data) else None
    read = CardFields(
        token=token,
        card=card,
        cvv_letter=_cvv(data, amex=card is not None and card.brands()[0] == "AMEX"),
        tokenize=data.flag("tokenize") is True,
        card_on_file=data.flag("isCardOnFile") is True,
        recurring_type=data.one_of("recurringType", RECURRING),
        network_transaction_id=data.text("networkTransactionId", 256),
        authenticate=data.flag("is3DSAuthentication") is True,
        upgrade=data.flag("enableAuthenticationUpgrade"),
        issuer_authenticates=method.flag("requireIssuerAuthentication") is True,
        mpi=_mpi(data),
        brands_chosen=_brands(data),
        region=region,
        address_letter=_billing(data),
    )
    _check_name(data)
    _check_extras(data, region=region, strict=strict)
    _check_together(read, data)
    return read


def _region(data: Fields) -> str | None:
    region = data.text("paymentMethodRegion", 6)
    if region is not None and not REGION.fullmatch(region):
        raise bad_card_data(data.path("paymentMethodRegion"))
    return region


def read_typed_card(form: Fields, *, luhn: bool, asked: bool) -> tuple[Card | None, str | None]:
    """Read what a buyer typed on a page: a card where it is asked for, and the issuer's letter for a CVV."""
    card = _card(form, luhn=luhn) if asked else None
    return card, _cvv(form, amex=card is not None and card.brands()[0] == "AMEX")


def read_card_to_keep(data: Fields, *, strict: bool, luhn: bool) -> CardFields:
    """Read the `card` of a request that stores one without a payment (antom-api.md 2.8): data, never a token.

    Without a CVV it is taken as if it had been used before, unless strict. What is wrong is `PARAM_ILLEGAL` here.
    """
    lenient = {} if strict else {"isCardOnFile": True}
    method = Fields({"paymentMethodType": "CARD", "paymentMethodMetaData": {**data.values, **lenient}})
    try:
        read = read_card_fields(method, strict=strict, luhn=luhn)
    except Refused as refusal:
        if refusal.code == Code.INVALID_PAYMENT_METHOD_META_DATA:
            raise illegal("paymentMethodDetail.card") from None
        raise
    if read.card is None:
        raise illegal(data.path("cardNo"))
    return read


def _has_card(data: Fields) -> bool:
    return any(data.raw(name) is not None for name in ("cardNo", "cvv", "expiryMonth", "expiryYear", "mpiData"))


def _card(data: Fields, *, luhn: bool) -> Card:
    number = data.text("cardNo", 32)
    if number is None:
        raise bad_card_data(data.path("cardNo"))
    if not is_card_number(number) or (luhn and not passes_luhn(number)):
        raise Refused(Code.INVALID_CARD_NUMBER)
    month, year = data.text("expiryMonth", 2), data.text("expiryYear", 2)
    if month is None or year is None:
        raise bad_card_data(data.path("expiryMonth" if month is None else "expiryYear"))
    if not re.fullmatch(r"0[1-9]|1[0-2]", month) or not re.fullmatch(r"[0-9]{2}", year):
        raise Refused(Code.INVALID_EXPIRATION_DATE)
    return Card(number, month, year)


def _cvv(data: Fields, *, amex: bool) -> str | None:
    cvv = data.raw("cvv")
    if cvv is None:
        return None
    if not isinstance(cvv, str) or not re.fullmatch(r"[0-9]{4}" if amex else r"[0-9]{3,4}", cvv):
        raise Refused(Code.INVALID_CVV)
    return cvv_letter(cvv)


def _billing(data: Fields) -> str | None:
    address = data.find("billingAddress")
    if address is None:
        return None
    if address.text("region", 2) is None:
        raise bad_card_data(address.path("region"))
    texts = {name: address.text(name, maximum) for name, maximum in ADDRESS_TEXTS.items()}
    return address_letter(texts["address1"], texts["zipCode"])


def _mpi(data: Fields) -> Mpi | None:
    mpi = data.find("mpiData")
    if mpi is None:
        return None
    version = mpi.text("threeDSVersion", 16)
    if version is None or not THREEDS_VERSIONS.fullmatch(version):
        raise bad_card_data(mpi.path("threeDSVersion"))
    eci = mpi.text("eci", 2)
    if eci not in ECIS:
        raise bad_card_data(mpi.path("eci"))
    if mpi.text("cavv", 64) is None and mpi.text("caav", 64) is None:
        raise bad_card_data(mpi.path("cavv"))
    if version.startswith("2") and mpi.text("dsTransactionId", 64) is None:
        raise bad_card_data(mpi.path("dsTransactionId"))
    mpi.one_of("credentialType", {"PAN", "NETWORK_TOKEN"})
    return Mpi(version, eci)


def _brands(data: Fields) -> tuple[str, ...]:
    chosen = data.raw("selectedCardBrand") or data.raw("selectedCardBrands")
    if chosen is None:
        return ()
    names = chosen if isinstance(chosen, list) else [chosen]
    if not all(isinstance(name, str) for name in names):
        raise bad_card_data(data.path("selectedCardBrand"))
    return tuple(BRAND_ALIASES.get(name, name) for name in names)


def _check_name(data: Fields) -> None:
    name = data.find("cardholderName")
    if name is None:
        return
    for part, maximum in NAME_TEXTS.items():
        name.text(part, maximum)
    if (name.raw("firstName") is None) != (name.raw("lastName") is None):
        raise bad_card_data(data.path("cardholderName"))


def _check_extras(data: Fields, *, region: str | None, strict: bool) -> None:
    for name, maximum in EXTRA_TEXTS.items():
        data.text(name, maximum)
    cpf = data.text("cpf", 14)
    if cpf is not None and not re.fullmatch(r"[0-9]{11}", re.sub(r"[.-]", "", cpf)):
        raise bad_card_data(data.path("cpf"))
    for name in LOCAL_FIELDS.get(region or "GLOBAL", ()):
        if strict and data.raw(name) is None:
            raise bad_card_data(data.path(name))


def _check_together(read: CardFields, data: Fields) -> None:
    fresh = read.card is not None and not read.card_on_file
    if fresh and not read.cvv_letter and read.mpi is None and (read.region or "GLOBAL") in CVV_NEEDED:
        raise bad_card_data(data.path("cvv"))
    if read.mpi is not None and (read.authenticate or read.upgrade is True):
        raise bad_card_data(data.path("mpiData"))
    if read.recurring_type is None:
        return
    if read.network_transaction_id is None:
        raise bad_card_data(data.path("networkTransactionId"))
    if not read.card_on_file or read.authenticate or read.mpi is not None:
        raise bad_card_data(data.path("recurringType"))

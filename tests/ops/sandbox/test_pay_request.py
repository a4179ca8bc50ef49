from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ops.sandbox.cards import BRANDS, Card, passes_luhn
from tests.ops.sandbox.conftest import Start
from tests.ops.sandbox.signed_client import PAY, Gateway, payment

pytestmark = pytest.mark.anyio
SAMPLES = Path(__file__).parents[2] / "samples"
PAY_SAMPLES = sorted(path.stem for path in SAMPLES.glob("pay-*.json") if "response" not in path.stem)
META = ("paymentMethod", "paymentMethodMetaData")
ABSENT = object()


def changed(body: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    """Return a copy with one field replaced, or removed when the value is ABSENT."""
    fresh = copy.deepcopy(body)
    inner = fresh
    for step in path[:-1]:
        inner = inner.setdefault(step, {})
    if value is ABSENT:
        inner.pop(path[-1], None)
    else:
        inner[path[-1]] = value
    return fresh


async def result_of(gateway: Gateway, path: tuple[str, ...], value: Any) -> tuple[str, str]:
    return (await gateway.call(PAY, changed(payment("pr-1"), path, value))).result


@pytest.mark.parametrize("name", PAY_SAMPLES)
async def test_every_message_sample_is_accepted(start: Start, name: str) -> None:
    gateway = await start(
        luhn=False, notifications=False, clock=lambda: datetime(2025, 11, 1, tzinfo=UTC), clock_skew=None
    )
    first = await gateway.pay("first", metadata={"tokenize": True})
    body = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    if "paymentMethodId" in body["paymentMethod"]:
        assert len(body["paymentMethod"]["paymentMethodId"]) == 94
        body["paymentMethod"]["paymentMethodId"] = first.json["paymentResultInfo"]["cardToken"]
    answer = await gateway.call(PAY, body)
    assert answer.result[0] in ("S", "U")
    assert ("cardToken" in answer.json["paymentResultInfo"]) is (name == "pay-tokenize")


def test_there_are_samples() -> None:
    assert len(PAY_SAMPLES) == 6


async def test_the_answer_to_a_challenge_has_the_fields_of_the_sample(gateway: Gateway) -> None:
    sample = json.loads((SAMPLES / "pay-response-3ds-redirect.json").read_text(encoding="utf-8"))
    answer = (await gateway.pay("pr-1", metadata={"is3DSAuthentication": True})).json
    assert sample.keys() <= answer.keys()
    assert sample["result"] | {"resultMessage": ""} == answer["result"] | {"resultMessage": ""}
    assert sample["redirectActionForm"].keys() <= answer["redirectActionForm"].keys()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("productCode",), ABSENT),
        (("productCode",), "AGREEMENT_PAYMENT"),
        (("paymentRequestId",), ABSENT),
        (("paymentRequestId",), ""),
        (("paymentRequestId",), "x" * 65),
        (("paymentRequestId",), 17),
        (("paymentAmount",), ABSENT),
        (("paymentAmount",), "2590"),
        (("paymentAmount",), []),
        (("paymentAmount", "value"), ABSENT),
        (("paymentAmount", "value"), 2590),
        (("paymentAmount", "value"), "0"),
        (("paymentAmount", "value"), "-5"),
        (("paymentAmount", "value"), "25.90"),
        (("paymentAmount", "value"), "\u0661\u0662"),
        (("paymentAmount", "value"), "1" * 17),
        (("paymentAmount", "currency"), ABSENT),
        (("paymentAmount", "currency"), "eur"),
        (("paymentAmount", "currency"), "EURO"),
        (("paymentMethod",), ABSENT),
        (("paymentMethod", "paymentMethodType"), ABSENT),
        (("paymentMethod", "paymentMethodType"), "ALIPAY_CN"),
        (("order",), ABSENT),
        (("order", "referenceOrderId"), ABSENT),
        (("order", "referenceOrderId"), "x" * 65),
        (("order", "orderDescription"), ABSENT),
        (("order", "orderDescription"), "x" * 257),
        (("order", "orderAmount"), ABSENT),
        (("order", "buyer", "buyerEmail"), "x" * 65),
        (("order", "buyer"), "b-77"),
        (("order", "shipping"), {"shippingPhoneNo": "1" * 17}),
        (("order", "goods"), {}),
        (("order", "goods"), ["book"]),
        (("order", "goods"), [{}] * 101),
        (("order", "goods"), [{"goodsName": "x" * 257}]),
        (("env", "terminalType"), "TELEX"),
        (("env", "timeZoneOffset"), 721),
        (("env", "timeZoneOffset"), "west"),
        (("env", "timeZoneOffset"), True),
        (("env",), []),
        (("paymentFactor", "isAuthorization"), "yes"),
        (("paymentFactor", "captureMode"), "LATER"),
        (("paymentNotifyUrl",), "nowhere"),
        (("paymentExpiryTime",), "tomorrow"),
        (("paymentExpiryTime",), "2026-01-01T00:00:00"),
        (("merchantRegion",), "Portugal"),
        (("merchantRegion",), "pt"),
        (("settlementStrategy",), {"settlementCurrency": "eur"}),
        (("creditPayPlan",), {"installmentNum": 1}),
        (("creditPayPlan",), {"installmentNum": 37}),
        (("creditPayPlan",), {"installmentNum": 2.5}),
        (("metadata",), {"cart": 7}),
        ((*META, "tokenize"), "perhaps"),
        ((*META, "is3DSAuthentication"), 1),
        ((*META, "recurringType"), "MONTHLY"),
        ((*META, "billingAddress"), {"region": "PT", "city": "x" * 33}),
        ((*META, "cardholderName"), {"firstName": "x" * 33, "lastName": "y"}),
        ((*META, "cardNo"), 4111111111111111),
        ((*META, "payerEmail"), "x" * 65),
        ((*META, "expiryYear"), "2040"),
    ],
)
async def test_an_illegal_parameter_is_named_and_nothing_happens(
    gateway: Gateway, path: tuple[str, ...], value: Any
) -> None:
    answer = await gateway.call(PAY, changed(payment("pr-1"), path, value))
    assert answer.result == ("F", "PARAM_ILLEGAL")
    assert path[-1].split("[")[0] in answer.json["result"]["resultMessage"] or path[-1] in ("paymentAmount", "goods")
    assert await gateway.ledger() == []
    assert (await gateway.inquire("pr-1")).json["result"]["resultStatus"] == "F"


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ((*META, "cardNo"), ABSENT, "INVALID_PAYMENT_METHOD_META_DATA"),
        ((*META, "cardNo"), "4111111111111112", "INVALID_CARD_NUMBER"),
        ((*META, "cardNo"), "4111 1111 1111 1111", "INVALID_CARD_NUMBER"),
        ((*META, "cardNo"), "411111", "INVALID_CARD_NUMBER"),
        ((*META, "cvv"), ABSENT, "INVALID_PAYMENT_METHOD_META_DATA"),
        ((*META, "cvv"), "12", "INVALID_CVV"),
        ((*META, "cvv"), "12345", "INVALID_CVV"),
        ((*META, "cvv"), 737, "INVALID_CVV"),
        ((*META, "expiryMonth"), ABSENT, "INVALID_PAYMENT_METHOD_META_DATA"),
        ((*META, "expiryMonth"), "13", "INVALID_EXPIRATION_DATE"),
        ((*META, "expiryMonth"), "3", "INVALID_EXPIRATION_DATE"),
        ((*META, "expiryYear"), ABSENT, "INVALID_PAYMENT_METHOD_META_DATA"),
        ((*META, "expiryYear"), "4", "INVALID_EXPIRATION_DATE"),
        ((*META, "cardholderName"), {"firstName": "Ana"}, "INVALID_PAYMENT_METHOD_META_DATA"),
        ((*META, "billingAddress"), {"city": "Porto"}, "INVALID_PAYMENT_METHOD_META_DATA"),
        ((*META, "paymentMethodRegion"), "br", "INVALID_PAYMENT_METHOD_META_DATA"),
        ((*META, "cpf"), "123", "INVALID_PAYMENT_METHOD_META_DATA"),
        ((*META, "selectedCardBrand"), [7], "INVALID_PAYMENT_METHOD_META_DATA"),
        (("paymentMethod", "paymentMethodId"), "ALIPAYx=", "INVALID_PAYMENT_METHOD_META_DATA"),
    ],
)
async def test_wrong_card_data_has_its_own_code(gateway: Gateway, path: tuple[str, ...], value: Any, code: str) -> None:
    assert await result_of(gateway, path, value) == ("F", code)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("paymentRequestId",), "x" * 64),
        (("env",), ABSENT),
        (("paymentFactor",), ABSENT),
        (("paymentFactor",), {}),
        (("paymentFactor", "isAuthorization"), "true"),
        (("env", "terminalType"), "app"),
        (("env", "timeZoneOffset"), "-720"),
        (("env", "screenWidth"), "1024"),
        (("env", "unheardOf"), {"a": [1]}),
        (("merchantRegion",), ""),
        (("paymentExpiryTime",), "2019-11-27T12:01:01+08:30"),
        (("unheardOf",), [1, 2]),
        (("paymentRedirectUrl",), ABSENT),
        ((*META, "tokenize"), "true"),
        ((*META, "isCardOnFile"), "false"),
        ((*META, "recurringType"), ""),
        ((*META, "cpf"), "123.456.789-09"),
        ((*META, "cardholderName"), {"firstName": "Ana", "lastName": "Lopes", "middleName": "M"}),
        ((*META, "useStringType"), False),
    ],
)
async def test_what_the_real_gateway_tolerates_is_tolerated(
    gateway: Gateway, path: tuple[str, ...], value: Any
) -> None:
    assert await result_of(gateway, path, value) == ("S", "SUCCESS")


async def test_rupiah_have_no_cents(gateway: Gateway) -> None:
    for value, code in (("10050", "PARAM_ILLEGAL"), ("10000", "SUCCESS")):
        answer = await gateway.pay("pr-1", paymentAmount={"currency": "IDR", "value": value})
        assert answer.result[1] == code


async def test_stored_card_data_needs_no_cvv(gateway: Gateway) -> None:
    answer = await gateway.pay("pr-1", metadata={"cvv": "", "isCardOnFile": True})
    assert answer.result == ("S", "SUCCESS")


async def test_an_american_express_card_has_four_digits_on_its_front(gateway: Gateway) -> None:
    card = {"cardNo": "378282246310005"}
    assert (await gateway.pay("pr-1", metadata=card | {"cvv": "123"})).result == ("F", "INVALID_CVV")
    answer = await gateway.pay("pr-1", metadata=card | {"cvv": "1234"})
    assert answer.json["paymentResultInfo"]["cardNo"] == "***********0005"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("env",), ABSENT),
        (("env", "clientIp"), ABSENT),
        (("env", "terminalType"), ABSENT),
        (("paymentFactor",), ABSENT),
        (("paymentFactor", "isAuthorization"), False),
        (("order", "buyer"), ABSENT),
        (("paymentRedirectUrl",), ABSENT),
    ],
)
async def test_strict_mode_insists_on_what_the_documentation_demands(
    start: Start, path: tuple[str, ...], value: Any
) -> None:
    gateway = await start(strict=True)
    assert await result_of(gateway, path, value) == ("F", "PARAM_ILLEGAL")
    assert (await gateway.pay("pr-2")).result == ("S", "SUCCESS")


async def test_strict_mode_insists_on_local_fields(start: Start) -> None:
    gateway = await start(strict=True)
    local = {"paymentMethodRegion": "BR", "cpf": "12345678909", "payerEmail": "a@b.example"}
    assert (await gateway.pay("pr-1", metadata=local)).result == ("S", "SUCCESS")
    for name in ("cpf", "payerEmail"):
        answer = await gateway.pay("pr-2", metadata=local | {name: ""})
        assert answer.result == ("F", "INVALID_PAYMENT_METHOD_META_DATA")


async def test_the_check_digit_can_be_left_unchecked(start: Start) -> None:
    gateway = await start(luhn=False)
    assert (await gateway.pay("pr-1", metadata={"cardNo": "4111111111111112"})).result == ("S", "SUCCESS")


@pytest.mark.parametrize(
    ("number", "brand", "country", "funding"),
    [
        ("4111111111111111", "VISA", "US", "CREDIT"),
        ("4000000760000002", "VISA", "BR", "CREDIT"),
        ("4000056655665556", "VISA", "US", "DEBIT"),
        ("5555555555554444", "MASTERCARD", "US", "CREDIT"),
        ("2223003122003222", "MASTERCARD", "US", "CREDIT"),
        ("5105105105105100", "MASTERCARD", "US", "PREPAID"),
        ("371449635398431", "AMEX", "US", "CREDIT"),
        ("36227206271667", "DINERS", "US", "CREDIT"),
        ("6011000990139424", "DISCOVER", "US", "CREDIT"),
        ("3566002020360505", "JCB", "US", "CREDIT"),
        ("6205500000000000004", "CUP", "US", "CREDIT"),
        ("6062828888666688", "HIPERCARD", "BR", "CREDIT"),
        ("5066991111111118", "ELO", "BR", "CREDIT"),
        ("6759649826438453", "MAESTRO", "US", "CREDIT"),
        ("9999999999999995", "UNKNOWN", "US", "CREDIT"),
    ],
)
def test_a_card_number_tells_brand_country_and_funding(number: str, brand: str, country: str, funding: str) -> None:
    card = Card(number, "03", "40")
    assert passes_luhn(number)
    assert (card.brands()[0], card.country, card.funding) == (brand, country, funding)
    assert number not in repr(card)


async def test_a_number_of_no_known_brand_is_not_supported(gateway: Gateway) -> None:
    answer = await gateway.pay("pr-1", metadata={"cardNo": "9999999999999995"})
    assert answer.result == ("F", "CARD_NOT_SUPPORTED")


def test_brand_prefixes_are_ranges_of_equal_length() -> None:
    for brand in BRANDS:
        for first, last in brand.prefixes:
            assert len(first) == len(last)
            assert first <= last

"""What the gateway says about a payment: only known fields get through, each in its known form."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.pan_detector import contains_pan
from vault.rules.result_info import visible_result_info

VISA = "4111111111111111"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([VISA, int(VISA), "", "737"]),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=4,
)
FIELDS = {
    "cardNo": "************1111",
    "cardBrand": "VISA",
    "cardBin": "411111",
    "lastFour": "1111",
    "expiryMonth": "03",
    "expiryYear": "30",
    "issuingCountry": "PT",
    "issuerName": "Banco de Tr\u00e1s-os-Montes",
    "paymentMethodRegion": "GLOBAL",
    "funding": "DEFERRED_DEBIT",
    "cardCategory": "CONSUMER",
    "networkTransactionId": "MCC1234560105  ",
    "avsResultRaw": "Y",
    "cvvResultRaw": "M",
    "threeDSResult": {
        "threeDSVersion": "2.2.0",
        "eci": "05",
        "dsTransactionId": "6f1c0d6e-0000-4000-8000-000000000000",
        "threeDSOffered": True,
        "challenged": False,
        "challengeCancel": "01",
        "threeDStransactionStatusReason": "12",
        "exemptionType": "transactionRiskAnalysis",
    },
    "exemptionRequested": "lowValue",
    "credentialTypeUsed": "PAN",
    "authorizationCode": "123456",
    "rrn": "123456789012",
    "refusalCodeRaw": "05",
    "refusalReasonRaw": "Do not honor",
    "merchantAdviceCode": "02",
    "creditPayPlan": {"installmentNum": "3", "interestRate": "1.25"},
    "incrementalAuthorizationAvailable": False,
    "extendedAuthorizationAvailable": True,
    "refundOnAuthorizationAvailable": False,
    "acquirerInfo": {
        "acquirerName": "Acquirer",
        "referenceRequestId": "r-1",
        "acquirerTransactionId": "t-1",
        "acquirerMerchantId": "m-1",
        "acquirerMerchantName": "Shop",
        "acquirerResultCode": "00",
        "acquirerResultMessage": "approved",
        "acquirerReasonDescription": "none",
    },
}


def test_every_allowed_field_is_copied() -> None:
    assert visible_result_info(FIELDS) == FIELDS


@pytest.mark.parametrize(
    "field",
    [
        "cardToken",
        "cavv",
        "caav",
        "xid",
        "acquirerCardToken",
        "cardholderName",
        "accountNo",
        "userAuthorizationStatus",
        "cvv",
        "new",
        "",
    ],
)
def test_a_field_without_a_rule_is_dropped_at_every_level(field: str) -> None:
    raw = {name: {**value, field: "M"} if isinstance(value, dict) else value for name, value in FIELDS.items()} | {
        field: "M"
    }
    assert visible_result_info(raw) == FIELDS


@pytest.mark.parametrize(
    "card_number",
    [
        VISA,
        int(VISA),
        "4111 1111 1111 1111",
        "4111111111111***",
        "411111111111*1111",
        "411111**1111",
        "*" * 20 + "1111",
        "****111",
        "",
        None,
        "****1111\n",
        "****\u0661\u0661\u0661\u0661",
    ],
)
def test_a_card_number_that_is_not_masked_is_dropped(card_number: Any) -> None:
    assert visible_result_info({"cardNo": card_number}) == {}


@pytest.mark.parametrize("masked", ["****1846", "************1111", "411111******1111", "378282*****0005"])
def test_a_masked_card_number_is_copied(masked: str) -> None:
    assert visible_result_info({"cardNo": masked}) == {"cardNo": masked}


@pytest.mark.parametrize(("raw", "shown"), [("411111", "411111"), ("41111111", "411111")])
def test_an_issuer_number_is_cut_to_six_digits(raw: str, shown: str) -> None:
    """MSK-4: beside the last four digits no more than the first six may stand."""
    assert visible_result_info({"cardBin": raw}) == {"cardBin": shown}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("cardBin", "41111"),
        ("cardBin", VISA),
        ("cardBin", 411111),
        ("lastFour", "11111"),
        ("lastFour", "\uff11\uff11\uff11\uff11"),
        ("expiryMonth", "13"),
        ("expiryMonth", 3),
        ("expiryYear", "2030"),
        ("issuingCountry", "pt"),
        ("issuingCountry", ""),
        ("issuerName", ""),
        ("issuerName", "a" * 129),
        ("issuerName", "line\nbreak"),
        ("issuerName", "nul\x00"),
        ("issuerName", "\ud800"),
        ("issuerName", f"Bank {VISA}"),
        ("issuerName", ["Bank"]),
        ("refusalReasonRaw", "card 4111 1111 1111 1111 refused"),
        ("refusalCodeRaw", VISA),
        ("refusalCodeRaw", "0" * 65),
        ("funding", "CREDIT CARD"),
        ("funding", None),
        ("networkTransactionId", "a" * 257),
        ("networkTransactionId", "caf\u00e9"),
        ("networkTransactionId", 16055123456789),
        ("cvvResultRaw", "737"),
        ("cvvResultRaw", "1234"),
        ("cvvResultRaw", "M 737"),
        ("threeDSResult", "05"),
        ("threeDSResult", []),
        ("threeDSResult", {}),
        ("threeDSResult", {"eci": 5, "cavv": "AAAB", "xid": "x"}),
        ("acquirerInfo", {"acquirerCardToken": "t"}),
        ("acquirerInfo", {"acquirerResultMessage": VISA}),
        ("creditPayPlan", {"installmentNum": 0}),
        ("creditPayPlan", {"installmentNum": True}),
        ("creditPayPlan", {"installmentNum": 100}),
        ("creditPayPlan", {"installmentNum": 10**5000}),
        ("creditPayPlan", {"installmentNum": 3.0}),
        ("creditPayPlan", {"installmentNum": "1"}),
        ("creditPayPlan", {"installmentNum": "\u0663"}),
        ("extendedAuthorizationAvailable", "yes"),
        ("extendedAuthorizationAvailable", 1),
        ("extendedAuthorizationAvailable", None),
    ],
    ids=lambda value: None if isinstance(value, str) else type(value).__name__,
)  # fmt: skip
def test_a_malformed_value_is_dropped(field: str, value: Any) -> None:
    assert visible_result_info({field: value, "rrn": "1"}) == {"rrn": "1"}


@pytest.mark.parametrize(("spelt", "value"), [(True, True), (False, False), ("true", True), ("False", False)])
def test_a_truth_value_may_be_spelt_as_text(spelt: Any, value: bool) -> None:  # noqa: FBT001 - truth values are the point
    assert visible_result_info({"threeDSResult": {"challenged": spelt}}) == {"threeDSResult": {"challenged": value}}


@pytest.mark.parametrize(("spelt", "shown"), [(2, "2"), (36, "36"), ("12", "12")])
def test_a_number_of_installments_may_be_a_number_or_text(spelt: Any, shown: str) -> None:
    assert visible_result_info({"creditPayPlan": {"installmentNum": spelt}}) == {
        "creditPayPlan": {"installmentNum": shown}
    }


@pytest.mark.no_cover
@given(st.dictionaries(st.sampled_from(sorted(FIELDS)) | st.text(), JSON))
@settings(max_examples=60)
def test_whatever_comes_in_only_known_fields_without_card_numbers_go_out(raw: dict[str, Any]) -> None:
    identifiers = {"networkTransactionId", "authorizationCode", "rrn"}
    shown = visible_result_info(raw)
    assert set(shown) <= set(FIELDS)
    assert not any(contains_pan(str(value)) for name, value in shown.items() if name not in identifiers)
    assert visible_result_info(shown) == shown

"""Result codes: every known one is read, every unknown one is safe."""

import pytest

from vault.rules.declines import _DECLINES, _ROWS, NOT_SENT, Decline, DeclineCategory, Retry, decline_for

UNKNOWN = Decline(DeclineCategory.UNKNOWN, Retry.NEVER)
HARD = {"LOST_CARD", "STOLEN_CARD", "PICKUP_CARD", "RESTRICTED_CARD", "ACCOUNT_CLOSED", "SUSPECTED_CARD"}
DOCUMENTED = """
    VERIFICATION_FAIL UNKNOWN_EXCEPTION REQUEST_TRAFFIC_EXCEED_LIMIT PARAM_ILLEGAL INVALID_PAYMENT_METHOD_META_DATA
    REPEAT_REQ_INCONSISTENT PROCESS_FAIL SYSTEM_ERROR ACCESS_DENIED INVALID_SIGNATURE KEY_NOT_FOUND INVALID_CLIENT
    NO_INTERFACE_DEF INVALID_API METHOD_NOT_SUPPORTED MEDIA_TYPE_NOT_ACCEPTABLE CURRENCY_NOT_SUPPORT INVALID_CONTRACT
    SETTLE_CONTRACT_NOT_MATCH INVALID_MERCHANT_STATUS MERCHANT_KYB_NOT_QUALIFIED MERCHANT_NOT_REGISTERED
    PAYMENT_NOT_QUALIFIED NO_PAY_OPTIONS ORDER_NOT_EXIST ORDER_IS_CANCELED ORDER_IS_CANCELLED ORDER_IS_CLOSED
    ORDER_STATUS_INVALID CANCEL_WINDOW_EXCEED REFUND_AMOUNT_EXCEED REFUND_WINDOW_EXCEED REFUND_NOT_EXIST
    PAYMENT_AMOUNT_EXCEED_LIMIT PAYMENT_COUNT_EXCEED_LIMIT USER_AMOUNT_EXCEED_LIMIT RISK_REJECT FRAUD_REJECT
    AUTHENTICATION_REQUIRED USER_PAYMENT_VERIFICATION_FAILED VERIFY_TIMES_EXCEED_LIMIT VERIFY_UNMATCHED
    USER_BALANCE_NOT_ENOUGH DO_NOT_HONOR ISSUER_REJECTS_TRANSACTION INVALID_CARD_NUMBER INVALID_CVV
    INVALID_EXPIRATION_DATE INVALID_CARD CARD_BIN_QUERY_ERROR CARD_EXPIRED CARD_NOT_SUPPORTED
    SELECTED_CARD_BRAND_NOT_AVAILABLE LOST_CARD STOLEN_CARD PICKUP_CARD RESTRICTED_CARD ACCOUNT_CLOSED SUSPECTED_CARD
    BLOCKED_FIRST_USED NO_SELECTED_ACCOUNT POLICY USER_KYC_NOT_QUALIFIED USER_STATUS_ABNORMAL USER_NOT_EXIST
    INVALID_ACCESS_TOKEN EXPIRED_CODE INVALID_PAYMENT_CODE PAYMENT_PROHIBITED BUSINESS_NOT_SUPPORT
    REGULATION_RESTRICTION UNAVAILABLE_PAYMENT_METHOD
"""


def test_every_documented_code_is_read() -> None:
    assert set(_DECLINES) == {*DOCUMENTED.split(), NOT_SENT}
    assert all(decline_for(code).category is not DeclineCategory.UNKNOWN for code in DOCUMENTED.split())


def test_no_code_has_two_rows() -> None:
    assert len(_DECLINES) == sum(len(codes.split()) for _, codes in _ROWS)


@pytest.mark.parametrize(
    ("code", "category", "retry"),
    [
        ("USER_BALANCE_NOT_ENOUGH", "insufficient_funds", "LATER"),
        ("DO_NOT_HONOR", "issuer_declined", "LATER"),
        ("INVALID_CVV", "card_data_invalid", "FIX_DATA"),
        ("CARD_EXPIRED", "card_expired", "NEW_CARD"),
        ("CARD_NOT_SUPPORTED", "card_unusable", "NEW_CARD"),
        ("STOLEN_CARD", "card_unusable", "NEVER"),
        ("RISK_REJECT", "fraud", "NEVER"),
        ("AUTHENTICATION_REQUIRED", "authentication_required", "AUTHENTICATE"),
        ("USER_PAYMENT_VERIFICATION_FAILED", "authentication_failed", "AUTHENTICATE"),
        ("PAYMENT_COUNT_EXCEED_LIMIT", "limit", "LATER"),
        ("INVALID_SIGNATURE", "configuration", "NEVER"),
        ("PARAM_ILLEGAL", "request_invalid", "FIX_DATA"),
        ("REPEAT_REQ_INCONSISTENT", "request_invalid", "NEVER"),
        ("SYSTEM_ERROR", "gateway_error", "NEVER"),
        ("ORDER_IS_CLOSED", "order_closed", "LATER"),
        ("not_sent", "not_sent", "NEW_ID"),
    ],
)
def test_a_code_says_why_and_what_has_to_change(code: str, category: str, retry: str) -> None:
    decline = decline_for(code)
    assert (decline.category.value, decline.retry.value) == (category, retry)


@pytest.mark.parametrize(
    "code", ["", "SOMETHING_NEW", "lost_card", "LOST_CARD ", "LOST_CARD\n", "NOT_SENT", "\ud800", "A" * 1_000_000]
)
def test_an_unknown_code_is_final_and_leaves_the_card_alone(code: str) -> None:
    """RTY-1: no automatic retry without a known reason."""
    assert decline_for(code) == UNKNOWN


def test_only_the_hard_declines_disable_a_card_and_they_are_never_retried() -> None:
    assert {code for code, decline in _DECLINES.items() if decline.hard} == HARD
    assert {decline_for(code).retry for code in HARD} == {Retry.NEVER}


def test_another_id_alone_is_enough_only_where_nothing_was_sent() -> None:
    assert {code for code, decline in _DECLINES.items() if decline.retry is Retry.NEW_ID} == {NOT_SENT}


def test_every_category_is_used() -> None:
    used = {decline.category for decline in _DECLINES.values()} | {UNKNOWN.category}
    assert used == set(DeclineCategory)

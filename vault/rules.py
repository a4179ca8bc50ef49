"""What the gateway's result codes mean for the merchant, and which of its result fields may be kept and shown. Data.

Refuses to know payments, cards and messages: it is asked about a code or a field, and answers from its tables.
Invariants: a code without a row is a decline that nobody repeats, and a field without a row is dropped, so that what
the gateway adds one day is neither stored nor shown before somebody has read about it.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any, Final, TypeAlias

from vault.pan_detector import contains_pan

RULES_DATE: Final = date(2026, 11, 21)

# Regions whose cards cannot be charged while the buyer is absent (antom-api.md 5.2 and 5.3); an unknown one can.
MIT_EXCLUDED_REGIONS: Final = frozenset({"BR", "KR", "CL", "MX", "PE"})

# Our own code for a payment of which nothing reached the gateway.
NOT_SENT: Final = "not_sent"


class DeclineCategory(StrEnum):
    """Why a payment did not happen, in words for the merchant."""

    INSUFFICIENT_FUNDS = "insufficient_funds"
    ISSUER_DECLINED = "issuer_declined"
    CARD_DATA_INVALID = "card_data_invalid"
    CARD_EXPIRED = "card_expired"
    CARD_UNUSABLE = "card_unusable"
    FRAUD = "fraud"
    AUTHENTICATION_REQUIRED = "authentication_required"
    AUTHENTICATION_FAILED = "authentication_failed"
    LIMIT = "limit"
    CONFIGURATION = "configuration"
    REQUEST_INVALID = "request_invalid"
    GATEWAY_ERROR = "gateway_error"
    ORDER_CLOSED = "order_closed"
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"


class Retry(StrEnum):
    """What has to change before the merchant tries again; every try needs a new `paymentRequestId`.

    `NEVER`: not with this card, or not before a person has looked. `LATER`: nothing but time. `NEW_ID`: nothing at all,
    since nothing was sent.
    """

    NEVER = "NEVER"
    LATER = "LATER"
    NEW_CARD = "NEW_CARD"
    FIX_DATA = "FIX_DATA"
    AUTHENTICATE = "AUTHENTICATE"
    NEW_ID = "NEW_ID"


@dataclass(frozen=True, slots=True)
class Decline:
    """The reading of one result code; `hard` means that the card is disabled."""

    category: DeclineCategory
    retry: Retry
    hard: bool = False


_UNKNOWN: Final = Decline(DeclineCategory.UNKNOWN, Retry.NEVER)

_ROWS: Final[tuple[tuple[Decline, str], ...]] = (
    (Decline(DeclineCategory.NOT_SENT, Retry.NEW_ID), NOT_SENT),
    (Decline(DeclineCategory.INSUFFICIENT_FUNDS, Retry.LATER), "USER_BALANCE_NOT_ENOUGH"),
    (Decline(DeclineCategory.ISSUER_DECLINED, Retry.LATER), "DO_NOT_HONOR ISSUER_REJECTS_TRANSACTION"),
    (Decline(DeclineCategory.ISSUER_DECLINED, Retry.NEW_CARD), "BLOCKED_FIRST_USED NO_SELECTED_ACCOUNT POLICY"),
    (
        Decline(DeclineCategory.CARD_DATA_INVALID, Retry.FIX_DATA),
        "INVALID_CARD_NUMBER INVALID_CVV INVALID_EXPIRATION_DATE INVALID_CARD CARD_BIN_QUERY_ERROR",
    ),
    (Decline(DeclineCategory.CARD_EXPIRED, Retry.NEW_CARD), "CARD_EXPIRED"),
    (
        Decline(DeclineCategory.CARD_UNUSABLE, Retry.NEVER, hard=True),
        "LOST_CARD STOLEN_CARD PICKUP_CARD RESTRICTED_CARD ACCOUNT_CLOSED SUSPECTED_CARD",
    ),
    (
        Decline(DeclineCategory.CARD_UNUSABLE, Retry.NEW_CARD),
        "CARD_NOT_SUPPORTED NO_PAY_OPTIONS UNAVAILABLE_PAYMENT_METHOD",
    ),
    (
        Decline(DeclineCategory.CARD_UNUSABLE, Retry.NEW_CARD),
        "USER_KYC_NOT_QUALIFIED USER_STATUS_ABNORMAL USER_NOT_EXIST",
    ),
    (Decline(DeclineCategory.CARD_UNUSABLE, Retry.FIX_DATA), "SELECTED_CARD_BRAND_NOT_AVAILABLE"),
    (Decline(DeclineCategory.FRAUD, Retry.NEVER), "RISK_REJECT FRAUD_REJECT"),
    (Decline(DeclineCategory.AUTHENTICATION_REQUIRED, Retry.AUTHENTICATE), "AUTHENTICATION_REQUIRED"),
    (
        Decline(DeclineCategory.AUTHENTICATION_FAILED, Retry.AUTHENTICATE),
        "USER_PAYMENT_VERIFICATION_FAILED VERIFY_UNMATCHED VERIFICATION_FAIL",
    ),
    (Decline(DeclineCategory.AUTHENTICATION_FAILED, Retry.LATER), "VERIFY_TIMES_EXCEED_LIMIT"),
    (
        Decline(DeclineCategory.LIMIT, Retry.LATER),
        "PAYMENT_AMOUNT_EXCEED_LIMIT PAYMENT_COUNT_EXCEED_LIMIT USER_AMOUNT_EXCEED_LIMIT",
    ),
    (
        Decline(DeclineCategory.CONFIGURATION, Retry.NEVER),
        "INVALID_SIGNATURE KEY_NOT_FOUND INVALID_CLIENT NO_INTERFACE_DEF INVALID_API METHOD_NOT_SUPPORTED",
    ),
    (
        Decline(DeclineCategory.CONFIGURATION, Retry.NEVER),
        "MEDIA_TYPE_NOT_ACCEPTABLE INVALID_MERCHANT_STATUS MERCHANT_KYB_NOT_QUALIFIED MERCHANT_NOT_REGISTERED",
    ),
    (
        Decline(DeclineCategory.CONFIGURATION, Retry.NEVER),
        "ACCESS_DENIED PAYMENT_NOT_QUALIFIED PAYMENT_PROHIBITED BUSINESS_NOT_SUPPORT REGULATION_RESTRICTION",
    ),
    (
        Decline(DeclineCategory.CONFIGURATION, Retry.FIX_DATA),
        "CURRENCY_NOT_SUPPORT INVALID_CONTRACT SETTLE_CONTRACT_NOT_MATCH",
    ),
    (
        Decline(DeclineCategory.REQUEST_INVALID, Retry.FIX_DATA),
        "PARAM_ILLEGAL INVALID_PAYMENT_METHOD_META_DATA REFUND_AMOUNT_EXCEED",
    ),
    (Decline(DeclineCategory.REQUEST_INVALID, Retry.NEVER), "INVALID_ACCESS_TOKEN EXPIRED_CODE INVALID_PAYMENT_CODE"),
    # The id stands for something else than the caller believes: somebody has to look before anything is repeated.
    (Decline(DeclineCategory.REQUEST_INVALID, Retry.NEVER), "REPEAT_REQ_INCONSISTENT ORDER_NOT_EXIST REFUND_NOT_EXIST"),
    (
        Decline(DeclineCategory.REQUEST_INVALID, Retry.NEVER),
        "ORDER_STATUS_INVALID CANCEL_WINDOW_EXCEED REFUND_WINDOW_EXCEED",
    ),
    (Decline(DeclineCategory.GATEWAY_ERROR, Retry.NEVER), "PROCESS_FAIL SYSTEM_ERROR"),
    # Not final by themselves; an inquiry may name them as the code of a payment that failed.
    (Decline(DeclineCategory.GATEWAY_ERROR, Retry.LATER), "UNKNOWN_EXCEPTION REQUEST_TRAFFIC_EXCEED_LIMIT"),
    (Decline(DeclineCategory.ORDER_CLOSED, Retry.LATER), "ORDER_IS_CLOSED ORDER_IS_CANCELED ORDER_IS_CANCELLED"),
)
_DECLINES: Final = {code: decline for decline, codes in _ROWS for code in codes.split()}


def decline_for(result_code: str) -> Decline:
    """Read the result code of a payment that failed for good.

    A code without a row is final and never repeated, and leaves the card alone: without knowing the reason, another try
    may break a scheme's rule (RTY-1), another card may be asked for in vain, and disabling a good card cannot be undone
    by the merchant. Source: `antom-api.md` 4.3.
    """
    return _DECLINES.get(result_code, _UNKNOWN)


_MOST_INSTALLMENTS: Final = 99
_Check: TypeAlias = Callable[[object], Any]


def _identifier(longest: int) -> _Check:
    """Take an id of a scheme, an acquirer or the gateway: printable ASCII, which may be a long number by nature."""
    printable = re.compile(rf"[ -~]{{1,{longest}}}")
    return lambda value: value if isinstance(value, str) and printable.fullmatch(value) else None


def _matching(pattern: str) -> _Check:
    """Take text that matches as a whole and has no card number in it."""
    form = re.compile(pattern)
    return lambda value: value if isinstance(value, str) and form.fullmatch(value) and not contains_pan(value) else None


def _prose(longest: int) -> _Check:
    """Take text for people: printable and bounded."""
    return _matching(rf"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{{1,{longest}}}")


def _flag(value: object) -> bool | None:
    """Take a truth value, also one that is spelt as text."""
    return {"true": True, "false": False}.get(str(value).lower()) if isinstance(value, bool | str) else None


def _installments(value: object) -> str | None:
    """Take a number of installments, as text whether it came as a number or as text."""
    match value:
        case str() if re.fullmatch(r"[2-9]|[1-9][0-9]", value):
            return value
        case int() if 1 < value <= _MOST_INSTALLMENTS:
            return str(value)
        case _:
            return None


def _first_six(value: object) -> str | None:
    """Take an issuer number and cut it to the six digits that may stand beside the last four (MSK-4)."""
    return value[:6] if isinstance(value, str) and re.fullmatch(r"[0-9]{6,8}", value) else None


def _record(checks: Mapping[str, _Check]) -> _Check:
    """Take an object with the given members, each if it passes its check; an empty one is dropped."""

    def check(value: object) -> dict[str, Any] | None:
        if not isinstance(value, Mapping):
            return None
        found = {name: passes(value[name]) for name, passes in checks.items() if name in value}
        return {name: member for name, member in found.items() if member is not None} or None

    return check


_CODE: Final = _matching(r"[A-Za-z0-9_.-]{1,32}")
_RAW: Final = _matching(r"[ -~]{1,64}")
_ID: Final = _identifier(64)

# Left out on purpose: cardToken and acquirerCardToken (credentials), cavv and xid (authentication values), the holder's
# name (sealed with the card), accountNo and userAuthorizationStatus (wallets).
_VISIBLE: Final = _record(
    {
        "cardNo": _matching(r"[0-9]{0,6}\*{4,15}[0-9]{4}"),
        "cardBrand": _CODE,
        "cardBin": _first_six,
        "lastFour": _matching(r"[0-9]{4}"),
        "expiryMonth": _matching(r"0[1-9]|1[0-2]"),
        "expiryYear": _matching(r"[0-9]{2}"),
        "issuingCountry": _matching(r"[A-Z]{2}"),
        "issuerName": _prose(128),
        "paymentMethodRegion": _matching(r"GLOBAL|[A-Z]{2}"),
        "funding": _CODE,
        "cardCategory": _CODE,
        "networkTransactionId": _identifier(256),
        "avsResultRaw": _RAW,
        "cvvResultRaw": _matching(r"(?!.*[0-9]{3})[ -~]{1,64}"),  # a verdict has no three digits in a row, a CVV has
        "threeDSResult": _record(
            {
                "threeDSVersion": _CODE,
                "eci": _matching(r"[0-9]{2}"),
                "dsTransactionId": _ID,
                "threeDSOffered": _flag,
                "challenged": _flag,
                "challengeCancel": _matching(r"[0-9]{2}"),
                "threeDStransactionStatusReason": _CODE,
                "exemptionType": _CODE,
            }
        ),
        "exemptionRequested": _CODE,
        "credentialTypeUsed": _CODE,
        "authorizationCode": _ID,
        "rrn": _ID,
        "refusalCodeRaw": _RAW,
        "refusalReasonRaw": _prose(256),
        "merchantAdviceCode": _CODE,
        "creditPayPlan": _record({"installmentNum": _installments, "interestRate": _matching(r"[0-9.]{1,16}")}),
        "incrementalAuthorizationAvailable": _flag,
        "extendedAuthorizationAvailable": _flag,
        "refundOnAuthorizationAvailable": _flag,
        "acquirerInfo": _record(
            {
                "acquirerName": _prose(64),
                "referenceRequestId": _ID,
                "acquirerTransactionId": _ID,
                "acquirerMerchantId": _ID,
                "acquirerMerchantName": _prose(64),
                "acquirerResultCode": _RAW,
                "acquirerResultMessage": _prose(64),
                "acquirerReasonDescription": _prose(64),
            }
        ),
    }
)


def visible_result_info(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Copy those fields of `paymentResultInfo` (or `cardInfo`) that may be stored and returned, each in its known form.

    What is unknown, malformed, null or empty is left out; a card number is copied only when it is masked.
    Source: `antom-api.md` 3; controls MSK-4, SAD-1, TOK-8.
    """
    return _VISIBLE(raw) or {}

"""What the gateway's result codes mean for the merchant.

Refuses to know payments, cards and messages: it is asked about a code, and answers from its table. Invariant: a code
without a row is a decline that nobody repeats.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Final

DATED: Final = date(2026, 11, 21)

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


class Ends(StrEnum):
    """Which agreements a decline ends: the one it was charged under, or all on the card."""

    MANDATE = "mandate"
    ALL_MANDATES = "all_mandates"


@dataclass(frozen=True, slots=True)
class Decline:
    """The reading of a decline; `hard` means that the card is disabled, `wait` how long nothing may be tried."""

    category: DeclineCategory
    retry: Retry
    hard: bool = False
    wait: timedelta | None = None
    ends: Ends | None = None


UNKNOWN: Final = Decline(DeclineCategory.UNKNOWN, Retry.NEVER)
# The network that was chosen cannot be used, so that a card must not go on remembering it.
BRAND_NOT_AVAILABLE: Final = "SELECTED_CARD_BRAND_NOT_AVAILABLE"

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
    (Decline(DeclineCategory.CARD_UNUSABLE, Retry.FIX_DATA), BRAND_NOT_AVAILABLE),
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
    return _DECLINES.get(result_code, UNKNOWN)

"""The gateway's result codes, as far as the simulator produces them (antom-api.md 4).

Refuses to know requests and payments. Invariant: a code has one status; a code that is not listed is a failure,
as the gateway's own list is open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

Json = dict[str, Any]


class Status(StrEnum):
    """The three verdicts a result can carry."""

    SUCCESS = "S"
    FAILURE = "F"
    UNKNOWN = "U"


class Code(StrEnum):
    """The result codes that the simulator gives by itself."""

    SUCCESS = "SUCCESS"
    PAYMENT_IN_PROCESS = "PAYMENT_IN_PROCESS"
    VERIFICATION_IN_PROCESS = "VERIFICATION_IN_PROCESS"
    UNKNOWN_EXCEPTION = "UNKNOWN_EXCEPTION"
    REQUEST_TRAFFIC_EXCEED_LIMIT = "REQUEST_TRAFFIC_EXCEED_LIMIT"
    PARAM_ILLEGAL = "PARAM_ILLEGAL"
    INVALID_PAYMENT_METHOD_META_DATA = "INVALID_PAYMENT_METHOD_META_DATA"
    REPEAT_REQ_INCONSISTENT = "REPEAT_REQ_INCONSISTENT"
    INVALID_SIGNATURE = "INVALID_SIGNATURE"
    KEY_NOT_FOUND = "KEY_NOT_FOUND"
    INVALID_CLIENT = "INVALID_CLIENT"
    NO_INTERFACE_DEF = "NO_INTERFACE_DEF"
    METHOD_NOT_SUPPORTED = "METHOD_NOT_SUPPORTED"
    MEDIA_TYPE_NOT_ACCEPTABLE = "MEDIA_TYPE_NOT_ACCEPTABLE"
    ORDER_NOT_EXIST = "ORDER_NOT_EXIST"
    ORDER_IS_CANCELED = "ORDER_IS_CANCELED"
    ORDER_IS_CLOSED = "ORDER_IS_CLOSED"
    ORDER_STATUS_INVALID = "ORDER_STATUS_INVALID"
    CANCEL_WINDOW_EXCEED = "CANCEL_WINDOW_EXCEED"
    CURRENCY_NOT_SUPPORT = "CURRENCY_NOT_SUPPORT"
    REFUND_AMOUNT_EXCEED = "REFUND_AMOUNT_EXCEED"
    REFUND_WINDOW_EXCEED = "REFUND_WINDOW_EXCEED"
    REFUND_NOT_EXIST = "REFUND_NOT_EXIST"
    AUTHENTICATION_REQUIRED = "AUTHENTICATION_REQUIRED"
    USER_PAYMENT_VERIFICATION_FAILED = "USER_PAYMENT_VERIFICATION_FAILED"
    INVALID_CARD_NUMBER = "INVALID_CARD_NUMBER"
    INVALID_CVV = "INVALID_CVV"
    INVALID_EXPIRATION_DATE = "INVALID_EXPIRATION_DATE"
    CARD_EXPIRED = "CARD_EXPIRED"
    CARD_NOT_SUPPORTED = "CARD_NOT_SUPPORTED"
    SELECTED_CARD_BRAND_NOT_AVAILABLE = "SELECTED_CARD_BRAND_NOT_AVAILABLE"


STATUSES: Mapping[str, Status] = {
    Code.SUCCESS: Status.SUCCESS,
    Code.VERIFICATION_IN_PROCESS: Status.UNKNOWN,
    Code.PAYMENT_IN_PROCESS: Status.UNKNOWN,
    Code.UNKNOWN_EXCEPTION: Status.UNKNOWN,
    Code.REQUEST_TRAFFIC_EXCEED_LIMIT: Status.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class RawDecline:
    """What the issuer said: response code, wording, and the scheme's advice to the merchant."""

    code: str
    reason: str
    advice: str | None = None

    def as_json(self) -> Json:
        """Return the fields of `paymentResultInfo` that say so."""
        advice = {} if self.advice is None else {"merchantAdviceCode": self.advice}
        return {"refusalCodeRaw": self.code, "refusalReasonRaw": self.reason, **advice}


# Response codes of ISO 8583; advice 03 = never again, 02 = later, 01 = with new data.
RAW_DECLINES: Mapping[str, RawDecline] = {
    "ACCOUNT_CLOSED": RawDecline("46", "Closed account", "03"),
    "AUTHENTICATION_REQUIRED": RawDecline("1A", "Additional authentication required"),
    "CARD_EXPIRED": RawDecline("54", "Expired card", "01"),
    "DO_NOT_HONOR": RawDecline("05", "Do not honor", "02"),
    "FRAUD_REJECT": RawDecline("59", "Suspected fraud", "03"),
    "INVALID_CARD_NUMBER": RawDecline("14", "Invalid card number", "03"),
    "INVALID_CVV": RawDecline("82", "Security code mismatch", "01"),
    "LOST_CARD": RawDecline("41", "Lost card", "03"),
    "PAYMENT_AMOUNT_EXCEED_LIMIT": RawDecline("61", "Exceeds amount limit", "02"),
    "PICKUP_CARD": RawDecline("04", "Pick up card", "03"),
    "RESTRICTED_CARD": RawDecline("62", "Restricted card", "03"),
    "STOLEN_CARD": RawDecline("43", "Stolen card", "03"),
    "USER_BALANCE_NOT_ENOUGH": RawDecline("51", "Insufficient funds", "02"),
}


def status_of(code: str) -> Status:
    """Return the verdict of a code; unlisted codes are failures."""
    return STATUSES.get(code, Status.FAILURE)


def result(code: str, message: str | None = None) -> Json:
    """Return the `result` object of a code."""
    wording = message or f"{code.replace('_', ' ').lower()}."
    return {"resultCode": str(code), "resultStatus": str(status_of(code)), "resultMessage": wording[:256]}


class Refused(Exception):
    """A request that gets a result code and nothing else; the message never holds a submitted value."""

    def __init__(self, code: str, message: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.message = message

    def as_json(self) -> Json:
        """Return the whole answer."""
        return {"result": result(self.code, self.message)}


def illegal(path: str) -> Refused:
    """Return the refusal of one request field by its path, never by its value."""
    return Refused(Code.PARAM_ILLEGAL, f"Illegal parameters. Field: {path}")


def bad_card_data(path: str) -> Refused:
    """Return the refusal of one field of the card's metadata by its path."""
    return Refused(Code.INVALID_PAYMENT_METHOD_META_DATA, f"Invalid payment method metadata. Field: {path}")

"""Which fields of the gateway's `paymentResultInfo` may be kept and shown, and in which form.

Refuses to know payments, cards and messages: it is asked about fields, and answers from its table. Invariant: a field
without a row is dropped, so that what the gateway adds one day is neither stored nor shown before somebody has read
about it.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Final, TypeAlias

from vault.pan_detector import contains_pan

DATED: Final = date(2026, 11, 21)

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
        if not isinstance(value, dict):
            return None
        found = {name: passes(value[name]) for name, passes in checks.items() if name in value}
        return {name: member for name, member in found.items() if member is not None} or None

    return check


_CODE: Final = _matching(r"[A-Za-z0-9_.-]{1,32}")
_RAW: Final = _matching(r"[ -~]{1,64}")
_ID: Final = _identifier(64)

# Left out on purpose: cardToken and acquirerCardToken (credentials), cavv and xid (authentication values), the holder's
# name (sealed with the card), accountNo and userAuthorizationStatus (wallets).
_FIELDS: Final[Mapping[str, _Check]] = {
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
_VISIBLE: Final = _record(_FIELDS)
NAMES: Final = frozenset(_FIELDS)


def visible_result_info(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Copy those fields of `paymentResultInfo` (or `cardInfo`) that may be stored and returned, each in its known form.

    What is unknown, malformed, null or empty is left out; a card number is copied only when it is masked.
    Source: `antom-api.md` 3; controls MSK-4, SAD-1, TOK-8.
    """
    return _VISIBLE(raw) or {}

"""What the issuer's own code and the scheme's advice add to the gateway's result code (controls.md RTY-1 to RTY-8).

Refuses to know payments: it is asked about the words of one decline. Invariants: these words only ever make the reading
of a known result code stricter; words without a row change nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from functools import reduce
from typing import Final, TypeAlias

from vault.rules.declines import UNKNOWN, Decline, DeclineCategory, Ends, Retry, decline_for

DATED: Final = date(2026, 11, 21)


class Network(StrEnum):
    """Whose codes they are."""

    VISA = "VISA"
    MASTERCARD = "MASTERCARD"


@dataclass(frozen=True, slots=True)
class Words:
    """What was said about a decline: the gateway's result code, the brand, the issuer's code, the scheme's advice."""

    result_code: str
    brand: str | None = None
    refusal_code: str | None = None
    advice_code: str | None = None


_Rows: TypeAlias = tuple[tuple[Network | None, Decline, str], ...]

_NETWORKS: Final = {"VISA": Network.VISA, "MASTERCARD": Network.MASTERCARD, "MAESTRO": Network.MASTERCARD}
_DECLINED: Final = DeclineCategory.ISSUER_DECLINED
_GONE: Final = Decline(DeclineCategory.CARD_UNUSABLE, Retry.NEVER, hard=True)

# Codes of the issuer; those without a network mean the same everywhere (ISO 8583). Visa's categories are RTY-2.
_REFUSALS: Final[_Rows] = (
    (None, _GONE, "04 07 41 43 46"),
    (None, Decline(DeclineCategory.INSUFFICIENT_FUNDS, Retry.LATER), "51"),
    (None, Decline(DeclineCategory.CARD_EXPIRED, Retry.NEW_CARD), "54"),
    (None, Decline(DeclineCategory.LIMIT, Retry.LATER), "61"),
    (None, Decline(DeclineCategory.GATEWAY_ERROR, Retry.LATER), "91 96"),
    (Network.VISA, _GONE, "14 15"),
    (Network.VISA, Decline(_DECLINED, Retry.NEVER), "12 57 R0"),
    (Network.VISA, Decline(_DECLINED, Retry.NEVER, ends=Ends.MANDATE), "R1"),
    (Network.VISA, Decline(_DECLINED, Retry.NEVER, ends=Ends.ALL_MANDATES), "R3"),
    (Network.VISA, Decline(_DECLINED, Retry.LATER), "03 5C 62 78 93 9G"),
    (Network.VISA, Decline(DeclineCategory.LIMIT, Retry.LATER), "65"),
    (Network.VISA, Decline(DeclineCategory.CARD_DATA_INVALID, Retry.FIX_DATA), "82 N7"),
    (Network.VISA, Decline(DeclineCategory.AUTHENTICATION_REQUIRED, Retry.AUTHENTICATE), "1A"),
    (Network.MASTERCARD, Decline(DeclineCategory.AUTHENTICATION_REQUIRED, Retry.AUTHENTICATE), "65"),
)

# Mastercard's advice to merchants (RTY-6). 40, 41 and 43 describe the card and say nothing about another try. The field
# is believed for other brands too; what Mastercard adds one day means no retry, as 22, 42 and 99 do.
_NO_RETRY: Final = Decline(_DECLINED, Retry.NEVER)
_HOURS: Final = {"02": 72, "24": 1, "25": 24, "26": 48, "27": 96, "28": 144, "29": 192, "30": 240}
_ADVICE: Final[Mapping[str, Decline | None]] = {
    "01": Decline(_DECLINED, Retry.FIX_DATA),
    "03": _NO_RETRY,
    "04": Decline(_DECLINED, Retry.FIX_DATA),
    "21": Decline(_DECLINED, Retry.NEVER, ends=Ends.MANDATE),
    **{code: Decline(_DECLINED, Retry.LATER, wait=timedelta(hours=hours)) for code, hours in _HOURS.items()},
    **dict.fromkeys(("22", "42", "99"), _NO_RETRY),
    **dict.fromkeys(("40", "41", "43")),
}

_BY_REFUSAL: Final = {(network, code): read for network, read, codes in _REFUSALS for code in codes.split()}
_VAGUE: Final = frozenset({DeclineCategory.ISSUER_DECLINED, DeclineCategory.UNKNOWN})
STRICTNESS: Final = (
    Retry.NEW_ID,
    Retry.LATER,
    Retry.FIX_DATA,
    Retry.AUTHENTICATE,
    Retry.NEW_CARD,
    Retry.NEVER,
)


def network_of(brand: str | None) -> Network | None:
    """Say whose rules the cards of a brand follow, where they are known here."""
    return _NETWORKS.get(brand or "")


def read_decline(words: Words) -> Decline:
    """Read a decline from everything that was said about it.

    The strictest word decides what may be tried; the longest wait counts, where waiting helps at all. The category is
    the result code's, or the issuer's where the result code says only that the issuer declined.
    """
    network, refusal = network_of(words.brand), words.refusal_code or ""
    known = _BY_REFUSAL.get((network, refusal)) or _BY_REFUSAL.get((None, refusal))
    said = [decline_for(words.result_code), known, _advice(words.advice_code, network)]
    reading = reduce(_stricter, [word for word in said if word not in {None, UNKNOWN}] or [UNKNOWN])
    return reading if reading.retry is Retry.LATER else replace(reading, wait=None)


def _advice(code: str | None, network: Network | None) -> Decline | None:
    if code is None:
        return None
    return _ADVICE.get(code, _NO_RETRY if network is Network.MASTERCARD else None)


def _stricter(reading: Decline, word: Decline) -> Decline:
    return Decline(
        category=word.category if reading.category in _VAGUE else reading.category,
        retry=max(reading.retry, word.retry, key=STRICTNESS.index),
        hard=reading.hard or word.hard,
        wait=max((wait for wait in (reading.wait, word.wait) if wait is not None), default=None),
        ends=word.ends or reading.ends,
    )

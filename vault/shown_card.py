"""What the gateway shows of a card, as what may be shown of one.

It refuses to know which message it stood in. Invariant: without the last four digits there is nothing to show, as a
buyer could not tell the card from others (controls.md COF-1).
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from vault.card import UNKNOWN_BRAND, Expiry, ExpiryInvalid
from vault.stored_card import CardFace

_MASK: Final = re.compile(r"\*{8,15}(?P<last_four>[0-9]{4})")
_USUAL_STARS: Final = 12


def face_at_gateway(info: Mapping[str, Any]) -> CardFace | None:
    """Give what the gateway shows of a card that only it has seen; None without the last four digits."""
    mask = _MASK.fullmatch(str(info.get("cardNo")))
    last_four = info.get("lastFour") or (mask and mask["last_four"])
    if not isinstance(last_four, str):
        return None
    masked = mask[0] if mask else "*" * _USUAL_STARS + last_four
    brand = info.get("cardBrand")
    return CardFace(
        brand if isinstance(brand, str) else UNKNOWN_BRAND, masked, info.get("cardBin"), last_four, _expiry(info)
    )


def _expiry(info: Mapping[str, Any]) -> Expiry | None:
    try:
        return Expiry.parse(str(info.get("expiryMonth")), str(info.get("expiryYear")))
    except ExpiryInvalid:
        return None

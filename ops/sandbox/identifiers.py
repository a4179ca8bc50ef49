"""Identifiers in the shapes the gateway gives them, made so that none can be taken for a card number.

Refuses to know what they identify. Invariant: apart from the gateway's 35-digit ids, which are longer than any card
number, no identifier has thirteen digits in a row.
"""

from __future__ import annotations

import secrets
from datetime import datetime

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DIGITS = "0123456789"
HEX_LETTERS = "abcdef"
TOKEN_ALPHABET = LETTERS + LETTERS.lower() + DIGITS + "+/"
TOKEN_PREFIX = "ALIPAY"  # noqa: S105 - a prefix that all tokens share
TOKEN_RANDOM = 87
GATEWAY_ID_RANDOM = 27


def gateway_id(now: datetime) -> str:
    """Return a payment or capture id: the date and 27 random digits."""
    return now.strftime("%Y%m%d") + "".join(secrets.choice(DIGITS) for _ in range(GATEWAY_ID_RANDOM))


def network_transaction_id() -> str:
    """Return a scheme transaction id: 15 characters, every fifth a letter."""
    return _broken_up(LETTERS, 15)


def capture_request_id() -> str:
    """Return the request id of a capture that the gateway makes by itself."""
    return "AUTO" + _broken_up(LETTERS, 24)


def page_id() -> str:
    """Return the unguessable part of a page's address."""
    return _broken_up(LETTERS, 40)


def session_id() -> str:
    """Return the id of a session for a client SDK."""
    return _broken_up(LETTERS, 32)


def session_data() -> str:
    """Return what opens a session in a client SDK: a long text that means nothing to anybody else."""
    return _broken_up(LETTERS, 400)


def directory_server_id() -> str:
    """Return a 3DS directory-server id in the shape of a UUID."""
    digits = _broken_up(HEX_LETTERS, 32)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def card_token() -> str:
    """Return a card token: 94 characters of base64 text that hold `+` and `/` and end in `=`."""
    body = [secrets.choice(TOKEN_ALPHABET) for _ in range(TOKEN_RANDOM)]
    body[20], body[40], body[60] = "+", "/", secrets.choice(LETTERS)
    return TOKEN_PREFIX + "".join(body) + "="


def _broken_up(letters: str, length: int) -> str:
    """Return random characters, every fifth of them (the first too) a letter."""
    return "".join(secrets.choice(letters if place % 5 == 0 else letters + DIGITS) for place in range(length))

"""The kinds of values that the gateway's messages are made of, each read on its own (antom-api.md 2).

It refuses to know which message they stand in. Invariant: what cannot be read is None and never guessed at.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from vault.money import Amount, AmountInvalid
from vault.result import Result


def text(value: object, longest: int) -> str | None:
    """Give a text that is neither empty nor too long."""
    return value if isinstance(value, str) and 0 < len(value) <= longest else None


def moment(value: object) -> datetime | None:
    """Give a time with its offset."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    return read if read.tzinfo else None


def amount_of(value: object) -> Amount | None:
    """Give an amount of money."""
    if not isinstance(value, dict):
        return None
    try:
        return Amount(str(value.get("currency")), str(value.get("value")))
    except AmountInvalid:
        return None


def result_of(body: Mapping[str, Any], name: str = "result") -> Result | None:
    """Give the result that a message holds under a name, or None when it has none to be read (antom-api.md 4.1)."""
    raw = body.get(name)
    if not isinstance(raw, dict):
        return None
    code, status = raw.get("resultCode"), raw.get("resultStatus")
    if not (isinstance(code, str) and isinstance(status, str)):
        return None
    message = raw.get("resultMessage")
    return Result(code[:64], status[:8], message[:256] if isinstance(message, str) else "")

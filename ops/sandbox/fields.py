"""Reads the fields of a request body the way the gateway does (antom-api.md 2, encoding rules).

An empty string is an absent field, unknown fields are ignored, booleans come natively or as text, amounts as text.
Refuses to know what a field means. Invariant: a refusal names the field's path and never its value.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ops.sandbox.results import Json, illegal

CURRENCY = re.compile(r"[A-Z]{3}")
AMOUNT = re.compile(r"[1-9][0-9]{0,15}")
URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[!-~]+")
ROUND_CURRENCIES = frozenset({"IDR"})
URL_LENGTH = 2048


@dataclass(frozen=True, slots=True)
class Amount:
    """Money in the smallest unit of its currency, with the value as it came."""

    currency: str
    value: str

    def as_json(self) -> Json:
        """Return the wire form."""
        return {"currency": self.currency, "value": self.value}

    def in_words(self) -> str:
        """Return what a page shows."""
        return f"{self.currency} {self.value} (smallest unit)"


class Fields:
    """One JSON object of a request, with the path that leads to it."""

    __slots__ = ("_path", "_values")

    def __init__(self, values: Json, path: str = "") -> None:
        self._values = values
        self._path = path

    @property
    def values(self) -> Json:
        """The object itself."""
        return self._values

    def path(self, name: str) -> str:
        """Return the dotted path of a field."""
        return f"{self._path}.{name}" if self._path else name

    def raw(self, name: str) -> Any:
        """Return a field as parsed, None when absent or empty."""
        value = self._values.get(name)
        return None if value == "" else value

    def text(self, name: str, maximum: int) -> str | None:
        """Return a text field of at most `maximum` characters."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > maximum:
            raise illegal(self.path(name))
        return value

    def needed(self, name: str, maximum: int) -> str:
        """Return a text field that has to be there."""
        value = self.text(name, maximum)
        if value is None:
            raise illegal(self.path(name))
        return value

    def one_of(self, name: str, choices: Collection[str]) -> str | None:
        """Return a text field out of a closed set."""
        value = self.text(name, 64)
        if value is not None and value not in choices:
            raise illegal(self.path(name))
        return value

    def flag(self, name: str) -> bool | None:
        """Return a boolean, sent natively or as text."""
        value = self.raw(name)
        if isinstance(value, bool) or value is None:
            return value
        if value in ("true", "false"):
            return bool(value == "true")
        raise illegal(self.path(name))

    def integer(self, name: str, lowest: int, highest: int) -> int | None:
        """Return a whole number, sent natively or as text."""
        value = self.raw(name)
        if value is None:
            return None
        digits = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        if not isinstance(digits, str) or not re.fullmatch(r"-?[0-9]{1,9}", digits):
            raise illegal(self.path(name))
        if not lowest <= int(digits) <= highest:
            raise illegal(self.path(name))
        return int(digits)

    def url(self, name: str) -> str | None:
        """Return an absolute URL of any scheme, so that apps can be returned to."""
        value = self.text(name, URL_LENGTH)
        if value is not None and not URL.fullmatch(value):
            raise illegal(self.path(name))
        return value

    def moment(self, name: str) -> datetime | None:
        """Return a time with its offset from UTC."""
        value = self.text(name, 64)
        if value is None:
            return None
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            raise illegal(self.path(name)) from None
        if moment.tzinfo is None:
            raise illegal(self.path(name))
        return moment

    def find(self, name: str) -> Fields | None:
        """Return a nested object."""
        value = self.raw(name)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise illegal(self.path(name))
        return Fields(value, self.path(name))

    def inside(self, name: str) -> Fields:
        """Return a nested object that has to be there."""
        found = self.find(name)
        if found is None:
            raise illegal(self.path(name))
        return found

    def amount(self, name: str) -> Amount:
        """Return an amount that has to be there: ISO 4217 code, positive whole value as text."""
        inner = self.inside(name)
        currency = inner.needed("currency", 3)
        value = inner.needed("value", 16)
        if not CURRENCY.fullmatch(currency):
            raise illegal(inner.path("currency"))
        if not AMOUNT.fullmatch(value) or (currency in ROUND_CURRENCIES and not value.endswith("00")):
            raise illegal(inner.path("value"))
        return Amount(currency, value)

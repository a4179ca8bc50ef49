"""Amounts of money as the gateway writes them: a currency code and a whole number of its smallest unit, as text.

Refuses to know exchange rates, decimals, signs and zero; sums and limits are the services' decisions.
Invariant: an `Amount` that exists is valid, and its text is the only spelling of its number.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from iso4217 import Currency

VALUE: Final = re.compile(r"[1-9][0-9]{0,15}")

# Codes without a smallest unit (metals, testing, "no currency") name nothing that can be paid with.
CURRENCIES: Final[frozenset[str]] = frozenset(entry.code for entry in Currency if entry.exponent is not None)


class AmountFault(StrEnum):
    """Which half of an amount was refused."""

    CURRENCY = "currency_invalid"
    VALUE = "amount_invalid"


class AmountInvalid(ValueError):
    """Raised for a currency or a value that cannot be paid; carries the fault, never the input."""

    def __init__(self, code: AmountFault) -> None:
        super().__init__(code.value)
        self.code = code


@dataclass(frozen=True, slots=True)
class Amount:
    """A positive amount: ISO 4217 code in capitals, and 1 to 16 ASCII digits without a leading zero.

    Raises `AmountInvalid`, currency first. Source: `antom-api.md` 2 (Amount).
    """

    currency: str
    value: str

    def __post_init__(self) -> None:
        if self.currency not in CURRENCIES:
            raise AmountInvalid(AmountFault.CURRENCY)
        if VALUE.fullmatch(self.value) is None:
            raise AmountInvalid(AmountFault.VALUE)

    @classmethod
    def of_minor(cls, currency: str, minor: int) -> Self:
        """Make an amount of a whole number of smallest units; `AmountInvalid` unless it is positive and fits."""
        return cls(currency, str(minor) if 0 < minor < 10**16 else "")

    @property
    def minor(self) -> int:
        """The number of smallest units."""
        return int(self.value)

"""Card data as values that cannot be printed: number, CVV, gateway token, PIN digits; and the expiry date.

Refuses to know storage, buyers and the gateway. A value that exists is valid, and a refusal tells the kind of datum and
nothing of its content. Digits are ASCII only (DEV-5).
Invariant (MSK-3, MSK-4): the clear parts of one number, taken together, are never more than its first six and last four
digits, and of thirteen digits or fewer the last four alone.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final, Self

from keys.sealed import Sealed
from vault.brands import brand_of, cvv_lengths, well_formed

UNKNOWN_BRAND: Final = "UNKNOWN"

_NUMBER: Final = re.compile(r"[0-9](?:[ -]?[0-9]){11,18}")
_SEPARATORS: Final = str.maketrans("", "", " -")
_TWO_DIGITS: Final = re.compile(r"[0-9]{2}")
_MONTH: Final = re.compile(r"0[1-9]|1[0-2]")
_CVV: Final = re.compile(r"[0-9]{3,4}")
_TOKEN: Final = re.compile(r"[ -~]{1,2048}")
_LONGEST_WITHOUT_BIN: Final = 13
_HORIZON_YEARS: Final = 20


class CardDataInvalid(ValueError):
    """Raised for card data that cannot be what it claims to be; `code` names the kind of datum."""

    code: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(self.code)


class CardNumberInvalid(CardDataInvalid):
    """Raised for a number of wrong form, length or check digit."""

    code = "card_number_invalid"


class CvvInvalid(CardDataInvalid):
    """Raised for a CVV that is not as many ASCII digits as the brand has."""

    code = "cvv_invalid"


class ExpiryInvalid(CardDataInvalid):
    """Raised for an expiry that is no month, or lies more than twenty years away."""

    code = "expiry_invalid"


class CardTokenInvalid(CardDataInvalid):
    """Raised for a gateway token that is empty, too long or not printable ASCII."""

    code = "card_token_invalid"


class PinDigitsInvalid(CardDataInvalid):
    """Raised for anything but two ASCII digits."""

    code = "pin_digits_invalid"


class Pan(Sealed[str]):
    """A card number, with the parts of it that may be shown."""

    __slots__ = ("bin", "brand", "last_four", "masked")

    brand: str
    last_four: str
    bin: str | None
    masked: str

    def __init__(self, raw: str) -> None:
        if _NUMBER.fullmatch(raw) is None:
            raise CardNumberInvalid
        digits = raw.translate(_SEPARATORS)
        brand = brand_of(digits)
        if not well_formed(digits, brand):
            raise CardNumberInvalid
        super().__init__(digits)
        self.brand = UNKNOWN_BRAND if brand is None else brand.name.value
        self.last_four = digits[-4:]
        self.bin = digits[:6] if len(digits) > _LONGEST_WITHOUT_BIN else None
        self.masked = "*" * (len(digits) - 4) + digits[-4:]

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Read 12 to 19 ASCII digits, single spaces or dashes between them allowed.

        Raises `CardNumberInvalid`, also when length or check digit do not suit the brand. Source: BIN-1, BIN-2.
        """
        return cls(raw)


class Cvv(Sealed[str]):
    """A card verification value; exists in the memory of one request only (SAD-2)."""

    __slots__ = ("_length",)

    _length: int

    def __init__(self, raw: str) -> None:
        if _CVV.fullmatch(raw) is None:
            raise CvvInvalid
        super().__init__(raw)
        self._length = len(raw)

    @classmethod
    def parse(cls, raw: str, brand: str = UNKNOWN_BRAND) -> Self:
        """Read as many ASCII digits as the brand (a name as in `Pan.brand`) has, three or four when it is not known.

        Raises `CvvInvalid`. Where the number is read later, ask `fits` then.
        """
        cvv = cls(raw)
        if not cvv.fits(brand):
            raise CvvInvalid
        return cvv

    def fits(self, brand: str) -> bool:
        """Tell whether cards of this brand have a CVV of this length."""
        return self._length in cvv_lengths(brand)


class CardToken(Sealed[str]):
    """The gateway's token for a card: opaque, case-sensitive, compared exactly."""

    __slots__ = ()

    def __init__(self, raw: str) -> None:
        if _TOKEN.fullmatch(raw) is None:
            raise CardTokenInvalid
        super().__init__(raw)

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Read 1 to 2,048 printable ASCII characters; `CardTokenInvalid` otherwise. Source: `antom-api.md` 2.8."""
        return cls(raw)


class PinDigits(Sealed[str]):
    """The first two digits of a Korean card's password (`cardPasswordDigest`); treated like a CVV."""

    __slots__ = ()

    def __init__(self, raw: str) -> None:
        if _TWO_DIGITS.fullmatch(raw) is None:
            raise PinDigitsInvalid
        super().__init__(raw)

    @classmethod
    def parse(cls, raw: str) -> Self:
        """Read two ASCII digits; `PinDigitsInvalid` otherwise. Source: `antom-api.md` 2.1."""
        return cls(raw)


@dataclass(frozen=True, slots=True)
class Expiry:
    """The last month in which a card is valid; the year has four digits."""

    month: int
    year: int

    @classmethod
    def parse(cls, month: str, year: str, *, at: datetime | None = None) -> Self:
        """Read a month `01` to `12` and the last two digits of a year.

        The century is the one that brings the year nearest to the year of `at` (an aware time, by default now). Raises
        `ExpiryInvalid` when even that year is more than twenty years away, in either direction.
        """
        if _MONTH.fullmatch(month) is None or _TWO_DIGITS.fullmatch(year) is None:
            raise ExpiryInvalid
        this_year = (at or datetime.now(UTC)).year
        distance = (int(year) - this_year + 50) % 100 - 50
        if abs(distance) > _HORIZON_YEARS:
            raise ExpiryInvalid
        return cls(int(month), this_year + distance)

    @property
    def text(self) -> str:
        """Year and month, as `2039-11`."""
        return f"{self.year}-{self.month_text}"

    @property
    def month_text(self) -> str:
        """The month as two digits."""
        return f"{self.month:02}"

    @property
    def year_text(self) -> str:
        """The last two digits of the year."""
        return f"{self.year % 100:02}"

    def passed(self, at: datetime) -> bool:
        """Tell whether the month has ended everywhere on Earth, which is at noon UTC of the next month's first day.

        `at` is an aware time; `TypeError` for a naive one. The last place to leave a month is at UTC-12.
        """
        return at >= datetime(self.year + self.month // 12, self.month % 12 + 1, 1, 12, tzinfo=UTC)

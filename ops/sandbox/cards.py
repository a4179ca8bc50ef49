"""Card numbers as an acquirer sees them: brand, issuing country, funding, and a mask.

Brand ranges and the countries of published test numbers are data. Refuses to know payments.
Invariant: the representation of a card never shows its number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from ops.sandbox.results import Json


@dataclass(frozen=True, slots=True)
class Brand:
    """A scheme: its number prefixes as (first, last) of equal length, lengths, and the region of its network."""

    name: str
    prefixes: tuple[tuple[str, str], ...]
    lengths: frozenset[int]
    region: str = "GLOBAL"


SIXTEEN = frozenset({16})
# The first brand that fits wins, so national ranges stand before the international ones that enclose them.
BRANDS = (
    Brand(
        "ELO", (("431274", "431274"), ("506699", "506778"), ("509000", "509999"), ("636368", "636368")), SIXTEEN, "BR"
    ),
    Brand("HIPERCARD", (("606282", "606282"),), SIXTEEN, "BR"),
    Brand("CARNET", (("506199", "506206"), ("286900", "286900")), SIXTEEN, "MX"),
    Brand("VISA", (("4", "4"),), frozenset({13, 16, 19})),
    Brand("MASTERCARD", (("51", "55"), ("2221", "2720")), SIXTEEN),
    Brand("AMEX", (("34", "34"), ("37", "37")), frozenset({15})),
    Brand("DINERS", (("300", "305"), ("36", "36"), ("38", "39")), frozenset({14, 16, 19})),
    Brand("DISCOVER", (("6011", "6011"), ("644", "649"), ("65", "65")), frozenset({16, 19})),
    Brand("JCB", (("3528", "3589"),), frozenset({16, 17, 18, 19})),
    Brand("CUP", (("62", "62"), ("81", "81")), frozenset({16, 17, 18, 19})),
    Brand("TROY", (("9792", "9792"),), SIXTEEN, "TR"),
    Brand("MIR", (("2200", "2204"),), frozenset({16, 17, 18, 19}), "RU"),
    Brand("MAESTRO", (("50", "50"), ("56", "58"), ("67", "67")), frozenset(range(13, 20))),
)

# Published test numbers carry the ISO 3166 numeric code of their country after 400000.
COUNTRY_PREFIX = "400000"
COUNTRIES: Mapping[str, str] = {
    "032": "AR", "036": "AU", "040": "AT", "056": "BE", "076": "BR", "124": "CA", "152": "CL", "156": "CN",
    "170": "CO", "208": "DK", "246": "FI", "250": "FR", "276": "DE", "344": "HK", "356": "IN", "372": "IE",
    "380": "IT", "392": "JP", "410": "KR", "442": "LU", "458": "MY", "484": "MX", "528": "NL", "554": "NZ",
    "578": "NO", "604": "PE", "616": "PL", "620": "PT", "702": "SG", "724": "ES", "752": "SE", "756": "CH",
    "764": "TH", "784": "AE", "826": "GB", "840": "US",
}  # fmt: skip
HOME_COUNTRY = "US"
DEBIT = frozenset({"400005", "520082", "605740"})
PREPAID = frozenset({"510510"})
COBADGED: Mapping[str, str] = {"FR": "CARTES_BANCAIRES"}
BRAND_ALIASES: Mapping[str, str] = {"CB": "CARTES_BANCAIRES"}


@dataclass(frozen=True, slots=True)
class Card:
    """One card: number, month and year with two digits each."""

    number: str = field(repr=False)
    expiry_month: str
    expiry_year: str

    @property
    def brand(self) -> Brand | None:
        """The scheme whose range and length the number fits."""
        return next((brand for brand in BRANDS if _fits(self.number, brand)), None)

    @property
    def country(self) -> str:
        """The issuing country, ISO 3166 alpha-2."""
        if self.number.startswith(COUNTRY_PREFIX):
            return COUNTRIES.get(self.number[6:9], HOME_COUNTRY)
        region = self.brand.region if self.brand else "GLOBAL"
        return HOME_COUNTRY if region == "GLOBAL" else region

    @property
    def funding(self) -> str:
        """CREDIT, DEBIT or PREPAID."""
        bin_ = self.number[:6]
        if bin_ in PREPAID:
            return "PREPAID"
        return "DEBIT" if bin_ in DEBIT else "CREDIT"

    @property
    def masked(self) -> str:
        """Stars and the last four, as many characters as the number."""
        return "*" * (len(self.number) - 4) + self.number[-4:]

    def brands(self) -> tuple[str, ...]:
        """Return every brand this card can be processed under, its own first."""
        own = self.brand.name if self.brand else "UNKNOWN"
        local = COBADGED.get(self.country)
        return (own, local) if local else (own,)

    def expired(self, now: datetime) -> bool:
        """Tell whether the month of expiry is over."""
        return (2000 + int(self.expiry_year), int(self.expiry_month)) < (now.year, now.month)

    def as_json(self, *, brand: str, region: str) -> Json:
        """Return the masked view that the gateway gives of a card (antom-api.md 3)."""
        return {
            "cardNo": self.masked,
            "cardBrand": brand,
            "cardBin": self.number[:6],
            "lastFour": self.number[-4:],
            "expiryMonth": self.expiry_month,
            "expiryYear": self.expiry_year,
            "issuingCountry": self.country,
            "funding": self.funding,
            "paymentMethodRegion": region,
        }


# What stands for a card until the buyer has typed one.
NO_CARD = Card("", "", "")


def passes_luhn(number: str) -> bool:
    """Tell whether the check digit of a number is right."""
    digits = [int(digit) for digit in reversed(number)]
    doubled = [digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[1::2]]  # noqa: PLR2004 - of the algorithm
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def is_card_number(number: str) -> bool:
    """Tell whether a text has the shape of a card number: 12 to 19 ASCII digits."""
    return re.fullmatch(r"[0-9]{12,19}", number) is not None


def _fits(number: str, brand: Brand) -> bool:
    within = any(first <= number[: len(first)] <= last for first, last in brand.prefixes)
    return within and len(number) in brand.lengths

"""What the digits of a card number tell: its brand, the lengths and CVV sizes of that brand, and the check digit.

Refuses to know cards, networks chosen by buyers and co-badges: which network carries a payment is the gateway's answer.
The table is data, compiled from public prefix lists of the schemes and of open card-type tables; an acquirer's BIN file
is the only authority and may replace it. Invariant: the longest matching prefix wins, then the earlier row.
Source: controls BIN-1 to BIN-5.
"""

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

TABLE_DATE: Final = date(2026, 11, 21)

_THREE: Final = frozenset({3})
_FOUR: Final = frozenset({4})
_THREE_OR_FOUR: Final = frozenset({3, 4})
_SIXTEEN: Final = frozenset({16})
_SIXTEEN_UP: Final = frozenset({16, 17, 18, 19})
_PREFIX_DIGITS: Final = 8
_LUHN_DOUBLED: Final = bytes.maketrans(b"0123456789", bytes((0, 2, 4, 6, 8, 1, 3, 5, 7, 9)))
_LUHN_PLAIN: Final = bytes.maketrans(b"0123456789", bytes(range(10)))


class BrandName(StrEnum):
    """Brands in the gateway's vocabulary; those it has no word for keep their own name."""

    ELO = "ELO"
    HIPERCARD = "HIPERCARD"
    TROY = "TROY"
    VERVE = "VERVE"
    NARANJA = "NARANJA"
    MIR = "MIR"
    MASTERCARD = "MASTERCARD"
    AMEX = "AMEX"
    RUPAY = "RUPAY"
    JCB = "JCB"
    DINERS = "DINERS"
    CUP = "CUP"
    DISCOVER = "DISCOVER"
    DANKORT = "DANKORT"
    VISA = "VISA"
    MAESTRO = "MAESTRO"
    KOREAN_LOCAL = "KOREAN_LOCAL"
    NAPAS = "NAPAS"
    HUMO = "HUMO"
    UZCARD = "UZCARD"
    LANKAPAY = "LANKAPAY"
    UKRCARD = "UKRCARD"
    T_UNION = "T_UNION"
    BORICA = "BORICA"
    UATP = "UATP"


@dataclass(frozen=True, slots=True)
class Brand:
    """One row of the table: lengths of the number and of the CVV, and whether the last digit is a Luhn check digit."""

    name: BrandName
    lengths: frozenset[int] = _SIXTEEN
    cvv_lengths: frozenset[int] = _THREE
    cvv_optional: bool = False
    luhn: bool = True


# Rows in order of precedence. `a-b` is a range of prefixes of equal length, both ends included.
# RuPay's 353 and 356 only add a network to a JCB card and are left out; Cartes Bancaires has no prefix of its own.
_ROWS: Final[tuple[tuple[Brand, str], ...]] = (
    (
        Brand(BrandName.ELO),
        (
            "401178-401179 431274 438935 451416 457393 457631-457632 504175 506699-506778 509000-509999 627780 636297 "
            "636368 650031-650033 650035-650051 650405-650439 650485-650538 650541-650598 650700-650718 650720-650727 "
            "650901-650978 651652-651679 655000-655019 655021-655058"
        ),
    ),
    (Brand(BrandName.HIPERCARD), "606282 637095 637568 637599 637609 637612 63737423 63743358"),
    (Brand(BrandName.TROY), "9792 650052 650082-650083 650092 650161"),
    (Brand(BrandName.VERVE, lengths=frozenset({16, 18, 19})), "506099-506198 507865-507964 650002-650027"),
    (Brand(BrandName.NARANJA), "402918 527572 589562"),
    (Brand(BrandName.MIR, lengths=_SIXTEEN_UP), "2200-2204"),
    (Brand(BrandName.MASTERCARD), "51-55 222100-272099"),
    (Brand(BrandName.AMEX, lengths=frozenset({15}), cvv_lengths=_FOUR), "34 37"),
    (Brand(BrandName.RUPAY), "6521-6522 508 82 60"),
    (Brand(BrandName.JCB, lengths=_SIXTEEN_UP), "3528-3589"),
    (Brand(BrandName.JCB, lengths=frozenset({15})), "2131 1800"),
    (Brand(BrandName.DINERS, lengths=frozenset(range(14, 20))), "300-305 3095 36 38 39"),
    (Brand(BrandName.CUP, lengths=frozenset(range(14, 20))), "62 8100-8171"),
    (Brand(BrandName.DISCOVER, lengths=_SIXTEEN_UP), "6011 644-649 65"),
    (Brand(BrandName.DANKORT), "5019 4571"),
    (Brand(BrandName.VISA, lengths=frozenset({13, 16, 18, 19})), "4"),
    (
        Brand(BrandName.MAESTRO, lengths=frozenset(range(12, 20)), cvv_optional=True),
        "493698 50 56-58 63 67 6",
    ),
    (Brand(BrandName.KOREAN_LOCAL, cvv_optional=True), "9"),
    (Brand(BrandName.NAPAS, lengths=frozenset({16, 19})), "9704"),
    (Brand(BrandName.HUMO), "9860"),
    (Brand(BrandName.UZCARD), "8600 5614"),
    (Brand(BrandName.LANKAPAY), "357111"),
    (Brand(BrandName.UKRCARD, lengths=_SIXTEEN_UP), "60400100-60420099"),
    (Brand(BrandName.T_UNION, lengths=frozenset({19})), "31"),
    (Brand(BrandName.BORICA), "2205"),
    (
        Brand(BrandName.UATP, lengths=frozenset({15}), cvv_lengths=_THREE_OR_FOUR, cvv_optional=True),
        "1",
    ),
)


def _segments(rows: tuple[tuple[Brand, str], ...]) -> tuple[list[int], list[Brand | None]]:
    """Cut the space of eight-digit prefixes into segments of one brand each: their starts, and their brands."""
    ranges = []
    for order, (brand, prefixes) in enumerate(rows):
        for prefix in prefixes.split():
            low, _, high = prefix.partition("-")
            start = int(low.ljust(_PREFIX_DIGITS, "0"))
            end = int((high or low).ljust(_PREFIX_DIGITS, "9")) + 1
            ranges.append((len(low), -order, start, end, brand))
    starts = sorted({0} | {edge for _, _, start, end, _ in ranges for edge in (start, end)})
    brands: list[Brand | None] = [None] * len(starts)
    for _, _, start, end, brand in sorted(ranges, key=lambda entry: entry[:2]):
        first, last = bisect_left(starts, start), bisect_left(starts, end)
        brands[first:last] = [brand] * (last - first)
    return starts, brands


_STARTS, _BRANDS = _segments(_ROWS)
_CVV_LENGTHS: Final = {brand.name.value: brand.cvv_lengths for brand, _ in _ROWS}


def brand_of(digits: str) -> Brand | None:
    """Find the brand of a card number, or of its first eight or more digits; anything else has none (BIN-3)."""
    prefix = digits[:_PREFIX_DIGITS]
    if len(prefix) < _PREFIX_DIGITS or not (prefix.isascii() and prefix.isdigit()):
        return None
    return _BRANDS[bisect_right(_STARTS, int(prefix)) - 1]


def cvv_lengths(brand_name: str) -> frozenset[int]:
    """Give the possible lengths of the CVV; three or four digits for a brand that the table does not know."""
    return _CVV_LENGTHS.get(brand_name, _THREE_OR_FOUR)


def luhn_ok(digits: str) -> bool:
    """Tell whether the last digit is the Luhn digit of ISO/IEC 7812-1; the caller has made sure of ASCII digits."""
    data = digits.encode("ascii")
    plain, doubled = data[::-2].translate(_LUHN_PLAIN), data[-2::-2].translate(_LUHN_DOUBLED)
    return (sum(plain) + sum(doubled)) % 10 == 0


def well_formed(digits: str, brand: Brand | None) -> bool:
    """Tell whether length and check digit suit the brand; an unknown brand takes any length and a Luhn digit.

    The caller has made sure of 12 to 19 ASCII digits. Source: controls BIN-2, BIN-5.
    """
    if brand is None:
        return luhn_ok(digits)
    return len(digits) in brand.lengths and (not brand.luhn or luhn_ok(digits))

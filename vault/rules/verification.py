"""What the issuer's letters about address (AVS) and CVV mean (antom-api.md 3 and 5.5).

Refuses to know payments: it is asked about result fields. The gateway documents no letters, so these are the schemes'.
Invariants: a letter without a row reads as unknown, never as a match; what was not checked has no reading at all.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Any, Final

DATED: Final = date(2026, 11, 21)
AVS_COUNTRIES: Final = frozenset({"US"})
_INTERNATIONAL: Final = "GLOBAL"


class AddressCheck(StrEnum):
    """What the issuer says about the billing address; `NOT_APPLICABLE`: such cards are not checked."""

    MATCH = "MATCH"
    ADDRESS_MATCH = "ADDRESS_MATCH"
    POSTAL_CODE_MATCH = "POSTAL_CODE_MATCH"
    NO_MATCH = "NO_MATCH"
    NOT_VERIFIED = "NOT_VERIFIED"
    NOT_SUPPORTED = "NOT_SUPPORTED"
    UNAVAILABLE = "UNAVAILABLE"
    NOT_APPLICABLE = "NOT_APPLICABLE"
    UNKNOWN = "UNKNOWN"


class CvvCheck(StrEnum):
    """What the issuer says about the CVV; `NOT_PRESENT`: the card should have one and none was sent."""

    MATCH = "MATCH"
    NO_MATCH = "NO_MATCH"
    NOT_PROCESSED = "NOT_PROCESSED"
    NOT_PRESENT = "NOT_PRESENT"
    UNAVAILABLE = "UNAVAILABLE"
    UNKNOWN = "UNKNOWN"


_ADDRESS: Final[Mapping[AddressCheck, str]] = {
    AddressCheck.MATCH: "D F H M V X Y",
    AddressCheck.ADDRESS_MATCH: "A B O T",
    AddressCheck.POSTAL_CODE_MATCH: "L P W Z",
    AddressCheck.NO_MATCH: "K N",
    AddressCheck.NOT_VERIFIED: "C I",
    AddressCheck.NOT_SUPPORTED: "E G S",
    AddressCheck.UNAVAILABLE: "R U",
}
_CVV: Final = {
    "M": CvvCheck.MATCH,
    "N": CvvCheck.NO_MATCH,
    "P": CvvCheck.NOT_PROCESSED,
    "S": CvvCheck.NOT_PRESENT,
    "U": CvvCheck.UNAVAILABLE,
}
_BY_LETTER: Final = {letter: check for check, letters in _ADDRESS.items() for letter in letters.split()}
# At American Express this letter says that the postal code matches and the name does not.
_BY_BRAND: Final = {("AMEX", "F"): AddressCheck.POSTAL_CODE_MATCH}
# Letters that say nothing about the address: for a card that is not checked anyway, that is the reason.
_SILENT: Final = frozenset({AddressCheck.NOT_VERIFIED, AddressCheck.NOT_SUPPORTED, AddressCheck.UNAVAILABLE})


def checks_of(info: Mapping[str, Any]) -> dict[str, str]:
    """Read the letters among result fields: `avsResult` and `cvvResult`, each where there is something to say."""
    checks = {"avsResult": _address_check(info), "cvvResult": _cvv_check(info)}
    return {name: check.value for name, check in checks.items() if check is not None}


def _address_check(info: Mapping[str, Any]) -> AddressCheck | None:
    letter, check = info.get("avsResultRaw"), None
    if letter is not None:
        check = _BY_BRAND.get((info.get("cardBrand", ""), letter), _BY_LETTER.get(letter, AddressCheck.UNKNOWN))
    outside = _outside(info)
    return AddressCheck.NOT_APPLICABLE if outside and (check is None or check in _SILENT) else check


def _outside(info: Mapping[str, Any]) -> bool:
    """Tell whether a card is known to be of a country in which addresses are not checked."""
    countries = {info.get("issuingCountry"), info.get("paymentMethodRegion")} - {None, _INTERNATIONAL}
    return bool(countries) and AVS_COUNTRIES.isdisjoint(countries)


def _cvv_check(info: Mapping[str, Any]) -> CvvCheck | None:
    letter = info.get("cvvResultRaw")
    return None if letter is None else _CVV.get(letter, CvvCheck.UNKNOWN)

"""Which regions' cards the gateway's documents exclude from a feature (antom-api.md 5.2, 5.3 and 5.8).

Refuses to know payments and merchants: it is asked about a region. Invariant: a region that is not known is excluded
from nothing.
"""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Final

DATED: Final = date(2026, 11, 21)


class Feature(StrEnum):
    """What a payment may ask for and some regions' cards cannot; a merchant's policy about it has this name."""

    MANDATE = "mandate"
    AUTHENTICATION = "authentication"
    AUTHENTICATION_UPGRADE = "authentication_upgrade"
    MPI = "mpi"
    CARD_BRAND = "card_brand"
    MANUAL_CAPTURE = "manual_capture"
    INSTALLMENTS = "installments"


_EXCLUDED: Final[Mapping[Feature, frozenset[str]]] = {
    Feature.MANDATE: frozenset({"BR", "KR", "CL", "MX", "PE"}),
    Feature.AUTHENTICATION: frozenset({"KR"}),
    Feature.AUTHENTICATION_UPGRADE: frozenset({"BR", "KR"}),
    Feature.MPI: frozenset({"KR"}),
    Feature.CARD_BRAND: frozenset({"BR"}),
    Feature.MANUAL_CAPTURE: frozenset({"KR"}),
}
# Features of some regions alone. A card that is processed over an international network may be of any of them.
_LIMITED: Final[Mapping[Feature, frozenset[str]]] = {
    Feature.INSTALLMENTS: frozenset({"GLOBAL", "US", "BR", "KR", "MX", "CL"}),
}

# Regions whose cards are captured in full or not at all (antom-api.md 2.3).
FULL_CAPTURE_REGIONS: Final = frozenset({"US"})


def excludes(region: str | None, feature: Feature) -> bool:
    """Tell whether cards that are processed in a region (`GLOBAL` or ISO 3166 alpha-2) cannot use a feature."""
    if region is None:
        return False
    return region in _EXCLUDED.get(feature, ()) or region not in _LIMITED.get(feature, {region})

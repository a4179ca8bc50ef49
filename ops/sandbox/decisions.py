"""The gateway's decision tables, as data (antom-api.md 5.1 to 5.3, editions of 2024 to 2026).

Answers one question: does this payment go straight to the issuer, through a 3DS page, or nowhere? Refuses to know
messages and state. Invariant: every row of the tables is one entry here and one test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Route(StrEnum):
    """Where a payment goes."""

    DIRECT = "DIRECT"
    CHALLENGE = "CHALLENGE"
    REFUSED = "REFUSED"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: what happens first, and what happens when the issuer then insists on authentication."""

    first: Route
    insisted: Route
    risk_decides: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What the tables look at; `risk_challenges` is None without the paid risk service."""

    authenticate: bool
    upgrade: bool
    issuer_insists: bool = False
    risk_challenges: bool | None = None
    merchant_initiated: bool = False
    authenticated_elsewhere: bool = False


ALWAYS = Row(Route.CHALLENGE, Route.CHALLENGE)
# Keys are (is3DSAuthentication, enableAuthenticationUpgrade); unset reads as (false, true).
WITHOUT_RISK_SERVICE: Mapping[tuple[bool, bool], Row] = {
    (False, True): Row(Route.DIRECT, Route.CHALLENGE),
    (False, False): Row(Route.DIRECT, Route.REFUSED),
    (True, True): ALWAYS,
    (True, False): ALWAYS,
}
WITH_RISK_SERVICE: Mapping[tuple[bool, bool], Row] = {
    (False, True): Row(Route.DIRECT, Route.CHALLENGE, risk_decides=True),
    (False, False): Row(Route.DIRECT, Route.REFUSED, risk_decides=True),
    (True, True): ALWAYS,
    (True, False): ALWAYS,
}


class Feature(StrEnum):
    """What a card's region can exclude."""

    AUTHENTICATION = "is3DSAuthentication"
    UPGRADE = "enableAuthenticationUpgrade"
    MERCHANT_INITIATED = "recurringType"
    BRAND_CHOICE = "selectedCardBrand"
    MPI = "mpiData"
    RISK_SERVICE = "riskService"


EXCLUDED: Mapping[Feature, frozenset[str]] = {
    Feature.AUTHENTICATION: frozenset({"KR"}),
    Feature.UPGRADE: frozenset({"BR", "KR"}),
    Feature.MERCHANT_INITIATED: frozenset({"BR", "KR", "CL", "MX", "PE"}),
    Feature.BRAND_CHOICE: frozenset({"BR"}),
    Feature.MPI: frozenset({"KR"}),
    Feature.RISK_SERVICE: frozenset({"BR", "KR"}),
}
CVV_NEEDED = frozenset({"GLOBAL", "BR", "CL", "MX", "PE"})
# Extra fields of local cards; only strict mode asks for them.
LOCAL_FIELDS: Mapping[str, tuple[str, ...]] = {
    "BR": ("cpf", "payerEmail"),
    "CL": ("payerEmail",),
    "MX": ("payerEmail",),
    "PE": ("payerEmail",),
}
ADDRESS_CHECKED = frozenset({"US"})
# Where a capture has to be the whole amount, and where issuer-authenticated cards are captured by the gateway alone.
FULL_CAPTURE_ONLY = frozenset({"US"})
AUTOMATIC_CAPTURE_ONLY = frozenset({"KR"})


def excludes(region: str, feature: Feature) -> bool:
    """Tell whether cards processed in a region cannot use a feature."""
    return region in EXCLUDED[feature]


def decide(situation: Situation) -> Route:
    """Look the situation up in the tables.

    A merchant-initiated payment that forbids the upgrade never meets a challenge, as nobody could answer it, and the
    risk service leaves it alone. Authentication done elsewhere (MPI) satisfies issuer and risk service.
    """
    table = WITHOUT_RISK_SERVICE if situation.risk_challenges is None else WITH_RISK_SERVICE
    row = table[situation.authenticate, situation.upgrade]
    if situation.authenticated_elsewhere:
        return row.first
    alone = situation.merchant_initiated and not situation.upgrade
    if row.risk_decides and situation.risk_challenges and not alone:
        return Route.CHALLENGE
    return row.insisted if situation.issuer_insists else row.first

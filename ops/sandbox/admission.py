"""Whether a card may pay as it is asked to: brand, region, and what the region excludes (antom-api.md 5.2, 5.7).

Refuses to know state beyond the ids that were issued here. Invariant: whoever is admitted has a card with a brand, or
none yet.
"""

from __future__ import annotations

from dataclasses import dataclass

from ops.sandbox.book import Book
from ops.sandbox.card_fields import CardFields
from ops.sandbox.cards import Card
from ops.sandbox.config import RegionalRule, SandboxConfig
from ops.sandbox.decisions import AUTOMATIC_CAPTURE_ONLY, Feature, excludes
from ops.sandbox.results import Code, Refused, bad_card_data, illegal


@dataclass(frozen=True, slots=True)
class Admitted:
    """Under which brand and region a card is processed."""

    brand: str
    region: str


def admit(
    config: SandboxConfig, book: Book, card: Card, fields: CardFields, *, captures_itself: bool = True
) -> Admitted:
    """Decide brand and region of a card; raises `Refused`."""
    if card.brand is None:
        raise Refused(Code.CARD_NOT_SUPPORTED)
    region = fields.region or card.brand.region
    if config.regional_rule is RegionalRule.REFUSE:
        _check_regional(fields, region, captures_itself=captures_itself)
    brand = _choose_brand(card, fields)
    scheme_id = fields.network_transaction_id
    if fields.recurring_type and scheme_id and book.contradicts(scheme_id, card):
        raise bad_card_data("paymentMethod.paymentMethodMetaData.networkTransactionId")
    return Admitted(brand, region)


def _check_regional(fields: CardFields, region: str, *, captures_itself: bool) -> None:
    """Refuse what the region excludes (antom-api.md 5.2)."""
    used = {
        Feature.AUTHENTICATION: fields.authenticate,
        Feature.UPGRADE: fields.upgrade is True,
        Feature.MERCHANT_INITIATED: fields.recurring_type is not None,
        Feature.BRAND_CHOICE: bool(fields.brands_chosen),
        Feature.MPI: fields.mpi is not None,
    }
    for feature, present in used.items():
        if present and excludes(region, feature):
            raise illegal(f"paymentMethod.paymentMethodMetaData.{feature}")
    if fields.issuer_authenticates and region in AUTOMATIC_CAPTURE_ONLY and not captures_itself:
        raise illegal("paymentFactor.captureMode")


def _choose_brand(card: Card, fields: CardFields) -> str:
    available = card.brands()
    chosen = fields.brands_chosen
    if not chosen:
        return available[0]
    for brand in chosen:
        if brand in available:
            return brand
    raise Refused(Code.SELECTED_CARD_BRAND_NOT_AVAILABLE)

"""What the vault takes from a request with a card: what is sealed, what may be shown, what is kept of a consent.

It refuses to know services, rows and HTTP. Invariant: a card number leaves this module only as a mask or a keyed
fingerprint (design section 3).
"""

import hashlib
from collections.abc import Iterable
from typing import Any

import orjson

from keys.keyring import Fingerprint, Location
from vault.card import Pan
from vault.card_policy import CardPolicy, refuses
from vault.errors import CardNumberRefused, FieldCode, FieldProblem, PanInFreeText
from vault.logs import get_logger
from vault.merchant import Merchant, ReferencePolicy
from vault.pan_detector import contains_pan
from vault.stored_card import CardFace, SecretKind
from vault.wire.cards import CardField, ConsentField
from vault.wire.orders import AddressField

_log = get_logger(__name__)


def card_location(merchant_id: str, card_id: str, kind: SecretKind) -> Location:
    """Say where a card's secret belongs; it opens nowhere else."""
    return Location(merchant_id, "card_secret", card_id, kind)


def profile_of(card: CardField | None, billing_address: AddressField | None) -> bytes | None:
    """Give what is sealed of the holder's name and address, or None when neither was sent."""
    parts = {"cardholderName": card and card.cardholder_name, "billingAddress": billing_address}
    profile = {name: part.wire() for name, part in parts.items() if part is not None}
    return orjson.dumps(profile) if profile else None


def consent_evidence(consent: ConsentField | None) -> dict[str, Any] | None:
    """Give what is kept of a consent: the hash of the text, when, and from where (controls.md COF-1)."""
    if consent is None:
        return None
    return {
        "textSha256": hashlib.sha256(consent.text.encode()).hexdigest(),
        "acceptedAt": consent.accepted_at.isoformat(),
        "clientIp": consent.client_ip,
    }


def face_of_pan(pan: Pan, card: CardField, fingerprint: Fingerprint) -> CardFace:
    """Give what may be shown of a card that was just typed."""
    return CardFace(pan.brand, pan.masked, pan.bin, pan.last_four, card.expiry, fingerprint.value, fingerprint.key_id)


def check_policy(policy: CardPolicy, pan: Pan) -> None:
    """Refuse a number that this installation does not take (controls.md STO-7)."""
    if refuses(policy, pan):
        raise CardNumberRefused(errors=[FieldProblem("/card/cardNo", FieldCode.CARD_NUMBER_REFUSED)])


def check_references(merchant: Merchant, references: Iterable[tuple[str, str]]) -> None:
    """Count a merchant's own ids that look like a card number, or refuse them where the merchant wants that.

    `references` are pointers with their values. Raises `PanInFreeText` (design section 4, Isolation).
    """
    hits = [FieldProblem(pointer, FieldCode.PAN_IN_FREE_TEXT) for pointer, text in references if contains_pan(text)]
    if not hits:
        return
    if merchant.settings.reference_policy is ReferencePolicy.REJECT:
        raise PanInFreeText(errors=hits)
    _log.warning("reference.like_card_number", merchant_id=merchant.id, pointers=[hit.pointer for hit in hits])

"""Stored cards: keep one, show it masked, change it, forget it.

It refuses to know HTTP and SQL. Invariants: the same buyer and number are the same card; a CVV is never kept; a
deleted card has no ciphertext, no fingerprint and no buyer (design sections 3 and 4).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from keys.errors import KeyUnavailable
from keys.keyring import Envelope, Fingerprint, Keyring, Location, Purpose
from vault.audit.events import Event, EventType, Origin
from vault.auth import Caller
from vault.card import Pan
from vault.card_policy import CardPolicy, refuses
from vault.db import Database, Transaction
from vault.errors import (
    CardDeleted,
    CardNumberRefused,
    CvvNotStorable,
    ExpiryAtGateway,
    FieldCode,
    FieldProblem,
    NotFound,
    Overloaded,
    StorageNotSupported,
)
from vault.ids import Prefix, new_id
from vault.opening import Opener
from vault.store import audit, cards, payments
from vault.store.cards import CardChange, NewCard, Page
from vault.stored_card import CardFace, CardStatus, SecretKind, Storage, StoredCard
from vault.wire.orders import AddressField
from vault.wire.requests import CardField, ConsentField, StoreCardRequest, UpdateCardRequest

_REPEATS = 4


@dataclass(frozen=True, slots=True)
class Kept:
    """A card that is now stored, and whether it is new."""

    card: StoredCard
    created: bool


def card_location(merchant_id: str, card_id: str, kind: SecretKind) -> Location:
    """Say where a card's secret belongs; it opens nowhere else."""
    return Location(merchant_id, "card_secret", card_id, kind)


def profile_of(card: CardField, billing_address: AddressField | None) -> bytes | None:
    """Give what is sealed of the holder's name and address, or None when neither was sent."""
    parts = {"cardholderName": card.cardholder_name, "billingAddress": billing_address}
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


class Cards:
    """The service behind `/v1/cards` and `/v1/buyers`."""

    def __init__(self, database: Database, keyring: Keyring, policy: CardPolicy) -> None:
        self._database = database
        self._keyring = keyring
        self._policy = policy
        self._opener = Opener(database, keyring)

    async def store(self, caller: Caller, request: StoreCardRequest) -> Kept:
        """Keep a card in the vault; the same card again gives the same id, with its expiry brought up to date."""
        if request.storage != Storage.VAULT:
            raise StorageNotSupported(errors=[FieldProblem("/storage", FieldCode.STORAGE_NOT_SUPPORTED)])
        if request.card.cvv is not None:
            raise CvvNotStorable(errors=[FieldProblem("/card/cvv", FieldCode.CVV_NOT_STORABLE)])
        check_policy(self._policy, request.card.card_no)
        prints = await self._keyring.fingerprints(caller.merchant_id, request.card.card_no)
        for _ in range(_REPEATS):
            kept = await self._insert(caller, request, prints) or await self._refresh(caller, request, prints)
            if kept is not None:
                return kept
        raise Overloaded

    async def _insert(self, caller: Caller, request: StoreCardRequest, prints: list[Fingerprint]) -> Kept | None:
        if len(prints) > 1 and await self._known(caller, request, prints):
            return None
        card_id = new_id(Prefix.CARD)
        new = NewCard(
            caller.merchant_id,
            card_id,
            request.reference_buyer_id,
            face_of_pan(request.card.card_no, request.card, prints[0]),
            await self._sealed(caller.merchant_id, card_id, request),
            metadata=request.metadata,
            consent=consent_evidence(request.consent),
        )
        event = Event(
            EventType.CARD_STORED, caller.origin, caller.merchant_id, (card_id,), details={"storage": Storage.VAULT}
        )
        async with self._database.session() as session:
            done = await cards.insert(session, new, event)
            if not done.created:
                if not done.keys_active:
                    self._forget_keys(caller.merchant_id)
                return None
            card = await cards.find(session, caller.merchant_id, card_id)
        if card is not None and request.is_default:
            card = await self._change(caller.origin, caller.merchant_id, card_id, CardChange(is_default=True))
        return Kept(card, created=True) if card else None

    async def _known(self, caller: Caller, request: StoreCardRequest, prints: list[Fingerprint]) -> StoredCard | None:
        async with self._database.session() as session:
            return await cards.find_by_fingerprint(
                session, caller.merchant_id, request.reference_buyer_id, [one.value for one in prints]
            )

    async def _refresh(self, caller: Caller, request: StoreCardRequest, prints: list[Fingerprint]) -> Kept | None:
        """Bring a card that the buyer has already up to date; None when it went away meanwhile."""
        known = await self._known(caller, request, prints)
        if known is None:
            return None
        change = CardChange(
            expiry=request.card.expiry if request.card.expiry != known.face.expiry else None,
            is_default=True if request.is_default and not known.is_default else None,
            metadata=request.metadata if request.metadata != known.metadata else None,
            consent=consent_evidence(request.consent),
        )
        if change.empty and SecretKind.PAN in known.secrets and not await self._profile_differs(caller, known, request):
            return Kept(known, created=False)
        secrets = await self._sealed(caller.merchant_id, known.id, request)
        try:
            card = await self._change(caller.origin, caller.merchant_id, known.id, change, secrets)
        except (CardDeleted, KeyUnavailable):
            return None
        return Kept(card, created=False)

    async def _profile_differs(self, caller: Caller, known: StoredCard, request: StoreCardRequest) -> bool:
        profile = profile_of(request.card, request.billing_address)
        return profile is not None and orjson.loads(profile) != await self._profile(caller, known)

    async def _sealed(self, merchant_id: str, card_id: str, request: StoreCardRequest) -> dict[SecretKind, Envelope]:
        secrets = {
            SecretKind.PAN: await self._keyring.seal(
                Purpose.CARD,
                request.card.card_no.reveal().encode(),
                card_location(merchant_id, card_id, SecretKind.PAN),
            )
        }
        profile = profile_of(request.card, request.billing_address)
        if profile is not None:
            secrets[SecretKind.PROFILE] = await self._sealed_profile(merchant_id, card_id, profile)
        return secrets

    async def _sealed_profile(self, merchant_id: str, card_id: str, profile: bytes) -> Envelope:
        location = card_location(merchant_id, card_id, SecretKind.PROFILE)
        return await self._keyring.seal(Purpose.CARD, profile, location)

    def _forget_keys(self, merchant_id: str) -> None:
        self._keyring.forget(merchant_id, Purpose.CARD)
        self._keyring.forget(merchant_id, Purpose.FINGERPRINT)

    async def get(self, caller: Caller, card_id: str) -> StoredCard:
        """Give a card; raises `NotFound`, also for another merchant's, and `CardDeleted`."""
        async with self._database.session() as session:
            card = await cards.find(session, caller.merchant_id, card_id)
        return _live(card)

    async def by_id(self, caller: Caller, card_ids: set[str]) -> dict[str, StoredCard]:
        """Give cards of the merchant by their ids, deleted ones included."""
        if not card_ids:
            return {}
        async with self._database.session() as session:
            found = await cards.find_all(session, caller.merchant_id, sorted(card_ids))
        return {card.id: card for card in found}

    async def of_buyer(self, caller: Caller, buyer: str, page: Page) -> list[StoredCard]:
        """Give a buyer's cards, newest first."""
        async with self._database.session() as session:
            return await cards.of_buyer(session, caller.merchant_id, buyer, page)

    async def update(self, caller: Caller, card_id: str, request: UpdateCardRequest) -> StoredCard:
        """Change what may change; a new expiry is refused where the gateway holds the card (design section 4)."""
        card = await self.get(caller, card_id)
        if request.expiry is not None and SecretKind.TOKEN in card.secrets:
            raise ExpiryAtGateway
        secrets: dict[SecretKind, Envelope] = {}
        if request.cardholder_name is not None or request.billing_address is not None:
            profile = await self._profile(caller, card)
            for name, value in (
                ("cardholderName", request.cardholder_name),
                ("billingAddress", request.billing_address),
            ):
                if value is not None:
                    profile[name] = value.wire()
            secrets[SecretKind.PROFILE] = await self._sealed_profile(caller.merchant_id, card_id, orjson.dumps(profile))
        change = CardChange(expiry=request.expiry, is_default=request.is_default)
        return await self._change(caller.origin, caller.merchant_id, card_id, change, secrets)

    async def _profile(self, caller: Caller, card: StoredCard) -> dict[str, Any]:
        envelope = card.secrets.get(SecretKind.PROFILE)
        if envelope is None:
            return {}
        location = card_location(card.merchant_id, card.id, SecretKind.PROFILE)
        opened: dict[str, Any] = orjson.loads((await self._opener.open(envelope, location, caller.origin)).reveal())
        return opened

    async def _change(
        self,
        origin: Origin,
        merchant_id: str,
        card_id: str,
        change: CardChange,
        secrets: Mapping[SecretKind, Envelope] | None = None,
    ) -> StoredCard:
        async with self._database.transaction() as transaction:
            card = await self._locked(transaction, merchant_id, card_id, all_of_buyer=bool(change.is_default))
            if change.empty and not secrets:
                return card
            if secrets and not await cards.put_secrets(transaction, merchant_id, card_id, secrets):
                self._forget_keys(merchant_id)
                raise KeyUnavailable
            await cards.update(transaction, card, change)
            await audit.append(transaction, Event(EventType.CARD_UPDATED, origin, merchant_id, (card_id,)))
            changed = await cards.find(transaction, merchant_id, card_id)
        return _live(changed)

    @staticmethod
    async def _locked(
        transaction: Transaction, merchant_id: str, card_id: str, *, all_of_buyer: bool = False
    ) -> StoredCard:
        if all_of_buyer:
            card = _live(await cards.find(transaction, merchant_id, card_id))
            await cards.lock_buyer(transaction, merchant_id, card.buyer or "")
        return _live(await cards.lock(transaction, merchant_id, card_id))

    async def delete(self, caller: Caller, card_id: str) -> None:
        """Delete a card for good; deleting it again is `CardDeleted`."""
        async with self._database.transaction() as transaction:
            await self._locked(transaction, caller.merchant_id, card_id)
            await cards.delete(transaction, caller.merchant_id, [card_id])
            await audit.append(
                transaction, Event(EventType.CARD_DELETED, caller.origin, caller.merchant_id, (card_id,))
            )

    async def erase_buyer(self, caller: Caller, buyer: str) -> None:
        """Delete a buyer's cards and take the name off payments; a buyer who is not known is no error."""
        async with self._database.transaction() as transaction:
            paid = await payments.forget_buyer(transaction, caller.merchant_id, buyer)
            await payments.drop_secrets(transaction, caller.merchant_id, paid)
            erased = await cards.lock_buyer(transaction, caller.merchant_id, buyer)
            await cards.delete(transaction, caller.merchant_id, erased)
            for card_id in erased:
                await audit.append(
                    transaction, Event(EventType.CARD_DELETED, caller.origin, caller.merchant_id, (card_id,))
                )
            await audit.append(
                transaction,
                Event(
                    EventType.BUYER_ERASED,
                    caller.origin,
                    caller.merchant_id,
                    details={"cards": len(erased), "payments": len(paid)},
                ),
            )


def _live(card: StoredCard | None) -> StoredCard:
    if card is None:
        raise NotFound
    if card.stored_status is CardStatus.DELETED:
        raise CardDeleted
    return card

"""Stored cards: keep one, show it masked, change it (to forget it: `vault.erasure`).

It refuses to know HTTP and SQL. Invariants: the same buyer and number are the same card; a CVV is never kept; a
card that is not there yet can only be looked at (design sections 3 and 4).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from keys.keyring import Envelope, Fingerprint, Keyring, Purpose
from vault.audit.events import Event, EventType, Origin
from vault.auth import Caller
from vault.card_intake import (
    card_location,
    check_policy,
    check_references,
    consent_evidence,
    face_of_pan,
    profile_of,
)
from vault.card_policy import CardPolicy
from vault.db import Database, Session, Transaction
from vault.directory import Directory
from vault.errors import (
    CardDeleted,
    CvvNotStorable,
    ExpiryAtGateway,
    FieldCode,
    FieldProblem,
    NotFound,
    Overloaded,
    RequestInvalid,
)
from vault.groups import PACE_AROUND_A_CALL, Groups
from vault.ids import Prefix, new_id
from vault.opening import Opener
from vault.pan_detector import contains_pan
from vault.store import audit, cards, new_cards, vaultings
from vault.store.cards import CardChange, Page
from vault.store.new_cards import NewCard
from vault.stored_card import CardStatus, SecretKind, Storage, StoredCard
from vault.vaulting import Ending, Vaulting
from vault.vaulting_errors import CardPending
from vault.wire.cards import UpdateCardRequest
from vault.wire.vaultings import CardRequest

_REPEATS = 4


class _Outdated(Exception):
    """What was sealed no longer fits the card, or its key is retired: begin again."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A card that is now stored, and whether it is new."""

    card: StoredCard
    created: bool


class Cards:
    """The service behind `/v1/cards` and `/v1/buyers`."""

    def __init__(self, database: Database, keyring: Keyring, directory: Directory, policy: CardPolicy) -> None:
        self._database = database
        self._directory = directory
        self._keyring = keyring
        self._policy = policy
        self._opener = Opener(database, keyring)
        self._storing = Groups(database, new_cards.insert)
        self._finding = Groups(database, cards.find_each, pace=PACE_AROUND_A_CALL)

    async def store(self, caller: Caller, request: CardRequest, prints: Sequence[Fingerprint] = ()) -> Kept:
        """Keep a card in the vault; the same card again gives the same id, with its expiry brought up to date.

        `prints` are its number's fingerprints where they were just made. Raises `RequestInvalid`, `CvvNotStorable` and
        `CardNumberRefused`.
        """
        unsuitable = request.for_the_gateway()
        if unsuitable:
            raise RequestInvalid(errors=[FieldProblem(each, FieldCode.GATEWAY_STORAGE_ONLY) for each in unsuitable])
        if request.card.cvv is not None:
            raise CvvNotStorable(errors=[FieldProblem("/card/cvv", FieldCode.CVV_NOT_STORABLE)])
        check_policy(self._policy, request.card.card_no)
        if contains_pan(request.reference_buyer_id):
            merchant = await self._directory.merchant(caller.merchant_id)
            check_references(merchant, [("/referenceBuyerId", request.reference_buyer_id)])
        for _ in range(_REPEATS):
            prints = prints or await self._keyring.fingerprints(caller.merchant_id, request.card.card_no)
            kept = await self._insert(caller, request, prints) or await self._refresh(caller, request, prints)
            if kept is not None:
                return kept
            prints = ()  # a key may have been retired since
        raise Overloaded

    async def _insert(self, caller: Caller, request: CardRequest, prints: Sequence[Fingerprint]) -> Kept | None:
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
            choice=request.choice,
        )
        event = Event(
            EventType.CARD_STORED, caller.origin, caller.merchant_id, (card_id,), details={"storage": Storage.VAULT}
        )
        done = await self._storing.ask(new_cards.insertion(new, event, also_active=[prints[0].key_id]))
        if done.card is None:
            if not done.keys_active:
                self._keyring.forget_merchant(caller.merchant_id)
            return None
        if not request.is_default:
            return Kept(done.card, created=True)
        return Kept(await self._change(caller.origin, done.card, CardChange(is_default=True)), created=True)

    async def _known(self, caller: Caller, request: CardRequest, prints: Sequence[Fingerprint]) -> StoredCard | None:
        async with self._database.session() as session:
            return await cards.find_by_fingerprint(
                session, caller.merchant_id, request.reference_buyer_id, [one.value for one in prints]
            )

    async def _refresh(self, caller: Caller, request: CardRequest, prints: Sequence[Fingerprint]) -> Kept | None:
        """Bring a card that the buyer has already up to date; None when it went away meanwhile."""
        known = await self._known(caller, request, prints)
        if known is None:
            return None
        change = CardChange(
            expiry=request.card.expiry if request.card.expiry != known.face.expiry else None,
            is_default=True if request.is_default and not known.is_default else None,
            metadata=request.metadata if request.metadata != known.metadata else None,
            consent=consent_evidence(request.consent),
            choice=request.choice if request.choice and request.choice != known.choice else None,
        )
        if change.empty and SecretKind.PAN in known.secrets and not await self._profile_differs(caller, known, request):
            return Kept(known, created=False)
        secrets = await self._sealed(caller.merchant_id, known.id, request)
        try:
            card = await self._change(caller.origin, known, change, secrets)
        except (CardDeleted, _Outdated):
            return None
        return Kept(card, created=False)

    async def _profile_differs(self, caller: Caller, known: StoredCard, request: CardRequest) -> bool:
        profile = profile_of(request.card, request.billing_address)
        return profile is not None and orjson.loads(profile) != await self._profile(caller, known)

    async def _sealed(self, merchant_id: str, card_id: str, request: CardRequest) -> dict[SecretKind, Envelope]:
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

    async def get(self, caller: Caller, card_id: str) -> StoredCard:
        """Give a card; raises `NotFound`, also for another merchant's, `CardDeleted` and `CardPending`."""
        found = await self.shown(caller, card_id)
        if isinstance(found, Vaulting):
            raise CardPending
        return found

    async def to_pay(self, caller: Caller, card_id: str) -> StoredCard:
        """Give a card as `get` does, looked up together with others that are about to be paid with."""
        card = await self._finding.ask((caller.merchant_id, card_id))
        return await self.get(caller, card_id) if card is None else _live(card)

    async def shown(self, caller: Caller, card_id: str) -> StoredCard | Vaulting:
        """Give a card, or the vaulting that will make it; raises `NotFound` and `CardDeleted`."""
        async with self._database.session() as session:
            return await locate(session, caller.merchant_id, card_id)

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
        change = CardChange(expiry=request.expiry, is_default=request.is_default, choice=request.new_choice)
        for _ in range(_REPEATS):
            card = await self.get(caller, card_id)
            if request.expiry is not None and SecretKind.TOKEN in card.secrets:
                raise ExpiryAtGateway
            secrets = await self._new_profile(caller, card, request)
            try:
                return await self._change(caller.origin, card, change, secrets)
            except _Outdated:
                continue
        raise Overloaded("The card is being changed by others at this moment.")

    async def _new_profile(
        self, caller: Caller, card: StoredCard, request: UpdateCardRequest
    ) -> dict[SecretKind, Envelope]:
        parts = {"cardholderName": request.cardholder_name, "billingAddress": request.billing_address}
        new = {name: part.wire() for name, part in parts.items() if part is not None}
        if not new:
            return {}
        profile = orjson.dumps(await self._profile(caller, card) | new)
        return {SecretKind.PROFILE: await self._sealed_profile(caller.merchant_id, card.id, profile)}

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
        card: StoredCard,
        change: CardChange,
        secrets: Mapping[SecretKind, Envelope] | None = None,
    ) -> StoredCard:
        """Write a change; raises `_Outdated` when `secrets` were made of an older state or with a retired key."""
        async with self._database.transaction() as transaction:
            locked = await self._locked(transaction, card.merchant_id, card.id, all_of_buyer=bool(change.is_default))
            if change.empty and not secrets:
                return locked
            if secrets and locked.secrets != card.secrets:
                raise _Outdated
            if secrets and not await cards.put_secrets(transaction, card.merchant_id, card.id, secrets):
                self._keyring.forget_merchant(card.merchant_id)
                raise _Outdated
            await cards.update(transaction, locked, change)
            await audit.append(transaction, Event(EventType.CARD_UPDATED, origin, card.merchant_id, (card.id,)))
            changed = await cards.find(transaction, card.merchant_id, card.id)
        return _live(changed)

    @staticmethod
    async def _locked(
        transaction: Transaction, merchant_id: str, card_id: str, *, all_of_buyer: bool = False
    ) -> StoredCard:
        if all_of_buyer:
            card = _live(await cards.find(transaction, merchant_id, card_id))
            await cards.lock_buyer(transaction, merchant_id, card.buyer or "")
        return _live(await cards.find(transaction, merchant_id, card_id, lock=True))


async def locate(session: Session, merchant_id: str, card_id: str) -> StoredCard | Vaulting:
    """Give a live card, or the vaulting that will make it; raises `NotFound` and `CardDeleted`.

    A card that another request had stored by the time its own was, is found by the id that was promised, too.
    """
    card = await cards.find(session, merchant_id, card_id)
    if card is None:
        vaulting = await vaultings.find_by_pending_card(session, merchant_id, card_id)
        if vaulting is not None and not vaulting.status.final:
            return vaulting
        if vaulting is not None and vaulting.ending is Ending.ABANDONED:
            raise CardDeleted
        if vaulting is not None and vaulting.card_id is not None:
            card = await cards.find(session, merchant_id, vaulting.card_id)
    return _live(card)


def _live(card: StoredCard | None) -> StoredCard:
    if card is None:
        raise NotFound
    if card.stored_status is CardStatus.DELETED:
        raise CardDeleted
    return card

"""Keeping a card whose use was authorised or verified: sealed for its new place first, written in that transaction.

It refuses to know payments and vaultings: it is told what waits, and where. Invariants: a credential waits with its
owner and goes to the buyer's card or nowhere (design section 3, Credentials); sealing happens before the transaction
opens, and a plan that no longer fits is made again.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from keys.keyring import Envelope, Fingerprint, Keyring, Label, Purpose
from keys.sealed import Plaintext
from vault.audit.events import Event, EventType, Origin
from vault.card import CardToken
from vault.card_intake import card_location
from vault.db import Database, Session, Transaction
from vault.errors import IntegrityFailure
from vault.ids import Prefix, new_id
from vault.opening import Opener
from vault.store import audit, cards, new_cards
from vault.store.cards import CardChange
from vault.store.new_cards import NewCard
from vault.store.waiting import Waiting
from vault.stored_card import NO_CHOICE, OF_CARDS, BrandChoice, CardFace, CardStatus, SecretKind, Storage, StoredCard


@dataclass(frozen=True, slots=True)
class Keepable:
    """A card that may be kept: with what its secrets wait, whose it is, and what is known of it.

    `card_id` is the card that it went to in an earlier step, `reserved_id` the id that was promised for a new one.
    """

    merchant_id: str
    owner_id: str
    waiting: Waiting
    buyer: str
    face: CardFace
    card_id: str | None
    token: CardToken | None
    network_transaction_id: str | None
    info: Mapping[str, Any]
    consent: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] | None = None
    choice: BrandChoice = NO_CHOICE
    reserved_id: str | None = None


@dataclass(frozen=True, slots=True)
class KeepingPlan:
    """Which card the credentials go to, and their envelopes for that place; none: that card was deleted.

    Both kinds of prints come under every live version, the active one first.
    """

    keepable: Keepable
    card_id: str
    exists: bool
    secrets: dict[SecretKind, Envelope]
    token_prints: tuple[Fingerprint, ...] = ()
    number_prints: tuple[Fingerprint, ...] = ()

    @property
    def face(self) -> CardFace:
        """How the card is shown and recognised from now on: where its number is there, by the newest version."""
        if not self.number_prints:
            return self.keepable.face
        newest = self.number_prints[0]
        return replace(self.keepable.face, fingerprint=newest.value, fingerprint_key_id=newest.key_id)

    @property
    def print_keys(self) -> list[bytes]:
        """Name the keys by whose prints a new card is recognised: one that is retired by now would hide it."""
        return [prints[0].key_id for prints in (self.number_prints, self.token_prints) if prints]

    @property
    def known_by(self) -> list[bytes]:
        """By which prints the buyer's card is found: those of the number and, where it was never seen, the token's."""
        if self.keepable.face.fingerprint is None:
            return [each.value for each in self.token_prints]
        return [each.value for each in self.number_prints] or [self.keepable.face.fingerprint]


class PlanOutdated(Exception):
    """Something moved between planning and writing: plan again."""


class Keeper:
    """Moves credentials from where they wait to cards."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._opener = Opener(database, keyring)

    async def plan(self, keepable: Keepable, origin: Origin) -> KeepingPlan | None:
        """Seal what can be kept by now for the card it will belong to; None when there is nothing to keep yet."""
        merchant_id, token = keepable.merchant_id, keepable.token
        plaintexts = await self._opened(keepable, origin)
        sought = KeepingPlan(
            keepable,
            keepable.card_id or "",
            exists=False,
            secrets={},
            token_prints=await self._token_prints(merchant_id, token),
            number_prints=await self._number_prints(merchant_id, plaintexts.get(SecretKind.PAN)),
        )
        async with self._database.session() as session:
            known = await _known_card(session, sought)
        if keepable.card_id is not None and known is None:
            return sought
        card_id = known.id if known else keepable.reserved_id or new_id(Prefix.CARD)
        if token is not None:
            plaintexts[SecretKind.TOKEN] = token
        if SecretKind.TOKEN not in plaintexts and SecretKind.PAN not in plaintexts:
            return None
        secrets = {kind: await self._seal(merchant_id, card_id, kind, text) for kind, text in plaintexts.items()}
        return replace(sought, card_id=card_id, exists=known is not None, secrets=secrets)

    async def _opened(self, keepable: Keepable, origin: Origin) -> dict[SecretKind, Plaintext | CardToken]:
        """Open what waits; what was damaged is lost and alarmed: the owner's fate has to be known all the same."""
        waiting, owner = keepable.waiting, (keepable.merchant_id, keepable.owner_id)
        async with self._database.session() as session:
            sealed = await waiting.secrets(session, *owner)
        plaintexts: dict[SecretKind, Plaintext | CardToken] = {}
        for kind in OF_CARDS & sealed.keys():
            with suppress(IntegrityFailure):
                plaintexts[kind] = await self._opener.open(sealed[kind], waiting.location(*owner, kind), origin)
        return plaintexts

    async def _number_prints(self, merchant_id: str, number: Plaintext | CardToken | None) -> tuple[Fingerprint, ...]:
        if not isinstance(number, Plaintext):
            return ()
        return tuple(await self._keyring.digests(merchant_id, Label.PAN, number.reveal()))

    async def _token_prints(self, merchant_id: str, token: CardToken | None) -> tuple[Fingerprint, ...]:
        if token is None:
            return ()
        return tuple(await self._keyring.digests(merchant_id, Label.TOKEN, token.reveal().encode()))

    async def _seal(
        self, merchant_id: str, card_id: str, kind: SecretKind, plaintext: Plaintext | CardToken
    ) -> Envelope:
        location = card_location(merchant_id, card_id, kind)
        if isinstance(plaintext, CardToken):
            return await self._keyring.seal(Purpose.CARD, plaintext.reveal().encode(), location)
        return await self._keyring.seal(Purpose.CARD, plaintext, location)

    async def keep(self, transaction: Transaction, plan: KeepingPlan, origin: Origin) -> bool:
        """Write the plan; False when its card was deleted. Raises `PlanOutdated`: then nothing may be committed."""
        if not plan.secrets:
            return False
        keepable = plan.keepable
        card = await _known_card(transaction, plan, lock=True)
        if (card.id if card else None) != (plan.card_id if plan.exists else None):
            raise PlanOutdated
        if card is None:
            await self._create(transaction, plan, origin)
        else:
            await self._extend(transaction, plan, card, origin)
        await keepable.waiting.drop(transaction, keepable.merchant_id, [keepable.owner_id])
        return True

    async def sealed_opening(
        self, waiting: Waiting, merchant_id: str, owner_id: str, opening: Plaintext | None
    ) -> dict[SecretKind, Envelope]:
        """Seal what opens a session, so that a repeat of the request for it can be given it."""
        if opening is None:
            return {}
        location = waiting.location(merchant_id, owner_id, SecretKind.SESSION)
        return {SecretKind.SESSION: await self._keyring.seal(Purpose.CARD, opening, location)}

    async def put_opening(
        self,
        transaction: Transaction,
        waiting: Waiting,
        owner: tuple[str, str],
        opening: dict[SecretKind, Envelope],
    ) -> None:
        """Let what opens a session wait with its owner (merchant and id); raises `PlanOutdated`."""
        merchant_id, owner_id = owner
        if not await waiting.put(transaction, merchant_id, owner_id, opening):
            self._keyring.forget_merchant(merchant_id)
            raise PlanOutdated

    async def _create(self, transaction: Transaction, plan: KeepingPlan, origin: Origin) -> None:
        keepable = plan.keepable
        new = NewCard(
            keepable.merchant_id,
            plan.card_id,
            keepable.buyer,
            plan.face,
            plan.secrets,
            metadata=keepable.metadata,
            consent=keepable.consent,
            issuing_country=_text(keepable.info, "issuingCountry"),
            funding=_text(keepable.info, "funding"),
            network_transaction_id=keepable.network_transaction_id,
            token_print=next(iter(plan.token_prints), None),
            choice=keepable.choice,
        )
        storage = Storage.of(frozenset(plan.secrets))
        event = Event(
            EventType.CARD_STORED,
            origin,
            keepable.merchant_id,
            (plan.card_id, keepable.owner_id),
            details={"storage": storage},
        )
        insertion = new_cards.insertion(new, event, also_active=plan.print_keys)
        [done] = await new_cards.insert(transaction, [insertion])
        if done.card is None:
            self._keyring.forget_merchant(keepable.merchant_id)
            raise PlanOutdated

    async def _extend(self, transaction: Transaction, plan: KeepingPlan, card: StoredCard, origin: Origin) -> None:
        keepable = plan.keepable
        if not await cards.put_secrets(transaction, keepable.merchant_id, plan.card_id, plan.secrets):
            self._keyring.forget_merchant(keepable.merchant_id)
            raise PlanOutdated
        change = CardChange(
            expiry=keepable.face.expiry,
            status=CardStatus.ACTIVE,
            issuing_country=_text(keepable.info, "issuingCountry"),
            funding=_text(keepable.info, "funding"),
            network_transaction_id=keepable.network_transaction_id,
            metadata=keepable.metadata,
            consent=keepable.consent,
            token_print=next(iter(plan.token_prints), None),
            choice=keepable.choice or None,
        )
        await cards.update(transaction, card, change)
        storage = Storage.of(frozenset(card.secrets) | frozenset(plan.secrets))
        objects = (card.id, keepable.owner_id)
        details = {"storage": storage}
        await audit.append(
            transaction, Event(EventType.CARD_UPDATED, origin, keepable.merchant_id, objects, details=details)
        )


def _text(info: Mapping[str, Any], name: str) -> str | None:
    value = info.get(name)
    return value if isinstance(value, str) else None


async def _known_card(session: Session, plan: KeepingPlan, *, lock: bool = False) -> StoredCard | None:
    """Give the buyer's live card with this number or, where the number was never seen, with this token.

    Or the card that was kept in a first step.
    """
    keepable = plan.keepable
    if keepable.card_id is not None:
        card = await cards.find(session, keepable.merchant_id, keepable.card_id, lock=lock)
        return None if card is None or card.stored_status is CardStatus.DELETED else card
    return await cards.find_by_fingerprint(session, keepable.merchant_id, keepable.buyer, plan.known_by, lock=lock)

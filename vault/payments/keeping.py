"""Keeping the card of a payment that succeeded: sealed for its new place first, written in the payment's transaction.

It refuses to know how a payment succeeded. Invariants: a credential waits with its payment until an authorisation, and
goes to the buyer's card or nowhere (design section 3, Credentials); sealing happens before the transaction opens, and a
plan that no longer fits is made again.
"""

from contextlib import suppress
from dataclasses import dataclass, replace

from keys.keyring import Envelope, Keyring, Location, Purpose
from keys.sealed import Plaintext
from vault.audit.events import Event, EventType, Origin
from vault.card import CardToken
from vault.card_intake import card_location
from vault.db import Database, Session, Transaction
from vault.errors import IntegrityFailure
from vault.ids import Prefix, new_id
from vault.opening import Opener
from vault.payment import Evidence, Payment, Status, StoreState
from vault.store import audit, cards, new_cards, waiting
from vault.store.cards import CardChange
from vault.store.new_cards import NewCard
from vault.stored_card import CardFace, CardStatus, SecretKind, Storage, StoredCard


@dataclass(frozen=True, slots=True)
class KeepingPlan:
    """Which card a payment's credentials go to, and their envelopes for that place; none: that card was deleted."""

    buyer: str
    face: CardFace
    card_id: str
    exists: bool
    secrets: dict[SecretKind, Envelope]
    network_transaction_id: str | None = None


class PlanOutdated(Exception):
    """Something moved between planning and writing: plan again."""


def payment_location(merchant_id: str, payment_id: str, kind: SecretKind) -> Location:
    """Say where a credential that waits with a payment belongs."""
    return Location(merchant_id, "payment_secret", payment_id, kind)


def wants_keeping(payment: Payment, evidence: Evidence) -> bool:
    """Tell whether evidence may complete the storing of a payment's card."""
    succeeded = payment.status is Status.SUCCESS or evidence.status is Status.SUCCESS
    return succeeded and payment.store_state is StoreState.PENDING


class Keeper:
    """Moves credentials from payments to cards."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring
        self._opener = Opener(database, keyring)

    async def plan(self, payment: Payment, evidence: Evidence, origin: Origin) -> KeepingPlan | None:
        """Seal what can be kept by now for the card it will belong to; None when there is nothing to keep yet."""
        buyer, face = payment.buyer, payment.face
        if not wants_keeping(payment, evidence) or buyer is None or face is None:
            return None
        async with self._database.session() as session:
            sealed = await waiting.secrets(session, payment.merchant_id, payment.id)
            known = await _known_card(session, payment, buyer, face)
        if payment.card_id is not None and known is None:
            return KeepingPlan(buyer, face, payment.card_id, exists=False, secrets={})
        card_id = known.id if known else new_id(Prefix.CARD)
        plaintexts: dict[SecretKind, Plaintext | CardToken] = {}
        for kind, envelope in sealed.items():
            # What was damaged is lost and alarmed; what became of the payment has to be known all the same.
            with suppress(IntegrityFailure):
                location = payment_location(payment.merchant_id, payment.id, kind)
                plaintexts[kind] = await self._opener.open(envelope, location, origin)
        if evidence.token is not None:
            plaintexts[SecretKind.TOKEN] = evidence.token
        if SecretKind.TOKEN not in plaintexts and SecretKind.PAN not in plaintexts:
            return None
        secrets = {
            kind: await self._seal(payment.merchant_id, card_id, kind, plaintext)
            for kind, plaintext in plaintexts.items()
        }
        return KeepingPlan(buyer, face, card_id, known is not None, secrets, evidence.network_transaction_id)

    async def _seal(
        self, merchant_id: str, card_id: str, kind: SecretKind, plaintext: Plaintext | CardToken
    ) -> Envelope:
        location = card_location(merchant_id, card_id, kind)
        if isinstance(plaintext, CardToken):
            return await self._keyring.seal(Purpose.CARD, plaintext.reveal().encode(), location)
        return await self._keyring.seal(Purpose.CARD, plaintext, location)

    async def keep(self, transaction: Transaction, payment: Payment, plan: KeepingPlan, origin: Origin) -> Payment:
        """Write the plan; gives the payment with its card. Raises `PlanOutdated`, and then nothing may be committed."""
        if not plan.secrets:
            return replace(payment, store_state=StoreState.DROPPED)
        card = await _known_card(transaction, payment, plan.buyer, plan.face, lock=True)
        if (card.id if card else None) != (plan.card_id if plan.exists else None):
            raise PlanOutdated
        if card is None:
            await self._create(transaction, payment, plan, origin)
        else:
            await self._extend(transaction, payment, plan, card, origin)
        await waiting.drop(transaction, payment.merchant_id, [payment.id])
        complete = SecretKind.TOKEN in plan.secrets or not (payment.store_card and payment.store_card.at_gateway)
        state = StoreState.STORED if complete else StoreState.PENDING
        return replace(payment, card_id=plan.card_id, store_state=state)

    async def _create(self, transaction: Transaction, payment: Payment, plan: KeepingPlan, origin: Origin) -> None:
        new = NewCard(
            payment.merchant_id,
            plan.card_id,
            plan.buyer,
            plan.face,
            plan.secrets,
            metadata=None,
            consent=payment.consent,
            issuing_country=_info(payment, "issuingCountry"),
            funding=_info(payment, "funding"),
            network_transaction_id=plan.network_transaction_id or _info(payment, "networkTransactionId"),
            choice=payment.choice,
        )
        storage = Storage.of(frozenset(plan.secrets))
        event = Event(
            EventType.CARD_STORED,
            origin,
            payment.merchant_id,
            (plan.card_id, payment.id),
            details={"storage": storage},
        )
        done = await new_cards.insert(transaction, new, event)
        if done.card is None:
            self._keyring.forget(payment.merchant_id, Purpose.CARD)
            raise PlanOutdated

    async def _extend(
        self, transaction: Transaction, payment: Payment, plan: KeepingPlan, card: StoredCard, origin: Origin
    ) -> None:
        if not await cards.put_secrets(transaction, payment.merchant_id, plan.card_id, plan.secrets):
            self._keyring.forget(payment.merchant_id, Purpose.CARD)
            raise PlanOutdated
        change = CardChange(
            expiry=plan.face.expiry,
            status=CardStatus.ACTIVE,
            issuing_country=_info(payment, "issuingCountry"),
            funding=_info(payment, "funding"),
            network_transaction_id=plan.network_transaction_id or _info(payment, "networkTransactionId"),
            consent=payment.consent,
            choice=payment.choice or None,
        )
        await cards.update(transaction, card, change)
        storage = Storage.of(frozenset(card.secrets) | frozenset(plan.secrets))
        event = Event(
            EventType.CARD_UPDATED, origin, payment.merchant_id, (card.id, payment.id), details={"storage": storage}
        )
        await audit.append(transaction, event)


def _info(payment: Payment, name: str) -> str | None:
    value = payment.result_info.get(name)
    return value if isinstance(value, str) else None


async def _known_card(
    session: Session, payment: Payment, buyer: str, face: CardFace, *, lock: bool = False
) -> StoredCard | None:
    """Give the buyer's live card with the number that was paid with, or the card that was kept in a first step."""
    if payment.card_id is None:
        prints = [face.fingerprint] if face.fingerprint else []
        return await cards.find_by_fingerprint(session, payment.merchant_id, buyer, prints, lock=lock)
    card = await cards.find(session, payment.merchant_id, payment.card_id, lock=lock)
    return None if card is None or card.stored_status is CardStatus.DELETED else card

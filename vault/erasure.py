"""Forgetting: a card is deleted, a buyer is erased, and what waited for either goes with it.

It refuses to know HTTP and SQL. Invariants: what is deleted cannot be used, recognised or traced to its buyer; nothing
waits for the gateway, which workers ask to forget as well (`vault.tokens`; design sections 3 and 4).
"""

from collections.abc import Sequence
from typing import Final

from vault.audit.events import Event, EventType, Origin
from vault.auth import Caller
from vault.card_life import hand_on_default
from vault.cards import locate
from vault.db import Database, Transaction
from vault.errors import Overloaded
from vault.store import audit, cards, mandates, payments, vaultings
from vault.store.waiting import WITH_PAYMENTS
from vault.stored_card import CardStatus, DeletionReason, StoredCard

_REPEATS: Final = 4


class Erasure:
    """What ends `/v1/cards/{cardId}` and `/v1/buyers/{referenceBuyerId}`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def delete(self, caller: Caller, card_id: str) -> None:
        """Delete a card for good, also one that is still pending; deleting it again is `CardDeleted`."""
        for _ in range(_REPEATS):
            async with self._database.session() as session:
                found = await locate(session, caller.merchant_id, card_id)
            card_id = found.id if isinstance(found, StoredCard) else card_id
            async with self._database.transaction() as transaction:
                abandoned = await vaultings.abandon_card(transaction, caller.merchant_id, card_id)
                if isinstance(found, StoredCard):
                    await cards.lock_buyer(transaction, caller.merchant_id, found.buyer or "")
                card = await cards.find(transaction, caller.merchant_id, card_id, lock=True)
                here = card is not None and card.stored_status is not CardStatus.DELETED
                if card is not None and here:
                    await delete_card(transaction, caller.origin, card, DeletionReason.REQUESTED)
                writing = _Writing(transaction, caller.origin, caller.merchant_id)
                await writing.of(EventType.VAULTING_CHANGED, abandoned, "card_deleted")
            if here or abandoned:
                return
        raise Overloaded

    async def erase_buyer(self, caller: Caller, buyer: str) -> None:
        """Delete a buyer's cards, end the mandates, take the name off payments; an unknown buyer is no error."""
        async with self._database.transaction() as transaction:
            writing = _Writing(transaction, caller.origin, caller.merchant_id)
            stored = await vaultings.forget_buyer(transaction, caller.merchant_id, buyer)
            paid = await payments.forget_buyer(transaction, caller.merchant_id, buyer)
            await WITH_PAYMENTS.drop(transaction, caller.merchant_id, paid)
            erased = await cards.lock_buyer(transaction, caller.merchant_id, buyer)
            ended = await mandates.forget_buyer(transaction, caller.merchant_id, buyer)
            await writing.of(EventType.MANDATE_ENDED, ended, DeletionReason.BUYER_ERASED)
            # A charge may have been written between the first look and the lock on its card.
            paid += await payments.forget_buyer(transaction, caller.merchant_id, buyer)
            await cards.delete(transaction, caller.merchant_id, erased, DeletionReason.BUYER_ERASED)
            await writing.of(EventType.CARD_DELETED, erased)
            counts = {"cards": len(erased), "payments": len(paid), "mandates": len(ended), "vaultings": len(stored)}
            if not any(counts.values()):
                return
            event = Event(EventType.BUYER_ERASED, caller.origin, caller.merchant_id, details=counts)
            await audit.append(transaction, event)


async def delete_card(transaction: Transaction, origin: Origin, card: StoredCard, reason: DeletionReason) -> None:
    """Delete a live card that is locked as are its buyer's others; the default flag goes on to one of those."""
    writing = _Writing(transaction, origin, card.merchant_id)
    ended = await mandates.end_of_card(transaction, card.merchant_id, card.id)
    await cards.delete(transaction, card.merchant_id, [card.id], reason)
    await writing.of(EventType.MANDATE_ENDED, ended, "card_deleted")
    await writing.of(EventType.CARD_DELETED, [card.id], None if reason is DeletionReason.REQUESTED else reason)
    if card.is_default and card.buyer is not None:
        await hand_on_default(transaction, origin, card.merchant_id, card.buyer)


class _Writing:
    """Writes an event for each of several objects, in one transaction under one origin."""

    def __init__(self, transaction: Transaction, origin: Origin, merchant_id: str) -> None:
        self._transaction = transaction
        self._origin = origin
        self._merchant_id = merchant_id

    async def of(self, kind: EventType, ids: Sequence[str], reason: str | None = None) -> None:
        for each in ids:
            event = Event(kind, self._origin, self._merchant_id, (each,), reason=reason)
            await audit.append(self._transaction, event)

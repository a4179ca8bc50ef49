"""What time does to cards: their expiry is noted once, and a buyer whose default card is gone gets another default.

It refuses to know HTTP and SQL. Invariant: nothing depends on this having run; what a card's status says, and whether
it can be paid with, follows from the date alone (`vault.stored_card`).
"""

from typing import Final

from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.db import Database, Transaction
from vault.store import audit, card_life, cards
from vault.store.cards import CardChange

_WORKER: Final = Origin(ActorKind.WORKER, "expiry")
_BATCH: Final = 200


class ExpirySweep:
    """Notes which cards have expired, so that their merchants are told."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def once(self) -> bool:
        """Note what has expired, a batch at most; tells whether there was any."""
        async with self._database.session() as session:
            expired = await card_life.expired(session, _BATCH)
        for merchant_id, buyer, card_id in expired:
            async with self._database.transaction() as transaction:
                await self._note(transaction, merchant_id, buyer, card_id)
        return bool(expired)

    @staticmethod
    async def _note(transaction: Transaction, merchant_id: str, buyer: str, card_id: str) -> None:
        await cards.lock_buyer(transaction, merchant_id, buyer)
        was_default = await card_life.note_expiry(transaction, merchant_id, card_id)
        if was_default is None:
            return
        await audit.append(transaction, Event(EventType.CARD_EXPIRED, _WORKER, merchant_id, (card_id,)))
        if was_default:
            await hand_on_default(transaction, _WORKER, merchant_id, buyer)


async def hand_on_default(transaction: Transaction, origin: Origin, merchant_id: str, buyer: str) -> None:
    """Make the usable card that was stored last a buyer's default; without one, everything stays as it is.

    The caller holds the locks of the buyer's cards.
    """
    heir_id = await card_life.newest_usable(transaction, merchant_id, buyer)
    heir = await cards.find(transaction, merchant_id, heir_id) if heir_id else None
    if heir is None:
        return
    await cards.update(transaction, heir, CardChange(is_default=True))
    event = Event(EventType.CARD_UPDATED, origin, merchant_id, (heir.id,), reason="default_handed_on")
    await audit.append(transaction, event)

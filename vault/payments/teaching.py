"""What a decline teaches: how it reads, and what it changes about the stored card and the mandate that were charged.

It refuses to know the wire and the words' meaning (`vault.rules` has it). Invariants: a card is disabled, a mandate
ended and a chosen network forgotten only by a payment with that stored card, in the transaction that records its
failure; every change has an event.
"""

from typing import Final, assert_never

from vault.audit.events import Event, EventType, Origin
from vault.db import Transaction
from vault.payment import Kind, Payment, Status
from vault.rules.declines import BRAND_NOT_AVAILABLE, NOT_SENT, Decline, Ends
from vault.rules.scheme_declines import Words, read_decline
from vault.store import audit, cards, mandates
from vault.store.cards import CardChange
from vault.stored_card import NO_CHOICE, CardStatus, StoredCard

_ENDED: Final = "stopped_by_issuer"


def reading_of(payment: Payment, card: StoredCard | None) -> Decline | None:
    """Read the decline of a payment, with the card that was charged; None for one that did not fail."""
    return read_decline(words_of(payment, card)) if payment.status is Status.FAIL else None


def words_of(payment: Payment, card: StoredCard | None = None) -> Words:
    """Collect what was said about the outcome of a payment, with the card that was charged."""
    info, face = payment.result_info, card.face if card else payment.face
    return Words(
        NOT_SENT if payment.not_sent else payment.result.code if payment.result else "",
        info.get("cardBrand", face.brand if face else None),
        info.get("refusalCodeRaw"),
        info.get("merchantAdviceCode"),
    )


async def learn(transaction: Transaction, before: Payment, payment: Payment, origin: Origin) -> None:
    """Take over what a new reading says about the stored card that was charged (design section 4, `DISABLED`)."""
    if payment.status is not Status.FAIL or payment.kind is Kind.ONE_OFF or payment.card_id is None:
        return
    card = await cards.find(transaction, payment.merchant_id, payment.card_id, lock=True)
    reading = reading_of(payment, card)
    if card is None or reading is None or reading == reading_of(before, card):
        return
    if reading.hard and card.stored_status is CardStatus.ACTIVE:
        await cards.update(transaction, card, CardChange(status=CardStatus.DISABLED))
        await _write(transaction, EventType.CARD_DISABLED, payment, card, origin, "hard_decline")
    unavailable = payment.result is not None and payment.result.code == BRAND_NOT_AVAILABLE
    if unavailable and card.choice and card.choice == payment.choice:
        await cards.update(transaction, card, CardChange(choice=NO_CHOICE))
        await _write(transaction, EventType.CARD_UPDATED, payment, card, origin, "brand_not_available")
    if reading.ends is not None:
        await _end_mandates(transaction, payment, card, reading.ends, origin)


async def _end_mandates(
    transaction: Transaction, payment: Payment, card: StoredCard, ends: Ends, origin: Origin
) -> None:
    match ends:
        case Ends.ALL_MANDATES:
            ended = await mandates.end_of_card(transaction, card.merchant_id, card.id)
        case Ends.MANDATE:
            ended = await mandates.end(transaction, card.merchant_id, payment.mandate_id)
        case _ as unreachable:
            assert_never(unreachable)
    for mandate_id in ended:
        event = Event(EventType.MANDATE_ENDED, origin, card.merchant_id, (mandate_id, payment.id), reason=_ENDED)
        await audit.append(transaction, event)


async def _write(
    transaction: Transaction, kind: EventType, payment: Payment, card: StoredCard, origin: Origin, reason: str
) -> None:
    event = Event(kind, origin, card.merchant_id, (card.id, payment.id), reason=reason)
    await audit.append(transaction, event)

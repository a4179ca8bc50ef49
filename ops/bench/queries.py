"""Which statements of the store are compared over numbers of cards, and the pages that they look at.

It refuses to know the statements' text. A list is the vault's list, a payment is the look at its card, a new card is
its insertion; each is asked for buyers and cards chosen at random.
"""

import asyncio
from random import Random
from statistics import median
from typing import Final

from keys.keyring import Envelope
from ops.bench.filling import Population
from ops.bench.plan import Case
from ops.bench.shop import Shop
from ops.bench.statements import Statement, buffers_of, statement_of
from vault.audit.events import ActorKind, Event, EventType, Origin
from vault.card import Expiry
from vault.cursors import DEFAULT_PAGE
from vault.ids import Prefix, new_id
from vault.store import cards, new_cards
from vault.store.cards import Page
from vault.store.new_cards import NewCard, insertion
from vault.stored_card import CardFace, SecretKind

_TRIES: Final = 25


def pages_by_case(superuser_url: str, shop: Shop, size: int) -> dict[Case, float]:
    """Give the median number of pages for each kind of request."""
    return asyncio.run(_pages_by_case(superuser_url, shop, Population(size)))


async def _pages_by_case(superuser_url: str, shop: Shop, population: Population) -> dict[Case, float]:
    choice = Random(population.cards)  # noqa: S311 - it only spreads questions over buyers
    asked = {
        Case.LIST: [await _listing(shop, population.buyer(choice)) for _ in range(_TRIES)],
        Case.PAY: [await _paying(shop, choice.choice(shop.cards)) for _ in range(_TRIES)],
        Case.STORE: [await _storing(shop, number) for number in range(_TRIES)],
    }
    return {case: median(await buffers_of(superuser_url, statements)) for case, statements in asked.items()}


async def _listing(shop: Shop, buyer: str) -> Statement:
    return await statement_of(
        lambda session: cards.of_buyer(session, shop.merchant_id, buyer, Page(None, DEFAULT_PAGE))
    )


async def _paying(shop: Shop, card_id: str) -> Statement:
    return await statement_of(lambda session: cards.find_each(session, [(shop.merchant_id, card_id)]))


async def _storing(shop: Shop, number: int) -> Statement:
    key_id, fingerprint_key_id = bytes.fromhex(shop.key_id), bytes.fromhex(shop.fingerprint_key_id)
    face = CardFace(
        "VISA", "************1111", "453990", "1111", Expiry(11, 2039), number.to_bytes(32), fingerprint_key_id
    )
    secrets = {SecretKind.PAN: Envelope(key_id, bytes.fromhex(shop.envelope))}
    card = NewCard(shop.merchant_id, new_id(Prefix.CARD), f"asked-{number}", face, secrets)
    event = Event(EventType.CARD_STORED, Origin(ActorKind.CLIENT), shop.merchant_id, (card.id,))
    ready = insertion(card, event, also_active=[fingerprint_key_id])
    return await statement_of(lambda session: new_cards.insert(session, [ready]))

"""Cards as they come into the vault: the row, what is sealed beside it and its event, in one statement.

It refuses to know where a card comes from. Invariants: an envelope is inserted only while its key is active; one buyer
has one live card for one number, by a unique index and not by looking first (design section 5, mechanics of a repeat).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import asyncpg

from keys.keyring import Fingerprint
from vault.audit.events import Event
from vault.db import Session
from vault.store.audit import APPEND, EVENT, event_row
from vault.store.columns import FACE, SEALED, Secrets, as_row, face_row, key_active, rows_of, sealed_of
from vault.stored_card import NO_CHOICE, BrandChoice, CardFace, CardStatus, StoredCard

_CARD: Final = {
    "merchant_id": "text",
    "id": "text",
    "buyer": "text",
    **FACE,
    "issuing_country": "text",
    "funding": "text",
    "is_default": "boolean",
    "network_transaction_id": "text",
    "metadata": "jsonb",
    "consent": "jsonb",
    "selected_brand": "text",
    "selected_region": "text",
    "token_print": "bytea",
    "token_print_key_id": "bytea",
}
_GIVEN: Final = _CARD | {"sealed": "jsonb", "key_ids": "bytea[]"} | EVENT
_COLUMNS: Final = ", ".join(_CARD)
# Cards are inserted in the order of the index by which transactions wait for each other, so that no two can deadlock.
_INSERT: Final = f"""
with given as (
    {rows_of(_GIVEN)}
), retired as (
    select given.id from given, unnest(given.key_ids) as key_id where not {key_active("key_id")}
), ins as (
    insert into vault.card ({_COLUMNS}, status, retention)
    select {_COLUMNS}, 'ACTIVE', (select max(version) from vault.retention_class r where r.merchant_id = g.merchant_id)
    from given g
    where id not in (select id from retired) order by merchant_id, buyer, fingerprint
    on conflict (merchant_id, buyer, fingerprint) where fingerprint is not null do nothing
    returning id, created_at, updated_at
), sec as (
    insert into vault.card_secret (merchant_id, card_id, kind, envelope, key_id)
    select merchant_id, id, s.kind, s.envelope, s.key_id from given join ins using (id), {SEALED}
), aud as (
    {APPEND} given join ins using (id)
)
select id, id not in (select id from retired) as active, created_at, updated_at, clock_timestamp() as read_at
from given left join ins using (id)
"""


@dataclass(frozen=True, slots=True)
class NewCard:
    """A card to insert, its id chosen and its secrets sealed for that id, with the keyed hash of its token."""

    merchant_id: str
    id: str
    buyer: str
    face: CardFace
    secrets: Secrets
    is_default: bool = False
    metadata: Mapping[str, Any] | None = None
    consent: Mapping[str, Any] | None = None
    issuing_country: str | None = None
    funding: str | None = None
    network_transaction_id: str | None = None
    choice: BrandChoice = NO_CHOICE
    token_print: Fingerprint | None = None


@dataclass(frozen=True, slots=True)
class Inserted:
    """What an insertion came to; no card although the keys are active: this buyer has it already."""

    card: StoredCard | None
    keys_active: bool


@dataclass(frozen=True, slots=True)
class Insertion:
    """A card and its event, ready for the statement."""

    card: NewCard
    row: str


def insertion(card: NewCard, event: Event, *, also_active: Sequence[bytes] = ()) -> Insertion:
    """Make a card ready to be inserted, unless a key is retired by then: one of its secrets', or one of `also_active`.

    A number that was fingerprinted just now under a version that has been retired since would make a second card of one
    that is known by the new version.
    """
    row = {
        "merchant_id": card.merchant_id,
        "id": card.id,
        "buyer": card.buyer,
        **face_row(card.face),
        "issuing_country": card.issuing_country,
        "funding": card.funding,
        "is_default": card.is_default,
        "network_transaction_id": card.network_transaction_id,
        "metadata": card.metadata,
        "consent": card.consent,
        "selected_brand": card.choice.brand,
        "selected_region": card.choice.region,
        "token_print": card.token_print and card.token_print.value,
        "token_print_key_id": card.token_print and card.token_print.key_id,
        "sealed": sealed_of(card.secrets),
        "key_ids": [*also_active, *(each.key_id for each in card.secrets.values())],
        **event_row(event),
    }
    return Insertion(card, as_row(row))


async def insert(session: Session, insertions: Sequence[Insertion]) -> list[Inserted]:
    """Insert cards with their secrets and events in one statement, but none that its buyer has or whose key is retired.

    One decides nothing for the others; of two that are the same, one is inserted.
    """
    rows = await session.rows(_INSERT, [each.row for each in insertions])
    found = {row["id"]: row for row in rows}
    return [_inserted(each.card, found[each.card.id]) for each in insertions]


def _inserted(card: NewCard, row: asyncpg.Record) -> Inserted:
    if row["created_at"] is None:
        return Inserted(None, row["active"])
    stored = StoredCard(
        merchant_id=card.merchant_id,
        id=card.id,
        buyer=card.buyer,
        face=card.face,
        issuing_country=card.issuing_country,
        funding=card.funding,
        stored_status=CardStatus.ACTIVE,
        is_default=card.is_default,
        network_transaction_id=card.network_transaction_id,
        metadata=card.metadata,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        read_at=row["read_at"],
        choice=card.choice,
        secrets={kind: envelope.data for kind, envelope in card.secrets.items()},
    )
    return Inserted(stored, keys_active=True)
